"""Interprets field tables: wire bytes to fields."""

# One `return` for each kind of row.
# ruff: noqa: PLR0911

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from carcloud.codecs.jt808 import times
from carcloud.codecs.jt808.layout import (
    Digits,
    Fields,
    Number,
    Opaque,
    Parameters,
    Position,
    Raw,
    Records,
    Row,
    Table,
    Text,
    Time,
    Value,
)
from carcloud.codecs.jt808.parameters import PARAMETERS, WIDTHS
from carcloud.codecs.jt808.tables_position import BASIC, BASIC_SIZE, CLAUSE, HIGHEST, ITEMS
from carcloud.codecs.jt808.vss import MAX_ODOMETER

_NEGATIVE: Final = 0x8000


class Diagnosis(msgspec.Struct, frozen=True):
    """What is not as the standard says. `offset` counts bytes of the unescaped frame."""

    code: str
    offset: int
    clause: str
    detail: str


class Overrun(Exception):
    """A field ends after the body; `clause` has its table, `at` is where it begins."""

    def __init__(self, key: str, clause: str, at: int, needed: int, left: int) -> None:
        super().__init__(f"{key} needs {needed} bytes, {left} are left")
        self.clause = clause
        self.at = at


class Reader:
    """A position in a body, and what was noticed on the way."""

    def __init__(self, data: bytes, base: int) -> None:
        self.data = data
        self.at = 0
        self.base = base  # offset of `data` in the frame
        self.stopped = False  # a list ends before its count: what follows cannot be found
        self.diagnoses: list[Diagnosis] = []

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self.data) - self.at

    def take(self, key: str, clause: str, size: int) -> bytes:
        """The next `size` bytes; raises `Overrun`."""
        if size > self.left:
            raise Overrun(key, clause, self.base + self.at, size, self.left)
        self.at += size
        return self.data[self.at - size : self.at]

    def note(self, code: str, at: int, clause: str, detail: str) -> None:
        """Remember a diagnosis about byte `at` of the data."""
        self.diagnoses.append(Diagnosis(code, self.base + at, clause, detail))

    def stop(self, at: int, error: Overrun, what: str) -> None:
        """The rest from `at` on stays unread: a list has a wrong count, or a broken last part."""
        self.at, self.stopped = at, True
        detail = f"{what} could be read: {error}"
        self.diagnoses.append(Diagnosis("overrun", error.at, error.clause, detail))

    def inner(self, key: str, clause: str, size: int) -> "Reader":
        """A reader of the next `size` bytes alone, which notes here; raises `Overrun`."""
        at = self.at
        found = Reader(self.take(key, clause, size), self.base + at)
        found.diagnoses = self.diagnoses
        return found


def read_table(reader: Reader, table: Table) -> Fields:
    """The fields of one table; raises `Overrun` where the body is too short.

    A list that is too short gives what it has, and ends the reading (`Reader.stopped`).
    """
    fields: Fields = {}
    codes: dict[str, int] = {}
    for row in table.rows:
        if reader.stopped:
            break
        if all(condition.holds(codes, reader.left) for condition in row.when):
            fields[row.key] = read_row(reader, row, table.clause, codes)
    return fields


def read_row(reader: Reader, row: Row, clause: str, codes: dict[str, int]) -> Value:
    """One field; `codes` holds the raw codes of the numbers before it, for counts."""
    match row:
        case Number():
            return _read_number(reader, row, clause, codes)
        case Text():
            return _read_text(reader, row, clause, _count(row.count, codes, reader))
        case Opaque():
            return reader.take(row.key, clause, _count(row.count, codes, reader))
        case Digits():
            return reader.take(row.key, clause, row.size).hex()
        case Time():
            return _read_time(reader, row, clause)
        case Records():
            return _read_records(reader, row, codes)
        case Position():
            return _read_position(reader, row, clause, codes)
        case Parameters():
            return _read_parameters(reader, row, clause, codes)


def physical(row: Number, code: int) -> int | float:
    """What a raw code means."""
    return code if row.scale == 1 else code / row.scale.denominator


