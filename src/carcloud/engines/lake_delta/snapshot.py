"""What a table holds at one version: the Delta log's actions, replayed."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa

from carcloud.engines.lake_delta.schema import KEYS, PARTITION, from_delta
from carcloud.model.time import DAY, iso, parse_iso
from carcloud.ports.errors import Unavailable

Action = dict[str, Any]
COLUMNS_TAG = "carcloud.columns"
LEVEL_TAG = "carcloud.level"
RUN_TAG = "carcloud.run"
BYTES_TAG = "carcloud.bytes"
DROPPED = "carcloud.dropped"  # in the configuration of a table that is there no more
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Bounds:
    """Least and greatest keys of a file's rows; times in us since 1970."""

    vehicle: tuple[str, str]
    time: tuple[int, int]
    seq: tuple[int, int]


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file of a table.

    `columns`: how many of the table's columns it has, counted from the first (they are only ever
    added at the end); None for a file somebody else wrote. `run`: files merged together, which do
    not overlap in vehicles. `bounds` is None where the log gives none.
    """

    path: str
    date: str  # ISO, of the partition
    size: int  # bytes
    rows: int
    modified_ms: int
    bounds: Bounds | None
    columns: int | None = None
    level: int = 0
    run: str = ""
    nbytes: int = 0  # as Arrow data; 0 = not known

    @property
    def day_us(self) -> tuple[int, int]:
        """First microsecond of the file's date, and of the next."""
        start = day_start(self.date)
        return start, start + DAY


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A table at `version`; version -1 is a table that nobody has written."""

    version: int = -1
    schema: pa.Schema = field(default_factory=lambda: pa.schema([]))
    metadata: Action = field(default_factory=dict)
    files: Mapping[str, DataFile] = field(default_factory=dict)
    writers: Mapping[str, int] = field(default_factory=dict)
    removed: Mapping[str, int] = field(default_factory=dict)  # path -> ms when removed

    @property
    def dropped(self) -> bool:
        """Whether somebody dropped the table and nobody has written it since."""
        return (self.metadata.get("configuration") or {}).get(DROPPED) == "true"

    def after(self, version: int, actions: Iterable[Action]) -> "Snapshot":
        """The table after one more commit (or after a checkpoint's actions)."""
        files, writers, removed = dict(self.files), dict(self.writers), dict(self.removed)
        metadata, schema = self.metadata, self.schema
        for action in actions:
            if add := action.get("add"):
                file = _data_file(add)
                files[file.path] = file
                removed.pop(file.path, None)
            elif gone := action.get("remove"):
                path = unquote(gone["path"])
                files.pop(path, None)
                removed[path] = gone.get("deletionTimestamp") or 0
            elif txn := action.get("txn"):
                writers[txn["appId"]] = int(txn["version"])
            elif action.get("metaData"):
                metadata = action["metaData"]
                schema = from_delta(metadata["schemaString"])
            elif action.get("protocol"):
                _check_protocol(action["protocol"])
        return Snapshot(version, schema, metadata, files, writers, removed)

    def without_tombstones(self, before_ms: int) -> "Snapshot":
        """The same table, forgetting files that were removed before `before_ms`."""
        kept = {path: at for path, at in self.removed.items() if at >= before_ms}
        return replace(self, removed=kept)


def day_start(iso_date: str) -> int:
    """Midnight UTC of an ISO date, in us since 1970."""
    return (date.fromisoformat(iso_date).toordinal() - _EPOCH) * DAY


def add_action(file: DataFile) -> Action:
    """The Delta `add` of a file; `dataChange` is the caller's to say."""
    stats: dict[str, Any] = {"numRecords": file.rows}
    if file.bounds:
        stats["minValues"], stats["maxValues"] = (
            _stats_side(file.bounds, 0),
            _stats_side(file.bounds, 1),
        )
        stats["nullCount"] = dict.fromkeys(KEYS, 0)
    tags = {
        COLUMNS_TAG: str(file.columns),
        LEVEL_TAG: str(file.level),
        RUN_TAG: file.run,
        BYTES_TAG: str(file.nbytes),
    }
    return {
        "path": quote(file.path, safe="/=-._"),
        "partitionValues": {PARTITION: file.date},
        "size": file.size,
        "modificationTime": file.modified_ms,
        "dataChange": True,
        "stats": json.dumps(stats),
        "tags": tags,
    }


def remove_action(file: DataFile, now_ms: int) -> Action:
    """The Delta `remove` of a file."""
    return {
        "path": quote(file.path, safe="/=-._"),
        "deletionTimestamp": now_ms,
        "dataChange": True,
        "extendedFileMetadata": True,
        "partitionValues": {PARTITION: file.date},
        "size": file.size,
    }


def _stats_side(bounds: Bounds, side: int) -> dict[str, Any]:
    return {
        "vehicle": bounds.vehicle[side],
        "time": iso_exact(bounds.time[side]),
        "seq": bounds.seq[side],
    }


def iso_exact(us: int) -> str:
    """RFC 3339 text with all six decimals."""
    return f"{iso(us)[:19]}.{us % 1_000_000:06d}Z"


def _data_file(add: Action) -> DataFile:
    if add.get("deletionVector"):
        raise Unavailable("lake: the table uses deletion vectors, which are not read here")
    stats = json.loads(add.get("stats") or "{}")
    tags = dict(add.get("tags") or {})
    columns = tags.get(COLUMNS_TAG)
    return DataFile(
        path=unquote(add["path"]),
        date=dict(add["partitionValues"])[PARTITION],
        size=add["size"],
        rows=stats.get("numRecords", 0),
        modified_ms=add["modificationTime"],
        bounds=_bounds(stats),
        columns=int(columns) if columns else None,
        level=int(tags.get(LEVEL_TAG) or 0),
        run=tags.get(RUN_TAG) or "",
        nbytes=int(tags.get(BYTES_TAG) or 0),
    )


def _bounds(stats: dict[str, Any]) -> Bounds | None:
    """Bounds where the log gives all; a foreign writer may round times to ms and cut strings."""
    low, high = stats.get("minValues") or {}, stats.get("maxValues") or {}
    if any(low.get(key) is None or high.get(key) is None for key in KEYS):
        return None
    first, last = parse_iso(low["time"]), parse_iso(high["time"])
    if len(high["time"]) < len("2026-01-01T00:00:00.000000Z"):
        last += 999
    return Bounds((low["vehicle"], high["vehicle"]), (first, last), (low["seq"], high["seq"]))


def _check_protocol(protocol: Action) -> None:
    """Delta protocol, reader version 1: no column mapping, no reader features."""
    if protocol["minReaderVersion"] > 1:
        raise Unavailable(f"lake: Delta reader version {protocol['minReaderVersion']} is needed")
