"""Batches as protobuf: `carcloud.samples.v1.Batch` of docs/samples.proto, written and read by hand.

Standard library only: a vehicle writes its payloads with `write`. Of a field that stands twice
where it may stand once the last counts; fields of other numbers are skipped.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final

from carcloud.codecs.samples.batch import Batch, Gathering, InvalidBatch, Rows, Value, check_size
from carcloud.codecs.samples.protobuf_wire import (
    BYTES,
    INT64,
    VARINT,
    WORD,
    field,
    fields,
    read_text,
    read_value,
    signed,
)

_DOUBLE: Final = struct.Struct("<d")

ROWS, SAMPLES = 2, 3  # fields of Batch: not 1, whose first byte would be a line feed of JSON
Moment = tuple[int, dict[str, Any]]
"""A time and what each signal was then, as `Gathering.row` takes them."""

# --- writing ----------------------------------------------------------------------------------


def write(rows: Rows) -> bytes:
    """A payload of rows; raises `ValueError` for what no field holds (an integer over 64 bits)."""
    return b"".join(_part(ROWS, _row(time, values)) for time, values in rows)


def _row(time: int, values: Any) -> bytes:
    parts = [b"\x08", _varint(time & WORD)]
    for signal, value in values.items():
        parts.append(_part(2, _part(1, signal.encode()) + _part(2, value_bytes(value))))
    return b"".join(parts)


def value_bytes(value: Value) -> bytes:
    """The message Value; raises `ValueError`."""
    if isinstance(value, bool):
        return b"\x20\x01" if value else b"\x20\x00"
    if isinstance(value, float):
        return b"\x09" + _DOUBLE.pack(value)
    if isinstance(value, int):
        if -INT64 <= value < INT64:
            return b"\x10" + _varint(_zigzag(value))
        if 0 <= value <= WORD:
            return b"\x18" + _varint(value)
        raise ValueError(f"{value} has over 64 bits")
    if isinstance(value, str):
        return _part(5, value.encode())
    return _array(value)


def _array(values: Any) -> bytes:
    kinds = set(map(type, values))
    if kinds == {bool}:
        return _part(8, _part(1, bytes(values)))
    if kinds == {str}:
        return _part(9, b"".join(_part(1, text.encode()) for text in values))
    if kinds == {int} and all(-INT64 <= value < INT64 for value in values):
        return _part(7, _part(1, b"".join(_varint(_zigzag(value)) for value in values)))
    if kinds <= {int, float} and all(map(_is_double, values)):
        packed = struct.pack(f"<{len(values)}d", *values)
        return _part(6, _part(1, packed) if packed else b"")
    raise ValueError("no field holds such an array")


def _is_double(value: Any) -> bool:
    try:
        return isinstance(value, float) or float(value) == value
    except OverflowError:
        return False


def _part(field: int, content: bytes) -> bytes:
    return bytes((field << 3 | BYTES,)) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


# --- reading ----------------------------------------------------------------------------------

Span = tuple[int, int, int]
"""Field (`ROWS` or `SAMPLES`), first byte and end of its content in the payload."""


def read(payload: bytes) -> Batch:
    """What a payload says; raises `InvalidBatch` with the byte."""
    check_size(payload)
    return gathered(payload, [(span, None) for span in spans(payload)])


def spans(payload: bytes) -> list[Span]:
    """The rows and samples of a payload; raises `InvalidBatch`. Lengths of one and two bytes take
    the short way: it is hot."""
    found, at, end = [], 0, len(payload)
    while at < end:
        begin, first, start = at, payload[at], at + 2
        if first in _FIRST and start < end:
            size = payload[at + 1]
            if size >= 0x80:
                more, start = payload[start], start + 1
                size = size & 0x7F | more << 7 if more < 0x80 else end
            at = start + size
            if at <= end:
                found.append((first >> 3, start, at))
                continue
        number, kind, content, at = field(payload, begin, end)
        if kind == BYTES and number in _READERS:
            found.append((number, *content))
    return found


def gathered(payload: bytes, found: Iterable[Sequence[Any]]) -> Batch:
    """The batch of [span, moment]; where the moment is None, it is read. Raises `InvalidBatch`."""
    into = Gathering()
    for (number, start, end), known in found:
        try:
            time, values = known or _READERS[number](payload, start, end)
            into.row(time, values)
        except InvalidBatch as error:
            raise InvalidBatch(str(error), start if error.at is None else error.at) from error
    return into.done("protobuf")


def read_row(data: bytes, start: int, end: int) -> Moment:
    """A row: its time and values."""
    time, values = 0, {}
    for number, kind, content in fields(data, start, end):
        if number == 1 and kind == VARINT:
            time = signed(content)
        elif number == 2 and kind == BYTES:
            signal, value = _read_entry(data, *content)
            values[signal] = value
    return time, values


def _read_entry(data: bytes, start: int, end: int) -> tuple[str, Any]:
    signal, value = "", None
    for number, kind, content in fields(data, start, end):
        if number == 1 and kind == BYTES:
            signal = read_text(data, *content)
        elif number == 2 and kind == BYTES:
            value = read_value(data, *content)
    return signal, value


def read_sample(data: bytes, start: int, end: int) -> Moment:
    """A sample, as a row of one value."""
    time, signal, value = 0, "", None
    for number, kind, content in fields(data, start, end):
        if number == 1 and kind == BYTES:
            signal = read_text(data, *content)
        elif number == 2 and kind == VARINT:
            time = signed(content)
        elif number == 3 and kind == BYTES:
            value = read_value(data, *content)
    return time, {signal: value}


_READERS: Final = {ROWS: read_row, SAMPLES: read_sample}
_FIRST: Final = frozenset(number << 3 | BYTES for number in _READERS)  # bytes of such fields
