"""A load generator for the gateway's benchmarks: many connections, one steady total rate.

It runs in a process of its own and shares the machine with the server under test, so it does
little for a frame: the frames of every vehicle are made by the simulator beforehand, in several
variants; a send puts the collection time and the check byte in, and a reply is known by its
header and its time. A collection time has whole seconds, so every vehicle
counts its own up from a start in the past, one second a frame: no two frames are repeats. A lost
connection is made again and what it had not confirmed is re-sent as reissue (0x03).
"""

import argparse
import asyncio
import json
import sys
import time
from array import array
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import uvloop
from numpy.typing import NDArray

from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.frame import bcc, build
from carcloud.simulator import messages
from carcloud.simulator.fleet import Fleet
from carcloud.simulator.frames import FrameWriter
from carcloud.simulator.vins import iccids, vins

TICK_S = 0.01
REPLY_SIZE = 31  # header, six bytes of time, check byte
_VARIANTS = 8  # different contents of each vehicle's frames
_TIME_AT = 24  # offset of the collection time, in frames and in replies
_RECONNECT_S = 0.5
_CONNECTS = 100  # opened at the same time
_BYTE = [bytes((value,)) for value in range(256)]


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How much load, against what."""

    port: int
    host: str = "127.0.0.1"
    vehicles: int = 2_000
    rate: float = 20_000.0  # frames/s of all vehicles together
    seconds: float = 30.0
    warm_s: float = 3.0  # at the start, not counted in `sustained` and the latencies
    edition: int = 2025
    seed: int = 7
    burst: int = 1  # frames of a vehicle in one write
    window: int = 200  # unanswered frames per vehicle, on average, at which sending pauses
    drain_s: float = 30.0
    days_back: float = 2.0  # collection times start so long before the present


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What was sent and what the server has confirmed."""

    sent: int
    acknowledged: int
    refused: int
    resent: int
    lost_connections: int
    frame_bytes: float  # mean size
    seconds: float  # of sending
    sustained: float  # acknowledged frames/s between warm-up and end of sending
    offered: float  # sent frames/s over the same time
    ack_p50_ms: float
    ack_p99_ms: float
    ack_max_ms: float
    start: int  # collection time of frame 0 of every vehicle, UTC seconds since 1970
    vins: tuple[str, ...] = field(repr=False)
    acked: NDArray[np.bool_] = field(repr=False)  # (vehicles, frames): which are confirmed

    def reports(self) -> Iterator[tuple[str, int]]:
        """Every confirmed frame: VIN and collection time, UTC seconds since 1970."""
        for car, number in zip(*(axis.tolist() for axis in self.acked.nonzero()), strict=True):
            yield self.vins[car], self.start + number

    def figures(self) -> dict[str, Any]:
        """The numbers alone, for JSON."""
        chosen = asdict(self)
        del chosen["vins"], chosen["acked"]
        return chosen

    def save(self, file: Path) -> None:
        """Write the confirmed frames as .npz: vins, start, acked."""
        np.savez_compressed(file, vins=np.array(self.vins), start=self.start, acked=self.acked)


class Frames:
    """All frames that a run can send, put together on demand from prepared pieces."""

    def __init__(self, options: LoadOptions, names: list[str], start: int, frames: int) -> None:
        fleet = Fleet(options.vehicles, options.seed, start)
        writer = FrameWriter(names, np.full(options.vehicles, options.edition))
        self._pieces: list[list[tuple[bytes, bytes, int]]] = []
        sizes = []
        for _ in range(_VARIANTS):
            fleet.step(15.0)
            made = writer.encode(fleet.observe())
            sizes += [len(frame) for frame in made]
            self._pieces.append([_pieces(frame) for frame in made])
        self._times = [messages.time6(start + number) for number in range(frames)]
        self._sums = [bcc(six) for six in self._times]
        self.number = {six: number for number, six in enumerate(self._times)}
        self.mean_bytes = float(np.mean(sizes))

    def __len__(self) -> int:
        return len(self._times)

    def make(self, car: int, number: int) -> bytes:
        """Frame `number` of a vehicle, as realtime report."""
        head, rest, check = self._pieces[number % _VARIANTS][car]
        return b"".join((head, self._times[number], rest, _BYTE[check ^ self._sums[number]]))


