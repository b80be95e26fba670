"""Fields of a report by name, for the mappings of models: those that have no fixed place in the
vocabulary, and whatever makers put into units of their own (0x80 to 0xFE).

    vehicle.insulation_kohm   motors[1].controller_temp_c   alarm.hv_interlock
    fuel_cell.probe_temps_c[3]   cell_voltages.packs[0].cell_v[95]
    unit.0x83.u16@0   unit.0x83.i24le@2   unit.0x83.f32@5   unit.0x83.bit@9.0

Names are those of the tables of both editions; lists count from 0. A unit of a maker is read from
the byte behind its length: `u`, `i` (8 to 32 bits) and `f` (32, 64), big-endian unless `le`
follows, or a bit of a byte, from the lowest.
"""

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import Final

from carcloud.codecs.gbt32960.constants import EDITION, HEADER_SIZE
from carcloud.codecs.gbt32960.layout import (
    Number,
    Opaque,
    Records,
    Row,
    Table,
    Text,
    Time,
    evaluate,
)
from carcloud.codecs.gbt32960.reading import physical
from carcloud.codecs.gbt32960.tables import ALARM_BITS, ALARM_CODES, BODIES

VENDOR: Final = range(0x80, 0xFF)
_TIME: Final = 6  # bytes before the first unit
_MOST_BYTES: Final = 65_531  # of a unit
_INT64: Final = range(-(1 << 63), 1 << 63)
_VENDOR = re.compile(
    r"unit\.0x(?P<unit>[0-9A-Fa-f]{2})\."
    r"(?:(?P<kind>u8|i8|[ui](?:16|24|32)|f(?:32|64))(?P<le>le)?@(?P<at>\d{1,5})"
    r"|bit@(?P<byte>\d{1,5})\.(?P<bit>[0-7]))"
)
_INDEX = re.compile(r"\[(\d{1,4})\]")


@dataclass(frozen=True, slots=True)
class Code:
    """A raw number of a report, and the row of the table that says what it means."""

    row: Number
    raw: int

    @property
    def value(self) -> int | float | None:
        """In the unit of the row; None where it is a sentinel or outside the valid range."""
        found = physical(self.row, self.raw)
        return found if isinstance(found, int | float) else None


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the units of a report begin and end, by type; of a unit that comes twice the later.
    A maker's is without its length."""

    edition: int
    units: dict[int, tuple[int, int]] = field(default_factory=dict)
    _numbers: "dict[tuple[str | int, ...], tuple[Number, int] | None]" = field(default_factory=dict)

    def number(self, path: tuple[str | int, ...], frame: bytes) -> tuple[Number, int] | None:
        """The row of a number of the standard and where it begins; None where it is not there.
        frame: any of this layout."""
        if path not in self._numbers:
            route = _route(self.edition, path)
            span = None if route is None else self.units.get(route.unit)
            at = None if route is None or span is None else route.walk(frame, span[0])
            self._numbers[path] = None if route is None or at is None else (route.row, at)
        return self._numbers[path]


@dataclass(frozen=True, slots=True)
class Report:
    """A frame with a report in clear."""

    frame: bytes
    layout: Layout


@dataclass(frozen=True, slots=True)
class Place:
    """Where a number lies in a maker's unit. size: bytes. kind: u, i or f. bit: of the byte."""

    unit: int
    at: int
    size: int
    kind: str
    little_endian: bool = False
    bit: int | None = None

    def read(self, report: Report) -> int | float | None:
        """The number; None where the unit is not there or too short, or the number not finite."""
        start, end = report.layout.units.get(self.unit, (0, 0))
        at = start + self.at
        if at + self.size > end:
            return None
        wire = report.frame[at : at + self.size]
        if self.little_endian:
            wire = wire[::-1]
        if self.kind == "f":
            number: float = struct.unpack(">f" if self.size == 4 else ">d", wire)[0]
            return number if math.isfinite(number) else None
        whole = int.from_bytes(wire, "big", signed=self.kind == "i")
        return whole if self.bit is None else whole >> self.bit & 1


