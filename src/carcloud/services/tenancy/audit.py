"""The record of changes and refusals: written in the transaction of the change, never changed.

The entries of a tenant are a chain: each holds the SHA-256 of the one before it and of its own
content. Whoever alters, removes or inserts one must rewrite all that follow; that shows where a
later hash was noted elsewhere.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, false, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_sqlite

from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.services.tenancy.store import audit, audit_heads
from carcloud.services.tenancy.text import printable, storable
from carcloud.services.tenancy.types import AuditEntry, AuditFilter, AuditPage, ChainReport

FIRST = "0" * 64  # stands for the hash before the first entry
_FAULTS = 20  # of one tenant; a broken chain repeats itself
_READ = 2000  # entries at a time


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the request that is being served comes from."""

    address: str = ""
    request: str = ""


_origin: ContextVar[Origin] = ContextVar("audit origin", default=Origin())  # noqa: B039 - frozen


class AuditOrigin:
    """Entries written inside the block tell the address and the request's id."""

    __slots__ = ("_origin", "_token")

    def __init__(self, address: str, request: str) -> None:
        self._origin = Origin(address[:60], request[:64])

    def __enter__(self) -> None:
        self._token = _origin.set(self._origin)

    def __exit__(self, *_error: object) -> None:
        _origin.reset(self._token)


def append(db: Connection, entries: Sequence[AuditEntry]) -> None:
    """Write entries in the open transaction `db`, with the present time."""
    if not entries:
        return
    now, here = now_us(), _origin.get()
    for tenant in sorted({entry.tenant for entry in entries}):  # one order: no deadlocks
        number, last = _head(db, tenant)
        rows = []
        for entry in entries:
            if entry.tenant == tenant:
                number += 1
                row = _row(entry, now, number, here)
                last = row["hash"] = _hash(last, row)
                rows.append(row)
        db.execute(insert(audit), rows)
        mine = audit_heads.c.tenant == tenant
        db.execute(update(audit_heads).where(mine).values(number=number, hash=last))


def page(
    db: Connection, tenant: Tenant, which: AuditFilter, *, before: int | None, limit: int
) -> AuditPage:
    """Entries of a tenant, newest first, with ids below `before`."""
    query = select(audit).where(audit.c.tenant == tenant, *_conditions(which))
    if before is not None:
        query = query.where(audit.c.id < before)
    rows = db.execute(query.order_by(audit.c.id.desc()).limit(limit + 1)).mappings().all()
    items = [_entry(row) for row in rows[:limit]]
    return AuditPage(items, items[-1].id if len(rows) > limit else None)


def subjects_after(db: Connection, after: int, actions: Sequence[str]) -> tuple[int, list[str]]:
    """(newest id, subjects of such actions in entries of all tenants with ids above `after`)."""
    newest = db.execute(select(func.max(audit.c.id))).scalar() or 0
    which = audit.c.id.between(after + 1, newest) & audit.c.action.in_(actions)
    found = db.execute(select(audit.c.subject).distinct().where(which, ~audit.c.denied))
    return newest, [str(subject) for (subject,) in found]


def heads(db: Connection) -> list[tuple[Tenant, int, str]]:
    """Of each tenant: how many entries there are, and the hash of the last."""
    rows = db.execute(select(audit_heads).order_by(audit_heads.c.tenant))
    return [(Tenant(row.tenant), row.number, row.hash) for row in rows if row.number]


