"""Forwarding to a further platform, which is played by carcloud's own gateway."""

import asyncio
import time

from carcloud.codecs.gbt32960.frame import parse
from carcloud.gateway.forward_gbt32960 import Outcome, Pace, PlatformLink, Queue, as_sent
from carcloud.gateway.gbt32960_rules import time6
from carcloud.model.time import now_us
from carcloud.services.compliance.api import LinkSpec, Outgoing, fresh_enough
from tests.gateway.conftest import listening
from tests.gateway.test_gbt32960 import VIN, report

PACE = Pace(
    login_reply=1, logins=2, long_wait=0.2, report_reply=1, error_again=0.05, idle=0.02,
    reconnect=0.05,
)  # fmt: skip
DAY = 86_400_000_000


def outgoing(seq: int, age_s: float, vin: str = VIN) -> Outgoing:
    raw = report(vin, shift_s=-age_s)
    return Outgoing(seq, vin, now_us() - int(age_s * 1e6), "realtime", raw)


class Lake:
    """Frames that wait, as the compliance service hands them out."""

    def __init__(self, frames: list[Outgoing]) -> None:
        self.frames = frames
        self.position = 0
        self.outcome = Outcome()
        self.problems: list[str | None] = []

    def queue(self) -> Queue:
        async def waiting():
            rest = [frame for frame in self.frames if frame.seq > self.position]
            if not rest:
                return None
            reach = rest[min(3, len(rest)) - 1].seq
            return reach, [frame for frame in rest if frame.seq <= reach]

        async def advance(seq: int, outcome: Outcome) -> None:
            self.position = seq
            self.outcome.forwarded += outcome.forwarded
            self.outcome.refused += outcome.refused
            self.outcome.expired += outcome.expired

        async def tell(connected: bool, problem: str | None) -> None:
            self.problems.append(problem)

        return Queue(waiting, advance, tell, fresh_enough)


def spec(port: int) -> LinkSpec:
    return LinkSpec(
        name="upper", host="127.0.0.1", port=port, platform_id="LOWERPLATFORM0001",
        user="user01", password="secret",
    )  # fmt: skip


async def until(condition) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.02)


def test_frames_arrive_late_ones_as_reissue_old_ones_not_at_all(server):
    async def scene() -> None:
        async with listening(server) as site:
            frames = [outgoing(n, age) for n, age in enumerate((1, 2, 300, 400, 8 * 86400), 1)]
            lake = Lake(frames)
            task = asyncio.create_task(PlatformLink(spec(site.port), lake.queue(), PACE).run())
            await until(lambda: lake.position == 5)
            task.cancel()
            assert (lake.outcome.forwarded, lake.outcome.expired) == (4, 1)
            rows = await site.stored(5)
            assert [row["frame"][2] for row in rows[:5]] == [5, 2, 2, 3, 3]
            assert all(row["fault"] is None for row in rows[:5])

    asyncio.run(scene())


def test_a_lost_platform_gets_everything_after_it_is_back(server):
    async def scene() -> None:
        lake = Lake([outgoing(n, 1 + n / 10) for n in range(1, 40)])
        async with listening(server) as site:
            port = site.port
            task = asyncio.create_task(PlatformLink(spec(port), lake.queue(), PACE).run())
            for _ in range(4):
                await asyncio.sleep(0.03)
                for session in list(site.gateway.sessions):
                    session.close("test")
            await until(lambda: lake.position == 39)
            task.cancel()
            rows = await site.stored(40)
            got = {row["frame"] for row in rows if row["frame"][2] in (2, 3)}
            assert {frame.raw[24:30] for frame in lake.frames} == {raw[24:30] for raw in got}
            assert any(problem for problem in lake.problems)

    asyncio.run(scene())


def test_error_replies_are_tried_three_times_and_then_given_up(server):
    async def scene() -> None:
        async with listening(server) as site:
            future = Outgoing(1, VIN, now_us(), "realtime", report(shift_s=4000))
            lake = Lake([future, outgoing(2, 1)])
            task = asyncio.create_task(PlatformLink(spec(site.port), lake.queue(), PACE).run())
            await until(lambda: lake.position == 2)
            task.cancel()
            assert (lake.outcome.forwarded, lake.outcome.refused) == (1, 1)
            rows = await site.stored(5)
            assert sum(row["fault"] is not None for row in rows) == 3

    asyncio.run(scene())


def test_a_late_report_stays_a_valid_frame_with_the_same_data_unit():
    frame = outgoing(1, 120)
    sent = parse(as_sent(frame, int(time.time() * 1e6)))
    assert (sent.command, sent.data) == (3, parse(frame.raw).data)
    assert sent.data[:6] == time6(frame.time_us)
