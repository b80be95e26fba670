"""Background care: merge runs of files, drop old dates, delete what no reader can need.

Levels: an appended file is a run of level 0. `fan_in` runs of one level of a date are merged into
one run of the next. When a past date has gone quiet, all of it becomes one run of level `WHOLE`,
sorted by vehicle and time over all its files, so that a vehicle's day is in one or two row groups.
"""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from carcloud.engines.lake_delta.files import Files, Unsure, engine_errors
from carcloud.engines.lake_delta.log import Log, commit_info, now_ms
from carcloud.engines.lake_delta.parquet import (
    Footers,
    row_groups,
    tried_encoding,
    usual_encoding,
)
from carcloud.engines.lake_delta.read import Filter
from carcloud.engines.lake_delta.schema import conform
from carcloud.engines.lake_delta.settings import Care
from carcloud.engines.lake_delta.snapshot import (
    Action,
    DataFile,
    Snapshot,
    add_action,
    remove_action,
)
from carcloud.engines.lake_delta.write import Placed, discard, in_order_of, write_file
from carcloud.ports.errors import EngineError
from carcloud.ports.lake import Upkeep

WHOLE = 100
_FEW = 16_384  # rows for which it does not pay to try encodings
Due = Callable[[Sequence[DataFile]], tuple[list[DataFile], int] | None]
"""Of the files of a date, those to be merged next, and the level that makes."""
_ALWAYS = Filter().span


def run(log: Log, keep_days: int | None, most: int | None = None) -> Upkeep:
    """One round on one table.

    `most`: Arrow bytes of files that may be merged together, for tables whose rows may all be of
    one vehicle: such a merge is one piece.
    """
    before = log.refresh()
    if before.version < 0:
        return Upkeep()
    if before.dropped:
        log.forget_past()
    expired = _expire(log, keep_days) if keep_days is not None else 0
    notes = _merge_all(log, most)
    after = log.refresh()
    freed = _vacuum(after, log.files, log.care)
    return Upkeep(len(before.files), len(after.files), expired, freed, notes)


def tidy(log: Log) -> list[str]:
    """Merge what is small of the dates that are being written, so that a query opens few files.

    What is merged together has at most `Care.tidy_bytes`: it takes a fraction of a second.
    """
    care, notes = log.care, list[str]()

    def due(of_date: Sequence[DataFile]) -> tuple[list[DataFile], int] | None:
        return _level_due(_small(of_date, care.tidy_bytes), care)

    for date, files in sorted(_by_date(log.refresh()).items()):
        written = max(file.modified_ms for file in files) / 1000
        if written > time.time() - care.settle and due(files) is not None:
            notes += _merge_date(log, date, due)
    return notes


def _by_date(seen: Snapshot) -> dict[str, list[DataFile]]:
    dates: dict[str, list[DataFile]] = {}
    for file in seen.files.values():
        dates.setdefault(file.date, []).append(file)
    return dates


def _expire(log: Log, keep_days: int) -> int:
    """Remove the dates older than `keep_days` full days; returns the rows that went."""
    oldest = (datetime.now(UTC) - timedelta(days=keep_days)).date().isoformat()
    rows = 0

    def build(seen: Snapshot) -> list[Action] | None:
        nonlocal rows
        old = [file for file in seen.files.values() if file.date < oldest]
        rows = sum(file.rows for file in old)
        removes = [{"remove": remove_action(file, now_ms())} for file in old]
        return [commit_info("DELETE"), *removes] if old else None

    version = log.commit(build)
    if version is not None:
        log.tend(version)
    return rows


def _merge_all(log: Log, most: int | None) -> list[str]:
    """Merge until nothing is due; a merge that somebody else overtook waits for the next round."""
    notes: list[str] = []

    def due(of_date: Sequence[DataFile]) -> tuple[list[DataFile], int] | None:
        return _due(of_date if most is None else _small(of_date, most), log.care)

    for date, files in sorted(_by_date(log.refresh()).items()):
        if due(files) is not None:  # for the others the log is not asked again
            notes += _merge_date(log, date, due)
    return notes


