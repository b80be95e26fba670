"""Replacing the rows of a slice: files that hold such rows are written anew, in one commit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from carcloud.engines.lake_delta.files import Unsure, engine_errors
from carcloud.engines.lake_delta.log import Log, commit_info, evolve_action, now_ms
from carcloud.engines.lake_delta.parquet import Footers, usual_encoding
from carcloud.engines.lake_delta.read import Filter, read, slice_filter
from carcloud.engines.lake_delta.schema import conform, evolve
from carcloud.engines.lake_delta.snapshot import (
    Action,
    DataFile,
    Snapshot,
    add_action,
    remove_action,
)
from carcloud.engines.lake_delta.write import Placed, discard, write_by_date, write_file
from carcloud.ports.errors import EngineError
from carcloud.ports.lake import Slice

Change = Callable[[pa.Table], pa.Table | None]


@dataclass(frozen=True, slots=True)
class _Draft:
    """Files that wait for the commit that puts them in place of others."""

    base: Snapshot
    schema: pa.Schema
    gone: Sequence[DataFile]
    files: Sequence[DataFile]
    writer: str


def rewrite(log: Log, footers: Footers, what: Slice, change: Change, writer: str) -> bool:
    """Put what `change` makes of a slice's rows in their place; False where it gives None.

    It is asked again where somebody merged the files meanwhile, or rewrote as the same writer.
    """
    if what.limit is not None or what.columns is not None:
        raise ValueError("whole rows are replaced, and all of a slice")
    while True:
        seen = log.refresh()
        if seen.version < 0 or seen.dropped:
            return False
        rows = change(read(seen, log.files, footers, what))
        if rows is None:
            return False
        draft = _draft(log, seen, slice_filter(what), rows, writer)
        try:
            version = log.commit(lambda now, d=draft: _actions(now, d))  # type: ignore[misc]
        except Unsure:  # the commit names the files: they must stay
            raise
        except EngineError:
            discard(log, draft.files)
            raise
        if version is not None:
            log.tend(version)
            return True
        discard(log, draft.files)


def _draft(log: Log, seen: Snapshot, wanted: Filter, rows: pa.Table, writer: str) -> _Draft:
    schema = evolve(seen.schema, rows.schema)
    touched: list[DataFile] = []
    written: list[DataFile] = []
    try:
        for file in seen.files.values():
            if not wanted.may_hold(file):
                continue
            rest, hit = _without(log, file, schema, wanted)
            if not hit:
                continue
            touched.append(file)
            # A file keeps its place among those that were merged: its rows are as they were.
            place = Placed(file.date, file.level, file.run)
            written += [write_file(log, place, part, usual_encoding(schema)) for part in rest]
        written += write_by_date(log, conform(rows, schema))
    except EngineError:
        discard(log, written)
        raise
    return _Draft(seen, schema, touched, written, writer)


def _without(
    log: Log, file: DataFile, schema: pa.Schema, wanted: Filter
) -> tuple[list[pa.Table], bool]:
    """The rows of a file that are not wanted, none or one table; and whether any was wanted."""
    with engine_errors(f"reading {file.path}"):
        path = log.files.local(file.path)
        with pq.ParquetFile(path) as source:
            keys = source.read(columns=["vehicle", "time", "seq"])
            mask = wanted.mask(keys)
            if not mask.any():
                return [], False
            if mask.all():
                return [], True
            kept = source.read().filter(pa.array(np.logical_not(mask)))
    return [conform(kept, schema)], True


def _actions(now: Snapshot, draft: _Draft) -> list[Action] | None:
    """What to commit; None where the table is not as it was when the files were written.

    Rows that others append meanwhile are none of the slice: who rewrites sees to that.
    """
    base, writer = draft.base, draft.writer
    at = base.writers.get(writer, 0)
    same = now.schema == base.schema and now.dropped == base.dropped
    if not same or now.writers.get(writer, 0) != at:
        return None
    if any(file.path not in now.files for file in draft.gone):
        return None
    txn = {"txn": {"appId": writer, "version": at + 1, "lastUpdated": now_ms()}}
    gone = [{"remove": remove_action(file, now_ms())} for file in draft.gone]
    adds = [{"add": add_action(file)} for file in draft.files]
    evolved = [] if draft.schema == now.schema else [evolve_action(now, draft.schema)]
    return [commit_info("UPDATE"), txn, *evolved, *gone, *adds]
