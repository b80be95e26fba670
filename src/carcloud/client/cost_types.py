"""What the API tells of usage, quotas, costs and budgets. Amounts are exact decimals."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from carcloud.client.types import Tagged

Stretch = Literal["hour", "day", "month"]


class Meter(msgspec.Struct, frozen=True):
    """What is counted: `quantity / per_unit` is in `unit`."""

    name: str
    unit: str
    counted_in: str
    per_unit: int
    adds: str
    help: str


class Used(msgspec.Struct, frozen=True):
    """What was used from `start` on, for an hour, a day or a month."""

    start: datetime
    project: str
    meter: str
    quantity: int


class Usage(msgspec.Struct, frozen=True):
    """Usage in order of time, and the meters that it is counted by."""

    items: tuple[Used, ...]
    meters: tuple[Meter, ...]


class Quota(msgspec.Struct, frozen=True):
    """A limit of a tenant. `value` None = no limit; `used` None = it cannot be said."""

    name: str
    unit: str
    bound: str
    help: str
    value: int | None
    used: int | None
    own: bool
    changed: datetime | None


class Line(msgspec.Struct, frozen=True):
    """One meter on a statement. An adjustment is for usage of `month` that came too late for it."""

    meter: str
    month: str  # YYYY-MM
    adjustment: bool
    unit: str
    units: Decimal
    quantity: int
    counted_in: str
    free: Decimal  # units
    amount: Decimal
    by_project: dict[str, Decimal]


class Statement(msgspec.Struct, frozen=True):
    """A month of a tenant. Closed ones never change; `closed_us` since 1970, None = open."""

    tenant: str
    period: str  # YYYY-MM
    currency: str
    decimals: int
    price_book: str
    lines: tuple[Line, ...]
    total: Decimal
    closed_us: int | None = None
    digest: str = ""  # sha256 of the closed document


class StatementHead(msgspec.Struct, frozen=True):
    """A closed statement in the list."""

    period: str  # YYYY-MM
    currency: str
    total: Decimal
    closed: datetime | None
    digest: str


class DayCost(msgspec.Struct, frozen=True):
    """By how much a day made the month dearer."""

    day: str  # YYYY-MM-DD
    meter: str
    amount: Decimal


class Forecast(msgspec.Struct, frozen=True):
    """What the month is expected to cost, and how that is worked out."""

    total: Decimal
    by_meter: dict[str, Decimal]
    method: str
    hours_seen: int


class Costs(msgspec.Struct, frozen=True):
    """A month: the statement as it stands, by day, and where it leads."""

    statement: Statement
    by_project: dict[str, Decimal]
    by_day: tuple[DayCost, ...]
    forecast: Forecast | None


class Tier(msgspec.Struct, frozen=True):
    """A price of one unit, up to so many units beyond the free ones; the last has no `up_to`."""

    price: Decimal
    up_to: Decimal | None = None


class Price(msgspec.Struct, frozen=True):
    """Tiers: each price is for the units of its tier; `free` units cost nothing in a month."""

    tiers: tuple[Tier, ...]
    free: Decimal = Decimal(0)


class PriceBook(msgspec.Struct, frozen=True):
    """Prices by meter; `tenant` None = for all that have none of their own."""

    id: str
    name: str
    currency: str
    decimals: int
    tenant: str | None
    first_month: str  # YYYY-MM
    last_month: str | None  # None = until further notice
    prices: dict[str, Price]
    created: datetime


class Alert(msgspec.Struct, frozen=True):
    """A threshold that was reached this month: by what is spent, or by the forecast."""

    kind: str
    threshold: int  # percent
    amount: Decimal
    time: datetime


class Budget(Tagged, frozen=True):
    """A budget and what this month has of it; `currency` empty = there is no price book."""

    id: str
    name: str
    amount: Decimal
    thresholds: tuple[int, ...]  # percent
    project: str | None
    meter: str | None
    on_forecast: bool
    spent: Decimal
    forecast: Decimal | None
    currency: str
    alerts: tuple[Alert, ...]
