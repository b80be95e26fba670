"""Batches of samples: round trips, the same in each form, what is refused and where."""

import json
import math
import struct
import subprocess
import sys
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.codecs.samples.google import messages

from carcloud.codecs.samples import cbor_batch, json_batch, protobuf_batch
from carcloud.codecs.samples.batch import END_OF_TIME, MAX_BYTES, InvalidBatch, wrong
from carcloud.codecs.samples.read import form_of, read

GOOGLE = messages()
T = 1_767_225_600_123_456
_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
_INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
_SCALARS = st.one_of(
    st.booleans(), _INT64, st.integers(0, (1 << 64) - 1),
    st.floats(allow_nan=False, allow_infinity=False), _TEXT,
)  # fmt: skip
_ARRAYS = st.one_of(
    st.lists(st.booleans(), max_size=5), st.lists(_INT64, max_size=5), st.lists(_TEXT, max_size=5),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5),
)  # fmt: skip
_ROW = st.dictionaries(_TEXT, _SCALARS | _ARRAYS, min_size=1, max_size=6)
_TIMES = st.lists(st.integers(1, END_OF_TIME - 1), min_size=1, max_size=4, unique=True)
_ROWS = _TIMES.flatmap(
    lambda times: st.tuples(*(_ROW for _ in times)).map(
        lambda rows: [*zip(times, rows, strict=True)]
    )
)
WRITERS = (json_batch.write, cbor_batch.write, protobuf_batch.write)


def typed(rows: Any) -> str:
    """Rows with the type of each value, so that 1, 1.0 and true are three things."""
    return repr([(time, sorted(values.items())) for time, values in rows])


@given(_ROWS)
def test_what_is_written_is_read_in_every_form(rows: Any) -> None:
    for write in (cbor_batch.write, protobuf_batch.write):
        assert typed(read(write(rows)).rows) == typed(rows)
    exact = [(time - time % 1000 or 1000, values) for time, values in rows]
    if len({time for time, _ in exact}) == len(exact):
        found = read(json_batch.write(exact))
        assert typed(found.rows) == typed(exact)
        assert found.form == "json"


@given(st.integers(1, 4_102_444_800_000_000))
def test_json_keeps_microseconds_of_this_century(time: int) -> None:
    assert read(json_batch.write([(time, {"a": 1})])).times == [time]


@given(_ROWS)
def test_google_reads_what_we_write(rows: Any) -> None:
    told = GOOGLE["Batch"].FromString(protobuf_batch.write(rows))
    assert typed((r.time, {k: _plain(v) for k, v in r.values.items()}) for r in told.rows) == (
        typed(rows)
    )


@given(_ROWS)
def test_we_read_what_google_writes(rows: Any) -> None:
    batch = GOOGLE["Batch"]()
    for time, values in rows:
        row = batch.rows.add(time=time)
        for signal, value in values.items():
            row.values[signal].ParseFromString(protobuf_batch.value_bytes(value))
            batch.samples.add(signal=signal, time=time).value.CopyFrom(row.values[signal])
    assert typed(read(batch.SerializeToString()).rows) == typed(rows)
    del batch.rows[:]
    assert typed(read(batch.SerializeToString()).rows) == typed(rows)


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    found = getattr(value, kind)
    return list(found.values) if kind in ("numbers", "integers", "booleans", "texts") else found


def test_samples_rows_and_single_items_say_the_same() -> None:
    sample = {"signal": "Vehicle.Speed", "time": T, "value": 63.5}
    row = {"time": T, "values": {"Vehicle.Speed": 63.5}}
    for one in (sample, row, [sample], [row], [sample, row]):
        assert read(cbor2.dumps(one)).rows == [(T, {"Vehicle.Speed": 63.5})]
        told = json.dumps(one).replace(str(T), '"2026-01-01T08:00:00.123456+08:00"')
        assert read(told.encode()).rows == [(T, {"Vehicle.Speed": 63.5})]
        assert read(told.replace("08:00:00.123456+08:00", "00:00:00.123456Z").encode()).times == [T]


