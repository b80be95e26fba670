"""JT/T 808 messages as rows, and through ingest on the real stream and lake."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from carcloud.codecs.jt808.encode import encode, encode_position
from carcloud.codecs.jt808.frame import build, build_message
from carcloud.engines.lake_delta import DeltaLake
from carcloud.engines.stream_nats import NatsServer
from carcloud.kernels.geo import gcj02_to_wgs84
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.model.signals import CATALOGUE
from carcloud.model.time import to_us
from carcloud.ports.lake import Slice
from carcloud.services.telemetry.decode_jt808 import decoder
from carcloud.services.telemetry.decode_jt808_can import moment
from carcloud.services.telemetry.ingest import Ingest
from carcloud.services.telemetry.protocols import DecodedFrames
from carcloud.services.vehicles.api import CurrentSign, Datum, Reporting
from carcloud.services.vocabulary.mapping_document import read_mapping
from carcloud.services.vocabulary.mapping_types import Mapping
from tests.codecs.jt808 import examples as ex
from tests.codecs.jt808.bodies import BASIC, TIME
from tests.services.test_ingest import LETTERS, RAW, SIGNALS, block, connect, until_confirmed
from tests.services.test_ingest import server as server  # noqa: PLC0414 - a fixture

TRUCK = "13900000101"
LATITUDE, LONGITUDE = (f"Vehicle.CurrentLocation.{name}" for name in ("Latitude", "Longitude"))
DATUM = "Vehicle.CurrentLocation.CoordinateSystem"


NOW = datetime.now(UTC).replace(microsecond=0)


def report(seconds: int, since: datetime = TIME, **fields: object) -> bytes:
    """A body of 0x0200."""
    return encode_position(BASIC | {"time": since + timedelta(seconds=seconds), **fields})


def recent(seconds: int) -> bytes:
    return report(seconds, NOW - timedelta(hours=1))


def batch(*contents: bytes, kind: int = 1) -> bytes:
    records = [{"position": content} for content in contents]
    return encode(0x0704, 2019, {"kind": kind, "positions": records})


def decoded(*messages: bytes, vehicle: str = TRUCK, **options: object) -> DecodedFrames:
    decode = decoder(**options)  # type: ignore[arg-type]
    names = pa.array([vehicle] * len(messages), pa.string())
    received = pa.array([to_us(TIME)] * len(messages), pa.int64())
    return decode(DEFAULT_TENANT, names, pa.array(messages, pa.binary()), received)


def test_messages_with_and_without_positions() -> None:
    long = b"".join(build_message(2019, 0x0704, TRUCK, 7, batch(*map(report, range(40)))))
    found = decoded(
        ex.POSITION_2019, ex.HEARTBEAT_2019, ex.CAN_2019, long, ex.POSITION_2019[:-2] + b"\0\x7e",
        build(2013, 0xF123, TRUCK, 0),
    )  # fmt: skip
    assert found.kinds.to_pylist() == [
        "position", "heartbeat", "can", "position-batch", "unreadable", "0xf123",
    ]  # fmt: skip
    assert found.row_frame.tolist() == [0] + [3] * 40
    assert found.times.tolist() == [to_us(TIME), -1, -1, to_us(TIME), -1, -1]
    assert {index: fault.reason for index, fault in found.faults.items()} == {4: "bcc"}
    row = found.rows.to_pylist()[0]
    assert (row["vehicle"], row["source"]) == (TRUCK, "jt808.2019.0200")
    assert row["Vehicle.Regulatory.AlarmCodes"] == ["jt_overspeed"]


def test_the_vehicle_is_the_one_that_the_gateway_let_in() -> None:
    assert decoded(ex.POSITION_2019, vehicle="TRUCK-7").rows["vehicle"].to_pylist() == ["TRUCK-7"]


def test_positions_of_a_model_in_gcj02_become_wgs84() -> None:
    special = {TRUCK: Reporting(Datum.GCJ02, CurrentSign.DISCHARGE)}
    rows = decoded(ex.POSITION_2019, styles=lambda names: special).rows
    assert rows[DATUM].to_pylist() == ["GCJ02"]
    longitude, latitude = gcj02_to_wgs84([121.473701], [31.230416])
    assert rows[LONGITUDE].to_pylist() == pytest.approx(list(longitude))
    assert rows[LATITUDE].to_pylist() == pytest.approx(list(latitude))
    assert DATUM not in decoded(ex.POSITION_2019, styles=lambda names: {}).rows.column_names
    unplaced = build(2013, 0x0200, TRUCK, 0, report(0, status=0))
    assert LATITUDE not in decoded(unplaced, styles=lambda names: special).rows.column_names


def test_reports_of_times_that_cannot_be_are_faults() -> None:
    day = 86_400
    ahead, old, good = report(73 * 365 * day), report(-91 * day), report(-89 * day)
    media = build(2019, 0x0801, TRUCK, 0, bytes(8) + ahead[:28] + b"picture")
    found = decoded(
        build(2019, 0x0200, TRUCK, 0, ahead),
        build(2019, 0x0704, TRUCK, 1, batch(old, good, ahead)),
        build(2019, 0x0200, TRUCK, 2, report(299)),
        media,
    )
    assert found.row_frame.tolist() == [1, 2]
    assert found.times.tolist() == [-1, -1, to_us(TIME) + 299_000_000, -1]
    assert {index: fault.reason for index, fault in found.faults.items()} == {
        0: "time 2099-02-24T07:09:26.000Z is too far ahead",
        1: "time 2025-12-13T07:09:26.000Z is too long ago; and 1 more",
    }
    tighter = decoded(build(2019, 0x0200, TRUCK, 0, good), past_us=day * 1_000_000)
    assert (tighter.rows.num_rows, list(tighter.faults)) == (0, [0])


def test_one_message_cannot_reach_more_dates_than_a_vehicle_may_keep() -> None:
    body = batch(*(report(-day * 86_400) for day in range(8000)))
    frame = b"".join(build_message(2019, 0x0704, TRUCK, 0, body))
    found = decoded(frame)
    assert len({time.date() for time in found.rows["time"].to_pylist()}) == 91
    assert found.faults[0].reason.endswith("; and 7908 more")


def test_a_position_is_stored_once_however_often_it_comes(
    server: NatsServer, tmp_path: Path
) -> None:
    def frame(message: int, body: bytes = b"") -> tuple[str, bytes]:
        return TRUCK, build(2019, message, TRUCK, 0, body)

    async def scene() -> None:
        stream, lake = await connect(server), DeltaLake(tmp_path / "lake")
        first = block(frame(0x0200, recent(0)), frame(0x0200, recent(30)), frame(0x0002))
        await stream.publish("frames.default.jt808", first, "1")
        again = block(
            frame(0x0200, recent(0)),
            frame(0x0704, batch(recent(0), recent(30), recent(60))),
            frame(0x0704, batch(recent(0), recent(30))),
            frame(0x0704, batch(recent(90), b"short")),
            frame(0x0705, ex.CAN_2019[18:-2]),
        )
        seq = await stream.publish("frames.default.jt808", again, "2")
        ingest = Ingest(
            stream, lake, {"jt808": decoder()},
            commit_s=0.05, commit_rows=10_000, future_s=300, dedup_entries=1000,
        )  # fmt: skip
        await until_confirmed(stream, seq, ingest)
        rows = lake.read(SIGNALS, Slice()).sort_by("time")
        seconds = [
            int((time - NOW + timedelta(hours=1)).total_seconds())
            for time in rows["time"].to_pylist()
        ]
        assert list(zip(seconds, rows["source"].to_pylist(), strict=True)) == [
            (0, "jt808.2019.0200"), (30, "jt808.2019.0200"),
            (60, "jt808.2019.0704"), (90, "jt808.2019.0704"),
        ]  # fmt: skip
        assert sorted(lake.read(RAW, Slice())["kind"].to_pylist()) == [
            "can", "heartbeat", "position", "position", "position-batch", "position-batch",
        ]  # fmt: skip
        assert lake.read(LETTERS, Slice())["reason"].to_pylist() == ["overrun"]
        assert ingest.figures.duplicates == 5
        await stream.close()

    asyncio.run(scene())


CAN_DBC = """\
BO_ 291 Wheels: 8 ECU
 SG_ Speed : 8|8@1+ (1,0) [0|250] "km/h" ECU
