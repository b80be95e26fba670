"""Reading a slice: files by the log's bounds, row groups by the footers', then the rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from carcloud.engines.lake_delta.files import Files, engine_errors
from carcloud.engines.lake_delta.parquet import Footers, row_groups
from carcloud.engines.lake_delta.schema import PARTITION, TIME, conform
from carcloud.engines.lake_delta.snapshot import DataFile, Snapshot
from carcloud.ports.lake import Slice

_FIRST, _LAST = -(2**63), 2**63 - 1
_NEWEST: list[tuple[str, Literal["ascending", "descending"]]] = [
    ("time", "descending"),
    ("seq", "descending"),
    ("vehicle", "ascending"),
]
_BY_SEQ: list[tuple[str, Literal["ascending", "descending"]]] = [("seq", "ascending")]
_PIECE_ROWS = 262_144  # rows of one file that are looked through at once


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows are wanted; `span` in us since 1970, both ends inclusive; None = all."""

    span: tuple[int, int] = (_FIRST, _LAST)
    vehicles: frozenset[str] | None = None
    after_seq: int | None = None
    until_seq: int | None = None

    def may_hold(self, file: DataFile) -> bool:
        """False when no row of the file can be wanted."""
        first, end = file.day_us
        if end <= self.span[0] or first > self.span[1]:
            return False
        if (bounds := file.bounds) is None:
            return True
        if bounds.time[1] < self.span[0] or bounds.time[0] > self.span[1]:
            return False
        if not self._reaches(bounds.seq):
            return False
        if self.vehicles is None:
            return True
        low, high = bounds.vehicle
        return any(low <= vehicle <= high for vehicle in self.vehicles)

    def _reaches(self, seq: tuple[int, int]) -> bool:
        late_enough = self.after_seq is None or seq[1] > self.after_seq
        return late_enough and (self.until_seq is None or seq[0] <= self.until_seq)

    def holds_all(self, file: DataFile) -> bool:
        """True when every row of the file is wanted, by its bounds alone."""
        if (bounds := file.bounds) is None or self.vehicles is not None:
            return False
        return (
            bounds.time[0] >= self.span[0]
            and bounds.time[1] <= self.span[1]
            and (self.after_seq is None or bounds.seq[0] > self.after_seq)
            and (self.until_seq is None or bounds.seq[1] <= self.until_seq)
        )

    def columns(self) -> list[str]:
        """The key columns that the mask needs."""
        names = ["time"] if self.span != (_FIRST, _LAST) else []
        names += ["vehicle"] if self.vehicles is not None else []
        return names + (["seq"] if (self.after_seq, self.until_seq) != (None, None) else [])

    def mask(self, rows: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """True for the rows that are wanted."""
        keep = np.ones(rows.num_rows, dtype=bool)
        if self.span != (_FIRST, _LAST):
            time = rows["time"].cast(pa.int64()).to_numpy()
            keep &= (time >= self.span[0]) & (time <= self.span[1])
        if self.vehicles is not None:
            wanted = pa.array(sorted(self.vehicles), pa.string())
            keep &= pc.is_in(rows["vehicle"], wanted).to_numpy()
        if self.after_seq is not None:
            keep &= rows["seq"].to_numpy() > self.after_seq
        if self.until_seq is not None:
            keep &= rows["seq"].to_numpy() <= self.until_seq
        return keep


def read(seen: Snapshot, files: Files, footers: Footers, what: Slice) -> pa.Table:
    """The rows of a slice, with the columns asked for in the order asked for."""
    names = list(what.columns) if what.columns is not None else list(seen.schema.names)
    schema = _output(seen, names)
    wanted = slice_filter(what)
    chosen = [file for file in seen.files.values() if wanted.may_hold(file)]
    if what.limit is None:
        files.fetch(file.path for file in chosen)
    scan = _Scan(seen, files, footers, wanted, schema)
    if what.newest_first:
        return scan.newest(chosen, what.limit).select(names)
    if what.by_seq:
        return scan.in_turn(chosen, what.limit).select(names)
    return scan.some(chosen, what.limit).select(names)


def count(seen: Snapshot, files: Files, footers: Footers, what: Slice) -> int:
    """How many rows a slice has, without its limit."""
    wanted = slice_filter(what)
    chosen = [file for file in seen.files.values() if wanted.may_hold(file)]
    scan = _Scan(seen, files, footers, wanted, pa.schema([]))
    whole = sum(file.rows for file in chosen if wanted.holds_all(file))
    return whole + sum(scan.hits(file) for file in chosen if not wanted.holds_all(file))


def slice_filter(what: Slice) -> Filter:
    """Which rows a slice wants, but for its limit."""
    span = (
        _FIRST if what.start_us is None else what.start_us,
        _LAST if what.end_us is None else what.end_us - 1,
    )
    vehicles = None if what.vehicles is None else frozenset(what.vehicles)
    return Filter(span, vehicles, what.after_seq, what.until_seq)


def _output(seen: Snapshot, names: Sequence[str]) -> pa.Schema:
    """The columns to gather: those asked for, and the keys that order needs."""
    known = {field.name: field for field in seen.schema}
    if seen.version < 0:
        kinds = {"time": TIME} | {field.name: field.type for field in seen.schema}
        return pa.schema([pa.field(n, kinds.get(n, pa.null())) for n in names])
    known[PARTITION] = pa.field(PARTITION, pa.date32())
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"the table has no column {unknown[0]!r}")
    return pa.schema([known[name] for name in dict.fromkeys(names)])


