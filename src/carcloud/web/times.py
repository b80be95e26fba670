"""Times on the wire: RFC 3339 text in UTC."""

from carcloud.model.time import SECOND, from_us, iso, now_us, parse_iso
from carcloud.services.telemetry.api import InvalidArgument, Span

EARLIEST_US = 0
LATEST_US = 4_102_444_800 * SECOND  # 2100-01-01
LONGEST_US = 366 * 86_400 * SECOND  # of one request for history


def parse_time(text: str, field: str) -> int:
    """RFC 3339 text to us since 1970; raises `InvalidArgument` naming `field`."""
    try:
        us = parse_iso(text.replace(" ", "+"))  # an offset's plus sign that was not escaped
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(
            field, "is not an RFC 3339 time such as 2026-05-01T08:00:00Z"
        ) from error
    if not EARLIEST_US <= us <= LATEST_US:
        raise InvalidArgument(field, "must lie between 1970 and 2100")
    return us


def span(start: str | None, end: str | None, default_us: int) -> Span:
    """`from` and `to` of a request; they default to the last `default_us`."""
    end_us = now_us() + SECOND if end is None else parse_time(end, "to")
    start_us = end_us - default_us if start is None else parse_time(start, "from")
    if end_us - start_us > LONGEST_US:
        raise InvalidArgument("from", "more than 366 days before 'to'")
    return Span(start_us, end_us)


def optional_iso(us: int | None) -> str | None:
    """As `iso`; None stays None."""
    return None if us is None else iso(us)


def exact_iso(us: int) -> str:
    """As `iso`, to the microsecond, so that it can be asked for again."""
    return from_us(us).isoformat(timespec="microseconds").replace("+00:00", "Z")
