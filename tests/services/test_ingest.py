"""Ingest on the real stream and lake: every accepted frame is one row, whatever happens."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from carcloud.app.ingest import ingest_figures
from carcloud.codecs.gbt32960.frame import build
from carcloud.engines.lake_delta import DeltaLake
from carcloud.engines.stream_nats import NatsServer, NatsStream
from carcloud.gateway.gbt32960.rules import time6
from carcloud.model import blocks
from carcloud.model.ids import Tenant
from carcloud.model.signals import CATALOGUE
from carcloud.ports.errors import Unavailable
from carcloud.ports.lake import Slice, TableRef
from carcloud.services.telemetry import ingest as ingest_module
from carcloud.services.telemetry.decode_gbt32960 import decoder
from carcloud.services.telemetry.ingest import Ingest, StreamReplaced
from carcloud.services.telemetry.ranges import RangesByTenant
from carcloud.services.telemetry.tables import TABLES

T = Tenant("default")
SIGNALS, RAW, LETTERS = (TableRef(T, name) for name in ("signals", "frames", "dead_letters"))
MAX_BYTES = 256_000_000


@pytest.fixture
def server(tmp_path: Path):
    server = NatsServer.start(tmp_path / "nats", user="u", password="p", max_bytes=MAX_BYTES)
    yield server.ready()
    server.stop()


async def connect(server: NatsServer) -> NatsStream:
    """That waits for a disk as long as it takes, where a gateway asks again after 5 s."""
    return await NatsStream.connect(
        f"nats://127.0.0.1:{server.port}",
        user="u",
        password="p",
        max_bytes=MAX_BYTES,
        timeout_s=60,
        call_s=60,
    )


def report(vin: str, second: int, *, speed: int = 500, command: int = 2) -> bytes:
    at = time6(1_760_000_000_000_000 + second * 1_000_000)
    vehicle = (
        bytes.fromhex("010301")
        + speed.to_bytes(2, "big")
        + bytes.fromhex("0012d6870e44278d4c012e13880000")
    )
    return build(2016, command, 0xFE, vin, at + b"\x01" + vehicle)


def block(*frames: tuple[str, bytes] | tuple[str, bytes, str]) -> bytes:
    return blocks.pack(
        [frame[0] for frame in frames],
        [int(time.time() * 1e6)] * len(frames),
        [frame[2] if len(frame) > 2 else None for frame in frames],
        [frame[1] for frame in frames],
    )


def make(stream: NatsStream, lake: DeltaLake, **more: RangesByTenant) -> Ingest:
    return Ingest(
        stream, lake, {"gbt32960": decoder()},
        commit_s=0.05, commit_rows=10_000, future_s=300, dedup_entries=1000, **more,
    )  # fmt: skip


async def until_confirmed(stream: NatsStream, seq: int, ingest: Ingest) -> None:
    running = asyncio.create_task(ingest.run())
    async with asyncio.timeout(100):  # the first one may have the decoders to compile
        while await stream.confirmed("FRAMES", "ingest") < seq:
            assert not running.done() or running.result() is None
            await asyncio.sleep(0.02)
    ingest.stop()
    await running


def test_reports_repeats_corrections_and_letters(server, tmp_path):
    async def scene() -> None:
        stream, lake = await connect(server), DeltaLake(tmp_path / "lake")
        a, b = "LTESTVNA4A0000101", "LTESTVNA6A0000102"
        fault = json.dumps({"reason": "bcc: x", "clause": "6.2 table 2", "offset": 3})
        await stream.publish(
            "frames.default.gbt32960",
            block((a, report(a, 1)), (b, report(b, 1)), (a, report(a, 2))),
            "1",
        )
        seq = await stream.publish(
            "frames.default.gbt32960",
            block(
                (a, report(a, 1, command=3)),  # the same report again, as a reissue
                (a, report(a, 2, speed=600)),  # a correction
                ("", b"noise", fault),
                (a, build(2016, 7, 0xFE, a)),
                (a, build(2016, 2, 0xFE, a, b"\x1a\x0d\x01\0\0\0\x01")),  # no such month
            ),
            "2",
        )
        await until_confirmed(stream, seq, make(stream, lake))
        rows = lake.read(SIGNALS, Slice()).sort_by(
            [("vehicle", "ascending"), ("time", "ascending")]
        )
        assert rows.num_rows == 4
        found = rows.select(["vehicle", "Vehicle.Speed", "correction"]).to_pylist()
        assert [r["Vehicle.Speed"] for r in found] == pytest.approx([50, 50, 60, 50])
        assert sorted(r["correction"] for r in found) == [False, False, False, True]
        letters = lake.read(LETTERS, Slice())
        assert sorted(letters["reason"].to_pylist())[0] == "bcc: x"
        assert letters.num_rows == 2
        assert lake.read(RAW, Slice()).num_rows == 5  # 4 reports and the heartbeat
        await stream.close()

    asyncio.run(scene())


def test_values_beyond_the_tenants_range_are_kept_and_flagged(server, tmp_path):
    slow = {**CATALOGUE, "Vehicle.Speed": replace(CATALOGUE["Vehicle.Speed"], maximum=55)}

    async def scene() -> None:
        stream = await connect(server)
        lake = DeltaLake(tmp_path / "lake", known=TABLES)
        frames = [("A", report("A", second, speed=speed)) for second, speed in ((1, 500), (2, 600))]
        await stream.publish("frames.default.gbt32960", block(*frames[:1]), "1")
        seq = await stream.publish("frames.default.gbt32960", block(*frames[1:]), "2")
        ingest = make(stream, lake, ranges=RangesByTenant(lambda _tenant: slow))
        await until_confirmed(stream, seq, ingest)
        columns = ["time", "Vehicle.Speed", "out_of_range", "flagged"]
        rows = lake.read(SIGNALS, Slice(columns)).sort_by("time").to_pylist()
        told = [(row["Vehicle.Speed"], row["out_of_range"], row["flagged"]) for row in rows]
        assert told == [(50, False, None), (60, True, ["Vehicle.Speed"])]
        await stream.close()

    asyncio.run(scene())


def test_repeats_are_known_across_restarts(server, tmp_path):
    async def scene() -> None:
        stream, lake = await connect(server), DeltaLake(tmp_path / "lake")
        a = "LTESTVNA4A0000101"
        for number in range(4):
            frames = [(a, report(a, second)) for second in range(10)]
            seq = await stream.publish("frames.default.gbt32960", block(*frames), str(number))
            await until_confirmed(stream, seq, make(stream, lake))
        assert lake.read(SIGNALS, Slice()).num_rows == 10
        await stream.close()

    asyncio.run(scene())


def test_a_lake_that_fails_delays_rows_and_loses_none(server, tmp_path):
    class Failing(DeltaLake):
        left = 5

        def append(self, table, rows, **more):
            if table.name == "signals" and self.left:
                self.left -= 1
                raise Unavailable("the lake is away")
            return super().append(table, rows, **more)

    async def scene() -> None:
        stream, lake = await connect(server), Failing(tmp_path / "lake")
        a = "LTESTVNA4A0000101"
        frames = [(a, report(a, second)) for second in range(10)]
        seq = await stream.publish("frames.default.gbt32960", block(*frames, *frames), "1")
        ingest = make(stream, lake)
        await until_confirmed(stream, seq, ingest)
        assert lake.left == 0
        assert lake.read(SIGNALS, Slice()).num_rows == 10
        assert lake.read(RAW, Slice()).num_rows == 10
        await stream.close()

    asyncio.run(scene())


def test_while_a_commit_is_slow_the_next_batch_gathers(server, tmp_path, monkeypatch):
    """A commit costs nearly the same for few frames: else a slow lake would never catch up."""
    began, published, messages = asyncio.Event(), threading.Event(), 800

    class Clock:
        """Each list that is read takes a little, whatever the machine does beside."""

        now = 0.0

        def monotonic(self) -> float:
            self.now += 0.002
            return self.now

    class Slow(DeltaLake):
        def append(self, *given, **named):
            loop.call_soon_threadsafe(began.set)
            published.wait(60)
            clock.now += 0.06  # longer than from one commit to the next
            return super().append(*given, **named)

    class Whole:
        """The stream, whose messages come in lists of 57, however slowly the server gives them."""

        def __getattr__(self, name):
            return getattr(stream, name)

        async def read(self, *given, **named):
            found = []
            async for some in stream.read(*given, **named):
                found += some
                if found and found[-1].seq in (1, messages + 1):
                    while found:
                        yield found[:57]
                        found = found[57:]
                if not found:
                    yield []

    async def scene() -> None:
        nonlocal loop, stream
        loop = asyncio.get_running_loop()
        stream, lake = await connect(server), Slow(tmp_path / "lake")
        ingest = Ingest(
            Whole(), lake, {"gbt32960": decoder()},
            commit_s=0.04, commit_rows=10_000, future_s=300, dedup_entries=1000,
        )  # fmt: skip
        car, subject = "LTESTVNA4A0000101", "frames.default.gbt32960"
        await stream.publish(subject, block((car, report(car, 0))), "first")
        confirmed = asyncio.create_task(until_confirmed(stream, messages + 1, ingest))
        await began.wait()
        for number in range(1, messages + 1):
            await stream.publish(subject, block((car, report(car, number))), str(number))
        published.set()
        await confirmed
        assert lake.read(SIGNALS, Slice()).num_rows == messages + 1
        # One list of the reader a commit would make 15.
        assert ingest.figures.commits < 10
        await stream.close()

    loop: asyncio.AbstractEventLoop
    stream: NatsStream
    clock = Clock()
    monkeypatch.setattr(ingest_module, "clock", clock)
    asyncio.run(scene())


def test_two_that_work_at_once_store_every_report_once(server, tmp_path):
    """A turn that was lost and not noticed yet: both read the same frames, and repeats."""

    async def scene() -> None:
        stream, other = await connect(server), await connect(server)
        lakes = [DeltaLake(tmp_path / "lake") for _ in range(2)]
        vins = [f"LTESTVNA4A00001{number:02d}" for number in range(20)]
        pair = [make(stream, lakes[0]), make(other, lakes[1])]
        running = [asyncio.create_task(ingest.run()) for ingest in pair]
        seconds = 0
        while seconds < 120 or not sum(ingest.figures.retries for ingest in pair):
            assert seconds < 2000, "they never met"
            frames = [
                (vin, report(vin, at)) for vin in vins for at in (seconds, max(0, seconds - 9))
            ]
            seq = await stream.publish("frames.default.gbt32960", block(*frames), f"m{seconds}")
            seconds += 1
            await asyncio.sleep(0.03)
        async with asyncio.timeout(90):
            while await stream.confirmed("FRAMES", "ingest") < seq:
                assert not any(task.done() for task in running)
                await asyncio.sleep(0.05)
        for ingest in pair:
            ingest.stop()
        await asyncio.gather(*running)
        stored = lakes[0].read(SIGNALS, Slice(columns=("vehicle", "time")))
        assert stored.num_rows == 20 * seconds
        assert stored.group_by(["vehicle", "time"]).aggregate([]).num_rows == 20 * seconds
        await stream.close()
        await other.close()

    asyncio.run(scene())


WORKER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.services.test_ingest import connect_to, make
from carcloud.engines.lake_delta import DeltaLake

async def main():
    stream = await connect_to(int(sys.argv[2]))
    await make(stream, DeltaLake(Path(sys.argv[3]))).run()

asyncio.run(main())
"""


