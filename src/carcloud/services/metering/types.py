"""What crosses the wall of metering. Amounts are decimals, quantities whole numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from carcloud.model.ids import Tenant


@dataclass(frozen=True, slots=True)
class HourlyUsage:
    """What a tenant used of one meter in one hour (or day), as counted so far."""

    start_us: int  # since 1970
    project: str
    meter: str
    quantity: int


class Tier(msgspec.Struct, frozen=True):
    """A price for the units up to `up_to` that are above the tier before; None = all the rest."""

    price: Decimal  # of one unit
    up_to: Decimal | None = None  # units beyond the free ones


class Price(msgspec.Struct, frozen=True):
    """What the units of one meter cost in a month; each tier's price is for its own units."""

    tiers: list[Tier]
    free: Decimal = Decimal(0)  # units that cost nothing


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Prices of a range of months; meters that are not in it cost nothing."""

    id: str
    name: str
    currency: str  # ISO 4217
    prices: Mapping[str, Price]
    first_period: int  # YYYYMM
    last_period: int | None = None  # None = until further notice
    tenant: Tenant | None = None  # None = every tenant without one of its own
    decimals: int = 2  # of amounts
    created: int = 0  # us since 1970
    actor: str = ""


class Line(msgspec.Struct, frozen=True):
    """One meter on a statement. An adjustment is for usage of `month` that came too late for it."""

    meter: str
    month: str  # YYYY-MM
    adjustment: bool
    unit: str
    units: Decimal  # rounded to 6 places; `quantity` is exact
    quantity: int
    counted_in: str
    free: Decimal  # units
    amount: Decimal
    by_project: dict[str, Decimal]  # shares of the amount; they add up to it


class Statement(msgspec.Struct, frozen=True):
    """A month of one tenant. Closed ones never change."""

    tenant: str
    period: str  # YYYY-MM
    currency: str
    decimals: int
    price_book: str
    lines: list[Line]
    total: Decimal
    closed_us: int | None = None  # None = still open
    digest: str = ""  # sha256 of the closed document


@dataclass(frozen=True, slots=True)
class DayCost:
    """What a meter cost on one day: the amount by which the day made the month dearer."""

    day: str  # YYYY-MM-DD
    meter: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a month is expected to cost; `method` says how that is worked out."""

    total: Decimal
    by_meter: Mapping[str, Decimal]
    method: str
    hours_seen: int  # of the usage that the rate comes from


@dataclass(frozen=True, slots=True)
class Costs:
    """A month so far: as a statement would say, and by day; a forecast of an open month."""

    statement: Statement
    by_day: Sequence[DayCost]
    forecast: Forecast | None


@dataclass(frozen=True, slots=True)
class Budget:
    """What a tenant means to spend in a month, and at which percents of it to be told."""

    id: str
    name: str
    amount: Decimal
    thresholds: Sequence[int] = (50, 80, 100)  # percent
    project: str | None = None  # None = all
    meter: str | None = None
    on_forecast: bool = True  # told too when the forecast goes above the amount
    created: int = 0
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Alert:
    """A threshold of a budget that was reached."""

    budget: str
    name: str
    tenant: Tenant
    period: int  # YYYYMM
    kind: str  # actual, forecast
    threshold: int  # percent
    amount: Decimal  # at that moment
    time: int  # us since 1970


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A budget, what is spent of it this month, and the alerts of this month."""

    budget: Budget
    spent: Decimal
    forecast: Decimal | None
    currency: str
    alerts: Sequence[Alert] = field(default_factory=tuple)
