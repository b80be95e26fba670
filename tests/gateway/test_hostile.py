"""Peers that send nonsense, too much, too little, or do not listen: all of it is kept or closed,
memory stays bounded, and others do not notice."""

import asyncio
import bisect
import os
import random
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from carcloud.app.first_start import prepare
from carcloud.app.report import memory_bytes
from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.frame import Frame, bcc, build
from carcloud.config import Settings
from carcloud.gateway.gbt32960.rules import Rules
from carcloud.gateway.limits import Limits
from carcloud.supervisor import Supervisor
from tests.gateway.conftest import Site, listening
from tests.gateway.mqtt_client import until
from tests.gateway.test_gbt32960 import OTHER, VIN, Car, heartbeat, login, report, run

PATIENT = Limits(
    half_frame_s=0.2, faults_per_minute=1_000_000, frames_per_second_per_vehicle=1_000_000
)
REPLIES = Rules(reply_reports=True)
FIRST_LOGIN = len(login())
SECRETIVE = (Command.PLATFORM_LOGIN, Command.KEY_EXCHANGE)
SECRET_SPAN = 1_100  # bytes after a marker that may be blanked


@asynccontextmanager
async def site(server, limits: Limits = PATIENT) -> AsyncIterator[Site]:
    """A listening gateway whose clock looks at the sessions twenty times a second."""
    async with listening(server, REPLIES, limits) as found:
        looking = asyncio.create_task(_look(found))
        try:
            yield found
        finally:
            looking.cancel()


async def _look(found: Site) -> None:
    while True:
        found.gateway.sweep(asyncio.get_running_loop().time())
        await asyncio.sleep(0.05)


class Clock:
    """Of a gateway that nobody else sweeps: it stands still until the test lets it tick."""

    def __init__(self, found: Site) -> None:
        self._gateway = found.gateway
        self._now = asyncio.get_running_loop().time()
        self._gateway.clock = lambda: self._now

    def tick(self, seconds: float) -> None:
        """Let so much time pass, and look at the sessions."""
        self._now += seconds
        self._gateway.sweep(self._now)


async def signed_in(found: Site, vin: str = VIN) -> Car:
    car = await Car.connect(found.port)
    car.send(login(vin))
    assert (await car.reply()).flag == Flag.SUCCESS
    return car


async def accepted(car: Car, frame: bytes) -> Frame:
    """The success reply to `frame`; error replies to what came before are passed over."""
    while True:
        reply = await car.reply()
        if reply.flag == Flag.SUCCESS and reply.data[:6] == frame[24:30]:
            return reply


def kept(rows: list[dict]) -> bytes:
    return b"".join(row["frame"] for row in rows)


async def all_kept(found: Site, size: int) -> list[dict]:
    """The rows of the stream once they hold `size` bytes of frames."""
    rows: list[dict] = []
    async with asyncio.timeout(60):
        while sum(len(row["frame"]) for row in rows) < size:
            rows = await found.stored(len(rows) + 1)
    return rows


def test_a_frame_cut_at_any_byte_costs_nobody_but_itself(server):
    async def scene() -> None:
        async with site(server) as found:
            vins = (f"LTESTVNA4A{n:07d}" for n in range(100))
            pairs = ((vin, report(vin, -600)) for vin in vins)
            vin, whole = next(pair for pair in pairs if _told_apart_when_cut(*pair))
            car = await signed_in(found, vin)
            sent, good = b"", []
            for cut in range(1, len(whole)):
                after = report(vin, -500 + cut)
                car.send(whole[:cut], after)
                sent += whole[:cut] + after
                good.append(after)
                await accepted(car, after)
            rows = (await all_kept(found, len(sent)))[1:]  # the first is the login
            assert kept(rows) == sent
            assert [row["frame"] for row in rows if row["fault"] is None] == good

    run(scene())


def _told_apart_when_cut(vin: str, whole: bytes) -> bool:
    """One time in 256 the checksum holds by chance over a cut frame and the header after it."""
    after = report(vin, -500)
    glued = ((whole[:cut] + after)[: len(whole)] for cut in range(24, len(whole)))
    return all(bcc(frame[2:-1]) != frame[-1] for frame in glued)