def test_what_is_said_of_one_moment_comes_together_and_the_later_value_counts() -> None:
    items = [(T, {"a": 1, "b": 2}), (T + 1, {"a": 1}), (T, {"b": 3, "c": 4})]
    for write in WRITERS:
        assert read(write(items)).rows == [(T, {"a": 1, "b": 3, "c": 4}), (T + 1, {"a": 1})]


def test_numbers_one_by_one_are_read_as_packed_ones_are() -> None:
    value = b"\x09\0\0\0\0\0\0\xf8\x3f"  # field 1, not packed: 1.5
    row = protobuf_batch._part(1, b"a") + protobuf_batch._part(2, protobuf_batch._part(6, value))
    batch = protobuf_batch._part(2, b"\x08\x01" + protobuf_batch._part(2, row))
    assert read(batch).values == [{"a": [1.5]}]
    integers = protobuf_batch._part(7, b"\x08\x03\x0a\x02\x01\x02")
    row = protobuf_batch._part(1, b"a") + protobuf_batch._part(2, integers)
    assert read(protobuf_batch._part(2, b"\x08\x01" + protobuf_batch._part(2, row))).values == [
        {"a": [-2, -1, 1]}
    ]


def test_cbor_of_small_devices_is_read() -> None:
    half = bytes.fromhex("bf 64 74696d65 1b 000647a1c1a5c240 66 76616c756573 a1 61 61 f9 3e00 ff")
    assert read(half).values == [{"a": 1.5}]


@pytest.mark.parametrize(
    ("payload", "reason", "at"),
    [
        (b"", "empty", 0),
        (b"hello", "no form", 0),
        (b"\x0b", "no form", 0),
        (b'[{"time": 1, "values": {"a": 1}}', "truncated", None),
        (b'[{"time": 1, "values": {"a": x}}]', "malformed", 29),
        (b'{"time": 1, "values": {"a": 1}} x', "trailing", 33),
        (b'{"time": 1, "values": {"\xff": 1}}', "UTF-8", None),
        (b'{"values": {"a": 1}}', "missing required field `time`", None),
        (b'[{"time": 1, "values": {"a": 1}}, {"time": "noon"}]', "RFC3339", None),
        (b'{"time": "2026-01-01T00:00:00", "values": {"a": 1}}', "timezone", None),
        (b'{"time": 0, "values": {"a": 1}}', "item 0: time 0", None),
        (b'{"time": -1.5, "values": {"a": 1}}', "1970", None),
        (b'{"time": 1e300, "values": {"a": 1}}', "1970", None),
        (b'{"time": 1, "values": {"a": 1}, "extra": 1}', "extra", None),
        (b'{"time": 1, "value": 1}', "either", None),
        (b'{"time": 1, "signal": "a", "values": {"a": 1}}', "either", None),
        (b'{"time": 1, "values": {}}', "no sample", None),
        (b"[]", "no sample", None),
        (b"[" * 100_000, "got `array`", None),
        (b'{"time": 1, "signal": "a", "value": ' + b"[" * 100_000, "recursion", None),
        (b'{"time": 1, "values": {"a": 1e400}}', "out of range", None),
        (b"\x80", "no sample", None),
        (b"\x81\x00", "item 0: a map", None),
        (b"\x9b" + b"\xff" * 8, "end of stream", None),
        (b"\x81" * 50, "depth", None),
        (b"\xa2\x61a\x01\x61a\x02", "Duplicate", None),
        (b"\xa2\x64time\xc1\x01\x66values\xa1\x61a\x01", "tag", None),
        (b"\xa2\x64time\x01\x66values\xa1\x61a\xd8\x1c\x81\x00", "tag", None),
        (b"\xa2\x64time\xf9\x3c\x00\x66values\xa1\x61a\x01", "integer of us", None),
        (b"\xa2\x64time\x01\x66values\xa1\x01\x01", "must be a text", None),
        (b"\xa2\x64time\x01\x66values\xa1\x41a\x01", "names of signals", None),
        (b"\xa2\x64time\x01\x66values\xa1\x61a\x01\x00", "after the end", 18),
        (b"\xa2\x64time\x01\x65value\x01", "either", None),
        (b"\x12\x05\x08", "5 bytes, 1 are there", 0),
        (b"\x12\x01\x08", "varint", 3),
        (b"\x12\x02\x08\x80", "varint", 3),
        (b"\x12\x02\x08\x01", "no sample", None),
        (b"\x12\x01\x0b", "wire type 3", 2),
        (b"\x12\x01\x00", "number 0", 2),
        (b"\x1a\x05\x0a\x01\xff\x10\x01", "UTF-8", 4),
        (b"\x1a\x03\x0a\x01a", "time 0", 2),
        (b"\x1a\x0c\x10\x01\x1a\x08\x32\x06\x0a\x04abcd", "8 bytes", 10),
        (b"{" + b" " * MAX_BYTES, "at most", MAX_BYTES),
    ],
)  # fmt: skip
def test_what_is_no_batch_says_why_and_where(payload: bytes, reason: str, at: int | None) -> None:
    with pytest.raises(InvalidBatch, match=reason.replace("`", ".")) as refused:
        read(payload)
    if at is not None:
        assert refused.value.at == at


