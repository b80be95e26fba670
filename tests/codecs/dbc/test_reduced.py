"""DBC files cut down to what some messages need: they say the same of these."""

import random

import pytest
from tests.data import shared_data

from carcloud.codecs.dbc import parse
from carcloud.codecs.dbc.reduced import reduced

HEAD = """\
VERSION "1"
BU_: A B
BO_ 291 Same: 8 A
 SG_ X : 0|16@1+ (0.1,0) [0|400] "mph" B
BO_ 292 Same: 8 A
 SG_ X : 0|8@1+ (1,0) [0|0] "" B
BO_ 2364540158 Engine: 8 A
 SG_ Mux M : 0|8@1+ (1,0) [0|0] "" B
 SG_ Float m1 : 8|32@1- (1,0) [0|0] "" B
BO_ 2364540159 EngineToo: 8 A
 SG_ Y : 0|8@1+ (1,0) [0|0] "" B
BO_ 2566844926 Brakes: 8 A
 SG_ Z : 0|8@1+ (1,0) [0|0] "" B
CM_ BO_ 291 "a comment with ; and
BO_ 5 Inside: 8 A in it";
BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG";
BA_DEF_ SG_ "SystemSignalLongSymbol" STRING ;
BA_DEF_ BO_ "GenMsgCycleTime" INT 0 65535;
BA_DEF_DEF_ "VFrameFormat" "J1939PG";
BA_ "SystemSignalLongSymbol" SG_ 2364540158 Mux "TheLongNameOfTheSwitch";
BA_ "GenMsgCycleTime" BO_ 291 100;
VAL_ 2364540158 Mux 1 "one" 251 "fault" ;
VAL_ 291 X 1 "one" ;
SIG_VALTYPE_ 2364540158 Float : 1;
"""
ENGINE = (2364540158 & 0x1FFFFFFF, True)


def test_what_is_not_needed_is_left_out() -> None:
    database, _ = parse(HEAD.encode())
    text = reduced(HEAD, database, {ENGINE})
    found, _ = parse(text.encode())
    assert [one.name for one in found.messages] == ["Engine", "EngineToo"]  # of one group
    was = database.by_name["Engine"]
    one = found.by_name["Engine"]
    assert [(s.name, s.kind, s.parent, s.labels, s.decodable) for s in one.signals] == [
        (s.name, s.kind, s.parent, s.labels, s.decodable) for s in was.signals
    ]
    assert one.signals[0].name == "TheLongNameOfTheSwitch"
    assert one.j1939
    assert all(word not in text for word in ("Brakes", "CM_", "GenMsg", "VAL_ 291", "BU_"))


def test_a_file_that_would_say_something_else_stays_whole() -> None:
    database, _ = parse(HEAD.encode())
    assert {one.name for one in database.messages if one.id == 291} == {"Same_123"}
    assert reduced(HEAD, database, {(291, False)}) == HEAD  # alone its name would be Same


def test_a_file_without_any_of_them_is_empty() -> None:
    database, _ = parse(HEAD.encode())
    assert reduced(HEAD, database, {(291, True), (5, False)}) == ""
    assert reduced(HEAD, database, ()) == ""


@pytest.mark.parametrize(
    "name",
    ["cantools/vehicle", "cantools/j1939", "cantools/issue_184_extended_mux_cascaded",
     "cantools/long_names", "cantools/multiplex", "css/canmod_gps", "opendbc/tesla_model3_party"],
)  # fmt: skip
def test_real_files_decode_the_same(name: str) -> None:
    text = shared_data(f"can/{name}.dbc").read_bytes().decode("utf-8-sig", "replace")
    database, _ = parse(text.encode())
    chosen = random.Random(name).sample(database.messages, (len(database.messages) + 1) // 2)
    short = reduced(text, database, {(one.id, one.extended) for one in chosen})
    assert len(short) < len(text)
    again = parse(short.encode())[0]
    for one in chosen:
        there = again.by_name[one.name]
        assert (there.id, there.length, there.j1939, there.fd) == (
            one.id, one.length, one.j1939, one.fd,
        )  # fmt: skip
        assert [(s.name, s.first_bit, s.length, s.factor, s.labels) for s in there.signals] == [
            (s.name, s.first_bit, s.length, s.factor, s.labels) for s in one.signals
        ]
