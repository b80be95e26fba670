"""The columnar decoder against the reference, and on messages that are none."""

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.codecs.jt808 import examples as ex
from tests.codecs.jt808.bodies import BASIC, POSITION
from tests.codecs.jt808.test_frame import sealed
from tests.data import shared_data

from carcloud.codecs.errors import FrameError
from carcloud.codecs.jt808.columnar import FAULTS, DecodedBlock, decode_block, warm
from carcloud.codecs.jt808.digest import digest
from carcloud.codecs.jt808.encode import encode, encode_position
from carcloud.codecs.jt808.frame import Frame, build, build_message, escape, parse, unescape
from carcloud.codecs.jt808.packets import parse_message
from carcloud.codecs.jt808.reports import Report, reports
from carcloud.codecs.jt808.signals import report_signals
from carcloud.codecs.jt808.vss import COLUMNS, SOURCES
from carcloud.model.signals import CATALOGUE, arrow_type
from carcloud.model.time import to_us

ROW_COLUMNS = ("vehicle", "time", "source", "digest", "partial", "out_of_range")
SHAPE = {"flag", "truncated", "length", "escape"}  # what is wrong first is a matter of order
relaxed = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    warm()


def block(messages: list[bytes]) -> DecodedBlock:
    found = decode_block(pa.array(messages, pa.binary()))
    found.rows.validate(full=True)
    return found


def agree(found: Any, expected: Any) -> bool:
    """Equal, floats to the precision of a float32 column."""
    if isinstance(expected, float) or isinstance(found, float):
        return found is not None and math.isclose(found, expected, rel_tol=3e-7)
    return bool(found == expected)


def check_row(row: dict[str, Any], frame: Frame, report: Report) -> None:
    edition = 2019 if frame.edition == 2019 else 2013
    assert row["vehicle"] == frame.phone
    assert to_us(row["time"]) == to_us(report.time)
    assert row["source"] == f"jt808.{edition}.{frame.message:04x}"
    assert row["digest"] == digest(report.content)
    assert (row["partial"], row["out_of_range"]) == (report.partial, report.out_of_range)
    expected = report_signals(report.fields, edition)
    found = {path: row[path] for path in row if path not in ROW_COLUMNS and row[path] is not None}
    wrong = {
        path: (found.get(path), expected.get(path))
        for path in found.keys() | expected.keys()
        if path not in found or path not in expected or not agree(found[path], expected[path])
    }
    assert not wrong


def check(messages: list[bytes]) -> int:
    """Every message of a block has the rows, and the fault, that the reference gives it."""
    found = block(messages)
    contents = [found.report(row) for row in range(found.rows.num_rows)]
    rows = iter(zip(found.row_frame.tolist(), found.rows.to_pylist(), contents, strict=True))
    count = 0
    for index, raw in enumerate(messages):
        fault = FAULTS[found.fault[index]].code
        try:
            frame = parse_message(raw)
        except FrameError as error:
            assert fault == error.code or {fault, error.code} <= SHAPE, (raw.hex(), error)
            continue
        assert found.message[index] == frame.message
        expected, error = reports(frame)
        assert fault == ("ok" if error is None else error.code)
        if error is not None:
            assert found.fault_offset[index] == error.offset
        first = expected[0].time if expected else None
        assert found.time[index] == (-1 if first is None else to_us(first))
        for report in expected:
            at, row, content = next(rows)
            assert (at, content) == (index, report.content)
            check_row(row, frame, report)
            count += 1
    assert next(rows, None) is None
    return count


def test_worked_examples() -> None:
    assert check([*ex.ALL, ex.MEDIA_1_2019 + ex.MEDIA_2_2019]) == 4


def test_frames_of_public_test_suites() -> None:
    vectors = json.loads(shared_data("jt808/vectors.json").read_text("utf-8"))
    frames = [vector for vector in vectors if vector["kind"] == "frame"]
    raw = [bytes.fromhex(vector["hex"]) for vector in frames]
    wire = [
        one if vector["escaped"] else b"\x7e" + escape(one[1:-1]) + b"\x7e"
        for vector, one in zip(frames, raw, strict=True)
    ]
    assert check(wire) > 100


def moments() -> st.SearchStrategy[datetime]:
    whole = st.integers(0, 3_000_000_000)
    return whole.map(lambda s: datetime(2000, 1, 2, tzinfo=UTC) + timedelta(seconds=s))


KNOWN = {0x01: 4, 0x02: 2, 0x03: 2, 0x06: 2, 0x25: 4, 0x2A: 2, 0x2B: 4, 0x30: 1, 0x31: 1}


def items() -> st.SearchStrategy[bytes]:
    good = st.sampled_from(sorted(KNOWN)).flatmap(
        lambda number: st.binary(min_size=KNOWN[number], max_size=KNOWN[number]).map(
            lambda data: bytes((number, len(data))) + data
        )
    )
    strange = st.builds(
        lambda number, data: bytes((number, len(data))) + data,
        st.one_of(st.sampled_from(sorted(KNOWN)), st.integers(0, 255)),
        st.binary(max_size=9),
    )
    whole = st.lists(st.one_of(good, strange), max_size=8).map(b"".join)
    return st.one_of(whole, st.builds(lambda a, b: a + b, whole, st.binary(max_size=5)))


def contents() -> st.SearchStrategy[bytes]:
    places = st.one_of(
        st.binary(min_size=14, max_size=14), st.just(bytes.fromhex("01dc89d0073d8aa50012027b005a"))
    )
    bits = st.one_of(st.integers(0, 2**32 - 1), st.just(3)).map(lambda word: word.to_bytes(4))
    times = st.one_of(
        moments().map(lambda moment: encode_position(BASIC | {"time": moment})[22:28]),
        st.binary(min_size=6, max_size=6),
    )
    whole = st.builds(lambda *parts: b"".join(parts), bits, bits, places, times, items())
    return st.one_of(whole, whole, whole, st.binary(max_size=40))


