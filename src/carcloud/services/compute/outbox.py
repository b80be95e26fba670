"""What the service publishes: marked in the records, so that a crash in between loses nothing."""

import asyncio
import json
from typing import Any

from sqlalchemy import select, update

from carcloud.model.ids import Tenant
from carcloud.model.streams import event_subject
from carcloud.model.time import iso
from carcloud.model.usage import Usage, usage_event
from carcloud.ports.records import Records
from carcloud.ports.stream import Stream
from carcloud.services.compute.rows import job_of
from carcloud.services.compute.store import attempts, jobs
from carcloud.services.compute.types import Job

_AT_ONCE = 100


async def publish(records: Records, stream: Stream) -> None:
    """Publish `compute.job-ended` for each job that has ended, and what each attempt used.

    Raises the errors of the engines; what was not told is told the next time.
    """
    for usage in await asyncio.to_thread(_used, records):
        message = usage_event(usage)
        await stream.publish(message.subject, message.data, message.message_id)
        await asyncio.to_thread(_counted, records, usage)
    for job in await asyncio.to_thread(_ended, records):
        subject = event_subject(job.tenant, "compute", "job-ended")
        await stream.publish(subject, json.dumps(_event(job)).encode(), f"job-{job.id}-ended")
        await asyncio.to_thread(_told, records, job.id)


def _ended(records: Records) -> list[Job]:
    query = select(jobs).where(jobs.c.untold).order_by(jobs.c.id).limit(_AT_ONCE)
    with records.reading() as db:
        return [job_of(row) for row in db.execute(query).mappings()]


def _told(records: Records, job: str) -> None:
    with records.transaction() as db:
        db.execute(update(jobs).where(jobs.c.id == job).values(untold=False))


def _used(records: Records) -> list[Usage]:
    """Processors that were set aside, times how long: what nobody else could have meanwhile."""
    columns = (attempts, jobs.c.tenant, jobs.c.project, jobs.c.cpus)
    query = select(*columns).join(jobs, jobs.c.id == attempts.c.job).where(attempts.c.untold)
    with records.reading() as db:
        rows = db.execute(query.limit(_AT_ONCE)).mappings().all()
    return [
        Usage(
            f"job-{row['job']}-{row['number']}",
            Tenant(row["tenant"]),
            "compute_seconds",
            round(row["cpus"] * (row["ended_us"] - row["started_us"]) / 1000),
            row["ended_us"],
            row["job"],
            row["project"],
        )
        for row in rows
    ]


def _counted(records: Records, usage: Usage) -> None:
    number = int(usage.id.rpartition("-")[2])
    mine = (attempts.c.job == usage.subject) & (attempts.c.number == number)
    with records.transaction() as db:
        db.execute(update(attempts).where(mine).values(untold=False))


def _event(job: Job) -> dict[str, Any]:
    return {
        "job": job.id,
        "tenant": Tenant(job.tenant),
        "project": job.project,
        "kind": job.kind,
        "name": job.name,
        "state": job.state.value,
        "attempt": job.attempt,
        "error": job.error,
        "limit": job.limit,
        "schedule": job.schedule,
        "started": None if job.started_us is None else iso(job.started_us),
        "ended": None if job.ended_us is None else iso(job.ended_us),
    }