def _pieces(frame: bytes) -> tuple[bytes, bytes, int]:
    """The frame before and after its time, and its check byte for a time of zeros."""
    end = _TIME_AT + 6
    return frame[:_TIME_AT], frame[end:-1], frame[-1] ^ bcc(frame[_TIME_AT:end])


class Vehicle(asyncio.Protocol):
    """One vehicle's connection, and what it has sent and got confirmed over all connections."""

    def __init__(self, load: "Load", car: int) -> None:
        self.acked_at = array("d", bytes(8 * len(load.frames)))  # s, 0 = not confirmed
        self.sent_at = array("d", bytes(8 * len(load.frames)))
        self.next = 0  # number of the next frame
        self.ready = False
        self.paused = False
        self._load, self._car = load, car
        vin, edition = load.vins[car], load.options.edition
        self._expected = build(edition, Command.REALTIME, Flag.SUCCESS, vin, bytes(6))[:_TIME_AT]
        self._rest = b""
        self._serial = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._serial += 1
        self._rest = b""
        self.paused = False
        self._transport.write(self._load.login(self._car, self._serial))

    def connection_lost(self, _exc: Exception | None) -> None:
        self._load.online -= self.ready
        self.ready = False
        self._transport = None
        self._load.lost(self._car)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        now = time.perf_counter()
        whole = len(data) - len(data) % REPLY_SIZE
        for at in range(0, whole, REPLY_SIZE):
            # A reissue's reply differs from a realtime's in the command byte alone.
            if data[at + 4 : at + _TIME_AT] == self._expected[4:] and data[at + 2] in (2, 3):
                self._answered(data[at + 3], data[at + _TIME_AT : at + _TIME_AT + 6], now)
            else:
                self._other(data[at : at + REPLY_SIZE])
        self._rest = data[whole:]

    def send(self, count: int, now: float) -> None:
        """The next `count` frames in one write."""
        if self._transport is None:
            return
        load, first = self._load, self.next
        self.next = min(first + count, len(load.frames))
        numbers = range(first, self.next)
        for number in numbers:
            self.sent_at[number] = now
        self._transport.write(b"".join([load.frames.make(self._car, one) for one in numbers]))
        load.sent += len(numbers)

    def close(self) -> None:
        """Leave without a word."""
        if self._transport is not None:
            self._transport.abort()

    def _answered(self, flag: int, six: bytes, now: float) -> None:
        number = self._load.frames.number.get(six)
        if flag != Flag.SUCCESS or number is None:
            self._load.refused += 1
        elif not self.acked_at[number]:
            self.acked_at[number] = now
            self._load.acknowledged += 1

    def _other(self, reply: bytes) -> None:
        if reply[2] != Command.LOGIN or reply[3] != Flag.SUCCESS:
            self._load.refused += 1
            return
        self.ready = True
        self._load.online += 1
        self._resend()

    def _resend(self) -> None:
        missing = [number for number in range(self.next) if not self.acked_at[number]]
        if missing and self._transport is not None:
            frames = [self._load.frames.make(self._car, number) for number in missing]
            self._transport.write(b"".join([messages.as_reissue(frame) for frame in frames]))
            self._load.resent += len(missing)


