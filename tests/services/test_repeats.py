"""The judge of repeats against a plain set, over every way to cut and restart the work."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from carcloud.services.telemetry.repeats import Repeats

SECOND = 1_000_000
NOW = 1_700_000_000 * SECOND

reports = st.lists(
    st.tuples(
        st.sampled_from(["A", "B", "C"]),
        st.integers(0, 12),  # seconds
        st.sampled_from([1, 1, 1, 2]),  # content
    ),
    max_size=60,
)


class Lake:
    """What has been stored, answering as the lake does."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, int]] = []

    def lookup(self, vehicles, first, last):
        found = [r for r in self.rows if r[0] in vehicles and first <= r[1] <= last]
        return (
            [r[0] for r in found],
            np.array([r[1] for r in found], np.int64),
            np.array([r[2] for r in found], np.int64),
        )

    def newest(self):
        return max((time for _, time, _ in self.rows), default=None)


def judge(lake: Lake, entries: int) -> Repeats:
    return Repeats(lake.lookup, newest_us=lake.newest(), future_us=5 * SECOND, entries=entries)


@settings(deadline=None)
@given(
    reports, st.integers(1, 7), st.lists(st.integers(0, 20), max_size=4), st.sampled_from([4, 64])
)
def test_each_content_once_over_batches_restarts_and_a_small_index(items, cut, restarts, entries):
    lake = Lake()
    repeats = judge(lake, entries)
    expected: set[tuple[str, int, int]] = set()
    for number, start in enumerate(range(0, len(items), cut)):
        if number in restarts:
            repeats = judge(lake, entries)
        batch = [(v, NOW + s * SECOND, c) for v, s, c in items[start : start + cut]]
        # The clock moves with the newest report: nothing is accepted beyond the tolerance.
        now = max([time for _, time, _ in batch] + [time for _, time, _ in lake.rows])
        verdict = repeats.judge(
            [v for v, _, _ in batch],
            np.array([t for _, t, _ in batch], np.int64),
            np.array([c for _, _, c in batch], np.int64),
            now,
        )
        for row, report in enumerate(batch):
            known = {r for r in expected if r[:2] == report[:2]}
            assert verdict.repeat[row] == (report in expected)
            assert verdict.correction[row] == (bool(known) and report not in expected)
            if not verdict.repeat[row]:
                lake.rows.append(report)
            expected.add(report)
    assert sorted(lake.rows) == sorted(expected)


def test_newer_reports_never_ask_the_lake():
    lake = Lake()
    repeats = judge(lake, 1000)
    for second in range(50):
        times = np.full(3, NOW + second * SECOND, np.int64)
        repeats.judge(["A", "B", "C"], times, np.arange(3), NOW + second * SECOND)
    assert repeats.lake_lookups == 0


def test_recent_reissues_are_settled_from_memory():
    lake = Lake()
    lake.rows.append(("A", NOW - 100 * SECOND, 7))
    repeats = judge(lake, 1000)
    for second in (1, 3, 2, 4, 2):
        moment = NOW + second * SECOND
        repeats.judge(["A"], np.array([moment]), np.array([5]), moment)
    assert repeats.lake_lookups == 0
    old = repeats.judge(["A"], np.array([NOW - 100 * SECOND]), np.array([7]), NOW)
    assert old.repeat.all()
    assert repeats.lake_lookups == 1


def test_a_correction_in_memory_does_not_hide_the_original_in_the_lake():
    lake = Lake()
    lake.rows.append(("A", NOW, 111))
    repeats = judge(lake, 1000)
    correction = repeats.judge(["A"], np.array([NOW]), np.array([222]), NOW)
    assert correction.correction.all()
    again = repeats.judge(["A"], np.array([NOW]), np.array([111]), NOW)
    assert again.repeat.all()


def test_one_old_reissue_does_not_read_a_day_of_everybody():
    asked = []

    class Watched(Lake):
        def lookup(self, vehicles, first, last):
            asked.append((len(vehicles), (last - first) // SECOND))
            return super().lookup(vehicles, first, last)

    lake = Watched()
    lake.rows.append(("Z", NOW + 300 * SECOND, 1))
    names = [f"V{n}" for n in range(2000)]
    times = np.full(2000, NOW, np.int64)
    times[0] -= 20 * 3600 * SECOND
    judge(lake, 1000).judge(names, times, np.arange(2000), NOW)
    assert max(vehicles * max(seconds, 1) for vehicles, seconds in asked) <= 600_000
