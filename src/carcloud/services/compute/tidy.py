"""Jobs that ended long ago are forgotten: first their blobs, then their rows."""

from sqlalchemy import delete, select

from carcloud.model.ids import Tenant
from carcloud.model.time import DAY
from carcloud.ports.blobs import Blobs
from carcloud.ports.records import Records
from carcloud.services.compute import logs
from carcloud.services.compute.keys import artifacts_prefix
from carcloud.services.compute.store import edges, jobs
from carcloud.services.compute.types import ENDED, State

_AT_ONCE = 200


def forget_old(records: Records, blobs: Blobs, keep_days: int, now_us: int) -> int:
    """Forget up to 200 jobs that ended more than `keep_days` ago; returns how many.

    One that a job which has not ended waits for stays. Raises the errors of the engines.
    """
    live = select(edges.c.needs).join(jobs, jobs.c.id == edges.c.job)
    needed = live.where(jobs.c.state.in_((State.QUEUED.value, State.RUNNING.value)))
    old = (
        jobs.c.state.in_([state.value for state in ENDED])
        & (jobs.c.ended_us < now_us - keep_days * DAY)
        & ~jobs.c.untold
        & jobs.c.id.not_in(needed)
    )
    query = select(jobs.c.id, jobs.c.tenant).where(old).order_by(jobs.c.id).limit(_AT_ONCE)
    with records.reading() as db:
        found = [(row.id, Tenant(row.tenant)) for row in db.execute(query)]
    for job, tenant in found:
        logs.remove(blobs, tenant, job)
        for blob in list(blobs.list(artifacts_prefix(tenant, job))):
            blobs.delete(blob.key)
        with records.transaction() as db:
            db.execute(delete(jobs).where(jobs.c.id == job))
    return len(found)
