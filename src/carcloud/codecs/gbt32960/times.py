"""Six binary bytes of Beijing time (clause 6.1): year - 2000, month, day, hour, minute, second."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from carcloud.codecs.gbt32960.errors import EncodeError
from carcloud.model.time import from_us

SIZE: Final = 6
BEIJING: Final = timezone(timedelta(hours=8))  # no daylight saving


def read(wire: bytes) -> datetime | None:
    """Six bytes as an aware UTC `datetime`, or None where they are no time."""
    year, month, day, hour, minute, second = wire
    try:
        moment = datetime(2000 + year, month, day, hour, minute, second, tzinfo=BEIJING)
    except ValueError:
        return None
    return moment.astimezone(UTC) if year <= 99 else None


def write(moment: datetime) -> bytes:
    """An aware `datetime` of the years 2000 to 2099 as six bytes; raises `EncodeError`."""
    if moment.tzinfo is None:
        raise EncodeError("time", "a time without a zone")
    local = moment.astimezone(BEIJING)
    if not 2000 <= local.year <= 2099:
        raise EncodeError("time", f"year {local.year} is outside 2000 to 2099")
    return bytes(
        (local.year - 2000, local.month, local.day, local.hour, local.minute, local.second)
    )


def write_us(us: int) -> bytes:
    """Microseconds since 1970 UTC as six bytes of Beijing time."""
    return write(from_us(us))