def _count(expression: str, codes: dict[str, int], reader: Reader) -> int:
    if expression == "rest":
        return reader.left
    return int(expression) if expression.isdecimal() else codes.get(expression, 0)


def _read_number(reader: Reader, row: Number, clause: str, codes: dict[str, int]) -> Value:
    if not row.count:
        code = codes[row.key] = int.from_bytes(reader.take(row.key, clause, row.wire))
        return physical(row, code)
    wanted = _count(row.count, codes, reader)
    at, count = reader.at, min(wanted, reader.left // row.wire)
    wire = reader.take(row.key, clause, count * row.wire)
    if count < wanted:
        error = Overrun(row.key, clause, reader.base + reader.at, row.wire, reader.left)
        reader.stop(at + len(wire), error, f"{count} of {wanted} {row.key}")
    parts = (wire[at : at + row.wire] for at in range(0, len(wire), row.wire))
    return [physical(row, int.from_bytes(part)) for part in parts]


def _read_text(reader: Reader, row: Text, clause: str, size: int) -> Value:
    at = reader.at
    wire = reader.take(row.key, clause, size).strip(b"\0")
    try:
        return wire.decode("gbk")
    except UnicodeDecodeError:
        reader.note("text", at, clause, f"{row.key} is no GBK text")
        return wire


def _read_time(reader: Reader, row: Time, clause: str) -> Value:
    at = reader.at
    wire = reader.take(row.key, clause, times.SIZE)
    found = times.read(wire, UTC if row.utc else times.BEIJING)
    if isinstance(found, Raw):
        reader.note("time", at, clause, f"{row.key} {wire.hex()} is no time")
    return found


def _read_records(reader: Reader, row: Records, codes: dict[str, int]) -> Value:
    records: list[Value] = []
    wanted = None if row.count == "rest" else _count(row.count, codes, reader)
    while len(records) != wanted and not reader.stopped:
        if not reader.left and (wanted is None or row.may_stop):
            break
        at = reader.at
        try:
            records.append(read_table(reader, row.table))
        except Overrun as error:
            reader.stop(at, error, _so_many(records, wanted, row.key))
    return records


def _so_many(found: Sequence[Value], wanted: int | None, key: str) -> str:
    return f"{len(found)} {key}" if wanted is None else f"{len(found)} of {wanted} {key}"


def _read_position(reader: Reader, row: Position, clause: str, codes: dict[str, int]) -> Value:
    """A report; one of a batch that is shorter than a report's basic part is kept as bytes."""
    at, size = reader.at, _count(row.count, codes, reader)
    inner = reader.inner(row.key, clause, size)
    if size < BASIC_SIZE and row.count == "length":
        reader.note("overrun", at, clause, f"a report of {size} bytes, its basic part has 28")
        return inner.data
    return read_report(inner)


def read_report(reader: Reader) -> Fields:
    """A body of 0x0200; raises `Overrun` where the basic part is not complete."""
    at = reader.at
    fields: Fields = {}
    for row in BASIC.rows:
        codes: dict[str, int] = {}
        start = reader.at
        fields[row.key] = read_row(reader, row, CLAUSE, codes)
        code, highest = codes.get(row.key, 0), HIGHEST.get(row.key)
        if highest is not None and code > highest:
            detail = f"{row.key} has raw value {code}, the highest is {highest}"
            reader.note("out-of-range", start, CLAUSE, detail)
    altitude = fields["altitude_m"]
    if isinstance(altitude, int) and altitude >= _NEGATIVE:
        fields["altitude_m"] = altitude - 2 * _NEGATIVE
    if fields["time"] is None or isinstance(fields["time"], str):
        fields["time"] = Raw(reader.data[at + 22 : at + 28].hex())
        reader.note("time", at + 22, CLAUSE, "a report needs a date")
    fields["items"] = _read_items(reader)
    if reader.left:
        fields["rest"] = reader.take("rest", CLAUSE, reader.left)
    return fields


def answer_at(body: bytes, edition: int) -> int:
    """Where the report of a 0x0201 begins: at 2, behind the reply serial, which the draft of 2011
    does not have. The header does not tell 2011: the place where a whole report can be read does.
    """
    if edition == 2019:
        return 2
    behind, before = _is_report(body[2:]), _is_report(body)
    return (0 if edition == 2011 else 2) if behind is before else 2 if behind else 0


def _is_report(body: bytes) -> bool:
    """It has a time and a place on earth, and its items end where it ends."""
    if len(body) < BASIC_SIZE or not isinstance(times.read(body[22:28]), datetime):
        return False
    degrees = int.from_bytes(body[8:12]), int.from_bytes(body[12:16])
    if degrees[0] > HIGHEST["latitude_deg"] or degrees[1] > HIGHEST["longitude_deg"]:
        return False
    at = BASIC_SIZE
    while at + 1 < len(body):
        at += 2 + body[at + 1]
    return at == len(body)


def _read_items(reader: Reader) -> list[Value]:
    """Additional items; where one does not fit, the rest is left and noted."""
    items: list[Value] = []
    while reader.left:
        at = reader.at
        size = reader.data[at + 1] if reader.left > 1 else 0
        if 2 + size > reader.left:
            told = f"has {size} bytes, {reader.left - 2} are left"
            detail = f"item 0x{reader.data[at]:02X} {told if reader.left > 1 else 'has no length'}"
            reader.note("item", at, CLAUSE, detail)
            break
        number = reader.take("item", CLAUSE, 2)[0]
        items.append(_read_item(reader.inner("item", CLAUSE, size), number))
    return items


def _read_item(reader: Reader, number: int) -> Fields:
    known = ITEMS.get(number)
    if known is None:
        return {"item": number, "data": reader.data}
    fields: Fields = {"item": number, "name": known.name}
    if len(reader.data) not in known.sizes:
        detail = f"item 0x{number:02X} has {len(reader.data)} bytes, the standard has another size"
        reader.note("item-length", 0, CLAUSE, detail)
        return fields | {"data": reader.data}
    fields |= read_table(reader, Table(known.name, CLAUSE, known.rows))
    if fields.get("odometer_km", 0) > MAX_ODOMETER / 10:  # type: ignore[operator]
        reader.note("out-of-range", 0, CLAUSE, "the odometer is more than a uint32 of metres")
    degrees = fields.get("cabin_temp_c")
    if isinstance(degrees, int) and degrees >= _NEGATIVE:
        fields["cabin_temp_c"] = _NEGATIVE - degrees
    return fields


def _read_parameters(reader: Reader, row: Parameters, clause: str, codes: dict[str, int]) -> Value:
    items: list[Value] = []
    wanted = _count(row.count, codes, reader)
    while len(items) < wanted and not reader.stopped:
        at = reader.at
        try:
            items.append(_read_parameter(reader, clause))
        except Overrun as error:
            reader.stop(at, error, _so_many(items, wanted, row.key))
    return items


def _read_parameter(reader: Reader, clause: str) -> Fields:
    number = int.from_bytes(reader.take("id", clause, 4))
    size = reader.take("length", clause, 1)[0]
    at = reader.at
    wire = reader.take("value", clause, size)
    known = PARAMETERS.get(number)
    if known is None:
        return {"parameter": number, "value": wire}
    fields: Fields = {"parameter": number, "name": known.name, "value": wire}
    if known.kind == "str":
        text = Reader(wire, reader.base + at)
        text.diagnoses = reader.diagnoses
        fields["value"] = _read_text(text, Text(known.name, "rest", ""), clause, size)
    elif known.kind in WIDTHS:
        if size == WIDTHS[known.kind]:
            code = int.from_bytes(wire)
            fields["value"] = code if known.divisor == 1 else code / known.divisor
        else:
            detail = f"parameter 0x{number:04X} has {size} bytes, wanted {WIDTHS[known.kind]}"
            reader.note("parameter-length", at, clause, detail)
    return fields
