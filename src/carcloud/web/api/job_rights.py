"""Jobs and schedules that a caller may see or have done: those of the projects of their grants."""

from carcloud.services.compute.api import (
    OF_PROJECT,
    Job,
    Jobs,
    NewJob,
    Schedule,
)
from carcloud.services.tenancy.api import Denied
from carcloud.web.callers import Caller

READ, RUN = "jobs:read", "jobs:run"


def projects_of(caller: Caller) -> tuple[str, ...] | None:
    """The projects whose jobs the caller may see; None = all."""
    scopes = caller.identity.scopes(READ)
    if scopes is None:
        return None
    return tuple(sorted({scope.project for scope in scopes if scope.project is not None}))


async def job_for(jobs: Jobs, caller: Caller, job_id: str, action: str = READ) -> Job:
    """A job on which the caller may do `action`; raises `UnknownJob`, `Denied`."""
    found = await jobs.job(caller.tenant, job_id)
    check(caller, action, found.project, f"there is no job {job_id!r}")
    return found


async def schedule_for(jobs: Jobs, caller: Caller, name: str, action: str = READ) -> Schedule:
    """A schedule on which the caller may do `action`; raises `UnknownJob`, `Denied`."""
    found = await jobs.schedule(caller.tenant, name)
    check(caller, action, found.job.project, f"there is no schedule {name!r}")
    return found


async def check_new(jobs: Jobs, caller: Caller, *wanted: NewJob) -> None:
    """Raises `Denied` where the caller may not have these jobs done: in their projects, of their
    kinds, after others; and `InvalidJob`, `UnknownJob`."""
    keys = {job.key for job in wanted}
    for job in wanted:
        check(caller, RUN, job.project)
        for action in jobs.kinds.needed(job.kind, job.params):
            where = job.project if action in OF_PROJECT else None
            if not caller.identity.may(action, project=where):
                raise Denied(action, f"a job of the kind {job.kind} needs the permission {action}")
        if projects_of(caller) is not None:
            for other in set(job.after) - keys:
                await job_for(jobs, caller, other)


def check(caller: Caller, action: str, project: str, unseen: str = "") -> None:
    """Raises `Denied`: as `unseen` to whoever may not even see what is in the project."""
    if caller.identity.may(action, project=project):
        return
    if unseen and not caller.identity.may(READ, project=project):
        raise Denied(action, unseen, hidden=True)
    raise Denied(action, f"this needs the permission {action} in the project {project!r}")
