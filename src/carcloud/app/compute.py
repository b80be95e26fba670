"""Jobs of tenants: the service for the web role, the engine and the runner for the jobs role."""

import hashlib
import os
import socket
from pathlib import Path

from carcloud.app import job_work
from carcloud.app.engines import Engines
from carcloud.app.job_kinds import job_kinds
from carcloud.app.report import Figures
from carcloud.config import Settings
from carcloud.engines.compute_local import LocalCompute
from carcloud.engines.compute_local.pool import machine_memory_mb
from carcloud.model.figures import by_label
from carcloud.ports.compute import Compute
from carcloud.services.compute.api import Jobs, Runner, RunnerOptions
from carcloud.services.tenancy.api import TenantLimits

_WARM_AFTER_S = 5.0  # when the other roles have started


def make_jobs(settings: Settings, engines: Engines) -> Jobs:
    """The compute service of an installation."""
    most = {"cpus": _cpus(settings), "memory_mb": float(_memory_mb(settings))}
    local = settings.text("compute.engine") == "local"  # a cluster says itself what it has
    return Jobs(
        engines.records, engines.blobs, engines.stream, job_kinds(), most=most if local else None
    )


async def open_compute(settings: Settings) -> Compute:
    """The engine that runs jobs; raises `Unavailable`."""
    if settings.text("compute.engine") == "ray":
        from carcloud.engines.compute_ray import RayCompute

        return await RayCompute.connect(settings.text("compute.ray_address"))
    return LocalCompute(
        cpus=_cpus(settings),
        memory_mb=_memory_mb(settings),
        places=settings.whole("compute.places") or None,
        warm=settings.whole("compute.warm"),
        warm_after_s=_WARM_AFTER_S,
        prepare=(job_work.PREPARE, _data(settings)),
    )


def make_runner(settings: Settings, engines: Engines, compute: Compute, instance: str) -> Runner:
    """The runner of a jobs process, the only one that lives at this data folder."""
    data = _data(settings)
    options = RunnerOptions(
        name=f"{_place(data)}/{instance}",
        function=job_work.FUNCTION,
        argument=lambda order: job_work.argument(data, order),
        queues=[name for name in settings.text("compute.queues").replace(",", " ").split()],
        log_bytes=settings.whole("compute.log_mb") * 1_000_000,
        keep_days=settings.whole("compute.keep_days"),
    )
    limits = TenantLimits(engines.records)
    return Runner(
        engines.records,
        engines.blobs,
        engines.stream,
        compute,
        options,
        limit=lambda tenant: limits.limit(tenant, "jobs"),
    )


def runner_figures(runner: Runner) -> Figures:
    """What the status of a jobs process says of its runner."""
    told = runner.figures
    return Figures(
        {"jobs_begun_total": told.begun, **by_label("jobs_ended_total", "outcome", told.ended)},
        {"jobs_running": told.running, "jobs_waiting": told.waiting},
        {} if told.problem is None else {"jobs-wait": told.problem},
    )


def _data(settings: Settings) -> str:
    return str(Path(settings.text("data")).absolute())


def _place(data: str) -> str:
    return hashlib.sha256(f"{socket.gethostname()} {data}".encode()).hexdigest()[:12]


def _cpus(settings: Settings) -> float:
    return float(settings.whole("compute.cpus") or os.cpu_count() or 1)


def _memory_mb(settings: Settings) -> int:
    return settings.whole("compute.memory_mb") or machine_memory_mb() * 3 // 4
