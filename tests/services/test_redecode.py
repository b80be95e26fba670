"""History decoded anew: the kind `redecode` on the real stream, lake and records."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.compute as pc
import pytest

from carcloud.app.engines import LAKE_TABLES
from carcloud.engines.blobs_object import ObjectBlobs
from carcloud.engines.lake_delta import DeltaLake
from carcloud.engines.records_sql import SqlRecords
from carcloud.engines.stream_nats import NatsStream
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.model.signals import CATALOGUE
from carcloud.ports.lake import Slice
from carcloud.ports.records import Records
from carcloud.services.compute.api import JobFailed
from carcloud.services.telemetry.dead_letters import DeadLetters
from carcloud.services.telemetry.decode_gbt32960 import decoder
from carcloud.services.telemetry.ingest import Ingest
from carcloud.services.telemetry.protocols import Decoder
from carcloud.services.telemetry.redecode import Params, run
from carcloud.services.telemetry.twins import Twins
from carcloud.services.telemetry.work import Work
from carcloud.services.tenancy.api import Tenancy
from carcloud.services.vehicles.api import CurrentSign, Datum, Reporting
from carcloud.services.vocabulary.mapping_document import read_mapping
from tests.services.job_scene import context, streaming
from tests.services.test_fields_gbt32960 import own
from tests.services.test_ingest import RAW, SIGNALS, block, connect, report, until_confirmed
from tests.services.test_ingest import server as server  # noqa: PLC0414 - a fixture

CAR, OTHER = "LTESTVNA4A0000101", "LTESTVNA6A0000102"
CURRENT = "Vehicle.Powertrain.TractionBattery.CurrentCurrent"
SPAN = Params("sedan", "2025-10-09T00:00:00Z", "2025-10-10T00:00:00Z")


def reporting(sign: CurrentSign) -> Decoder:
    """Frames as they are read where the model's current is positive so."""

    def styles(names: Sequence[str]) -> Mapping[str, Reporting]:
        return {name: Reporting(Datum.WGS84, sign) for name in names if name == CAR}

    return decoder(styles=styles)


def work(stream: NatsStream, records: Records, decode: Decoder) -> Work:
    return Work(
        records=records, catalogue=lambda _: {}, mapping=lambda *_: None,
        vehicles=lambda *_: [CAR], decoders={"gbt32960": decode}, streaming=streaming(stream),
        open_logs=lambda *_: pytest.fail("no log"), room=lambda *_: None, most_log_bytes=0,
    )  # fmt: skip


def ingest(stream: NatsStream, lake: DeltaLake, decode: Decoder) -> Ingest:
    return Ingest(
        stream, lake, {"gbt32960": decode}, commit_s=0.05, commit_rows=10_000, future_s=300,
        dedup_entries=1000,
    )  # fmt: skip


async def done(params: Params, lake: DeltaLake, folder: Path, given: Work) -> dict[str, Any]:
    job = context(params, lake, folder, [])
    return await asyncio.to_thread(run, job, given)


def currents(lake: DeltaLake, vehicle: str) -> list[float]:
    rows = lake.read(SIGNALS, Slice(vehicles=(vehicle,))).sort_by("time")
    return [round(one, 3) for one in rows[CURRENT].to_pylist()]


async def shown(twins: Twins, current: float) -> None:
    """Wait until the twin has heard of it."""
    said = None
    for _ in range(600):
        said = (await twins.of(DEFAULT_TENANT)).get(CAR).signals[CURRENT].value
        if said == pytest.approx(current):
            return
        await asyncio.sleep(0.05)
    assert said == pytest.approx(current)


