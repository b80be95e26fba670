"""Forwarding to a further platform, which is played by carcloud's own gateway."""

import asyncio
import dataclasses
import time
from collections.abc import Sequence

import pytest

from carcloud.codecs.gbt32960.frame import Splitter, build, parse, reply
from carcloud.gateway.admission import AdmissionDesk
from carcloud.gateway.gbt32960.carried import CarriedDesk, CarriedVehicles
from carcloud.gateway.gbt32960.forward import Forwarder, Pace, Queue, as_sent
from carcloud.gateway.gbt32960.rules import time6
from carcloud.model.time import now_us
from carcloud.services.compliance.api import Batch, LinkSpec, Outgoing, Progress, fresh_enough
from carcloud.services.vehicles.api import Carried
from tests.gateway.conftest import listening
from tests.gateway.test_gbt32960 import VIN, report

PACE = Pace(
    login_reply=60, logins=2, long_wait=0.2, report_reply=60, error_again=0.05, idle=0.02,
    reconnect=0.05,
)  # fmt: skip
RETIRED = "LTESTPLT5A0000009"


def outgoing(seq: int, age_s: float, vin: str = VIN) -> Outgoing:
    raw = report(vin, shift_s=-age_s)
    return Outgoing(seq, vin, now_us() - int(age_s * 1e6), "realtime", raw)


class Lake:
    """Frames that wait, as the compliance service hands them out."""

    def __init__(self, frames: list[Outgoing]) -> None:
        self.frames = frames
        self.again: list[tuple[int, Outgoing]] = []
        self.position = self.forwarded = self.refused = self.expired = 0
        self.told: list[tuple[bool, str | None]] = []

    @property
    def done(self) -> bool:
        return self.position == self.frames[-1].seq and not self.again

    def queue(self) -> Queue:
        async def following() -> Batch | None:
            due = [frame for at, frame in self.again if at <= now_us()]
            rest = [frame for frame in self.frames if frame.seq > self.position][:3]
            if not due and not rest:
                return None
            return Batch(rest[-1].seq if rest else self.position, due + rest)

        async def advance(batch: Batch, progress: Progress) -> None:
            self.position = batch.seq
            self.forwarded += progress.forwarded
            self.refused += progress.refused
            self.expired += progress.expired
            self.again = [one for one in self.again if one[1] not in batch.frames]
            self.again += [(progress.again_at_us, frame) for frame in progress.again]

        async def tell(connected: bool, problem: str | None) -> None:
            self.told.append((connected, problem))

        return Queue(following, advance, tell, fresh_enough)


def spec(port: int) -> LinkSpec:
    return LinkSpec(
        name="upper", host="127.0.0.1", port=port, platform_id="LOWERPLATFORM0001",
        user="user01", password="secret",
    )  # fmt: skip


async def until(condition) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


def test_frames_arrive_late_ones_as_reissue_old_ones_not_at_all(server):
    async def scene() -> None:
        async with listening(server) as site:
            frames = [outgoing(n, age) for n, age in enumerate((1, 2, 300, 400, 8 * 86400), 1)]
            lake = Lake(frames)
            task = asyncio.create_task(Forwarder(spec(site.port), lake.queue(), PACE).run())
            await until(lambda: lake.done)
            task.cancel()
            assert (lake.forwarded, lake.expired) == (4, 1)
            rows = await site.stored(5)
            assert [row["frame"][2] for row in rows[:5]] == [5, 2, 2, 3, 3]
            assert all(row["fault"] is None for row in rows[:5])

    asyncio.run(scene())


def test_a_lost_platform_gets_everything_after_it_is_back(server):
    async def scene() -> None:
        lake = Lake([outgoing(n, 1 + n / 10) for n in range(1, 40)])
        async with listening(server) as site:
            port = site.port
            task = asyncio.create_task(Forwarder(spec(port), lake.queue(), PACE).run())
            for cut in range(4):
                await until(lambda cut=cut: sum(there for there, _ in lake.told) > cut)
                before = lake.position
                await until(lambda cut=cut, at=before: cut % 2 or lake.position > at or lake.done)
                for session in list(site.gateway.sessions):
                    session.close("test")
            await until(lambda: lake.done)
            task.cancel()
            wanted = {frame.raw[24:30] for frame in lake.frames}
            count = 40
            async with asyncio.timeout(60):
                while not wanted <= {row["frame"][24:30] for row in await site.stored(count)}:
                    count = len(site.rows) + 1  # some came twice
            assert any(problem for _, problem in lake.told)

    asyncio.run(scene())


def test_error_replies_are_tried_three_times_and_then_given_up(server):
    async def scene() -> None:
        async with listening(server) as site:
            future = Outgoing(1, VIN, now_us(), "realtime", report(shift_s=4000))
            lake = Lake([future, outgoing(2, 1)])
            task = asyncio.create_task(Forwarder(spec(site.port), lake.queue(), PACE).run())
            await until(lambda: lake.done)
            task.cancel()
            assert (lake.forwarded, lake.refused) == (1, 1)
            rows = await site.stored(5)
            assert sum(row["fault"] is not None for row in rows) == 3

    asyncio.run(scene())


def test_a_late_report_stays_a_valid_frame_with_the_same_data_unit():
    frame = outgoing(1, 120)
    sent = parse(as_sent(frame.raw, frame.time_us, int(time.time() * 1e6)))
    assert (sent.command, sent.data) == (3, parse(frame.raw).data)
    assert sent.data[:6] == time6(frame.time_us)


