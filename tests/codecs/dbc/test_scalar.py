"""Single frames: bit layouts, all vectors made with cantools, values of random logs."""

import csv
import gzip
import json
import math

import numpy as np
import pytest
from tests.codecs.dbc.layouts import LAYOUTS, PAYLOAD, SYNTHETIC, database_of
from tests.data import shared_data

from carcloud.codecs.can.frames import CanFrames
from carcloud.codecs.dbc import EncodingError, Message, parse
from carcloud.codecs.dbc.columnar import decode
from carcloud.codecs.dbc.j1939 import pgn
from carcloud.codecs.dbc.scalar import FrameDecoder, MessageCodec


def _codec(signals: list[str], **more: object) -> MessageCodec:
    database, findings = database_of(signals, **more)
    assert not [one for one in findings if one.level == "error"]
    return MessageCodec(database.messages[0])


@pytest.mark.parametrize(("layout", "raw"), LAYOUTS)
def test_bit_layouts(layout: str, raw: int) -> None:
    codec = _codec([f'S : {layout} (1,0) [0|0] "" E'])
    assert codec.decode(PAYLOAD) == {"S": raw}
    encoded = codec.encode({"S": raw})
    assert codec.decode(encoded) == {"S": raw}
    assert int.from_bytes(encoded, "big") & ~int.from_bytes(PAYLOAD, "big") == 0


def _vectors() -> list[tuple[str, dict]]:
    text = shared_data("can/cantools/vectors.json").read_text()
    return [(name, one) for name, each in json.loads(text).items() for one in each]


def _same(mine: float, theirs: float) -> bool:
    return float(mine) == theirs or (math.isnan(mine) and math.isnan(theirs))


def test_vectors_decode_and_encode() -> None:
    vectors = _vectors()
    assert len(vectors) == 372
    databases = {}
    for name, vector in vectors:
        if name not in databases:
            databases[name] = parse(shared_data(f"can/cantools/{name}").read_bytes())[0]
        message = databases[name].by_id[vector["id"], vector["extended"]]
        codec = MessageCodec(message, j1939=False)
        payload = bytes.fromhex(vector["data"])
        samples = codec.samples(payload)
        values = {one.signal.name: one.value for one in samples}
        assert message.name == vector["message"]
        assert values.keys() == vector["physical"].keys(), (name, vector)
        assert all(_same(values[key], value) for key, value in vector["physical"].items())
        labels = {one.signal.name: one.label for one in samples if one.label is not None}
        assert labels == vector.get("labels", {})
        assert codec.encode(values) == payload


@pytest.mark.parametrize("name", SYNTHETIC)
def test_synthetic_truth(name: str) -> None:
    database, _ = parse(shared_data(f"can/opendbc/{name}.dbc").read_bytes())
    decoder = FrameDecoder([database])
    frames = []
    for line in shared_data(f"can/synthetic/{name}.log").read_text().splitlines():
        can_id, _, data = line.split()[2].partition("#")
        frames.append(decoder.decode(int(can_id, 16), len(can_id) > 3, bytes.fromhex(data)))
    with gzip.open(shared_data(f"can/synthetic/{name}.truth.csv.gz"), "rt") as rows:
        for row in csv.DictReader(rows):
            values = frames[int(row["frame"])]
            assert values is not None
            assert float(values.pop(row["signal"])) == pytest.approx(
                float(row["value"]), rel=1e-12, abs=0
            )
    assert not any(frames)  # nothing that the truth does not know


def test_integers_stay_exact() -> None:
    codec = _codec(['S : 0|64@1+ (3,7) [0|0] "" E'])
    assert codec.decode(b"\xff" * 8) == {"S": 3 * (2**64 - 1) + 7}
    assert codec.encode({"S": 3 * (2**64 - 1) + 7}) == b"\xff" * 8


def test_very_long_numbers() -> None:
    codec = _codec(
        ['S : 0|1100@1- (0.5,0) [0|0] "" E', 'T : 0|1100@1+ (1,1) [0|0] "" E'], length=200
    )
    assert codec.decode(b"\xff" * 200) == {"S": -0.5, "T": 2**1100}
    assert codec.decode(b"\xff" * 137 + b"\x07") == {"S": math.inf, "T": 2**1099}


def test_a_short_frame_gives_what_fits() -> None:
    codec = _codec(['A : 0|8@1+ (1,0) [0|0] "" E', 'B : 12|8@1+ (1,0) [0|0] "" E'])
    assert codec.decode(b"\x05\x00") == {"A": 5}
    assert codec.decode(b"") == {}
    assert codec.decode(b"\x05\x10\x02" + bytes(20)) == {"A": 5, "B": 0x21}


MUX = [
    'Page M : 0|8@1+ (2,1) [0|0] "" E',
    'A m1 : 8|8@1+ (1,0) [0|0] "" E',
    'Sub m2M : 8|8@1+ (1,0) [0|0] "" E',
    'B m5 : 16|8@1+ (1,0) [0|0] "" E',
    'C m0 : 16|8@1+ (1,0) [0|0] "" E',
]
RULES = """SG_MUL_VAL_ 291 A Page 1-1, 7-9;
SG_MUL_VAL_ 291 Sub Page 2-2;
SG_MUL_VAL_ 291 B Sub 5-6;
SG_MUL_VAL_ 291 C Sub 0-0;"""