def test_rows_become_what_frames_say_today(server, tmp_path):
    async def scene() -> None:
        stream, lake = await connect(server), DeltaLake(tmp_path / "lake", None, LAKE_TABLES)
        records = SqlRecords(f"sqlite:///{tmp_path}/records.sqlite")
        old, new = reporting(CurrentSign.DISCHARGE), reporting(CurrentSign.CHARGE)
        for seconds in (range(5), range(3, 8)):  # the second message repeats two reports
            both = [(vin, report(vin, s)) for s in seconds for vin in (CAR, OTHER)]
            seq = await stream.publish("frames.default.gbt32960", block(*both), str(seconds))
            await until_confirmed(stream, seq, ingest(stream, lake, old))
        assert lake.count(SIGNALS, Slice()) == 16
        before = lake.read(SIGNALS, Slice()).sort_by(
            [("vehicle", "ascending"), ("time", "ascending")]
        )
        was = currents(lake, CAR)
        assert len(set(was)) == 1 and was[0] != 0
        twins = Twins(lake, stream, ObjectBlobs(str(tmp_path / "blobs")))
        assert (await twins.of(DEFAULT_TENANT)).get(CAR).signals[CURRENT].value == pytest.approx(
            was[0]
        )

        same = await done(SPAN, lake, tmp_path, work(stream, records, old))
        assert (same["frames"], same["changed_rows"], same["added_rows"]) == (8, 0, 0)
        told = await done(SPAN, lake, tmp_path, work(stream, records, new))
        assert told == {
            "vehicles": 1, "frames": 8, "unreadable_frames": 0, "rows": 8, "changed_rows": 8,
            "added_rows": 0, "removed_rows": 0, "letters_taken_in": 0,
        }  # fmt: skip
        assert currents(lake, CAR) == [-one for one in was]
        assert currents(lake, OTHER) == was
        after = lake.read(SIGNALS, Slice()).sort_by(
            [("vehicle", "ascending"), ("time", "ascending")]
        )
        kept = ["vehicle", "time", "received", "seq", "digest", "correction", "source"]
        assert after.select(kept) == before.select(kept)
        await shown(twins, -was[0])
        fresh = Twins(lake, stream, ObjectBlobs(str(tmp_path / "blobs")))
        assert (await fresh.of(DEFAULT_TENANT)).get(CAR).signals[CURRENT].value == -was[0]
        await twins.stop()
        again = await done(SPAN, lake, tmp_path, work(stream, records, new))
        assert again["changed_rows"] == 0
        await stream.close()

    asyncio.run(scene())


def test_a_maker_s_data_come_in_from_history(server, tmp_path):
    hood = "Vehicle.Body.Hood.IsOpen"
    text = f"signals:\n  {hood}: {{field: gbt32960.unit.0x83.bit@1.0}}\n"
    known = read_mapping(text, {}, CATALOGUE).mapping

    async def scene() -> None:
        stream, lake = await connect(server), DeltaLake(tmp_path / "lake", None, LAKE_TABLES)
        records = SqlRecords(f"sqlite:///{tmp_path}/records.sqlite")
        frames = [(CAR, own(CAR, s, bytes([0, s]))) for s in range(4)]
        seq = await stream.publish("frames.default.gbt32960", block(*frames), "1")
        await until_confirmed(stream, seq, ingest(stream, lake, decoder()))
        assert hood not in lake.read(SIGNALS, Slice()).column_names
        new = decoder(mappings=lambda _tenant, names: dict.fromkeys(names, known))
        told = await done(SPAN, lake, tmp_path, work(stream, records, new))
        assert (told["changed_rows"], told["added_rows"]) == (4, 0)
        rows = lake.read(SIGNALS, Slice()).sort_by("time")
        assert rows[hood].to_pylist() == [False, True, False, True]
        await stream.close()

    asyncio.run(scene())


