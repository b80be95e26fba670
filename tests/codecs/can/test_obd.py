"""OBD-II answers of real logs and of made ones."""

import pytest
from tests.data import shared_data

from carcloud.codecs.can.assembly import Assembler
from carcloud.codecs.can.frames import CanFrames, FrameList
from carcloud.codecs.can.isotp import IsoTp
from carcloud.codecs.can.obd import ObdAnswers, decode_obd, trouble_code
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
