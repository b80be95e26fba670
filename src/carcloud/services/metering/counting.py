"""Adding usage to the hourly meters, each once, inside an open transaction."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, and_, delete, insert, select, tuple_, update

from carcloud.model.ids import Tenant
from carcloud.model.time import DAY
from carcloud.model.usage import Usage
from carcloud.services.metering.periods import following, hour_of, period_of
from carcloud.services.metering.store import closings, hours, positions, processes, seen

REMEMBER_DAYS = 40  # for which ids are known; what is told again later counts again
_CHUNK = 400  # keys in one SELECT

Hour = tuple[Tenant, str, str, int]  # tenant, project, meter, hour


def position(db: Connection, source: str, *, lock: bool = True) -> int:
    """How far a source is counted; nobody else counts it until the transaction ends."""
    query = select(positions.c.position).where(positions.c.source == source)
    return int(db.execute(query.with_for_update() if lock else query).scalar() or 0)


def move(db: Connection, source: str, to: int) -> None:
    """A source is counted up to here."""
    row = update(positions).where(positions.c.source == source).values(position=to)
    if db.execute(row).rowcount == 0:
        db.execute(insert(positions).values(source=source, position=to))


def fresh(db: Connection, usages: Iterable[Usage], now: int) -> list[Usage]:
    """Those that were not counted before; notes that they are now."""
    single: dict[tuple[str, str], Usage] = {}
    numbered: list[tuple[tuple[str, str], int, Usage]] = []
    for usage in usages:
        told = usage.numbered
        if told is None:
            single.setdefault((usage.tenant, usage.id), usage)
        else:
            numbered.append(((usage.tenant, told[0]), told[1], usage))
    return [*_single(db, single, now), *_numbered(db, numbered, now)]


def _single(db: Connection, wanted: dict[tuple[str, str], Usage], now: int) -> list[Usage]:
    keys = list(wanted)
    for start in range(0, len(keys), _CHUNK):
        chunk = tuple_(seen.c.tenant, seen.c.id).in_(keys[start : start + _CHUNK])
        for tenant, id in db.execute(select(seen.c.tenant, seen.c.id).where(chunk)):
            del wanted[tenant, id]
    if wanted:
        rows = [{"tenant": tenant, "id": id, "time": now} for tenant, id in wanted]
        db.execute(insert(seen), rows)
    return list(wanted.values())


def _numbered(
    db: Connection, wanted: list[tuple[tuple[str, str], int, Usage]], now: int
) -> list[Usage]:
    """A process tells its numbers in order: one at or below the last was told before."""
    last = _last_numbers(db, sorted({key for key, _, _ in wanted}))
    known = dict(last)
    found = []
    for key, number, usage in wanted:
        if number > last.get(key, -1):
            last[key] = number
            found.append(usage)
    for (tenant, process), number in last.items():
        mine = (processes.c.tenant == tenant) & (processes.c.process == process)
        if (tenant, process) not in known:
            row = {"tenant": tenant, "process": process, "number": number, "time": now}
            db.execute(insert(processes).values(**row))
        elif number != known[tenant, process]:
            db.execute(update(processes).where(mine).values(number=number, time=now))
    return found


def _last_numbers(db: Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    columns = (processes.c.tenant, processes.c.process, processes.c.number)
    for start in range(0, len(keys), _CHUNK):
        chunk = tuple_(*columns[:2]).in_(keys[start : start + _CHUNK])
        query = select(*columns).where(chunk).with_for_update()
        found.update(((tenant, name), number) for tenant, name, number in db.execute(query))
    return found


def add(db: Connection, usages: Iterable[Usage]) -> None:
    """Add usages to their hours, whatever their ids."""
    sums: dict[Hour, int] = defaultdict(int)
    for usage in usages:
        key = (usage.tenant, usage.project, usage.meter, hour_of(usage.time_us))
        sums[key] += usage.quantity
    closed = _closed(db, {key[0] for key in sums})
    for key, quantity in sorted(sums.items()):
        if quantity:
            _add_hour(db, key, quantity, closed.get(key[0], 0))


def _add_hour(db: Connection, key: Hour, quantity: int, closed: int) -> None:
    tenant, project, meter, hour = key
    period = period_of(hour)
    if period <= closed:  # its statement is closed: on the next one
        period = following(closed)
    names = {"tenant": tenant, "project": project, "meter": meter, "hour": hour, "period": period}
    mine = and_(*(hours.c[name] == value for name, value in names.items()))
    more = update(hours).where(mine).values(quantity=hours.c.quantity + quantity)
    if db.execute(more).rowcount == 0:
        db.execute(insert(hours).values(**names, quantity=quantity))


def _closed(db: Connection, tenants: Iterable[Tenant]) -> dict[str, int]:
    """The last closed period of each tenant; none is closed while this is counted."""
    wanted = sorted(tenants)
    query = select(closings).where(closings.c.tenant.in_(wanted)).with_for_update()
    found = {row.tenant: row.period for row in db.execute(query)}
    new = [{"tenant": tenant, "period": 0} for tenant in wanted if tenant not in found]
    if new:
        db.execute(insert(closings), new)
    return found


def forget(db: Connection, now: int) -> None:
    """Forget ids that nobody tells again."""
    before = now - REMEMBER_DAYS * DAY
    db.execute(delete(seen).where(seen.c.time < before))
    db.execute(delete(processes).where(processes.c.time < before))
