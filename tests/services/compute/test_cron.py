"""Cron lines against an independent implementation, and at changes of clocks."""

import contextlib
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import given, settings
from hypothesis import strategies as st

from carcloud.services.compute import cron

UTC_ZONE = cron.zone("UTC")


def field(first: int, last: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    number = st.integers(first, last)
    value = number.map(str)
    if names:
        value = st.one_of(value, st.integers(0, len(names) - 1).map(lambda i: names[i]))
    ranges = st.tuples(number, number).map(lambda ab: f"{min(ab)}-{max(ab)}")
    # cronsim reads `5-5/2` as `5/2`, from 5 to the end: a range of one value is left out here
    wide = (
        st.tuples(number, number)
        .filter(lambda ab: ab[0] < ab[1])
        .map(lambda ab: f"{ab[0]}-{ab[1]}")
    )
    steps = st.tuples(st.one_of(st.just("*"), wide), st.integers(1, last)).map(
        lambda pair: f"{pair[0]}/{pair[1]}"
    )
    part = st.one_of(value, ranges, steps)
    return st.one_of(st.just("*"), st.lists(part, min_size=1, max_size=3).map(",".join))


lines = st.tuples(
    field(0, 59),
    field(0, 23),
    field(1, 31),
    field(1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep")),
    field(0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
).map(" ".join)
BASE = datetime(2020, 1, 1, tzinfo=UTC)
moments = st.integers(0, 20 * 366 * 86_400 * 10**6).map(
    lambda us: BASE + timedelta(microseconds=us)
)


@settings(deadline=None)
@given(lines, moments)
def test_times_are_those_of_another_implementation(line: str, moment: datetime) -> None:
    try:
        expected = next(CronSim(line, moment))
    except (StopIteration, CronSimError):  # the second for the 30th of February
        with pytest.raises(cron.InvalidCron):
            cron.parse(line).after(moment, UTC_ZONE)
        return
    if expected - moment < timedelta(days=366 * 8):
        assert cron.parse(line).after(moment, UTC_ZONE) == expected


@settings(deadline=None)
@given(lines, moments)
def test_a_time_fits_its_line_and_is_the_first_to_do_so(line: str, moment: datetime) -> None:
    try:
        found = cron.parse(line).after(moment, UTC_ZONE)
    except cron.InvalidCron:
        return
    assert found > moment
    assert (found.second, found.microsecond) == (0, 0)
    between = moment + (found - moment) / 2
    assert cron.parse(line).after(between, UTC_ZONE) == found
    assert cron.parse(line).after(found - timedelta(microseconds=1), UTC_ZONE) == found


@pytest.mark.parametrize(
    ("line", "after", "expected"),
    [
        # clocks go from 2:00 to 3:00 on 2026-03-29: 2:30 is moved to 3:30 summer time
        ("30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"),
        ("30 2 * * *", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"),
        # and from 3:00 back to 2:00 on 2026-10-25: 2:30 counts once, the first time
        ("30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
        ("30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
    ],
)
def test_changes_of_clocks(line: str, after: str, expected: str) -> None:
    found = cron.parse(line).after(datetime.fromisoformat(after), ZoneInfo("Europe/Berlin"))
    assert found == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("", "five fields"), ("* * * *", "five fields"), ("* * * * * *", "five fields"),
        ("60 * * * *", "minute"), ("* 24 * * *", "hour"), ("* * 0 * *", "day of month"),
        ("* * * 13 *", "month"), ("* * * foo *", "month"), ("* * * * 8", "day of week"),
        ("5-1 * * * *", "backwards"), ("*/0 * * * *", "step of 0"), ("1- * * * *", "minute"),
        ("-1 * * * *", "minute"), ("1,,2 * * * *", "minute"), ("*-5 * * * *", "no range"),
        ("@never", "five fields"),
    ],
)  # fmt: skip
def test_wrong_lines_are_refused_with_the_reason(line: str, wrong: str) -> None:
    with pytest.raises(cron.InvalidCron, match=wrong):
        cron.parse(line)


def test_a_day_that_never_comes_is_refused() -> None:
    with pytest.raises(cron.InvalidCron, match="no such day"):
        cron.parse("0 0 30 2 *").after(datetime(2026, 1, 1, tzinfo=UTC), UTC_ZONE)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(cron.InvalidCron):
        cron.parse(text)


def test_zones_that_do_not_exist_are_refused() -> None:
    for name in ("Mars/Base", "", "../etc/passwd", "/etc/localtime"):
        with pytest.raises(cron.InvalidCron):
            cron.zone(name)
