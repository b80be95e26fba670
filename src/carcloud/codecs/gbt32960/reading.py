"""Interprets field tables: wire bytes to fields."""

from collections.abc import Iterator

import msgspec

from carcloud.codecs.gbt32960 import times
from carcloud.codecs.gbt32960.layout import (
    Fields,
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


class Diagnosis(msgspec.Struct, frozen=True):
    """What is not as the standard says. `offset` counts bytes from the start of the frame."""

    code: str
    offset: int
    clause: str
    detail: str


class Overrun(Exception):
    """A field ends after the data unit; `key` names it, `needed` bytes were wanted."""

    def __init__(self, key: str, needed: int, left: int) -> None:
        super().__init__(f"{key} needs {needed} bytes, {left} are left")


class Reader:
    """A position in a data unit, and what was noticed on the way."""

    def __init__(self, data: bytes, base: int) -> None:
        self.data = data
        self.at = 0
        self.base = base  # offset of the data unit in the frame
        self.diagnoses: list[Diagnosis] = []

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self.data) - self.at

    def take(self, key: str, size: int) -> bytes:
        """The next `size` bytes; raises `Overrun`."""
        if size > self.left:
            raise Overrun(key, size, self.left)
        self.at += size
        return self.data[self.at - size : self.at]

    def note(self, code: str, at: int, clause: str, detail: str) -> None:
        """Remember a diagnosis about byte `at` of the data unit."""
        self.diagnoses.append(Diagnosis(code, self.base + at, clause, detail))


def read_table(reader: Reader, table: Table) -> Fields:
    """The fields of one table; raises `Overrun` where the data unit is too short."""
    fields: Fields = {}
    codes: dict[str, list[int]] = {}
    for row in table.rows:
        fields[row.key] = read_row(reader, row, table.clause, codes)
    return fields


def read_row(reader: Reader, row: Row, clause: str, codes: dict[str, list[int]]) -> Value:
    """One field; `codes` holds the raw codes of the numbers before it, for counts."""
    match row:
        case Number():
            return _read_number(reader, row, clause, codes)
        case Text():
            return _read_text(reader, row, clause)
        case Opaque():
            wire = reader.take(row.key, _count(row.count, codes, reader))
            return wire.decode("gb18030", "replace") if row.text else wire
        case Time():
            return _read_time(reader, row, clause)
        case Records():
            return _read_records(reader, row, codes)


def physical(row: Number, code: int) -> Value:
    """What a raw code means: a sentinel, a code outside the valid range, or a value."""
    marker = row.marker(code)
    if marker is not None:
        return marker
    if row.valid is not None and not row.valid[0] <= code <= row.valid[1]:
        return Raw(code)
    if row.scale == 1:
        return code + row.offset
    return (code + row.zero) / row.scale.denominator


def _read_number(reader: Reader, row: Number, clause: str, codes: dict[str, list[int]]) -> Value:
    at = reader.at
    count = _count(row.count, codes, reader) if row.count else 1
    wire = reader.take(row.key, count * row.wire)
    raw = [int.from_bytes(part, "big") for part in _parts(wire, row.wire)]
    codes[row.key] = [0 if row.marker(code) else code for code in raw]
    values = [physical(row, code) for code in raw]
    strange = [index for index, value in enumerate(values) if isinstance(value, Raw)]
    if strange:
        low, high = row.valid or (0, 0)
        detail = f"{row.key} has raw value {raw[strange[0]]}, valid are {low} to {high}"
        if len(strange) > 1:
            detail += f" ({len(strange)} such values)"
        reader.note("out-of-range", at + strange[0] * row.wire, clause, detail)
    return values if row.count else values[0]


def _parts(wire: bytes, size: int) -> Iterator[bytes]:
    return (wire[at : at + size] for at in range(0, len(wire), size))


def _read_text(reader: Reader, row: Text, clause: str) -> Value:
    at = reader.at
    wire = reader.take(row.key, row.size).rstrip(row.pad)
    try:
        return wire.decode("gb18030")
    except UnicodeDecodeError:
        reader.note("text", at, clause, f"{row.key} is no GB 18030 text")
        return wire


def _read_time(reader: Reader, row: Time, clause: str) -> Value:
    at = reader.at
    wire = reader.take(row.key, times.SIZE)
    moment = times.read(wire)
    if moment is None:
        reader.note("time", at, clause, f"{row.key} {wire.hex()} is no time")
        return Raw(int.from_bytes(wire, "big"))
    return moment


def _read_records(reader: Reader, row: Records, codes: dict[str, list[int]]) -> Value:
    return [read_table(reader, row.table) for _ in range(_count(row.count, codes, reader))]


def _count(expression: str, codes: dict[str, list[int]], reader: Reader) -> int:
    """How many; a sentinel in a count is followed by nothing (clause 6.1, inferred)."""
    if expression == "rest":
        return reader.left
    return evaluate(expression, codes)
