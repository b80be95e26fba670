"""The way into the compute service: jobs, their logs and artifacts, schedules."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TypeVar

from sqlalchemy import Connection

from carcloud.model.ids import Tenant
from carcloud.model.streams import wake_subject
from carcloud.model.time import now_us
from carcloud.ports.blobs import Blobs
from carcloud.ports.errors import EngineError
from carcloud.ports.records import Records
from carcloud.ports.stream import Stream
from carcloud.services.compute import logs, rows, schedules, submission
from carcloud.services.compute.active import find_artifact
from carcloud.services.compute.buckets import OF_PROJECT
from carcloud.services.compute.context import Context
from carcloud.services.compute.errors import (
    InvalidJob,
    JobEnded,
    JobFailed,
    ScheduleChanged,
    ScheduleExists,
    UnknownJob,
)
from carcloud.services.compute.follow import Follower
from carcloud.services.compute.inside import Bounds, Stores, perform
from carcloud.services.compute.keys import artifact_key, is_artifact_name
from carcloud.services.compute.kinds import Kind, Kinds
from carcloud.services.compute.runner import SERVICE, Runner, RunnerOptions
from carcloud.services.compute.store import metadata
from carcloud.services.compute.types import (
    ENDED,
    Ahead,
    Artifact,
    Attempt,
    Changed,
    Filters,
    Job,
    JobPage,
    Logged,
    LogPart,
    NewJob,
    News,
    NewSchedule,
    Schedule,
    State,
)

__all__ = [
    "ENDED", "OF_PROJECT", "Ahead", "Artifact", "Attempt", "Bounds", "Changed", "Context",
    "Filters", "InvalidJob", "Job", "JobEnded", "JobFailed", "JobPage", "Jobs", "Kind", "Kinds",
    "LogPart", "Logged", "NewJob", "NewSchedule", "News", "Runner", "RunnerOptions", "Schedule",
    "ScheduleChanged", "ScheduleExists", "State", "Stores", "UnknownJob", "metadata", "perform",
]  # fmt: skip

MOST_OF_BATCH = 1000  # jobs
T = TypeVar("T")


class Jobs:
    """Jobs of all tenants; made once a process. Methods raise the errors of the ports.

    `most` is the greatest `cpus` and `memory_mb` that a job may ask for.
    """

    def __init__(
        self,
        records: Records,
        blobs: Blobs,
        stream: Stream,
        kinds: Kinds,
        *,
        most: Mapping[str, float] | None = None,
        now: Callable[[], int] = now_us,
    ) -> None:
        self._records = records
        self._blobs = blobs
        self._stream = stream
        self._most = dict(most or {})
        self._now = now
        self.kinds = kinds
        records.create(metadata)

    # jobs

    async def submit(self, tenant: Tenant, job: NewJob, *, actor: str) -> Job:
        """Put a job in the queue; raises `InvalidJob`."""
        (made,) = await self.submit_batch(tenant, [job], actor=actor)
        return made

    async def submit_batch(
        self, tenant: Tenant, batch: Sequence[NewJob], *, actor: str
    ) -> list[Job]:
        """Jobs that may wait for each other by `key`; all of them, or none on `InvalidJob`."""
        if not 1 <= len(batch) <= MOST_OF_BATCH:
            raise InvalidJob("jobs", f"1 to {MOST_OF_BATCH} jobs")
        for job in batch:
            submission.check(self.kinds, job, self._most)
        made = await asyncio.to_thread(self._add, tenant, batch, actor)
        await self._wake()
        return made

    async def jobs(
        self, tenant: Tenant, filters: Filters, *, before: str | None = None, limit: int = 50
    ) -> JobPage:
        """Jobs, newest first, with ids below `before`."""
        found = await asyncio.to_thread(
            self._reading, lambda db: rows.page(db, tenant, filters, before, limit + 1)
        )
        more = len(found) > limit
        return JobPage(found[:limit], found[limit - 1].id if more else None)

    async def job(self, tenant: Tenant, job: str) -> Job:
        """One job; raises `UnknownJob`."""
        return await asyncio.to_thread(self._reading, lambda db: rows.find_job(db, tenant, job))

    async def open_jobs(self, tenant: Tenant) -> dict[State, int]:
        """How many jobs wait and run; states without any are left out."""
        return await asyncio.to_thread(self._reading, lambda db: rows.open_jobs(db, tenant))

    async def attempts(self, tenant: Tenant, job: str) -> list[Attempt]:
        """The attempts at a job, first one first; raises `UnknownJob`."""

        def read(db: Connection) -> list[Attempt]:
            return rows.attempts_of(db, rows.find_job(db, tenant, job).id)

        return await asyncio.to_thread(self._reading, read)

    async def ahead(self, tenant: Tenant, job: str) -> list[Ahead]:
        """The jobs that a job waits for; raises `UnknownJob`."""

        def read(db: Connection) -> list[Ahead]:
            return rows.ahead_of(db, rows.find_job(db, tenant, job).id)

        return await asyncio.to_thread(self._reading, read)

    async def cancel(self, tenant: Tenant, job: str, *, actor: str) -> Job:
        """Ask for its end; what it waits with ends at once. Raises `UnknownJob`, `JobEnded`."""

        def change() -> Job:
            with self._records.transaction() as db:
                return submission.cancel(db, tenant, job, actor=actor, now_us=self._now())

        cancelled = await asyncio.to_thread(change)
        await self._wake()
        return cancelled

    # logs and artifacts

    async def log(
        self, tenant: Tenant, job: str, *, attempt: int | None = None, start: int = 0,
        limit: int = logs.MOST_READ,
    ) -> LogPart:  # fmt: skip
        """A part of an attempt's log (the last one's), `start` negative counts from its end."""
        number = (await self.job(tenant, job)).attempt if attempt is None else attempt
        if attempt is not None:
            await self.job(tenant, job)
        return await asyncio.to_thread(
            logs.read, self._blobs, tenant, job, number, start, min(limit, logs.MOST_READ)
        )

    def follow(
        self, tenant: Tenant, job: str, *, attempt: int = 0, offset: int = 0
    ) -> AsyncIterator[News]:
        """Log and changes of a job until it has ended; raises `UnknownJob`."""
        follower = Follower(self._records, self._blobs, self._stream, tenant, job)
        return follower.news(attempt, offset)

    async def artifacts(
        self, tenant: Tenant, job: str, *, attempt: int | None = None
    ) -> list[Artifact]:
        """The files of the last attempt, or of another one; raises `UnknownJob`."""

        def read(db: Connection) -> list[Artifact]:
            found = rows.find_job(db, tenant, job)
            return rows.artifacts_of(db, job, found.attempt if attempt is None else attempt)

        return await asyncio.to_thread(self._reading, read)

    async def artifact(self, tenant: Tenant, job: str, name: str) -> Artifact:
        """A file of the last attempt; raises `UnknownJob`."""
        found = None
        if is_artifact_name(name):
            found = await asyncio.to_thread(find_artifact, self._records, tenant, job, name)
        if found is None:
            raise UnknownJob(f"job {job!r} has no artifact {name!r}")
        return found

    async def artifact_bytes(
        self, tenant: Tenant, artifact: Artifact, start: int = 0, length: int | None = None
    ) -> bytes:
        """Bytes of a file that `artifact` has found."""
        key = artifact_key(tenant, artifact.job, artifact.attempt, artifact.name)
        return await asyncio.to_thread(self._blobs.get, key, start, length)

    # schedules

    async def create_schedule(
        self, tenant: Tenant, schedule: NewSchedule, *, actor: str
    ) -> Schedule:
        """A new schedule; raises `InvalidJob`, `ScheduleExists`."""
        self._check_schedule(schedule)
        return await asyncio.to_thread(
            lambda: schedules.create(
                self._records, tenant, schedule, actor=actor, now_us=self._now()
            )
        )

    async def replace_schedule(
        self, tenant: Tenant, schedule: NewSchedule, *, actor: str, if_revision: int | None = None
    ) -> Schedule:
        """Change a schedule; raises `InvalidJob`, `UnknownJob`, `ScheduleChanged`."""
        self._check_schedule(schedule)
        return await asyncio.to_thread(
            lambda: schedules.replace(
                self._records,
                tenant,
                schedule,
                actor=actor,
                now_us=self._now(),
                if_revision=if_revision,
            )
        )

    async def remove_schedule(self, tenant: Tenant, name: str, *, actor: str) -> None:
        """Forget a schedule; raises `UnknownJob`."""
        await asyncio.to_thread(schedules.remove, self._records, tenant, name, actor=actor)

    async def schedules(self, tenant: Tenant) -> list[Schedule]:
        """The tenant's schedules, by name."""
        return await asyncio.to_thread(self._reading, lambda db: schedules.listed(db, tenant))

    def upcoming(self, line: str, timezone: str, count: int = 5) -> list[int]:
        """The next times of a cron line, in us; raises `InvalidJob`."""
        return schedules.upcoming(line, timezone, self._now(), count)

    async def schedule(self, tenant: Tenant, name: str) -> Schedule:
        """One schedule; raises `UnknownJob`."""
        return await asyncio.to_thread(
            self._reading, lambda db: rows.find_schedule(db, tenant, name)
        )

    def _check_schedule(self, schedule: NewSchedule) -> None:
        schedules.check(schedule)
        try:
            submission.check(self.kinds, schedule.job, self._most)
        except InvalidJob as error:
            raise InvalidJob(f"job.{error.field}", error.detail) from error

    def _add(self, tenant: Tenant, batch: Sequence[NewJob], actor: str) -> list[Job]:
        with self._records.transaction() as db:
            return submission.add(db, tenant, batch, actor=actor, now=self._now)

    def _reading(self, read: Callable[[Connection], T]) -> T:
        with self._records.reading() as db:
            return read(db)

    async def _wake(self) -> None:
        with contextlib.suppress(EngineError):  # runners look by themselves a moment later
            await self._stream.broadcast(wake_subject(SERVICE), b"")
