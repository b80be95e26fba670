"""Reading back what vehicles reported: series, trails, alarms and frames of one vehicle."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from carcloud.model.ids import Tenant, VehicleId
from carcloud.model.time import DAY
from carcloud.ports.lake import Lake, Slice, TableRef
from carcloud.services.telemetry.errors import InvalidArgument
from carcloud.services.telemetry.twin import ALARM, LAT, LON, SPEED
from carcloud.services.telemetry.types import (
    AlarmInterval,
    DecodeFrame,
    Frame,
    Series,
    SeriesSet,
    Trail,
)

ALARM_CODES = "Vehicle.Regulatory.AlarmCodes"
MAX_POINTS = 5_000
MAX_PATHS = 32
_PATH = re.compile(r"(?P<column>[A-Za-z][A-Za-z0-9_.]{0,199})(?:\[(?P<index>\d{1,4})\])?")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, us since 1970; `end_us` exclusive."""

    start_us: int
    end_us: int

    def __post_init__(self) -> None:
        if self.end_us <= self.start_us:
            raise InvalidArgument("to", "must be later than 'from'")


@dataclass(frozen=True, slots=True)
class SignalPath:
    """A signal, or with `index` one element of an array signal."""

    text: str
    column: str
    index: int | None


def parse_path(text: str) -> SignalPath:
    """`Vehicle.Speed` or `…CellVoltages[3]` (from 0); raises `InvalidArgument`."""
    match = _PATH.fullmatch(text)
    if match is None:
        raise InvalidArgument("paths", f"{text!r} is not a signal path")
    index = match["index"]
    return SignalPath(text, match["column"], None if index is None else int(index))


