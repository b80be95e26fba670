"""Protobuf as the messages of docs/samples.proto use it: fields, and the message Value.

Raises `InvalidBatch` with the byte.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

from carcloud.codecs.samples.batch import InvalidBatch

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types
INT64: Final = 1 << 63
WORD: Final = (1 << 64) - 1
_DOUBLE: Final = struct.Struct("<d")


def fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, Any]]:
    """Number, wire type and content of each field, as `field` has them."""
    while at < end:
        number, kind, content, at = field(data, at, end)
        yield number, kind, content


def field(data: bytes, at: int, end: int) -> tuple[int, int, Any, int]:
    """(number, wire type, its integer or place or (start, end) of its bytes, where the next is)."""
    begin = at
    key, at = read_varint(data, at, end)
    number, kind = key >> 3, key & 7
    if number == 0:
        raise InvalidBatch("a field of number 0", begin)
    if kind == VARINT:
        value, at = read_varint(data, at, end)
        return number, kind, value, at
    if kind == BYTES:
        size, at = read_varint(data, at, end)
    elif kind in (FIXED64, FIXED32):
        size = 8 if kind == FIXED64 else 4
    else:
        raise InvalidBatch(f"wire type {kind}", begin)
    if size > end - at:
        raise InvalidBatch(f"a field of {size} bytes, {end - at} are there", begin)
    return number, kind, (at, at + size) if kind == BYTES else at, at + size


def read_varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """(value, where the next byte is)."""
    if at < end and data[at] < 0x80:
        return data[at], at + 1
    value = shift = 0
    for place in range(at, min(end, at + 10)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & WORD, place + 1
        shift += 7
    raise InvalidBatch("a varint without an end", at)


def read_text(data: bytes, start: int, end: int) -> str:
    try:
        return data[start:end].decode()
    except UnicodeDecodeError as error:
        raise InvalidBatch("text that is not UTF-8", start + error.start) from error


def signed(value: int) -> int:
    return value - (1 << 64) if value >= INT64 else value


def unzigzag(value: int) -> int:
    return (value >> 1) ^ -(value & 1)


def read_value(data: bytes, start: int, end: int) -> Any:
    value: Any = None
    for number, kind, content in fields(data, start, end):
        if kind == FIXED64 and number == 1:
            (value,) = _DOUBLE.unpack_from(data, content)
        elif kind == VARINT and number in SCALARS:
            value = SCALARS[number](content)
        elif kind == BYTES and number == 5:
            value = read_text(data, *content)
        elif kind == BYTES and number in ELEMENTS:
            value = read_array(data, content[0], content[1], ELEMENTS[number])
    return value


def read_array(
    data: bytes, start: int, end: int, elements: tuple[int, Callable[[Any], Any]]
) -> list[Any]:
    """Numbers may come packed or one by one, as every reader of protobuf must take them."""
    wire, make = elements
    found: list[Any] = []
    for number, kind, content in fields(data, start, end):
        if number != 1:
            continue
        if kind == wire == BYTES:
            found.append(read_text(data, *content))
        elif kind == wire == FIXED64:
            found += _DOUBLE.unpack_from(data, content)
        elif kind == wire:
            found.append(make(content))
        elif kind == BYTES and wire == FIXED64:
            found += _doubles(data, *content)
        elif kind == BYTES:
            found += map(make, _packed(data, *content))
    return found


def _doubles(data: bytes, start: int, end: int) -> tuple[float, ...]:
    count, rest = divmod(end - start, 8)
    if rest:
        raise InvalidBatch("packed doubles that do not fill 8 bytes each", end - rest)
    return struct.unpack_from(f"<{count}d", data, start)


def _packed(data: bytes, start: int, end: int) -> Iterator[int]:
    while start < end:
        value, start = read_varint(data, start, end)
        yield value


SCALARS: Final[dict[int, Callable[[Any], Any]]] = {2: unzigzag, 3: int, 4: bool}
ELEMENTS: Final[dict[int, tuple[int, Callable[[Any], Any]]]] = {
    6: (FIXED64, float),
    7: (VARINT, unzigzag),
    8: (VARINT, bool),
    9: (BYTES, str),
}
