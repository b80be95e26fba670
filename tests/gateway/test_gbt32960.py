"""GB/T 32960 sessions over real sockets and a real stream."""

import asyncio
import json
import struct
import time
from datetime import UTC, datetime, timedelta

import pytest

from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.frame import Frame, Splitter, build
from carcloud.gateway.gbt32960.rules import Rules, time6
from carcloud.gateway.limits import Limits
from carcloud.gateway.orders import Order, OrderReport
from carcloud.gateway.reporting import Peer
from carcloud.model.time import SECOND, now_us
from tests.gateway.conftest import WRONG_ICCID, Site, listening
from tests.gateway.mqtt_client import until

VIN = "LTESTVNA4A0000101"
OTHER = "LTESTVNA6A0000102"


def now6(shift_s: float = 0) -> bytes:
    return time6(int((time.time() + shift_s) * 1e6))


def login(vin: str = VIN, edition: int = 2016, iccid: str = "89860000000000000001") -> bytes:
    body = now6() + struct.pack(">H20sBB", 1, iccid.encode(), 1, 0)
    return build(edition, Command.LOGIN, Flag.COMMAND, vin, body)


def report(vin: str = VIN, shift_s: float = 0, command: int = Command.REALTIME) -> bytes:
    position = bytes.fromhex("0500073d8aa501dc89d0")
    return build(2016, command, Flag.COMMAND, vin, now6(shift_s) + position)


def heartbeat(vin: str = VIN) -> bytes:
    return build(2016, Command.HEARTBEAT, Flag.COMMAND, vin)