BO_ 2566844672 CCVS: 8 ECU
 SG_ Brake : 0|8@1+ (1,0) [0|100] "%" ECU
"""
CAN_YAML = """\
dbc: [truck.dbc]
signals:
  Vehicle.Speed: {can: Wheels.Speed}
  Vehicle.Chassis.Brake.PedalPosition: {can: CCVS.Brake}
"""


def test_can_uploads_become_rows_where_the_model_maps_them() -> None:
    read = read_mapping(CAN_YAML, {"truck.dbc": CAN_DBC}, CATALOGUE)
    assert read.checked.findings == ()
    asked: list[list[str]] = []

    def mappings(_tenant: object, names: Sequence[str]) -> dict[str, Mapping]:
        asked.append(list(names))
        return {TRUCK: read.mapping}

    found = decoded(ex.POSITION_2019, ex.CAN_2019, ex.HEARTBEAT_2019, mappings=mappings)
    assert found.row_frame.tolist() == [0, 1] and not found.faults
    row = found.rows.to_pylist()[1]
    at = TIME.replace(hour=7, minute=9, second=26, microsecond=350_000)  # 15:09:26.0350 GMT+8
    assert (row["time"], row["source"], row["vehicle"]) == (at, "jt808.2019.0705", TRUCK)
    assert (row["Vehicle.Speed"], row["Vehicle.Chassis.Brake.PedalPosition"]) == (1, 8)
    assert found.times.tolist() == [to_us(TIME), to_us(at), -1]
    assert asked == [[TRUCK], [TRUCK]]  # for the position, and for the upload
    again = decoded(ex.CAN_2019, mappings=mappings).rows
    assert again["digest"].to_pylist() == [row["digest"]]


def test_can_uploads_stay_raw_where_nobody_maps_them() -> None:
    assert decoded(ex.CAN_2019, mappings=lambda *_: {}).rows.num_rows == 0
    assert decoded(ex.CAN_2019).rows.num_rows == 0


def test_a_broken_can_upload_is_a_fault_of_its_own() -> None:
    read = read_mapping(CAN_YAML, {"truck.dbc": CAN_DBC}, CATALOGUE)
    short = build(2019, 0x0705, TRUCK, 3, bytes.fromhex("00021509260350000001230001"))
    timeless = build(2019, 0x0705, TRUCK, 4, bytes.fromhex("0001250926035000000123") + bytes(8))
    found = decoded(short, timeless, ex.CAN_2019, mappings=lambda *_: {TRUCK: read.mapping})
    assert {index: fault.reason for index, fault in found.faults.items()} == {
        0: "overrun", 1: "time",
    }  # fmt: skip
    assert found.row_frame.tolist() == [2]


def test_the_date_of_a_can_upload_is_that_of_the_nearest_day() -> None:
    midnight = to_us(TIME.replace(hour=16, minute=0, second=0, microsecond=0))  # GMT+8
    second = 1_000_000
    assert moment("2359590500", midnight + second) == midnight - second // 2
    assert moment("0000010000", midnight - second) == midnight + second
