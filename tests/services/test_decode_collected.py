"""Records of campaigns that nobody should send: each makes a fault that tells why, none raises."""

import re
from dataclasses import replace

import pyarrow as pa
import pytest

from carcloud.codecs.campaign.gathering import RISEN_PATH
from carcloud.codecs.campaign.record import RawFrame, Record, Series, encode
from carcloud.codecs.campaign.wire import put_bytes, put_packed
from carcloud.codecs.mqtt.message import pack_message
from carcloud.model.ids import Tenant
from carcloud.services.telemetry.decode_mqtt import decoder
from carcloud.services.telemetry.protocols import DecodedFrames

CAR = "CAR-0001"
NOW = 1_767_225_600_000_000
PLAIN = Record("c", 1, 1, NOW, (Series("Vehicle.Speed", (0,), (1.0,)),))
FRAME = RawFrame(0, 0x123, False, "can0", b"\1\xff")
decode_all = decoder(campaigns=lambda _tenant: ("c",))


def decode(*payloads: bytes) -> DecodedFrames:
    frames = pa.array([pack_message(f"v1/{CAR}/collected", one) for one in payloads], pa.binary())
    count = len(payloads)
    return decode_all(Tenant("a"), pa.array([CAR] * count), frames, pa.array([NOW] * count))


def refused(payload: bytes) -> str:
    """What is told of a message; the one beside it becomes rows."""
    found = decode(payload, encode((PLAIN,)))
    assert found.row_frame.tolist() == [1]
    assert found.rows["Vehicle.Speed"].to_pylist() == [1.0]
    return found.faults[0].reason


def of_json(path: str, text: bytes) -> bytes:
    """A record with a value that is this JSON."""
    series, record, batch = bytearray(), bytearray(), bytearray()
    put_bytes(series, 1, path.encode())
    put_packed(series, 2, [0])
    put_bytes(series, 7, text)
    record += encode((replace(PLAIN, series=()),), compressed=False)[2:]
    put_bytes(record, 7, series)
    put_bytes(batch, 1, record)
    return bytes(batch)


@pytest.mark.parametrize("value", [2.5, 7, True, "hot", None, [5], [["hot"]], {"hot": 1}])
def test_conditions_that_fired_are_names(value: object) -> None:
    record = replace(PLAIN, series=(Series(RISEN_PATH, (0,), (value,)),))
    assert refused(encode((record,))) == f"{RISEN_PATH}: a value is a list of texts"


@pytest.mark.parametrize(
    "text",
    [b'"\\ud800"', b'["\\uDFFF"]', b'{"\\ud800": 1}', b'"\xed\xa0\x80"', b'"\\\x00u\x00d\x00"\x00'],
)
@pytest.mark.parametrize("path", [RISEN_PATH, "Vehicle.VehicleIdentification.VIN"])
def test_text_is_whole(path: str, text: bytes) -> None:
    assert refused(of_json(path, text)).startswith("no batch of records")


def test_a_pair_of_surrogates_is_a_character() -> None:
    vin = "Vehicle.VehicleIdentification.VIN"
    assert decode(of_json(vin, b'"\\ud83d\\ude97"')).rows[vin].to_pylist() == ["\U0001f697"]


@pytest.mark.parametrize("offset", [2**63 - 1, -(2**63), 2**62, -NOW - 1])
def test_times_are_times(offset: int) -> None:
    series = (Series("Vehicle.Speed", (offset,), (1.0,)),)
    assert "has a time that cannot be" in refused(encode((replace(PLAIN, series=series),)))
    frames = (replace(FRAME, offset_us=offset),)
    assert "has a time that cannot be" in refused(encode((replace(PLAIN, frames=frames),)))
    trigger = replace(PLAIN, time_us=offset)
    assert "has a time that cannot be" in refused(encode((trigger,)))


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (replace(FRAME, bus="can0\n(1) x"), "no name of a bus"),
        (replace(FRAME, bus="can0 123#00"), "no name of a bus"),
        (replace(FRAME, bus="c" * 16), "no name of a bus"),
        (replace(FRAME, bus="総線"), "no name of a bus"),
        (replace(FRAME, can_id=0x800), "has the id 800"),
        (replace(FRAME, can_id=1 << 29, extended=True), "has the id 20000000"),
        (replace(FRAME, payload=bytes(65)), "has 65 bytes"),
    ],
)
def test_a_raw_frame_cannot_be_another_line(frame: RawFrame, why: str) -> None:
    assert why in refused(encode((replace(PLAIN, frames=(frame,)),)))


def test_raw_frames_are_lines_of_candump() -> None:
    frames = (
        FRAME,
        RawFrame(-1, 0x1FFFFFFF, True, "", b""),
        RawFrame(0, 0x7FF, False, "vcan-1.5_x", bytes(12)),
    )
    found = decode(encode((replace(PLAIN, frames=frames),)))
    (lines,) = found.further["campaign_events"].rows["frames"].to_pylist()
    assert [re.sub(r"^\(\d+\.\d{6}\) ", "", line) for line in lines] == [
        "can0 123#01FF",
        "can 1FFFFFFF#",
        f"vcan-1.5_x 7FF##0{'00' * 12}",
    ]
