"""Routes for jobs: submit, watch, cancel, their logs and artifacts."""

import re
from collections.abc import AsyncGenerator
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, FromQuery, JSONBody, PathParameter, QueryParameter
from litestar.types import ASGIApp

from carcloud.model.time import iso, now_us
from carcloud.services.compute.api import (
    ENDED,
    Ahead,
    Artifact,
    Attempt,
    Changed,
    Filters,
    InvalidJob,
    Job,
    JobEnded,
    Jobs,
    NewJob,
    ScheduleChanged,
    ScheduleExists,
    State,
    UnknownJob,
)
from carcloud.services.tenancy.api import Denied
from carcloud.web.api.job_rights import RUN, check_new, job_for, projects_of
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.download import Download, wanted_range
from carcloud.web.given import TheCaller, TheJobs
from carcloud.web.live import EventStream
from carcloud.web.paging import Page, decode_cursor, encode_cursor
from carcloud.web.problems import Refused, Translate
from carcloud.web.times import exact_iso, optional_iso

TRANSLATIONS: dict[type[Exception], Translate] = {
    UnknownJob: lambda e: Refused(404, str(e)),
    InvalidJob: lambda e: Refused(400, e.detail, field=e.field),
    JobEnded: lambda e: Refused(409, str(e)),
    ScheduleExists: lambda e: Refused(409, str(e)),
    ScheduleChanged: lambda e: Refused(412, str(e)),
}

JobPath = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{10,40}$", description="Job id")]
Text = Annotated[str | None, QueryParameter(max_length=100)]
Limit = Annotated[int, QueryParameter(ge=1, le=500)]


class KindView(msgspec.Struct, frozen=True):
    """A kind of jobs and the JSON Schema of its parameters."""

    name: str
    help: str
    params: dict[str, Any]


class KindsView(msgspec.Struct, frozen=True):
    """The kinds of jobs that can be submitted."""

    items: list[KindView]


class JobView(msgspec.Struct, frozen=True):
    """A job; `attempt` 0 = it has not begun yet, `limit` names the limit that ended it."""

    id: str
    project: str
    kind: str
    name: str
    queue: str
    priority: int
    state: State
    attempt: int
    retries: int
    progress: float | None
    message: str
    error: str | None
    limit: str | None
    cancelling: bool
    schedule: str | None
    user: str
    created: str
    ready: str
    started: str | None
    ended: str | None
    seconds: float | None


class AttemptView(msgspec.Struct, frozen=True):
    """One try; `outcome` null = it runs, `interrupted` = the jobs process went away."""

    number: int
    started: str
    ended: str | None
    outcome: str | None
    error: str | None
    limit: str | None
    cpu_seconds: float
    where: str


class AheadView(msgspec.Struct, frozen=True):
    """A job that must succeed before another begins."""

    id: str
    name: str
    kind: str
    state: State


