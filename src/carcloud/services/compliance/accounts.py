"""Accounts of lower platforms that log in to us with 0x05."""

from collections.abc import Callable, Collection
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy import delete, insert, select, update

from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.ports.errors import Conflict
from carcloud.ports.records import Records
from carcloud.services.compliance.checks import check, check_account_id
from carcloud.services.compliance.errors import PlatformTaken, UnknownPlatform
from carcloud.services.compliance.store import accounts, metadata
from carcloud.services.compliance.types import PlatformAccount
from carcloud.services.tenancy.api import AuditEntry, record_changes, suspended_among

_TOLD = [column for column in accounts.c if column.name in PlatformAccount.__struct_fields__]


class PlatformAccounts:
    """Lower platforms that may bring a tenant's vehicles; calls block, use a thread."""

    def __init__(self, records: Records, *, now: Callable[[], int] = now_us) -> None:
        self._records = records
        self._now = now
        records.create(metadata)

    def grant(
        self, tenant: Tenant, platform_id: str, user: str, password: str, *, actor: str
    ) -> tuple[PlatformAccount, bool]:
        """Let a lower platform log in; (its account, whether it is new).

        Replaces user and password if the tenant has the account. Raises `InvalidLink`,
        `PlatformTaken`.
        """
        check_account_id(platform_id)
        check({"user": user, "password": password})
        now = self._now()
        values = {"user": user, "password": PasswordHasher().hash(password), "updated_us": now}
        mine = (accounts.c.platform_id == platform_id, accounts.c.tenant == tenant)
        try:
            with self._records.transaction() as db:
                new = db.execute(update(accounts).where(*mine).values(**values)).rowcount == 0
                if new:
                    keys = {"platform_id": platform_id, "tenant": tenant, "created_us": now}
                    db.execute(insert(accounts).values(**keys, **values))
                action = "platform.grant" if new else "platform.change"
                told: dict[str, object] = {"user": user, "password": "set"}
                record_changes(db, [AuditEntry(tenant, actor, action, platform_id, None, told)])
                made = db.execute(select(*_TOLD).where(*mine)).one()
        except Conflict:
            raise PlatformTaken(f"platform {platform_id!r} is another tenant's") from None
        return PlatformAccount(**made._mapping), new

    def revoke(self, tenant: Tenant, platform_id: str, *, actor: str) -> None:
        """Take an account back; raises `UnknownPlatform`."""
        mine = (accounts.c.platform_id == platform_id, accounts.c.tenant == tenant)
        with self._records.transaction() as db:
            if db.execute(delete(accounts).where(*mine)).rowcount == 0:
                raise UnknownPlatform(f"there is no lower platform {platform_id!r}")
            record_changes(db, [AuditEntry(tenant, actor, "platform.revoke", platform_id)])

    def all(self, tenant: Tenant) -> list[PlatformAccount]:
        """The tenant's accounts, by id."""
        query = select(*_TOLD).where(accounts.c.tenant == tenant).order_by(accounts.c.platform_id)
        with self._records.reading() as db:
            return [PlatformAccount(**row._mapping) for row in db.execute(query)]

    def tenants(self, platform_ids: Collection[str]) -> dict[str, Tenant]:
        """The tenants of those platforms that have an account now."""
        query = select(accounts.c.platform_id, accounts.c.tenant)
        with self._records.reading() as db:
            found = db.execute(query.where(accounts.c.platform_id.in_(platform_ids)))
            return {row.platform_id: Tenant(row.tenant) for row in found}

    def admit(self, platform_id: str, user: str, password: str) -> Tenant | None:
        """The tenant of a lower platform's account; None when the credentials are wrong."""
        if "\0" in platform_id:  # nobody's, and no text for a database
            return None
        query = select(accounts).where(accounts.c.platform_id == platform_id)
        with self._records.reading() as db:
            row = db.execute(query).mappings().first()
            if row is not None and suspended_among(db, [Tenant(row["tenant"])]):
                row = None
        stored = _nobody() if row is None else str(row["password"])
        try:
            PasswordHasher().verify(stored, password)
        except VerificationError:
            return None
        return Tenant(row["tenant"]) if row is not None and row["user"] == user else None


@cache
def _nobody() -> str:
    """Checked for unknown platforms: the same time, no hint."""
    return PasswordHasher().hash("nobody")
