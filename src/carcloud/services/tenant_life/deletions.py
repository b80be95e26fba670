"""Deletions of tenants: asked for, approved, cancelled, looked at. `Deleter` does the work."""

import json
import secrets
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, insert, select, update

from carcloud.model.ids import DEFAULT_TENANT, Tenant
from carcloud.ports.records import Records
from carcloud.services.tenancy.api import (
    INSTALLATION,
    AuditEntry,
    TenantState,
    locked_tenant,
    mark_tenant,
    record_changes,
)
from carcloud.services.tenant_life.errors import NoDeletion, NotConfirmed, NotSuspended, TooLate
from carcloud.services.tenant_life.store import deletions
from carcloud.services.tenant_life.types import Deletion, DeletionState, Step

_DAY_US = 86_400_000_000


class Deletions:
    """`days` passes between the wish and its beginning; with `second_person`, somebody other than
    who asked must approve. `now` is a clock in us since 1970."""

    def __init__(
        self,
        records: Records,
        days: Callable[[], float],
        second_person: Callable[[], bool],
        now: Callable[[], int],
    ) -> None:
        self._records = records
        self._days = days
        self._second_person = second_person
        self._now = now

    def ask(self, tenant: Tenant, confirm: str, *, actor: str) -> Deletion:
        """Let a suspended tenant be deleted. `confirm` = its id, typed again.

        Raises `NotConfirmed`, `Unknown`, `NotSuspended`, `TooLate`.
        """
        if confirm != tenant:
            raise NotConfirmed(f"type {tenant} to confirm that all it has is deleted")
        now = self._now()
        row = {
            "id": secrets.token_hex(8), "tenant": tenant, "state": DeletionState.WAITING.value,
            "asked_by": actor, "asked": now, "due": now + int(self._days() * _DAY_US),
            "approved_by": None if self._second_person() else actor,
            "step": Step.COUNT.value, "round": 0, "since": now, "marks": "{}",
        }  # fmt: skip
        with self._records.transaction() as db:
            state = locked_tenant(db, tenant).state
            if state is TenantState.DELETING:
                raise TooLate("the deletion of this tenant was asked for already")
            if state is not TenantState.SUSPENDED or tenant == DEFAULT_TENANT:
                raise NotSuspended("suspend the tenant first: only then it can be deleted")
            mark_tenant(db, tenant, TenantState.DELETING)
            db.execute(insert(deletions).values(row))
            note(db, actor, "tenant.deletion.ask", tenant, {"due": row["due"]})
        return self.get(tenant)

    def approve(self, tenant: Tenant, *, actor: str) -> Deletion:
        """Somebody else agrees; raises `NoDeletion`, `TooLate`, `NotConfirmed` for who asked."""
        with self._records.transaction() as db:
            found = waiting(db, tenant)
            if found.approved_by is not None:
                raise TooLate(f"{found.approved_by} has approved it")
            if found.asked_by == actor:
                raise NotConfirmed("somebody other than who asked must approve the deletion")
            _set(db, found.id, approved_by=actor)
            note(db, actor, "tenant.deletion.approve", tenant)
        return self.get(tenant)

    def cancel(self, tenant: Tenant, *, actor: str) -> Deletion:
        """Not after all; the tenant is suspended then. Raises `NoDeletion`, `TooLate`."""
        with self._records.transaction() as db:
            found = waiting(db, tenant)
            state, ended = DeletionState.CANCELLED.value, self._now()
            _set(db, found.id, state=state, cancelled_by=actor, ended=ended)
            mark_tenant(db, tenant, TenantState.SUSPENDED)
            note(db, actor, "tenant.deletion.cancel", tenant)
        return self.get(tenant)

    def get(self, tenant: Tenant) -> Deletion:
        """The last deletion of a tenant; raises `NoDeletion`."""
        with self._records.reading() as db:
            return last(db, tenant)

    def all(self) -> list[Deletion]:
        """All of them, newest first, with their certificates."""
        query = select(deletions).order_by(deletions.c.asked.desc(), deletions.c.id)
        with self._records.reading() as db:
            return [deletion_of(row) for row in db.execute(query).mappings()]


def last(db: Connection, tenant: Tenant, *, lock: bool = False) -> Deletion:
    """The last deletion of a tenant; raises `NoDeletion`."""
    query = select(deletions).where(deletions.c.tenant == tenant)
    query = query.order_by(deletions.c.asked.desc()).limit(1)
    row = db.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        raise NoDeletion(f"nobody has asked for the deletion of {tenant!r}")
    return deletion_of(row)


def waiting(db: Connection, tenant: Tenant) -> Deletion:
    """The one that can still be cancelled, and does not begin before the transaction ends; raises
    `NoDeletion`, `TooLate`."""
    found = last(db, tenant, lock=True)
    if found.state is not DeletionState.WAITING:
        raise TooLate(f"the deletion is {found.state}")
    return found


def deletion_of(row: Any) -> Deletion:
    """A deletion from its row."""
    values = dict(row)
    for name in ("marks", "before", "certificate"):
        values[name] = None if row[name] is None else json.loads(row[name])
    values["tenant"] = Tenant(row["tenant"])
    values["state"], values["step"] = DeletionState(row["state"]), Step(row["step"])
    return Deletion(**values)


def note(
    db: Connection, actor: str, action: str, tenant: Tenant, after: dict[str, Any] | None = None
) -> None:
    """An entry in the audit of the installation, which outlives the tenant."""
    record_changes(db, [AuditEntry(INSTALLATION, actor, action, tenant, None, after)])


def _set(db: Connection, deletion: str, **values: Any) -> None:
    db.execute(update(deletions).where(deletions.c.id == deletion).values(values))