@dataclass(frozen=True, slots=True)
class Field:
    """A field: of a table of the standard by `path` (a bit of it is `bit`), or at a `place`."""

    name: str
    what: str = ""
    unit: str = ""
    path: tuple[str | int, ...] = ()
    bit: int | None = None
    place: Place | None = None

    def raw(self, report: Report) -> int | None:
        """The raw number, an int64; None where there is none."""
        if self.place is not None:
            number = self.place.read(report)
            if number is None or number != (whole := int(number)):
                return None
            return whole if whole in _INT64 else None
        code = self._code(report)
        if code is None or code.value is None:
            return None
        return code.raw if self.bit is None else code.raw >> self.bit & 1

    def value(self, report: Report) -> int | float | None:
        """The number in `unit`; None where there is none."""
        if self.place is not None:
            return self.place.read(report)
        if self.bit is not None:
            return self.raw(report)
        code = self._code(report)
        return None if code is None else code.value

    def _code(self, report: Report) -> Code | None:
        if self.bit is not None and self.bit >= ALARM_BITS[report.layout.edition]:
            return None
        found = report.layout.number(self.path, report.frame)
        if found is None:
            return None
        row, at = found
        return Code(row, int.from_bytes(report.frame[at : at + row.wire], "big"))


def report(frame: bytes) -> Report:
    """The units of a frame with a report in clear, up to the first that cannot be read."""
    return Report(frame, laid_out(frame, []))


def laid_out(frame: bytes, decisive: list[int]) -> Layout:
    """The layout of a frame. The positions of the bytes that decide on it go into `decisive`, also
    of some behind its end: a frame of its length with the same bytes there has the same layout."""
    found = Layout(EDITION[frame[:2]])
    known = _known(found.edition)
    at, end = HEADER_SIZE + _TIME, len(frame) - 1
    decisive += (0, 1)
    while at < end:
        decisive.append(at)
        kind = frame[at]
        if kind not in known:
            break
        last = _passed(frame, at + 1, known[kind], {}, decisive)
        if last > end:
            break
        found.units[kind] = (at + 3 if kind in VENDOR else at + 1, last)
        at = last
    return found


@dataclass(frozen=True, slots=True)
class _Step:
    """Bytes to pass over: `size` of them, or as many as `count` says times that, or as `inner`
    do. `keeps` is the number that a later step counts by."""

    size: int
    count: str = ""
    inner: tuple["_Step", ...] = ()
    keeps: Number | None = None


@cache
def _known(edition: int) -> dict[int, tuple[_Step, ...]]:
    return {kind: _steps(table) for kind, table in BODIES[edition].items()}


def _steps(table: Table, until: Row | None = None) -> tuple[_Step, ...]:
    """Those of a table, or of its rows before one."""
    counts = " ".join(row.count for row in table.rows if not isinstance(row, Text | Time))
    found: list[_Step] = []
    for row in table.rows:
        if row is until:
            break
        match row:
            case Number() if not row.count and row.key in re.findall(r"\w+", counts):
                found.append(_Step(row.wire, keeps=row))
            case Number():
                found.append(_Step(row.wire, row.count))
            case Records():
                found.append(_Step(0, row.count, _steps(row.table)))
            case Opaque():
                found.append(_Step(1, row.count))
            case Text():
                found.append(_Step(row.size))
            case Time():
                found.append(_Step(_TIME))
    return tuple(_joined(found))


def _joined(steps: list[_Step]) -> Iterator[_Step]:
    """Those of a fixed size that follow each other as one."""
    fixed = 0
    for step in steps:
        if step.count or step.keeps:
            if fixed:
                yield _Step(fixed)
            fixed = 0
            yield step
        else:
            fixed += step.size
    if fixed:
        yield _Step(fixed)


def _passed(
    data: bytes,
    at: int,
    steps: tuple[_Step, ...],
    codes: dict[str, list[int]],
    decisive: list[int],
) -> int:
    """Where these steps from `at` on end; beyond the data where it is too short. What later ones
    count by is put into `codes`, and where it stands into `decisive`."""
    for step in steps:
        count = evaluate(step.count, codes) if step.count else 1
        if step.keeps is not None:
            code = int.from_bytes(data[at : at + step.size], "big")
            codes[step.keeps.key] = [0 if step.keeps.marker(code) else code]
            decisive += range(at, at + step.size)
        if step.inner:
            for _ in range(count):
                at = _passed(data, at, step.inner, {}, decisive)
                if at > len(data):
                    break
        else:
            at += count * step.size
    return at