@pytest.mark.parametrize("length", [0, 1, 9, 11, 0x2323, 65_531, 65_532, 65_535])
def test_a_wrong_length_costs_nobody_but_itself(server, length):
    async def scene() -> None:
        async with site(server) as found:
            car = await signed_in(found)
            bad = bytearray(report(shift_s=-9))
            bad[22:24] = length.to_bytes(2, "big")
            good = report(shift_s=-8)
            car.send(bytes(bad), good)
            await accepted(car, good)
            rows = (await all_kept(found, len(bad) + len(good)))[1:]
            assert kept(rows) == bytes(bad) + good

    run(scene())


def test_two_thousand_packets_of_nonsense_lose_no_byte_and_stall_nothing(server):
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    dice = random.Random(seed)

    async def scene() -> None:
        async with site(server) as found:
            car = await signed_in(found)  # before it, little is kept
            reading = asyncio.create_task(_read_all(car))
            sent = b""
            for number in range(2000):
                packet = _nonsense(dice, number)
                sent += packet
                car.send(packet)
                await car.writer.drain()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await asyncio.sleep(0.5)  # a frame that was not completed is given up
            car.waiting.clear()
            last = (login(), report(shift_s=-1))
            car.send(*last)
            await accepted(car, last[1])
            sent += b"".join(last)
            rows = (await all_kept(found, FIRST_LOGIN + len(sent)))[1:]
            _assert_same_but_secrets(kept(rows), sent)

    run(scene())


def _assert_same_but_secrets(stored: bytes, sent: bytes) -> None:
    """Only what may be a password or a key, behind a marker, differs, and is zero."""
    assert len(stored) == len(sent)
    marks = [found.start() for found in re.finditer(rb"(?:##|\$\$)[\x05\x0b]", sent)]
    for at in (at for at in range(len(sent)) if stored[at] != sent[at]):
        assert stored[at] == 0
        before = bisect.bisect_right(marks, at)
        assert before
        assert at - marks[before - 1] < SECRET_SPAN or any(
            0 <= at - mark < SECRET_SPAN for mark in marks[:before]
        )


async def _read_all(car: Car) -> None:
    while True:
        await car.reply()  # whole ones, so that what comes after them begins with one


def _nonsense(dice: random.Random, number: int) -> bytes:
    """Frames damaged in many ways, well-formed ones that make no sense, and plain noise.

    No heartbeats and time requests, which are answered and not kept; no key exchanges and
    platform logins, whose secrets are blanked before they are kept.
    """
    unkept = (*SECRETIVE, Command.HEARTBEAT, Command.TIME_SYNC)
    command = dice.choice([c for c in range(256) if c not in unkept])
    data = dice.randbytes(dice.choice([0, 1, 5, 6, 30, 41, 700]))
    vin = dice.choice([VIN, OTHER, "", "A\0B", "~" * 17])
    sensible = build(
        dice.choice([2016, 2025]),
        command,
        dice.choice([0xFE, 0xFE, 0xFE, 1, 2, 0x77]),
        vin,
        data,
        encryption=dice.choice([1, 1, 2, 3, 4, 0xFE, 0xFF]),
    )
    good = bytearray(dice.choice([report(shift_s=-3000 + number), login(), sensible]))
    match dice.randrange(7):
        case 0:
            return dice.randbytes(dice.randrange(1, 400))
        case 1:
            good[dice.randrange(len(good))] ^= 1 << dice.randrange(8)
        case 2:
            del good[dice.randrange(len(good)) :]
        case 3:
            del good[: dice.randrange(len(good))]
        case 4:
            at = dice.randrange(len(good))
            good[at:at] = dice.choice([b"#", b"##", b"$$", b"\0", dice.randbytes(9)])
        case 5:
            return bytes(good + good)
    return bytes(good) or b"#"


def test_byte_by_byte_is_the_same_as_all_at_once(server):
    bad = bytearray(report(shift_s=-5))
    bad[-1] ^= 0x5A
    talk = [login(), report(shift_s=-6), bytes(bad), b"noise#", report(vin=OTHER)]
    talk += [build(2016, 0x70, 0xFE, VIN, b""), b"\0" * 40, report(shift_s=-1)]
    data = b"".join(talk)

    async def told(step: int) -> tuple[list[tuple], list[tuple]]:
        async with site(server, replace(PATIENT, half_frame_s=30)) as found:
            car = await Car.connect(found.port)
            for at in range(0, len(data), step):
                car.send(data[at : at + step])
                if step == 1:
                    await car.writer.drain()
                    await asyncio.sleep(0)
            replies = [await car.reply() for _ in range(6)]
            rows = await all_kept(found, len(data))
            return (
                [(reply.command, reply.flag, reply.unique_id) for reply in replies],
                [(row["frame"], row["fault"] is None) for row in rows],
            )

    once, bytewise = asyncio.run(told(len(data))), asyncio.run(told(1))
    assert once[0] == bytewise[0]
    assert b"".join(f for f, _ in once[1]) == b"".join(f for f, _ in bytewise[1]) == data
    assert [f for f, good in once[1] if good] == [f for f, good in bytewise[1] if good]


