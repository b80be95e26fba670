"""From hours to a statement: quantities of a period, priced line by line."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from sqlalchemy import Connection, func, select

from carcloud.model.ids import Tenant
from carcloud.model.meters import METER, METERS
from carcloud.services.metering import books, periods, prices
from carcloud.services.metering.periods import period_of
from carcloud.services.metering.store import hours
from carcloud.services.metering.types import Line, Price, PriceBook, Statement

_ORDER = {meter.name: index for index, meter in enumerate(METERS)}


@dataclass(frozen=True, slots=True)
class Row:
    """An hour of one meter and project, and the period on whose statement it is."""

    project: str
    meter: str
    hour: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Rated:
    """A month's usage with what prices it."""

    tenant: Tenant
    period: int
    book: PriceBook
    rows: Sequence[Row]  # on the statement of this period
    earlier: Mapping[tuple[str, int], int]  # (meter, month) -> quantity on earlier statements
    known: list[PriceBook]


def load(db: Connection, tenant: Tenant, period: int) -> Rated | None:
    """What is on the statement of a period so far; None without a price book for it."""
    known = books.every(db, tenant)
    book = books.valid(known, tenant, period)
    if book is None:
        return None
    mine = (hours.c.tenant == tenant) & (hours.c.period == period)
    columns = (hours.c.project, hours.c.meter, hours.c.hour, hours.c.quantity)
    rows = [Row(*row) for row in db.execute(select(*columns).where(mine).order_by(hours.c.hour))]
    late = {(row.meter, month) for row in rows if (month := period_of(row.hour)) != period}
    earlier = {key: _before(db, tenant, key, period) for key in late}
    return Rated(tenant, period, book, rows, earlier, known)


def _before(db: Connection, tenant: Tenant, key: tuple[str, int], period: int) -> int:
    meter, month = key
    first, last = periods.first_hour(month), periods.first_hour(periods.following(month))
    wanted = (
        (hours.c.tenant == tenant)
        & (hours.c.meter == meter)
        & (hours.c.hour >= first)
        & (hours.c.hour < last)
        & (hours.c.period < period)
    )
    return int(db.execute(select(func.sum(hours.c.quantity)).where(wanted)).scalar() or 0)


def statement(rated: Rated) -> Statement:
    """The statement as it stands, open."""
    groups: dict[tuple[int, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in rated.rows:
        groups[period_of(row.hour), row.meter][row.project] += row.quantity
    ordered = sorted(groups, key=lambda key: (key[0] != rated.period, key[0], _ORDER[key[1]]))
    lines = [_line(rated, month, meter, groups[month, meter]) for month, meter in ordered]
    total = prices.rounded(
        sum((Fraction(line.amount) for line in lines), Fraction(0)), decimals(rated)
    )
    return Statement(
        tenant=rated.tenant,
        period=periods.text(rated.period),
        currency=rated.book.currency,
        decimals=rated.book.decimals,
        price_book=rated.book.id,
        lines=lines,
        total=total,
    )


def decimals(rated: Rated) -> int:
    """Of amounts."""
    return rated.book.decimals


def _line(rated: Rated, month: int, meter: str, by_project: Mapping[str, int]) -> Line:
    quantity = sum(by_project.values())
    price = price_of(rated, month, meter)
    amount = prices.rounded(amount_of(rated, month, meter, quantity), decimals(rated))
    row = METER[meter]
    return Line(
        meter=meter,
        month=periods.text(month),
        adjustment=month != rated.period,
        unit=row.unit,
        units=prices.plain_units(meter, quantity),
        quantity=quantity,
        counted_in=row.counted_in,
        free=price.free if price else prices.plain(prices.rounded(Fraction(0), 0)),
        amount=amount,
        by_project=prices.shares(amount, dict(by_project), decimals(rated)),
    )


def price_of(rated: Rated, month: int, meter: str) -> Price | None:
    """The price of a meter in the month that it was used in."""
    book = rated.book if month == rated.period else books.valid(rated.known, rated.tenant, month)
    return None if book is None else book.prices.get(meter)


def amount_of(rated: Rated, month: int, meter: str, quantity: int) -> Fraction:
    """What a quantity costs on top of what earlier statements have of that month."""
    price = price_of(rated, month, meter)
    before = rated.earlier.get((meter, month), 0)
    return prices.cost(meter, price, before + quantity) - prices.cost(meter, price, before)


def on_top(rated: Rated, more: Mapping[str, int]) -> Fraction:
    """What further quantities, by meter, would make the month dearer by."""
    used: dict[str, int] = defaultdict(int)
    for row in rated.rows:
        if period_of(row.hour) == rated.period:
            used[row.meter] += row.quantity
    total = Fraction(0)
    for meter, quantity in more.items():
        before = amount_of(rated, rated.period, meter, used[meter])
        total += amount_of(rated, rated.period, meter, used[meter] + quantity) - before
    return total


def by_day(rated: Rated) -> list[tuple[str, str, Fraction]]:
    """(day, meter, amount): by how much each day made the month dearer, not rounded."""
    days: dict[tuple[int, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in rated.rows:
        days[period_of(row.hour), row.meter][periods.day_text(row.hour)] += row.quantity
    found = []
    for (month, meter), by in days.items():
        so_far, cost = 0, Fraction(0)
        for day in sorted(by):
            so_far += by[day]
            dearer = amount_of(rated, month, meter, so_far)
            found.append((day, meter, dearer - cost))
            cost = dearer
    return sorted(found, key=lambda entry: (entry[0], _ORDER[entry[1]]))
