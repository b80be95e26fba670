"""CAN logs into a vehicle's history: the kind `can-import` on the real stream and lake."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from carcloud.app.engines import LAKE_TABLES
from carcloud.app.job_telemetry import OpenLogs
from carcloud.codecs.can.frames import CanFrames
from carcloud.codecs.can.obd_pids import PIDS
from carcloud.codecs.canlog.decoding import OBD, LogDecoding
from carcloud.codecs.dbc import parse
from carcloud.engines.canlog_files import read_log
from carcloud.engines.lake_delta import DeltaLake
from carcloud.engines.stream_nats import NatsStream
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.model.limits import OverLimit
from carcloud.model.signals import CATALOGUE
from carcloud.model.time import now_us
from carcloud.ports.lake import Slice
from carcloud.services.compute.api import JobFailed
from carcloud.services.telemetry.can_import import Params, run
from carcloud.services.telemetry.can_mapped import MappedCan
from carcloud.services.telemetry.can_rows import lay_rows
from carcloud.services.telemetry.decode_can import decoder, pack_rows
from carcloud.services.telemetry.ingest import Ingest
from carcloud.services.telemetry.work import Work
from carcloud.services.vocabulary.mapping_document import read_mapping
from carcloud.services.vocabulary.mapping_types import Mapping
from tests.data import shared_data
from tests.services.job_scene import context, streaming
from tests.services.test_ingest import RAW, SIGNALS, connect
from tests.services.test_ingest import server as server  # noqa: PLC0414 - a fixture

LOG, DBC = "obd2_gps_3BA199E2_60FEB5A8.MF4", "gnss.dbc"
SPEED, LATITUDE = "Vehicle.Speed", "Vehicle.CurrentLocation.Latitude"
ENGINE = "Vehicle.Powertrain.CombustionEngine.Speed"
YAML = f"""\
dbc: [{DBC}]
signals:
  {SPEED}: {{can: gnss_speed_7.Speed}}
  {LATITUDE}: {{can: gnss_pos_3.Latitude}}
  {ENGINE}: {{obd: "0C", valid: [0, 1500]}}
"""
CAR = """\
VERSION ""
BU_: ECU
BO_ 256 Motion: 8 ECU
 SG_ Speed : 0|16@1+ (0.01,0) [0|300] "km/h" ECU
 SG_ Gear : 16|8@1+ (1,0) [0|2] "" ECU
