"""Records of campaigns through ingest on the real stream and lake: once, however often sent."""

import asyncio
import time
from pathlib import Path

from carcloud.codecs.campaign.record import RawFrame, Record, Series, encode
from carcloud.codecs.mqtt.message import pack_message
from carcloud.engines.lake_delta import DeltaLake
from carcloud.engines.stream_nats import NatsServer
from carcloud.ports.lake import Slice, TableRef
from carcloud.services.telemetry.decode_mqtt import decoder
from carcloud.services.telemetry.ingest import Ingest
from tests.services.test_ingest import LETTERS, RAW, SIGNALS, block, connect, until_confirmed
from tests.services.test_ingest import server as server  # noqa: PLC0414 - a fixture

CAR = "CAR-0001"
SPEED, GEAR = "Vehicle.Speed", "Vehicle.Powertrain.Transmission.SelectedGear"
EVENTS = TableRef(SIGNALS.tenant, "campaign_events")


def sent(record: Record) -> tuple[str, bytes]:
    return CAR, pack_message(f"v1/{CAR}/collected", encode((record,)))


def test_records_become_rows_once_and_what_is_unknown_a_letter(
    server: NatsServer, tmp_path: Path
) -> None:
    async def scene() -> None:
        stream, lake = await connect(server), DeltaLake(tmp_path / "lake")
        now = int(time.time() * 1e3) * 1000
        series = (Series(SPEED, (-2000, -1000, 0), (1.0, 2.0, 3.0)), Series(GEAR, (0,), (4,)))
        frames = (RawFrame(-500, 0x123, False, "can0", b"\x01\xff"),)
        risen = Series("Vehicle.MultiRisingEdgeTrigger", (0,), (["hot"],))
        first = Record("c", 2, 7, now, (*series, risen), frames, (("fleet", "north"),))
        empty = Record("c", 2, 8, now + 1_000_000)
        odd = Record("c", 2, 9, now + 2_000_000, (series[0], Series("No.Such", (0,), (1,))))
        strange = Record("d", 1, 7, now)
        torn = CAR, pack_message(f"v1/{CAR}/collected", b"\x0a\xff")
        messages = [sent(first), sent(empty), sent(odd), sent(strange), torn]
        await stream.publish("frames.default.mqtt", block(*messages), "1")
        seq = await stream.publish("frames.default.mqtt", block(*messages[:3]), "2")
        ingest = Ingest(
            stream, lake, {"mqtt": decoder(campaigns=lambda _tenant: {"c"})},
            commit_s=0.05, commit_rows=10_000, future_s=300, dedup_entries=1000,
        )  # fmt: skip
        await until_confirmed(stream, seq, ingest)
        rows = lake.read(SIGNALS, Slice()).sort_by("time")
        assert rows[SPEED].to_pylist() == [1.0, 2.0, 3.0] * 2
        assert rows[GEAR].to_pylist() == [None, None, 4, None, None, None]
        assert set(rows["source"].to_pylist()) == {"mqtt.campaign"}
        found = lake.read(EVENTS, Slice()).sort_by("time").to_pylist()
        assert [(one["event"], one["samples"]) for one in found] == [(7, 4), (8, 0), (9, 4)]
        assert (found[0]["campaign"], found[0]["version"], found[0]["fired"]) == ("c", 2, ["hot"])
        at = now - 500
        assert found[0]["frames"] == [f"({at // 10**6}.{at % 10**6:06d}) can0 123#01FF"]
        assert found[0]["dimensions"] == '{"fleet": "north"}'
        assert found[0]["bytes"] == len(encode((first,)))
        reasons = {
            one["reason"].partition(":")[0] for one in lake.read(LETTERS, Slice()).to_pylist()
        }
        assert reasons == {"No.Such", "there is no campaign 'd'", "no batch of records"}
        raw = lake.read(RAW, Slice())
        assert sorted(raw["reports"].to_pylist()) == [0, 3, 3]
        await stream.close()

    asyncio.run(scene())