class Load:
    """One run of the generator."""

    def __init__(self, options: LoadOptions) -> None:
        self.options = options
        self.vins = vins(options.seed, options.vehicles)
        self.start = int(time.time() - options.days_back * 86_400)
        each = options.rate * options.seconds / options.vehicles
        self.frames = Frames(options, self.vins, self.start, int(each * 1.1) + 50)
        self.sent = self.acknowledged = self.refused = self.resent = self.losses = self.online = 0
        self._iccids = iccids(self.vins)
        self._vehicles = [Vehicle(self, car) for car in range(options.vehicles)]
        self._connecting = asyncio.Semaphore(_CONNECTS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = False

    def login(self, car: int, serial: int) -> bytes:
        """The login of a vehicle, now."""
        now = int(time.time())
        return messages.login(self.options.edition, self.vins[car], now, serial, self._iccids[car])

    def lost(self, car: int) -> None:
        """A connection broke: make it again."""
        if not self._ended:
            self.losses += 1
            self._start_connect(car, _RECONNECT_S)

    async def run(self) -> LoadResult:
        """Connect all vehicles, send for the given time, wait for what is outstanding."""
        for car in range(len(self._vehicles)):
            self._start_connect(car, 0.0)
        while self.online < len(self._vehicles):  # noqa: ASYNC110 - set by many callbacks
            await asyncio.sleep(0.05)
        begun = time.perf_counter()
        await self._send_all(begun)
        ended = time.perf_counter()
        latest = ended + self.options.drain_s
        while self.acknowledged < self.sent and time.perf_counter() < latest:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        self._ended = True
        for vehicle in self._vehicles:
            vehicle.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.sleep(0.05)
        return self._result(begun, ended)

    async def _send_all(self, begun: float) -> None:
        options, vehicles = self.options, self._vehicles
        turn, tick, passed_over = 0, 0, 0
        while (now := time.perf_counter()) - begun < options.seconds:
            due = int(options.rate * (now - begun)) - self.sent
            room = options.window * len(vehicles) - (self.sent - self.acknowledged)
            for _ in range(max(0, min(due, room)) // options.burst):
                vehicle = vehicles[turn]
                turn = (turn + 1) % len(vehicles)
                if vehicle.ready and not vehicle.paused:
                    vehicle.send(options.burst, now)
                    passed_over = 0
                elif (passed_over := passed_over + 1) >= len(vehicles):
                    break  # none can send: looking again at once would only cost the server time
            tick += 1
            await asyncio.sleep(max(0.0, begun + tick * TICK_S - time.perf_counter()))

    def _start_connect(self, car: int, wait: float) -> None:
        task = asyncio.create_task(self._connect(car, wait))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, car: int, wait: float) -> None:
        loop, options = asyncio.get_running_loop(), self.options
        await asyncio.sleep(wait)
        while not self._ended:
            try:
                async with self._connecting:
                    await loop.create_connection(
                        lambda: self._vehicles[car], options.host, options.port
                    )
                return
            except OSError:
                await asyncio.sleep(_RECONNECT_S)

    def _result(self, begun: float, ended: float) -> LoadResult:
        sent_at = np.array([vehicle.sent_at for vehicle in self._vehicles])
        acked_at = np.array([vehicle.acked_at for vehicle in self._vehicles])
        acked = acked_at > 0.0
        warm = begun + min(self.options.warm_s, self.options.seconds / 2)
        counted = acked & (sent_at >= warm)
        ms = (acked_at[counted] - sent_at[counted]) * 1000.0
        p50, p99, most = np.percentile(ms, [50, 99, 100]) if len(ms) else (np.nan,) * 3
        span = ended - warm
        return LoadResult(
            sent=self.sent,
            acknowledged=self.acknowledged,
            refused=self.refused,
            resent=self.resent,
            lost_connections=self.losses,
            frame_bytes=self.frames.mean_bytes,
            seconds=ended - begun,
            sustained=float(((acked_at >= warm) & (acked_at < ended)).sum() / span),
            offered=float((sent_at >= warm).sum() / span),
            ack_p50_ms=float(p50),
            ack_p99_ms=float(p99),
            ack_max_ms=float(most),
            start=self.start,
            vins=tuple(self.vins),
            acked=acked,
        )


async def load(options: LoadOptions) -> LoadResult:
    """Put load on a gateway that answers reports; needs an event loop of uvloop to be quick."""
    return await Load(options).run()


def main() -> None:
    """`python -m bench.load PORT [options]`: prints the figures as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--acked", type=Path, help="write the confirmed frames to this .npz file")
    whole = {"vehicles", "edition", "seed", "burst", "window"}
    for name, default in asdict(LoadOptions(0)).items():
        if name != "port":
            kind = int if name in whole else type(default)
            parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=default)
    given = vars(parser.parse_args())
    file = given.pop("acked")
    result = uvloop.run(load(LoadOptions(**given)))
    if file is not None:
        result.save(file)
    sys.stdout.write(json.dumps(result.figures()) + "\n")


if __name__ == "__main__":
    main()
