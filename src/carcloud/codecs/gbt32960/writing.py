"""Interprets field tables the other way: fields to wire bytes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from math import isfinite

from carcloud.codecs.gbt32960 import times
from carcloud.codecs.gbt32960.errors import EncodeError
from carcloud.codecs.gbt32960.layout import (
    INVALID,
    Marker,
    Number,
    Opaque,
    Raw,
    Records,
    Row,
    Table,
    Text,
    Time,
    Value,
    evaluate,
)


def write_table(table: Table, fields: Mapping[str, Value]) -> bytes:
    """The bytes of one table; counts that `fields` leaves out follow from their lists.

    Physical values in; `Marker` gives a sentinel, `Raw` any code. Raises `EncodeError`.
    """
    parts: list[bytes] = []
    codes: dict[str, list[int]] = {}
    for row in table.rows:
        value = fields[row.key] if row.key in fields else _counted(table, row, fields)
        parts.append(write_row(row, value, codes))
    return b"".join(parts)


def write_row(row: Row, value: Value, codes: dict[str, list[int]]) -> bytes:
    """One field; `codes` gathers the raw codes of numbers, against which counts are checked."""
    match row:
        case Number():
            return _write_number(row, value, codes)
        case Text():
            return _write_text(row, value)
        case Opaque():
            return _write_bytes(row, value, codes)
        case Time():
            return _write_time(row, value)
        case Records():
            records = _list(row, value)
            _check_count(row, len(records), codes)
            return b"".join(write_table(row.table, _record(row, record)) for record in records)


def code(row: Number, value: Value) -> int:
    """The raw code of a physical value; raises `EncodeError` outside the valid range."""
    if isinstance(value, Marker):
        return (1 << 8 * row.wire) - (1 if value is INVALID else 2)
    if isinstance(value, Raw):
        return value.code
    if not isinstance(value, (int, float)):
        raise EncodeError(row.key, f"{value!r} is no number")
    if isinstance(value, float) and not isfinite(value):
        raise EncodeError(row.key, f"needs a finite number, got {value!r}")
    raw = round((Fraction(value) - row.offset) / Fraction(row.scale))
    low, high = row.valid or (0, (1 << 8 * row.wire) - 1)
    if not low <= raw <= high:
        raise EncodeError(row.key, f"{value} {row.unit} has raw value {raw}, not {low} to {high}")
    return raw


def _counted(table: Table, row: Row, fields: Mapping[str, Value]) -> Value:
    """The length of the first list that the missing field counts."""
    for counted in table.rows:
        if getattr(counted, "count", "") == row.key and counted.key in fields:
            value = fields[counted.key]
            if isinstance(value, (bytes, str, Sequence)):
                return len(_encoded(value))
    raise EncodeError(row.key, f"{table.name} needs it")


def _encoded(value: bytes | str | Sequence[Value]) -> bytes | Sequence[Value]:
    return value.encode("gb18030") if isinstance(value, str) else value


def _write_number(row: Number, value: Value, codes: dict[str, list[int]]) -> bytes:
    values = _list(row, value) if row.count else [value]
    raws = [code(row, part) for part in values]
    if row.count:
        _check_count(row, len(raws), codes)
    codes[row.key] = [0 if row.marker(raw) else raw for raw in raws]
    try:
        return b"".join(raw.to_bytes(row.wire, "big") for raw in raws)
    except OverflowError:
        raise EncodeError(row.key, f"a code does not fit into {row.wire} bytes") from None


def _write_text(row: Text, value: Value) -> bytes:
    if not isinstance(value, (str, bytes)):
        raise EncodeError(row.key, f"{value!r} is no text")
    wire = value.encode("gb18030") if isinstance(value, str) else value
    if len(wire) > row.size:
        raise EncodeError(row.key, f"{len(wire)} bytes, at most {row.size}")
    return wire.ljust(row.size, row.pad)


def _write_bytes(row: Opaque, value: Value, codes: dict[str, list[int]]) -> bytes:
    if not isinstance(value, (str, bytes)):
        raise EncodeError(row.key, f"{value!r} is neither bytes nor text")
    wire = value.encode("gb18030") if isinstance(value, str) else value
    _check_count(row, len(wire), codes)
    return wire


def _write_time(row: Time, value: Value) -> bytes:
    if isinstance(value, Raw):
        return value.code.to_bytes(times.SIZE, "big")
    if not isinstance(value, datetime):
        raise EncodeError(row.key, f"{value!r} is no aware datetime")
    return times.write(value)


def _check_count(row: Number | Opaque | Records, found: int, codes: dict[str, list[int]]) -> None:
    if row.count == "rest":
        return
    wanted = evaluate(row.count, codes)
    if found != wanted:
        raise EncodeError(row.key, f"has length {found}, but {row.count} says {wanted}")


def _list(row: Number | Records, value: Value) -> Sequence[Value]:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise EncodeError(row.key, f"{value!r} is no list")
    return value


def _record(row: Records, value: Value) -> Mapping[str, Value]:
    if not isinstance(value, dict):
        raise EncodeError(row.key, f"{value!r} is no record")
    return value