def bodies() -> st.SearchStrategy[tuple[int, bytes]]:
    one = contents()
    batch = st.builds(
        lambda parts, more: (
            (len(parts) + more).to_bytes(2)
            + b"\1"
            + b"".join(len(part).to_bytes(2) + part for part in parts)
        ),
        st.lists(one, max_size=4),
        st.sampled_from((0, 0, 0, 1)),
    )
    head = st.binary(min_size=8, max_size=8)
    return st.one_of(
        st.tuples(st.just(0x0200), one),
        st.tuples(st.sampled_from((0x0201, 0x0500)), one.map(lambda part: b"\0\1" + part)),
        st.tuples(st.just(0x0201), one),  # of 2011: without the serial number
        st.tuples(st.just(0x0704), batch),
        st.tuples(st.just(0x0801), st.builds(lambda a, b: a + b, head, one)),
        st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)),
    )


def messages() -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda edition, phone, body, size: b"".join(
            build_message(edition, body[0], str(phone), 65535, body[1], packet_bytes=size)
        ),
        st.sampled_from((2013, 2019)),
        st.integers(1, 999_999_999_999),
        bodies(),
        st.sampled_from((1000, 1000, 30)),
    )


def damaged(raw: bytes, at: int, what: int, byte: int) -> bytes:
    at %= len(raw) + 1
    return (
        raw[:at],
        raw[:at] + bytes((byte,)) + raw[at + 1 :],
        raw[:at] + bytes((byte,)) + raw[at:],
        raw[:at] + raw[at + 1 :],
    )[what]


@given(st.lists(messages(), max_size=12))
@relaxed
def test_any_messages_read_as_the_reference_reads_them(raw: list[bytes]) -> None:
    check(raw)


@given(messages(), st.integers(0, 2000), st.integers(0, 3), st.sampled_from((0, 0x7E, 0x7D, 1, 2)))
@relaxed
def test_damaged_messages_have_the_fault_that_the_reference_finds(
    raw: bytes, at: int, what: int, byte: int
) -> None:
    check([ex.POSITION_2019, damaged(raw, at, what, byte), ex.BATCH_2019])


@given(messages(), st.integers(1, 60), st.integers(0, 255))
@relaxed
def test_a_wrong_header_with_a_right_checksum(raw: bytes, at: int, byte: int) -> None:
    try:
        frame = parse(raw)
    except FrameError:
        return
    plain = bytearray(unescape(frame.raw[1:-1])[:-1])
    plain[at % len(plain)] = byte
    check([sealed(bytes(plain))])


def test_a_report_in_a_batch_that_cannot_be_read_leaves_the_others() -> None:
    good = encode_position(POSITION)
    parts = [good, good[:20], good[:22] + bytes(6), good]
    body = (4).to_bytes(2) + b"\0" + b"".join(len(one).to_bytes(2) + one for one in parts)
    assert check([build(2019, 0x0704, "1", 0, body)]) == 2
    assert FAULTS[block([build(2019, 0x0704, "1", 0, body)]).fault[0]].code == "overrun"


@pytest.mark.parametrize("items", [[], POSITION["items"]])
def test_an_answer_of_2011_has_its_report_at_once(items: list[Any]) -> None:
    content = encode_position(POSITION | {"items": items})
    early = content[:22] + bytes.fromhex("260314021530") + content[28:]  # a time also two bytes on
    raw = [build(2011, 0x0201, "7", 1, body) for body in (content, b"\0\1" + content, early)]
    assert check(raw) == 3
    found = block(raw)
    assert [found.report(row) for row in range(3)] == [content, content, early]


def test_a_report_has_one_digest_wherever_it_stands() -> None:
    content = encode_position(POSITION)
    batch = encode(0x0704, 2019, {"kind": 1, "positions": [{"position": content}]})
    found = block(
        [build(2019, 0x0200, "7", 1, content), build(2019, 0x0704, "7", 9, batch)]
    ).rows.to_pylist()
    assert found[0]["digest"] == found[1]["digest"] == digest(content)
    assert [row["source"] for row in found] == ["jt808.2019.0200", "jt808.2019.0704"]


def test_columns_are_those_of_the_catalogue() -> None:
    everything = {
        "alarm": 0xFFFFFFFF,
        "items": [{"item": number, "data": b"\xff" * size} for number, size in KNOWN.items()],
    }
    raw = [
        build(edition, 0x0200, "1", 0, encode_position(BASIC | everything | {"status": status}))
        for edition in (2013, 2019)
        for status in (0x0044_0003, 0)
    ]
    rows = block(raw).rows
    assert set(rows.column_names) == {*ROW_COLUMNS, *COLUMNS}
    for path in COLUMNS:
        signal, kind = CATALOGUE[path], rows.schema.field(path).type
        if pa.types.is_dictionary(kind):
            assert set(rows[path].to_pylist()) - {None} <= set(signal.allowed)
            kind = kind.value_type
        assert kind == arrow_type(signal.datatype), path
    assert set(rows["source"].to_pylist()) <= set(SOURCES)


def test_a_slice_of_an_array_and_an_empty_one() -> None:
    array = pa.array([b"", *ex.ALL, ex.POSITION_2019], pa.binary())
    assert decode_block(array[-1:]).rows.num_rows == 1
    assert decode_block(array[:0]).rows.num_rows == 0
    with pytest.raises(TypeError, match="binary"):
        decode_block(pa.array(["7e"]))
