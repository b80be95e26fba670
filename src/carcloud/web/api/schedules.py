"""Routes for schedules: jobs that are submitted again and again."""

from typing import Annotated

import msgspec
from litestar import Response, Router, delete, get, post, put
from litestar.datastructures import ResponseHeader
from litestar.openapi.spec import Example
from litestar.params import Body, HeaderParameter, JSONBody, PathParameter, QueryParameter

from carcloud.model.time import iso
from carcloud.services.compute.api import Jobs, NewJob, NewSchedule, Schedule
from carcloud.web.api.job_rights import RUN, check_new, projects_of, schedule_for
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheJobs
from carcloud.web.paging import Page
from carcloud.web.tags import etag, wanted_revision
from carcloud.web.times import optional_iso

SchedulePath = Annotated[
    str, PathParameter(pattern=r"^[a-z0-9][a-z0-9_.-]{0,39}$", description="Name of the schedule")
]
IfMatch = Annotated[str | None, HeaderParameter(name="If-Match")]
_TAGGED = [ResponseHeader(name="ETag", documentation_only=True, description="Its revision")]


class ScheduleView(msgspec.Struct, frozen=True):
    """A schedule; `next` null = it is disabled. `upcoming` are the next times, as planned."""

    name: str
    cron: str
    timezone: str
    job: NewJob
    enabled: bool
    overlap: bool
    next: str | None
    upcoming: list[str]
    last: str | None
    last_job: str | None
    user: str
    created: str


class ScheduleBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A schedule without its name, which is in the address."""

    cron: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    job: NewJob
    timezone: Annotated[str, msgspec.Meta(max_length=60)] = "UTC"
    enabled: bool = True
    overlap: bool = False


_EXAMPLE = Example(
    summary="Each day at 2:30 in Shanghai",
    value={
        "name": "daily-report",
        "cron": "30 2 * * *",
        "timezone": "Asia/Shanghai",
        "job": {"kind": "query-export", "params": {"sql": "SELECT count(*) FROM signals"}},
    },
)


@get(
    "/schedules",
    summary="Schedules of jobs",
    opt=allows("jobs:read", narrowed=True),
    responses=errors(401, 403, 503),
)
async def list_schedules(caller: TheCaller, jobs: TheJobs) -> Page[ScheduleView]:
    """The tenant's schedules."""
    found, seen = await jobs.schedules(caller.tenant), projects_of(caller)
    found = [one for one in found if seen is None or one.job.project in seen]
    return Page([_view(jobs, one) for one in found], None, len(found))


@post(
    "/schedules",
    summary="Add a schedule",
    description="`cron` has five fields: minute, hour, day of month, month, day of week.",
    opt=allows("jobs:run", narrowed=True),
    response_headers=_TAGGED,
    responses=errors(400, 401, 403, 409, 413, 503, 507),
)
async def create_schedule(
    data: Annotated[NewSchedule, Body(examples=[_EXAMPLE])], caller: TheCaller, jobs: TheJobs
) -> Response[ScheduleView]:
    """Add a schedule."""
    await check_new(jobs, caller, data.job)
    made = await jobs.create_schedule(caller.tenant, data, actor=caller.user)
    return Response(_view(jobs, made), status_code=201, headers=etag(made.revision))


class Upcoming(msgspec.Struct, frozen=True):
    """The next times of a cron line."""

    times: list[str]


@get(
    "/cron",
    summary="When a cron line is due next",
    description="The next five times, before a schedule is made of it.",
    opt=allows("jobs:read", narrowed=True),
    responses=errors(400, 401, 403, 503),
)
async def read_cron(
    jobs: TheJobs,
    line: Annotated[str, QueryParameter(min_length=1, max_length=200)],
    timezone: Annotated[str, QueryParameter(max_length=60)] = "UTC",
) -> Upcoming:
    """Times of a cron line."""
    return Upcoming([iso(us) for us in jobs.upcoming(line, timezone)])


@get(
    "/schedules/{schedule:str}",
    summary="One schedule",
    opt=allows("jobs:read", narrowed=True),
    response_headers=_TAGGED,
    responses=errors(400, 401, 403, 404, 503),
)
async def read_schedule(
    schedule: SchedulePath, caller: TheCaller, jobs: TheJobs
) -> Response[ScheduleView]:
    """One schedule."""
    found = await schedule_for(jobs, caller, schedule)
    return Response(_view(jobs, found), headers=etag(found.revision))


@put(
    "/schedules/{schedule:str}",
    summary="Change a schedule",
    description="`If-Match` must name the revision that you saw.",
    opt=allows("jobs:run", narrowed=True),
    response_headers=_TAGGED,
    responses=errors(400, 401, 403, 404, 412, 413, 428, 503, 507),
)
async def replace_schedule(
    schedule: SchedulePath,
    data: JSONBody[ScheduleBody],
    caller: TheCaller,
    jobs: TheJobs,
    if_match: IfMatch = None,
) -> Response[ScheduleView]:
    """Change a schedule."""
    await schedule_for(jobs, caller, schedule, RUN)
    await check_new(jobs, caller, data.job)
    revision = wanted_revision(if_match, needed=True)
    new = NewSchedule(schedule, data.cron, data.job, data.timezone, data.enabled, data.overlap)
    made = await jobs.replace_schedule(caller.tenant, new, actor=caller.user, if_revision=revision)
    return Response(_view(jobs, made), headers=etag(made.revision))


@delete(
    "/schedules/{schedule:str}",
    summary="Remove a schedule",
    description="Its jobs stay.",
    opt=allows("jobs:run", narrowed=True),
    responses=errors(400, 401, 403, 404, 503, 507),
)
async def remove_schedule(schedule: SchedulePath, caller: TheCaller, jobs: TheJobs) -> None:
    """Remove a schedule."""
    await schedule_for(jobs, caller, schedule, RUN)
    await jobs.remove_schedule(caller.tenant, schedule, actor=caller.user)


def _view(jobs: Jobs, one: Schedule) -> ScheduleView:
    planned = jobs.upcoming(one.cron, one.timezone) if one.enabled else []
    return ScheduleView(
        name=one.name,
        cron=one.cron,
        timezone=one.timezone,
        job=one.job,
        enabled=one.enabled,
        overlap=one.overlap,
        next=optional_iso(one.next_us),
        upcoming=[iso(us) for us in planned],
        last=optional_iso(one.last_us),
        last_job=one.last_job,
        user=one.actor,
        created=iso(one.created_us),
    )


router = Router(
    "/",
    tags=["jobs"],
    route_handlers=[
        list_schedules,
        read_cron,
        create_schedule,
        read_schedule,
        replace_schedule,
        remove_schedule,
    ],
)