def test_connections_that_never_log_in_are_closed_and_disturb_nobody(server):
    async def scene() -> None:
        async with site(server) as found:
            car = await signed_in(found)
            found.gateway.limits = replace(PATIENT, login_timeout_s=0.5)
            silent = [await Car.connect(found.port) for _ in range(200)]
            for one in silent[::2]:
                one.send(login()[:11])  # half a login
            while found.gateway.door.open > 1:
                frame = report(shift_s=-100)
                car.send(frame)
                await accepted(car, frame)
            assert all([await one.closed() for one in silent])
            assert found.gateway.figures.closed["no login in time"] == 200
            assert len(found.gateway.sessions) == 1

    run(scene())


def test_a_peer_that_does_not_read_its_replies_is_closed(server):
    async def scene() -> None:
        limits = Limits(
            reply_backlog_bytes=8192, reply_wait_s=0.3, frames_per_second_per_vehicle=10_000_000
        )
        async with site(server, limits) as found:
            other = await signed_in(found, OTHER)
            deaf = socket.socket()
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(deaf, ("127.0.0.1", found.port))
            await loop.sock_sendall(deaf, login())
            await until(lambda: VIN in found.gateway.roster.vehicles)
            transport = found.gateway.roster.vehicles[VIN].session._transport
            own = transport.get_extra_info("socket")
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # which is soon full
            waiting = 0
            with pytest.raises(ConnectionError):
                async with asyncio.timeout(60):
                    while True:
                        await loop.sock_sendall(deaf, heartbeat() * 400)
                        held = [s._transport for s in found.gateway.sessions if s._transport]
                        waiting = max(waiting, *(t.get_write_buffer_size() for t in held))
            assert found.gateway.figures.closed["does not read its replies"] == 1
            assert waiting < 1_000_000
            other.send(heartbeat(OTHER))
            assert (await other.reply()).flag == Flag.SUCCESS
            deaf.close()

    run(scene())


def test_a_vehicle_above_its_frame_rate_is_held_and_loses_nothing(server):
    async def scene() -> None:
        limits = Limits(frames_per_second_per_vehicle=300)
        async with listening(server, REPLIES, limits) as found:
            clock = Clock(found)
            fast, other = await signed_in(found), await signed_in(found, OTHER)
            frames = [report(shift_s=-4000 + second) for second in range(3600)]
            fast.send(*frames[:3500])
            assert {(await fast.reply()).flag for _ in range(3500)} == {Flag.SUCCESS}
            assert found.gateway.figures.held == 0
            clock.tick(0)
            assert found.gateway.figures.held == 1
            fast.send(*frames[3500:])
            other.send(report(OTHER))
            assert (await other.reply()).flag == Flag.SUCCESS  # others are not held
            assert await fast.silent()
            clock.tick(1)
            assert await fast.silent()  # it is still more than ten seconds ahead
            clock.tick(1)
            last = await accepted(fast, frames[-1])
            assert last.command == Command.REALTIME
            rows = await found.stored(3603)
            good = [row["frame"] for row in rows if row["vehicle"] == VIN][1:]
            assert good == frames
            assert found.gateway.figures.held == 1
            assert found.gateway.figures.closed.total() == 0

    run(scene())


def test_one_address_cannot_take_all_connections(server):
    async def scene() -> None:
        async with site(server, Limits(connections=8, connections_per_address=3)) as found:
            mine = [await Car.connect(found.port) for _ in range(5)]
            assert [await car.closed() for car in mine[3:]] == [True, True]
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", found.port, local_addr=("127.0.0.2", 0)
            )
            neighbour = Car(reader, writer)
            neighbour.send(login())
            assert (await neighbour.reply()).flag == Flag.SUCCESS
            mine[0].writer.close()
            while found.gateway.door.open == 4:
                await asyncio.sleep(0.01)
            again = await Car.connect(found.port)
            again.send(login(OTHER))
            assert (await again.reply()).flag == Flag.SUCCESS
            assert found.gateway.door.refused == {"gateway.max_connections_per_address": 2}

    run(scene())