async def connect_to(port: int) -> NatsStream:
    return await NatsStream.connect(
        f"nats://127.0.0.1:{port}", user="u", password="p", max_bytes=MAX_BYTES
    )


def test_an_ingest_that_is_stuck_says_so_until_it_goes_on(server, tmp_path, monkeypatch):
    """A disk that hangs: no error comes, frames only wait."""
    monkeypatch.setattr(ingest_module, "_PATIENCE_S", 0.5)
    free = threading.Event()

    class Hanging(DeltaLake):
        def append(self, *args, **more):
            free.wait(90)
            return super().append(*args, **more)

    async def looked(ingest: Ingest, code: str, present: bool) -> str:
        async with asyncio.timeout(60):
            while True:
                await ingest.measure()
                problems = ingest_figures(ingest).problems
                if (code in problems) is present:
                    return problems.get(code, "")
                await asyncio.sleep(0.05)

    async def scene() -> None:
        stream = await connect(server)
        ingest = make(stream, Hanging(tmp_path / "lake"))
        running = asyncio.create_task(ingest.run())
        await ingest.measure()
        await asyncio.sleep(1)
        await ingest.measure()
        assert not ingest_figures(ingest).problems  # nothing waits: it is idle, not stuck
        vin = "LTESTVNA4A0000101"
        for second in range(3):
            frame = block((vin, report(vin, second)))
            await stream.publish("frames.default.gbt32960", frame, f"stuck-{second}")
        told = await looked(ingest, "ingest-stuck", True)
        assert re.fullmatch(r"\d+ frames wait, and nothing has been committed for \d+ s", told)
        free.set()
        await looked(ingest, "ingest-stuck", False)
        async with asyncio.timeout(20):
            while ingest.figures.stored < 3:
                await asyncio.sleep(0.02)
        ingest.stop()
        await running
        await stream.close()

    asyncio.run(scene())


