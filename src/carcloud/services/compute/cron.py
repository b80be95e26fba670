"""Cron lines: five fields (minute, hour, day of month, month, day of week), crontab(5).

Fields have `*`, lists, ranges and steps; months and days of the week have English names; Sunday is
0 or 7. When both days are restricted, a day that fits either counts. Besides there are `@hourly`,
`@daily`, `@weekly`, `@monthly` and `@yearly`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_SHORT = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_RANGE = re.compile(r"(\*|[a-z0-9]+)(?:-([a-z0-9]+))?(?:/(\d{1,4}))?")
_LONGEST_DAYS = 366 * 8 + 1  # 29 February comes again within eight years, also around 2100


class InvalidCron(ValueError):
    """The line says nothing, or something that never happens; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class _Field:
    """One column of a cron line."""

    name: str
    first: int
    last: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 7, _DAYS),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """The times of a line, as wall clock of a time zone."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 = Sunday
    either_day: bool  # a day of month or a day of week is enough

    def after(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """The first time later than the aware `moment`, in UTC.

        A wall-clock time that a change of clocks leaves out counts as the moment to which it is
        moved; one that comes twice counts once, the first time. Raises `InvalidCron` if there is
        no such day in eight years.
        """
        local = moment.astimezone(zone)
        day = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        # One day earlier, as a time that was left out yesterday may have been moved into today
        for offset in range(-1, _LONGEST_DAYS):
            date = day + timedelta(days=offset)
            if not self._fits(date):
                continue
            times = (wall.replace(tzinfo=zone).astimezone(UTC) for wall in self._times(date))
            later = [time for time in times if time > moment]
            if later:
                return min(later)
        raise InvalidCron("there is no such day")

    def _fits(self, date: datetime) -> bool:
        if date.month not in self.months:
            return False
        of_month = date.day in self.days
        of_week = date.isoweekday() % 7 in self.weekdays
        return (of_month or of_week) if self.either_day else (of_month and of_week)

    def _times(self, date: datetime) -> Iterator[datetime]:
        for hour in self.hours:
            for minute in self.minutes:
                yield date.replace(hour=hour, minute=minute)


def parse(line: str) -> Cron:
    """Read a line; raises `InvalidCron`."""
    text = line.strip().lower()
    parts = _SHORT.get(text, text).split()
    if len(parts) != len(_FIELDS):
        raise InvalidCron("five fields: minute, hour, day of month, month, day of week")
    minutes, hours, days, months, weekdays = (
        _values(part, field) for part, field in zip(parts, _FIELDS, strict=True)
    )
    return Cron(
        tuple(sorted(minutes)),
        tuple(sorted(hours)),
        days,
        months,
        frozenset(day % 7 for day in weekdays),
        # crontab(5): a field that begins with * restricts nothing in this respect
        either_day=not parts[2].startswith("*") and not parts[4].startswith("*"),
    )


def zone(name: str) -> ZoneInfo:
    """A time zone by its IANA name; raises `InvalidCron`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidCron(f"there is no time zone {name!r}") from error


def _values(text: str, field: _Field) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        found.update(_range(part, field))
    return frozenset(found)


def _range(text: str, field: _Field) -> range:
    at = _RANGE.fullmatch(text)
    if at is None:
        raise InvalidCron(f"{field.name}: {text!r} is no number, range or step")
    low, high, step = at.groups()
    if low == "*":
        if high is not None:
            raise InvalidCron(f"{field.name}: {text!r} is no range")
        first, last = field.first, min(field.last, 6) if field.names == _DAYS else field.last
    else:
        first = _number(low, field)
        last = _number(high, field) if high else (field.last if step else first)
    if step == "0" or (step and int(step) == 0):
        raise InvalidCron(f"{field.name}: a step of 0")
    if first > last:
        raise InvalidCron(f"{field.name}: {text!r} goes backwards")
    return range(first, last + 1, int(step or 1))


def _number(text: str, field: _Field) -> int:
    if text in field.names:
        return field.names.index(text) + field.first
    if not text.isdigit() or not field.first <= int(text) <= field.last:
        raise InvalidCron(f"{field.name}: {text!r} is not in {field.first}-{field.last}")
    return int(text)
