"""The columnar decoder against the reference, and on frames that are none."""

import json
import math
import random
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.codecs.gbt32960 import examples
from tests.codecs.gbt32960.strategies import any_frames, realtime_frames
from tests.data import shared_data

from carcloud.codecs.gbt32960 import columnar_kernel as kernel
from carcloud.codecs.gbt32960 import columnar_shapes
from carcloud.codecs.gbt32960.columnar import FAULTS, SOURCES, DecodedBlock, decode_block, warm
from carcloud.codecs.gbt32960.columnar_layout import layout
from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.decode import decode
from carcloud.codecs.gbt32960.digest import content, digest
from carcloud.codecs.gbt32960.errors import FrameError
from carcloud.codecs.gbt32960.frame import bcc, build, parse
from carcloud.codecs.gbt32960.signals import signals
from carcloud.codecs.gbt32960.tables import BODIES
from carcloud.codecs.gbt32960.vss import COLUMNS, TARGETS
from carcloud.model.signals import CATALOGUE, arrow_type
from carcloud.model.time import to_us

EXAMPLES = [value for value in vars(examples).values() if isinstance(value, bytes)]
ROW_COLUMNS = ("vehicle", "time", "source", "digest", "partial", "out_of_range")
VOLTS = "Vehicle.Powertrain.TractionBattery.CurrentVoltage"
AMPS = "Vehicle.Powertrain.TractionBattery.CurrentCurrent"
POWER = "Vehicle.Powertrain.TractionBattery.CurrentPower"
relaxed = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    warm()


def block(frames: list[bytes]) -> DecodedBlock:
    found = decode_block(pa.array(frames, pa.binary()))
    found.rows.validate(full=True)
    return found


def agree(found: Any, expected: Any) -> bool:
    """Equal, floats to the precision of a float32 column."""
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(agree, found, expected))
    if isinstance(expected, float) or isinstance(found, float):
        return found is not None and math.isclose(found, expected, rel_tol=3e-7, abs_tol=1e-4)
    return bool(found == expected)


def fault_of(frame: bytes) -> str:
    """The word for what is wrong with a frame, by the reference; `ok` for a report."""
    try:
        parsed = parse(frame)
    except FrameError as error:
        return error.code
    if parsed.command not in (Command.REALTIME, Command.REISSUE) or parsed.flag != Flag.COMMAND:
        return "not-a-report"
    if parsed.encryption != 1:
        return "encrypted" if 2 <= parsed.encryption <= 5 else "reserved-encryption"
    if len(parsed.data) < 6:
        return "overrun"
    return "ok" if decode(parsed).time is not None else "time"


def check_row(row: dict[str, Any], frame: bytes) -> None:
    """A row says what the reference reads from its frame."""
    parsed = parse(frame)
    message = decode(parsed)
    assert row["vehicle"] == parsed.unique_id
    assert message.time is not None
    assert to_us(row["time"]) == to_us(message.time)
    edition = parsed.edition
    assert row["source"] == SOURCES[2 * (edition == 2025) + (parsed.command == Command.REISSUE)]
    assert row["digest"] == digest(content(parsed))
    assert row["partial"] == message.partial
    assert row["out_of_range"] == message.out_of_range
    expected = signals(message)
    if VOLTS in expected and AMPS in expected:  # also where they stem from two bodies
        expected[POWER] = expected[VOLTS] * expected[AMPS]
    found = {path: row[path] for path in row if path not in ROW_COLUMNS and row[path] is not None}
    wrong = {
        path: (found.get(path), expected.get(path))
        for path in found.keys() | expected.keys()
        if path not in found or path not in expected or not agree(found[path], expected[path])
    }
    assert not wrong


def check(frames: list[bytes]) -> None:
    """Every frame of a block has the row, or the fault, that the reference gives it."""
    found = block(frames)
    assert [FAULTS[code].code for code in found.fault] == [fault_of(frame) for frame in frames]
    assert list(found.row_frame) == list(np.flatnonzero(found.fault == 0))
    for index, row in zip(found.row_frame, found.rows.to_pylist(), strict=True):
        check_row(row, frames[index])


def vectors() -> list[bytes]:
    return [
        bytes.fromhex(vector["hex"])
        for vector in json.loads(shared_data("gbt32960/vectors.json").read_text())
    ]


def test_worked_examples() -> None:
    check(EXAMPLES)


def test_captured_frames() -> None:
    check(vectors())