class JobDetail(JobView, frozen=True):
    """A job with everything that is known of it; metrics are [time, value] pairs."""

    params: dict[str, Any]
    timeout_s: float
    cpus: float
    memory_mb: int
    backoff_s: float
    result: Any
    metrics: dict[str, list[tuple[str, float]]]
    attempts: list[AttemptView]
    after: list[AheadView]


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Jobs that may wait for each other by `key`."""

    jobs: Annotated[list[NewJob], msgspec.Meta(min_length=1, max_length=1000)]


class BatchView(msgspec.Struct, frozen=True):
    """The jobs that were submitted, in the order of the batch."""

    items: list[JobView]


class LogView(msgspec.Struct, frozen=True):
    """A stretch of a log, from byte `start` to `end` of `size`."""

    attempt: int
    start: int
    end: int
    size: int
    text: str


class ArtifactView(msgspec.Struct, frozen=True):
    """A file that a job made."""

    name: str
    attempt: int
    bytes: int
    sha256: str
    media: str
    created: str


_EXAMPLE = Example(
    summary="Speeds of a day as Parquet",
    value={
        "kind": "query-export",
        "name": "speeds",
        "params": {
            "sql": 'SELECT vehicle, time, "Vehicle.Speed" FROM signals '
            "WHERE time >= {from} AND time < {to}",
            "from": "2026-05-01T00:00:00Z",
            "to": "2026-05-02T00:00:00Z",
        },
    },
)


@get(
    "/job-kinds",
    summary="Kinds of jobs",
    opt=allows("jobs:read", narrowed=True),
    responses=errors(401, 403, 503),
)
async def list_kinds(jobs: TheJobs) -> KindsView:
    """What can be submitted."""
    kinds = jobs.kinds
    return KindsView([KindView(k.name, k.help, kinds.schema(k.name)) for k in kinds.values()])


@post(
    "/jobs",
    summary="Submit a job",
    description="It is queued, and begins when it has its turn. `after` names jobs that must "
    "succeed first.",
    opt=allows("jobs:run", narrowed=True),
    responses=errors(400, 401, 403, 413, 503, 507),
)
async def submit_job(
    data: Annotated[NewJob, Body(examples=[_EXAMPLE])], caller: TheCaller, jobs: TheJobs
) -> JobView:
    """Submit a job."""
    await check_new(jobs, caller, data)
    return view(await jobs.submit(caller.tenant, data, actor=caller.user))


@post(
    "/jobs/batch",
    summary="Submit jobs that wait for each other",
    description="All of them or none. `after` may name the `key` of another job of the batch; "
    "jobs that wait for each other in a circle are refused.",
    opt=allows("jobs:run", narrowed=True),
    responses=errors(400, 401, 403, 413, 503, 507),
)
async def submit_batch(data: JSONBody[Batch], caller: TheCaller, jobs: TheJobs) -> BatchView:
    """Submit jobs."""
    await check_new(jobs, caller, *data.jobs)
    made = await jobs.submit_batch(caller.tenant, data.jobs, actor=caller.user)
    return BatchView([view(job) for job in made])


@get(
    "/jobs",
    summary="Jobs",
    description="Newest first. `q` is part of a name or id.",
    opt=allows("jobs:read", narrowed=True),
    responses=errors(400, 401, 403, 503),
)
async def list_jobs(
    caller: TheCaller,
    jobs: TheJobs,
    job_state: Annotated[State | None, QueryParameter(name="state")] = None,
    kind: Text = None,
    queue: Text = None,
    schedule: Text = None,
    project: Text = None,
    q: Text = None,
    cursor: FromQuery[str | None] = None,
    limit: Limit = 50,
) -> Page[JobView]:
    """Jobs of the tenant that the caller may see."""
    filters = Filters(job_state, kind, queue, schedule, project, q, projects_of(caller))
    before = None if cursor is None else decode_cursor(cursor, str)
    found = await jobs.jobs(caller.tenant, filters, before=before, limit=limit)
    following = None if found.next_before is None else encode_cursor(found.next_before)
    return Page([view(job) for job in found.items], following)


@get(
    "/jobs/{job_id:str}",
    summary="One job",
    opt=allows("jobs:read", narrowed=True),
    responses=errors(400, 401, 403, 404, 503),
)
async def read_job(job_id: JobPath, caller: TheCaller, jobs: TheJobs) -> JobDetail:
    """One job, with its attempts and metrics."""
    return await _whole(jobs, await job_for(jobs, caller, job_id))


@post(
    "/jobs/{job_id:str}/cancel",
    status_code=200,
    summary="Cancel a job",
    description="One that waits ends at once, one that runs within a second.",
    opt=allows("jobs:run", narrowed=True),
    responses=errors(400, 401, 403, 404, 409, 503, 507),
)
async def cancel_job(job_id: JobPath, caller: TheCaller, jobs: TheJobs) -> JobView:
    """Ask for the end of a job."""
    await job_for(jobs, caller, job_id, RUN)
    return view(await jobs.cancel(caller.tenant, job_id, actor=caller.user))


@get(
    "/jobs/{job_id:str}/log",
    summary="A part of a job's log",
    description="From byte `start` on, of the last attempt unless `attempt` names another. A "
    "negative `start` counts from the end. At most 1 MB; go on at `end` while it is below `size`.",
    opt=allows("jobs:read", narrowed=True),
    responses=errors(400, 401, 403, 404, 503),
)
async def read_log(
    job_id: JobPath,
    caller: TheCaller,
    jobs: TheJobs,
    start: Annotated[int, QueryParameter(ge=-1_000_000_000, le=1_000_000_000)] = 0,
    attempt: Annotated[int | None, QueryParameter(ge=1, le=1000)] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=1_000_000)] = 1_000_000,
) -> LogView:
    """A part of a log."""
    await job_for(jobs, caller, job_id)
    part = await jobs.log(caller.tenant, job_id, attempt=attempt, start=start, limit=limit)
    text = part.data.decode(errors="replace")
    return LogView(part.attempt, part.start, part.end, part.size, text)


_EVENTS = ResponseSpec(
    str,
    description="Events `job` and `log`",
    media_type="text/event-stream",
    generate_examples=False,
)


@get(
    "/jobs/{job_id:str}/events",
    summary="Follow a job",
    description=(
        "Server-sent events until the job has ended. `job` is the job when it changes; `log` "
        "{attempt, offset, text} is its log from byte `offset` of attempt `attempt` on."
    ),
    opt=allows("jobs:read", narrowed=True),
    responses={200: _EVENTS, **errors(400, 401, 403, 404, 503)},
)
async def follow_job(
    job_id: JobPath,
    caller: TheCaller,
    jobs: TheJobs,
    attempt: Annotated[int, QueryParameter(ge=0, le=1000)] = 0,
    offset: Annotated[int, QueryParameter(ge=0, le=1_000_000_000)] = 0,
) -> ASGIApp:
    """Log and changes of a job until it has ended."""
    await job_for(jobs, caller, job_id)
    return EventStream(_events(jobs, caller.tenant, job_id, attempt, offset))


async def _events(
    jobs: Jobs, tenant: Any, job: str, attempt: int, offset: int
) -> AsyncGenerator[bytes, None]:
    yield b"retry: 2000\n\n"
    async for news in jobs.follow(tenant, job, attempt=attempt, offset=offset):
        if isinstance(news, Changed):
            yield _event("job", await _whole(jobs, news.job))
        else:
            yield _event("log", {"attempt": news.attempt, "offset": news.offset, "text": news.text})


def _event(name: str, what: Any) -> bytes:
    """JSON never holds a line break, so one `data:` line carries it."""
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(what) + b"\n\n"


@get(
    "/jobs/{job_id:str}/artifacts",
    summary="Files that a job made",
    description="Those of the last attempt.",
    opt=allows("jobs:read", narrowed=True),
    responses=errors(400, 401, 403, 404, 503),
)
async def list_artifacts(job_id: JobPath, caller: TheCaller, jobs: TheJobs) -> Page[ArtifactView]:
    """The artifacts of a job."""
    await job_for(jobs, caller, job_id)
    found = await jobs.artifacts(caller.tenant, job_id)
    return Page([_artifact(one) for one in found], None, len(found))


_FILE = ResponseSpec(
    bytes,
    description="The file",
    media_type="application/octet-stream",
    generate_examples=False,
)


@get(
    "/jobs/{job_id:str}/artifacts/{name:path}",
    summary="A file that a job made",
    description="`Range` asks for a part of it.",
    opt=allows("jobs:read", narrowed=True),
    responses={200: _FILE, 206: _FILE, **errors(400, 401, 403, 404, 416, 503)},
)
async def read_artifact(
    request: Request[Any, Any, Any],
    job_id: JobPath,
    name: Annotated[str, PathParameter(description="Name of the file", max_length=210)],
    caller: TheCaller,
    jobs: TheJobs,
) -> ASGIApp:
    """The bytes of an artifact."""
    await job_for(jobs, caller, job_id)
    if not caller.identity.may("telemetry:read"):  # it may hold what was asked of the tables
        raise Denied("telemetry:read", "this needs the permission telemetry:read")
    found = await jobs.artifact(caller.tenant, job_id, name.lstrip("/"))
    span = wanted_range(request.headers.get("range"), found.bytes)
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", found.name.rpartition("/")[2])
    # never shown in the page of the console: the tenant's job wrote it
    headers = {
        "content-type": "application/octet-stream",
        "content-disposition": f'attachment; filename="{plain}"',
        "etag": f'"{found.sha256[:32]}"',
        "x-media-type": found.media,
    }

    async def read(start: int, length: int) -> bytes:
        return await jobs.artifact_bytes(caller.tenant, found, start, length)

    return Download(read, found.bytes, span, headers)


def view(job: Job) -> JobView:
    """A job as a list shows it."""
    return JobView(**_shown(job))


async def _whole(jobs: Jobs, job: Job) -> JobDetail:
    attempts = await jobs.attempts(job.tenant, job.id)
    return _detail(job, attempts, await jobs.ahead(job.tenant, job.id))


def _detail(job: Job, attempts: list[Attempt], ahead: list[Ahead]) -> JobDetail:
    return JobDetail(
        **_shown(job),
        params=dict(job.params),
        timeout_s=job.timeout_s,
        cpus=job.cpus,
        memory_mb=job.memory_mb,
        backoff_s=job.backoff_s,
        result=job.result,
        metrics={
            name: [(exact_iso(int(us)), value) for us, value in points]
            for name, points in job.metrics.items()
        },
        attempts=[_attempt(one) for one in attempts],
        after=[AheadView(one.id, one.name, one.kind, one.state) for one in ahead],
    )


def _shown(job: Job) -> dict[str, Any]:
    end = job.ended_us if job.state in ENDED else now_us()
    seconds = None if job.started_us is None or end is None else (end - job.started_us) / 1e6
    same = ("id", "project", "kind", "name", "queue", "priority", "state", "attempt", "retries",
            "progress", "message", "error", "limit", "cancelling", "schedule")  # fmt: skip
    return {
        **{name: getattr(job, name) for name in same},
        "user": job.actor,
        "created": iso(job.created_us),
        "ready": iso(job.ready_us),
        "started": optional_iso(job.started_us),
        "ended": optional_iso(job.ended_us),
        "seconds": None if job.state is State.QUEUED else seconds,
    }


def _attempt(attempt: Attempt) -> AttemptView:
    return AttemptView(
        attempt.number,
        iso(attempt.started_us),
        optional_iso(attempt.ended_us),
        attempt.outcome,
        attempt.error,
        attempt.limit,
        attempt.cpu_seconds,
        attempt.where,
    )


def _artifact(artifact: Artifact) -> ArtifactView:
    return ArtifactView(
        artifact.name,
        artifact.attempt,
        artifact.bytes,
        artifact.sha256,
        artifact.media,
        iso(artifact.created_us),
    )


router = Router(
    "/",
    tags=["jobs"],
    route_handlers=[
        list_kinds,
        submit_job,
        submit_batch,
        list_jobs,
        read_job,
        cancel_job,
        read_log,
        follow_job,
        list_artifacts,
        read_artifact,
    ],
)
