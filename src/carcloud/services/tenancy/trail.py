"""The audit as people use it: search, refusals, verification."""

from collections.abc import Mapping, Sequence

from carcloud.model.ids import Tenant
from carcloud.services.tenancy import audit
from carcloud.services.tenancy.desk import Desk
from carcloud.services.tenancy.types import AuditEntry, AuditFilter, AuditPage, ChainReport


class Trail:
    """Reads and checks the audit; only refusals are written through it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def page(
        self,
        tenant: Tenant,
        which: AuditFilter = AuditFilter(),  # noqa: B008 - frozen
        *,
        before: int | None = None,
        limit: int = 50,
    ) -> AuditPage:
        """The tenant's entries, newest first, with ids below `before`."""
        with self._desk.records.reading() as db:
            return audit.page(db, tenant, which, before=before, limit=limit)

    def refused(self, attempts: Sequence[AuditEntry]) -> None:
        """Note attempts that were refused."""
        with self._desk.records.transaction() as db:
            audit.append(db, attempts)

    def heads(self) -> list[tuple[Tenant, int, str]]:
        """Of each tenant with entries: how many, and the hash of the last."""
        with self._desk.records.reading() as db:
            return audit.heads(db)

    def verify(
        self,
        tenant: Tenant | None = None,
        anchors: Mapping[Tenant, Sequence[tuple[int, str]]] | None = None,
    ) -> list[ChainReport]:
        """Recompute the chains of one tenant or of all; `anchors` as `audit.verify` takes them."""
        noted = anchors or {}
        with self._desk.records.reading() as db:
            known = {name for name, _, _ in audit.heads(db)} | noted.keys()
            wanted = sorted(known) if tenant is None else [tenant]
            return [audit.verify(db, one, noted.get(one, ())) for one in wanted]
