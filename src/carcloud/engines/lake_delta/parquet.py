"""Parquet files of a table: how they are encoded, and their footers kept at hand."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from carcloud.engines.lake_delta.schema import TIME
from carcloud.engines.lake_delta.snapshot import Bounds

_SAMPLE = 16_384  # rows on which encodings are tried
_CHUNKS_KEPT = 400_000  # column chunks of footers kept in memory, about 1 KB each at most


@dataclass(frozen=True, slots=True)
class Encoding:
    """Parquet columns with a dictionary, and the encodings of the others, by column path."""

    dictionary: tuple[str, ...]
    others: dict[str, str]


def usual_encoding(schema: pa.Schema) -> Encoding:
    """What suits most columns: counters and times as differences, all else by dictionary.

    Signals are quantised, so that even floats repeat: a dictionary halves them.
    """
    dictionary, others = [], {}
    for path, kind in _leaves(schema):
        if pa.types.is_timestamp(kind) or kind == pa.int64():
            others[path] = "DELTA_BINARY_PACKED"
        elif not pa.types.is_binary(kind):
            dictionary.append(path)
    return Encoding(tuple(dictionary), others)


def tried_encoding(rows: pa.Table) -> Encoding:
    """For each column the encoding that makes a sample of it smallest."""
    sample = rows.slice(max(0, (rows.num_rows - _SAMPLE) // 2), _SAMPLE)
    leaves = _leaves(rows.schema)
    with_dictionary = _leaf_sizes(sample, Encoding(tuple(path for path, _ in leaves), {}))
    rivals = {path: rival for path, kind in leaves if (rival := _rival(kind))}
    without = _leaf_sizes(sample, Encoding((), rivals))
    others = {path: rivals[path] for path in rivals if without[path] < with_dictionary[path]}
    plain = {p for p, _ in leaves if p not in rivals and without[p] <= with_dictionary[p]}
    dictionary = tuple(path for path, _ in leaves if path not in others and path not in plain)
    return Encoding(dictionary, others)


def encode(rows: pa.Table, encoding: Encoding, row_group_rows: int) -> pa.Buffer:
    """A Parquet file in memory. Only scalar columns get statistics: lists have no order."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        rows,
        sink,
        row_group_size=row_group_rows,
        compression="zstd",
        compression_level=1,
        use_dictionary=_named(encoding),
        column_encoding=encoding.others or None,
        write_statistics=[f.name for f in rows.schema if not pa.types.is_nested(f.type)],
        store_schema=False,
    )
    return sink.getvalue()


def _named(encoding: Encoding) -> Any:
    """pyarrow takes a list of columns, or False for none."""
    return list(encoding.dictionary) or False


def bounds_of(rows: pa.Table) -> Bounds:
    """The least and greatest keys of rows; there must be one row at least."""
    span = {name: _extremes(rows[name]) for name in ("vehicle", "time", "seq")}
    return Bounds(
        span["vehicle"],
        span["time"],
        span["seq"],
    )


def _extremes(column: Any) -> tuple[Any, Any]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    found = pc.min_max(column)
    return found["min"].as_py(), found["max"].as_py()


@dataclass(frozen=True, slots=True)
class Footer:
    """A file's metadata, and the bounds of its row groups: arrays of one value a group."""

    metadata: Any
    names: frozenset[str]
    vehicle_min: np.ndarray[Any, Any]  # object (str)
    vehicle_max: np.ndarray[Any, Any]
    time_min: np.ndarray[Any, Any]  # int64, us
    time_max: np.ndarray[Any, Any]


class Footers:
    """Footers by path, the least used thrown out first. Files never change, so neither do they."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Footer] = OrderedDict()
        self._chunks = 0
        self._lock = threading.Lock()

    def get(self, path: str) -> Footer:
        """The footer of the file at an absolute path."""
        with self._lock:
            if found := self._kept.get(path):
                self._kept.move_to_end(path)
                return found
        footer = _read_footer(path)
        with self._lock:
            if path not in self._kept:
                self._kept[path] = footer
                self._chunks += _weight(footer)
            while self._chunks > _CHUNKS_KEPT and len(self._kept) > 1:
                self._chunks -= _weight(self._kept.popitem(last=False)[1])
        return footer


def row_groups(footer: Footer, vehicles: Sequence[str] | None, span: tuple[int, int]) -> list[int]:
    """The row groups that may hold one of `vehicles` at a time within `span` (us, inclusive)."""
    hit = (footer.time_max >= span[0]) & (footer.time_min <= span[1])
    if vehicles is not None:
        wanted = np.array(sorted(vehicles), dtype=object)
        first = np.searchsorted(wanted, footer.vehicle_min, side="left")
        hit &= first < np.searchsorted(wanted, footer.vehicle_max, side="right")
    found: list[int] = np.flatnonzero(hit).tolist()
    return found


def _read_footer(path: str) -> Footer:
    metadata = pq.read_metadata(path)
    at = {metadata.schema.column(i).path: i for i in range(metadata.num_columns)}
    vehicle = _group_bounds(metadata, at["vehicle"])
    time = _group_bounds(metadata, at["time"])
    micro = [[_micros(value) for value in side] for side in time]
    return Footer(
        metadata,
        frozenset(metadata.schema.to_arrow_schema().names),
        np.array(vehicle[0], dtype=object),
        np.array(vehicle[1], dtype=object),
        np.array(micro[0], dtype=np.int64),
        np.array(micro[1], dtype=np.int64),
    )


def _group_bounds(metadata: Any, column: int) -> tuple[list[Any], list[Any]]:
    low, high = [], []
    for group in range(metadata.num_row_groups):
        statistics = metadata.row_group(group).column(column).statistics
        if statistics is None or not statistics.has_min_max:
            raise pa.ArrowInvalid("a row group has no statistics of its keys")
        low.append(statistics.min)
        high.append(statistics.max)
    return low, high


def _micros(moment: Any) -> int:
    return int(pa.scalar(moment, TIME).cast(pa.int64()).as_py())


def _weight(footer: Footer) -> int:
    return int(footer.metadata.num_columns * max(1, footer.metadata.num_row_groups))


def _leaves(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    """Parquet column paths and their types."""
    found = []
    for field in schema:
        found.extend(_leaf(field.name, field.type))
    return found


def _leaf(path: str, kind: pa.DataType) -> list[tuple[str, pa.DataType]]:
    if pa.types.is_list(kind):
        return _leaf(f"{path}.list.element", kind.value_type)
    if pa.types.is_struct(kind):
        return [leaf for f in kind for leaf in _leaf(f"{path}.{f.name}", f.type)]
    return [(path, kind)]


def _rival(kind: pa.DataType) -> str | None:
    """What a dictionary competes with; None where that is the plain encoding."""
    if pa.types.is_floating(kind):
        return "BYTE_STREAM_SPLIT"
    if kind in (pa.int64(), pa.int32(), pa.int16(), pa.int8(), pa.date32()):
        return "DELTA_BINARY_PACKED"
    return "DELTA_BINARY_PACKED" if pa.types.is_timestamp(kind) else None


def _leaf_sizes(rows: pa.Table, encoding: Encoding) -> dict[str, int]:
    """Compressed bytes of each column path."""
    metadata = pq.read_metadata(pa.BufferReader(encode(rows, encoding, _SAMPLE)))
    group = metadata.row_group(0)
    chunks = (group.column(i) for i in range(metadata.num_columns))
    return {chunk.path_in_schema: chunk.total_compressed_size for chunk in chunks}
