"""What a running job has in its hand."""

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.ports.blobs import Blobs
from carcloud.ports.lake import Lake
from carcloud.ports.sandbox import Sandbox
from carcloud.services.compute.buckets import Into, Objects
from carcloud.services.compute.errors import JobFailed
from carcloud.services.compute.keys import artifact_key, check_artifact_name
from carcloud.services.compute.notes import Log, Made, Note, Point, Progress
from carcloud.services.compute.tables import MOST_BYTES, Tables
from carcloud.services.compute.types import Artifact

Params = TypeVar("Params")
_LOG_CHARACTERS = 60_000  # of one note
_TOLD_S = 0.1  # least time between two notes of progress


@dataclass(slots=True)
class Context(Generic[Params]):
    """One attempt at a job. Used by any thread of it."""

    tenant: Tenant
    project: str
    job: str
    attempt: int
    params: Params
    timeout_s: float
    cpus: float
    memory_mb: int
    tell: Callable[[Note], None]
    lake: Lake
    blobs: Blobs
    most_artifact_bytes: int
    find_artifact: Callable[[str, str], Artifact]  # (job, name), of the same tenant
    objects: Objects
    tables: Tables
    sandbox: Sandbox | None = None
    script_limits: Mapping[str, int] = field(default_factory=dict)  # `disk_mb`, `processes`
    most_table_bytes: int = MOST_BYTES
    cpu_seconds: float = 0.0  # of processes that the engine may not see
    _told: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def log(self, text: str) -> None:
        """Add a line to the job's log."""
        self.write(text if text.endswith("\n") else text + "\n")

    def write(self, text: str) -> None:
        """Add to the job's log as it is."""
        for start in range(0, len(text), _LOG_CHARACTERS):
            self.tell(Log(text[start : start + _LOG_CHARACTERS]))

    def progress(self, done: float, message: str | None = None) -> None:
        """Say how far it is, 0 to 1; told at most ten times a second, but for the last word."""
        with self._lock:
            now = time.monotonic()
            if now - self._told < _TOLD_S and done < 1 and message is None:
                return
            self._told = now
        self.tell(Progress(min(1.0, max(0.0, done)), message and message[:500]))

    def metric(self, name: str, value: float) -> None:
        """Record a number; `name` up to 60 characters."""
        self.tell(Point(name[:60], float(value), now_us()))

    def used(self, cpu_seconds: float) -> None:
        """Add processor time that others have spent for the job."""
        self.cpu_seconds += cpu_seconds

    def artifact(
        self, name: str, content: bytes | Path, media: str = "application/octet-stream",
        into: Into | None = None,
    ) -> Artifact:  # fmt: skip
        """Keep a file of the job's, and put it `into` a bucket; raises `JobFailed` if it is too
        large, its name is wrong or there is no such bucket."""
        check_artifact_name(name)
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        if size > self.most_artifact_bytes:
            most = self.most_artifact_bytes // 1_000_000
            detail = f"{name} has {size} bytes, an artifact at most {most} MB"
            raise JobFailed(detail, limit="compute.artifact_mb", again=False)
        data = content if isinstance(content, bytes) else content.read_bytes()
        self.blobs.put(artifact_key(self.tenant, self.job, self.attempt, name), data)
        digest = hashlib.sha256(data).hexdigest()
        made = Artifact(self.job, self.attempt, name, len(data), digest, media[:100], now_us())
        if into is not None:
            self.objects.put(into.bucket, into.prefix + name, content, media)
        self.tell(Made(made))
        return made

    def read_artifact(self, job: str, name: str) -> bytes:
        """A file of another job of the tenant; raises `JobFailed` if there is none."""
        found = self.find_artifact(job, name)
        return self.blobs.get(artifact_key(self.tenant, job, found.attempt, name))
