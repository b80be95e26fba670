"""OBD-II answers of real logs and of made ones."""

import pytest
from tests.data import shared_data

from carcloud.codecs.can.assembly import Assembler
from carcloud.codecs.can.frames import CanFrames, FrameList
from carcloud.codecs.can.isotp import IsoTp
from carcloud.codecs.can.obd import ObdAnswers, decode_obd, trouble_code
from carcloud.codecs.can.obd_pids import PARTS
from carcloud.engines.canlog_files import read_log

LONG, SHORT = "obd2_request_response_7512BE4D", "obd2_gps_3BA199E2_60FEB5A8"


def answers(frames: CanFrames) -> ObdAnswers:
    return decode_obd(Assembler(IsoTp()).feed(frames))


@pytest.fixture(scope="module")
def told() -> dict[str, ObdAnswers]:
    return {name: answers(read_log(shared_data(f"can/css/{name}.MF4"))) for name in (LONG, SHORT)}


@pytest.mark.parametrize(
    ("pid", "long", "short"),
    [
        (0x04, (273, 0, 98.8235), (15, 8.6275, 30.1961)),
        (0x05, (273, 21, 98), (45, 93, 94)),
        (0x0B, (273, 20, 255), (90, 28, 86)),
        (0x0C, (273, 0, 2957.25), (90, 929.5, 1785)),
        (0x0D, (273, 0, 86), (89, 0, 53)),
        (0x11, (273, 10.1961, 85.4902), (89, 11.7647, 21.5686)),
        (0x2F, (273, 31.7647, 32.9412), (4, 51.3725, 51.3725)),
        (0x42, (273, 11.101, 15.308), (15, 12.86, 13.38)),
        (0x5E, (273, 0, 17.7), None),
    ],
)
def test_values_of_real_logs(told, pid, long, short):
    for name, expected in ((LONG, long), (SHORT, short)):
        found = [one for one in told[name].series if one.pid == pid]
        if expected is None:
            assert found == []
            continue
        (series,) = found
        value = series.value
        assert (len(value), round(value.min(), 4), round(value.max(), 4)) == expected
        assert series.ecu == 0x7E8


def test_how_often_each_was_answered(told):
    counts = told[LONG].counts
    assert sum(1 for (mode, _), n in counts.items() if mode == 1 and n == 273) == 28
    assert [counts[1, pid] for pid in (0x01, 0x03, 0x1C)] == [1, 1, 1]
    assert counts[3, -1] == 1
    assert [one.codes for one in told[LONG].codes] == [()]


def test_the_vin_is_one_of_seventeen_characters(told):
    (vin,) = told[LONG].vins  # not shown: it is that of a real car
    assert len(vin.vin) == 17
    assert vin.ecu == 0x7E8
    assert told[SHORT].vins == ()


def made(*rows: tuple[int, bytes]) -> ObdAnswers:
    frames = FrameList()
    for time, (can_id, data) in enumerate(rows):
        frames.append(time, can_id, data, extended=can_id > 0x7FF)
    return answers(frames.frames())


def test_several_parameters_in_one_answer_and_another_control_unit():
    told = made(
        (0x7E8, b"\x06\x41\x0c\x1a\xf8\x0d\x32\xaa"),
        (0x7E9, b"\x03\x41\x0d\x33"),
        (0x18DAF110, b"\x06\x41\xa6\x00\x01\xe2\x40"),
        (0x7E8, b"\x04\x41\x0c\x00\x00"),
        (0x7E8, b"\x03\x41\xfe\x01"),
    )
    values = [(one.ecu, one.parameter.name, one.value.tolist()) for one in told.series]
    assert values == [
        (0x7E8, "EngineSpeed", [1726.0, 0.0]),
        (0x7E8, "VehicleSpeed", [50.0]),
        (0x7E9, "VehicleSpeed", [51.0]),
        (0x18DAF110, "Odometer", [12345.6]),
    ]
    assert told.counts[1, 0xFE] == 1