def verify(db: Connection, tenant: Tenant, anchors: Iterable[tuple[int, str]] = ()) -> ChainReport:
    """Recompute the chain of a tenant; `anchors` are (number, hash) noted elsewhere before."""
    noted: dict[int, set[str]] = {}
    for number, hashed in anchors:
        noted.setdefault(number, set()).add(hashed)
    faults: list[str] = []
    last, expected, count = FIRST, 1, 0
    for row in _chain(db, tenant):
        count += 1
        if row["number"] != expected:
            faults.append(f"entry {expected} is missing: entry {row['number']} follows")
        elif _hash(last, row) != row["hash"]:
            faults.append(f"entry {expected} ({row['action']}) or the one before it was altered")
        if any(hashed != row["hash"] for hashed in noted.pop(row["number"], ())):
            faults.append(f"entry {row['number']} is not the one that was noted")
        last, expected = row["hash"], row["number"] + 1
        if len(faults) >= _FAULTS:
            break
    else:
        faults += [f"entry {number} was noted and is missing" for number in sorted(noted)]
        head = db.execute(select(audit_heads).where(audit_heads.c.tenant == tenant)).first()
        told = (0, FIRST) if head is None else (head.number, head.hash)
        if told != (expected - 1, last):
            faults.append(f"the chain ends at entry {expected - 1}, and should at {told[0]}")
    return ChainReport(tenant, count, last, faults[:_FAULTS])


def _chain(db: Connection, tenant: Tenant) -> Iterator[Mapping[str, Any]]:
    after = 0
    while True:
        query = select(audit).where(audit.c.tenant == tenant, audit.c.number > after)
        rows = db.execute(query.order_by(audit.c.number).limit(_READ)).mappings().all()
        yield from (dict(row) for row in rows)
        if len(rows) < _READ:
            return
        after = rows[-1]["number"]


def _head(db: Connection, tenant: Tenant) -> tuple[int, str]:
    """The end of the chain, locked until the transaction ends."""
    make = insert_postgresql if db.dialect.name == "postgresql" else insert_sqlite
    fresh = make(audit_heads).values(tenant=tenant, number=0, hash=FIRST)
    query: Select[Any] = select(audit_heads.c.number, audit_heads.c.hash)
    query = query.where(audit_heads.c.tenant == tenant).with_for_update()
    row = db.execute(query).first()
    if row is None:
        db.execute(fresh.on_conflict_do_nothing())
        row = db.execute(query).one()
    return row.number, row.hash


def _hash(last: str, row: Mapping[str, Any]) -> str:
    told = [row[name] for name in _HASHED]
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(f"{last}\n{text}".encode(errors="surrogatepass")).hexdigest()


_HASHED = (
    "tenant", "number", "time", "actor", "action", "subject", "before", "after", "denied",
    "address", "request",
)  # fmt: skip


def _row(entry: AuditEntry, now: int, number: int, here: Origin) -> dict[str, Any]:
    return {
        "tenant": entry.tenant,
        "number": number,
        "time": now,
        "actor": printable(entry.actor[:120]),
        "action": entry.action,
        "subject": printable(entry.subject[:200]),
        "before": _text(entry.before),
        "after": _text(entry.after),
        "denied": entry.denied,
        "address": printable((entry.address or here.address)[:60]),
        "request": printable((entry.request or here.request)[:64]),
    }


def _conditions(which: AuditFilter) -> list[ColumnElement[bool]]:
    texts = (which.subject, which.actor, which.action)
    if not all(storable(text) for text in texts if text is not None):
        return [false()]
    conditions = []
    for name in ("subject", "actor", "denied"):
        if (wanted := getattr(which, name)) is not None:
            conditions.append(audit.c[name] == wanted)
    if which.action is not None:
        if which.action.endswith("*"):
            conditions.append(audit.c.action.startswith(which.action[:-1], autoescape=True))
        else:
            conditions.append(audit.c.action == which.action)
    if which.since is not None:
        conditions.append(audit.c.time >= which.since)
    if which.until is not None:
        conditions.append(audit.c.time < which.until)
    return [and_(*conditions)] if conditions else []


def _text(value: object) -> str | None:
    if value is None:
        return None
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if storable(text) else json.dumps(value, sort_keys=True)


def _entry(row: Any) -> AuditEntry:
    return AuditEntry(
        tenant=Tenant(row["tenant"]),
        actor=row["actor"],
        action=row["action"],
        subject=row["subject"],
        before=json.loads(row["before"]) if row["before"] else None,
        after=json.loads(row["after"]) if row["after"] else None,
        denied=row["denied"],
        address=row["address"],
        request=row["request"],
        time=row["time"],
        id=row["id"],
        number=row["number"],
        hash=row["hash"],
    )