@relaxed
@given(st.lists(realtime_frames(), min_size=1, max_size=6))
def test_random_valid_frames(frames: list[bytes]) -> None:
    check(frames)


@relaxed
@given(st.lists(realtime_frames(strange=True), min_size=1, max_size=4))
def test_random_frames_with_values_out_of_range(frames: list[bytes]) -> None:
    check(frames)


@relaxed
@given(st.lists(any_frames() | realtime_frames() | st.binary(max_size=60), max_size=6))
def test_mixed_blocks(frames: list[bytes]) -> None:
    found = block(frames)
    assert len(found.fault) == len(frames)
    ok = [frame for frame, fault in zip(frames, found.fault, strict=True) if fault == 0]
    for row, frame in zip(found.rows.to_pylist(), ok, strict=True):
        check_row(row, frame)


@relaxed
@given(realtime_frames(), st.randoms(use_true_random=False), st.integers(1, 8))
def test_corrupted_data_units_agree_with_the_reference(
    frame: bytes, chance: random.Random, changes: int
) -> None:
    """Bytes changed behind the time, checksum put right: lengths and types become nonsense."""
    data = bytearray(frame)
    for _ in range(changes if len(data) > 31 else 0):
        data[chance.randrange(30, len(data) - 1)] = chance.choice([0, 1, 0x7F, 0xFE, 0xFF, 9])
    data[-1] = bcc(data[2:-1])
    check([bytes(data)])


@relaxed
@given(realtime_frames(), st.data())
def test_truncated_data_units_agree_with_the_reference(frame: bytes, data: st.DataObject) -> None:
    parsed = parse(frame)
    unit = parsed.data[: data.draw(st.integers(0, len(parsed.data)))]
    check([frame, build(parsed.edition, parsed.command, Flag.COMMAND, parsed.unique_id, unit)])


@relaxed
@given(realtime_frames(), st.data())
def test_cut_frames_are_faults(frame: bytes, data: st.DataObject) -> None:
    cut = frame[: data.draw(st.integers(0, len(frame) - 1))]
    found = block([cut, frame])
    assert FAULTS[found.fault[0]].code in ("start", "length")
    assert list(found.row_frame) == [1]


def test_headers_that_are_no_report() -> None:
    frame = bytearray(examples.REALTIME_2016)

    def with_byte(at: int, value: int, right: bool = True) -> bytes:
        changed = bytearray(frame)
        changed[at] = value
        if right:
            changed[-1] = bcc(changed[2:-1])
        return bytes(changed)

    cases = {
        with_byte(0, 0x24): ("start", 0),
        with_byte(2, 0x04): ("not-a-report", 2),
        with_byte(3, 0x01): ("not-a-report", 3),
        with_byte(5, 0x1F): ("unique-id", 4),
        with_byte(21, 0x03): ("encrypted", 21),
        with_byte(21, 0x00): ("reserved-encryption", 21),
        with_byte(23, 0x00): ("length", 22),
        with_byte(24, 100): ("time", 24),
        with_byte(25, 13): ("time", 25),
        with_byte(26, 32): ("time", 26),
        with_byte(27, 24): ("time", 27),
        with_byte(28, 60): ("time", 28),
        with_byte(29, 60): ("time", 29),
        with_byte(40, 0x55, right=False): ("bcc", len(frame) - 1),
    }
    found = block(list(cases))
    codes = [FAULTS[code].code for code in found.fault]
    assert list(zip(codes, found.fault_offset.tolist(), strict=True)) == list(cases.values())
    assert found.rows.num_rows == 0


def test_slices_and_empty_blocks() -> None:
    whole = pa.array([b"x", *EXAMPLES, b""], pa.binary())
    part = whole[5:-3]
    assert decode_block(part).rows == block([frame.as_py() for frame in part]).rows
    empty = block([])
    assert empty.rows.column_names == list(ROW_COLUMNS)
    with pytest.raises(TypeError, match="expected binary"):
        decode_block(pa.array(["text"]))


def test_columns_have_the_catalogue_types() -> None:
    rows = block([examples.REALTIME_2016, examples.REALTIME_2025, examples.FUEL_CELL_2016]).rows
    paths = [path for path in rows.column_names if path not in ROW_COLUMNS]
    assert paths == [path for path in COLUMNS if path in paths]
    for path in paths:
        kind = rows.schema.field(path).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        assert kind == arrow_type(CATALOGUE[path].datatype), path


