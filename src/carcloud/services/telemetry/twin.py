"""The twin of one tenant's vehicles: latest known value and time of every signal, in columns.

A column holds one signal of all vehicles, so that a micro-batch of rows is merged with a few
array operations per signal, however many vehicles it speaks of.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from carcloud.services.telemetry.types import Coverage, Overview, Reading, SignalValue, VehicleTwin

LON = "Vehicle.CurrentLocation.Longitude"
LAT = "Vehicle.CurrentLocation.Latitude"
HEADING = "Vehicle.CurrentLocation.Heading"
SPEED = "Vehicle.Speed"
SOC = "Vehicle.Powertrain.TractionBattery.StateOfCharge.Displayed"
ALARM = "Vehicle.Regulatory.AlarmLevel"

NEVER = np.iinfo(np.int64).min
MOVED_M = 5.0  # m; a derived heading needs this distance, position noise of a parked car is less
_METRES_PER_DEGREE = 111_320.0  # m; length of a degree of latitude on a sphere

Ints = npt.NDArray[np.int64]
Array = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]


class _Column:
    """One signal of all vehicles: `values` and `times` (us), by row number of the vehicle."""

    def __init__(self, kind: pa.DataType, capacity: int) -> None:
        self.kind = kind
        self.values: Array = np.zeros(capacity, _dtype(kind))
        self.times: Ints = np.full(capacity, NEVER, np.int64)
        self.flags: Flags | None = None  # values out of range; None = there was never one

    def grow(self, capacity: int) -> None:
        self.values = _grown(self.values, capacity, None if self.values.dtype == object else 0)
        self.times = _grown(self.times, capacity, NEVER)
        if self.flags is not None:
            self.flags = _grown(self.flags, capacity, False)

    def put(self, rows: Ints, times: Ints, values: pa.Array, flags: Flags | None = None) -> Ints:
        """Keep `values` where they are not older than what is there; returns the rows changed."""
        newer = times >= self.times[rows]
        if not newer.all():
            rows, times = rows[newer], times[newer]
            values = values.filter(pa.array(newer))
            flags = None if flags is None else flags[newer]
        if flags is not None and self.flags is None:
            self.flags = np.zeros(len(self.times), np.bool_)
        if self.flags is not None:
            self.flags[rows] = False if flags is None else flags
        self.times[rows] = times
        self.values[rows] = _to_numpy(values)
        return rows

    def value(self, row: int) -> SignalValue:
        """The value as JSON can carry it."""
        held = self.values[row]
        if isinstance(held, np.float32):
            return float(str(held))  # the shortest digits: 3.6, not 3.5999999046325684
        if isinstance(held, np.ndarray):
            if held.dtype == np.float32:
                held = pa.array(held).cast(pa.string()).cast(pa.float64()).to_numpy()
            return held.tolist()  # type: ignore[no-any-return]
        return held.item() if isinstance(held, np.generic) else held  # type: ignore[no-any-return]

    def flagged(self, row: int) -> bool:
        """Whether the value is out of range."""
        return self.flags is not None and bool(self.flags[row])

    def copy(self) -> "_Column":
        other = _Column(self.kind, 0)
        other.flags = None if self.flags is None else self.flags.copy()
        other.values, other.times = self.values.copy(), self.times.copy()
        return other

    def arrow(self, count: int) -> pa.Array:
        """Values of the first `count` vehicles, null where there is none."""
        missing = self.times[:count] == NEVER
        values: Any = self.values[:count]
        if values.dtype == object:
            return pa.array(
                [None if gone else v for v, gone in zip(values, missing, strict=True)], self.kind
            )
        return pa.array(values, self.kind, mask=missing)


class Twin:
    """All vehicles of one tenant. Not for use by several threads at once."""

    def __init__(self) -> None:
        self.version = 0  # counts merges; a vehicle's version is that of its last change
        self._rows: dict[str, int] = {}
        self._names: list[str] = []
        self._columns: dict[str, _Column] = {}
        self._capacity = 0
        self._versions: Ints = np.zeros(0, np.int64)
        self._times: Ints = np.full(0, NEVER, np.int64)
        self._received: Ints = np.full(0, NEVER, np.int64)
        self._anchor: npt.NDArray[np.float64] = np.full((0, 2), np.nan)  # lon, lat in degrees
        self._derived: npt.NDArray[np.float64] = np.full(0, np.nan)  # heading in degrees

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, vehicle: str) -> bool:
        return vehicle in self._rows

    def apply(self, rows: pa.Table) -> None:
        """Merge rows of table `signals`, of any number of vehicles and in any order of time.

        The value with the latest time stays; of two with the same time the later row.
        """
        if rows.num_rows == 0:
            return
        self.version += 1
        batch = rows.combine_chunks()
        numbers = self._numbers(_only_chunk(batch["vehicle"]))
        times = _microseconds(_only_chunk(batch["time"]))
        order = np.argsort(times, kind="stable").astype(np.int64)
        self._touch(batch, numbers, times, order)
        chosen: dict[bytes, tuple[Ints, Ints]] = {}
        flagged = _flagged(batch)
        for name in batch.column_names:
            if "." in name:  # VSS paths have dots, the columns that describe the row have none
                self._merge(
                    name,
                    _only_chunk(batch[name]),
                    numbers=numbers,
                    times=times,
                    order=order,
                    chosen=chosen,
                    flags=flagged.get(name),
                )
        self._derive_heading(np.unique(numbers))

    def get(self, vehicle: str) -> VehicleTwin | None:
        """Everything known of one vehicle; None when it never reported."""
        row = self._rows.get(vehicle)
        if row is None:
            return None
        signals = {
            path: Reading(column.value(row), int(column.times[row]), column.flagged(row))
            for path, column in self._columns.items()
            if column.times[row] != NEVER
        }
        return VehicleTwin(vehicle, int(self._times[row]), int(self._received[row]), signals)

    def coverage(
        self, paths: Iterable[str], models: Mapping[str, str | None], *, only: bool
    ) -> dict[str, Coverage]:
        """What reported these signals; those that nothing reported are left out.

        `models` names the model of each vehicle; `only`: no other vehicles are counted.
        """
        names = list(dict.fromkeys([None, *models.values()]))
        numbers = {name: number for number, name in enumerate(names)}
        codes = np.array(
            [-1 if only and one not in models else numbers[models.get(one)] for one in self._names],
            np.int64,
        )
        found = {}
        for path in paths:
            column = self._columns.get(path)
            if column is None:
                continue
            times = column.times[: len(codes)]
            there = (times != NEVER) & (codes >= 0)
            if there.any():
                counts = np.bincount(codes[there], minlength=len(names)).tolist()
                by_model = {name: count for name, count in zip(names, counts, strict=True) if count}
                found[path] = Coverage(sum(counts), by_model, int(times[there].max()))
        return found

    def version_of(self, vehicle: str) -> int:
        """The version at which this vehicle last changed; 0 when it never reported."""
        row = self._rows.get(vehicle)
        return 0 if row is None else int(self._versions[row])

    def overviews(self, vehicles: Iterable[str] | None = None) -> list[Overview]:
        """What the map shows, of the vehicles named (those never seen are left out) or of all."""
        if vehicles is None:
            return self._overviews(np.arange(len(self), dtype=np.int64))
        known = [self._rows[v] for v in vehicles if v in self._rows]
        return self._overviews(np.array(known, np.int64))

    def changed_since(self, version: int) -> list[Overview]:
        """What the map shows, of the vehicles that changed after `version`."""
        return self._overviews(np.flatnonzero(self._versions[: len(self)] > version))

    def copy(self) -> "Twin":
        """A twin of its own, for a thread to write away while this one goes on."""
        other = Twin()
        other.version, other._capacity = self.version, self._capacity
        other._rows, other._names = self._rows.copy(), self._names.copy()
        other._columns = {path: column.copy() for path, column in self._columns.items()}
        other._versions, other._times = self._versions.copy(), self._times.copy()
        other._received = self._received.copy()
        other._anchor, other._derived = self._anchor.copy(), self._derived.copy()
        return other

    def to_arrow(self) -> pa.Table:
        """Everything as one table: a row a vehicle, `<path>` and `<path>@time` a signal.

        `<path>@flag` where a value was ever out of range.
        """
        count = len(self)
        columns: dict[str, pa.Array] = {
            "vehicle": pa.array(self._names, pa.string()),
            "time": pa.array(self._times[:count]),
            "received": pa.array(self._received[:count]),
            "heading": pa.array(self._derived[:count]),
            "anchor_lon": pa.array(self._anchor[:count, 0]),
            "anchor_lat": pa.array(self._anchor[:count, 1]),
        }
        for path, column in self._columns.items():
            columns[path] = column.arrow(count)
            columns[f"{path}@time"] = pa.array(column.times[:count])
            if column.flags is not None:
                columns[f"{path}@flag"] = pa.array(column.flags[:count])
        return pa.table(columns)

    @classmethod
    def from_arrow(cls, table: pa.Table) -> "Twin":
        """The twin that `to_arrow` wrote."""
        twin = cls()
        table = table.combine_chunks()
        if table.num_rows == 0:
            return twin
        twin.version = 1
        numbers = twin._numbers(_only_chunk(table["vehicle"]))
        twin._versions[numbers] = 1
        twin._times[numbers] = table["time"].to_numpy()
        twin._received[numbers] = table["received"].to_numpy()
        twin._derived[numbers] = table["heading"].to_numpy()
        twin._anchor[numbers, 0] = table["anchor_lon"].to_numpy()
        twin._anchor[numbers, 1] = table["anchor_lat"].to_numpy()
        for path in table.column_names:
            if "." in path and not path.endswith(("@time", "@flag")):
                twin._restore(path, numbers, table)
        return twin

    def _restore(self, path: str, numbers: Ints, table: pa.Table) -> None:
        times, values = table[f"{path}@time"].to_numpy(), table[path]
        there, flags = times != NEVER, None
        if f"{path}@flag" in table.column_names:
            flags = table[f"{path}@flag"].to_numpy()[there]
        column = self._column(path, values.type)
        held = _only_chunk(values).filter(pa.array(there))
        column.put(numbers[there], times[there], held, flags)

    def _numbers(self, vehicles: pa.Array) -> Ints:
        """The row number of each vehicle; new vehicles get the next one."""
        codes = vehicles.dictionary_encode()
        numbers = np.empty(len(codes.dictionary), np.int64)
        for code, name in enumerate(codes.dictionary.to_pylist()):
            row = self._rows.get(name)
            if row is None:
                row = self._rows[name] = len(self._names)
                self._names.append(name)
            numbers[code] = row
        if len(self._names) > self._capacity:
            self._grow(max(64, 2 * len(self._names)))
        taken: Ints = numbers[codes.indices.to_numpy()]
        return taken

    def _grow(self, capacity: int) -> None:
        self._capacity = capacity
        self._versions = _grown(self._versions, capacity, 0)
        self._times = _grown(self._times, capacity, NEVER)
        self._received = _grown(self._received, capacity, NEVER)
        self._anchor = _grown(self._anchor, capacity, np.nan)
        self._derived = _grown(self._derived, capacity, np.nan)
        for column in self._columns.values():
            column.grow(capacity)

    def _column(self, path: str, kind: pa.DataType) -> _Column:
        column = self._columns.get(path)
        if column is None:
            column = self._columns[path] = _Column(kind, self._capacity)
        return column

    def _touch(self, batch: pa.Table, numbers: Ints, times: Ints, order: Ints) -> None:
        last, rows = _last_of_each(numbers, order)
        self._versions[rows] = self.version
        self._times[rows] = np.maximum(self._times[rows], times[last])
        if "received" in batch.column_names:
            received = _microseconds(_only_chunk(batch["received"]))
            np.maximum.at(self._received, numbers, received)

    def _merge(
        self,
        path: str,
        values: pa.Array,
        *,
        numbers: Ints,
        times: Ints,
        order: Ints,
        chosen: dict[bytes, tuple[Ints, Ints]],
        flags: Flags | None,
    ) -> None:
        """Merge one signal. `chosen`: (rows of the batch, vehicles) by pattern of nulls."""
        if values.null_count == len(values):
            return
        valid = np.ones(len(values), bool)
        if values.null_count:
            valid = values.is_valid().to_numpy(zero_copy_only=False)
        pattern = valid.tobytes()
        if pattern not in chosen:
            chosen[pattern] = _last_of_each(numbers, order[valid[order]])
        last, rows = chosen[pattern]
        column = self._column(path, values.type)
        if column.kind != values.type:
            values = values.cast(column.kind)
        marks = None if flags is None else flags[last]
        column.put(rows, times[last], values.take(pa.array(last)), marks)

    def _derive_heading(self, rows: Ints) -> None:
        """Bearing from the last position at least `MOVED_M` away, for vehicles that send none."""
        lon, lat = self._columns.get(LON), self._columns.get(LAT)
        if lon is None or lat is None:
            return
        rows = rows[(lon.times[rows] != NEVER) & (lat.times[rows] != NEVER)]
        here = np.stack([lon.values[rows], lat.values[rows]], axis=1).astype(np.float64)
        there = self._anchor[rows]
        north = (here[:, 1] - there[:, 1]) * _METRES_PER_DEGREE
        east = (
            _around(here[:, 0] - there[:, 0]) * _METRES_PER_DEGREE * np.cos(np.radians(here[:, 1]))
        )
        new = np.isnan(there[:, 0])
        moved = np.hypot(north, east) >= MOVED_M
        bearing = np.degrees(np.arctan2(east[moved], north[moved])) % 360.0
        self._derived[rows[moved]] = bearing
        self._anchor[rows[new | moved]] = here[new | moved]

    def _overviews(self, rows: Ints) -> list[Overview]:
        if len(rows) == 0:
            return []
        heading = self._floats(HEADING, rows, 1)
        derived = [None if math.isnan(d) else round(d, 1) for d in self._derived[rows].tolist()]
        columns = zip(
            [self._names[row] for row in rows.tolist()],
            self._floats(LON, rows, 6),
            self._floats(LAT, rows, 6),
            [d if h is None else h for h, d in zip(heading, derived, strict=True)],
            self._floats(SPEED, rows, 1),
            self._floats(SOC, rows, 1),
            [None if a is None else int(a) for a in self._floats(ALARM, rows, 0)],
            self._times[rows].tolist(),
            self._received[rows].tolist(),
            strict=True,
        )
        return [Overview(*values) for values in columns]

    def _floats(self, path: str, rows: Ints, digits: int) -> Sequence[float | None]:
        column = self._columns.get(path)
        if column is None:
            return [None] * len(rows)
        there = (column.times[rows] != NEVER).tolist()
        values = np.round(column.values[rows].astype(np.float64), digits).tolist()
        return [
            None if math.isnan(v) or not known else v
            for v, known in zip(values, there, strict=True)
        ]


def _flagged(batch: pa.Table) -> dict[str, Flags]:
    """Which rows of a batch have a value out of range, by path."""
    if "flagged" not in batch.column_names:
        return {}
    lists = _only_chunk(batch["flagged"])
    if lists.null_count == len(lists):
        return {}
    rows = pc.list_parent_indices(lists).to_numpy()
    found: dict[str, Flags] = {}
    for row, path in zip(rows.tolist(), lists.flatten().to_pylist(), strict=True):
        found.setdefault(path, np.zeros(len(lists), np.bool_))[row] = True
    return found


def _dtype(kind: pa.DataType) -> npt.DTypeLike:
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return kind.to_pandas_dtype()  # type: ignore[no-any-return]
    return object


def _grown(array: Array, capacity: int, fill: object) -> Array:
    larger = np.full((capacity, *array.shape[1:]), fill, array.dtype)
    larger[: len(array)] = array
    return larger


def _only_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _microseconds(times: pa.Array) -> Ints:
    if pa.types.is_timestamp(times.type):
        times = pc.cast(times, pa.timestamp("us", times.type.tz)).view(pa.int64())
    micros: Ints = times.to_numpy(zero_copy_only=False)
    return micros


def _last_of_each(numbers: Ints, order: Ints) -> tuple[Ints, Ints]:
    """Of the batch rows `order` the last one of each vehicle: (batch rows, vehicle rows)."""
    slots = np.full(int(numbers.max()) + 1, -1, np.int64)
    slots[numbers[order]] = order  # of a repeated index the last assignment stays
    rows = np.flatnonzero(slots >= 0)
    return slots[rows], rows


def _to_numpy(values: pa.Array) -> Array:
    """Values without nulls; lists become one small array each, over one shared buffer."""
    if not pa.types.is_list(values.type):
        plain: Array = values.to_numpy(zero_copy_only=False)
        return plain
    lists = np.empty(len(values), object)
    if pa.types.is_string(values.type.value_type):
        lists[:] = [np.array(v, object) for v in values.to_pylist()] or None
        return lists
    flat = values.flatten().to_numpy(zero_copy_only=False)
    ends = values.offsets.to_numpy() - values.offsets[0].as_py()
    for i, (start, end) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)):
        lists[i] = flat[start:end]
    return lists


def _around(degrees: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A difference of longitudes the short way round."""
    return (degrees + 180.0) % 360.0 - 180.0
