"""The roles a process can have. Each runs until SIGTERM and leaves nothing half done."""

import asyncio
import logging
import os
import signal
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

from carcloud.app.engines import Engines, open_engines
from carcloud.app.gateway import GatewayRole
from carcloud.app.report import Figures, Reporter
from carcloud.codecs.gbt32960.columnar import warm
from carcloud.config import Settings
from carcloud.rundir import RunDir
from carcloud.services.telemetry.decode_gbt32960 import decoder as gbt32960_decoder
from carcloud.services.telemetry.ingest import Ingest

log = logging.getLogger(__name__)


def instance_name(role: str) -> str:
    """A name that no other process ever has."""
    return f"{role}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def run_role(role: str, settings: Settings) -> None:
    """Run a role until it is told to stop."""
    runners: dict[str, Callable[[Settings], None]] = {
        "gateway": lambda s: _with_loop(_gateway(s)),
        "ingest": lambda s: _with_loop(_ingest(s)),
        "jobs": lambda s: _with_loop(_jobs(s)),
        "web": lambda s: _with_loop(_web(s)),
    }
    runners[role](settings)


def _with_loop(work: Awaitable[None]) -> None:
    import uvloop

    async def main() -> None:
        await work

    uvloop.run(main())


def _on_stop(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


async def _gateway(settings: Settings) -> None:
    engines = await open_engines(settings)
    name = instance_name("gateway")
    role = GatewayRole(settings, engines, name)
    stopped = asyncio.Event()
    _on_stop(stopped.set)
    address = await role.start()
    reporter = Reporter(engines.stream, "gateway", name, role.figures)
    telling = asyncio.create_task(reporter.run())
    RunDir(Path(settings.text("data"))).write_ready("gateway", {"gbt32960": address})
    await stopped.wait()
    await role.stop()
    telling.cancel()
    await engines.close()


async def _ingest(settings: Settings) -> None:
    engines = await open_engines(settings)
    name = instance_name("ingest")
    ingest = make_ingest(settings, engines)
    _on_stop(ingest.stop)
    reporter = Reporter(engines.stream, "ingest", name, lambda: _ingest_figures(ingest))
    telling = asyncio.create_task(reporter.run())
    await asyncio.to_thread(warm)  # a second from the cache; longer when it must compile
    RunDir(Path(settings.text("data"))).write_ready("ingest", {})
    await ingest.run()
    telling.cancel()
    await engines.close()


def make_ingest(settings: Settings, engines: Engines) -> Ingest:
    """The ingest of an installation."""
    return Ingest(
        engines.stream,
        engines.lake,
        {"gbt32960": gbt32960_decoder()},
        commit_s=settings.number("ingest.commit_ms") / 1000,
        commit_rows=settings.whole("ingest.commit_rows"),
        future_s=settings.number("gateway.future_tolerance_s"),
        dedup_entries=settings.whole("ingest.dedup_entries"),
    )


def _ingest_figures(ingest: Ingest) -> Figures:
    told = ingest.figures
    gauges = {"lag_frames": float(told.lag_frames)}
    if told.freshness_ms is not None:
        gauges["freshness_ms"] = told.freshness_ms
    return Figures(
        counters={
            "frames_total": told.frames,
            "stored_total": told.stored,
            "duplicates_total": told.duplicates,
            "corrections_total": told.corrections,
            "dead_letters_total": told.dead_letters,
            "commits_total": told.commits,
        },
        gauges=gauges,
        problems={} if told.problem is None else {"lake-waits": told.problem},
    )


async def _web(settings: Settings) -> None:
    from carcloud.app.web import run_web

    await run_web(settings, instance_name("web"))


async def _jobs(settings: Settings) -> None:
    from carcloud.app.jobs import run_jobs

    await run_jobs(settings, instance_name("jobs"))