def test_nested_switches_compare_raw_values() -> None:
    codec = _codec(MUX, rest=RULES)
    assert codec.decode(bytes((1, 40, 9))) == {"Page": 3, "A": 40}
    assert codec.decode(bytes((8, 41, 9))) == {"Page": 17, "A": 41}
    assert codec.decode(bytes((2, 6, 9))) == {"Page": 5, "Sub": 6, "B": 9}
    assert codec.decode(bytes((2, 0, 9))) == {"Page": 5, "Sub": 0, "C": 9}
    assert codec.decode(bytes((3, 0, 9))) == {"Page": 7}
    assert codec.encode({"B": 9})[:3] == bytes((2, 5, 9))


def test_encoding_refuses() -> None:
    codec = _codec([*MUX, 'D : 56|8@1- (0.5,0) [0|0] "" E'], rest=RULES)
    for values in (
        {"D": 64},
        {"D": -64.5},
        {"X": 1},
        {"A": 1, "B": 1},
        {"D": "on"},
        {"D": math.inf},
    ):
        with pytest.raises(EncodingError):
            codec.encode(values)
    assert codec.encode({"D": 63.5}, fill=1) == bytes((255,)) * 7 + bytes((127,))


def test_labels_encode_where_they_are_unique() -> None:
    codec = _codec(['S : 0|8@1- (1,0) [0|0] "" E'], rest='VAL_ 291 S -1 "off" 2 "on" 3 "on" ;')
    assert codec.encode({"S": "off"})[:1] == b"\xff"
    (sample,) = codec.samples(b"\x02")
    assert (sample.raw, sample.label) == (2, "on")
    with pytest.raises(EncodingError):
        codec.encode({"S": "on"})


J1939 = """BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG";
BA_ "VFrameFormat" BO_ 2364540158 3;
VAL_ 2364540158 Gear 251 "park" 255 "not available" ;"""


def _j1939() -> Message:
    database, findings = database_of(
        [
            'Speed : 24|16@1+ (0.125,0) [0|0] "rpm" E',
            'Gear : 0|8@1+ (1,-125) [0|0] "" E',
            'Switch : 8|2@1+ (1,0) [0|0] "" E',
        ],
        rest=J1939,
        file_id=2364540158,
    )
    assert not findings
    return database.messages[0]


def test_j1939_values_that_are_none() -> None:
    codec = MessageCodec(_j1939())
    assert codec.decode(bytes.fromhex("fb0100fffa000000")) == {
        "Speed": 0xFAFF * 0.125, "Gear": 126, "Switch": 1,
    }  # fmt: skip
    assert codec.decode(bytes.fromhex("fc020000fb000000")) == {}
    missing = codec.samples(bytes.fromhex("ff03000000000000"))
    assert [(one.signal.name, one.raw, one.missing) for one in missing] == [
        ("Speed", 0, False), ("Gear", 255, True), ("Switch", 3, True),
    ]  # fmt: skip


NMEA = """BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG";
BA_ "VFrameFormat" BO_ 2314277630 3;
VAL_ 2314277630 Kind 6 "six" 7 "none" ;"""


@pytest.mark.parametrize(
    ("payload", "wanted"),
    [
        # all ones less two are data, whatever J1939 makes of a high byte of 0xFB and more
        ("fdff fd7f fd fdffffffffffff7f 0d", {
            "Heading": 0xFFFD, "Rate": 0x7FFD, "Sid": 0xFD, "Far": 2**63 - 3, "Kind": 5, "On": 1}),
        ("feff fe7f fe feffffffffffff7f 06", {"Kind": 6, "On": 0}),  # out of range; six has a label
        ("ffff ff7f ff ffffffffffffff7f 0f", {"On": 1}),  # not available
        ("0000 ffff 00 0000000000000080 00", {
            "Heading": 0, "Rate": -1, "Sid": 0, "Far": -(2**63), "Kind": 0, "On": 0}),
    ],
)  # fmt: skip
def test_nmea_2000_has_no_value_in_the_two_highest(payload: str, wanted: dict[str, int]) -> None:
    database, findings = database_of(
        [
            'Heading : 0|16@1+ (1,0) [0|0] "" E',
            'Rate : 16|16@1- (1,0) [0|0] "" E',
            'Sid : 32|8@1+ (1,0) [0|0] "" E',
            'Far : 40|64@1- (1,0) [0|0] "" E',
            'Kind : 104|3@1+ (1,0) [0|0] "" E',
            'On : 107|1@1+ (1,0) [0|0] "" E',
        ],
        rest=NMEA,
        file_id=2314277630,  # group 127250
        length=14,
    )
    assert not findings
    (message,) = database.messages
    assert pgn(message.id) == 127250
    data = bytes.fromhex(payload)
    assert MessageCodec(message).decode(data) == wanted
    frames = CanFrames.build(
        [0], [message.id], np.frombuffer(data, np.uint8), [len(data)], extended=[True]
    )
    columns = decode(frames, [database]).columns
    found = {one.signal.name: one.exact()[0] for one in columns if not one.missing[0]}
    assert found == wanted


def test_j1939_is_found_by_group() -> None:
    database, _ = parse(shared_data("can/css/j1939_demo.dbc").read_bytes())
    decoder = FrameDecoder([database])
    speed = bytes.fromhex("ff00100000000000")
    assert decoder.decode(0x18FEF147, True, speed) == {"WheelBasedVehicleSpeed": 16.0}
    assert decoder.decode(0x0CFEF100, True, speed) == {"WheelBasedVehicleSpeed": 16.0}
    assert decoder.decode(0x18FEF247, True, speed) is None
    assert decoder.decode(0x147, False, speed) is None
    transport, _ = parse(shared_data("can/css/tp_j1939.dbc").read_bytes())
    rebuilt = (6 << 26) | (65251 << 8) | 0x03
    assert FrameDecoder([transport]).codec(rebuilt, True) is None  # the file does not say J1939
    assert FrameDecoder([transport], j1939=True).codec(rebuilt, True) is not None
