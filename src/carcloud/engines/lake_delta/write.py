"""Appending: Parquet first, then one commit that names the files and the writer's position."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from carcloud.engines.lake_delta.files import Unsure
from carcloud.engines.lake_delta.log import Log, commit_info, create_actions, evolve_action, now_ms
from carcloud.engines.lake_delta.parquet import Encoding, bounds_of, encode, usual_encoding
from carcloud.engines.lake_delta.schema import KEYS, conform, evolve
from carcloud.engines.lake_delta.settings import Care
from carcloud.engines.lake_delta.snapshot import (
    Action,
    DataFile,
    Snapshot,
    add_action,
    remove_action,
)
from carcloud.model.time import DAY
from carcloud.ports.errors import Conflict, EngineError

_ORDER: list[tuple[str, Literal["ascending", "descending"]]] = [
    ("vehicle", "ascending"),
    ("time", "ascending"),
]


@dataclass(frozen=True, slots=True)
class _Draft:
    """Files that wait for the commit that names them."""

    base: Snapshot  # what they were written for
    schema: pa.Schema
    files: Sequence[DataFile]
    replace: bool  # instead of all that is there


@dataclass(frozen=True, slots=True)
class Step:
    """Where a writer goes, and from where it must come (None: from anywhere)."""

    writer: str
    seq: int
    after: int | None = None

    def done(self, seen: Snapshot) -> bool:
        """Whether the writer is there already; raises `Conflict` where it is not at `after`."""
        at = seen.writers.get(self.writer, 0)
        if at >= self.seq:
            return True
        if self.after is not None and at != self.after:
            raise Conflict(f"lake: {self.writer} is at {at} and not at {self.after}")
        return False


def append(
    log: Log, rows: pa.Table, step: Step, first: pa.Schema, *, replace: bool = False
) -> bool:
    """Add rows and the writer's step in one commit; False when the writer is there already.

    `first`: the columns that a new table begins with, besides those of the rows. With `replace`
    the commit also takes away what was there, and the table begins anew.
    """
    while True:
        seen = log.refresh()
        if step.done(seen):
            return False
        schema = schema_with(seen, rows.schema, first, replace=replace)
        draft = _Draft(seen, schema, write_by_date(log, conform(rows, schema)), replace)
        try:
            version = log.commit(lambda now, d=draft: _actions(now, d, step, log.care))  # type: ignore[misc]
        except Unsure:  # the commit names the files: they must stay
            raise
        except EngineError:
            discard(log, draft.files)
            raise
        if version is not None:
            log.tend(version)
            return True
        discard(log, draft.files)  # the writer was overtaken by itself, or the columns changed


def schema_with(
    seen: Snapshot, columns: pa.Schema, first: pa.Schema, *, replace: bool
) -> pa.Schema:
    """The table's columns once rows with `columns` are in it; raises `ValueError`."""
    anew = replace or seen.dropped or not len(seen.schema)
    return evolve(first if anew else seen.schema, columns)


def drop(log: Log) -> bool:
    """Take a table away; False where there is none.

    Its log stays: other processes see there that it went, and a writer whose rows went with it
    does not write them again.
    """

    def build(now: Snapshot) -> list[Action] | None:
        if now.version < 0 or now.dropped:
            return None
        bare = evolve_action(now, pa.schema(list(KEYS.items())), dropped=True)
        return [commit_info("DROP"), bare, *_removes(now)]

    version = log.commit(build)
    if version is not None:
        log.tend(version)
    return version is not None


def _removes(now: Snapshot) -> list[Action]:
    return [{"remove": remove_action(file, now_ms())} for file in now.files.values()]


def _actions(now: Snapshot, draft: _Draft, step: Step, care: Care) -> list[Action] | None:
    """What to commit; None where the writer is there already or the files lack new columns."""
    base = draft.base
    if step.done(now) or now.schema != base.schema or now.dropped != base.dropped:
        return None
    txn = {"txn": {"appId": step.writer, "version": step.seq, "lastUpdated": now_ms()}}
    adds = [{"add": add_action(file)} for file in draft.files]
    gone = _removes(now) if draft.replace else []
    return [commit_info("WRITE"), txn, *_table_actions(now, draft.schema, care), *gone, *adds]


def _table_actions(seen: Snapshot, schema: pa.Schema, care: Care) -> list[Action]:
    if seen.version < 0:
        return create_actions(schema, care)
    same = schema == seen.schema and not seen.dropped
    return [] if same else [evolve_action(seen, schema)]


def write_by_date(log: Log, rows: pa.Table) -> list[DataFile]:
    """Write one synced file for each UTC date among the rows' times.

    Few rows stay in the order they came in: their file is merged soon, and sorting all columns
    costs a third of what writing them does.
    """
    if not rows.num_rows:
        return []
    for name in KEYS:
        if rows[name].null_count:
            raise ValueError(f"column {name!r} has a null: every row needs vehicle, time and seq")
    encoding = usual_encoding(rows.schema)
    written: list[DataFile] = []
    try:
        for date, part in _by_date(rows):
            few = part.num_rows <= log.care.row_group_rows
            written.append(write_file(log, Placed(date), part if few else in_order(part), encoding))
    except EngineError:
        discard(log, written)
        raise
    return written


def _by_date(rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    days = np.floor_divide(rows["time"].cast(pa.int64()).to_numpy(), DAY)
    found = np.unique(days)
    for day in found:
        part = rows if len(found) == 1 else rows.filter(pa.array(days == day))
        yield str(np.datetime64(int(day), "D")), part


def in_order(rows: pa.Table) -> pa.Table:
    """Rows by vehicle and time."""
    return in_order_of([rows])


def in_order_of(parts: list[pa.Table]) -> pa.Table:
    """The rows of all parts by vehicle and time.

    The list is emptied: each column of parts that nobody else holds goes as soon as it is sorted,
    so that not all rows are in memory twice.
    """
    rows = pa.concat_tables(parts)
    parts.clear()
    order = pc.sort_indices(rows.select(["vehicle", "time"]), sort_keys=_ORDER)
    names, sorted_columns = rows.column_names, []
    while rows.num_columns:
        column = rows.column(0)
        rows = rows.remove_column(0)
        sorted_columns.append(column.take(order))
    return pa.table(sorted_columns, names)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a file belongs: its UTC date, and its run when it was merged."""

    date: str
    level: int = 0
    run: str = ""


def write_file(log: Log, place: Placed, rows: pa.Table, encoding: Encoding) -> DataFile:
    """Write rows of one date as one synced file that no commit names yet."""
    fitting = log.care.row_group_bytes * rows.num_rows // max(1, rows.nbytes)
    data = encode(rows, encoding, max(1024, min(fitting, log.care.row_group_rows)))
    path = f"date={place.date}/{uuid.uuid4().hex}.parquet"
    log.files.put(path, data)
    return DataFile(
        path=path,
        date=place.date,
        size=data.size,
        rows=rows.num_rows,
        modified_ms=now_ms(),
        bounds=bounds_of(rows),
        columns=rows.num_columns,
        level=place.level,
        run=place.run,
        nbytes=rows.nbytes,
    )


def discard(log: Log, written: Sequence[DataFile]) -> None:
    """Remove files that no commit will name."""
    for file in written:
        log.files.delete(file.path)