def test_every_target_is_a_field_of_some_edition() -> None:
    known = set()
    for edition, kinds in BODIES.items():
        tables = list(kinds.values())
        tables += [row.table for table in tables for row in table.rows if hasattr(row, "table")]
        known |= {(edition, table.name, row.key) for table in tables for row in table.rows}
    for target in TARGETS:
        editions = (2016, 2025) if target.edition is None else (target.edition,)
        assert any((edition, target.table, target.key) in known for edition in editions), target


def test_current_sign_is_a_choice() -> None:
    frames = pa.array([examples.REALTIME_2016], pa.binary())
    negated, plain = decode_block(frames).rows, decode_block(frames, negate_current=False).rows
    assert [negated[AMPS][0].as_py(), plain[AMPS][0].as_py()] == [-12.5, 12.5]
    assert negated[POWER][0].as_py() < 0 < plain[POWER][0].as_py()


def _cells(number: int, total: int, first: int, volts: list[int]) -> bytes:
    head = bytes([number, 0x0E, 0x44, 0x27, 0x8D]) + total.to_bytes(2) + first.to_bytes(2)
    return head + bytes([len(volts)]) + b"".join(volt.to_bytes(2) for volt in volts)


def _report16(*bodies: bytes) -> bytes:
    time = bytes([26, 3, 14, 15, 9, 26])
    return build(2016, Command.REALTIME, Flag.COMMAND, examples.VEHICLE, time + b"".join(bodies))


def test_split_packs_are_joined_and_incomplete_ones_kept_back() -> None:
    """S16 table B.6: parts of a pack in any order, in one body or several."""
    many = [3300 + number for number in range(250)]
    parts = (
        b"\x08\x02" + _cells(2, 2, 1, [3700, 3701]) + _cells(1, 250, 201, many[200:]),
        b"\x08\x01" + _cells(1, 250, 1, many[:200]),
    )
    path = "Vehicle.Powertrain.TractionBattery.CellVoltage.CellVoltages"
    frames = [_report16(*parts), _report16(parts[0]), _report16(*reversed(parts))]
    check(frames)
    column = block(frames).rows[path].to_pylist()
    assert column[1] is None
    assert column[0] == column[2]
    assert column[0][249:] == pytest.approx([3.549, 3.7, 3.701])


