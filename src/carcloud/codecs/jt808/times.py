"""bcd[6] times: YY MM DD hh mm ss, GMT+8 in every message but 0x8004, which is UTC (J13 8.18)."""

from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from typing import Final

from carcloud.codecs.jt808.errors import EncodeError
from carcloud.codecs.jt808.layout import Raw, Value

SIZE: Final = 6
BEIJING: Final = timezone(timedelta(hours=8))  # no daylight saving
_NO_DATE: Final = "000000"


def read(wire: bytes, zone: tzinfo = BEIJING) -> datetime | str | Raw | None:
    """Six bytes as an aware UTC `datetime`.

    None where all digits are zero ("no limit"), "hh:mm:ss" of Beijing time where the date is zero
    ("every day"), `Raw` where the digits are no time.
    """
    digits = wire.hex()
    if not digits.isdecimal():
        return Raw(digits)
    parts = [int(digits[at : at + 2]) for at in range(0, 12, 2)]
    year, month, day, hour, minute, second = parts
    if digits.startswith(_NO_DATE) and hour < 24 and minute < 60 and second < 60:
        return f"{digits[6:8]}:{digits[8:10]}:{digits[10:]}" if any(parts) else None
    try:
        moment = datetime(2000 + year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError:
        return Raw(digits)
    return moment.astimezone(UTC)


def write(key: str, value: Value, zone: tzinfo = BEIJING) -> bytes:
    """What `read` gives, as six bytes; raises `EncodeError`."""
    if value is None:
        return bytes(SIZE)
    if isinstance(value, Raw):
        return bytes.fromhex(value.digits)
    if isinstance(value, str):
        return _daily(key, value)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise EncodeError(key, "needs an aware datetime")
    try:
        local = value.astimezone(zone)
    except OverflowError:  # before year 1 or after year 9999
        local = value
    if not 2000 <= local.year <= 2099:
        raise EncodeError(key, f"year {local.year} is outside 2000 to 2099")
    return bytes.fromhex(f"{local:%y%m%d%H%M%S}")


def _daily(key: str, text: str) -> bytes:
    try:
        moment = time.fromisoformat(text)
    except ValueError:
        raise EncodeError(key, f"{text!r} is no time of day hh:mm:ss") from None
    return bytes.fromhex(f"{_NO_DATE}{moment:%H%M%S}")
