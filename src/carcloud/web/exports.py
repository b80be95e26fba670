"""Tables as bytes: CSV, Parquet, an Arrow stream, or rows for JSON."""

import datetime
import decimal
import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from carcloud.model.time import to_us
from carcloud.web.times import exact_iso

CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
ARROW = "application/vnd.apache.arrow.stream"
_TIME = pa.timestamp("us", tz="UTC")
_AS_THEY_ARE = frozenset(
    (pa.string(), pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16())
)
_SAFE_WHOLE = 2**53  # larger whole numbers lose digits in a browser


def csv(table: pa.Table) -> bytes:
    """With a header line; lists and structs as JSON text, binary as hexadecimal."""
    for i, field in enumerate(table.schema):
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
            texts = [_text(plain(value)) for value in shortest(table[field.name]).to_pylist()]
            table = table.set_column(i, field.name, pa.array(texts, pa.string()))
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(table, sink)
    return bytes(sink.getvalue())


def parquet(table: pa.Table) -> bytes:
    """One Parquet file, zstd."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def arrow(table: pa.Table) -> bytes:
    """One Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


FORMATS: dict[str, Callable[[pa.Table], bytes]] = {CSV: csv, PARQUET: parquet, ARROW: arrow}


def wanted_format(accept: str) -> str | None:
    """The first of `FORMATS` that an Accept header names; None = JSON."""
    kinds = [part.split(";", 1)[0].strip().lower() for part in accept.split(",")]
    return next((kind for kind in kinds if kind in FORMATS), None)


def rows(table: pa.Table) -> list[list[Any]]:
    """Rows whose values JSON can carry."""
    columns = [_values(column) for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)] if columns else []


def _values(column: pa.ChunkedArray) -> list[Any]:
    """As `plain` of each value, by the column where its type allows."""
    kind = column.type
    if kind in _AS_THEY_ARE:
        plain_ones: list[Any] = column.to_pylist()
        return plain_ones
    if kind == _TIME:
        texts = np.datetime_as_string(column.to_numpy(), unit="us").tolist()
        return [None if text == "NaT" else f"{text}Z" for text in texts]
    values = shortest(column).to_pylist()
    if pa.types.is_floating(kind):
        return [value if value is None or math.isfinite(value) else None for value in values]
    return [plain(value) for value in values]


def shortest(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """float32 as the float64 of the same shortest digits: 3.6, not 3.5999999046325684."""
    wide = pa.float64()
    if pa.types.is_float32(column.type):
        return column.cast(pa.string()).cast(wide)
    if pa.types.is_list(column.type) and pa.types.is_float32(column.type.value_type):
        return column.cast(pa.list_(pa.string())).cast(pa.list_(wide))
    return column


def plain(value: Any) -> Any:
    """A value as JSON carries it: times as RFC 3339, binary as hex, no NaN, no wide integers."""
    for kind, change in _PLAIN:
        if isinstance(value, kind):
            return change(value)
    return str(value)


def _moment(value: datetime.datetime) -> str:
    return exact_iso(to_us(value)) if value.tzinfo else value.isoformat()


_PLAIN: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    ((str, bool, type(None)), lambda v: v),
    (int, lambda v: v if abs(v) <= _SAFE_WHOLE else str(v)),
    (float, lambda v: v if math.isfinite(v) else None),
    (bytes, bytes.hex),
    (dict, lambda v: {str(key): plain(one) for key, one in v.items()}),
    ((list, tuple), lambda v: [plain(one) for one in v]),
    (datetime.datetime, _moment),
    ((datetime.date, datetime.time), lambda v: v.isoformat()),
    (decimal.Decimal, float),
    (datetime.timedelta, datetime.timedelta.total_seconds),
)


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else msgspec.json.encode(value).decode()
