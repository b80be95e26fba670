"""The field tables and the VSS mapping as arrays that the compiled kernel walks."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Final

import numpy as np

from carcloud.codecs.gbt32960 import columnar_kernel as kernel
from carcloud.codecs.gbt32960.layout import Number, Opaque, Records, Row, Table
from carcloud.codecs.gbt32960.tables import BODIES
from carcloud.codecs.gbt32960.vss import BATTERY, CURRENT, EDITIONS, TARGETS, Target
from carcloud.model.signals import CATALOGUE, MOTORS, Signal

_ANY: Final = 1 << 40  # above every code: no sentinel, no upper bound
_HOOKS: Final = {
    "position": kernel.POSITION,
    "alarm": kernel.ALARM,
    "pack_voltage": kernel.CELL_PACK,
    "pack_temperature": kernel.PROBE_PACK,
    "motor": kernel.MOTOR,
    "signature": kernel.SIGNATURE,
}
_CHECKED_BY_HOOK: Final = {"pack_voltage", "pack_temperature"}

COMPUTED_SLOTS: Final = tuple(
    f"{BATTERY}.{leaf}"
    for leaf in (
        "CellVoltage.Max", "CellVoltage.Min", "CellVoltage.IdMax", "CellVoltage.IdMin",
        "Temperature.Max", "Temperature.Min", "Temperature.ProbeIdMax", "Temperature.ProbeIdMin",
        "Temperature.Average", "CellVoltage.PackIdMax", "CellVoltage.PackIdMin",
    )
)  # fmt: skip
"""Columns that the kernel computes from lists, in the order of `Plan.slots`."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A plan and the paths of its slots."""

    plan: kernel.Plan
    floats: tuple[str, ...]
    smalls: tuple[str, ...]
    wides: tuple[str, ...]


def _storage(signal: Signal) -> int:
    if signal.datatype == "float":
        return kernel.FLOAT
    return kernel.WIDE if signal.datatype in ("uint16", "uint32") else kernel.SMALL


@dataclass(slots=True)
class _Builder:
    """Collects rows, targets and groups."""

    sign: int  # of the traction battery's current
    rows: list[tuple[int, ...]] = field(default_factory=list)
    targets: list[tuple[int, ...]] = field(default_factory=list)
    scale: list[float] = field(default_factory=list)
    codes: list[list[int]] = field(default_factory=list)
    groups: list[tuple[int, ...]] = field(default_factory=list)
    slots: tuple[list[str], ...] = field(default_factory=lambda: ([], [], []))

    def slot(self, path: str) -> int:
        """The slot of a column, a new one if it has none."""
        paths = self.slots[_storage(CATALOGUE[path])]
        if path not in paths:
            paths.append(path)
        return paths.index(path)

    def body(self, edition: int, table: Table) -> int:
        """Add a table, and the table of its records; return its group."""
        records = [row for row in table.rows if isinstance(row, Records)]
        first, record_count = -1, 0
        if records:
            instances = (0, *MOTORS) if records[0].table.name == "motor" else (0,)
            numbers = [self.group(edition, records[0].table, at) for at in instances]
            first = numbers[0]
            record_count = _place(table, records[0].count)
        return self.group(edition, table, 0, first, record_count)

    def group(
        self, edition: int, table: Table, instance: int, records: int = -1, count: int = 0
    ) -> int:
        """Add the rows of one table, for one instance of it."""
        begin = len(self.rows)
        for row in table.rows:
            if not isinstance(row, Records):
                self.rows.append(self._row(edition, table, row, instance))
        if len(self.rows) - begin > kernel.MAX_ROWS:
            raise ValueError(f"{table.name} has more than {kernel.MAX_ROWS} rows")
        hook = _HOOKS.get(table.name, kernel.NO_HOOK)
        if table.name == "fuel_cell" and edition == EDITIONS[0]:
            hook = kernel.FUEL_CELL
        self.groups.append((begin, len(self.rows), hook, records, count))
        return len(self.groups) - 1

    def _row(self, edition: int, table: Table, row: Row, instance: int) -> tuple[int, ...]:
        if isinstance(row, Opaque):
            return (kernel.LIST, 1, 0, _ANY, _ANY, _place(table, row.count), 0, 0)
        if not isinstance(row, Number):
            raise TypeError(f"{table.name}.{row.key}: {type(row).__name__} in a report")
        low, high = row.valid or (0, _ANY)
        sentinel = _ANY if row.sentinels == "bits" else (1 << 8 * row.wire) - 2
        if row.count:
            checked = row.valid is not None and table.name not in _CHECKED_BY_HOOK
            kind = kernel.CHECKED_LIST if checked else kernel.LIST
            return (kind, row.wire, low, high, sentinel, _place(table, row.count), 0, 0)
        first = len(self.targets)
        for target in _targets(edition, table, row, instance):
            self._target(target, row)
        return (kernel.NUMBER, row.wire, low, high, sentinel, 0, first, len(self.targets))

    def _target(self, target: Target, row: Number) -> None:
        store, table = _storage(CATALOGUE[target.path]), 0
        if target.codes is not None:
            store, table = kernel.CODED, len(self.codes)
            self.codes.append(
                [target.codes.get(raw, int(kernel.ABSENT_SMALL)) for raw in range(256)]
            )
        scale = Fraction(row.scale) * target.factor
        if target.path == CURRENT:
            scale *= self.sign
        self.targets.append((store, self.slot(target.path), row.zero, table))
        self.scale.append(float(scale))


def _place(table: Table, key: str) -> int:
    """Which row of a table has the key; raises `ValueError` for an expression."""
    return [row.key for row in table.rows].index(key)


def _targets(edition: int, table: Table, row: Number, instance: int) -> Iterator[Target]:
    for target in TARGETS:
        if (
            (target.table, target.key, target.instance) == (table.name, row.key, instance)
            and target.edition in (None, edition)
        ):  # fmt: skip
            yield target


@lru_cache(maxsize=2)
def layout(negate_current: bool) -> Layout:
    """The plan of both editions. `negate_current`: the wire counts discharge as positive."""
    builder = _Builder(-1 if negate_current else 1)
    bodies = np.full((2, 256), -1, np.int64)
    for edition_index, edition in enumerate(EDITIONS):
        known: dict[int, int] = {}
        for kind, table in BODIES[edition].items():
            if id(table) not in known:
                known[id(table)] = builder.body(edition, table)
            bodies[edition_index, kind] = known[id(table)]
    computed = [builder.slot(path) for path in COMPUTED_SLOTS]
    plan = kernel.Plan(
        rows=np.array(builder.rows, np.int64),
        targets=np.array(builder.targets, np.int64),
        scale=np.array(builder.scale, np.float64),
        codes=np.array(builder.codes, np.int16),
        groups=np.array(builder.groups, np.int64),
        bodies=bodies,
        slots=np.array(computed, np.int64),
    )
    floats, smalls, wides = (tuple(paths) for paths in builder.slots)
    return Layout(plan, floats, smalls, wides)