@pytest.mark.parametrize("write", WRITERS)
def test_limits_hold_in_every_form(write: Any) -> None:
    many = {f"s{n}": n for n in range(5001)}
    with pytest.raises(InvalidBatch, match=r"50000 samples|at most"):
        read(write([(T + n, many) for n in range(10)]))
    with pytest.raises(InvalidBatch, match="10000 moments"):
        read(write([(T + n, {"a": 1}) for n in range(10_001)]))


@pytest.mark.parametrize("write", WRITERS)
def test_every_cut_of_a_payload_is_refused(write: Any) -> None:
    whole = write([(T, {"Vehicle.Speed": 63.5, "b": [1, 2], "c": "ä"})])
    for size in range(len(whole)):
        with pytest.raises(InvalidBatch):
            read(whole[:size])


def test_what_is_no_value_is_told() -> None:
    for value in (1, 1.5, True, "a", [], [1, 2.5], [True], ["a"], math.inf):
        assert wrong(value) is None
    for value in (None, {}, b"a", [1, True], [1, "a"], [None], [[1]], cbor2.undefined):
        assert wrong(value) is not None


@pytest.mark.parametrize("value", [1 << 64, -(1 << 63) - 1, [1, "a"], [True, 1], [1 << 70, 0.5]])
def test_the_writer_of_protobuf_refuses_what_no_field_holds(value: Any) -> None:
    if value == [1 << 70, 0.5]:
        assert read(protobuf_batch.write([(T, {"a": value})])).values == [{"a": value}]
        return
    with pytest.raises(ValueError, match=r"64 bits|no field"):
        protobuf_batch.write([(T, {"a": value})])


def test_the_first_byte_tells_the_form() -> None:
    assert form_of(b"\n {") == "json"
    assert form_of(struct.pack("B", 0xBF)) == "cbor"
    assert form_of(protobuf_batch.write([(T, {"a": 1})])) == "protobuf"


def test_a_vehicle_writes_protobuf_with_the_standard_library_alone() -> None:
    program = (
        "import sys; from carcloud.codecs.samples.protobuf_batch import read, write; "
        "assert read(write([(1, {'a': 1.5})])).values == [{'a': 1.5}]; "
        "print(*{'numpy', 'pyarrow', 'msgspec', 'cbor2', 'numba'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert said.stdout.split() == []