def test_one_refused_vehicle_does_not_hold_up_the_others(server):
    async def scene() -> None:
        async with listening(server) as site:
            bad = Outgoing(1, VIN, now_us(), "realtime", report(shift_s=4000))
            lake = Lake([bad, *(outgoing(n, n / 10) for n in range(2, 30))])
            pace = dataclasses.replace(PACE, error_again=3600)
            task = asyncio.create_task(Forwarder(spec(site.port), lake.queue(), pace).run())
            await until(lambda: lake.position == 29)
            task.cancel()
            assert (lake.forwarded, lake.refused) == (28, 0)
            assert [(frame.seq, frame.tries) for _, frame in lake.again] == [(1, 1)]

    asyncio.run(scene())


@pytest.mark.parametrize("body", ["time", "echo", "empty"])
def test_replies_of_every_reading_are_understood(body):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        splitter = Splitter()
        while data := await reader.read(4096):
            for frame in splitter.feed(data):
                reading = "time" if body == "empty" else body
                said = parse(reply(frame, 1, reading, time6(now_us() + 60_000_000)))
                kept = b"" if body == "empty" else said.data
                writer.write(build(said.edition, said.command, 1, said.unique_id, kept))
        writer.close()

    async def scene() -> None:
        platform = await asyncio.start_server(answer, "127.0.0.1", 0)
        lake = Lake([outgoing(n, n / 10) for n in range(1, 20)])
        link = Forwarder(spec(platform.sockets[0].getsockname()[1]), lake.queue(), PACE)
        task = asyncio.create_task(link.run())
        await until(lambda: lake.done)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        platform.close()
        assert (lake.forwarded, lake.told) == (19, [(True, None)])

    asyncio.run(scene())


def test_a_platform_that_says_nothing_is_left_alone_for_long():
    logins: list[float] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        logins.append(asyncio.get_running_loop().time())
        await reader.read()
        writer.close()

    async def scene() -> None:
        platform = await asyncio.start_server(listen, "127.0.0.1", 0)
        pace = dataclasses.replace(PACE, login_reply=0.05, logins=2, long_wait=3600)
        lake = Lake([outgoing(1, 1)])
        link = Forwarder(spec(platform.sockets[0].getsockname()[1]), lake.queue(), pace)
        task = asyncio.create_task(link.run())
        await until(lambda: len(lake.told) == 2)
        await asyncio.sleep(0.3)
        task.cancel()
        platform.close()
        assert len(logins) == 2
        assert lake.told[0] == (False, "NoReply: no reply within 0.05 s")

    asyncio.run(scene())


def test_a_platform_that_goes_is_noticed_while_nothing_waits(server):
    async def scene() -> None:
        async with listening(server) as site:
            lake = Lake([outgoing(1, 1)])
            task = asyncio.create_task(Forwarder(spec(site.port), lake.queue(), PACE).run())
            await until(lambda: lake.done)
            for session in list(site.gateway.sessions):
                session.close("test")
            await until(lambda: len(lake.told) > 2)
            task.cancel()
            assert [connected for connected, _ in lake.told[:3]] == [True, False, True]

    asyncio.run(scene())


def test_vehicles_of_a_platform_are_asked_for_once_and_refused_ones_kept_out(server):
    asked: list[Carried] = []

    def registry(wanting: Sequence[Carried]) -> list[str]:
        asked.extend(wanting)
        return ["the vehicle is retired" if one.vehicle == RETIRED else "" for one in wanting]

    async def scene() -> None:
        async with listening(server) as site:
            desk: CarriedDesk = AdmissionDesk(registry, 1000, failed="")
            site.gateway.carried = CarriedVehicles(desk)
            answering = asyncio.create_task(desk.run())
            frames = [outgoing(n, 20 - n, RETIRED if n % 2 else VIN) for n in range(1, 13)]
            lake = Lake(frames[:6])
            task = asyncio.create_task(Forwarder(spec(site.port), lake.queue(), PACE).run())
            known = site.gateway.carried._known
            await until(lambda: any(one.refusal for one in known.values()))
            lake.frames = frames
            await until(lambda: lake.done)
            task.cancel()
            answering.cancel()
            rows = await site.stored(13)
            letters = [row for row in rows if row["fault"] is not None]
            assert sorted({one.vehicle for one in asked}) == sorted((VIN, RETIRED))
            assert len(asked) == 2
            assert asked[0].platform == "LOWERPLATFORM0001"
            assert lake.forwarded + lake.refused == 12
            assert 3 <= lake.refused <= 6  # none waited for the registry: the first ones went in
            assert {row["vehicle"] for row in letters} == {RETIRED}
            assert "retired" in letters[0]["fault"]
            assert lake.told == [(True, None)]

    asyncio.run(scene())


def test_a_login_that_comes_again_is_answered_and_not_kept_again(server):
    async def scene() -> None:
        async with listening(server) as site:
            desk: CarriedDesk = AdmissionDesk(lambda wanting: [""] * len(wanting), 1000, failed="")
            site.gateway.carried = CarriedVehicles(desk)
            raw = build(2016, 1, 0xFE, VIN, time6(now_us()) + bytes(24))
            later = build(2016, 1, 0xFE, VIN, time6(now_us() + 5_000_000) + bytes(24))
            sent = [raw, raw, later, raw]
            lake = Lake([Outgoing(n, VIN, now_us(), "login", x) for n, x in enumerate(sent, 1)])
            task = asyncio.create_task(Forwarder(spec(site.port), lake.queue(), PACE).run())
            await until(lambda: lake.done)
            task.cancel()
            assert lake.forwarded == 4
            kept = [row["frame"] for row in await site.stored(4) if row["frame"][2] == 1]
            assert kept == [raw, later, raw]

    asyncio.run(scene())
