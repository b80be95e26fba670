"""Rows that a job brings, as a table of the lake holds them; or why it cannot."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from carcloud.model.time import DAY, now_us

MOST_ROWS = 10_000_000  # of one write
MOST_COLUMNS = 500  # and fields of structs
MOST_DATES = 4_000  # each is a file
_MOST_NAME = 128  # characters
_MOST_DEPTH = 6
_TIME = pa.timestamp("us", tz="UTC")
_FIRST_US, _END_US = 0, 7_258_118_400_000_000  # 1970 to 2200
_AS: dict[pa.DataType, pa.DataType] = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(),
    pa.float16(): pa.float32(),
    pa.date64(): pa.date32(),
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
}
_KINDS_AS = (
    (pa.types.is_decimal, pa.float64()),  # before binary: a decimal is one of fixed size
    (pa.types.is_fixed_size_binary, pa.binary()),
    (pa.types.is_timestamp, _TIME),
)
_SAME = frozenset(
    {pa.string(), pa.binary(), pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(),
     pa.float32(), pa.float64(), pa.date32()}
)  # fmt: skip


def as_rows(given: pa.Table) -> pa.Table:
    """`given` with the columns `vehicle`, `time` and `seq` that every table has.

    Where it lacks them, `vehicle` is empty, `time` is now and `seq` counts the rows from 1. Raises
    `ValueError`, naming the column. Times without a zone are UTC, and have microseconds; decimals,
    which SQL makes of numbers with a point, become doubles.
    """
    _check_shape(given)
    columns: dict[str, Any] = {}
    for field in given.schema:
        if not pa.types.is_null(field.type):
            columns[field.name] = _cast(field, given[field.name])
    keys = {
        "vehicle": _vehicles(columns, given.num_rows),
        "time": _times(columns, given.num_rows),
        "seq": _numbers(columns, given.num_rows),
    }
    for name, column in keys.items():
        if column.null_count:
            raise ValueError(f"column {name!r} has a null")
    return pa.table({**keys, **{n: c for n, c in columns.items() if n not in keys}})


def days(rows: pa.Table) -> int:
    """How many dates rows as the table has them lie in; each is a file at least."""
    return _dates(rows["time"].cast(pa.int64()))


def _dates(us: Any) -> int:
    return len(pc.unique(pc.divide(us, DAY)))


def _check_shape(given: pa.Table) -> None:
    if given.num_rows > MOST_ROWS:
        raise ValueError(f"it has {given.num_rows} rows, at most {MOST_ROWS} are written at once")
    seen: set[str] = set()
    for name in given.column_names:
        if name in seen:
            raise ValueError(f"column {name!r} is there twice")
        seen.add(name)
    for count, name in enumerate(_names(given.schema, 0)):
        if count >= MOST_COLUMNS:
            raise ValueError(f"it has more than {MOST_COLUMNS} columns")
        if not name or len(name) > _MOST_NAME or not name.isprintable():
            raise ValueError(
                f"column {name[:_MOST_NAME]!r}: a name has 1 to {_MOST_NAME} characters"
            )


def _names(fields: Any, depth: int) -> Iterator[str]:
    """The names of columns and of the fields in them."""
    for field in fields:
        if depth > _MOST_DEPTH:
            raise ValueError(f"column {field.name!r} lies more than {_MOST_DEPTH} levels deep")
        yield field.name
        kind, inside = field.type, depth + 1
        while pa.types.is_nested(kind) and kind.num_fields == 1 and not pa.types.is_struct(kind):
            kind, inside = kind.field(0).type, inside + 1
            if inside > _MOST_DEPTH:
                raise ValueError(f"column {field.name!r} is more than {_MOST_DEPTH} levels deep")
        if pa.types.is_struct(kind):
            yield from _names([kind.field(i) for i in range(kind.num_fields)], inside)


def _cast(field: "pa.Field[Any]", column: Any) -> Any:
    """A column as the table has it."""
    kind = field.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    want = _stored_as(field.name, kind)
    if kind == want:
        return column
    # only what is finer than a microsecond is lost: nothing else may be unsafe
    finer = pa.types.is_timestamp(kind) and kind.unit == "ns"
    try:
        return column.cast(want, safe=not finer)
    except pa.ArrowInvalid as error:
        raise ValueError(f"column {field.name!r}: {str(error)[:200]}") from error


def _stored_as(name: str, kind: Any) -> pa.DataType:
    if kind in _SAME or kind in _AS:
        return _AS.get(kind, kind)
    for is_kind, stored in _KINDS_AS:
        if is_kind(kind):
            return stored
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_stored_as(name, kind.value_type))
    if pa.types.is_struct(kind) and kind.num_fields:
        return pa.struct([pa.field(f.name, _stored_as(name, f.type)) for f in kind])
    raise ValueError(f"column {name!r} has type {kind}, which a table cannot hold")


def _vehicles(columns: dict[str, Any], rows: int) -> Any:
    if "vehicle" not in columns:
        return pa.chunked_array([pa.repeat("", rows)])
    if columns["vehicle"].type != pa.string():
        raise ValueError(f"column 'vehicle' has type {columns['vehicle'].type}: ids are text")
    return columns["vehicle"]


def _times(columns: dict[str, Any], rows: int) -> Any:
    if "time" not in columns:
        return pa.chunked_array([pa.repeat(pa.scalar(now_us(), _TIME), rows)])
    column = columns["time"]
    if column.type == pa.date32():
        column = column.cast(pa.timestamp("s")).cast(_TIME)
    if column.type != _TIME:
        raise ValueError(f"column 'time' has type {column.type}: it must be a timestamp")
    us = column.cast(pa.int64())
    span = pc.min_max(us).as_py()
    if span["min"] is not None and not _FIRST_US <= span["min"] <= span["max"] < _END_US:
        raise ValueError("column 'time' has a value before 1970 or after 2199")
    if _dates(us) > MOST_DATES:
        raise ValueError(f"column 'time' has more than {MOST_DATES} days")
    return column


def _numbers(columns: dict[str, Any], rows: int) -> Any:
    if "seq" not in columns:
        return pa.chunked_array([pa.array(range(1, rows + 1), pa.int64())])
    if not pa.types.is_integer(columns["seq"].type):
        raise ValueError(
            f"column 'seq' has type {columns['seq'].type}: it counts, so whole numbers"
        )
    return columns["seq"].cast(pa.int64())
