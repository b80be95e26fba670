"""Putting jobs into the records, and taking them back."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from carcloud.model.ids import Tenant
from carcloud.model.limits import check as check_limit
from carcloud.services.compute import dag
from carcloud.services.compute.errors import InvalidJob, JobEnded
from carcloud.services.compute.kinds import Kinds
from carcloud.services.compute.rows import find_job, new_id
from carcloud.services.compute.store import edges, jobs
from carcloud.services.compute.tables import named
from carcloud.services.compute.types import ENDED, Job, NewJob, State
from carcloud.services.tenancy.api import AuditEntry, limit_in, record_changes

MOST_PARAMS = 1_000_000  # bytes of JSON
_MOST_FAILED = 10_000  # jobs that are cancelled with one that they wait for


def check(kinds: Kinds, job: NewJob, most: Mapping[str, float]) -> None:
    """Raises `InvalidJob`; `most` is the greatest `cpus` and `memory_mb` that a job may ask for."""
    kinds.checked(job.kind, job.params)
    for name, limit in most.items():
        if getattr(job, name) > limit:
            raise InvalidJob(name, f"at most {limit:g} (compute.{name})")
    if len(msgspec.json.encode(job.params)) > MOST_PARAMS:
        raise InvalidJob("params", f"at most {MOST_PARAMS} bytes")


def add(
    db: Connection,
    tenant: Tenant,
    batch: Sequence[NewJob],
    *,
    actor: str,
    now: Callable[[], int],
    schedule: str | None = None,
) -> list[Job]:
    """Put a batch in, in its order.

    Raises `InvalidJob` for circles and what is not there, `OverLimit` where too many wait.
    """
    _check_queue(db, tenant, len(batch))
    ids = {job.key: new_id(now()) for job in batch if job.key is not None}
    if len(ids) != sum(job.key is not None for job in batch):
        raise InvalidJob("key", "two jobs of the batch have the same key")
    try:
        dag.in_order({job.key: job.after for job in batch if job.key is not None})
    except dag.Circle as circle:
        raise InvalidJob("after", f"jobs wait for each other: {circle}") from circle
    made = [ids.get(job.key or "") or new_id(now()) for job in batch]
    needs = [[ids.get(name, name) for name in dict.fromkeys(job.after)] for job in batch]
    known = _states(db, tenant, {one for each in needs for one in each} - set(made))
    for each in needs:
        _check_needs(each, set(made), known)
    for name, job, wanted in zip(made, batch, needs, strict=True):
        waits = sum(known.get(one) is not State.SUCCEEDED for one in wanted)
        db.execute(insert(jobs).values(**_values(name, tenant, job, actor, now(), schedule, waits)))
    rows = [
        {"job": name, "needs": one}
        for name, wanted in zip(made, needs, strict=True)
        for one in wanted
    ]
    if rows:
        db.execute(insert(edges), rows)
    found = [find_job(db, tenant, name) for name in made]
    record_changes(
        db, [AuditEntry(tenant, actor, "job.submit", job.id, None, told(job)) for job in found]
    )
    return found


def cancel(db: Connection, tenant: Tenant, name: str, *, actor: str, now_us: int) -> Job:
    """Ask for the end of a job: at once where it waits; raises `UnknownJob`, `JobEnded`."""
    job = find_job(db, tenant, name)
    if job.state in ENDED:
        raise JobEnded(f"job {name} has ended: {job.state}")
    entry = AuditEntry(tenant, actor, "job.cancel", name, {"state": job.state.value}, None)
    record_changes(db, [entry])
    waiting = (jobs.c.id == name) & (jobs.c.state == State.QUEUED.value)
    ended = {
        "state": State.CANCELLED.value,
        "ended_us": now_us,
        "error": f"cancelled by {actor}"[:500],
        "untold": True,
        "cancelling": False,
    }
    if db.execute(update(jobs).where(waiting).values(**ended)).rowcount == 1:
        cancel_waiting(db, name, now_us)
    else:
        running = (jobs.c.id == name) & (jobs.c.state == State.RUNNING.value)
        db.execute(update(jobs).where(running).values(cancelling=True))
    return find_job(db, tenant, name)


def cancel_waiting(db: Connection, failed: str, now_us: int) -> None:
    """Cancel all jobs that wait for one that will not succeed, and those that wait for these."""
    front, count = [failed], 0
    while front and count < _MOST_FAILED:
        needed = front.pop()
        query = (
            select(edges.c.job)
            .join(jobs, jobs.c.id == edges.c.job)
            .where(edges.c.needs == needed, jobs.c.state == State.QUEUED.value)
        )
        for job in list(db.execute(query).scalars()):
            values = {
                "state": State.CANCELLED.value,
                "ended_us": now_us,
                "error": f"job {needed}, for which it waited, did not succeed",
                "untold": True,
            }
            db.execute(update(jobs).where(jobs.c.id == job).values(**values))
            front.append(job)
            count += 1


def release_waiting(db: Connection, succeeded: str, now_us: int) -> None:
    """One job less to wait for, for those that waited for this one."""
    waiting = select(edges.c.job).where(edges.c.needs == succeeded)
    mine = jobs.c.id.in_(waiting) & (jobs.c.state == State.QUEUED.value)
    db.execute(update(jobs).where(mine).values(waits=jobs.c.waits - 1, ready_us=now_us))


def told(job: Job) -> dict[str, object]:
    """A job as the audit keeps it: not its parameters, which may be long and the tenant's own,
    but for the tables that it writes."""
    tables = named(job.params)
    return {
        "kind": job.kind,
        "name": job.name,
        "queue": job.queue,
        "priority": job.priority,
        "schedule": job.schedule,
        **({"tables": tables} if tables else {}),
    }


def _check_queue(db: Connection, tenant: Tenant, more: int) -> None:
    live = (State.QUEUED.value, State.RUNNING.value)
    mine = (jobs.c.tenant == tenant) & jobs.c.state.in_(live)
    used = db.execute(select(func.count()).select_from(jobs).where(mine)).scalar_one()
    check_limit("jobs_queued", limit_in(db, tenant, "jobs_queued"), used, more)


def _states(db: Connection, tenant: Tenant, names: set[str]) -> dict[str, State]:
    mine = (jobs.c.tenant == tenant) & jobs.c.id.in_(names)
    rows = db.execute(select(jobs.c.id, jobs.c.state).where(mine))
    return {row.id: State(row.state) for row in rows}


def _check_needs(needs: Sequence[str], made: set[str], known: Mapping[str, State]) -> None:
    for name in needs:
        if name in made:
            continue
        if name not in known:
            raise InvalidJob("after", f"there is no job {name!r}")
        if known[name] in ENDED and known[name] is not State.SUCCEEDED:
            raise InvalidJob("after", f"job {name} did not succeed: {known[name]}")


def _values(
    name: str,
    tenant: Tenant,
    job: NewJob,
    actor: str,
    now_us: int,
    schedule: str | None,
    waits: int,
) -> dict[str, Any]:
    same = ("kind", "name", "queue", "priority", "retries", "backoff_s", "timeout_s", "cpus",
            "memory_mb", "project")  # fmt: skip
    return {
        **{field: getattr(job, field) for field in same},
        "id": name,
        "tenant": tenant,
        "params": json.dumps(job.params, ensure_ascii=False),
        "state": State.QUEUED.value,
        "actor": actor,
        "created_us": now_us,
        "ready_us": now_us,
        "schedule": schedule,
        "waits": waits,
    }
