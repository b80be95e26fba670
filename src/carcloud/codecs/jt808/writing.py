"""Interprets field tables the other way: fields to wire bytes."""

# One `return` for each kind of row.
# ruff: noqa: PLR0911

from collections.abc import Mapping
from datetime import UTC

from carcloud.codecs.jt808 import times
from carcloud.codecs.jt808.errors import EncodeError
from carcloud.codecs.jt808.layout import (
    Digits,
    Fields,
    Number,
    Opaque,
    Parameters,
    Position,
    Records,
    Row,
    Table,
    Text,
    Time,
    Value,
)
from carcloud.codecs.jt808.parameters import PARAMETERS, WIDTHS
from carcloud.codecs.jt808.tables_position import BASIC, CLAUSE, ITEMS

_MAX_ITEM = 255


def write_table(table: Table, fields: Mapping[str, Value]) -> bytes:
    """The bytes of one table. Counts and lengths need not be given. Raises `EncodeError`.

    Of two widths of one field the first is written.
    """
    parts: list[bytes] = []
    codes: dict[str, int] = {}
    for number, row in enumerate(table.rows):
        twice = number > 0 and table.rows[number - 1].key == row.key
        if not twice and _wanted(row, fields, codes):
            parts.append(_write_row(table, row, fields, codes))
    return b"".join(parts)


def _wanted(row: Row, fields: Mapping[str, Value], codes: dict[str, int]) -> bool:
    """A row that is there while bytes are left is written where its value, or what it counts,
    is given."""
    given = row.key in fields or bool(fields.get("packet_numbers"))
    return all(condition.holds(codes, -int(given)) for condition in row.when)


def _write_row(table: Table, row: Row, fields: Mapping[str, Value], codes: dict[str, int]) -> bytes:
    if isinstance(row, Number) and not row.count and row.key not in fields:
        code = codes[row.key] = _counted(table, row.key, fields)
        return _integer(row.key, code, row.wire)
    value = fields.get(row.key)
    match row:
        case Number():
            if row.count:
                return b"".join(_number(row, one, codes) for one in _list(row.key, value))
            return _number(row, value, codes)
        case Text():
            return _sized(row.key, _text(row.key, value), row.count, codes, pad=True)
        case Opaque():
            return _sized(row.key, _bytes(row.key, value), row.count, codes)
        case Digits():
            return _digits(row, value)
        case Time():
            return times.write(row.key, value, UTC if row.utc else times.BEIJING)
        case Records():
            return b"".join(
                write_table(row.table, _dict(row.key, one)) for one in _list(row.key, value)
            )
        case Position():
            return value if isinstance(value, bytes) else write_report(_dict(row.key, value))
        case Parameters():
            return b"".join(_parameter(_dict(row.key, one)) for one in _list(row.key, value))


def _counted(table: Table, key: str, fields: Mapping[str, Value]) -> int:
    """What a count or length that was not given must be, from what it counts."""
    for row in table.rows:
        if getattr(row, "count", "") != key:
            continue
        value = fields.get(row.key)
        match row:
            case Text():
                return len(_text(row.key, value))
            case Opaque():
                return len(_bytes(row.key, value))
            case Position():
                return len(_write_row(table, row, fields, {}))
            case _:
                return len(_list(row.key, value))
    if key == "count":  # of 2011: all, where one packet holds them
        return _counted(table, "packet_count", fields)
    raise EncodeError(key, "is missing")


def _number(row: Number, value: Value, codes: dict[str, int]) -> bytes:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise EncodeError(row.key, f"needs a number, got {value!r}")
    code = codes[row.key] = _code(row.key, value * row.scale.denominator)
    return _integer(row.key, code, row.wire)


def _code(key: str, value: float) -> int:
    try:
        return round(value)
    except (OverflowError, ValueError):
        raise EncodeError(key, f"needs a finite number, got {value!r}") from None


