"""Fields of many reports at once: as each report says alone."""

import struct
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.codecs.gbt32960 import examples
from tests.codecs.gbt32960.strategies import realtime_frames

from carcloud.codecs.fields import Found, OneByOne
from carcloud.codecs.gbt32960 import named
from carcloud.codecs.gbt32960.constants import HEADER_SIZE, Command, Flag
from carcloud.codecs.gbt32960.frame import build
from carcloud.codecs.gbt32960.named_columns import Block

TIME = bytes((26, 3, 14, 15, 9, 26))
KINDS = ("u8", "i8", "u16", "i16le", "u24", "i24", "u24le", "i24le", "u32le", "i32", "f32", "f32le",
         "f64", "f64le")  # fmt: skip
OWN = [
    f"unit.0x{unit:02X}.{name}"
    for unit in (0x80, 0x8D, 0xFE)
    for name in (*(f"{kind}@{at}" for kind in KINDS for at in (0, 3)), "bit@0.0", "bit@5.7")
]
NAMES = [
    *dict.fromkeys(
        name.replace("[0]", index) for name in named.table() for index in ("[0]", "[1]", "[7]")
    ),
    *OWN,
]


def found(name: str) -> named.Field:
    field = named.find(name)
    assert field is not None, name
    return field


def report(units: bytes) -> bytes:
    return build(2016, Command.REALTIME, Flag.COMMAND, "CAR", TIME + units)


def block(frames: Sequence[bytes], which: Sequence[int]) -> Block:
    """Behind another frame, as a part of an array."""
    array = pa.array([b"other", *frames], pa.binary()).slice(1)
    return Block(array, np.array(which, np.int32))


def told(found: Found) -> list[object]:
    numbers, missing = found
    listed = zip(numbers.tolist(), missing.tolist(), strict=True)
    return [numbers.dtype, *(None if without else number for number, without in listed)]


def assert_alike(frames: Sequence[bytes], which: Sequence[int], names: Sequence[str]) -> None:
    together = block(frames, which)
    alone = OneByOne([named.report(frames[one]) for one in which])
    for field in map(found, names):
        assert told(together.value(field)) == told(alone.value(field)), field.name
        assert told(together.raw(field)) == told(alone.raw(field)), field.name


@st.composite
def lots(draw: st.DrawFn) -> list[bytes]:
    """Reports of which many are alike, some differ in one byte, and some are torn."""
    chosen: list[bytes] = []
    for frame in draw(st.lists(realtime_frames(strange=True), min_size=1, max_size=3)):
        chosen += [frame] * draw(st.integers(1, 6))
        for _ in range(draw(st.integers(0, 10))):
            at = draw(st.integers(HEADER_SIZE, len(frame) - 1))
            code = draw(st.sampled_from((0, 1, 2, frame[at] ^ 1, 0x80, 0xFE, 0xFF)))
            chosen.append(frame[:at] + bytes((code,)) + frame[at + 1 :])
        end = draw(st.integers(HEADER_SIZE + len(TIME) + 1, len(frame)))
        chosen += [frame[:end]] * draw(st.integers(0, 5))
    return draw(st.permutations(chosen))


@given(lots(), st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_many_reports_are_read_as_each_alone(frames: list[bytes], data: st.DataObject) -> None:
    everyone = range(len(frames))
    which = data.draw(st.just(everyone) | st.lists(st.sampled_from(everyone), unique=True))
    chosen = np.random.default_rng(data.draw(st.integers(0, 1 << 32))).choice(NAMES, 60, False)
    assert_alike(frames, which, chosen.tolist())


def test_the_examples_of_both_editions() -> None:
    assert_alike([examples.REALTIME_2016, examples.REALTIME_2025] * 5, range(10), NAMES)
    assert_alike([examples.REALTIME_2016], [0], NAMES)
    assert_alike([examples.REALTIME_2016], [], NAMES)


@pytest.mark.parametrize("kind", ["f64", "f32"])
def test_numbers_that_are_whole_too_large_or_none(kind: str) -> None:
    wire = ">d" if kind == "f64" else ">f"
    numbers = [1.0, -0.0, 3.5, -(2.0**63), 2.0**63, 2.0**53 + 2, 1e38, float("nan"), float("inf")]
    units = [struct.pack(wire, number) for number in numbers]
    frames = [report(b"\x83" + len(one).to_bytes(2) + one) for one in units]
    field = found(f"unit.0x83.{kind}@0")
    together, alone = block(frames, range(9)), OneByOne(list(map(named.report, frames)))
    assert told(together.raw(field)) == told(alone.raw(field))
    assert told(together.value(field)) == told(alone.value(field))
    assert together.value(field)[1].tolist() == [False] * 7 + [True] * 2


def test_reports_of_many_layouts_are_read_one_by_one() -> None:
    """More layouts than are looked for, some of few reports."""
    frames = [
        report(b"\x83\x00\x02" + bytes((number, 7)) + b"\x84" + number.to_bytes(2) + bytes(number))
        for number in range(100)
        for _ in range(1 + number % 5)
    ]
    which = np.random.default_rng(32960).permutation(len(frames)).tolist()
    together = block(frames, which)
    expected = [frames[one][HEADER_SIZE + 9] for one in which]
    assert together.value(found("unit.0x83.u8@0"))[0].tolist() == expected
    last = together.value(found("unit.0x84.u8@60"))
    assert told(last)[1:] == [0 if one > 60 else None for one in expected]


@pytest.mark.parametrize("frame", [examples.REALTIME_2016, examples.REALTIME_2025])
def test_one_byte_may_make_another_layout(frame: bytes) -> None:
    """Each byte of the units changed; reports that are as they were before come first."""
    changed = [
        frame[:at] + bytes((frame[at] ^ bits,)) + frame[at + 1 :]
        for at in range(HEADER_SIZE + len(TIME), len(frame) - 1)
        for bits in (0x01, 0x80)
    ]
    alone = named.report(frame)
    names = [name for name in NAMES if found(name).value(alone) is not None][::3]
    assert_alike([frame] * 4 + changed, range(4 + len(changed)), names)


@pytest.mark.parametrize("edition", [2016, 2025])
def test_codes_that_are_no_value(edition: int) -> None:
    kind = b"\x07" if edition == 2016 else b"\x06"
    frames = [
        build(edition, Command.REALTIME, Flag.COMMAND, "CAR", TIME + unit)
        for last in (0x00, 0x04, 0x05, 0xFD, 0xFE, 0xFF)
        for unit in [kind + b"\x01\xff\xff\xff" + bytes((last, *bytes(5))),
                     kind + bytes((last, *bytes(9)))] * 5
    ]  # fmt: skip
    assert_alike(frames, range(len(frames)), [name for name in NAMES if name.startswith("alarm")])
