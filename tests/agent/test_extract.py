"""Written decoders give what the plain decoder gives; what nobody wants is not decoded."""

import math
import random

import pytest
from tests.data import shared_data

from carcloud.agent.extract import FrameTable, compiled
from carcloud.agent.model import Mapped, parse_model
from carcloud.codecs.campaign.document import parse_campaign
from carcloud.codecs.campaign.engine import Engine
from carcloud.codecs.campaign.fields import DocumentError
from carcloud.codecs.campaign.frames import EXTENDED
from carcloud.codecs.campaign.prepare import prepare
from carcloud.codecs.dbc.parser import parse
from carcloud.codecs.dbc.scalar import MessageCodec

SIGNALS = """VERSION ""
BU_: E
BO_ 256 Mixed: 8 E
 SG_ Intel : 4|12@1+ (0.1,-40) [0|0] "" E
 SG_ Signed : 16|9@1- (1,0) [0|0] "" E
 SG_ Motorola : 39|12@0- (2,1) [0|0] "" E
 SG_ Real : 32|32@1- (1,0) [0|0] "" E
BO_ 257 Switched: 8 E
 SG_ Switch M : 0|4@1+ (1,0) [0|0] "" E
 SG_ One m1M : 4|4@1+ (1,0) [0|0] "" E
 SG_ Deep m3 : 8|8@1+ (0.5,0) [0|0] "" E
 SG_ Two m2 : 8|16@0+ (1,0) [0|0] "" E
BO_ 2566844926 EEC: 8 E
 SG_ Speed : 24|16@1+ (0.125,0) [0|0] "" E
SIG_VALTYPE_ 256 Real : 1;
SG_MUL_VAL_ 257 One Switch 1-1;
SG_MUL_VAL_ 257 Deep One 3-5, 9-9;
SG_MUL_VAL_ 257 Two Switch 2-3;
BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG";
BA_DEF_DEF_ "VFrameFormat" "StandardCAN";
BA_ "VFrameFormat" BO_ 2566844926 3;
"""


def written(message, payload):
    """What a written decoder of all signals of a message gives."""
    got = {}

    def sink(name):
        return lambda _t, value: got.__setitem__(name, value)

    wanted = [
        (Mapped(message, each, each.name, "double"), sink(each.name))
        for each in message.signals
        if each.decodable
    ]
    compiled(message, wanted, message.j1939)(0, payload)
    return got


def plain(message, payload):
    """What the plain decoder gives, without what is no number."""
    values = MessageCodec(message).decode(payload)
    return {name: value for name, value in values.items() if math.isfinite(value)}


def same(message, payloads):
    for payload in payloads:
        want, got = plain(message, payload), written(message, payload)
        assert got == want, (message.name, payload.hex())
        assert {name: type(value) for name, value in got.items()} == {
            name: type(value) for name, value in want.items()
        }


def test_written_decoders_agree_with_the_plain_one():
    source = random.Random(11)
    database, _ = parse(SIGNALS.encode())
    for message in database.messages:
        payloads = [
            source.randbytes(source.choice([8, 8, 8, 7, 4, 3, 1, 0, 12])) for _ in range(60)
        ]
        same(message, [*payloads, b"\xff" * 8, bytes(8), b"\x31\x08\x00" + bytes(5)])


@pytest.mark.parametrize("brand", ["tesla_model3_vehicle", "gm_global_a_high_voltage_management"])
def test_written_decoders_agree_on_the_messages_of_a_car(brand):
    source = random.Random(12)
    database, _ = parse(shared_data(f"can/opendbc/{brand}.dbc").read_bytes())
    for message in source.sample(database.messages, min(20, len(database.messages))):
        same(message, [source.randbytes(message.length) for _ in range(3)])


def model(**changed):
    """A model of the database above."""
    signals = [
        {"message": "Mixed", "signal": "Intel", "path": "Vehicle.A", "datatype": "int16",
         "scale": 10, "offset": 0.4},
        {"message": "Mixed", "signal": "Signed", "path": "Vehicle.B", "datatype": "boolean"},
        {"message": "Switched", "signal": "Switch", "path": "Vehicle.S",
         "labels": {"1": "ONE", "2": "TWO"}},
        {"message": "EEC", "signal": "Speed", "path": "Vehicle.R"},
    ]  # fmt: skip
    return {"id": "m", "dbc": [{"text": SIGNALS}], "signals": signals, **changed}


def test_only_what_somebody_wants_is_decoded_and_mapped():
    read = parse_model(model())
    engine = Engine(lambda *_: None)
    signals = [{"path": path} for path in read.types if path != "Vehicle.B"]
    wanted = {"id": "c", "trigger": {"every_ms": 1000}, "signals": signals}
    engine.configure([prepare(parse_campaign(wanted), read.catalogue)], 0)
    table = FrameTable("can0", read, engine)
    frames = [
        (1, 0x100, bytes.fromhex("f00f000000000000")),  # 255 * 0.1 - 40 = -14.5
        (2, 0x101, b"\x01" + bytes(7)),
        (3, 0x101, b"\x07" + bytes(7)),  # without a label: nothing
        (4, 0x0CF1FE42 | EXTENDED, bytes(8)),  # another parameter group
        (5, 0x18FEF142 | EXTENDED, bytes.fromhex("0000006400ffffff")),  # another sender
        (6, 0x18FEF142 | EXTENDED, bytes.fromhex("000000ffff000000")),  # not available
        (7, 0x555, b""),
    ]
    assert engine.run(frames, table) == 5
    assert engine.latest("Vehicle.A") == -145
    assert engine.latest("Vehicle.S") == "ONE"
    assert engine.latest("Vehicle.R") == 100 * 0.125
    assert engine.latest("Vehicle.B") is None
    assert table[0x555] is False


def test_ids_without_end_do_not_take_memory_without_end():
    read = parse_model(model())
    engine = Engine(lambda *_: None)
    engine.configure([], 0, watched={"Vehicle.R": read.types["Vehicle.R"]})
    table = FrameTable("can0", read, engine)
    known = 0x18FEF142 | EXTENDED
    engine.run([(1, known, bytes(8)), *((2, at, b"") for at in range(10_000))], table)
    assert len(table) <= 4097
    assert callable(table[known])


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"dbc": [{"text": "x", "file": "y"}]}, "dbc[0].text", "either text, file or document"),
        ({"dbc": [{"file": "y"}]}, "dbc[0].file", "cannot be read"),
        ({"dbc": None}, "dbc", "is missing"),
        ({"signals": [{"message": "Nope", "signal": "A", "path": "V.A"}]}, "signals[0].message",
         "no DBC of this model"),
        ({"signals": [{"message": "Mixed", "signal": "Nope", "path": "V.A"}]}, "signals[0].signal",
         "no such signal"),
        ({"signals": model()["signals"][:1] * 2}, "signals[1].path", "mapped twice"),
        ({"signals": [{**model()["signals"][0], "labels": {"x": 1}}]}, "signals[0].labels",
         "no raw value"),
        ({"signals": [{**model()["signals"][0], "unit": "m"}]}, "signals[0].unit", "not a field"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_used_names_the_field(change, field, reason):
    with pytest.raises(DocumentError) as caught:
        parse_model(model(**change))
    assert caught.value.field == field
    assert reason in caught.value.reason
