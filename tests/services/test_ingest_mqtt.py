"""MQTT batches through ingest on the real stream and lake: once, whatever is sent again."""

import asyncio
import time
from pathlib import Path

import pytest

from carcloud.codecs.mqtt.message import pack_message
from carcloud.codecs.samples import cbor_batch, json_batch, protobuf_batch
from carcloud.engines.lake_delta import DeltaLake
from carcloud.engines.stream_nats import NatsServer
from carcloud.ports.lake import Slice
from carcloud.services.telemetry.decode_mqtt import decoder
from carcloud.services.telemetry.ingest import Ingest
from tests.services.test_ingest import LETTERS, RAW, SIGNALS, block, connect, until_confirmed
from tests.services.test_ingest import server as server  # noqa: PLC0414 - a fixture

CAR = "CAR-0001"
SPEED, BELT, GEAR = (
    "Vehicle.Speed", "Vehicle.Cabin.Seat.Row1.DriverSide.IsBelted",
    "Vehicle.Powertrain.Transmission.SelectedGear",
)  # fmt: skip


def kept(payload: bytes, topic: str = "signals") -> tuple[str, bytes]:
    return CAR, pack_message(f"v1/{CAR}/{topic}", payload)


def test_rows_repeats_letters_and_other_topics(server: NatsServer, tmp_path: Path) -> None:
    async def scene() -> None:
        stream, lake = await connect(server), DeltaLake(tmp_path / "lake")
        now = int(time.time() * 1e3) * 1000
        rows = [(now, {SPEED: 63.5, BELT: True}), (now + 1000, {GEAR: 3})]
        await stream.publish(
            "frames.default.mqtt",
            block(
                kept(json_batch.write(rows)),
                kept(b"{}", "checkin"),
                kept(cbor_batch.write([(now + 2000, {SPEED: 1.0, "No.Such": 1})])),
                kept(b"nonsense"),
            ),
            "1",
        )
        seq = await stream.publish(
            "frames.default.mqtt",
            block(
                kept(json_batch.write(rows)),  # not acknowledged, so sent again
                kept(protobuf_batch.write(reversed(rows))),  # from a spool, in another form
                kept(cbor_batch.write([(now, {SPEED: 64.0})])),  # says otherwise
                kept(cbor_batch.write([(now + 3000, {GEAR: -129})])),
            ),
            "2",
        )
        ingest = Ingest(
            stream, lake, {"mqtt": decoder()},
            commit_s=0.05, commit_rows=10_000, future_s=300, dedup_entries=1000,
        )  # fmt: skip
        await until_confirmed(stream, seq, ingest)
        found = lake.read(SIGNALS, Slice()).sort_by([("time", "ascending"), ("seq", "ascending")])
        names = ("time", "source", "partial", "correction", SPEED, BELT, GEAR)
        told = [
            (int(row[0].timestamp() * 1e6 + 0.5) - now, *row[1:])
            for row in zip(*(found[name].to_pylist() for name in names), strict=True)
        ]
        assert told == [
            (0, "mqtt.json", False, False, 63.5, True, None),
            (0, "mqtt.cbor", False, True, 64.0, None, None),
            (1000, "mqtt.json", False, False, None, None, 3),
            (2000, "mqtt.cbor", True, False, 1.0, None, None),
        ]
        assert ingest.figures.duplicates == 4
        letters = lake.read(LETTERS, Slice()).to_pylist()
        assert sorted(letter["reason"] for letter in letters) == [
            "No.Such: not in the catalogue",
            f"{GEAR}: too large for its type",
            "no batch of samples: no form begins with byte 0x6E",
        ]
        raw = lake.read(RAW, Slice())
        kinds = sorted(zip(raw["kind"].to_pylist(), raw["reports"].to_pylist(), strict=True))
        assert kinds == [("checkin", 0), ("signals", 1), ("signals", 1), ("signals", 2)]
        await stream.close()

    asyncio.run(scene())


def test_what_is_out_of_range_is_kept_and_flagged(server: NatsServer, tmp_path: Path) -> None:
    async def scene() -> None:
        stream, lake = await connect(server), DeltaLake(tmp_path / "lake")
        pedal, state = "Vehicle.Chassis.Accelerator.PedalPosition", "Vehicle.LowVoltageSystemState"
        now = int(time.time() * 1e3) * 1000
        rows = [(now, {pedal: 101, SPEED: 1.0}), (now + 1000, {pedal: 100, state: "BROKEN"})]
        seq = await stream.publish(
            "frames.default.mqtt", block(kept(protobuf_batch.write(rows))), "1"
        )
        ingest = Ingest(
            stream, lake, {"mqtt": decoder()},
            commit_s=0.05, commit_rows=10_000, future_s=300, dedup_entries=1000,
        )  # fmt: skip
        await until_confirmed(stream, seq, ingest)
        found = lake.read(SIGNALS, Slice()).sort_by("time")
        assert found[pedal].to_pylist() == [101, 100]
        assert found["out_of_range"].to_pylist() == [True, True]
        assert found["flagged"].to_pylist() == [[pedal], [state]]
        await stream.close()

    asyncio.run(scene())


def test_rows_that_memory_does_not_hold_come_in_several_commits(
    server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        stream, lake = await connect(server), DeltaLake(tmp_path / "lake")
        now = int(time.time() * 1e3) * 1000

        def frame(path: str, value: object, start: int, count: int) -> tuple[str, bytes]:
            rows = [(now + at, {path: value}) for at in range(start, start + count)]
            return kept(json_batch.write(rows))  # type: ignore[arg-type]

        blocks = [
            block(frame(SPEED, 1.0, 0, 5)),  # 7 columns
            block(frame(BELT, True, 10, 5)),
            block(frame(SPEED, 2.0, 20, 1), frame(GEAR, 3, 30, 10)),
        ]
        for at, data in enumerate(blocks):
            seq = await stream.publish("frames.default.mqtt", data, str(at))
        ingest = Ingest(
            stream, lake, {"mqtt": decoder()},
            commit_s=0.05, commit_rows=10_000, future_s=300, dedup_entries=1000,
        )  # fmt: skip
        await until_confirmed(stream, seq, ingest)
        found = lake.read(SIGNALS, Slice())
        assert sorted(found[SPEED].drop_null().to_pylist()) == [1.0] * 5 + [2.0]
        assert found[BELT].drop_null().to_pylist() == [True] * 5
        assert found.num_rows == 11, "nothing is stored twice"
        assert (ingest.figures.commits, ingest.figures.duplicates) == (3, 0)
        [letter] = lake.read(LETTERS, Slice()).to_pylist()
        assert "more than" in letter["reason"], "in one message by itself it is too much"
        await stream.close()

    monkeypatch.setattr("carcloud.services.telemetry.ingest_batch.MOST_CELLS", 60)
    asyncio.run(scene())