VECTORS = {
    0x01: ("8307e500", 3, 1), 0x03: ("0200", 2, 0), 0x04: ("ff", 100), 0x05: ("7b", 83),
    0x06: ("8a", 7.8125), 0x07: ("70", -12.5), 0x08: ("80", 0), 0x09: ("00", -100),
    0x0A: ("64", 300), 0x0B: ("65", 101), 0x0C: ("1af8", 1726), 0x0D: ("32", 50),
    0x0E: ("90", 8), 0x0F: ("28", 0), 0x10: ("04d2", 12.34), 0x11: ("33", 20), 0x12: ("01", 1),
    0x13: ("33", 51), 0x14: ("5a80", 0.45, 0), 0x15: ("c8ff", 1, 99.21875),
    0x16: ("0000", 0, -100), 0x17: ("ff40", 1.275, -50), 0x18: ("5a80", 0.45, 0),
    0x19: ("c8ff", 1, 99.21875), 0x1A: ("0000", 0, -100), 0x1B: ("ff40", 1.275, -50),
    0x1C: ("06", 6), 0x1D: ("0f", 15), 0x1E: ("03", 1), 0x1F: ("0e10", 3600),
    0x21: ("01f4", 500), 0x22: ("1000", 323.584), 0x23: ("0bb8", 30000),
    0x24: ("80004000", 1, 2), 0x25: ("40008000", 0.5, 4), 0x26: ("00000001", 0, 8 / 65536),
    0x27: ("c0006000", 1.5, 3), 0x28: ("80004000", 1, 2), 0x29: ("40008000", 0.5, 4),
    0x2A: ("00010000", 2 / 65536, 0), 0x2B: ("c0006000", 1.5, 3), 0x2C: ("33", 20),
    0x2D: ("40", -50), 0x2E: ("ff", 100), 0x2F: ("66", 40), 0x30: ("0a", 10),
    0x31: ("2710", 10000), 0x32: ("ff9c", -25), 0x33: ("65", 101), 0x34: ("80008000", 1, 0),
    0x35: ("40007f00", 0.5, -1), 0x36: ("00000000", 0, -128), 0x37: ("c000ff00", 1.5, 127),
    0x38: ("80008000", 1, 0), 0x39: ("40007f00", 0.5, -1), 0x3A: ("00000000", 0, -128),
    0x3B: ("c000ff00", 1.5, 127), 0x3C: ("1194", 410), 0x3D: ("0000", -40), 0x3E: ("0190", 0),
    0x3F: ("2710", 960), 0x42: ("36b0", 14), 0x43: ("01fe", 200), 0x44: ("8000", 1),
    0x45: ("66", 40), 0x46: ("3c", 20), 0x47: ("99", 60), 0x48: ("33", 20), 0x49: ("33", 20),
    0x4A: ("66", 40), 0x4B: ("99", 60), 0x4C: ("cc", 80), 0x4D: ("003c", 60),
    0x4E: ("02d0", 720), 0x4F: ("02010a0b", 2, 1, 10, 110), 0x50: ("28000000", 400),
    0x51: ("04", 4), 0x52: ("33", 20), 0x53: ("4e20", 100), 0x54: ("ff00", -256),
    0x55: ("8a70", 7.8125, -12.5), 0x56: ("8000", 0, -100), 0x57: ("40c0", -50, 50),
    0x58: ("c040", 50, -50), 0x59: ("01f4", 5000), 0x5A: ("33", 20), 0x5B: ("cc", 80),
    0x5C: ("82", 90), 0x5D: ("6980", 1), 0x5E: ("0064", 5), 0x5F: ("0f", 15),
    0xA6: ("0001e240", 12345.6),
}  # fmt: skip
"""Bytes of each parameter, and its values by the formula of SAE J1979."""


def test_every_parameter_has_a_vector():
    assert set(VECTORS) == set(PARTS)
    names = [one.name for values in PARTS.values() for one in values]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("pid", VECTORS)
def test_values_by_hand(pid):
    data, *values = VECTORS[pid]
    payload = bytes((0x41, pid)) + bytes.fromhex(data)
    # followed by a second parameter, so that its length shows too
    after = b"\x0d\x32" if len(payload) < 6 else b""
    told = made((0x7E8, bytes((len(payload + after),)) + payload + after))
    mine = [one for one in told.series if (one.pid, one.part) in [(pid, at) for at in range(4)]]
    if pid == 0x0D:
        assert mine[0].value.tolist() == [50, 50]
        return
    assert [one.value.tolist() for one in mine] == [[pytest.approx(value)] for value in values]
    assert [one.part for one in mine] == list(range(len(values)))
    speeds = [one.value.tolist() for one in told.series if one.pid == 0x0D]
    assert speeds == ([[50]] if after else [])


def test_refusals_codes_and_what_is_cut_off():
    told = made(
        (0x7E8, b"\x03\x7f\x01\x12"),
        (0x7E8, b"\x06\x43\x02\x03\x01\xc1\x00"),
        (0x7E8, b"\x02\x41\x0c"),
        (0x7E8, b"\x01\x41"),
        (0x123, b"\x03\x41\x0d\x33"),
    )
    (refusal,) = told.refusals
    assert (refusal.mode, refusal.reason) == (1, "subfunction not supported")
    assert told.codes[0].codes == ("P0301", "U0100")
    assert told.series == ()
    assert trouble_code(0x96, 0x1F) == "B161F"


def test_a_vin_of_an_invented_car():
    vin = b"LTESTVNA4A0000101"
    told = made(
        (0x7E8, b"\x10\x14\x49\x02\x01" + vin[:3]),
        (0x7E8, b"\x21" + vin[3:10]),
        (0x7E8, b"\x22" + vin[10:]),
    )
    assert [one.vin for one in told.vins] == [vin.decode()]
