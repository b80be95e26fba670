"""Rows of some vehicles only, for SQL of a caller who may see no others.

A view with a condition would not do: DuckDB may look at rows before the condition has taken them
out, and `error(vehicle)`, a failed cast or `stats(vehicle)` would tell of them. So one DuckDB reads
the files and passes on the rows that are allowed, and another one, which can open no file at all,
runs the person's SQL on what it is passed.
"""

from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from carcloud.engines.lake_delta.snapshot import DataFile

_BATCH = 65_536  # rows passed on at once
_MOST_NAMED = 100  # vehicles that the reader is told by name


@dataclass(frozen=True, slots=True)
class Among:
    """The vehicles whose rows may be seen, in order."""

    vehicles: tuple[str, ...]

    @classmethod
    def of(cls, vehicles: Collection[str]) -> "Among":
        """These vehicles."""
        return cls(tuple(sorted(set(vehicles))))

    def may_lie_in(self, file: DataFile) -> bool:
        """False when no row of the file is of one of them."""
        if file.bounds is None:
            return True
        low, high = file.bounds.vehicle
        first = bisect_left(self.vehicles, low)
        return first < len(self.vehicles) and self.vehicles[first] <= high

    def within(self, needs: list[list[Any]]) -> list[str] | None:
        """Those of them that a query names, where it names all that it wants, and few."""
        if any(vehicles is None for _, _, vehicles in needs):
            return None
        named = set().union(*(vehicles for _, _, vehicles in needs))
        mine = sorted(named.intersection(self.vehicles))
        return mine if len(mine) <= _MOST_NAMED else None

    def arrow(self) -> bytes:
        """A table of one column `vehicle`, as an Arrow IPC stream."""
        table = pa.table({"vehicle": pa.array(self.vehicles, pa.string())})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        return bytes(sink.getvalue())


@dataclass(slots=True)
class Passing:
    """The DuckDB that reads the files. It never sees the person's SQL."""

    reader: duckdb.DuckDBPyConnection
    _cursors: list[duckdb.DuckDBPyConnection] = field(default_factory=list)

    def allow(self, vehicles: bytes) -> None:
        """Take in what `Among.arrow` made."""
        given = pa.ipc.open_stream(vehicles).read_all()
        self.reader.register("given", given)
        self.reader.execute("CREATE TABLE allowed AS SELECT vehicle FROM given")
        self.reader.unregister("given")

    def begin(self, select: str) -> pa.RecordBatchReader:
        """The rows of a SELECT, from the start."""
        cursor = self.reader.cursor()
        self._cursors.append(cursor)
        return cursor.execute(select).to_arrow_reader(_BATCH)

    def interrupt(self) -> None:
        """Stop what is being read."""
        for cursor in [*self._cursors]:
            cursor.interrupt()

    def close(self) -> None:
        """Give everything back."""
        for cursor in self._cursors:
            cursor.close()
        self.reader.close()


@dataclass(frozen=True, slots=True)
class Passed:
    """A table of the person's DuckDB; each time that it is scanned it is read anew."""

    by: Passing
    select: str

    def __arrow_c_schema__(self) -> object:
        """Its columns."""
        none = self.by.begin(f"FROM ({self.select}) LIMIT 0")
        return none.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Its rows."""
        return self.by.begin(self.select).__arrow_c_stream__(requested_schema)
