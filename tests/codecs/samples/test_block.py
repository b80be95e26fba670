"""Many payloads at once say what each says by itself: values, errors and where they are."""

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.codecs.samples.test_samples import _ROW, GOOGLE, T, typed

from carcloud.codecs.samples import block, cbor_batch, json_batch, protobuf_batch
from carcloud.codecs.samples.batch import Batch, InvalidBatch
from carcloud.codecs.samples.protobuf_batch import read_row
from carcloud.codecs.samples.read import read

BIG = [*(1 << bits for bits in range(64)), *((1 << bits) - 1 for bits in range(65))]
_NUMBERS = st.sampled_from([*BIG, *(-number for number in BIG if number <= 1 << 63)])
_LIKE: dict[type, Callable[[Any], st.SearchStrategy[Any]]] = {
    bool: lambda _: st.booleans(),
    int: lambda _: _NUMBERS,
    float: lambda _: st.floats(allow_nan=False),
    str: lambda text: st.text("aä\x00", min_size=len(text), max_size=len(text)),
    list: st.just,
}


def told(payload: bytes) -> object:
    """What the reader of one payload says."""
    try:
        return as_told(read(payload))
    except InvalidBatch as error:
        return as_told(error)


def as_told(found: Batch | InvalidBatch) -> object:
    if isinstance(found, Batch):
        return found.form, typed(found.rows), [list(row) for row in found.values]
    return str(found), found.at


@st.composite
def _alike(draw: st.DrawFn) -> list[bytes]:
    """Payloads of rows with the same names and the same kinds of values."""
    first = draw(_ROW)
    rows = []
    for number in range(draw(st.integers(8, 14))):
        values = {name: draw(_LIKE[type(value)](value)) for name, value in first.items()}
        rows.append((draw(st.sampled_from([T + number, T, 1, 1 << number, -1])), values))
    many = draw(st.integers(1, 3))
    return [protobuf_batch.write(rows[at : at + many]) for at in range(len(rows))]


@given(_alike(), st.data())
def test_a_block_is_read_as_each_of_it_is(payloads: list[bytes], data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(payloads) - 1))
        spoilt = bytearray(payloads[place])
        at = data.draw(st.integers(0, len(spoilt) - 1))
        spoilt[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, spoilt[at] ^ 0x80]))
        payloads.insert(place, bytes(spoilt))
    assert [*map(as_told, block.read_block(payloads))] == [*map(told, payloads)]


def test_forms_and_errors_keep_their_places() -> None:
    rows = [(T, {"a": 1.5, "b": "x"})]
    writers = (json_batch.write, cbor_batch.write, protobuf_batch.write)
    payloads = [write(rows) for write in writers] * 9
    payloads[4:4] = [
        b"",
        b"hello",
        b"{",
        b"\x12\x05\x08",
        payloads[2][:-1],
        b"\x12" + bytes(1 << 20),
    ]
    assert [*map(as_told, block.read_block(payloads))] == [*map(told, payloads)]
    assert block.read_block([]) == []


def test_what_is_alike_is_not_read_field_by_field(monkeypatch: Any) -> None:
    """One row, several rows in a payload, and two shapes of the same size."""
    slow: list[int] = []

    def counted(data: bytes, start: int, end: int) -> protobuf_batch.Moment:
        slow.append(start)
        return read_row(data, start, end)

    monkeypatch.setitem(protobuf_batch._READERS, protobuf_batch.ROWS, counted)

    def values(number: int) -> dict[str, Any]:
        letter = "ab"[number % 2]
        return {letter: 1.5 + number, "n": 100 + number, "t": True, "x": ["y"], "z": "ON"}

    ones = [protobuf_batch.write([(T + n, values(n))]) for n in range(40)]
    many = [
        protobuf_batch.write([(T + n + k, values(n)) for k in range(n % 3 + 2)]) for n in range(40)
    ]
    assert all(isinstance(one, Batch) for one in block.read_block([*ones, *many]))
    assert slow == []


def test_what_google_writes_is_read_alike() -> None:
    payloads = []
    for number in range(20):
        batch = GOOGLE["Batch"]()
        row = batch.rows.add(time=T + number)
        row.values["a"].number = number / 3
        row.values["b"].integer = -number
        batch.samples.add(signal="c", time=T + number).value.text = "x"
        payloads.append(batch.SerializeToString())
    assert [*map(as_told, block.read_block(payloads))] == [*map(told, payloads)]