@dataclass(frozen=True, slots=True)
class _Scan:
    seen: Snapshot
    files: Files
    footers: Footers
    wanted: Filter
    schema: pa.Schema  # of the result

    def some(self, chosen: Sequence[DataFile], limit: int | None) -> pa.Table:
        """Rows of the files in turn, until there are enough."""
        found, rest = [self.schema.empty_table()], limit
        for file in chosen:
            if rest is not None and rest <= 0:
                break
            rows = self._rows(file, self.wanted, self.schema, None)
            found.append(rows if rest is None else rows.slice(0, rest))
            rest = None if rest is None else rest - rows.num_rows
        return pa.concat_tables(found)

    def newest(self, chosen: Sequence[DataFile], limit: int | None) -> pa.Table:
        """Rows by falling time; with a limit, files older than what was found stay closed."""
        schema = self.schema
        for name in ("time", "seq", "vehicle"):
            if schema.get_field_index(name) < 0 and self.seen.version >= 0:
                schema = schema.append(self.seen.schema.field(name))
        best, wanted = schema.empty_table(), self.wanted
        for file in sorted(chosen, key=_last_time, reverse=True):
            if _last_time(file) < wanted.span[0]:
                break
            best = pa.concat_tables([best, self._rows(file, wanted, schema, limit)])
            if limit is not None and best.num_rows >= limit:
                best = best.take(pc.sort_indices(best, sort_keys=_NEWEST)).slice(0, limit)
                oldest = _oldest(best) if limit else _LAST
                wanted = replace(wanted, span=(oldest, wanted.span[1]))
        if not best.num_rows:
            return best
        best = best.take(pc.sort_indices(best, sort_keys=_NEWEST))
        return best if limit is None else best.slice(0, limit)

    def in_turn(self, chosen: Sequence[DataFile], limit: int | None) -> pa.Table:
        """Rows by rising seq; with a limit, files later than what was found stay closed."""
        schema, wanted = self.schema, self.wanted
        if schema.get_field_index("seq") < 0 and self.seen.version >= 0:
            schema = schema.append(self.seen.schema.field("seq"))
        best = schema.empty_table()
        for file in sorted(chosen, key=_first_seq):
            if not wanted.may_hold(file):
                break
            best = pa.concat_tables([best, self._in_pieces(file, wanted, schema)])
            if limit is not None and best.num_rows >= limit > 0:
                best = best.take(pc.sort_indices(best, sort_keys=_BY_SEQ)).slice(0, limit)
                wanted = replace(wanted, until_seq=best["seq"][-1].as_py())
        if not best.num_rows:
            return best
        best = best.take(pc.sort_indices(best, sort_keys=_BY_SEQ))
        return best if limit is None else best.slice(0, limit)

    def hits(self, file: DataFile) -> int:
        """How many rows of a file are wanted."""
        found = 0
        with engine_errors(f"reading {file.path}"):
            path = self.files.local(file.path)
            footer = self.footers.get(path)
            groups = row_groups(footer, _listed(self.wanted.vehicles), self.wanted.span)
            with pq.ParquetFile(path, metadata=footer.metadata) as source:
                for piece in _pieces(footer.metadata, groups):
                    rows = source.read_row_groups(piece, columns=self.wanted.columns())
                    found += int(self.wanted.mask(rows).sum())
        return found

    def _in_pieces(self, file: DataFile, wanted: Filter, schema: pa.Schema) -> pa.Table:
        """As `_rows`; a big file of which few rows are wanted does not come into memory whole."""
        with engine_errors(f"reading {file.path}"):
            footer = self.footers.get(self.files.local(file.path))
        groups = row_groups(footer, _listed(wanted.vehicles), wanted.span)
        found = [schema.empty_table()]
        for piece in _pieces(footer.metadata, groups):
            found.append(self._rows(file, wanted, schema, None, piece))
        return pa.concat_tables(found)

    def _rows(
        self,
        file: DataFile,
        wanted: Filter,
        schema: pa.Schema,
        newest: int | None,
        piece: list[int] | None = None,
    ) -> pa.Table:
        """A file's wanted rows; with `newest`, only so many of the newest.

        `piece`: the row groups to look at, if not all.
        """
        with engine_errors(f"reading {file.path}"):
            path = self.files.local(file.path)
            footer = self.footers.get(path)
            groups = piece or row_groups(footer, _listed(wanted.vehicles), wanted.span)
            with pq.ParquetFile(path, metadata=footer.metadata) as source:
                keys = wanted.columns() + (["time"] if newest is not None else [])
                picked, groups = _pick(source, groups, wanted, sorted(set(keys)), newest)
                names = [name for name in schema.names if name in footer.names]
                rows = source.read_row_groups(groups, columns=names, use_threads=True)
        if picked is not None:
            rows = rows.filter(picked)
        if PARTITION in schema.names:
            day = pa.scalar(date.fromisoformat(file.date), pa.date32())
            rows = rows.append_column(PARTITION, pa.repeat(day, rows.num_rows))
        return conform(rows, schema)


