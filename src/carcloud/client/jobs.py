"""Methods of jobs and their schedules."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

import msgspec

from carcloud.client.errors import CarcloudError
from carcloud.client.exchange import (
    Bytes,
    Call,
    EventReader,
    Listing,
    Stream,
    content,
    get,
    nothing,
    send,
    shaped,
    whole,
)
from carcloud.client.methods import AsyncGroup, AsyncRuns, Group, Runs, call, many
from carcloud.client.types import (
    ENDED,
    Artifact,
    Items,
    Job,
    JobDetail,
    JobKind,
    JobState,
    LogPart,
    LogText,
    NewJob,
    Page,
    Schedule,
)

_ONE = "/v1/jobs/{job_id}"
_FILE = f"{_ONE}/artifacts/{{name}}"
_SCHEDULE = "/v1/schedules/{schedule}"
_FIRST_S, _MOST_S = 0.1, 2.0  # between looks at a job that is waited for

OnProgress = Callable[[JobDetail], object]


class JobFailed(CarcloudError):
    """A job that was waited for did not succeed; `job` says why."""

    def __init__(self, job: JobDetail) -> None:
        super().__init__(f"job {job.id} is {job.state}" + (f": {job.error}" if job.error else ""))
        self.job = job


class Batch(msgspec.Struct, frozen=True):
    """The body of several jobs."""

    jobs: tuple[NewJob, ...]


class NewSchedule(msgspec.Struct, frozen=True):
    """The body of a new schedule."""

    name: str
    cron: str
    job: NewJob
    timezone: str = "UTC"
    enabled: bool = True
    overlap: bool = False


class ScheduleBody(msgspec.Struct, frozen=True):
    """The body of a schedule that is there."""

    cron: str
    job: NewJob
    timezone: str
    enabled: bool
    overlap: bool


class Following:
    """Log and changes of a job until it has ended; goes on where the connection broke off."""

    can_go_on = True

    def __init__(self, job: str, attempt: int, offset: int) -> None:
        self._job, self._attempt, self._offset = job, attempt, offset
        self._reader = EventReader()
        self.ended = False

    def ask(self) -> Call[Any]:
        """The call that goes on after what has been told."""
        self._reader = EventReader()
        query = {"attempt": self._attempt, "offset": self._offset}
        return get(f"{_ONE}/events", str, place={"job_id": self._job}, **query)

    def feed(self, piece: bytes) -> Iterable[JobDetail | LogText]:
        """The news that are complete with this piece."""
        for name, data in self._reader.feed(piece):
            if name == "job":
                job = msgspec.json.decode(data, type=JobDetail)
                self.ended = job.state in ENDED
                yield job
            elif name == "log":
                log = msgspec.json.decode(data, type=LogText)
                # what was no UTF-8 has lost its length: rather told twice than left out
                size = 0 if "\ufffd" in log.text else len(log.text.encode())
                self._attempt, self._offset = log.attempt, log.offset + size
                yield log


class Waiting:
    """Waits for the end of a job: each look at it gives a pause, or ends the waiting."""

    def __init__(self, on_progress: OnProgress | None, timeout_s: float | None) -> None:
        self._on_progress = on_progress
        self._ends = None if timeout_s is None else monotonic() + timeout_s
        self._pause = _FIRST_S
        self._last: JobDetail | None = None

    def saw(self, job: JobDetail) -> float | None:
        """Seconds until the next look; None = it succeeded. Raises `JobFailed`, `TimeoutError`."""
        if self._on_progress is not None and job != self._last:
            self._on_progress(job)
        self._last = job
        if job.state in ENDED:
            if job.state != "succeeded":
                raise JobFailed(job)
            return None
        if self._ends is not None and monotonic() >= self._ends:
            raise TimeoutError(f"job {job.id} is still {job.state}")
        pause, self._pause = self._pause, min(_MOST_S, self._pause * 1.5)
        return pause if self._ends is None else max(0.0, min(pause, self._ends - monotonic()))


class _Jobs:
    @call
    def kinds(self) -> Call[tuple[JobKind, ...]]:
        """What can be submitted."""
        return shaped(get("/v1/job-kinds", Items[JobKind]), lambda found: found.items)

    @call
    def submit(
        self,
        kind: str,
        params: Mapping[str, Any] | None = None,
        *,
        name: str = "",
        after: Sequence[str] = (),
        queue: str = "default",
        priority: int = 5,
        retries: int = 0,
        backoff_s: float = 10.0,
        timeout_s: float = 3600.0,
        cpus: float = 1.0,
        memory_mb: int = 512,
        project: str = "main",
    ) -> Call[Job]:
        """Submit a job; `after` names jobs that must succeed first, `priority` 9 goes first."""
        body = NewJob(
            kind, dict(params or {}), name, None, tuple(after), queue, priority, retries,
            backoff_s, timeout_s, cpus, memory_mb, project,
        )  # fmt: skip
        return send("POST", "/v1/jobs", Job, body=body)

    @call
    def submit_batch(self, jobs: Sequence[NewJob]) -> Call[tuple[Job, ...]]:
        """Submit jobs that may wait for each other by `key`: all of them or none."""
        asked = send("POST", "/v1/jobs/batch", Items[Job], body=Batch(tuple(jobs)))
        return shaped(asked, lambda made: made.items)

    @many
    def list(
        self,
        *,
        state: JobState | None = None,
        kind: str | None = None,
        queue: str | None = None,
        schedule: str | None = None,
        project: str | None = None,
        q: str | None = None,
        limit: int | None = None,
    ) -> Listing[Job]:
        """Jobs, newest first; `q` is part of a name or id; `limit` None = all."""
        asked = get(
            "/v1/jobs", Page[Job], state=state, kind=kind, queue=queue, schedule=schedule,
            project=project, q=q,
        )  # fmt: skip
        return Listing(asked, limit)

    @call
    def get(self, job: str) -> Call[JobDetail]:
        """One job, with its attempts, metrics and result."""
        return get(_ONE, JobDetail, place={"job_id": job})

    @call
    def cancel(self, job: str) -> Call[Job]:
        """Ask for the end of a job. Raises `Conflict` when it has ended."""
        return send("POST", f"{_ONE}/cancel", Job, place={"job_id": job})

    @call
    def log(
        self, job: str, *, start: int = 0, attempt: int | None = None, limit: int = 1_000_000
    ) -> Call[LogPart]:
        """A part of a log from byte `start` on, of the last attempt unless another is named."""
        query = {"start": start, "attempt": attempt, "limit": limit}
        return get(f"{_ONE}/log", LogPart, place={"job_id": job}, **query)

    @many
    def follow(self, job: str, *, attempt: int = 0, offset: int = 0) -> Stream[JobDetail | LogText]:
        """Log and changes of a job as they happen, until it has ended."""
        return Following(job, attempt, offset)

    @call
    def artifacts(self, job: str) -> Call[tuple[Artifact, ...]]:
        """The files of the last attempt."""
        asked = get(f"{_ONE}/artifacts", Page[Artifact], place={"job_id": job})
        return shaped(asked, lambda page: page.items)

    @call
    def read(self, job: str, name: str) -> Call[bytes]:
        """A file of a job, in memory."""
        return content(_FILE, place={"job_id": job, "name": name})

    @many
    def download(self, job: str, name: str) -> Stream[bytes]:
        """A file of a job, piece by piece."""
        return Bytes(content(_FILE, place={"job_id": job, "name": name}))


class JobGroup(Group, _Jobs):
    """`client.jobs`"""

    _client: Runs

    def wait(
        self, job: str, *, on_progress: OnProgress | None = None, timeout_s: float | None = None
    ) -> JobDetail:
        """The job when it has succeeded; `on_progress` is called with it when it changes.

        Raises `JobFailed` when it ends otherwise, `TimeoutError` after `timeout_s`.
        """
        waiting = Waiting(on_progress, timeout_s)
        while True:
            found = self.get(job)
            pause = waiting.saw(found)
            if pause is None:
                return found
            self._client.pause(pause)


class AsyncJobGroup(AsyncGroup, _Jobs):
    """`client.jobs`"""

    _client: AsyncRuns

    async def wait(
        self, job: str, *, on_progress: OnProgress | None = None, timeout_s: float | None = None
    ) -> JobDetail:
        """As `JobGroup.wait`."""
        waiting = Waiting(on_progress, timeout_s)
        while True:
            found = await self.get(job)
            pause = waiting.saw(found)
            if pause is None:
                return found
            await self._client.pause(pause)


class _Schedules:
    @call
    def list(self) -> Call[tuple[Schedule, ...]]:
        """All schedules of the tenant."""
        return whole("/v1/schedules", Schedule)

    @call
    def get(self, schedule: str) -> Call[Schedule]:
        """One schedule, with its ETag."""
        return get(_SCHEDULE, Schedule, place={"schedule": schedule})

    @call
    def create(
        self,
        name: str,
        cron: str,
        job: NewJob,
        *,
        timezone: str = "UTC",
        enabled: bool = True,
        overlap: bool = False,
    ) -> Call[Schedule]:
        """Submit `job` at the times of a cron line; with `overlap` also beside its last run."""
        body = NewSchedule(name, cron, job, timezone, enabled, overlap)
        return send("POST", "/v1/schedules", Schedule, body=body)

    @call
    def replace(self, schedule: Schedule) -> Call[Schedule]:
        """Store a schedule as it was seen with some fields changed: `msgspec.structs.replace`."""
        one = schedule
        body = ScheduleBody(one.cron, one.job, one.timezone, one.enabled, one.overlap)
        place = {"schedule": one.name}
        return send("PUT", _SCHEDULE, Schedule, place=place, body=body, etag=one.etag)

    @call
    def remove(self, schedule: str) -> Call[None]:
        """Remove a schedule; its jobs stay."""
        return nothing("DELETE", _SCHEDULE, place={"schedule": schedule})


class ScheduleGroup(Group, _Schedules):
    """`client.schedules`"""


class AsyncScheduleGroup(AsyncGroup, _Schedules):
    """`client.schedules`"""