def test_more_packs_than_are_put_in_order() -> None:
    """A frame full of empty packs is read in bounded time and publishes no cells."""
    pack = _cells(1, 65000, 1, [])
    bodies = [
        b"\x08\xfd" + b"".join(
            pack[:7] + (1 + body * 253 + part).to_bytes(2) + pack[9:] for part in range(253)
        )
        for body in range(kernel.MAX_PACKS // 253 + 2)
    ]  # fmt: skip
    rows = block([_report16(*bodies)]).rows
    assert rows["partial"][0].as_py() is False
    assert not any(path.endswith("CellVoltages") for path in rows.column_names)


def test_large_lists() -> None:
    """Memory is sized by the elements that the frames of a block have."""
    body = b"\x09\x01\x01" + (60000).to_bytes(2) + bytes([70]) * 60000
    rows = block([_report16(body)] * 6).rows
    lengths = [len(value) for value in rows[
        "Vehicle.Powertrain.TractionBattery.Temperature.CellTemperature"
    ].to_pylist()]  # fmt: skip
    assert lengths == [60000] * 6


def _changed(frame: bytes, chance: random.Random, changes: int) -> bytes:
    """A frame with other bytes behind the time, and the checksum of these."""
    data = bytearray(frame)
    for _ in range(changes if len(data) > 31 else 0):
        data[chance.randrange(30, len(data) - 1)] = chance.randrange(256)
    data[-1] = bcc(data[2:-1])
    return bytes(data)


@relaxed
@given(
    st.lists(realtime_frames(), min_size=1, max_size=3),
    st.randoms(use_true_random=False),
    st.integers(2, 12),
    st.integers(1, 4),
)
def test_frames_of_few_shapes_agree_with_the_reference(
    frames: list[bytes], chance: random.Random, count: int, changes: int
) -> None:
    """Frames that are laid out alike, with other values, and some that only seem so."""
    check([_changed(chance.choice(frames), chance, changes) for _ in range(count)])


def _with_custom(size: int, value: int) -> bytes:
    vehicle = bytes.fromhex("01010301") + value.to_bytes(2) + bytes.fromhex(
        "0012d6870e44278d4c012e13880000"
    )  # fmt: skip
    return _report16(vehicle, b"\x80" + size.to_bytes(2) + bytes(size))


@pytest.mark.parametrize("count", [1, 3, 4, 5, 127, 128, 129, 400])
@pytest.mark.parametrize("shapes", [1, 3, columnar_shapes.MAX_SHAPES + 8])
def test_windows_of_rows_and_more_shapes_than_are_kept(count: int, shapes: int) -> None:
    """Each frame of a large block gives the row that it gives alone."""
    frames = [_with_custom(1 + number * 7 % shapes, number) for number in range(count)]
    check(frames)


FILLERS = [_with_custom(1 + number, 0) for number in range(columnar_shapes.MAX_SHAPES)]
"""As many shapes as a block keeps: frames behind them are walked one by one."""


@relaxed
@given(st.lists(realtime_frames(strange=True), min_size=1, max_size=4))
def test_frames_without_a_shape_read_the_same(frames: list[bytes]) -> None:
    """Walked after `FILLERS`, and by shape before them."""
    walked, shaped = block([*FILLERS, *frames]), block(frames)
    count = len(FILLERS)
    assert walked.fault[count:].tolist() == shaped.fault.tolist()
    rows = walked.rows.slice(count).to_pylist()
    for found, frame, expected in zip(rows, frames, shaped.rows.to_pylist(), strict=True):
        check_row(found, frame)
        assert {path: value for path, value in found.items() if value is not None} == {
            path: value for path, value in expected.items() if value is not None
        }


def test_a_table_outlives_the_blocks_behind_it() -> None:
    first = decode_block(pa.array([_with_custom(3, 50)], pa.binary()))
    before = first.rows.to_pylist()
    for number in range(20):
        decode_block(pa.array([_with_custom(3, 51 + number)], pa.binary()))
    assert first.rows.to_pylist() == before
    assert first.row_frame.tolist() == [0]


def test_blocks_at_work_in_many_threads() -> None:
    """Same columns, other values: no block sees the scratch memory or metadata of another."""

    def speeds(first: int) -> list[float]:
        frames = [_with_custom(1 + number % 3, first + number) for number in range(200)]
        return list(block(frames).rows["Vehicle.Speed"].to_pylist())

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(speeds, range(0, 1600, 100)))
    for first, values in zip(range(0, 1600, 100), found, strict=True):
        assert values == pytest.approx([(first + number) / 10 for number in range(200)])


def test_stamps_over_midnight_and_leap_days() -> None:
    """Beijing times whose UTC date is of another day, month or year."""
    days = ((0, 1, 1), (24, 2, 29), (24, 3, 1), (25, 3, 1), (99, 12, 31), (26, 1, 1))
    position = bytes.fromhex("0500") + (121_000_000).to_bytes(4) + (31_000_000).to_bytes(4)
    frames = [
        build(
            2016, Command.REALTIME, Flag.COMMAND, examples.VEHICLE,
            bytes([*day, hour, 59, 7]) + position,
        )
        for day in days
        for hour in (0, 7, 8, 23)
    ]  # fmt: skip
    check(frames)


def test_validity_bits_over_many_rows() -> None:
    """Rows with and without a value, over byte borders of the validity bitmap."""
    with_speed, without = examples.REALTIME_2016, examples.FUEL_CELL_2016
    for size, step in product((1, 7, 8, 9, 31, 33, 64, 65), (1, 2, 3, 5)):
        frames = [with_speed if at % step == 0 else without for at in range(size)]
        rows = block(frames).rows
        assert rows["Vehicle.Speed"].to_pylist() == [
            63.5 if at % step == 0 else None for at in range(size)
        ]


def test_layout_knows_every_storage() -> None:
    tables = layout(True)
    assert len(set(tables.floats + tables.smalls + tables.wides)) == sum(
        map(len, (tables.floats, tables.smalls, tables.wides))
    )


def test_nothing_is_compiled_after_warming() -> None:
    from carcloud.codecs.gbt32960 import columnar_pass

    warm()
    compiled = [columnar_pass.scan, columnar_pass.fill]
    before = [len(one.signatures) for one in compiled]
    some = pa.array([b"##", b"$$ and more", b""], pa.binary())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema([("f", pa.binary())])) as writer:
        writer.write_table(pa.table({"f": some}))
    read = pa.ipc.open_stream(sink.getvalue()).read_all()["f"]
    for frames in (some, some[:0], some[1:], read.combine_chunks(), pa.concat_arrays([some, some])):
        decode_block(frames)
    assert [len(one.signatures) for one in compiled] == before