@dataclass(frozen=True, slots=True)
class _Leg:
    """To a row of a table: what lies before it, how many it has, and of those which."""

    before: tuple[_Step, ...]
    count: str
    index: int
    each: tuple[_Step, ...]

    def walk(self, data: bytes, at: int) -> int | None:
        """Where it begins; None where there are not so many."""
        codes: dict[str, list[int]] = {}
        at = _passed(data, at, self.before, codes, [])
        if self.count and self.index >= evaluate(self.count, codes):
            return None
        first, *more = self.each
        if not (more or first.count or first.keeps):
            return at + self.index * first.size
        for _ in range(self.index):
            at = _passed(data, at, self.each, {}, [])
        return at


@dataclass(frozen=True, slots=True)
class _Route:
    """To a number of the unit of a type, leg by leg."""

    unit: int
    legs: tuple[_Leg, ...]
    row: Number

    def walk(self, data: bytes, at: int) -> int | None:
        """Where it begins in a whole unit, which begins at `at`; None where it is not there."""
        for leg in self.legs:
            found = leg.walk(data, at)
            if found is None:
                return None
            at = found
        return at


@lru_cache(4096)
def _route(edition: int, path: tuple[str | int, ...]) -> _Route | None:
    """None where the edition has no such number."""
    for kind, table in BODIES[edition].items():
        if table.name == path[0] and kind not in VENDOR:
            return _routed(kind, table, path[1:])
    return None


def _routed(kind: int, table: Table, path: tuple[str | int, ...]) -> _Route | None:
    legs: list[_Leg] = []
    steps = iter(path)
    for key in steps:
        row = next((one for one in table.rows if one.key == key), None)
        if not isinstance(row, Number | Records):
            return None
        index = next(steps, None) if row.count else 0
        if not isinstance(index, int):
            return None
        each = (_Step(row.wire),) if isinstance(row, Number) else _steps(row.table)
        legs.append(_Leg(_steps(table, row), row.count, index, each))
        if isinstance(row, Number):
            return _Route(kind, tuple(legs), row) if next(steps, None) is None else None
        table = row.table
    return None


def find(name: str) -> Field | None:
    """The field of a name; None where there is none."""
    known = table().get(name)
    if known is not None:
        return known
    match = _VENDOR.fullmatch(name)
    if match is not None:
        return _of_vendor(name, match)
    known = table().get(_INDEX.sub("[0]", name))
    if known is None:
        return None
    places = iter(int(one) for one in _INDEX.findall(name))
    path = tuple(next(places) if isinstance(step, int) else step for step in known.path)
    return replace(known, name=name, path=path)


def _of_vendor(name: str, match: re.Match[str]) -> Field | None:
    unit = int(match["unit"], 16)
    if match["bit"]:
        place = Place(unit, int(match["byte"]), 1, "u", bit=int(match["bit"]))
    else:
        kind = match["kind"]
        place = Place(unit, int(match["at"]), int(kind[1:]) // 8, kind[0], bool(match["le"]))
    if unit not in VENDOR or place.at + place.size > _MOST_BYTES:
        return None
    return Field(name, f"unit 0x{unit:02X} of the maker", place=place)


@cache
def table() -> dict[str, Field]:
    """The fields of the standard by name, of lists the first; a maker's are without number."""
    found: dict[str, Field] = {}
    for edition in sorted(BODIES):
        for kind, one in BODIES[edition].items():
            if kind < VENDOR.start:
                for each in _fields(one.name, (one.name,), one):
                    found.setdefault(each.name, each)
    for bit, name in enumerate(ALARM_CODES):
        what = f"general alarm bit {bit}"
        found[f"alarm.{name}"] = Field(f"alarm.{name}", what, "", ("alarm", "flags"), bit)
    return found


def _fields(name: str, path: tuple[str | int, ...], table: Table) -> Iterator[Field]:
    for row in table.rows:
        here = (*path, row.key)
        if isinstance(row, Records):
            inner = f"{name}[0]" if row.key == table.name else f"{name}.{row.key}[0]"
            yield from _fields(inner, (*here, 0), row.table)
        elif isinstance(row, Number):
            yield _field(f"{name}.{row.key}", here, row, table.clause)


def _field(name: str, path: tuple[str | int, ...], row: Number, clause: str) -> Field:
    what = f"{row.meaning} ({clause})"
    if row.count:
        return Field(f"{name}[0]", what, row.unit, (*path, 0))
    return Field(name, what, row.unit, path)
