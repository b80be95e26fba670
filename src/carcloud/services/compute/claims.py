"""A runner's hold on jobs: claim, keep, give back, finish.

Every change names attempt and runner in its condition. A runner that was taken for dead and comes
back finds that its jobs are no longer its own, and changes nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from carcloud.model.time import SECOND
from carcloud.services.compute.rows import job_of
from carcloud.services.compute.store import attempts, jobs
from carcloud.services.compute.submission import cancel_waiting, release_waiting
from carcloud.services.compute.turns import Waiting
from carcloud.services.compute.types import Job, State

LEASE_US = 30 * SECOND  # without a sign of life after which a runner is taken for dead
MOST_INTERRUPTIONS = 5  # that are not counted against a job's retries
_LOOKED_AT = 20  # jobs of a tenant that are looked at in one turn
_LONGEST_BACKOFF_S = 3600.0


@dataclass(frozen=True, slots=True)
class Held:
    """An attempt that a runner has claimed."""

    job: Job
    runner: str

    @property
    def attempt(self) -> int:
        """Its number, from 1."""
        return self.job.attempt

    def mine(self) -> ColumnElement[bool]:
        """True for the row of the job while this attempt is the runner's."""
        return (
            (jobs.c.id == self.job.id)
            & (jobs.c.attempt == self.attempt)
            & (jobs.c.runner == self.runner)
            & (jobs.c.state == State.RUNNING.value)
        )


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended; `outcome` is a state, `died` or `interrupted`."""

    outcome: str
    error: str | None = None
    limit: str | None = None
    again: bool = True  # whether another try makes sense
    result: bytes = b"null"
    cpu_seconds: float = 0.0
    where: str = ""


def waiting(db: Connection, now_us: int, queues: Collection[str]) -> list[Waiting]:
    """The first jobs of each tenant that may begin."""
    ready = (jobs.c.state == State.QUEUED.value) & (jobs.c.waits == 0) & (jobs.c.ready_us <= now_us)
    if queues:
        ready &= jobs.c.queue.in_(queues)
    tenants = db.execute(select(jobs.c.tenant).where(ready).distinct()).scalars().all()
    columns = [jobs.c[name] for name in ("id", "tenant", "priority", "ready_us", "cpus",
                                         "memory_mb")]  # fmt: skip
    found: list[Waiting] = []
    for tenant in tenants:
        query = select(*columns).where(ready, jobs.c.tenant == tenant)
        query = query.order_by(jobs.c.priority.desc(), jobs.c.id).limit(_LOOKED_AT)
        found += [Waiting(**row) for row in db.execute(query).mappings()]
    return found


def running(db: Connection) -> Mapping[str, int]:
    """How many jobs run, by tenant, on all runners."""
    query = select(jobs.c.tenant, func.count()).where(jobs.c.state == State.RUNNING.value)
    return {tenant: count for tenant, count in db.execute(query.group_by(jobs.c.tenant))}


def claim(db: Connection, job: str, runner: str, now_us: int) -> Held | None:
    """Take a job; None if somebody else was quicker or it was cancelled."""
    free = (jobs.c.id == job) & (jobs.c.state == State.QUEUED.value)
    values = {
        "state": State.RUNNING.value,
        "attempt": jobs.c.attempt + 1,
        "started_us": now_us,
        "runner": runner,
        "lease_us": now_us + LEASE_US,
        "progress": None,
        "message": "",
        "error": None,
        "limit": None,
        "metrics": "{}",
    }
    if db.execute(update(jobs).where(free).values(**values)).rowcount != 1:
        return None
    held = Held(job_of(db.execute(select(jobs).where(jobs.c.id == job)).mappings().one()), runner)
    row = {"job": job, "number": held.attempt, "started_us": now_us}
    db.execute(insert(attempts).values(**row))
    return held


def give_back(db: Connection, held: Held, now_us: int) -> None:
    """The attempt did not begin: as if it had not been claimed."""
    values = {
        "state": State.QUEUED.value,
        "attempt": held.attempt - 1,
        "ready_us": now_us,
        "runner": None,
        "lease_us": None,
    }
    if db.execute(update(jobs).where(held.mine()).values(**values)).rowcount == 1:
        mine = (attempts.c.job == held.job.id) & (attempts.c.number == held.attempt)
        db.execute(delete(attempts).where(mine))


def keep(db: Connection, runner: str, now_us: int) -> None:
    """A sign of life: nobody else may take this runner's jobs."""
    mine = (jobs.c.runner == runner) & (jobs.c.state == State.RUNNING.value)
    db.execute(update(jobs).where(mine).values(lease_us=now_us + LEASE_US))


