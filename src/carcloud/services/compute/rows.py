"""Rows of the records as the types of the service, and back."""

import json
import secrets
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from carcloud.model.ids import Tenant
from carcloud.services.compute.errors import UnknownJob
from carcloud.services.compute.store import artifacts, attempts, edges, jobs, schedules
from carcloud.services.compute.types import (
    Ahead,
    Artifact,
    Attempt,
    Filters,
    Job,
    NewJob,
    Schedule,
    State,
)

_SAME = tuple(
    name
    for name in Job.__struct_fields__
    if name not in ("tenant", "params", "state", "result", "metrics")
)


def new_id(now_us: int) -> str:
    """An id that grows with time and that nobody guesses."""
    return f"{now_us:014x}{secrets.token_hex(5)}"


def job_of(row: Any) -> Job:
    """A row of `jobs`."""
    return Job(
        tenant=Tenant(row["tenant"]),
        params=json.loads(row["params"]),
        state=State(row["state"]),
        result=None if row["result"] is None else json.loads(row["result"]),
        metrics=json.loads(row["metrics"]),
        **{name: row[name] for name in _SAME},
    )


def find_job(db: Connection, tenant: Tenant, job: str) -> Job:
    """A job; raises `UnknownJob`."""
    mine = (jobs.c.tenant == tenant) & (jobs.c.id == job)
    row = db.execute(select(jobs).where(mine)).mappings().first()
    if row is None:
        raise UnknownJob(f"there is no job {job!r}")
    return job_of(row)


def ahead_of(db: Connection, job: str) -> list[Ahead]:
    """The jobs that a job waits for, or waited for, in order of id."""
    found = (
        select(jobs.c.id, jobs.c.name, jobs.c.kind, jobs.c.state)
        .join(edges, edges.c.needs == jobs.c.id)
        .where(edges.c.job == job)
        .order_by(jobs.c.id)
    )
    return [Ahead(row.id, row.name, row.kind, State(row.state)) for row in db.execute(found)]


def open_jobs(db: Connection, tenant: Tenant) -> dict[State, int]:
    """How many jobs of a tenant wait and run."""
    mine = (jobs.c.tenant == tenant) & jobs.c.state.in_([State.QUEUED, State.RUNNING])
    counted = select(jobs.c.state, func.count()).where(mine).group_by(jobs.c.state)
    return {State(state): count for state, count in db.execute(counted)}


def page(
    db: Connection, tenant: Tenant, filters: Filters, before: str | None, limit: int
) -> Sequence[Job]:
    """Up to `limit` jobs with ids below `before`, newest first."""
    query = select(jobs).where(jobs.c.tenant == tenant)
    for name in ("state", "kind", "queue", "schedule", "project"):
        value = getattr(filters, name)
        if value is not None:
            query = query.where(jobs.c[name] == str(value))
    if filters.projects is not None:
        query = query.where(jobs.c.project.in_(filters.projects))
    if filters.q:
        part = filters.q.lower()
        query = query.where(
            func.lower(jobs.c.name).contains(part, autoescape=True)
            | jobs.c.id.contains(part, autoescape=True)
        )
    if before is not None:
        query = query.where(jobs.c.id < before)
    rows = db.execute(query.order_by(jobs.c.id.desc()).limit(limit)).mappings()
    return [job_of(row) for row in rows]


def attempts_of(db: Connection, job: str) -> list[Attempt]:
    """The attempts at a job, first one first."""
    query = select(attempts).where(attempts.c.job == job).order_by(attempts.c.number)
    return [
        Attempt(**{name: row[name] for name in Attempt.__struct_fields__})
        for row in db.execute(query).mappings()
    ]


def artifacts_of(db: Connection, job: str, attempt: int) -> list[Artifact]:
    """The artifacts of an attempt, by name."""
    mine = (artifacts.c.job == job) & (artifacts.c.attempt == attempt)
    query = select(artifacts).where(mine).order_by(artifacts.c.name)
    return [Artifact(**row) for row in db.execute(query).mappings()]


def schedule_of(row: Any) -> Schedule:
    """A row of `job_schedules`."""
    fields = {name: row[name] for name in Schedule.__struct_fields__}
    return Schedule(**{**fields, "job": msgspec.json.decode(row["job"], type=NewJob)})


def find_schedule(db: Connection, tenant: Tenant, name: str) -> Schedule:
    """A schedule; raises `UnknownJob`."""
    mine = (schedules.c.tenant == tenant) & (schedules.c.name == name)
    row = db.execute(select(schedules).where(mine)).mappings().first()
    if row is None:
        raise UnknownJob(f"there is no schedule {name!r}")
    return schedule_of(row)
