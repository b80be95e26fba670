"""Monthly statements: open until they are closed, and never changed after that.

What comes in for a closed month is counted in the next open one, where it is a line of its own:
an adjustment, priced as if it had come in time.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from carcloud.model.ids import Tenant
from carcloud.services.metering import books, periods, rating
from carcloud.services.metering.errors import Exists, NotYet, Unknown
from carcloud.services.metering.periods import following, hour_of, period_of
from carcloud.services.metering.store import closings, hours, statements
from carcloud.services.metering.types import Statement
from carcloud.services.tenancy.api import AuditEntry, record_changes


def present(db: Connection, tenant: Tenant, period: int) -> Statement:
    """The statement of a month, closed or as it stands; raises `Unknown`."""
    kept = _kept(db, tenant, period)
    if kept is not None:
        return kept
    rated = rating.load(db, tenant, period)
    if rated is None:
        raise Unknown(f"no price book is valid in {periods.text(period)}")
    return rating.statement(rated)


def every(db: Connection, tenant: Tenant) -> list[Statement]:
    """The closed statements of a tenant, newest first."""
    query = select(statements).where(statements.c.tenant == tenant)
    ordered = query.order_by(statements.c.period.desc())
    return [_statement(row) for row in db.execute(ordered).mappings()]


def close(db: Connection, tenant: Tenant, period: int, *, actor: str, now: int) -> Statement:
    """Close a month for good; raises `NotYet`, `Exists`."""
    closed = _lock(db, tenant)
    if period <= closed:
        raise Exists(f"{periods.text(period)} is closed")
    if periods.first_hour(following(period)) > hour_of(now):
        raise NotYet(f"{periods.text(period)} has not ended")
    first = next(_open(db, tenant, closed, now), period)
    if first < period:
        raise NotYet(f"{periods.text(first)} is still open: close it first")
    rated = rating.load(db, tenant, period)
    if rated is None:
        raise NotYet(f"no price book is valid in {periods.text(period)}")
    made = msgspec.structs.replace(rating.statement(rated), closed_us=now)
    document = msgspec.json.encode(made).decode()
    digest = hashlib.sha256(document.encode()).hexdigest()
    row = {"tenant": tenant, "period": period, "closed": now}
    db.execute(insert(statements).values(**row, document=document, digest=digest))
    mine = update(closings).where(closings.c.tenant == tenant)
    db.execute(mine.values(period=period))
    after = {"total": str(made.total), "currency": made.currency, "digest": digest}
    entry = AuditEntry(tenant, actor, "statement.close", made.period, None, after)
    record_changes(db, [entry])
    return msgspec.structs.replace(made, digest=digest)


def due(db: Connection, now: int, grace_us: int) -> list[tuple[Tenant, int]]:
    """Months that ended longer than `grace_us` ago and are open, each tenant's first."""
    found = []
    for tenant in db.execute(select(hours.c.tenant).distinct().order_by(hours.c.tenant)).scalars():
        closed = db.execute(select(closings.c.period).where(closings.c.tenant == tenant)).scalar()
        first = next(_open(db, Tenant(tenant), closed or 0, now - grace_us), None)
        if first is not None:
            found.append((Tenant(tenant), first))
    return found


def _open(db: Connection, tenant: Tenant, closed: int, now: int) -> Iterator[int]:
    """Months after `closed` that have ended, from the first usage on, with a valid book."""
    oldest = select(func.min(hours.c.period)).where(hours.c.tenant == tenant)
    first = db.execute(oldest).scalar()
    if first is None:
        return
    period = max(first, following(closed) if closed else first)
    known = books.every(db, tenant)
    while period < period_of(hour_of(now)):
        if books.valid(known, tenant, period) is not None:
            yield period
        period = following(period)


def _lock(db: Connection, tenant: Tenant) -> int:
    """The last closed month; nobody counts for the tenant until the transaction ends."""
    query = select(closings.c.period).where(closings.c.tenant == tenant).with_for_update()
    closed = db.execute(query).scalar()
    if closed is None:
        db.execute(insert(closings).values(tenant=tenant, period=0))
    return int(closed or 0)


def _kept(db: Connection, tenant: Tenant, period: int) -> Statement | None:
    mine = (statements.c.tenant == tenant) & (statements.c.period == period)
    row = db.execute(select(statements).where(mine)).mappings().first()
    return None if row is None else _statement(row)


def _statement(row: Any) -> Statement:
    made = msgspec.json.decode(row["document"], type=Statement)
    return msgspec.structs.replace(made, digest=row["digest"])
