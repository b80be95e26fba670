"""The lake port: open tables of history, one folder per tenant. Calls block; use a thread."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from carcloud.model.ids import Tenant


@dataclass(frozen=True, slots=True)
class TableRef:
    """A table of a tenant."""

    tenant: Tenant
    name: str  # lower-case letters and underscores


@dataclass(frozen=True, slots=True)
class KnownTable:
    """A table that every tenant has, empty before its first row.

    `columns` are there from the start. `later` come with the first row that has them; until then
    they are null for who names them, and shown while the table is empty. `named` are as `later`,
    but too many to be shown; they are asked for when a column is first named that is not there.
    """

    name: str
    columns: pa.Schema  # with vehicle, time and seq
    later: pa.Schema = field(default_factory=lambda: pa.schema([]))
    named: Callable[[], pa.Schema] = field(default=lambda: pa.schema([]))


@dataclass(frozen=True, slots=True)
class Slice:
    """Which rows of a table to read. Times in us since 1970, UTC; `end_us` exclusive."""

    columns: Sequence[str] | None = None  # None = all
    start_us: int | None = None  # on column `time`
    end_us: int | None = None
    vehicles: Sequence[str] | None = None
    after_seq: int | None = None  # rows with seq > after_seq
    until_seq: int | None = None  # rows with seq <= until_seq
    newest_first: bool = False
    by_seq: bool = False  # in rising order of seq; not together with `newest_first`
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class TableInfo:
    """What a table holds now."""

    name: str
    rows: int
    bytes: int
    files: int
    columns: Sequence[tuple[str, str]]  # (name, type)
    min_time_us: int | None = None
    max_time_us: int | None = None
    known: bool = False  # every tenant has it: a `KnownTable`


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """Bounds of one SQL query for a person."""

    rows: int = 10_000
    seconds: float = 30.0
    memory_mb: int = 1024


@dataclass(frozen=True, slots=True)
class TableCopy:
    """A table at one version; `read` gives None for a file that upkeep has removed meanwhile."""

    name: str
    rows: int
    commit: bytes  # the log of a table that begins so
    files: tuple[tuple[str, int], ...]  # path, bytes
    read: Callable[[str], bytes | None]


class Cancel:
    """Ends one query from outside; threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._actions: list[Callable[[], None]] = []
        self._asked = False

    @property
    def asked(self) -> bool:
        """Whether the query is to end."""
        return self._asked

    def ask(self) -> None:
        """End the query now, or as soon as it begins."""
        with self._lock:
            self._asked, actions = True, [*self._actions]
        for action in actions:
            action()

    @contextmanager
    def calls(self, action: Callable[[], None]) -> Iterator[None]:
        """Run `action`, once, when it is asked for within the block, or was before."""
        with self._lock:
            self._actions.append(action)
            late = self._asked
        if late:
            action()
        try:
            yield
        finally:
            with self._lock:
                self._actions.remove(action)


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Rows of a query; `truncated` when there were more than the limit."""

    table: pa.Table
    truncated: bool
    seconds: float
    bytes: int = 0  # of the files that the query opened


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What one round of background care did."""

    files_before: int = 0
    files_after: int = 0
    rows_expired: int = 0
    bytes_freed: int = 0
    notes: Sequence[str] = field(default_factory=tuple)


class Lake(Protocol):
    """Every table has `vehicle`, `time` and `seq` columns and is partitioned by UTC date.

    Methods raise `Unavailable` or `Full`; reading a table that was never written gives no rows.
    The engine is told of the `KnownTable`s when it is made.
    """

    def append(
        self,
        table: TableRef,
        rows: pa.Table,
        *,
        writer: str,
        seq: int,
        after: int | None = None,
        replace: bool = False,
    ) -> bool:
        """Add rows in one atomic commit that also records `(writer, seq)`.

        Columns the table lacks are added to it. Returns False, and writes nothing, when the
        table already has `seq` or a later one of this writer. When this returns True the rows
        are synced to disk. An empty `rows` still records `seq`. With `after`, the commit stands
        only where the writer is at just this position: `Conflict` where another process that
        writes under its name came between. With `replace` the rows and columns stand instead of
        all that were there; who reads sees all of the old or all of the new.
        """

    def rewrite(
        self,
        table: TableRef,
        what: Slice,
        change: Callable[[pa.Table], pa.Table | None],
        *,
        writer: str,
    ) -> bool:
        """Put what `change` makes of the rows of a slice in their place, in one atomic commit.

        The slice names neither columns nor a limit. Nothing is done, and False returned, where
        `change` gives None or nobody ever wrote the table. It may be called several times: anew
        with the rows of then, where another rewrote as the same `writer` meanwhile. Rows that
        are appended meanwhile must be none of the slice: bound it by `until_seq`.
        """

    def check(self, table: TableRef, columns: pa.Schema, *, replace: bool = False) -> None:
        """Raises `ValueError`, naming the column, where such rows cannot be written now."""

    def drop(self, table: TableRef) -> bool:
        """Take a table away; False where there is none.

        It is gone for readers at once; upkeep frees its bytes. The positions of its writers stay.
        Raises `ValueError` for a table that is known.
        """

    def names(self, tenant: Tenant) -> list[str]:
        """The names of all tables that were ever written, those that were dropped too."""

    def position(self, table: TableRef, writer: str) -> int:
        """The last `seq` this writer committed; 0 before the first."""

    def read(self, table: TableRef, what: Slice) -> pa.Table:
        """Rows of a slice, in no particular order unless `newest_first` or `by_seq`."""

    def count(self, table: TableRef, what: Slice) -> int:
        """How many rows a slice has; reads only keys, and those only where it must."""

    def tables(self, tenant: Tenant) -> list[TableInfo]:
        """The tenant's tables, known ones also before their first row."""

    def query(
        self,
        tenant: Tenant,
        sql: str,
        limits: QueryLimits,
        cancel: Cancel | None = None,
        *,
        only: Collection[str] | None = None,
    ) -> QueryResult:
        """One read-only SELECT on the tenant's tables; raises `QueryRefused`, `QueryLimit`.

        With `only`, no SQL gives away anything of the rows of other vehicles; a table that has no
        column `vehicle` is refused.

        Raises `QueryCancelled` at once when `cancel` is asked; nothing works on the query then.
        """

    def upkeep(self, table: TableRef, *, keep_days: int | None) -> Upkeep:
        """Merge small files, sort by vehicle and time, drop what is older than `keep_days`."""

    def close(self) -> None:
        """End the processes and threads that work for it; nothing more is asked of it."""

    def copies(self, tenant: Tenant) -> Iterator[TableCopy]:
        """The tenant's tables that have been written, each as it is when it is asked for."""

    def remove(self, tenant: Tenant) -> int:
        """Away with all tables of a tenant, and with what is remembered of them here; returns the
        number of files."""

    def forget(self, tenant: Tenant) -> None:
        """Keep nothing of a tenant in this process or on this machine but the tables themselves."""
