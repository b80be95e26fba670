"""Tables that exist before their first row, and columns that do before their first value."""

from collections.abc import Collection, Iterable
from dataclasses import replace

import pyarrow as pa

from carcloud.engines.lake_delta.schema import evolve
from carcloud.engines.lake_delta.snapshot import Snapshot
from carcloud.ports.lake import KnownTable


class Known:
    """The tables that every tenant has. Raises `ValueError` for one that no lake can hold."""

    def __init__(self, tables: Iterable[KnownTable]) -> None:
        self._first: dict[str, pa.Schema] = {}
        self._later: dict[str, list[pa.Field[pa.DataType]]] = {}
        for table in tables:
            first = self._first[table.name] = evolve(pa.schema([]), table.columns)
            everything = evolve(first, pa.schema([*table.columns, *table.later]))
            self._later[table.name] = list(everything)[len(first) :]

    @property
    def names(self) -> frozenset[str]:
        """The tables' names."""
        return frozenset(self._first)

    def first(self, name: str) -> pa.Schema:
        """The columns a table begins with; none for a table that is not known."""
        return self._first.get(name, pa.schema([]))

    def shown(self, name: str, seen: Snapshot, named: Collection[str] = ()) -> Snapshot:
        """The table with the columns that it is known by and that no file has yet.

        Later columns are among them while the table is empty, or where `named` (lower case) has
        them: `SELECT *` of a table with rows is not filled up with nulls.
        """
        have = {column.lower() for column in seen.schema.names}
        empty = seen.version < 0
        more = [field for field in self.first(name) if field.name.lower() not in have]
        more += [
            field
            for field in self._later.get(name, ())
            if (empty or field.name.lower() in named) and field.name.lower() not in have
        ]
        return replace(seen, schema=pa.schema([*seen.schema, *more])) if more else seen
