"""The Delta transaction log of one table: replay, commit, checkpoint, clean.

Commits are written here and not by delta-rs because the log entry must be on disk before it
becomes visible; delta-rs makes it visible first and never syncs it.
"""

import json
import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.exceptions import DeltaError

from carcloud.engines.lake_delta.files import Files
from carcloud.engines.lake_delta.schema import PARTITION, to_delta
from carcloud.engines.lake_delta.settings import Care
from carcloud.engines.lake_delta.snapshot import DROPPED, Action, Snapshot
from carcloud.ports.errors import EngineError, Unavailable

FOLDER = "_delta_log"
_POINTER = f"{FOLDER}/_last_checkpoint"
_TRIES = 200
_SECONDS = re.compile(r"interval (\d+) seconds")
_log = logging.getLogger(__name__)


class Log:
    """One table's log. Threads may share it; other processes may write the same table."""

    def __init__(self, files: Files, care: Care) -> None:
        self.files = files
        self.care = care
        self._lock = threading.Lock()
        self._seen = Snapshot()
        self._current = float("-inf")  # monotonic s, when it was seen to be the newest

    @property
    def last_seen(self) -> Snapshot:
        """The table as it was at the last look; at version -1 before the first one."""
        return self._seen

    def refresh(self) -> Snapshot:
        """The table as it is now."""
        with self._lock:
            self._seen = self._replay(self._seen)
            return self._seen

    def commit(self, build: Callable[[Snapshot], Sequence[Action] | None]) -> int | None:
        """Commit what `build` makes of the newest snapshot; None when it gives nothing.

        `build` is asked again whenever somebody else took the version. Returns the version.
        """
        for _ in range(_TRIES):
            seen = self.refresh()
            actions = build(seen)
            if actions is None:
                return None
            version = seen.version + 1
            lines = "\n".join(json.dumps(action, ensure_ascii=False) for action in actions)
            if self.files.put_if_absent(_entry(version), lines.encode()):
                return version
        raise Unavailable(f"lake: {_TRIES} other commits came first, one after the other")

    def tend(self, version: int) -> None:
        """After commit `version`: now and then a checkpoint, and away with the log before it.

        A failure is logged, not raised: the commit stands, and the next turn tries again.
        """
        if version == 0 or version % self.care.checkpoint_every:
            return
        try:
            self.checkpoint()
            self._clean()
        except (DeltaError, OSError, EngineError) as error:
            _log.warning("lake: no checkpoint of %s: %s", self.files.root, error)

    def checkpoint(self) -> None:
        """Write a Delta checkpoint of the newest version, synced."""
        table = self.files.delta()
        table.create_checkpoint()
        self.files.sync(f"{FOLDER}/{table.version():020d}.checkpoint.parquet")
        self.files.sync(_POINTER)

    def forget_past(self) -> None:
        """A checkpoint of what is now, and away with the log before: it tells of rows that went.

        A failure is logged, not raised: the next turn tries again.
        """
        try:
            if self._pointer().get("version", -1) < self.refresh().version:
                self.checkpoint()
            self._clean()
        except (DeltaError, OSError, EngineError) as error:
            _log.warning("lake: the log of %s stays: %s", self.files.root, error)

    def _clean(self) -> None:
        """Delete what the newest checkpoint makes superfluous, once it is old enough."""
        pointer = self._pointer()
        oldest = time.time() - self.care.log_keep
        for entry in self.files.entries(FOLDER):
            name = entry.path.rsplit("/", 1)[1]
            spent = name[:20].isdigit() and int(name[:20]) < pointer.get("version", 0)
            if (spent or name.startswith(".draft-")) and entry.modified < oldest:
                self.files.delete(entry.path)

    def _replay(self, seen: Snapshot) -> Snapshot:
        if seen.version < 0:
            seen = self._from_checkpoint(seen)
        while True:
            data = self.files.read(_entry(seen.version + 1))
            if data is not None:
                seen = seen.after(seen.version + 1, map(json.loads, data.splitlines()))
                if seen.version % self.care.checkpoint_every == 0:
                    keep = max(self.care.removed_keep, self.care.orphan_keep)
                    seen = seen.without_tombstones(int((time.time() - keep) * 1000))
            elif self._lags(seen) and self._pointer().get("version", -1) > seen.version:
                seen = self._from_checkpoint(seen)  # the log between was cleaned away
            else:
                self._current = time.monotonic()
                return seen

    def _lags(self, seen: Snapshot) -> bool:
        """Whether what came after the last look can have been cleaned away since."""
        told = seen.metadata.get("configuration", {}).get("delta.logRetentionDuration", "")
        kept = _SECONDS.fullmatch(told)  # others clean by what the table says
        keep = min(self.care.log_keep, int(kept[1])) if kept else 0
        return time.monotonic() - self._current >= keep / 2

    def _from_checkpoint(self, seen: Snapshot) -> Snapshot:
        """The newest checkpoint's snapshot, or `seen` where there is none that is newer."""
        pointer = self._pointer()
        version = pointer.get("version", -1)
        if version <= seen.version:
            return seen
        parts = pointer.get("parts")
        names = [f"{version:020d}.checkpoint.parquet"]
        if parts:
            span = range(1, parts + 1)
            names = [f"{version:020d}.checkpoint.{i:010d}.{parts:010d}.parquet" for i in span]
        fresh = Snapshot()
        for name in names:
            data = self.files.read(f"{FOLDER}/{name}")
            if data is None:
                raise Unavailable(f"lake: checkpoint {name} is missing")
            fresh = fresh.after(version, _checkpoint_actions(data))
        return fresh

    def _pointer(self) -> dict[str, Any]:
        """`_last_checkpoint`, or a listing's answer where a crash left it unreadable."""
        data = self.files.read(_POINTER)
        if data is None:
            return {}
        try:
            pointer: dict[str, Any] = json.loads(data)
            return pointer
        except ValueError:
            found = (e.path.rsplit("/", 1)[1] for e in self.files.entries(FOLDER) if e.size)
            versions = [int(n[:20]) for n in found if n.endswith(".checkpoint.parquet")]
            return {"version": max(versions)} if versions else {}


