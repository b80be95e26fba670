"""The way into metering: count usage, say what it costs. Calls block briefly."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from sqlalchemy import Connection, func, select

from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.model.usage import Usage
from carcloud.ports.errors import Conflict
from carcloud.ports.records import Records
from carcloud.services.metering import (
    books,
    budgets,
    counting,
    forecasting,
    periods,
    prices,
    rating,
    sizes,
    statements,
)
from carcloud.services.metering.counter import UsageCounter
from carcloud.services.metering.documents import as_csv, as_pdf
from carcloud.services.metering.errors import Changed, Exists, Invalid, NotYet, Unknown
from carcloud.services.metering.periods import HOUR_US, hour_of, period_of
from carcloud.services.metering.periods import parse as parse_period
from carcloud.services.metering.periods import text as period_text
from carcloud.services.metering.store import hours, metadata
from carcloud.services.metering.types import (
    Alert,
    Budget,
    BudgetState,
    Costs,
    DayCost,
    Forecast,
    HourlyUsage,
    Line,
    Price,
    PriceBook,
    Statement,
    Tier,
)

__all__ = [
    "Alert", "Budget", "BudgetState", "Changed", "Costs", "DayCost", "Exists", "Forecast",
    "HourlyUsage", "Invalid", "Line", "Metering", "NotYet", "Price", "PriceBook", "Statement",
    "Tier", "Unknown", "UsageCounter", "as_csv", "as_pdf", "metadata", "parse_period",
    "period_text",
]  # fmt: skip

T = TypeVar("T")

_DAY_PLACES = 6  # decimals of the costs of days, which are not rounded to money


class Metering:
    """The service. `now` is a clock in us since 1970."""

    def __init__(self, records: Records, now: Callable[[], int] = now_us) -> None:
        self._records = records
        self._now = now
        records.create(metadata)

    # counting

    def count(self, usages: Sequence[Usage]) -> int:
        """Count each usage once, by its id; returns how many were new."""

        def work(db: Connection) -> int:
            new = counting.fresh(db, usages, self._now())
            counting.add(db, new)
            return len(new)

        return self._retried(work)

    def count_from(self, source: str, messages: Sequence[tuple[int, Sequence[Usage]]]) -> int:
        """Count messages (sequence, usages) of a stream once, by sequence and by id.

        Where the source is and what was counted change in one transaction, or not at all.
        """

        def work(db: Connection) -> int:
            reached = counting.position(db, source)
            beyond = [usages for seq, usages in messages if seq > reached]
            new = counting.fresh(db, [usage for usages in beyond for usage in usages], self._now())
            counting.add(db, new)
            counting.move(db, source, max(reached, messages[-1][0]))
            return len(new)

        return self._retried(work) if messages else 0

    def count_stretch(self, source: str, after: int, until: int, usages: Sequence[Usage]) -> bool:
        """Count everything that a source has in (after, until]; ids do not matter.

        Returns False, and counts nothing, when the source is not counted up to just `after`.
        """

        def work(db: Connection) -> bool:
            if counting.position(db, source) != after:
                return False
            counting.add(db, usages)
            counting.move(db, source, until)
            return True

        return self._retried(work)

    def position(self, source: str) -> int:
        """How far a source is counted; 0 before the first time."""
        with self._records.reading() as db:
            return counting.position(db, source, lock=False)

    def begin_anew(self, source: str) -> None:
        """The source has numbers from 1 again; ids keep what comes twice from counting twice."""
        self._retried(lambda db: counting.move(db, source, 0))

    def forget(self) -> None:
        """Forget ids of usage that nobody tells again; once a day or so."""
        self._retried(lambda db: counting.forget(db, self._now()))

    def _retried(self, work: Callable[[Connection], T]) -> T:
        while True:
            try:
                with self._records.transaction() as db:
                    return work(db)
            except Conflict:  # another process made the same row first: it is there now
                continue

    # usage

    def usage(
        self, tenant: Tenant, start_us: int, end_us: int, *, by: str = "hour"
    ) -> list[HourlyUsage]:
        """What a tenant used in [start, end), by `hour`, `day` or `month`; raises `Invalid`."""
        first, last = hour_of(start_us), _whole(end_us)
        if not 0 <= first <= last <= first + 24 * 400:
            raise Invalid("end", "after the start, and at most 400 days after it")
        columns = (hours.c.hour, hours.c.project, hours.c.meter)
        wanted = (hours.c.tenant == tenant) & (hours.c.hour >= first) & (hours.c.hour < last)
        query = select(*columns, func.sum(hours.c.quantity)).where(wanted).group_by(*columns)
        sums: dict[tuple[int, str, str], int] = {}
        with self._records.reading() as db:
            for hour, project, meter, quantity in db.execute(query.order_by(*columns)):
                key = (_stretch(hour, by), project, meter)
                sums[key] = sums.get(key, 0) + int(quantity)
        return [HourlyUsage(key[0] * HOUR_US, key[1], key[2], n) for key, n in sums.items()]

    def total(self, tenant: Tenant, meter: str, start_us: int, end_us: int) -> int:
        """The quantity of a meter in the hours that begin in [start, end)."""
        wanted = (hours.c.tenant == tenant) & (hours.c.meter == meter)
        wanted &= (hours.c.hour >= _whole(start_us)) & (hours.c.hour < _whole(end_us))
        with self._records.reading() as db:
            return int(db.execute(select(func.sum(hours.c.quantity)).where(wanted)).scalar() or 0)

    def totals(self, meter: str, start_us: int, end_us: int) -> dict[Tenant, int]:
        """As `total`, of all tenants."""
        wanted = (hours.c.meter == meter) & (hours.c.hour >= _whole(start_us))
        wanted &= hours.c.hour < _whole(end_us)
        query = select(hours.c.tenant, func.sum(hours.c.quantity)).where(wanted)
        with self._records.reading() as db:
            found = db.execute(query.group_by(hours.c.tenant))
            return {Tenant(tenant): int(quantity) for tenant, quantity in found}

    # sizes

    def note_size(self, tenant: Tenant, part: str, size: int, meter: str | None = None) -> None:
        """A tenant holds `size` bytes in a part (`lake`, `storage`) now: for the quota.

        With a `meter` it is billed too: called every few minutes, once in a slot of five.
        """
        now = self._now()
        self._retried(lambda db: sizes.note(db, tenant, part, size, now))
        if meter is not None:
            self.count([sizes.byte_hours(tenant, meter, size, now)])

    def sizes(self) -> dict[Tenant, dict[str, int]]:
        """Bytes that every tenant holds, by part, as measured last."""
        with self._records.reading() as db:
            return sizes.sizes(db)

    # prices

    def create_book(self, book: PriceBook, *, actor: str) -> PriceBook:
        """A new price book; raises `Invalid`, `Exists`."""
        with self._records.transaction() as db:
            return books.create(db, book, actor, self._now())

    def end_book(self, id: str, last_period: int, *, actor: str) -> PriceBook:
        """Let a book end with a month; raises `Unknown`, `Invalid`."""
        with self._records.transaction() as db:
            return books.end(db, id, last_period, actor)

    def remove_book(self, id: str, *, actor: str) -> None:
        """Take back a book that no statement uses; raises `Unknown`, `Exists`."""
        with self._records.transaction() as db:
            books.remove(db, id, actor)

    def book(self, id: str) -> PriceBook:
        """A price book; raises `Unknown`."""
        with self._records.reading() as db:
            return books.get(db, id)

    def books(self, tenant: Tenant | None = None) -> list[PriceBook]:
        """All price books, or those that concern a tenant; newest months first."""
        with self._records.reading() as db:
            return books.every(db, tenant)

    # costs and statements

    def costs(self, tenant: Tenant, period: int | None = None) -> Costs:
        """What a month (None = this one) costs; raises `Unknown` without a price book."""
        month = period or self.present_period()
        with self._records.reading() as db:
            rated = rating.load(db, tenant, month)
            if rated is None:
                raise Unknown(f"no price book is valid in {periods.text(month)}")
            told = statements.present(db, tenant, month)
            ahead = self._forecast(db, rated)
        days = [
            DayCost(day, meter, prices.plain(prices.rounded(amount, _DAY_PLACES)))
            for day, meter, amount in rating.by_day(rated)
        ]
        return Costs(told, days, ahead)

    def price(self, tenant: Tenant, more: Mapping[str, int]) -> tuple[Decimal, str] | None:
        """What quantities of meters would cost on top of what this month has used so far, as
        (amount, currency); None without a price book."""
        month = self.present_period()
        with self._records.reading() as db:
            rated = rating.load(db, tenant, month)
        if rated is None:
            return None
        amount = rating.on_top(rated, more)
        return prices.rounded(amount, rated.book.decimals), rated.book.currency

    def present_period(self) -> int:
        """This month, YYYYMM."""
        return period_of(hour_of(self._now()))

    def _forecast(self, db: Connection, rated: rating.Rated) -> Forecast | None:
        """None for another month than this one, and until a whole hour has been seen."""
        if rated.period != self.present_period():
            return None
        mine = hours.c.tenant == rated.tenant
        oldest = db.execute(select(func.min(hours.c.hour)).where(mine)).scalar()
        now = self._now()
        first, seen = forecasting.window(hour_of(now), hour_of(now) if oldest is None else oldest)
        if seen == 0:
            return None
        mine &= (hours.c.hour >= first) & (hours.c.hour < first + seen)
        query = select(hours.c.meter, func.sum(hours.c.quantity)).where(mine)
        found = db.execute(query.group_by(hours.c.meter))
        recent = {meter: int(quantity) for meter, quantity in found}
        return forecasting.forecast(rated, recent, seen, now)

    def statement(self, tenant: Tenant, period: int) -> Statement:
        """The statement of a month, closed or as it stands; raises `Unknown`."""
        with self._records.reading() as db:
            return statements.present(db, tenant, period)

    def statements(self, tenant: Tenant) -> list[Statement]:
        """Closed statements, newest first."""
        with self._records.reading() as db:
            return statements.every(db, tenant)

    def close(self, tenant: Tenant, period: int, *, actor: str) -> Statement:
        """Close a month for good; raises `NotYet`, `Exists`."""
        with self._records.transaction() as db:
            return statements.close(db, tenant, period, actor=actor, now=self._now())

    def close_due(self, grace_days: float) -> list[Statement]:
        """Close every month that ended longer than `grace_days` ago."""
        grace = int(grace_days * 24 * HOUR_US)
        made: list[Statement] = []
        while True:
            with self._records.reading() as db:
                due = statements.due(db, self._now(), grace)
            if not due:
                return made
            made += [self.close(tenant, period, actor="metering") for tenant, period in due]

    # budgets

    def create_budget(self, tenant: Tenant, wanted: Budget, *, actor: str) -> Budget:
        """A new budget; raises `Invalid`."""
        with self._records.transaction() as db:
            return budgets.create(db, tenant, wanted, actor, self._now())

    def change_budget(
        self, tenant: Tenant, wanted: Budget, *, actor: str, if_revision: int | None = None
    ) -> Budget:
        """Replace the budget with this id; raises `Unknown`, `Changed`, `Invalid`."""
        with self._records.transaction() as db:
            return budgets.change(db, tenant, wanted, actor, if_revision)

    def remove_budget(self, tenant: Tenant, id: str, *, actor: str) -> None:
        """Remove a budget; raises `Unknown`."""
        with self._records.transaction() as db:
            budgets.remove(db, tenant, id, actor)

    def budget(self, tenant: Tenant, id: str) -> Budget:
        """A budget; raises `Unknown`."""
        with self._records.reading() as db:
            return budgets.get(db, tenant, id)

    def budget_states(self, tenant: Tenant) -> list[BudgetState]:
        """The tenant's budgets and what is spent of them this month."""
        month = self.present_period()
        with self._records.reading() as db:
            known, alerts = budgets.every(db, tenant), budgets.of_period(db, tenant, month)
        try:
            costs = self.costs(tenant) if known else None
        except Unknown:  # nothing has a price
            costs = None
        return [
            budgets.state(budget, costs, [alert for alert in alerts if alert.budget == budget.id])
            for budget in known
        ]

    def check_budgets(self) -> list[Alert]:
        """Note every threshold that was reached; returns alerts whose event is to be told."""
        month, now = self.present_period(), self._now()
        with self._records.reading() as db:
            tenants = budgets.tenants(db)
        for tenant in tenants:
            for state in self.budget_states(tenant):
                known = {(alert.kind, alert.threshold) for alert in state.alerts}
                for kind, percent in budgets.reached(state.budget, state.spent, state.forecast):
                    if (kind, percent) not in known:
                        amount = state.spent if kind == "actual" else state.forecast
                        self._note(tenant, state.budget, month, kind, percent, amount, now)
        with self._records.reading() as db:
            return budgets.untold(db)

    def _note(
        self,
        tenant: Tenant,
        budget: Budget,
        month: int,
        kind: str,
        percent: int,
        amount: Decimal | None,
        now: int,
    ) -> None:
        reached = amount or Decimal(0)
        alert = Alert(budget.id, budget.name, tenant, month, kind, percent, reached, now)
        self._retried(lambda db: budgets.note(db, alert))

    def alerts(self, tenant: Tenant, period: int | None = None) -> list[Alert]:
        """Alerts of a month (None = this one), in order of time."""
        with self._records.reading() as db:
            return budgets.of_period(db, tenant, period or self.present_period())

    def alert_told(self, alert: Alert) -> None:
        """The event of an alert is in the stream."""
        with self._records.transaction() as db:
            budgets.told(db, alert)


def _whole(us: int) -> int:
    """The first hour that begins at a moment or after it."""
    return hour_of(us + HOUR_US - 1)


def _stretch(hour: int, by: str) -> int:
    """The hour that an hour's day or month begins with."""
    if by == "hour":
        return hour
    if by == "day":
        return hour - hour % 24
    if by == "month":
        return periods.first_hour(period_of(hour))
    raise Invalid("by", "hour, day or month")
