"""The meters of messages agree with the lake, whatever was committed when."""

import asyncio

import pyarrow as pa
import pytest

from carcloud.codecs.gbt32960.frame import build
from carcloud.engines.lake_delta import DeltaLake
from carcloud.engines.stream_nats import NatsServer
from carcloud.model.ids import Tenant
from carcloud.model.streams import USAGE
from carcloud.model.time import now_us
from carcloud.model.usage import Usage, usage_event
from carcloud.ports.lake import Slice, TableRef
from carcloud.services.metering.api import Metering, UsageCounter
from carcloud.services.telemetry.ingest_position import WRITER
from carcloud.services.telemetry.received import count_received
from carcloud.services.telemetry.tables import RAW, SIGNALS
from tests.services.test_ingest import MAX_BYTES, T, block, connect, make, report, until_confirmed

CAR = "LTESTVNA4A0000101"
FOREVER = (0, 10**15 * 4)


@pytest.fixture
def server(tmp_path):
    server = NatsServer.start(tmp_path / "nats", user="u", password="p", max_bytes=MAX_BYTES)
    yield server.ready()
    server.stop()


def total(metering, meter="messages", tenant=T):
    return metering.total(tenant, meter, *FOREVER)


def test_reports_that_became_rows_count_once(server, tmp_path, sqlite):
    metering = Metering(sqlite)

    async def scene() -> None:
        stream, lake = await connect(server), DeltaLake(tmp_path / "lake")
        frames = [(CAR, report(CAR, second)) for second in range(30)]
        login = (CAR, build(2016, 7, 0xFE, CAR))
        await stream.publish("frames.default.gbt32960", block(*frames, login), "1")
        again = [*frames[:7], ("", b"noise", '{"reason": "bcc", "clause": "", "offset": 0}')]
        seq = await stream.publish("frames.default.gbt32960", block(*again), "2")
        await until_confirmed(stream, seq, make(stream, lake))
        assert count_received(lake, metering, [T]) == 30
        assert count_received(lake, metering, [T]) == 0
        assert total(metering) == lake.count(TableRef(T, SIGNALS), Slice()) == 30
        assert total(metering, "message_bytes") == sum(len(frame) for _, frame in frames)
        seq = await stream.publish("frames.default.gbt32960", block((CAR, report(CAR, 31))), "3")
        await until_confirmed(stream, seq, make(stream, lake))
        lake.upkeep(TableRef(T, RAW), keep_days=None)  # merged files hold the same rows
        assert count_received(lake, metering, [T, Tenant("nobody")]) == 1
        await stream.close()

    asyncio.run(scene())


def rows(seqs, at):
    count = len(seqs)
    return pa.table({
        "vehicle": [CAR] * count, "time": pa.array([at] * count, pa.timestamp("us", "UTC")),
        "received": pa.array([at] * count, pa.timestamp("us", "UTC")),
        "seq": pa.array(seqs, pa.int64()), "protocol": ["x"] * count, "kind": ["x"] * count,
        "reports": pa.array([1] * count, pa.int32()), "size": pa.array([50] * count, pa.int32()),
        "frame": pa.array([b"x"] * count, pa.binary()),
    })  # fmt: skip


def test_stretches_and_hours(tmp_path, sqlite):
    metering, lake, table = Metering(sqlite), DeltaLake(tmp_path / "lake"), TableRef(T, RAW)
    now = now_us()
    lake.append(table, rows([1, 5_000, 5_001], now), writer=WRITER, seq=5_001)
    lake.append(table, rows([20_000], now - 3_600_000_000), writer=WRITER, seq=20_000)
    assert count_received(lake, metering, [T]) == 4
    told = metering.usage(T, now - 3 * 3_600_000_000, now + 1)
    assert [u.quantity for u in told if u.meter == "messages"] == [1, 3]
    assert metering.position("lake.default.frames") == 20_000


def test_a_lake_that_was_put_back_counts_nothing_twice(tmp_path, sqlite):
    metering, lake, table = Metering(sqlite), DeltaLake(tmp_path / "lake"), TableRef(T, RAW)
    metering.count_stretch("lake.default.frames", 0, 900, [])
    lake.append(table, rows([1, 2], now_us()), writer=WRITER, seq=2)
    assert count_received(lake, metering, [T]) == 0
    lake.append(table, rows([3], now_us()), writer=WRITER, seq=3)
    assert count_received(lake, metering, [T]) == 1


def test_a_table_from_before_counts_nothing(tmp_path, sqlite):
    metering, lake, table = Metering(sqlite), DeltaLake(tmp_path / "lake"), TableRef(T, RAW)
    old = rows([1, 2], now_us()).drop_columns(["reports", "size"])
    lake.append(table, old, writer=WRITER, seq=2)
    assert count_received(lake, metering, [T]) == 0
    lake.append(table, rows([3], now_us()), writer=WRITER, seq=3)
    assert count_received(lake, metering, [T]) == 1


def test_what_services_tell_reaches_the_meters_once(server, tmp_path, sqlite):
    from carcloud.app.metering import MeteringJobs

    metering = Metering(sqlite)

    async def scene() -> None:
        stream, lake = await connect(server), DeltaLake(tmp_path / "lake")
        jobs = MeteringJobs(stream, lake, metering, lambda: [T], close_days=3)
        counter = UsageCounter(stream, "web-1")
        for quantity in (1, 2, 3):
            counter.add(T, "api_requests", quantity)
        assert counter.waiting(T, "api_requests") == 6
        await counter.flush()
        job = usage_event(Usage("job-1", T, "compute_seconds", 5_000, now_us(), "job-1", "lab"))
        for attempt in ("a", "b"):  # long after the stream's own window for repeats
            await stream.publish(job.subject, job.data, attempt)
        await stream.publish("usage.default", b"nonsense", "n")
        reading = asyncio.create_task(jobs.read())
        async with asyncio.timeout(60):
            while (await stream.info(USAGE.name)).messages or jobs.counted < 2:
                await asyncio.sleep(0.05)
        reading.cancel()
        assert (total(metering, "api_requests"), total(metering, "compute_seconds")) == (6, 5_000)
        assert jobs.refused == 1
        assert "nonsense" not in jobs.figures().problems["usage-refused"]
        counter.add(T, "api_requests", 4)
        await counter.flush()
        again = MeteringJobs(stream, lake, metering, lambda: [T], close_days=3)
        reading = asyncio.create_task(again.read())
        async with asyncio.timeout(60):
            while again.counted < 1:
                await asyncio.sleep(0.05)
        reading.cancel()
        assert total(metering, "api_requests") == 10
        await jobs.measure()
        assert metering.sizes() == {T: {"lake": 0, "storage": 0}}
        await stream.close()

    asyncio.run(scene())


def test_sizes_are_billed_once_a_slot_and_added_up(local, clock):
    clock.now -= clock.now % 300_000_000
    for _ in range(3):
        local.note_size(T, "lake", 12_000, "lake_bytes_hours")
        clock.now += 60_000_000
    local.note_size(T, "storage", 500)
    assert local.sizes() == {T: {"lake": 12_000, "storage": 500}}
    assert total(local, "lake_bytes_hours") == 1_000  # five minutes of it
    clock.now += 300_000_000
    local.note_size(T, "lake", 24_000, "lake_bytes_hours")
    assert total(local, "lake_bytes_hours") == 3_000
    assert local.sizes()[T]["lake"] == 24_000
