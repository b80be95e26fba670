"""Exports: asked for, listed, read, removed. The archive is made by `Maker`."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from carcloud.model.ids import Tenant
from carcloud.ports.records import Records
from carcloud.services.storage.api import Storage, StoredBody
from carcloud.services.tenancy.api import AuditEntry, Unknown, record_changes
from carcloud.services.tenancy.api import metadata as tenancy
from carcloud.services.tenant_life.errors import ExportGoing, NotReady, UnknownExport
from carcloud.services.tenant_life.store import exports
from carcloud.services.tenant_life.types import Export, ExportState

OPEN = (ExportState.WAITING.value, ExportState.RUNNING.value)
_tenants = tenancy.tables["tenants"]


class Exports:
    """Archives of tenants. `now` is a clock in us since 1970."""

    def __init__(self, records: Records, storage: Storage, now: Callable[[], int]) -> None:
        self._records = records
        self._storage = storage
        self._now = now

    def ask(self, tenant: Tenant, *, actor: str) -> Export:
        """Let an archive be made; raises `Unknown` (tenant), `ExportGoing`."""
        row = {
            "id": secrets.token_hex(8), "tenant": tenant, "state": ExportState.WAITING.value,
            "by": actor, "created": self._now(), "attempt": 0, "part": "", "done": 0,
            "expected": 0, "bytes": 0, "members": 0,
        }  # fmt: skip
        with self._records.transaction() as db:
            if db.execute(select(_tenants.c.id).where(_tenants.c.id == tenant)).first() is None:
                raise Unknown(f"there is no tenant {tenant!r}")
            going = select(exports.c.id).where(
                exports.c.tenant == tenant, exports.c.state.in_(OPEN)
            )
            if (other := db.execute(going).scalar()) is not None:
                raise ExportGoing(f"the export {other} is not ready yet")
            db.execute(insert(exports).values(row))
            _note(db, tenant, actor, "tenant.export", row["id"])
        return self.get(tenant, str(row["id"]))

    def all(self, tenant: Tenant) -> list[Export]:
        """The tenant's exports, newest first."""
        query = select(exports).where(exports.c.tenant == tenant)
        with self._records.reading() as db:
            rows = db.execute(query.order_by(exports.c.created.desc(), exports.c.id)).mappings()
            return [export_of(row) for row in rows]

    def get(self, tenant: Tenant, export: str) -> Export:
        """One export; raises `UnknownExport`."""
        with self._records.reading() as db:
            row = db.execute(select(exports).where(_is(tenant, export))).mappings().first()
        if row is None:
            raise UnknownExport(f"there is no export {export!r}")
        return export_of(row)

    def begin_reading(self, tenant: Tenant, export: str, *, actor: str) -> Export:
        """An export whose archive is there, with a note of who takes it; raises `UnknownExport`,
        `NotReady`."""
        found = self.get(tenant, export)
        if found.body is None:
            raise NotReady(f"the export {export} is {found.state}")
        with self._records.transaction() as db:
            _note(db, tenant, actor, "tenant.export.download", export)
        return found

    def read(self, export: Export, start: int, end: int) -> Iterator[bytes]:
        """Bytes of the archive in pieces; raises `NotReady`, `NotFound`."""
        if export.body is None:
            raise NotReady(f"the export {export.id} is {export.state}")
        return self._storage.kept.read(export.tenant, export.body, start, end)

    def remove(self, tenant: Tenant, export: str, *, actor: str) -> None:
        """Take it back, or remove its archive; raises `UnknownExport`."""
        with self._records.transaction() as db:
            row = db.execute(select(exports).where(_is(tenant, export))).mappings().first()
            if row is None:
                raise UnknownExport(f"there is no export {export!r}")
            db.execute(delete(exports).where(_is(tenant, export)))
            _note(db, tenant, actor, "tenant.export.remove", export)
        if row["blob"] is not None:
            self._storage.kept.remove(tenant, row["blob"])

    def expire(self) -> int:
        """Remove the archives whose time is over; returns their number."""
        over = exports.c.expires <= self._now()
        with self._records.reading() as db:
            found = [
                (Tenant(row.tenant), row.id) for row in db.execute(select(exports).where(over))
            ]
        for tenant, export in found:
            self.remove(tenant, export, actor="carcloud")
        return len(found)

    def stored(self, tenant: Tenant) -> int:
        """Bytes of the tenant's archives."""
        total = select(func.coalesce(func.sum(exports.c.bytes), 0))
        with self._records.reading() as db:
            return int(db.execute(total.where(exports.c.tenant == tenant)).scalar_one())

    def ready(self) -> list[Export]:
        """All archives that are kept, of all tenants."""
        query = select(exports).where(exports.c.state == ExportState.READY.value)
        with self._records.reading() as db:
            return [export_of(row) for row in db.execute(query).mappings()]


def export_of(row: Any) -> Export:
    """An export from its row."""
    body = None
    if row["state"] == ExportState.READY.value:
        body = StoredBody(row["blob"], row["bytes"], b"", None, row["sealed_by"], row["salt"])
    plain = (
        "id", "by", "created", "started", "ended", "expires", "attempt", "part", "done",
        "expected", "members", "sha256", "error",
    )  # fmt: skip
    return Export(
        tenant=Tenant(row["tenant"]),
        state=ExportState(row["state"]),
        body=body,
        **{name: row[name] for name in plain},
    )


def _is(tenant: Tenant, export: str) -> ColumnElement[bool]:
    return (exports.c.tenant == tenant) & (exports.c.id == export)


def _note(db: Connection, tenant: Tenant, actor: str, action: str, export: Any) -> None:
    record_changes(db, [AuditEntry(tenant, actor, action, str(export))])