async def kept(stream: NatsStream, data: bytes, message_id: str) -> int:
    """Published as a gateway does: again where the stream did not answer in time."""
    async with asyncio.timeout(90):  # more than one answer may take
        while True:
            with contextlib.suppress(Unavailable):
                return await stream.publish("frames.default.gbt32960", data, message_id)


async def reached(stream: NatsStream) -> int:
    """What ingest has confirmed; 0 where the stream does not say in time."""
    with contextlib.suppress(Unavailable):
        return await stream.confirmed("FRAMES", "ingest")
    return 0


@pytest.mark.soak
def test_killed_at_any_moment_every_frame_is_one_row(server, tmp_path):
    root = Path(__file__).parents[2]
    lake_path = tmp_path / "lake"

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, str(root), str(server.port), str(lake_path)]
        )

    async def scene() -> None:
        stream = await connect(server)
        vins = [f"LTESTVNA4A00{n:05d}" for n in range(50)]
        seq, worker = 0, start()
        try:
            for second in range(60):
                frames = [(vin, report(vin, second)) for vin in vins]
                seq = await kept(stream, block(*frames), f"s{second}")
                await asyncio.sleep(0.1)
                if second % 10 == 9:
                    os.kill(worker.pid, signal.SIGKILL)
                    worker.wait()
                    worker = start()
            async with asyncio.timeout(200):
                while await reached(stream) < seq:
                    await asyncio.sleep(0.1)
                    if worker.poll() is not None:  # the stream was away when it began
                        worker = start()
        finally:
            worker.kill()
            worker.wait()
        lake = DeltaLake(lake_path)
        for table in (SIGNALS, RAW):
            rows = lake.read(table, Slice(columns=("vehicle", "time")))
            keys = set(zip(rows["vehicle"].to_pylist(), rows["time"].to_pylist(), strict=True))
            assert len(keys) == rows.num_rows == 60 * 50
        await stream.close()

    asyncio.run(scene())