"""
CAR_YAML = f"dbc: [car.dbc]\nsignals:\n  {SPEED}: {{can: Motion.Speed, valid: [0, 100]}}\n"


@pytest.fixture
def css(tmp_path: Path) -> Path:
    for name in (LOG, DBC):
        shutil.copyfile(shared_data(f"can/css/{name}"), tmp_path / name)
    (tmp_path / "map.yaml").write_text(YAML)
    return tmp_path


def mapping() -> Mapping:
    read = read_mapping(CAR_YAML, {"car.dbc": CAR}, CATALOGUE)
    assert read.checked.findings == ()
    return read.mapping


def motion(*frames: tuple[float, float]) -> CanFrames:
    """Frames of (s since 2023-11-14T22:13:20, km/h)."""
    data = b"".join(round(speed * 100).to_bytes(2, "little") + bytes(6) for _, speed in frames)
    times = [1_700_000_000_000_000_000 + round(s * 1e9) for s, _ in frames]
    payload = np.frombuffer(data, np.uint8)
    return CanFrames.build(times, [256] * len(times), payload, [8] * len(times))


def work(stream: NatsStream | None, model: Mapping | None = None, **other: Any) -> Work:
    given: dict[str, Any] = {
        "records": None, "catalogue": lambda _: CATALOGUE, "mapping": lambda *_: model,
        "vehicles": lambda *_: [], "decoders": {}, "open_logs": OpenLogs,
        "streaming": streaming(stream) if stream else pytest.fail, "room": lambda *_: None,
        "most_log_bytes": 50_000_000, **other,
    }  # fmt: skip
    return Work(**given)


async def imported(folder: Path, lake: DeltaLake, given: Work, params: Params) -> dict[str, Any]:
    return await asyncio.to_thread(run, context(params, lake, folder, []), given)


async def with_ingest(stream: NatsStream, lake: DeltaLake) -> tuple[Ingest, asyncio.Task[None]]:
    ingest = Ingest(
        stream, lake, {"can": decoder()}, commit_s=0.05, commit_rows=100_000, future_s=300,
        dedup_entries=10_000,
    )  # fmt: skip
    return ingest, asyncio.create_task(ingest.run())


def test_a_real_log_becomes_rows_once(server: Any, css: Path) -> None:
    params = Params("CAR-1", "logs", [LOG], "map.yaml", [DBC])

    async def scene() -> None:
        stream, lake = await connect(server), DeltaLake(css / "lake", None, LAKE_TABLES)
        ingest, running = await with_ingest(stream, lake)
        told = await imported(css, lake, work(stream), params)
        again = await imported(css, lake, work(stream), params)
        ingest.stop()
        await running
        await stream.close()
        check(lake, told, again)

    def check(lake: DeltaLake, told: dict[str, Any], again: dict[str, Any]) -> None:
        rows = lake.read(SIGNALS, Slice()).sort_by("time")
        assert rows.num_rows == told["rows"] == told["new_rows"] == again["known_rows"] > 100
        assert (told["known_rows"], again["new_rows"]) == (0, 0)
        assert set(rows["source"].to_pylist()) == {"can.import"}
        assert not any(rows["correction"].to_pylist())
        wanted = expected()
        for path, (times, values) in wanted.items():
            there = rows.filter(rows[path].is_valid())
            assert there["time"].cast(pa.int64()).to_pylist() == times.tolist()
            assert there[path].to_pylist() == pytest.approx(values.tolist(), rel=1e-6)
            assert told["signals"][path] == len(times)
        engine = wanted[ENGINE][1]
        assert told["out_of_range_rows"] == int((engine > 1500).sum()) > 0
        assert lake.count(RAW, Slice()) > 0

    def expected() -> dict[str, tuple[Any, Any]]:
        database, _ = parse((css / DBC).read_bytes())
        values = LogDecoding([database], obd=True).feed(read_log(css / LOG))
        named = {(one.message, one.signal): one for one in values}
        sources = {
            SPEED: (("gnss_speed_7", "Speed"), 3.6),  # m/s
            LATITUDE: (("gnss_pos_3", "Latitude"), 1),
            ENGINE: ((OBD, PIDS[0x0C].name), 1),
        }
        return {
            path: (named[name].time // 1000, named[name].value * factor)
            for path, (name, factor) in sources.items()
        }

    asyncio.run(scene())


def test_rows_are_the_same_however_the_log_is_cut() -> None:
    frames = motion((0, 10), (0.000_000_4, 20), (0.02, 30), (0.03, 120))
    whole = lay_rows(MappedCan(mapping()).feed(frames))
    assert whole[SPEED].to_pylist() == [20, 30, 120]
    assert whole["out_of_range"].to_pylist() == [False, False, True]
    assert whole["flagged"].to_pylist() == [None, None, [SPEED]]
    parts = [lay_rows(MappedCan(mapping()).feed(frames.select([i]))) for i in (1, 2, 3)]
    digests = pa.concat_tables([part.select(["digest"]) for part in parts])["digest"]
    assert digests.to_pylist() == whole["digest"].to_pylist()


def test_what_is_not_mapped_is_counted() -> None:
    reading = MappedCan(mapping())
    reading.feed(motion((0, 10), (1, 20)))
    assert reading.unmapped == {"Motion.Gear": 2}


def test_frames_that_are_no_rows_are_faults() -> None:
    rows = lay_rows(MappedCan(mapping()).feed(motion((0, 10))))
    good = pack_rows(rows)
    strange = pack_rows(rows.append_column("seq", pa.array([1])))
    frames = pa.array([b"noise", good, strange, good[:-40], pack_rows(rows.slice(0, 0))])
    vehicles = pa.array(["V"] * 5)
    found = decoder()(DEFAULT_TENANT, vehicles, frames, pa.array([0] * 5, pa.int64()))
    assert sorted(found.faults) == [0, 2, 3, 4]
    assert found.row_frame.tolist() == [1] and found.rows["vehicle"].to_pylist() == ["V"]


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        (Params("V", "logs", ["a.log"]), "the model of V has no mapping"),
        (Params("V", "logs", ["a.log"], "bad.yaml"), "line 2: Vehicle.Nothing"),
        (Params("V", "logs", ["a.log"], dbc=["car.dbc"]), "DBC files need a mapping"),
        (Params("V", "logs", ["car.dbc"], "car.yaml", ["car.dbc"]), "is no log of a kind"),
        (Params("V", "logs", ["late.log"], "car.yaml", ["car.dbc"]), "the log's clock is wrong"),
        (Params("V", "logs", ["small.log"], "car.yaml", ["car.dbc"]), "since its start alone"),
    ],
)
def test_what_cannot_be_imported_is_refused(tmp_path: Path, params: Params, reason: str) -> None:
    files = {
        "a.log": "(1700000000.0) can0 100#0000000000000000\n",
        "small.log": "(1.5) can0 100#0000000000000000\n",
        "late.log": f"({now_us() // 1_000_000 + 86_400}.0) can0 100#0000000000000000\n",
        "bad.yaml": "signals:\n  Vehicle.Nothing: {obd: 0C}\n",
        "car.yaml": CAR_YAML, "car.dbc": CAR,
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    async def scene() -> None:
        lake = DeltaLake(tmp_path / "lake", None, LAKE_TABLES)
        given = work(None, streaming=streaming(None))  # type: ignore[arg-type]
        with pytest.raises(JobFailed, match=reason) as caught:
            await imported(tmp_path, lake, given, params)
        assert not caught.value.again
        assert str(tmp_path) not in str(caught.value)

    asyncio.run(scene())


def test_a_tenant_without_room_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("(1700000000.0) can0 100#0000000000000000\n")

    def full(_tenant: Any, size: int) -> None:
        raise OverLimit("stored_bytes", 10, 10 + size)

    async def scene() -> None:
        lake = DeltaLake(tmp_path / "lake", None, LAKE_TABLES)
        given = work(None, mapping(), room=full, streaming=streaming(None))  # type: ignore[arg-type]
        with pytest.raises(JobFailed) as caught:
            await imported(tmp_path, lake, given, Params("V", "logs", ["a.log"]))
        assert caught.value.limit == "stored_bytes"

    asyncio.run(scene())
