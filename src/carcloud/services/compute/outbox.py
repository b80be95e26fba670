"""What the service publishes: marked in the records, so that a crash in between loses nothing."""

import asyncio
import json
from typing import Any

from sqlalchemy import select, update

from carcloud.model.ids import Tenant
from carcloud.model.streams import event_subject
from carcloud.model.time import iso
from carcloud.ports.records import Records
from carcloud.ports.stream import Stream
from carcloud.services.compute.rows import job_of
from carcloud.services.compute.store import jobs
from carcloud.services.compute.types import Job

_AT_ONCE = 100


async def publish(records: Records, stream: Stream) -> None:
    """Publish `compute.job-ended` for each job that has ended; raises the engines' errors."""
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
