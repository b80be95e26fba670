"""The little of protobuf's wire format that records need: varints and bytes."""

from collections.abc import Iterable, Iterator

_VARINT_BYTES = 10
_UINT64 = 2**64 - 1


class WireError(ValueError):
    """Bytes that are no protobuf message."""


def zigzag(value: int) -> int:
    """A signed 64-bit number as an unsigned one; small numbers stay small."""
    return ((value << 1) ^ (value >> 63)) & _UINT64


def in_zigzag(value: int) -> int:
    """The signed number of `zigzag`."""
    return (value >> 1) ^ -(value & 1)


def signed(value: int) -> int:
    """A sum wrapped to a signed 64-bit number."""
    return ((value + 2**63) & _UINT64) - 2**63


def _varint(out: bytearray, value: int) -> None:
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def put_varint(out: bytearray, number: int, value: int) -> None:
    """A field with an unsigned number; zero is the default and left out."""
    if value:
        _varint(out, number << 3)
        _varint(out, value)


def put_bytes(out: bytearray, number: int, value: bytes | bytearray) -> None:
    """A field with bytes, text or a message."""
    _varint(out, number << 3 | 2)
    _varint(out, len(value))
    out += value


def put_packed(out: bytearray, number: int, values: Iterable[int]) -> None:
    """A field with many unsigned numbers."""
    packed = bytearray()
    for value in values:
        if value < 128:
            packed.append(value)
        else:
            _varint(packed, value)
    put_bytes(out, number, packed)


def _read(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for index in range(at, min(at + _VARINT_BYTES, len(data))):
        byte = data[index]
        value |= (byte & 127) << shift
        if byte < 128:
            return value & _UINT64, index + 1
        shift += 7
    raise WireError("a number that does not end")


def packed_varints(data: bytes) -> Iterator[int]:
    """The numbers of a packed field; raises `WireError`."""
    at = 0
    while at < len(data):
        if data[at] < 128:
            yield data[at]
            at += 1
        else:
            value, at = _read(data, at)
            yield value


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field; fixed-size fields are passed over. Raises `WireError`."""
    at = 0
    while at < len(data):
        key, at = _read(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _read(data, at)
            yield number, value
        elif kind in (1, 2, 5):
            size = {1: 8, 5: 4}.get(kind)
            if size is None:
                size, at = _read(data, at)
            if size > len(data) - at:
                raise WireError("a field that is longer than its message")
            if kind == 2:
                yield number, data[at : at + size]
            at += size
        else:
            raise WireError(f"wire type {kind}")
