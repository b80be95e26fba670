"""Exports: asked for, listed, read, removed. The archive is made by `Maker`."""

import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from carcloud.model.ids import Tenant
from carcloud.ports.errors import EngineError
from carcloud.ports.records import Records
from carcloud.services.storage.api import Invalid, Storage, StorageRefusal, StoredBody
from carcloud.services.tenancy.api import AuditEntry, locked_tenant, record_changes
from carcloud.services.tenant_life.errors import ExportGoing, NotReady, TooLate, UnknownExport
from carcloud.services.tenant_life.store import deletions, exports
from carcloud.services.tenant_life.types import DeletionState, Export, ExportState

log = logging.getLogger(__name__)

OPEN = (ExportState.WAITING.value, ExportState.RUNNING.value)
_failed = exports.c.state == ExportState.FAILED.value
_taken_back = _failed & exports.c.expires.is_not(None)  # its row stays as long as its archive


class Exports:
    """Archives of tenants. `now` is a clock in us since 1970."""

    def __init__(self, records: Records, storage: Storage, now: Callable[[], int]) -> None:
        self._records = records
        self._storage = storage
        self._now = now

    def ask(self, tenant: Tenant, *, actor: str) -> Export:
        """Let an archive be made; raises `Unknown` (tenant), `ExportGoing`, `TooLate` while the
        tenant is being deleted."""
        row = {
            "id": secrets.token_hex(8), "tenant": tenant, "state": ExportState.WAITING.value,
            "by": actor, "created": self._now(), "attempt": 0, "part": "", "done": 0,
            "expected": 0, "bytes": 0, "members": 0,
        }  # fmt: skip
        with self._records.transaction() as db:
            locked_tenant(db, tenant)
            _check_kept(db, tenant)
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
        query = select(exports).where(exports.c.tenant == tenant, ~_taken_back)
        with self._records.reading() as db:
            rows = db.execute(query.order_by(exports.c.created.desc(), exports.c.id)).mappings()
            return [export_of(row) for row in rows]

    def get(self, tenant: Tenant, export: str) -> Export:
        """One export; raises `UnknownExport`."""
        with self._records.reading() as db:
            return export_of(_row(db, tenant, export))

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
        """Take it back, or remove its archive; raises `UnknownExport`.

        Where the archive is just being written, or its place does not answer, `expire` removes it.
        """
        with self._records.transaction() as db:
            row = _row(db, tenant, export, lock=True)
            back = {
                "state": ExportState.FAILED.value, "attempt": row["attempt"] + 1,
                "expires": self._now(),
            }  # fmt: skip
            db.execute(update(exports).where(_is(tenant, export)).values(back))
            _note(db, tenant, actor, "tenant.export.remove", export)
        if row["state"] == ExportState.RUNNING.value:
            return
        try:
            self._clear({**row, **back})
        except (EngineError, StorageRefusal) as error:
            log.warning("the archive of export %s of %s goes later: %s", export, tenant, error)

    def expire(self) -> int:
        """Remove the archives whose time is over, and what was taken back or has failed; returns
        their number. No archive is being made meanwhile.

        Tries all of them, then raises the first `EngineError` or `StorageRefusal` there was.
        """
        over = (exports.c.expires <= self._now()) | (_failed & exports.c.blob.is_not(None))
        with self._records.reading() as db:
            found = db.execute(select(exports).where(over)).mappings().all()
        troubles: list[Exception] = []
        for row in found:
            try:
                self._clear(dict(row))
            except (EngineError, StorageRefusal) as error:
                log.warning("export %s of %s stays: %s", row["id"], row["tenant"], error)
                troubles.append(error)
        if troubles:
            raise troubles[0]
        return len(found)

    def _clear(self, row: Mapping[str, Any]) -> None:
        """The archive first, then what names it: one that nothing names would stay for good."""
        tenant, mine = Tenant(row["tenant"]), exports.c.id == row["id"]
        if row["blob"] is not None:
            self._storage.kept.remove(tenant, row["blob"])
        with self._records.transaction() as db:
            if row["expires"] is None:  # it has failed, and tells why
                db.execute(update(exports).where(mine).values(blob=None))
                return
            gone = db.execute(delete(exports).where(mine)).rowcount
            if gone and row["state"] == ExportState.READY.value:
                _note(db, tenant, "carcloud", "tenant.export.remove", row["id"])

    def settled(self, db: Connection, tenant: Tenant) -> None:
        """None lies in the tenant's place, nor will before the transaction ends; raises `Invalid`
        of storage."""
        locked_tenant(db, tenant)
        if db.execute(select(exports.c.id).where(exports.c.tenant == tenant)).first() is not None:
            raise Invalid("url", "the tenant's exports lie in its place: remove them first")

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


def _row(db: Connection, tenant: Tenant, export: str, *, lock: bool = False) -> dict[str, Any]:
    query = select(exports).where(_is(tenant, export), ~_taken_back)
    row = db.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        raise UnknownExport(f"there is no export {export!r}")
    return dict(row)


def _check_kept(db: Connection, tenant: Tenant) -> None:
    running = deletions.c.state == DeletionState.RUNNING.value
    going = select(deletions.c.id).where(deletions.c.tenant == tenant, running)
    if db.execute(going).first() is not None:
        raise TooLate("the tenant is being deleted")


def _is(tenant: Tenant, export: str) -> ColumnElement[bool]:
    return (exports.c.tenant == tenant) & (exports.c.id == export)


def _note(db: Connection, tenant: Tenant, actor: str, action: str, export: Any) -> None:
    record_changes(db, [AuditEntry(tenant, actor, action, str(export))])
