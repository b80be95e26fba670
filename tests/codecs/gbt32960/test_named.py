"""Fields of reports by name: against the reference decoder, and in units of makers."""

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from tests.codecs.gbt32960 import examples
from tests.codecs.gbt32960.strategies import realtime_frames

from carcloud.codecs.gbt32960 import named
from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.decode import decode
from carcloud.codecs.gbt32960.frame import build, parse

TIME = bytes((26, 3, 14, 15, 9, 26))
OWN = bytes.fromhex("8001fffe0a000000803f800000")


def flat(name: str, value: Any) -> Iterator[tuple[str, int | float | None]]:
    """What the reference says, by the names of fields."""
    if isinstance(value, dict):
        for key, inner in value.items():
            itself = isinstance(inner, list) and key == name  # motors, stacks
            yield from flat(name if itself else f"{name}.{key}", inner)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from flat(f"{name}[{at}]", inner)
    elif not isinstance(value, bytes | str):
        yield name, value if isinstance(value, int | float) else None


def units_of(report: named.Report) -> dict[int, bytes]:
    return {kind: report.frame[slice(*span)] for kind, span in report.layout.units.items()}


@given(realtime_frames(strange=True))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_field_is_what_the_reference_reads(frame: bytes) -> None:
    found = named.report(frame)
    units = {item.name: item.fields for item in decode(parse(frame)).items if item.type < 0x80}
    told = dict(one for unit, fields in units.items() for one in flat(unit, fields))
    for name, value in told.items():
        field = named.find(name)
        assert field is not None, name
        assert field.value(found) == value, name
    for name in named.table():
        for other in (name, name.replace("[0]", "[1]"), name.replace("[0]", "[250]")):
            field = named.find(other)
            if other not in told and field is not None and field.bit is None:
                assert field.value(found) is None, other
    vendor = {item.type: item.fields["data"] for item in decode(parse(frame)).items
              if item.type in named.VENDOR}  # fmt: skip
    assert {kind: one for kind, one in units_of(found).items() if kind in named.VENDOR} == vendor


def test_the_examples_of_both_editions() -> None:
    old, new = named.report(examples.REALTIME_2016), named.report(examples.REALTIME_2025)
    read = {
        name: [named.find(name).value(one) for one in (old, new)]  # type: ignore[union-attr]
        for name in ("vehicle.insulation_kohm", "motors[0].controller_temp_c", "motors[1].no",
                     "extremes.max_cell_v", "stacks[0].coolant_temps_c[1]", "alarm.brake_system",
                     "alarm.soc_low", "alarm.hydrogen_leak", "alarm.flags")
    }  # fmt: skip
    assert read == {
        "vehicle.insulation_kohm": [5000, 5000],
        "motors[0].controller_temp_c": [45, 45],
        "motors[1].no": [None, None],
        "extremes.max_cell_v": [4.105, None],
        "stacks[0].coolant_temps_c[1]": [None, 69],
        "alarm.brake_system": [0, 0],
        "alarm.soc_low": [1, 1],
        "alarm.hydrogen_leak": [None, 1],  # 2016 does not have it
        "alarm.flags": [16, 16_777_232],
    }


@pytest.mark.parametrize("edition", [2016, 2025])
def test_numbers_in_a_maker_s_unit(edition: int) -> None:
    first = bytes([0x83]) + len(OWN).to_bytes(2) + OWN
    other = b"\xfe\x00\x08" + struct.pack("<d", float("nan"))
    found = named.report(
        build(edition, Command.REALTIME, Flag.COMMAND, "CAR", TIME + first + other)
    )
    read = {
        name: field.value(found)
        for name in ("u8@0", "i8@0", "u16@0", "i16@2", "i16le@2", "u24@1", "u32le@5", "f32@9",
                     "bit@0.7", "bit@0.6", "u8@12", "u16@12", "bit@13.0")
        if (field := named.find(f"unit.0x83.{name}")) is not None
    }  # fmt: skip
    assert read == {
        "u8@0": 128, "i8@0": -128, "u16@0": 0x8001, "i16@2": -2, "i16le@2": -257,
        "u24@1": 0x01FFFE, "u32le@5": 0x80000000, "f32@9": 1.0, "bit@0.7": 1, "bit@0.6": 0,
        "u8@12": 0, "u16@12": None, "bit@13.0": None,
    }  # fmt: skip
    assert named.find("unit.0xFE.f64le@0").value(found) is None  # type: ignore[union-attr]
    assert named.find("unit.0x90.u8@0").raw(found) is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("number", "raw"),
    [(3.0, 3), (3.5, None), (-(2.0**63), -(1 << 63)), (2.0**63, None), (1e300, None),
     (float("nan"), None), (float("inf"), None), (float("-inf"), None)],
)  # fmt: skip
def test_a_raw_number_is_whole_and_an_int64(number: float, raw: int | None) -> None:
    unit = b"\x83\x00\x08" + struct.pack(">d", number)
    found = named.report(build(2016, Command.REALTIME, Flag.COMMAND, "CAR", TIME + unit))
    assert named.find("unit.0x83.f64@0").raw(found) == raw  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "name",
    ["", "speed", "vehicle", "vehicle.speed", "motors.state", "motors[0]", "motors[00000].no",
     "unit.0x7F.u8@0", "unit.0xFF.u8@0", "unit.0x80.u64@0", "unit.0x80.f16@0", "unit.0x80.bit@0.8",
     "unit.0x80.u8@65531", "unit.0x80.u8", "item.0x80.u8@0"],
)  # fmt: skip
def test_what_is_no_name(name: str) -> None:
    assert named.find(name) is None


def test_a_torn_report_is_read_as_far_as_it_goes() -> None:
    whole = named.report(examples.REALTIME_2016)
    for end in range(31, len(examples.REALTIME_2016)):
        cut = named.report(examples.REALTIME_2016[:end])
        assert set(cut.layout.units.items()) <= set(whole.layout.units.items())
