"""Tables that exist before their first row, and columns that do before their first value."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any

import pyarrow as pa

from carcloud.engines.lake_delta.schema import evolve
from carcloud.engines.lake_delta.snapshot import Snapshot
from carcloud.ports.lake import KnownTable

Column = Any  # a pyarrow.Field, of whatever type


class Known:
    """The tables that every tenant has. Raises `ValueError` for one that no lake can hold."""

    def __init__(self, tables: Iterable[KnownTable]) -> None:
        self._first: dict[str, pa.Schema] = {}
        self._later: dict[str, list[Column]] = {}
        self._ask: dict[str, Callable[[], pa.Schema]] = {}
        self._named: dict[str, dict[str, Column]] = {}  # by name in lower case
        for table in tables:
            self._first[table.name] = evolve(pa.schema([]), table.columns)
            self._later[table.name] = self._beyond(table.name, table.later)
            self._ask[table.name] = table.named

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
        more = [field for field in self.first(name) if field.name.lower() not in have]
        if seen.version < 0:
            more += [field for field in self._later.get(name, ()) if field.name.lower() not in have]
        have.update(field.name.lower() for field in more)
        if wanted := [column for column in named if column not in have]:
            known = self._by_name(name)
            more += [known[column] for column in sorted(wanted) if column in known]
        return replace(seen, schema=pa.schema([*seen.schema, *more])) if more else seen

    def _by_name(self, name: str) -> dict[str, Column]:
        """The columns that come later, by name in lower case."""
        if name not in self._named:
            named = self._beyond(name, self._ask[name]()) if name in self._ask else []
            every = [*self._later.get(name, ()), *named]
            self._named[name] = {field.name.lower(): field for field in every}
        return self._named[name]

    def _beyond(self, name: str, more: pa.Schema) -> list[Column]:
        first = self._first[name]
        return list(evolve(first, pa.schema([*first, *more])))[len(first) :]