def test_the_clock_does_not_cut_a_frame_that_comes_in_two_halves(server):
    """Neither after a long silence nor while it is the gateway that does not read."""

    async def scene() -> None:
        async with listening(server, REPLIES, Limits(half_frame_s=10)) as found:
            clock, car = Clock(found), await signed_in(found)
            (session,) = found.gateway.sessions
            frame = report(shift_s=-2)
            clock.tick(60)
            car.send(frame[:20])
            await until(lambda: session._splitter.pending == 20)
            clock.tick(4)
            clock.tick(4)
            car.send(frame[20:])
            await accepted(car, frame)
            later = report(shift_s=-1)
            car.send(later[:20])
            await until(lambda: session._splitter.pending == 20)
            found.gateway.press(True)
            car.send(later[20:])
            for _ in range(3):
                clock.tick(6)
                await asyncio.sleep(0.01)
            found.gateway.press(False)
            await accepted(car, later)
            assert found.gateway.figures.refused.total() == 0

    run(scene())


def test_heartbeats_that_wait_for_the_stream_are_bounded_too(server):
    async def scene() -> None:
        limits = Limits(frames_per_second_per_vehicle=1_000_000, reply_wait_s=600)
        async with site(server, limits) as found:
            car = await signed_in(found)
            room = False
            found.gateway.outbox._room = lambda: room
            car.send(report(shift_s=-1))
            for _ in range(40):
                car.send(heartbeat() * 1000)
                await asyncio.sleep(0.01)
            await until(lambda: found.gateway.outbox.pressed)
            assert found.gateway.outbox.pending_bytes < 4_000_000
            room = True
            assert [(await car.reply()).command for _ in range(40_001)][1:] == [7] * 40_000

    run(scene())


@pytest.mark.timeout(180)
def test_a_flood_of_logins_is_absorbed_and_disturbs_nobody(tmp_path):
    """2,000 connections log in at once, 2,000 more come and go; a vehicle goes on reporting."""
    settings = Settings(
        {
            "data": str(tmp_path),
            "gateway.gbt32960.port": 0,
            "gateway.jt808.port": 0,
            "gateway.mqtt.port": 0,
            "gateway.auto_register": True,
            "gateway.gbt32960.reply_reports": True,
            "gateway.login_timeout_s": 150,  # 4,000 peers take a while on a slow machine
        }
    )
    prepare(settings)
    supervisor = Supervisor(settings, ("gateway",))
    try:
        supervisor.start()
        port = supervisor.run.facts("gateway")["gbt32960"]["port"]
        pid = supervisor.pids()["gateway"]
        before = memory_bytes(pid)
        acknowledged, peak = asyncio.run(_flood(port, pid))
    finally:
        supervisor.stop()
    print(f"memory before {before / 1e6:.0f} MB, peak {peak / 1e6:.0f} MB, acks {acknowledged}")
    assert acknowledged >= 20
    assert peak < before + 150_000_000


async def _flood(port: int, pid: int) -> tuple[int, int]:
    car = await Car.connect(port)
    car.send(login())
    assert (await car.reply()).flag == Flag.SUCCESS
    flood = asyncio.gather(*(_log_in(port, number) for number in range(2000)))
    churn = asyncio.gather(*(_come_and_go(port, number) for number in range(2000)))
    acknowledged, peak = 0, 0
    while not (flood.done() and churn.done()) or acknowledged < 20:
        frame = report(shift_s=-3000 + acknowledged)
        car.send(frame)
        await accepted(car, frame)
        acknowledged += 1
        peak = max(peak, memory_bytes(pid))
        await asyncio.sleep(0.05)
    assert await flood == [True] * 2000
    await churn
    car.send(heartbeat())
    assert (await car.reply()).command == Command.HEARTBEAT
    return acknowledged, peak


async def _log_in(port: int, number: int) -> bool:
    car = await Car.connect(port)
    car.send(login(f"LTEST{number:012d}"))
    reply = await car.reply(150)
    car.writer.close()
    return reply.flag == Flag.SUCCESS


async def _come_and_go(port: int, number: int) -> None:
    """Logs in and leaves before the answer, with a reset."""
    car = await Car.connect(port)
    car.send(login(f"LGONE{number:012d}"))
    linger = struct.pack("ii", 1, 0)
    car.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    await car.writer.drain()
    car.writer.close()
