"""Simulated trucks against a real listener: reports, outages, and commands with their answers."""

import asyncio
import tracemalloc
from contextlib import asynccontextmanager

import pytest

from carcloud.codecs.jt808.decode import decode
from carcloud.codecs.jt808.frame import build, parse
from carcloud.codecs.jt808.packets import parse_message
from carcloud.gateway.orders import Order, OrderReport
from carcloud.model.time import SECOND, now_us
from carcloud.simulator.options import Progress, SimulateOptions
from carcloud.simulator.run import simulate
from carcloud.simulator.truck_messages import phones
from tests.gateway.conftest import Site
from tests.gateway.terminals import POSITION, Terminal, listening
from tests.gateway.test_gbt32960 import run
from tests.gateway.test_jt808 import Sink, now

LATER_US = 60 * SECOND


def options(port: int, **given) -> SimulateOptions:
    chosen = {"port": port, "protocol": "jt808", "vehicles": 4, "connects_per_second": 1e6}
    return SimulateOptions(**(chosen | given))


@asynccontextmanager
async def driving(port: int, **given):
    """Trucks that drive until the block ends; yields nothing but their result's future."""
    stop = asyncio.Event()
    task = asyncio.create_task(simulate(options(port, **given), stop=stop))
    try:
        yield task
    finally:
        stop.set()
        await task


async def until(condition) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


def test_trucks_report_and_every_acknowledged_position_is_kept(server):
    async def scene() -> None:
        async with listening(server) as site:
            stop = asyncio.Event()

            def look(now: Progress) -> None:
                if now.connected == 4 and now.sent > 4:
                    stop.set()

            result = await simulate(options(site.port), look, stop=stop)
            assert result.acknowledged == result.sent > 0
            assert (result.refused, result.unconfirmed, result.lost_connections) == (0, 0, 0)
            rows = await site.stored(8 + result.sent)
            kept = {
                (message.vehicle, int(message.time.timestamp())): message
                for message in (decode(parse_message(row["frame"])) for row in rows)
                if message.message == 0x0200
            }
            assert set(result.acknowledged_reports()) == set(kept)
            assert {message.edition for message in kept.values()} == {2013, 2019}
            for message in kept.values():
                (report,) = message.reports
                assert abs(report["latitude_deg"]) > 1
                assert 0 <= report["speed_kmh"] < 160
                assert {item["item"] for item in report["items"]} == {1, 2, 3, 0x25, 0x30, 0x31}
                assert not message.diagnoses

    run(scene())


def test_after_an_outage_what_was_kept_comes_as_a_batch(server):
    async def scene() -> None:
        async with listening(server) as site:
            async with driving(site.port, vehicles=1, backoff_s=(4.0, 4.0)) as task:
                await until(lambda: site.gateway.figures.frames["report"] > 0)
                cutting = asyncio.create_task(outages(site))
                rows: list[dict] = []
                while not any(row["frame"][1:3] == b"\x07\x04" for row in rows):
                    rows = await site.stored(len(rows) + 1)
                cutting.cancel()
            result = await task
            assert result.reissued >= 2
            assert result.acknowledged == result.sent
            batch = next(row["frame"] for row in rows if row["frame"][1:3] == b"\x07\x04")
            message = decode(parse_message(batch))
            assert message.fields["kind"] == 1
            times = [report["time"] for report in message.reports]
            assert times == sorted(times)  # in whole seconds: two may have the same

    run(scene())


async def outages(site: Site) -> None:
    """Now and again: in one alone a busy machine may have come to one report."""
    while True:
        for session in list(site.gateway.sessions):
            session.close("an outage")
        await asyncio.sleep(8)


class Told:
    """What was reported of an order."""

    def __init__(self) -> None:
        self.reports: list[OrderReport] = []

    def __call__(self, report: OrderReport) -> None:
        self.reports.append(report)

    @property
    def states(self) -> list[str]:
        return [report.state for report in self.reports]

    async def end(self) -> OrderReport:
        await until(lambda: self.reports and self.states[-1] not in ("sent", "received"))
        return self.reports[-1]


def order(name: str, arguments: dict | None = None, expires_us: int | None = None) -> Order:
    return Order("o1", name, arguments or {}, expires_us or now_us() + LATER_US)


