"""Batches as protobuf: `carcloud.samples.v1.Batch` of docs/samples.proto, written and read by hand.

Standard library only: a vehicle writes its payloads with `write`. Of a field that stands twice
where it may stand once the last counts; fields of other numbers are skipped.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

from carcloud.codecs.samples.batch import Batch, Gathering, InvalidBatch, Rows, Value, check_size

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_ROWS, _SAMPLES = 2, 3  # fields of Batch: not 1, whose first byte would be a line feed of JSON
_INT64: Final = 1 << 63
_WORD: Final = (1 << 64) - 1
_DOUBLE: Final = struct.Struct("<d")

# --- writing ----------------------------------------------------------------------------------


def write(rows: Rows) -> bytes:
    """A payload of rows; raises `ValueError` for what no field holds (an integer over 64 bits)."""
    return b"".join(_part(_ROWS, _row(time, values)) for time, values in rows)


def _row(time: int, values: Any) -> bytes:
    parts = [b"\x08", _varint(time & _WORD)]
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
        if -_INT64 <= value < _INT64:
            return b"\x10" + _varint(_zigzag(value))
        if 0 <= value <= _WORD:
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
    if kinds == {int} and all(-_INT64 <= value < _INT64 for value in values):
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
    return bytes((field << 3 | _BYTES,)) + _varint(len(content)) + content


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


def read(payload: bytes) -> Batch:
    """What a payload says; raises `InvalidBatch` with the byte."""
    check_size(payload)
    into = Gathering()
    for number, kind, content in _fields(payload, 0, len(payload)):
        if kind == _BYTES and number in (_ROWS, _SAMPLES):
            try:
                if number == _ROWS:
                    into.row(*_read_row(payload, *content))
                else:
                    into.row(*_read_sample(payload, *content))
            except InvalidBatch as error:
                at = content[0] if error.at is None else error.at
                raise InvalidBatch(str(error), at) from error
    return into.done("protobuf")


def _read_row(data: bytes, start: int, end: int) -> tuple[int, dict[str, Any]]:
    """A row. Entries as every writer makes them, under 128 bytes, take the short way: it is hot."""
    time, values = 0, {}
    at = start
    while at < end:
        # tag, length, then the entry: tag, length and text of the name; tag, length and value
        stop = at + 2 + data[at + 1] if data[at] == 0x12 and at + 5 < end else 0
        told = at + 4 + data[at + 3] if stop and data[at + 2] == 0x0A else end
        if (
            told + 2 < stop <= end
            and data[told] == 0x12
            and told + 2 + data[told + 1] == stop
            and (data[at + 1] | data[at + 3] | data[told + 1]) < 0x80  # lengths of one byte
        ):
            values[_text(data, at + 4, told)] = _short_value(data, told + 2, stop)
            at = stop
            continue
        number, kind, content, at = _field(data, at, end)
        if number == 1 and kind == _VARINT:
            time = _signed(content)
        elif number == 2 and kind == _BYTES:
            signal, value = _read_entry(data, *content)
            values[signal] = value
    return time, values


def _read_entry(data: bytes, start: int, end: int) -> tuple[str, Any]:
    signal, value = "", None
    for number, kind, content in _fields(data, start, end):
        if number == 1 and kind == _BYTES:
            signal = _text(data, *content)
        elif number == 2 and kind == _BYTES:
            value = _read_value(data, *content)
    return signal, value


def _short_value(data: bytes, start: int, end: int) -> Any:
    """A value; those of one field of a number or truth value without more ado."""
    first, size = data[start], end - start
    if first == 0x09 and size == 9:
        return _DOUBLE.unpack_from(data, start + 1)[0]
    if size == 2 and data[start + 1] < 0x80:
        if first == 0x10:
            return _unzigzag(data[start + 1])
        if first == 0x20:
            return data[start + 1] != 0
    return _read_value(data, start, end)


def _read_sample(data: bytes, start: int, end: int) -> tuple[int, dict[str, Any]]:
    time, signal, value = 0, "", None
    for number, kind, content in _fields(data, start, end):
        if number == 1 and kind == _BYTES:
            signal = _text(data, *content)
        elif number == 2 and kind == _VARINT:
            time = _signed(content)
        elif number == 3 and kind == _BYTES:
            value = _read_value(data, *content)
    return time, {signal: value}


def _read_value(data: bytes, start: int, end: int) -> Any:
    value: Any = None
    for number, kind, content in _fields(data, start, end):
        if kind == _FIXED64 and number == 1:
            (value,) = _DOUBLE.unpack_from(data, content)
        elif kind == _VARINT and number in _SCALARS:
            value = _SCALARS[number](content)
        elif kind == _BYTES and number == 5:
            value = _text(data, *content)
        elif kind == _BYTES and number in _ELEMENTS:
            value = _read_array(data, content[0], content[1], _ELEMENTS[number])
    return value


def _read_array(
    data: bytes, start: int, end: int, elements: tuple[int, Callable[[Any], Any]]
) -> list[Any]:
    """Numbers may come packed or one by one, as every reader of protobuf must take them."""
    wire, make = elements
    found: list[Any] = []
    for number, kind, content in _fields(data, start, end):
        if number != 1:
            continue
        if kind == wire == _BYTES:
            found.append(_text(data, *content))
        elif kind == wire == _FIXED64:
            found += _DOUBLE.unpack_from(data, content)
        elif kind == wire:
            found.append(make(content))
        elif kind == _BYTES and wire == _FIXED64:
            found += _doubles(data, *content)
        elif kind == _BYTES:
            found += map(make, _packed(data, *content))
    return found


def _doubles(data: bytes, start: int, end: int) -> tuple[float, ...]:
    count, rest = divmod(end - start, 8)
    if rest:
        raise InvalidBatch("packed doubles that do not fill 8 bytes each", end - rest)
    return struct.unpack_from(f"<{count}d", data, start)


def _packed(data: bytes, start: int, end: int) -> Iterator[int]:
    while start < end:
        value, start = _read_varint(data, start, end)
        yield value


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, Any]]:
    """Number, wire type and content of each field, as `_field` has them."""
    while at < end:
        number, kind, content, at = _field(data, at, end)
        yield number, kind, content


def _field(data: bytes, at: int, end: int) -> tuple[int, int, Any, int]:
    """(number, wire type, its integer or place or (start, end) of its bytes, where the next is)."""
    begin = at
    key, at = _read_varint(data, at, end)
    number, kind = key >> 3, key & 7
    if number == 0:
        raise InvalidBatch("a field of number 0", begin)
    if kind == _VARINT:
        value, at = _read_varint(data, at, end)
        return number, kind, value, at
    if kind == _BYTES:
        size, at = _read_varint(data, at, end)
    elif kind in (_FIXED64, _FIXED32):
        size = 8 if kind == _FIXED64 else 4
    else:
        raise InvalidBatch(f"wire type {kind}", begin)
    if size > end - at:
        raise InvalidBatch(f"a field of {size} bytes, {end - at} are there", begin)
    return number, kind, (at, at + size) if kind == _BYTES else at, at + size


def _read_varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """(value, where the next byte is)."""
    if at < end and data[at] < 0x80:
        return data[at], at + 1
    value = shift = 0
    for place in range(at, min(end, at + 10)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _WORD, place + 1
        shift += 7
    raise InvalidBatch("a varint without an end", at)


def _text(data: bytes, start: int, end: int) -> str:
    try:
        return data[start:end].decode()
    except UnicodeDecodeError as error:
        raise InvalidBatch("text that is not UTF-8", start + error.start) from error


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= _INT64 else value


def _unzigzag(value: int) -> int:
    return (value >> 1) ^ -(value & 1)


_SCALARS: Final[dict[int, Callable[[Any], Any]]] = {2: _unzigzag, 3: int, 4: bool}
_ELEMENTS: Final[dict[int, tuple[int, Callable[[Any], Any]]]] = {
    6: (_FIXED64, float),
    7: (_VARINT, _unzigzag),
    8: (_VARINT, bool),
    9: (_BYTES, str),
}
