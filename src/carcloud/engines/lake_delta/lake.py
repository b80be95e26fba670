"""`DeltaLake`: the lake port on Delta tables in a local folder or an S3 bucket."""

import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from carcloud.engines.lake_delta import query, upkeep, write
from carcloud.engines.lake_delta.copies import copy_of, restore
from carcloud.engines.lake_delta.files import Files, LocalPlace, Place
from carcloud.engines.lake_delta.known import Known
from carcloud.engines.lake_delta.log import Log
from carcloud.engines.lake_delta.parquet import Footers
from carcloud.engines.lake_delta.passed import Among
from carcloud.engines.lake_delta.query import Source
from carcloud.engines.lake_delta.read import count, read
from carcloud.engines.lake_delta.rewrite import rewrite
from carcloud.engines.lake_delta.schema import PARTITION
from carcloud.engines.lake_delta.settings import Care
from carcloud.engines.lake_delta.snapshot import Snapshot
from carcloud.engines.lake_delta.tidier import Tidier
from carcloud.model.ids import Tenant, tenant
from carcloud.ports.lake import (
    Cancel,
    KnownTable,
    QueryLimits,
    QueryResult,
    Slice,
    TableCopy,
    TableInfo,
    TableRef,
    Upkeep,
)

_LOOKS = 8  # at tables, at the same time
_TABLE = re.compile(r"[a-z][a-z0-9_]{0,62}")