@pytest.mark.parametrize("edition", [0.0, 1.0])
def test_a_truck_obeys_commands_and_answers(server, edition):
    async def scene() -> None:
        sink = Sink()
        async with (
            listening(server, media=sink) as site,
            driving(site.port, vehicles=1, share_2025=edition),
        ):
            await until(lambda: site.gateway.figures.logins)
            (session,) = site.gateway.sessions

            async def give(name: str, arguments: dict | None = None) -> Told:
                told = Told()
                session.deliver(order(name, arguments), told)
                await told.end()
                return told

            parameters = {"parameters": {"heartbeat_s": 45, "0x0055": 90}}
            assert (await give("set-parameters", parameters)).states == ["sent", "executed"]
            told = await give("read-parameters", {"names": ["heartbeat_s", 0x55]})
            assert [item["value"] for item in told.reports[-1].answer["items"]] == [45, 90]
            answer = (await give("read-parameters")).reports[-1].answer
            assert len(answer["items"]) == 3
            answer = (await give("locate")).reports[-1].answer
            assert abs(answer["position"]["latitude_deg"]) > 1
            for doors, locked in (("unlock", False), ("lock", True)):
                told = await give(doors)
                assert told.states == ["sent", "received", "executed"]
                states = told.reports[-1].answer["position"]["states"]
                assert ("doors_locked" in states) is locked
            circle = {"id": 7, "attr": 0, "latitude_deg": 31.2, "longitude_deg": 121.4}
            areas = [circle | {"radius_m": 500, "name": "yard"}]
            for name, arguments in (
                ("track", {"interval_s": 1, "duration_s": 60}),
                ("message", {"text": "前方修路", "show": "emergency"}),
                ("restart", {}),
                ("factory-reset", {}),
                ("confirm-alarm", {"kinds": ["sos", "jt_area"]}),
                ("set-areas", {"shape": "circle", "areas": areas, "replace": True}),
                ("remove-areas", {"shape": "route"}),
            ):
                assert (await give(name, arguments)).states == ["sent", "executed"], name
            told = await give("read-recorder", {"code": 8})
            assert told.states == ["sent", "refused"]
            told = await give("photo", {"channel": 2})
            assert told.reports[-1].answer["media_ids"] == [1]
            await until(lambda: sink.kept)
            (picture,) = sink.kept.values()
            assert (picture[:2], len(picture)) == (b"\xff\xd8", 20_004)

    run(scene())


def test_orders_that_cannot_be_or_are_not_answered(server):
    async def scene() -> None:
        async with listening(server) as site:
            one = await Terminal.ready(site)
            (session,) = site.gateway.sessions

            def give(name: str, arguments: dict | None = None, expires_us: int = 0) -> Told:
                told = Told()
                session.deliver(order(name, arguments, expires_us or None), told)
                return told

            assert give("fly").states == ["refused"]
            for name, arguments in (
                ("track", {"interval_s": 70_000, "duration_s": 1}),
                ("track", {}),
                ("set-parameters", {"parameters": {"warp": 9}}),
                ("confirm-alarm", {"kinds": ["boredom"]}),
                ("set-areas", {"shape": "polygon", "areas": [{}, {}]}),
                ("set-areas", {"shape": "circle", "areas": ["here"]}),
            ):
                assert give(name, arguments).states == ["refused"], name
            assert give("check-link", expires_us=1).states == ["timed_out"]

            told = give("check-link")
            sent = await one.reply()
            one.send(0x0001, bytes.fromhex("ffff820400"))  # names another message
            one.send(0x0001, sent.serial.to_bytes(2) + b"\x82\x04\x01")
            assert (await told.end()).state == "failed"
            assert told.states == ["sent", "failed"]

            late = give("locate", expires_us=now_us() + SECOND)
            await asyncio.sleep(1.05)
            now(site)
            assert late.states == ["sent", "timed_out"]

            wrong = give("lock")
            await one.reply()
            sent = await one.reply()
            one.send(0x0500, sent.serial.to_bytes(2) + POSITION)
            assert "not locked" in (await wrong.end()).reason

            lost = give("read-attributes")
            one.writer.close()
            assert (await lost.end()).reason == "the connection ended before the answer"

    run(scene())


def test_a_long_command_goes_in_packets_that_can_be_asked_for_again(server):
    async def scene() -> None:
        async with listening(server) as site:
            one = await Terminal.ready(site)
            (session,) = site.gateway.sessions
            corner = {"latitude_deg": 31.2, "longitude_deg": 121.4}
            told = Told()
            area = {"id": 1, "attr": 0, "vertices": [corner] * 300, "name": "yard"}
            session.deliver(order("set-areas", {"shape": "polygon", "areas": [area]}), told)
            frames = [await one.reply() for _ in range(3)]
            assert [frame.packet for frame in frames] == [1, 2, 3]
            whole = decode(parse_message(b"".join(frame.raw for frame in frames)))
            assert len(whole.fields["vertices"]) == 300
            one.send(0x0005, frames[0].serial.to_bytes(2) + b"\0\1\0\2")
            assert await one.reply() == frames[1]
            one.send(0x0005, frames[0].serial.to_bytes(2) + b"\xff\xff" + b"\0\2" * 400)
            assert await one.reply() == frames[1]
            assert await one.silent()  # each packet once
            many = build(2019, 0x0005, one.phone, 0, frames[0].serial.to_bytes(2) + b"\xff\xff")
            tracemalloc.start()
            session.orders.repeat(parse(many))  # says 65,535 numbers and has none
            assert tracemalloc.get_traced_memory()[1] < 100_000
            tracemalloc.stop()
            one.send(0x0001, frames[2].serial.to_bytes(2) + b"\x86\x04\x00")
            assert (await told.end()).state == "executed"
            assert parse(frames[0].raw).packets == 3

    run(scene())


def test_names_of_trucks_are_their_own() -> None:
    assert len(set(phones(1, 500)) | set(phones(2, 500))) == 1000
    with pytest.raises(ValueError, match="GB/T 32960"):
        options(1, faults={"weak_cell": 1})