def _integer(key: str, code: int, size: int) -> bytes:
    try:
        return code.to_bytes(size)
    except OverflowError:
        raise EncodeError(key, f"{code} does not fit {size} bytes") from None


def _sized(key: str, wire: bytes, count: str, codes: dict[str, int], *, pad: bool = False) -> bytes:
    if count == "rest":
        return wire
    size = int(count) if count.isdecimal() else codes.get(count, 0)
    if len(wire) > size or (len(wire) < size and not pad):
        raise EncodeError(key, f"{len(wire)} bytes, the field has {size}")
    return wire.ljust(size, b"\0")


def _text(key: str, value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    if value is not None and not isinstance(value, str):
        raise EncodeError(key, f"needs text, got {value!r}")
    try:
        return (value or "").encode("gbk")
    except UnicodeEncodeError as error:
        raise EncodeError(key, f"GBK has no {error.object[error.start]!r}") from None


def _bytes(key: str, value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise EncodeError(key, f"needs bytes, got {value!r}")
    return value


def _digits(row: Digits, value: Value) -> bytes:
    if not isinstance(value, str) or len(value) > 2 * row.size:
        raise EncodeError(row.key, f"needs at most {2 * row.size} digits")
    try:
        return bytes.fromhex(value.zfill(2 * row.size))
    except ValueError:
        raise EncodeError(row.key, f"{value!r} is not digits") from None


def _list(key: str, value: Value) -> list[Value]:
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise EncodeError(key, f"needs a list, got {value!r}")
    return list(value)


def _dict(key: str, value: Value) -> Fields:
    if not isinstance(value, dict):
        raise EncodeError(key, f"needs fields, got {value!r}")
    return value


def write_report(fields: Mapping[str, Value]) -> bytes:
    """A body of 0x0200; alarm, status, altitude, speed and direction are 0 where not given.

    Raises `EncodeError`.
    """
    altitude = fields.get("altitude_m", 0)
    if isinstance(altitude, (int, float)) and altitude < 0:
        altitude += 0x10000
    basic: Fields = dict.fromkeys(("alarm", "status", "speed_kmh", "direction_deg"), 0)
    basic |= {**fields, "altitude_m": altitude}
    items = b"".join(_item(_dict("items", one)) for one in _list("items", fields.get("items")))
    return write_table(BASIC, basic) + items + _bytes("rest", fields.get("rest", b""))


def _item(fields: Fields) -> bytes:
    number = fields.get("item")
    if not isinstance(number, int) or not 0 <= number <= _MAX_ITEM:
        raise EncodeError("item", f"{number!r} is no item id")
    data = fields.get("data")
    if data is None:
        if number not in ITEMS:
            raise EncodeError("item", f"0x{number:02X} has no layout: give its data")
        degrees = fields.get("cabin_temp_c")
        if isinstance(degrees, int) and degrees < 0:
            fields = {**fields, "cabin_temp_c": 0x8000 - degrees}
        known = ITEMS[number]
        data = write_table(Table(known.name, CLAUSE, known.rows), fields)
    wire = _bytes("data", data)
    return bytes((number,)) + _integer("length", len(wire), 1) + wire


def _parameter(fields: Fields) -> bytes:
    number, value = fields.get("parameter"), fields.get("value")
    if not isinstance(number, int):
        raise EncodeError("parameter", f"{number!r} is no parameter id")
    known = PARAMETERS.get(number)
    if isinstance(value, bytes):
        wire = value
    elif known is not None and known.kind == "str":
        wire = _text(known.name, value)
    elif known is not None and known.kind in WIDTHS and isinstance(value, (int, float)):
        wire = _integer(known.name, _code(known.name, value * known.divisor), WIDTHS[known.kind])
    else:
        name = f"0x{number:04X}" if known is None else known.name
        raise EncodeError(name, f"cannot carry {value!r}")
    return _integer("parameter", number, 4) + _integer("length", len(wire), 1) + wire
