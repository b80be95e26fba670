"""Files that `carcloud can decode` writes, row group by row group."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from carcloud.cli.failure import Failure
from carcloud.codecs.can.frames import Clock
from carcloud.codecs.canlog.decoding import Values
from carcloud.codecs.canlog.tables import long_schema, long_table, wide_schema, wide_table

SUFFIXES = (".parquet", ".csv")


def suffix_of(out: Path) -> str:
    """Raises Failure for a file of another kind."""
    suffix = out.suffix.lower()
    if suffix not in SUFFIXES:
        raise Failure(f"{out.name}: not a kind of file to write", "name it .parquet or .csv")
    if not out.parent.is_dir():
        raise Failure(f"{out.parent} is no folder", "make it first")
    return suffix


class Writer:
    """Writes beside the file, and moves it there when all is written.

    names: columns of a wide table; None for a long one
    """

    def __init__(self, out: Path, names: set[str] | None) -> None:
        self._out = out
        self._draft = out.with_name(f".{out.name}.part")
        self._names = names
        self._writer: Any = None
        self._schema: pa.Schema | None = None

    def __enter__(self) -> "Writer":
        return self

    def write(self, values: Sequence[Values], clock: Clock) -> None:
        """Append the rows of one piece of a log."""
        if self._schema is None:
            wide = self._names is not None
            self._schema = wide_schema(self._names or (), clock) if wide else long_schema(clock)
        if not values and self._writer is not None:
            return
        if self._names is None:
            table = long_table(values, clock)
        else:
            table = wide_table(values, self._schema)
        self._append(table)

    def _append(self, table: pa.Table) -> None:
        if suffix_of(self._out) == ".parquet":
            if self._writer is None:
                self._writer = pyarrow.parquet.ParquetWriter(
                    self._draft, table.schema, compression="zstd"
                )
            self._writer.write_table(table)
            return
        table = _for_csv(table)
        if self._writer is None:
            self._writer = pyarrow.csv.CSVWriter(self._draft, table.schema)
        self._writer.write_table(table)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if kind is None and self._writer is None:
            self.write((), "host_utc")
        if self._writer is not None:
            self._writer.close()
        if kind is None:
            self._draft.replace(self._out)
        else:
            self._draft.unlink(missing_ok=True)


def _for_csv(table: pa.Table) -> pa.Table:
    """Text instead of dictionaries; durations in seconds."""
    for index, field in enumerate(table.schema):
        column = table.column(index)
        if pa.types.is_dictionary(field.type):
            table = table.set_column(index, field.name, column.cast(pa.string()))
        elif pa.types.is_duration(field.type):
            seconds = pa.compute.divide(column.cast(pa.int64()).cast(pa.float64()), 1e9)
            table = table.set_column(index, field.name, seconds)
    return table