class DeltaLake:
    """Tables below `<tenant>/lake/<table>` of a folder, or of another `Place`.

    Threads may share one; other processes may read and write the same folder at the same time.
    """

    engine = "lake"

    def __init__(
        self,
        place: Path | Place,
        care: Care | None = None,
        known: Iterable[KnownTable] = (),
        tidies: Callable[[], bool] | None = None,
    ) -> None:
        """`tidies`: small files are merged beside appends while it says so; None = never."""
        self._place: Place = LocalPlace(place) if isinstance(place, Path) else place
        self._care = care or Care()
        self._known = Known(known)
        self._footers = Footers()
        self._desk = query.Desk(self._care.query_workers, self._care.query_threads)
        self._tidier = None if tidies is None else Tidier(tidies)
        self._logs: dict[TableRef, Log] = {}
        self._lock = threading.Lock()

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
        """Add rows in one synced commit with `(writer, seq)`; False when that is there already.

        Raises `ValueError`, naming the column, for rows that the table cannot hold; `Full`;
        `Conflict` where the writer is elsewhere than `after`.
        """
        if seq < 1:
            raise ValueError(f"seq {seq}: a writer's positions start at 1")
        step = write.Step(writer, seq, after)
        first = self._known.first(table.name)
        log = self._log(table)
        added = write.append(log, rows, step, first, replace=replace)
        if added and self._tidier is not None:
            self._tidier.committed(log)
        return added

    def rewrite(
        self,
        table: TableRef,
        what: Slice,
        change: Callable[[pa.Table], pa.Table | None],
        *,
        writer: str,
    ) -> bool:
        """Put what `change` makes of a slice's rows in their place, in one synced commit.

        Files that hold rows of the slice are written anew without them; the tidier merges the new.
        """
        log = self._log(table)
        done = rewrite(log, self._footers, what, change, writer)
        if done and self._tidier is not None:
            self._tidier.committed(log)
        return done

    def check(self, table: TableRef, columns: pa.Schema, *, replace: bool = False) -> None:
        """Raises `ValueError`, naming the column, where such rows cannot be written."""
        seen, first = self._log(table).refresh(), self._known.first(table.name)
        write.schema_with(seen, columns, first, replace=replace)

    def drop(self, table: TableRef) -> bool:
        """Take a table away; False where there is none, `ValueError` for a known one."""
        if table.name in self._known.names:
            raise ValueError(f"every tenant has the table {table.name!r}")
        return write.drop(self._log(table))

    def names(self, tenant: Tenant) -> list[str]:
        """The names of all tables that were ever written, those that were dropped too."""
        return sorted(filter(_TABLE.fullmatch, self._place.at(_folder(tenant)).folders()))

    def position(self, table: TableRef, writer: str) -> int:
        """The last `seq` this writer committed; 0 before the first."""
        return self._log(table).refresh().writers.get(writer, 0)

    def read(self, table: TableRef, what: Slice) -> pa.Table:
        """Rows of a slice; the computed column `date` comes when `what.columns` names it."""
        seen = self._shown(table, what.columns or ())
        return read(seen, self._files(table), self._footers, what)

    def count(self, table: TableRef, what: Slice) -> int:
        """How many rows a slice has; files that lie wholly in it are not opened."""
        return count(self._log(table).refresh(), self._files(table), self._footers, what)

    def tables(self, tenant: Tenant) -> list[TableInfo]:
        """The tenant's tables, by name."""
        found = self._snapshots(tenant)
        known = self._known
        return [_info(name, known.shown(name, seen), known) for name, seen in found.items()]

    def query(
        self,
        tenant: Tenant,
        sql: str,
        limits: QueryLimits,
        cancel: Cancel | None = None,
        *,
        only: Collection[str] | None = None,
    ) -> QueryResult:
        """One read-only SELECT on the tenant's tables.

        Raises `QueryRefused`, `QueryLimit`, `QueryCancelled` (the process it ran in is killed).
        With `only`, rows of other vehicles are read where the SQL does not reach: `passed`.

        Times are TIMESTAMP in SQL, and UTC; in the result they carry the zone again.
        """
        tables = self._sources(tenant, sql.lower())
        chosen = None if only is None else Among.of(only)
        return self._desk.run(tables, self._footers, sql, limits, cancel or Cancel(), chosen)

    def close(self) -> None:
        """End the processes that queries ran in, and the merging of small files."""
        self._desk.close()
        if self._tidier is not None:
            self._tidier.close()

    def upkeep(self, table: TableRef, *, keep_days: int | None) -> Upkeep:
        """Merge small files, drop dates older than `keep_days`, delete what nobody needs."""
        most = None if table.name in self._known.names else self._care.whole_bytes
        return upkeep.run(self._log(table), keep_days, most)

    def copies(self, tenant: Tenant) -> Iterator[TableCopy]:
        """The tenant's tables that have been written, each as it is when it is asked for."""
        for name in self.names(tenant):
            if copy := copy_of(name, self._log(TableRef(tenant, name))):
                yield copy

    def is_empty(self) -> bool:
        """Whether there is nothing in the place of any table."""
        tenants = self._place.at("").folders()
        return not any(self._place.at(f"{name}/lake").folders() for name in tenants)

    def remove(self, tenant: Tenant) -> int:
        """Away with all tables of a tenant; returns the number of files."""
        files = self._place.remove(_folder(tenant))
        self.forget(tenant)
        return files

    def forget(self, tenant: Tenant) -> None:
        """Keep nothing of a tenant in memory, nor copies of its files on this machine."""
        with self._lock:
            gone = [self._logs.pop(one) for one in list(self._logs) if one.tenant == tenant]
        if self._tidier is not None:
            for log in gone:
                self._tidier.finish(log)
        self._place.forget(_folder(tenant))

    def restore(self, table: TableRef, commit: bytes, files: Iterable[tuple[str, bytes]]) -> None:
        """Make a table of a copy; raises `Conflict` where there is one already."""
        restore(self._log(table), commit, files)

    def _shown(self, table: TableRef, columns: Sequence[str]) -> Snapshot:
        """The newest snapshot, with known columns that a reader names."""
        named = frozenset(column.lower() for column in columns)
        return self._known.shown(table.name, self._log(table).refresh(), named)

    def _snapshots(self, tenant: Tenant) -> dict[str, Snapshot]:
        """The newest snapshot of every table that exists or is known."""
        logs = {
            name: self._log(TableRef(tenant, name))
            for name in sorted(self._known.names.union(self.names(tenant)))
        }
        if len(logs) > _LOOKS:  # each look at a table in a bucket is a request
            with ThreadPoolExecutor(_LOOKS) as pool:
                seen = list(pool.map(Log.refresh, logs.values()))
        else:
            seen = [log.refresh() for log in logs.values()]
        found = zip(logs, seen, strict=True)
        return {name: one for name, one in found if self._is_there(name, one)}

    def _sources(self, tenant: Tenant, text: str) -> dict[str, Source]:
        """Tables for SQL; only those whose names stand in the text are looked at anew."""
        found: dict[str, Source] = {}
        for name in sorted(self._known.names.union(self.names(tenant))):
            log = self._log(TableRef(tenant, name))
            seen = log.refresh() if name in text else log.last_seen
            if self._is_there(name, seen) or (name not in text and seen.version < 0):
                found[name] = Source(name, seen, log.files, self._known)
        return found

    def _is_there(self, name: str, seen: Snapshot) -> bool:
        return name in self._known.names or (seen.version >= 0 and not seen.dropped)

    def _files(self, table: TableRef) -> Files:
        if not _TABLE.fullmatch(table.name):
            raise ValueError(f"table {table.name!r}: lower-case letters, digits and underscores")
        return self._place.at(f"{_folder(table.tenant)}/{table.name}")

    def _log(self, table: TableRef) -> Log:
        with self._lock:
            if table not in self._logs:
                self._logs[table] = Log(self._files(table), self._care)
            return self._logs[table]


def _folder(name: Tenant) -> str:
    return f"{tenant(name)}/lake"


def _info(name: str, seen: Snapshot, known: Known) -> TableInfo:
    files = list(seen.files.values())
    spans = [file.bounds.time for file in files if file.bounds]
    columns = [(field.name, str(field.type)) for field in seen.schema]
    return TableInfo(
        name=name,
        rows=sum(file.rows for file in files),
        bytes=sum(file.size for file in files),
        files=len(files),
        columns=[*columns, (PARTITION, "date32[day]")],
        min_time_us=min((first for first, _ in spans), default=None),
        max_time_us=max((last for _, last in spans), default=None),
        known=name in known.names,
    )
