"""Whose turn it is: priorities inside a tenant, fairness between tenants.

The tenant with the fewest running jobs goes first; among equals, the one that was not served for
longest. A tenant's own jobs go by priority, then by age. A job that has waited for long and does
not fit holds the room back, so that small ones do not pass it for ever.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PATIENCE_US = 60_000_000  # after which a job that does not fit holds the room back


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that could begin; `id` grows with time."""

    id: str
    tenant: str
    priority: int  # 9 goes first
    ready_us: int
    cpus: float
    memory_mb: int


@dataclass(frozen=True, slots=True)
class Space:
    """What is free."""

    cpus: float
    memory_mb: int

    def holds(self, job: Waiting) -> bool:
        """Whether a job fits."""
        return job.cpus <= self.cpus and job.memory_mb <= self.memory_mb


@dataclass(frozen=True, slots=True)
class Standing:
    """How a tenant stands: how many jobs it may run and runs, when it was served last."""

    limit: int
    running: int
    served: int = 0  # any number that grows


def next_job(
    waiting: Sequence[Waiting], standing: Mapping[str, Standing], space: Space, now_us: int
) -> Waiting | None:
    """The job to begin now; None when nothing may."""
    best: dict[str, Waiting] = {}
    for job in waiting:
        other = best.get(job.tenant)
        if other is None or (-job.priority, job.id) < (-other.priority, other.id):
            best[job.tenant] = job
    allowed = [tenant for tenant in best if standing[tenant].running < standing[tenant].limit]
    allowed.sort(key=lambda tenant: (standing[tenant].running, standing[tenant].served, tenant))
    for tenant in allowed:
        job = best[tenant]
        if space.holds(job):
            return job
        if now_us - job.ready_us > PATIENCE_US:
            return None
    return None
