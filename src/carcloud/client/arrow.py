"""Answers as Arrow tables, and as data frames of Polars or pandas."""

import warnings
from typing import Any, Literal

import msgspec
import pyarrow as pa

from carcloud.client.errors import NotCarcloud
from carcloud.client.types import File

TableFormat = Literal["arrow", "polars", "pandas"]
FileFormat = Literal["csv", "parquet", "arrow"]
MEDIA: dict[FileFormat, str] = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
_MS = pa.timestamp("ms", "UTC")


class TruncatedWarning(UserWarning):
    """A query has more rows than came."""


class Series(msgspec.Struct, frozen=True):
    """Stretches of one signal in time order, as lists of equal length; times in ms since 1970."""

    unit: str | None
    time_ms: list[int]
    min: list[float]
    max: list[float]
    mean: list[float]


class SeriesSet(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """Series of several signals over one stretch of time."""

    from_: str
    to: str
    bucket_ms: int
    series: dict[str, Series]


class Trail(msgspec.Struct, frozen=True):
    """Where a vehicle was, as lists of equal length. Degrees, km/h."""

    time_ms: list[int]
    lon: list[float]
    lat: list[float]
    speed_kmh: list[float | None]


def signals_table(found: SeriesSet) -> pa.Table:
    """One row for each stretch of each signal: signal, time, min, max, mean, unit."""
    schema = pa.schema(
        [("signal", pa.string()), ("time", _MS), ("min", pa.float64()), ("max", pa.float64()),
         ("mean", pa.float64()), ("unit", pa.string())]
    )  # fmt: skip
    parts = [
        pa.table(
            [
                [path] * len(one.time_ms),
                one.time_ms,
                one.min,
                one.max,
                one.mean,
                [one.unit] * len(one.time_ms),
            ],
            schema=schema,
        )
        for path, one in found.series.items()
    ]
    return pa.concat_tables(parts) if parts else schema.empty_table()


def trail_table(found: Trail) -> pa.Table:
    """One row for each position: time, lon, lat, speed_kmh."""
    number = pa.float64()
    schema = pa.schema([("time", _MS), ("lon", number), ("lat", number), ("speed_kmh", number)])
    return pa.table([found.time_ms, found.lon, found.lat, found.speed_kmh], schema=schema)


def frame_of(file: File, wanted: TableFormat) -> Any:
    """The rows of an Arrow stream in the format that is wanted; warns when some are missing."""
    try:
        table = pa.ipc.open_stream(file.content).read_all()
    except pa.ArrowInvalid as error:
        raise NotCarcloud("the server", f"did not answer with an Arrow stream: {error}") from error
    if file.truncated:
        told = f"only the first {table.num_rows} rows; `rows` asks for more"
        warnings.warn(told, TruncatedWarning, stacklevel=3)
    return _converted(table, wanted)


def _converted(table: pa.Table, wanted: TableFormat) -> Any:
    if wanted == "arrow":
        return table
    try:
        if wanted == "polars":
            import polars

            return polars.from_arrow(table)
        import pandas
    except ImportError as error:
        raise ImportError(f"{wanted} is not installed; carcloud[notebook] brings it") from error
    return table.to_pandas(types_mapper=pandas.ArrowDtype)  # keeps whole numbers beside nulls