def create_actions(schema: pa.Schema, care: Care) -> list[Action]:
    """The actions that make a new table."""
    keep = f"interval {int(care.log_keep)} seconds"
    configuration = {
        "delta.checkpointInterval": str(care.checkpoint_every),
        "delta.logRetentionDuration": keep,
        "delta.deletedFileRetentionDuration": f"interval {int(care.orphan_keep)} seconds",
    }
    metadata = {
        "id": str(uuid.uuid4()),
        "format": {"provider": "parquet", "options": {}},
        "schemaString": to_delta(schema),
        "partitionColumns": [PARTITION],
        "configuration": configuration,
        "createdTime": now_ms(),
    }
    return [{"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}, {"metaData": metadata}]


def evolve_action(seen: Snapshot, schema: pa.Schema, *, dropped: bool = False) -> Action:
    """The action that gives the table other columns, and says whether it is there at all."""
    told = {k: v for k, v in (seen.metadata.get("configuration") or {}).items() if k != DROPPED}
    if dropped:
        told[DROPPED] = "true"
    changed = {"schemaString": to_delta(schema), "configuration": told}
    return {"metaData": {**seen.metadata, **changed}}


def commit_info(operation: str) -> Action:
    """The action that tells a reader of the log what was done, and when."""
    return {"commitInfo": {"timestamp": now_ms(), "operation": operation, "engineInfo": "carcloud"}}


def now_ms() -> int:
    """The present, in ms since 1970: the unit of Delta's log."""
    return time.time_ns() // 1_000_000


def _entry(version: int) -> str:
    return f"{FOLDER}/{version:020d}.json"


def _checkpoint_actions(data: bytes) -> list[Action]:
    """The rows of a checkpoint file as log actions; maps come as lists of pairs."""
    wanted = ["add", "remove", "txn", "metaData", "protocol"]
    rows: list[Action] = pq.read_table(pa.BufferReader(data), columns=wanted).to_pylist()
    for row in rows:
        if metadata := row.get("metaData"):
            metadata["configuration"] = dict(metadata.get("configuration") or {})
            metadata["format"]["options"] = dict(metadata["format"].get("options") or {})
            row["metaData"] = {k: v for k, v in metadata.items() if v is not None}
    return rows
