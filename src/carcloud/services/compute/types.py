"""What crosses the wall of the compute service. Times in us since 1970, UTC."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from carcloud.model.ids import Tenant

MAIN = "main"  # the project of what names none

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,39}$")]
Title = Annotated[str, msgspec.Meta(max_length=200)]


class State(StrEnum):
    """queued → running → one of the ends; running → queued when it is tried again."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed-out"


ENDED = (State.SUCCEEDED, State.FAILED, State.CANCELLED, State.TIMED_OUT)


class NewJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A job to be done.

    `after` names jobs that must succeed first: ids, or in a batch also their `key`. `retries` is
    how often it is tried again, with pauses that begin at `backoff_s` and double.
    """

    kind: Name
    params: dict[str, Any] = {}
    name: Title = ""
    key: Name | None = None
    after: Annotated[list[str], msgspec.Meta(max_length=100)] = []
    queue: Name = "default"
    priority: Annotated[int, msgspec.Meta(ge=0, le=9)] = 5  # 9 goes first
    retries: Annotated[int, msgspec.Meta(ge=0, le=20)] = 0
    backoff_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 10.0
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=7 * 86_400)] = 3600.0  # of each attempt
    cpus: Annotated[float, msgspec.Meta(gt=0, le=1024)] = 1.0
    memory_mb: Annotated[int, msgspec.Meta(ge=64, le=4_000_000)] = 512
    project: Name = MAIN


class Job(msgspec.Struct, frozen=True):
    """A job as it stands. `limit` names the limit that ended it."""

    id: str
    tenant: Tenant
    project: str
    kind: str
    name: str
    params: Mapping[str, Any]
    queue: str
    priority: int
    retries: int
    backoff_s: float
    timeout_s: float
    cpus: float
    memory_mb: int
    state: State
    attempt: int  # 0 = not begun yet
    actor: str
    created_us: int
    ready_us: int  # not begun before
    started_us: int | None  # of the last attempt
    ended_us: int | None
    progress: float | None  # 0 to 1
    message: str  # what it says it is doing
    error: str | None
    limit: str | None
    cancelling: bool
    schedule: str | None
    result: Any  # what the kind returned
    metrics: Mapping[str, Sequence[tuple[int, float]]]  # (time us, value), oldest first


class Ahead(msgspec.Struct, frozen=True):
    """A job that must succeed before another begins."""

    id: str
    name: str
    kind: str
    state: State


class Attempt(msgspec.Struct, frozen=True):
    """One try. `outcome` None = it runs; `interrupted` = the jobs process went away."""

    number: int
    started_us: int
    ended_us: int | None
    outcome: str | None
    error: str | None
    limit: str | None
    cpu_seconds: float
    where: str  # host and process


class Artifact(msgspec.Struct, frozen=True):
    """A file that a job made."""

    job: str
    attempt: int
    name: str
    bytes: int
    sha256: str
    media: str
    created_us: int


class JobPage(msgspec.Struct, frozen=True):
    """Jobs, newest first, and where the next page begins."""

    items: Sequence[Job]
    next_before: str | None


class LogPart(msgspec.Struct, frozen=True):
    """A stretch of an attempt's log; `start` and `end` in bytes. `end == size` = up to now."""

    attempt: int
    start: int
    end: int
    size: int
    data: bytes


class NewSchedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A job that is submitted again and again, at the times of a cron line.

    With `overlap` False a run is left out while the one before it has not ended.
    """

    name: Name
    cron: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    job: NewJob
    timezone: Annotated[str, msgspec.Meta(max_length=60)] = "UTC"
    enabled: bool = True
    overlap: bool = False


class Schedule(msgspec.Struct, frozen=True):
    """A schedule as it stands."""

    name: str
    tenant: Tenant
    cron: str
    timezone: str
    job: NewJob
    enabled: bool
    overlap: bool
    revision: int
    next_us: int | None  # None = disabled
    last_us: int | None
    last_job: str | None
    actor: str
    created_us: int


class Changed(msgspec.Struct, frozen=True, tag="job"):
    """News for who follows a job: it changed."""

    job: Job


class Logged(msgspec.Struct, frozen=True, tag="log"):
    """News for who follows a job: a stretch of its log, from byte `offset` on."""

    attempt: int
    offset: int
    text: str


News = Changed | Logged


class Filters(msgspec.Struct, frozen=True):
    """Which jobs a list shows; None = all."""

    state: State | None = None
    kind: str | None = None
    queue: str | None = None
    schedule: str | None = None
    project: str | None = None
    q: str | None = None  # part of the name or id
    projects: tuple[str, ...] | None = None  # any of these
