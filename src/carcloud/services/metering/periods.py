"""Hours since 1970 and billing periods: UTC months, as YYYYMM."""

import re
from datetime import UTC, datetime

from carcloud.model.time import SECOND
from carcloud.services.metering.errors import Invalid

HOUR_US = 3_600 * SECOND
_PERIOD = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


def hour_of(us: int) -> int:
    """The hour of a moment."""
    return us // HOUR_US


def period_of(hour: int) -> int:
    """The month of an hour."""
    moment = datetime.fromtimestamp(hour * 3_600, UTC)
    return moment.year * 100 + moment.month


def following(period: int) -> int:
    """The next month."""
    return period + 89 if period % 100 == 12 else period + 1


def preceding(period: int) -> int:
    """The month before."""
    return period - 89 if period % 100 == 1 else period - 1


def first_hour(period: int) -> int:
    """The first hour of a month; that of the next month ends it."""
    start = datetime(period // 100, period % 100, 1, tzinfo=UTC)
    return int(start.timestamp()) // 3_600


def day_text(hour: int) -> str:
    """The UTC day of an hour, `YYYY-MM-DD`."""
    return datetime.fromtimestamp(hour * 3_600, UTC).date().isoformat()


def text(period: int) -> str:
    """`YYYY-MM`."""
    return f"{period // 100:04}-{period % 100:02}"


def parse(told: str, field: str = "period") -> int:
    """The month that `YYYY-MM` names; raises `Invalid`."""
    found = _PERIOD.fullmatch(told)
    if found is None or int(found[1]) < 1970:
        raise Invalid(field, f"{told!r} is not a month: write YYYY-MM")
    return int(found[1]) * 100 + int(found[2])