def test_who_is_killed_behind_a_commit_tells_the_twins_the_next_time(server, tmp_path):
    @contextmanager
    def killed() -> Iterator[Any]:
        yield SimpleNamespace(do=lambda _: (_ for _ in ()).throw(KeyboardInterrupt))

    async def scene() -> None:
        stream, lake = await connect(server), DeltaLake(tmp_path / "lake", None, LAKE_TABLES)
        records = SqlRecords(f"sqlite:///{tmp_path}/records.sqlite")
        old, new = reporting(CurrentSign.DISCHARGE), reporting(CurrentSign.CHARGE)
        frames = [(CAR, report(CAR, s)) for s in range(3)]
        seq = await stream.publish("frames.default.gbt32960", block(*frames), "1")
        await until_confirmed(stream, seq, ingest(stream, lake, old))
        was = currents(lake, CAR)
        blobs = ObjectBlobs(str(tmp_path / "blobs"))
        twins = Twins(lake, stream, blobs)
        await twins.of(DEFAULT_TENANT)
        given = replace(work(stream, records, new), streaming=killed)
        with suppress(KeyboardInterrupt):
            run(context(SPAN, lake, tmp_path, []), given)
        assert currents(lake, CAR) == [-one for one in was]
        await twins.stop()  # with a last snapshot, which has the old value
        twins = Twins(lake, stream, blobs)
        assert (await twins.of(DEFAULT_TENANT)).get(CAR).signals[CURRENT].value == was[-1]
        again = await done(SPAN, lake, tmp_path, work(stream, records, new))
        assert again["changed_rows"] == 0
        await shown(twins, -was[-1])
        fresh = Twins(lake, stream, blobs)
        assert (await fresh.of(DEFAULT_TENANT)).get(CAR).signals[CURRENT].value == -was[-1]
        await twins.stop()
        await stream.close()

    asyncio.run(scene())


def test_a_message_is_replaced_whole_where_the_span_cuts_it(server, tmp_path):
    async def scene() -> None:
        stream, lake = await connect(server), DeltaLake(tmp_path / "lake", None, LAKE_TABLES)
        records = SqlRecords(f"sqlite:///{tmp_path}/records.sqlite")
        frames = [(CAR, report(CAR, s)) for s in range(6)]
        seq = await stream.publish("frames.default.gbt32960", block(*frames), "1")
        await until_confirmed(stream, seq, ingest(stream, lake, reporting(CurrentSign.DISCHARGE)))
        was = currents(lake, CAR)
        first = pc.min(lake.read(RAW, Slice())["time"]).as_py()
        cut = first.replace(second=first.second + 3).isoformat().replace("+00:00", "Z")
        part = Params("sedan", SPAN.start, cut)
        told = await done(
            part, lake, tmp_path, work(stream, records, reporting(CurrentSign.CHARGE))
        )
        assert told["changed_rows"] == 6 and currents(lake, CAR) == [-one for one in was]
        await stream.close()

    asyncio.run(scene())


def test_letters_that_can_be_read_now_are_taken_in(server, tmp_path):
    async def scene() -> None:
        stream, lake = await connect(server), DeltaLake(tmp_path / "lake", None, LAKE_TABLES)
        records = SqlRecords(f"sqlite:///{tmp_path}/records.sqlite")
        Tenancy(records)
        letters = DeadLetters(lake, stream, records)
        letters.create_tables()
        strange = Ingest(
            stream, lake, {}, commit_s=0.05, commit_rows=10_000, future_s=300, dedup_entries=10
        )
        data = block((CAR, report(CAR, 1)), (CAR, report(CAR, 2)[:40]), (OTHER, report(OTHER, 1)))
        seq = await stream.publish("frames.default.gbt32960", data, "1")
        await until_confirmed(stream, seq, strange)
        decode = reporting(CurrentSign.CHARGE)
        given = work(stream, records, decode)
        now = Params("sedan", SPAN.start, "2035-10-10T00:00:00Z")
        told = await done(now, lake, tmp_path, given)
        assert told["letters_taken_in"] == 1
        info = await stream.info("FRAMES")
        await until_confirmed(stream, info.last_seq, ingest(stream, lake, decode))
        assert lake.read(SIGNALS, Slice())["vehicle"].to_pylist() == [CAR]
        assert (await done(now, lake, tmp_path, given))["letters_taken_in"] == 0
        await stream.close()

    asyncio.run(scene())


def test_a_span_that_is_none_is_refused(tmp_path):
    lake = DeltaLake(tmp_path / "lake", None, LAKE_TABLES)
    params = Params("sedan", "2025-10-10T00:00:00Z", "2025-10-09T00:00:00Z")
    with pytest.raises(JobFailed, match="`to` must be after `from`"):
        run(context(params, lake, tmp_path, []), None)  # type: ignore[arg-type]
