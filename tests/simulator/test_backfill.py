"""Around a level-3 alarm a vehicle reports every second: 30 s before, and then 30 s or as long as
the alarm lasts."""

import asyncio
from collections import Counter, defaultdict
from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carcloud.codecs.gbt32960.frame import parse
from carcloud.codecs.gbt32960.times import BEIJING
from carcloud.simulator import alarms, faults
from carcloud.simulator.backfill import AlarmWatch
from carcloud.simulator.fleet import Fleet
from carcloud.simulator.run import Progress, simulate
from tests.simulator.server import Server
from tests.simulator.test_frames import bodies
from tests.simulator.test_run import assert_all_arrived, options

START = 1_790_000_000


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


def told(watch: AlarmWatch, levels: list[int], period: int) -> tuple[list[int], list[int]]:
    """(seconds sent as reissue, seconds sent as realtime) of a vehicle with these alarm levels."""
    late: list[int] = []
    live: list[int] = []
    for second, level in enumerate(levels):
        added = watch.look(START + second, level, f"{second}".encode())
        assert all(frame == f"{time - START}".encode() for time, frame in added.before)
        late += [time - START for time, _ in added.before]
        if added.now:
            live.append(second)
        elif second % period == 0:
            watch.reported(START + second)
            live.append(second)
    return late, live


def test_2016_sends_thirty_seconds_before_and_after_the_moment_of_the_fault():
    levels = [0] * 95 + [2] * 5 + [3] * 10 + [0] * 90  # level 3 from 100 to 109
    late, live = told(AlarmWatch(2016), levels, period=30)
    assert late == [second for second in range(70, 100) if second != 90]
    assert live == [0, 30, 60, 90, *range(100, 131), 150, 180]


def test_2025_sends_thirty_seconds_before_and_until_the_alarm_is_over():
    levels = [0] * 100 + [3] * 25 + [4] * 25 + [2] * 50  # level 3 or 4 from 100 to 149
    late, live = told(AlarmWatch(2025), levels, period=30)
    assert late == [second for second in range(70, 100) if second != 90]
    assert live == [0, 30, 60, 90, *range(100, 150), 150, 180]


@given(
    edition=st.sampled_from([2016, 2025]),
    period=st.integers(2, 40),
    runs=st.lists(st.tuples(st.integers(1, 50), st.integers(0, 4)), min_size=1, max_size=8),
)
def test_no_second_goes_out_twice_and_none_around_an_alarm_is_left_out(edition, period, runs):
    levels = [level for seconds, level in runs for _ in range(seconds)]
    late, live = told(AlarmWatch(edition), levels, period)
    sent = late + live
    assert len(sent) == len(set(sent))
    grave = [second for second, level in enumerate(levels) if level >= 3]
    came_on = [second for second in grave if second == 0 or levels[second - 1] < 3]
    wanted = {second for on in came_on for second in range(max(0, on - 30), on + 1)}
    if edition == 2016:
        wanted |= {second for on in came_on for second in range(on, on + 31)}
    else:
        wanted |= set(grave)
    wanted &= set(range(len(levels)))
    assert wanted <= set(sent)
    assert set(sent) - wanted <= set(range(0, len(levels), period))


def test_a_healthy_car_comes_to_no_alarm_of_level_three():
    """So that only cars with a fault need watching."""
    fleet = Fleet(400, 7, START)
    for _ in range(20):
        fleet.step(60.0)
        assert fleet.observe().alarm_levels.max() < 3
    assert any(len(rule.thresholds) == 3 for rule in alarms.RULES)


def level_of(raw: bytes) -> int:
    """The highest level of alarm in a report."""
    return int(bodies(raw)["alarm"]["max_level"])


@pytest.mark.soak
@pytest.mark.anyio
async def test_a_fleet_that_reports_rarely_fills_in_around_the_fault(monkeypatch):
    monkeypatch.setattr(faults, "_ONSET_S", (12.0, 13.0))  # when the slowest has logged in
    monkeypatch.setattr(faults, "_RAMP_S", (1.0, 1.5))
    monkeypatch.setattr(faults, "INSULATION_LEFT", 0.0005)  # every car comes to level 3
    stop = asyncio.Event()
    async with Server("reply") as server:

        def look(progress: Progress) -> None:
            found = (parse(raw).unique_id for raw in server.frames if level_of(raw) >= 3)
            grave = Counter(found)
            if (len(grave) == 8 and min(grave.values()) >= 3) or progress.elapsed_s > 90:
                stop.set()

        rare = options(
            server, vehicles=8, seconds=None, period_s=60.0, faults={"insulation_fault": 8}
        )
        result = await simulate(rare, look, stop=stop)
    assert_all_arrived(result, server)
    assert result.reissued == sum(frame[2] == 0x03 for frame in server.frames) > 0
    assert set(server.taken.values()) == {1}
    seen: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
    for raw in server.frames:
        at = int(datetime(2000 + raw[24], *raw[25:30], tzinfo=BEIJING).timestamp())
        seen[parse(raw).unique_id][at] = (raw[2], level_of(raw))
    assert len(seen) == 8
    editions = {raw[:2] for raw in server.frames}
    assert editions == {b"##", b"$$"}
    for reports in seen.values():
        times = sorted(reports)
        on = next(at for at in times if reports[at][1] >= 3)
        around = [at for at in times if at >= on - 4]
        assert all(later - earlier == 1 for earlier, later in pairwise(around))
        assert len([at for at in around if at < on]) == 4
        assert all(reports[at][0] == 0x02 for at in around if at >= on)
        early = [reports[at][0] for at in times if at < on]
        assert early.count(0x02) <= 1  # the periodic report of the minute, if it fell here
        assert set(early) <= {0x02, 0x03}