def _merge_date(log: Log, date: str, due: Due) -> list[str]:
    notes: list[str] = []
    while True:
        seen = log.refresh()
        found = due([file for file in seen.files.values() if file.date == date])
        if found is None:
            return notes
        chosen, level = found
        merged = _merge(log, seen, chosen, level)
        if not merged:
            return [*notes, f"{date}: overtaken, left for the next round"]
        name = "whole" if level == WHOLE else f"level {level}"
        notes.append(f"{date}: {merged} files into {name}")


def _small(of_date: Sequence[DataFile], most: int) -> list[DataFile]:
    """The smallest files, as many as are `most` bytes together.

    None that was sorted as a whole: that one stays, else the same would be merged without end.
    """
    taken: list[DataFile] = []
    loose = (file for file in of_date if file.level < WHOLE)
    for file in sorted(loose, key=lambda file: file.nbytes or most):
        most -= file.nbytes or most
        if most < 0:
            break
        taken.append(file)
    return taken


def _due(of_date: Sequence[DataFile], care: Care) -> tuple[list[DataFile], int] | None:
    """The files of one date to be merged next, and the level that makes."""
    if not of_date:
        return None
    if whole := _whole_due(of_date, care):
        return whole, WHOLE
    return _level_due(of_date, care)


def _level_due(of_date: Sequence[DataFile], care: Care) -> tuple[list[DataFile], int] | None:
    runs: dict[int, set[str]] = {}
    for file in of_date:
        runs.setdefault(file.level, set()).add(file.run or file.path)
    for level, found in sorted(runs.items()):
        if level < WHOLE and len(found) >= care.fan_in:
            return [file for file in of_date if file.level == level], level + 1
    return None


def _whole_due(of_date: Sequence[DataFile], care: Care) -> list[DataFile]:
    """All files of a date, when it is past, quiet, and not sorted as a whole yet."""
    today = datetime.now(UTC).date().isoformat()
    quiet = max(file.modified_ms for file in of_date) / 1000 < time.time() - care.settle
    if of_date[0].date >= today or not quiet:
        return []
    rows: Counter[str] = Counter()
    for file in of_date:
        rows[file.run if file.level == WHOLE else ""] += file.rows
    sorted_rows = max((count for run, count in rows.items() if run), default=0)
    if rows.total() - sorted_rows <= care.late_share * rows.total():
        return []
    return list(of_date) if len(of_date) > 1 or not sorted_rows else []


def _merge(log: Log, seen: Snapshot, chosen: list[DataFile], level: int) -> int:
    """Replace files by one sorted run of the same rows.

    Returns how many; 0 when one of them went meanwhile.
    """
    log.files.fetch(file.path for file in chosen)
    merge = _Merge.of(log, seen, chosen)
    chosen = merge.chosen
    written: list[DataFile] = []
    place = Placed(chosen[0].date, level, uuid.uuid4().hex)
    try:
        for rows in merge.pieces():
            few = rows.num_rows <= _FEW  # merged again soon
            encoding = usual_encoding(rows.schema) if few else tried_encoding(rows)
            written.append(write_file(log, place, rows, encoding))
            del rows  # before the next piece is read
            pa.default_memory_pool().release_unused()  # a round has much, between rounds is none
        version = log.commit(lambda now: _replacement(now, chosen, written))
    except Unsure:  # the commit names the files: they must stay
        raise
    except EngineError:
        discard(log, written)
        raise
    if version is None:
        discard(log, written)
        return 0
    log.tend(version)
    return len(chosen)


def _replacement(
    now: Snapshot, chosen: Sequence[DataFile], written: Sequence[DataFile]
) -> list[Action] | None:
    if any(file.path not in now.files for file in chosen):
        return None
    adds = [{"add": {**add_action(file), "dataChange": False}} for file in written]
    gone = [{"remove": {**remove_action(f, now_ms()), "dataChange": False}} for f in chosen]
    return [commit_info("OPTIMIZE"), *gone, *adds]