def update_job(db: Connection, held: Held, values: Mapping[str, Any]) -> None:
    """Note how it is going."""
    db.execute(update(jobs).where(held.mine()).values(**values))


def finish(db: Connection, held: Held, ending: Ending, now_us: int) -> Job | None:
    """The attempt has ended: so has the job, or it is tried again. None if it was not ours."""
    job, end = held.job, ending
    row = db.execute(select(jobs).where(held.mine())).mappings().first()
    if row is None:
        return None
    _close_attempt(db, held, end, now_us)
    interrupted = row["interrupted"] + (end.outcome == "interrupted")
    if row["cancelling"]:
        state: State | None = State.CANCELLED
    else:
        state = _next_state(job, end, interrupted)
    values: dict[str, Any] = {
        "runner": None,
        "lease_us": None,
        "interrupted": interrupted,
        "error": end.error,
        "limit": end.limit,
        "cancelling": False,
    }
    if state is None:
        wait = 0.0 if end.outcome == "interrupted" else _backoff_s(job, interrupted)
        again = {"state": State.QUEUED.value, "ready_us": now_us + int(wait * SECOND)}
        db.execute(update(jobs).where(held.mine()).values(**values, **again))
    else:
        values |= {"state": state.value, "ended_us": now_us, "untold": True}
        if state is State.SUCCEEDED:
            values |= {"progress": 1.0, "result": end.result.decode()}
        db.execute(update(jobs).where(held.mine()).values(**values))
        if state is State.SUCCEEDED:
            release_waiting(db, job.id, now_us)
        else:
            cancel_waiting(db, job.id, now_us)
    return job_of(db.execute(select(jobs).where(jobs.c.id == job.id)).mappings().one())


def orphans(db: Connection, now_us: int, dead: Sequence[str]) -> list[Held]:
    """Attempts whose runner gave no sign of life for long, or is one of the `dead`."""
    lost = jobs.c.lease_us < now_us
    if dead:
        lost |= jobs.c.runner.in_(dead)
    query = select(jobs).where(jobs.c.state == State.RUNNING.value, lost)
    rows = db.execute(query).mappings().all()
    return [Held(job_of(row), row["runner"]) for row in rows]


def runners(db: Connection) -> list[str]:
    """All runners that have jobs now."""
    query = select(jobs.c.runner).where(jobs.c.state == State.RUNNING.value).distinct()
    return [name for name in db.execute(query).scalars() if name]


def cancelling(db: Connection, runner: str) -> list[str]:
    """Jobs of a runner whose end somebody asked for."""
    mine = (jobs.c.runner == runner) & (jobs.c.state == State.RUNNING.value)
    return list(db.execute(select(jobs.c.id).where(mine, jobs.c.cancelling)).scalars())


def _close_attempt(db: Connection, held: Held, end: Ending, now_us: int) -> None:
    mine = (attempts.c.job == held.job.id) & (attempts.c.number == held.attempt)
    values = {
        "ended_us": now_us,
        "outcome": end.outcome,
        "error": end.error,
        "limit": end.limit,
        "cpu_seconds": end.cpu_seconds,
        "where": end.where[:200],
        "untold": end.outcome != "interrupted",  # nobody pays for our crashes
    }
    db.execute(update(attempts).where(mine).values(**values))


def _next_state(job: Job, end: Ending, interrupted: int) -> State | None:
    """The state after an attempt; None = another one follows."""
    if end.outcome in (State.SUCCEEDED, State.CANCELLED):
        return State(end.outcome)
    if end.outcome == "interrupted" and interrupted <= MOST_INTERRUPTIONS:
        return None
    failed = job.attempt - min(interrupted, MOST_INTERRUPTIONS)
    if end.again and end.outcome != "interrupted" and failed <= job.retries:
        return None
    return State.TIMED_OUT if end.outcome == State.TIMED_OUT else State.FAILED


def _backoff_s(job: Job, interrupted: int) -> float:
    failed = max(1, job.attempt - interrupted)
    return min(_LONGEST_BACKOFF_S, job.backoff_s * 2.0 ** min(failed - 1, 20))