def _pick(
    source: pq.ParquetFile, groups: list[int], wanted: Filter, keys: list[str], newest: int | None
) -> tuple[Any, list[int]]:
    """The mask over the rows of those row groups that have a hit, and these row groups."""
    if not keys or not groups:
        return None, groups
    rows = source.read_row_groups(groups, columns=keys, use_threads=True)
    mask = wanted.mask(rows)
    if newest is not None and int(mask.sum()) > newest > 0:
        time = rows["time"].cast(pa.int64()).to_numpy()
        mask &= time >= np.partition(time[mask], -newest)[-newest]
    sizes = [source.metadata.row_group(group).num_rows for group in groups]
    pieces = np.split(mask, np.cumsum(sizes)[:-1])
    hit = [i for i, piece in enumerate(pieces) if piece.any()]
    empty = np.zeros(0, dtype=bool)
    kept = np.concatenate([pieces[i] for i in hit]) if hit else empty
    return pa.array(kept), [groups[i] for i in hit]


def _pieces(metadata: Any, groups: list[int]) -> list[list[int]]:
    """Row groups in lots of not many more than `_PIECE_ROWS` rows."""
    pieces: list[list[int]] = []
    rows = _PIECE_ROWS
    for group in groups:
        if rows >= _PIECE_ROWS:
            pieces.append([])
            rows = 0
        pieces[-1].append(group)
        rows += metadata.row_group(group).num_rows
    return pieces


def _first_seq(file: DataFile) -> int:
    return file.bounds.seq[0] if file.bounds else _FIRST


def _oldest(rows: pa.Table) -> int:
    return int(rows["time"].cast(pa.int64()).to_numpy().min())


def _last_time(file: DataFile) -> int:
    return file.bounds.time[1] if file.bounds else file.day_us[1] - 1


def _listed(vehicles: frozenset[str] | None) -> list[str] | None:
    return None if vehicles is None else list(vehicles)