class Buckets:
    """Least, greatest and mean of samples in equal stretches of time, filled piece by piece."""

    def __init__(self, span: Span, points: int) -> None:
        self.start_us = span.start_us
        self.width_us = max(1, -(-(span.end_us - span.start_us) // points))
        count = -(-(span.end_us - span.start_us) // self.width_us)
        self._first: Ints = np.full(count, np.iinfo(np.int64).max, np.int64)
        self._min: Floats = np.full(count, np.inf)
        self._max: Floats = np.full(count, -np.inf)
        self._sum: Floats = np.zeros(count)
        self._count: Ints = np.zeros(count, np.int64)

    def add(self, times: Ints, values: Floats) -> None:
        """Samples inside the span, in any order; NaN values are left out."""
        real = ~np.isnan(values)
        times, values = times[real], values[real]
        if len(times) == 0:
            return
        bucket = (times - self.start_us) // self.width_us
        order = np.argsort(bucket, kind="stable")
        bucket, times, values = bucket[order], times[order], values[order]
        starts = np.flatnonzero(np.diff(bucket, prepend=-1))
        at = bucket[starts]
        self._first[at] = np.minimum(self._first[at], np.minimum.reduceat(times, starts))
        self._min[at] = np.minimum(self._min[at], np.minimum.reduceat(values, starts))
        self._max[at] = np.maximum(self._max[at], np.maximum.reduceat(values, starts))
        self._sum[at] += np.add.reduceat(values, starts)
        self._count[at] += np.diff(starts, append=len(bucket))

    def series(self, unit: str | None, digits: int = 15) -> Series:
        """The buckets that hold samples, in time order, to `digits` significant digits."""
        full = self._count > 0
        mean = self._sum[full] / self._count[full]
        return Series(
            unit=unit,
            time_ms=(self._first[full] // 1000).tolist(),
            min=_rounded(self._min[full], digits),
            max=_rounded(self._max[full], digits),
            mean=_rounded(mean, digits),
        )


class History:
    """Reads one tenant's tables at a time. Calls block; use a thread."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._known: dict[Tenant, frozenset[str]] = {}  # columns of `signals`

    def columns(self, tenant: Tenant, wanted: Sequence[str]) -> frozenset[str]:
        """Columns of table `signals`, at least as new as needed to know `wanted`."""
        known = self._known.get(tenant, frozenset())
        if not known.issuperset(wanted):
            infos = self._lake.tables(tenant)
            names = [name for info in infos if info.name == "signals" for name, _ in info.columns]
            known = self._known[tenant] = frozenset(names)
        return known

    def series(
        self,
        tenant: Tenant,
        vehicle: VehicleId,
        paths: Sequence[SignalPath],
        span: Span,
        *,
        points: int,
        units: dict[str, str | None],
    ) -> SeriesSet:
        """Samples of each path in at most `points` buckets; raises `InvalidArgument`."""
        known = self.columns(tenant, [path.column for path in paths])
        for path in paths:
            if path.column not in known and path.column not in units:
                raise InvalidArgument("paths", f"there is no signal {path.column}")
        buckets = {path.text: Buckets(span, points) for path in paths}
        columns = ["time", *dict.fromkeys(path.column for path in paths)]
        digits: dict[str, int] = {}
        for part in _days(span):
            rows = self._rows(tenant, vehicle, columns, part)
            times = _times(rows)
            digits.update((field.name, _digits(field.type)) for field in rows.schema)
            for path in paths:
                if path.column in rows.column_names:
                    buckets[path.text].add(times, _samples(rows[path.column], path))
        series = {
            path.text: buckets[path.text].series(
                units.get(path.column), digits.get(path.column, 15)
            )
            for path in paths
        }
        width = max(1, next(iter(buckets.values())).width_us // 1000) if buckets else 0
        return SeriesSet(span.start_us, span.end_us, width, series)

    def trail(self, tenant: Tenant, vehicle: VehicleId, span: Span, points: int) -> Trail:
        """Positions, of each of `points` equal stretches of time the first one."""
        width = max(1, -(-(span.end_us - span.start_us) // points))
        parts = [self._positions(tenant, vehicle, part) for part in _days(span)]
        times, lon, lat, speed = (np.concatenate(column) for column in zip(*parts, strict=True))
        keep = np.flatnonzero(np.diff((times - span.start_us) // width, prepend=-1))
        return Trail(
            time_ms=(times[keep] // 1000).astype(int).tolist(),
            lon=np.round(lon[keep], 6).tolist(),
            lat=np.round(lat[keep], 6).tolist(),
            speed_kmh=[None if math.isnan(v) else round(v, 1) for v in speed[keep].tolist()],
        )

    def alarms(self, tenant: Tenant, vehicle: VehicleId, span: Span) -> list[AlarmInterval]:
        """Alarms that were on at some time in the span, by start. Gaps in reporting end none."""
        found: list[AlarmInterval] = []
        running: dict[str, AlarmInterval] = {}
        for part in _days(span):
            rows = self._rows(tenant, vehicle, ["time", ALARM_CODES, ALARM], part)
            if ALARM_CODES in rows.column_names:
                _follow_alarms(rows, running, found)
        return sorted([*found, *running.values()], key=lambda alarm: (alarm.start_us, alarm.code))

    def frames(
        self,
        tenant: Tenant,
        vehicle: VehicleId,
        before_us: int | None,
        limit: int,
        decoders: dict[str, DecodeFrame],
        edition: str | None = None,
    ) -> list[Frame]:
        """Frames with `time < before_us`, newest first; `edition` of the vehicle's last login."""
        columns = ["time", "received", "kind", "protocol", "seq", "frame"]
        what = Slice(columns, None, before_us, [vehicle], newest_first=True, limit=limit)
        rows = self._lake.read(TableRef(tenant, "frames"), what)
        if rows.num_rows == 0:
            return []
        return [_frame(row, decoders, edition) for row in _micro(rows).to_pylist()]

    def _positions(
        self, tenant: Tenant, vehicle: VehicleId, span: Span
    ) -> tuple[Ints, Floats, Floats, Floats]:
        rows = self._rows(tenant, vehicle, ["time", LON, LAT, SPEED], span)
        lon, lat, speed = (_floats_or_nan(rows, path) for path in (LON, LAT, SPEED))
        there = ~(np.isnan(lon) | np.isnan(lat))
        return _times(rows)[there], lon[there], lat[there], speed[there]

    def _rows(
        self, tenant: Tenant, vehicle: VehicleId, columns: Sequence[str], span: Span
    ) -> pa.Table:
        """Rows in time order; columns that the table lacks are missing."""
        known = self.columns(tenant, columns)
        there = [name for name in columns if name in known]
        if "time" not in there:  # never written
            return pa.table({"time": pa.array([], pa.timestamp("us", "UTC"))})
        what = Slice(there, span.start_us, span.end_us, [vehicle])
        return self._lake.read(TableRef(tenant, "signals"), what).sort_by("time")


def _days(span: Span) -> list[Span]:
    """The span in pieces of a day, so that a month of one signal does not fill the memory."""
    starts = range(span.start_us, span.end_us, DAY)
    return [Span(start, min(start + DAY, span.end_us)) for start in starts]


def _times(rows: pa.Table) -> Ints:
    times: Ints = _micro(rows)["time"].to_numpy().astype(np.int64)
    return times


def _micro(rows: pa.Table) -> pa.Table:
    """The same rows with every time as int64 us since 1970."""
    for i, name in enumerate(rows.column_names):
        if pa.types.is_timestamp(rows.schema.field(i).type):
            zone = rows.schema.field(i).type.tz
            whole = rows[name].cast(pa.timestamp("us", zone)).cast(pa.int64())
            rows = rows.set_column(i, name, whole)
    return rows


def _samples(column: pa.ChunkedArray, path: SignalPath) -> Floats:
    """One number per row, NaN where there is none."""
    if pa.types.is_list(column.type):
        if path.index is None:
            raise InvalidArgument("paths", f"{path.text} is an array: add an index, {path.text}[0]")
        column = _element(column.combine_chunks(), path.index)
    elif path.index is not None:
        raise InvalidArgument("paths", f"{path.column} is not an array")
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise InvalidArgument("paths", f"{path.text} holds {kind}, which has no curve")
    samples: Floats = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return samples


def _element(lists: pa.Array, index: int) -> pa.Array:
    """Element `index` of every list, null where a list is shorter."""
    if isinstance(lists, pa.ChunkedArray):  # of no chunks: an empty table
        return pa.array([], lists.type.value_type)
    long_enough = pc.greater(pc.list_value_length(lists), index)
    starts = lists.offsets.slice(0, len(lists))
    where = pc.if_else(long_enough.fill_null(False), pc.add(starts, index), None)
    return lists.values.take(where)


def _floats_or_nan(rows: pa.Table, path: str) -> Floats:
    if path not in rows.column_names:
        return np.full(rows.num_rows, np.nan)
    floats: Floats = rows[path].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return floats


def _rounded(values: Floats, digits: int) -> list[float]:
    return [float(f"{value:.{digits}g}") for value in values.tolist()]


def _digits(kind: pa.DataType) -> int:
    """Significant digits that a type holds."""
    inner = kind.value_type if pa.types.is_list(kind) else kind
    return 7 if pa.types.is_float32(inner) else 15


def _follow_alarms(
    rows: pa.Table, running: dict[str, AlarmInterval], found: list[AlarmInterval]
) -> None:
    """Carry `running` alarms through `rows`; those that ended go to `found`."""
    said = rows.filter(rows[ALARM_CODES].is_valid())
    times, codes = _times(said), said[ALARM_CODES].to_pylist()
    levels = said[ALARM].to_pylist() if ALARM in said.column_names else [None] * len(codes)
    for time_us, now, level in zip(times.tolist(), codes, levels, strict=True):
        if not now and not running:
            continue
        for code in [code for code in running if code not in now]:
            alarm = running.pop(code)
            found.append(AlarmInterval(code, alarm.level, alarm.start_us, time_us))
        for code in now:
            start = running[code].start_us if code in running else time_us
            worst = max(
                filter(None, (level, running[code].level if code in running else 0)), default=level
            )
            running[code] = AlarmInterval(code, worst, start, None)


def _frame(row: dict[str, object], decoders: dict[str, DecodeFrame], edition: str | None) -> Frame:
    data, protocol = row["frame"], str(row["protocol"])
    assert isinstance(data, bytes)  # noqa: S101 - the column is binary
    fields, error = None, None
    if protocol in decoders:
        try:
            fields = dict(decoders[protocol](data, edition))
            error = fields.pop("error", None)
            fields = None if error else fields
        except ValueError as problem:
            error = {"detail": str(problem)}
    return Frame(
        time_us=int(str(row["time"])),
        received_us=int(str(row["received"])),
        kind=str(row["kind"]),
        protocol=protocol,
        seq=int(str(row["seq"])),
        data=data,
        fields=fields,
        error=error,
    )