def test_a_frame_that_breaks_the_decoder_becomes_a_letter_alone(server, tmp_path):
    good = decoder()

    def fragile(tenant, vehicles, frames, received):
        if any(b"POISON" in frame for frame in frames.to_pylist()):
            raise ZeroDivisionError("nobody thought of this")
        return good(tenant, vehicles, frames, received)

    async def scene() -> None:
        stream, lake = await connect(server), DeltaLake(tmp_path / "lake")
        a = "LTESTVNA4A0000101"
        frames = [(a, report(a, second)) for second in range(9)]
        frames.insert(4, (a, build(2016, 2, 0xFE, a, b"\x1a\x01\x01\0\0\0POISON")))
        seq = await stream.publish("frames.default.gbt32960", block(*frames), "1")
        ingest = Ingest(
            stream, lake, {"gbt32960": fragile},
            commit_s=0.05, commit_rows=10_000, future_s=300, dedup_entries=1000,
        )  # fmt: skip
        await until_confirmed(stream, seq, ingest)
        assert lake.read(SIGNALS, Slice()).num_rows == 9
        letters = lake.read(LETTERS, Slice()).to_pylist()
        assert [b"POISON" in letter["frame"] for letter in letters] == [True]
        await stream.close()

    asyncio.run(scene())


def test_a_stream_that_began_again_is_refused_and_its_frames_stay(server, tmp_path):
    async def scene() -> None:
        stream, lake = await connect(server), DeltaLake(tmp_path / "lake")
        a = "LTESTVNA4A0000101"
        seq = await stream.publish("frames.default.gbt32960", block((a, report(a, 1))), "1")
        rows = pa.table(
            {
                "vehicle": ["x"],
                "time": pa.array([0], pa.timestamp("us", "UTC")),
                "seq": pa.array([1000], pa.int64()),
            }
        )
        lake.append(SIGNALS, rows, writer="ingest", seq=1000)
        with pytest.raises(StreamReplaced):
            await make(stream, lake).run()
        assert (await stream.info("FRAMES")).messages == seq == 1
        await stream.close()

    asyncio.run(scene())