class Car:
    """A vehicle's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.splitter = Splitter()
        self.waiting: list[Frame] = []

    @classmethod
    async def connect(cls, port: int) -> "Car":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    async def reply(self, timeout: float = 60) -> Frame:
        async with asyncio.timeout(timeout):
            while not self.waiting:
                data = await self.reader.read(65536)
                if not data:
                    raise ConnectionResetError
                self.waiting += [piece for piece in self.splitter.feed(data)]
        return self.waiting.pop(0)

    async def silent(self, seconds: float = 0.15) -> bool:
        try:
            await self.reply(seconds)
        except TimeoutError:
            return True
        return False

    async def closed(self) -> bool:
        try:
            while True:
                await self.reply()
        except (ConnectionResetError, ConnectionError):
            return True


def run(test) -> None:
    asyncio.run(test)


def test_login_report_heartbeat_logout(server):
    async def scene() -> None:
        async with listening(server) as site:
            car = await Car.connect(site.port)
            car.send(login())
            reply = await car.reply()
            assert (reply.command, reply.flag, reply.unique_id) == (
                Command.LOGIN,
                Flag.SUCCESS,
                VIN,
            )
            car.send(report())
            assert await car.silent()  # B.2.1: a good report gets no reply on a vehicle link
            car.send(heartbeat())
            assert (await car.reply()).command == Command.HEARTBEAT
            logout = build(2016, Command.LOGOUT, Flag.COMMAND, VIN, now6() + b"\0\1")
            car.send(logout)
            assert (await car.reply()).flag == Flag.SUCCESS
            rows = await site.stored(3)
            assert [row["frame"][2] for row in rows] == [1, 2, 4]
            assert {row["vehicle"] for row in rows} == {VIN}

    run(scene())


def test_reply_to_reports_is_a_setting_and_repeats_the_time(server):
    async def scene() -> None:
        async with listening(server, Rules(reply_reports=True)) as site:
            car = await Car.connect(site.port)
            car.send(login())
            await car.reply()
            sent = report()
            car.send(sent)
            reply = await car.reply()
            assert (reply.command, reply.flag) == (Command.REALTIME, Flag.SUCCESS)
            assert reply.data == sent[24:30]

    run(scene())


def test_byte_by_byte_and_several_frames_in_one_packet(server):
    async def scene() -> None:
        async with listening(server, Rules(reply_reports=True)) as site:
            car = await Car.connect(site.port)
            for byte in login():
                car.send(bytes((byte,)))
                await car.writer.drain()
            await car.reply()
            car.send(report(shift_s=-3), report(shift_s=-2), heartbeat(), report(shift_s=-1))
            commands = [(await car.reply()).command for _ in range(4)]
            assert commands == [2, 2, 7, 2]

    run(scene())


def test_frames_sent_with_the_login_are_taken_after_it(server):
    async def scene() -> None:
        async with listening(server, Rules(reply_reports=True)) as site:
            car = await Car.connect(site.port)
            car.send(login(), report(shift_s=-1), report())
            assert [(await car.reply()).command for _ in range(3)] == [1, 2, 2]

    run(scene())


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (lambda: report(vin=OTHER), "wrong-vin"),
        (lambda: report(shift_s=3600), "future-time"),
        (lambda: report(shift_s=-4 * 86400, command=Command.REISSUE), "too-old"),
        (lambda: build(2016, 2, 0xFE, VIN, b"\x1a\x0d\x01\0\0\0"), "bad-time"),
        (lambda: build(2016, 2, 0xFE, VIN, b""), "bad-time"),
        (lambda: build(2016, 0x70, 0xFE, VIN, b""), "unknown-command"),
    ],
)
def test_a_wrong_frame_is_answered_with_an_error_and_kept(server, frame, code):
    async def scene() -> None:
        async with listening(server) as site:
            car = await Car.connect(site.port)
            car.send(login())
            await car.reply()
            car.send(frame())
            assert (await car.reply()).flag == Flag.ERROR
            rows = await site.stored(2)
            fault = json.loads(rows[1]["fault"])
            assert fault["reason"].startswith(code)
            car.send(heartbeat())
            assert (await car.reply()).flag == Flag.SUCCESS

    run(scene())


def test_bad_checksum_and_garbage_are_kept_and_the_next_frame_is_found(server):
    async def scene() -> None:
        async with listening(server, Rules(reply_reports=True)) as site:
            car = await Car.connect(site.port)
            car.send(login())
            await car.reply()
            bad = bytearray(report(shift_s=-5))
            bad[40 if len(bad) > 40 else -2] ^= 0x5A
            car.send(bytes(bad), b"noise\x23", report(shift_s=-1))
            assert (await car.reply()).flag == Flag.ERROR
            assert (await car.reply()).flag == Flag.SUCCESS
            rows = await site.stored(3)
            assert (
                b"".join(row["frame"] for row in rows if row["fault"]) == bytes(bad) + b"noise\x23"
            )

    run(scene())


def test_unknown_vehicles_2016_get_no_reply_and_2025_a_reason(server):
    async def scene() -> None:
        async with listening(server) as site:
            old, new = await Car.connect(site.port), await Car.connect(site.port)
            old.send(login("LREFUSED000000001"))
            new.send(login("LREFUSED000000002", edition=2025))
            assert (await new.reply()).flag == Flag.VIN_UNKNOWN
            assert await old.silent()
            rows = await site.stored(2)
            assert all("not on the list" in row["fault"] for row in rows)

    run(scene())


def test_a_second_connection_of_a_vehicle_wins(server):
    async def scene() -> None:
        async with listening(server) as site:
            first, second = await Car.connect(site.port), await Car.connect(site.port)
            first.send(login())
            await first.reply()
            second.send(login())
            assert (await second.reply()).flag == Flag.SUCCESS
            assert await first.closed()
            assert len(site.gateway.roster.vehicles) == 1

    run(scene())


def test_another_terminal_with_the_same_vin_is_told_so(server):
    async def scene() -> None:
        async with listening(server) as site:
            first, second = await Car.connect(site.port), await Car.connect(site.port)
            first.send(login())
            await first.reply()
            second.send(login(iccid=WRONG_ICCID, edition=2025))
            assert (await second.reply()).flag == Flag.VIN_DUPLICATE
            first.send(heartbeat())
            assert (await first.reply()).flag == Flag.SUCCESS

    run(scene())


def test_no_reply_before_durable_and_all_of_them_after(server):
    async def scene() -> None:
        async with listening(server, Rules(reply_reports=True)) as site:
            car = await Car.connect(site.port)
            car.send(login())
            await car.reply()
            room = False
            site.gateway.outbox._room = lambda: room
            for second in range(3):
                car.send(report(shift_s=-10 + second))
            car.send(heartbeat())
            await until(lambda: site.gateway.outbox.problem is not None)
            assert await car.silent(0.4)
            room = True
            assert [(await car.reply()).command for _ in range(4)] == [2, 2, 2, 7]
            assert site.gateway.outbox.problem is None

    run(scene())


async def come_unanswered(site: Site) -> tuple[Car, Peer]:
    """A car whose login the stream does not take yet."""
    site.gateway.outbox._room = lambda: False
    car = await Car.connect(site.port)
    car.send(login())
    await until(lambda: VIN in site.gateway.roster.vehicles)
    return car, site.gateway.roster.vehicles[VIN].session


def test_a_command_does_not_come_before_the_answer_to_the_login(server):
    async def scene() -> None:
        async with listening(server) as site:
            (car, session), told = await come_unanswered(site), list[OrderReport]()
            order = Order("1", "read-parameters", {}, now_us() + 60 * SECOND)
            session.deliver(order, told.append)
            assert await car.silent()
            site.gateway.outbox._room = lambda: True
            assert [(await car.reply()).command for _ in range(2)] == [1, Command.QUERY]
            assert [one.state for one in told] == ["sent"]

    run(scene())


def test_a_command_whose_time_is_over_before_it_could_be_sent_is_not_sent(server):
    """Whether the login and the commands wait in one block or in two."""

    async def scene(block_s: float) -> None:
        async with listening(server) as site:
            site.gateway.outbox._block_s = block_s
            (car, session), told = await come_unanswered(site), list[OrderReport]()
            late = Order("1", "restart", {}, now_us() + SECOND // 10)
            session.deliver(late, told.append)
            behind = Order("2", "factory-reset", {}, now_us() + 60 * SECOND)
            session.deliver(behind, told.append)
            await until(lambda: now_us() > late.expires_us)
            site.gateway.outbox._room = lambda: True
            assert [(await car.reply()).command for _ in range(2)] == [1, Command.CONTROL]
            assert await car.silent()
            assert [(one.id, one.state) for one in told] == [("1", "timed_out"), ("2", "sent")]

    run(scene(0.0))
    run(scene(0.5))


def test_back_pressure_stops_reading_and_resumes(server):
    async def scene() -> None:
        async with listening(server, Rules(reply_reports=True)) as site:
            site.gateway.outbox._pending_limit = 5_000
            car = await Car.connect(site.port)
            car.send(login())
            await car.reply()
            room = False
            site.gateway.outbox._room = lambda: room
            start = datetime.now(UTC) - timedelta(hours=1)
            for second in range(500):
                car.send(report(shift_s=(start - datetime.now(UTC)).total_seconds() + second))
                await asyncio.sleep(0)
            await until(lambda: site.gateway.outbox.pressed)
            await asyncio.sleep(0.3)
            assert site.gateway.outbox.pressed
            assert site.gateway.outbox.pending_bytes < 100_000
            room = True
            for _ in range(500):
                assert (await car.reply()).flag == Flag.SUCCESS

    run(scene())


def test_limits_on_connections_faults_and_silence(server):
    async def scene() -> None:
        limits = Limits(connections_per_address=2, faults_per_minute=3, login_timeout_s=0.0)
        async with listening(server, limits=limits) as site:
            first, second, third = [await Car.connect(site.port) for _ in range(3)]
            assert await third.closed()
            first.send(login())
            await first.reply()
            second.writer.write(b"x")
            await asyncio.sleep(0.05)
            site.gateway.sweep(asyncio.get_running_loop().time() + 1)
            assert await second.closed()  # never logged in
            for _ in range(5):
                first.send(report(vin=OTHER))
            assert await first.closed()

    run(scene())


def test_platform_link_carries_many_vehicles_and_always_answers(server):
    async def scene() -> None:
        async with listening(server) as site:
            link = await Car.connect(site.port)
            body = now6() + struct.pack(">H12s20sB", 1, b"user01", b"secret", 1)
            link.send(build(2016, Command.PLATFORM_LOGIN, Flag.COMMAND, "LOWERPLATFORM0001", body))
            assert (await link.reply()).flag == Flag.SUCCESS
            link.send(login(VIN), report(VIN), report(OTHER))
            replies = [await link.reply() for _ in range(3)]
            assert [(r.unique_id, r.flag) for r in replies] == [
                (VIN, Flag.SUCCESS),
                (VIN, Flag.SUCCESS),
                (OTHER, Flag.SUCCESS),
            ]

    run(scene())


def test_a_wrong_length_does_not_swallow_what_follows_for_ever(server):
    async def scene() -> None:
        async with listening(server, Rules(reply_reports=True)) as site:
            car = await Car.connect(site.port)
            car.send(login())
            await car.reply()
            bad = bytearray(report(shift_s=-9))
            bad[22:24] = b"\xf0\x00"
            car.send(bytes(bad), report(shift_s=-8), report(shift_s=-7))
            assert await car.silent(0.2)
            site.gateway.sweep(asyncio.get_running_loop().time() + 11)
            assert [(await car.reply()).flag for _ in range(2)] == [Flag.SUCCESS] * 2

    run(scene())
