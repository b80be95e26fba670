"""Tables of the tenant's lake as outputs of jobs: each written once, whatever is killed.

A writer of the lake is named after the job, and its position is the part that it has written. So
an attempt that is made again finds what the one before it has committed, and leaves it as it is.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

import msgspec
import pyarrow as pa

from carcloud.model.ids import Tenant
from carcloud.model.limits import OverLimit
from carcloud.model.limits import check as check_limit
from carcloud.ports.lake import Lake, TableInfo, TableRef
from carcloud.services.compute.errors import JobFailed
from carcloud.services.compute.table_rows import as_rows, days

WRITE = "tables:write"
MOST_TABLES = 20  # of one job
MOST_FILES = 12_000  # of a table; upkeep looks at each, and makes few of those of a day
MOST_BYTES = 256_000_000  # of Arrow data, of all tables of one write
_NAMES_OF_EACH = 10  # names that may have been used and dropped, for each table allowed
# of services to come, whose tables every tenant will have
RESERVED = frozenset({"alarms", "bookings", "drives", "events", "impressions", "parts", "rollouts",
                      "sessions", "tags", "tracks", "trips", "vehicles"})  # fmt: skip

Mode = Literal["append", "replace"]
_SQL = r"(?!(?:duckdb|sqlite|pg|pragma|information)_)"  # what SQL takes for its own
TableName = Annotated[str, msgspec.Meta(pattern=rf"^{_SQL}[a-z][a-z0-9_]{{0,39}}$")]


class TableFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Parquet or Arrow file that becomes rows of a table, added or instead of all others."""

    file: Annotated[str, msgspec.Meta(min_length=1, max_length=210)]
    mode: Mode = "append"


class IntoTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table that gets the rows, besides or instead of those that it has."""

    name: TableName
    mode: Mode = "append"


@dataclass(frozen=True, slots=True)
class NewRows:
    """What a job has for a table."""

    name: str
    rows: pa.Table
    mode: Mode = "append"


class Written(msgspec.Struct, frozen=True):
    """A table that a job has written; `rows` None = an attempt before this one did."""

    name: str
    mode: str
    rows: int | None


class Tables(Protocol):
    """The tables that a job may have in its hand."""

    def write(self, batch: Sequence[NewRows], part: int = 1) -> list[Written]:
        """Commit rows, or leave them where this part of the job has been committed before.

        Raises `JobFailed`, naming the table and the column, before anything is written where that
        can be known then. `part` counts from 1; those after the first are always added.
        """


def named(params: Mapping[str, Any]) -> list[str]:
    """The tables that parameters of a job name: as `tables`, by name, and as `table`."""
    tables, table = params.get("tables"), params.get("table")
    found = [str(name) for name in tables] if isinstance(tables, dict) else []
    return found + ([str(table["name"])] if isinstance(table, dict) and "name" in table else [])


def own_name(name: str, built_in: Collection[str]) -> str | None:
    """Why a job cannot write a table of this name, None where it can."""
    if not name.isascii() or not name.replace("_", "").isalnum():  # `$` admits a last line end
        return "a name has lower-case letters, digits and underscores"
    if name in built_in or name in RESERVED:
        return f"{name} is a name that carcloud keeps for its own tables: choose another"
    return None


class TenantTables:
    """Tables of one tenant, written by one job.

    `room(bytes)` raises `OverLimit`; `most` says how many tables the tenant may have.
    """

    def __init__(
        self,
        lake: Lake,
        tenant: Tenant,
        job: str,
        *,
        room: Callable[[int], None],
        most: Callable[[], int],
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._lake = lake
        self._tenant = tenant
        self._writer = f"job-{job}"
        self._room = room
        self._most = most
        self._most_bytes = most_bytes

    def write(self, batch: Sequence[NewRows], part: int = 1) -> list[Written]:
        """See `Tables.write`."""
        due = {new.name: _stored(new) for new in batch if not self._done(new.name, part)}
        self._check_size(sum(rows.nbytes for rows in due.values()))
        found = {one.name: one for one in self._lake.tables(self._tenant) if not one.known}
        self._check_count(due, found)
        for new in batch:
            if new.name in due:
                self._fits(new, due[new.name], part, found.get(new.name))
        return [self._write(new, due.get(new.name), part) for new in batch]

    def _done(self, name: str, part: int) -> bool:
        return self._lake.position(self._table(name), self._writer) >= part

    def _write(self, new: NewRows, rows: pa.Table | None, part: int) -> Written:
        if rows is None:
            return Written(new.name, new.mode, None)
        table, replace = self._table(new.name), new.mode == "replace" and part == 1
        try:
            fresh = self._lake.append(table, rows, writer=self._writer, seq=part, replace=replace)
        except ValueError as error:
            raise _refused(new.name, error) from error
        return Written(new.name, new.mode, rows.num_rows if fresh else None)

    def _fits(self, new: NewRows, rows: pa.Table, part: int, there: TableInfo | None) -> None:
        replace = new.mode == "replace" and part == 1
        files = 0 if replace or there is None else there.files
        if files + days(rows) > MOST_FILES:
            detail = f"table {new.name}: it would have more than {MOST_FILES} files: fewer days"
            raise JobFailed(detail, again=False)
        try:
            self._lake.check(self._table(new.name), rows.schema, replace=replace)
        except ValueError as error:
            raise _refused(new.name, error) from error

    def _check_size(self, size: int) -> None:
        if size > self._most_bytes:
            most = self._most_bytes // 1_000_000
            detail = f"the tables have {size} bytes as Arrow data, {most} MB are allowed"
            raise JobFailed(detail, limit="compute.table_mb", again=False)
        try:
            self._room(size)
        except OverLimit as error:
            raise JobFailed(str(error), limit=error.limit, again=False) from error

    def _check_count(self, due: Collection[str], found: Collection[str]) -> None:
        more, most = len(set(due).difference(found)), self._most()
        if not more:
            return
        try:
            check_limit("tables", most, len(found), more)
        except OverLimit as error:
            raise JobFailed(str(error), limit=error.limit, again=False) from error
        used = set(self._lake.names(self._tenant)).union(due)
        if len(used) > most * _NAMES_OF_EACH:
            detail = "too many names of tables were used and dropped: use one of them again"
            raise JobFailed(detail, limit="tables", again=False)

    def _table(self, name: str) -> TableRef:
        return TableRef(self._tenant, name)


def _stored(new: NewRows) -> pa.Table:
    try:
        return as_rows(new.rows)
    except ValueError as error:
        raise _refused(new.name, error) from error


def _refused(name: str, error: ValueError) -> JobFailed:
    return JobFailed(f"table {name}: {error}", again=False)
