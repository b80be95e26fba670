"""Time inside carcloud: UTC, as `int` microseconds since 1970 or an aware `datetime`."""

import time
from datetime import UTC, datetime
from functools import lru_cache

SECOND = 1_000_000  # us
DAY = 86_400 * SECOND


def now_us() -> int:
    """The present, in microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1000


def from_us(us: int) -> datetime:
    """Microseconds since 1970 as an aware UTC `datetime`."""
    return datetime.fromtimestamp(us // SECOND, UTC).replace(microsecond=us % SECOND)


def to_us(moment: datetime) -> int:
    """An aware `datetime` as microseconds since 1970; a naive one raises `ValueError`."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone: add Z or an offset")
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * SECOND + moment.microsecond


@lru_cache(16_384)  # the same moments are told again and again
def iso(us: int) -> str:
    """Microseconds since 1970 as RFC 3339 text in UTC, ending in `Z`."""
    return from_us(us).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_iso(text: str) -> int:
    """RFC 3339 text with a zone to microseconds since 1970; raises `ValueError`."""
    return to_us(datetime.fromisoformat(text))
