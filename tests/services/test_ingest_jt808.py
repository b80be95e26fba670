"""JT/T 808 messages as rows, and through ingest on the real stream and lake."""

import asyncio
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
from carcloud.model.time import to_us
from carcloud.ports.lake import Slice
from carcloud.services.telemetry.decode_jt808 import decoder
from carcloud.services.telemetry.ingest import Ingest
from carcloud.services.telemetry.protocols import DecodedFrames
from carcloud.services.vehicles.api import CurrentSign, Datum, Reporting
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


@pytest.mark.timeout(60)
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
