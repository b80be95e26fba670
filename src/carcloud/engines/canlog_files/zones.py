"""Zones of logs that tell local times without one."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

RELATIVE: Final = "relative"
Zone = tzinfo | Literal["relative"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_zone(text: str) -> Zone:
    """`UTC`, `Asia/Shanghai`, `+08:00` or `relative`. Raises ValueError."""
    if text == RELATIVE:
        return RELATIVE
    if match := re.fullmatch(r"([+-])(\d{2}):?(\d{2})", text):
        shift = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return timezone(-shift if match[1] == "-" else shift)
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"{text!r} is no time zone; give one like Asia/Shanghai, +08:00 or relative"
        ) from error


def to_ns(local: datetime, zone: tzinfo) -> int:
    """ns since 1970 UTC of a naive local time; the first of two where clocks go back."""
    since = local.replace(tzinfo=zone) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
