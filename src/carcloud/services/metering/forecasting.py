"""What an open month is expected to cost."""

from collections import defaultdict
from fractions import Fraction

from carcloud.services.metering import periods, prices, rating
from carcloud.services.metering.periods import HOUR_US, period_of
from carcloud.services.metering.types import Forecast

_WEEK = 168  # hours: usage of fleets repeats by week
METHOD = (
    "What the month has so far, and for each hour left the mean hour of the last 7 days (or of "
    "the whole hours since the first usage, if fewer), priced through the tiers."
)


def forecast(rated: rating.Rated, recent: dict[str, int], hours_seen: int, now: int) -> Forecast:
    """`recent`: quantity of each meter in the last `hours_seen` whole hours before `now` (us)."""
    end = periods.first_hour(periods.following(rated.period))
    left = max(Fraction(0), Fraction(end) - Fraction(now, HOUR_US))
    so_far: dict[str, int] = defaultdict(int)
    late: dict[tuple[int, str], int] = defaultdict(int)
    for row in rated.rows:
        month = period_of(row.hour)
        if month == rated.period:
            so_far[row.meter] += row.quantity
        else:
            late[month, row.meter] += row.quantity
    amounts: dict[str, Fraction] = defaultdict(Fraction)
    for meter in so_far.keys() | recent.keys():
        hourly = Fraction(recent.get(meter, 0), max(1, hours_seen))
        quantity = so_far[meter] + int(hourly * left)
        amounts[meter] += rating.amount_of(rated, rated.period, meter, quantity)
    for (month, meter), quantity in late.items():
        amounts[meter] += rating.amount_of(rated, month, meter, quantity)
    places = rating.decimals(rated)
    by_meter = {meter: prices.rounded(amounts[meter], places) for meter in sorted(amounts)}
    total = prices.rounded(sum(amounts.values(), Fraction(0)), places)
    return Forecast(total, by_meter, METHOD, hours_seen)


def window(now_hour: int, first_usage: int) -> tuple[int, int]:
    """(first hour, hours) that the rate is taken from: whole hours before the present one."""
    first = max(now_hour - _WEEK, first_usage)
    return first, max(0, now_hour - first)