@dataclass(frozen=True, slots=True)
class _Merge:
    """Sorts files of one date in pieces of whole vehicles, each small enough for memory."""

    files: Files
    schema: pa.Schema
    chosen: list[DataFile]
    footers: Footers
    most: int  # rows of a piece

    @classmethod
    def of(cls, log: Log, seen: Snapshot, due: list[DataFile]) -> "_Merge":
        """A merge of the files that are due, or of as many of them as are two pieces.

        Appended files hold all vehicles, so that each further piece would read them all again.
        """
        footers, care = Footers(), log.care
        largest = max(due, key=lambda file: file.rows)
        sample = _read(log.files, seen.schema, footers, largest, [0])
        row_bytes = max(1, sample.nbytes // max(1, sample.num_rows))
        most = max(1, min(care.piece_rows, care.piece_bytes // row_bytes))
        chosen = _first(due, 2 * most, care.fan_in) if not any(f.level for f in due) else due
        return cls(log.files, seen.schema, chosen, footers, most)

    def pieces(self) -> Iterator[pa.Table]:
        """The rows by vehicle and time, in tables of bounded size."""
        if sum(file.rows for file in self.chosen) <= self.most:
            yield in_order_of([self._whole(file) for file in self.chosen])
            return
        for low, high in self._ranges():
            yield in_order_of([self._part(file, low, high) for file in self.chosen])

    def _ranges(self) -> Iterator[tuple[str, str]]:
        """First and last vehicle of each piece."""
        most, counts = self.most, self._vehicles()
        low, taken, last = "", 0, ""
        for vehicle in sorted(counts):
            if taken and taken + counts[vehicle] > most:
                yield low, last
                taken = 0
            low = low if taken else vehicle
            taken += counts[vehicle]
            last = vehicle
        if taken:
            yield low, last

    def _vehicles(self) -> Counter[str]:
        """How many rows each vehicle has."""
        counts: Counter[str] = Counter()
        for file in self.chosen:
            with engine_errors(f"reading {file.path}"):
                path = self.files.local(file.path)
                rows = pq.ParquetFile(path, read_dictionary=["vehicle"]).read(columns=["vehicle"])
            found: Any = pc.value_counts(rows.unify_dictionaries()["vehicle"])
            counts.update({entry["values"]: entry["counts"] for entry in found.to_pylist()})
        return counts

    def _whole(self, file: DataFile) -> pa.Table:
        with engine_errors(f"reading {file.path}"):
            path = self.files.local(file.path)
            with pq.ParquetFile(path) as source:
                return conform(source.read(), self.schema)

    def _part(self, file: DataFile, low: str, high: str) -> pa.Table:
        """One file's rows of the vehicles from `low` to `high`."""
        if file.bounds and (file.bounds.vehicle[1] < low or file.bounds.vehicle[0] > high):
            return self.schema.empty_table()
        with engine_errors(f"reading {file.path}"):
            footer = self.footers.get(self.files.local(file.path))
        groups = [
            group
            for group in row_groups(footer, None, _ALWAYS)
            if footer.vehicle_max[group] >= low and footer.vehicle_min[group] <= high
        ]
        rows = _read(self.files, self.schema, self.footers, file, groups)
        return rows.filter((pc.field("vehicle") >= low) & (pc.field("vehicle") <= high))


def _first(due: list[DataFile], rows: int, least: int) -> list[DataFile]:
    """The oldest files, until they have so many rows."""
    taken: list[DataFile] = []
    total = 0
    for file in sorted(due, key=lambda file: file.modified_ms):
        if total >= rows and len(taken) >= least:
            break
        taken.append(file)
        total += file.rows
    return taken


def _read(
    files: Files, schema: pa.Schema, footers: Footers, file: DataFile, groups: list[int]
) -> pa.Table:
    with engine_errors(f"reading {file.path}"):
        path = files.local(file.path)
        with pq.ParquetFile(path, metadata=footers.get(path).metadata) as source:
            return conform(source.read_row_groups(groups), schema)


def _vacuum(seen: Snapshot, files: Files, care: Care) -> int:
    """Delete files that no reader can need any more; returns their bytes."""
    now, freed = time.time(), 0
    dates = {file.date for file in seen.files.values()}
    for folder in files.folders():
        if not folder.startswith("date="):
            continue
        entries = files.entries(folder)
        for entry in entries:
            if entry.path in seen.files:
                continue
            removed_ms = seen.removed.get(entry.path)
            since, keep = entry.modified, care.orphan_keep
            if removed_ms is not None:
                since, keep = removed_ms / 1000, care.removed_keep
            if now - since > keep:
                files.delete(entry.path)
                freed += entry.size
        if not entries and folder.removeprefix("date=") not in dates:
            files.delete_folder(folder, now - care.orphan_keep)
    return freed
