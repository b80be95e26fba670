"""The record of changes: written in the transaction of the change itself, never changed."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select

from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.services.tenancy.store import audit
from carcloud.services.tenancy.types import AuditEntry, AuditPage


def append(db: Connection, entries: Sequence[AuditEntry]) -> None:
    """Write entries in the open transaction `db`, with the present time."""
    if entries:
        now = now_us()
        db.execute(insert(audit), [_row(entry, now) for entry in entries])


def page(
    db: Connection, tenant: Tenant, *, subject: str | None, before: int | None, limit: int
) -> AuditPage:
    """Entries of a tenant, newest first, with ids below `before`."""
    query = select(audit).where(audit.c.tenant == tenant)
    if subject is not None:
        query = query.where(audit.c.subject == subject)
    if before is not None:
        query = query.where(audit.c.id < before)
    rows = db.execute(query.order_by(audit.c.id.desc()).limit(limit + 1)).mappings().all()
    items = [_entry(row) for row in rows[:limit]]
    return AuditPage(items, items[-1].id if len(rows) > limit else None)


def _row(entry: AuditEntry, now: int) -> dict[str, Any]:
    return {
        "time": now,
        "tenant": entry.tenant,
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "before": _text(entry.before),
        "after": _text(entry.after),
    }


def _text(value: object) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _entry(row: Any) -> AuditEntry:
    return AuditEntry(
        tenant=Tenant(row["tenant"]),
        actor=row["actor"],
        action=row["action"],
        subject=row["subject"],
        before=json.loads(row["before"]) if row["before"] else None,
        after=json.loads(row["after"]) if row["after"] else None,
        time=row["time"],
        id=row["id"],
    )
