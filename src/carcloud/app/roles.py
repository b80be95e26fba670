"""The roles a process can have. Each runs until SIGTERM and leaves nothing half done.

A role loads what it needs alone: the decoders' compiler and the web framework take a second each.
"""

import asyncio
import importlib
import logging
import os
import signal
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from carcloud import lean, logs
from carcloud.app.engines import open_engines
from carcloud.app.report import Reporter
from carcloud.app.tracing import open_tracing
from carcloud.config import InvalidSetting, Settings
from carcloud.endings import begin, end
from carcloud.ports.errors import EngineError
from carcloud.ports.tracing import Tracer
from carcloud.rundir import RunDir

log = logging.getLogger(__name__)


def instance_name(role: str) -> str:
    """A name that no other process ever has."""
    return f"{role}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def play(role: str, data: Path, listeners: Mapping[str, int], gate: int | None) -> None:
    """Run a role until it is told to stop, with the settings that the supervisor left.

    `listeners`: file descriptors of listening sockets that the supervisor has opened. `gate`:
    a descriptor to wait at until there is something to work with, None = there is.
    Raises `SystemExit` when the role cannot work; the log says why.
    """
    _load(role)
    if gate is not None:
        _wait_at(gate)
    settings, instance = RunDir(data).settings(), instance_name(role)
    logs.set_up(role, settings.text("log.level"), settings.text("log.format"), instance)
    try:
        _run(role, settings, instance, listeners)
    except (OSError, EngineError, InvalidSetting) as error:
        log.error("%s", error)
        raise SystemExit(1) from error


def load_shared() -> None:
    """What most roles load, for a process that will fork into them."""
    importlib.import_module("carcloud.app.jobs")
    importlib.import_module("carcloud.engines.lake_delta")
    importlib.import_module("uvloop")


def _load(role: str) -> None:
    """All that the role will need and that opens nothing."""
    importlib.import_module(f"carcloud.app.{role}")
    if role != "gateway":
        importlib.import_module("carcloud.engines.lake_delta")
    if role == "ingest":
        from carcloud.app import compiled

        compiled.warm(compiled.INGEST)  # a second from the cache; else it must compile


def _wait_at(gate: int) -> None:
    with os.fdopen(gate, "rb", buffering=0) as end:
        if not end.read(1):
            raise SystemExit(1)  # nobody is there who could open it


def _run(role: str, settings: Settings, instance: str, listeners: Mapping[str, int]) -> None:
    runners = {"gateway": _gateway, "ingest": _ingest, "jobs": _jobs}
    tracing = open_tracing(settings, role, instance)
    try:
        if role == "web":
            _with_loop(_web(settings, instance, listeners))
        else:
            _with_loop(runners[role](settings, instance, tracing.tracer))
    finally:
        tracing.close()


def _with_loop(work: Awaitable[None]) -> None:
    import uvloop

    async def main() -> None:
        await work

    uvloop.run(main())


def _on_stop(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop)


async def _gateway(settings: Settings, name: str, tracer: Tracer) -> None:
    from carcloud.app.gateway import GatewayRole

    engines = await open_engines(settings)
    role = GatewayRole(settings, engines, name, tracer)
    stopped = asyncio.Event()
    _on_stop(stopped.set)
    addresses = await role.start()
    reporter = Reporter(engines.stream, "gateway", name, role.figures)
    telling = begin(reporter.run, "the status report")
    RunDir(Path(settings.text("data"))).write_ready("gateway", addresses)
    lean.started()
    await stopped.wait()
    await role.stop()
    await end([telling])
    await engines.close()


async def _ingest(settings: Settings, name: str, tracer: Tracer) -> None:
    from carcloud.app.ingest import run_ingest

    await run_ingest(settings, name, tracer, _on_stop)


async def _web(settings: Settings, name: str, listeners: Mapping[str, int]) -> None:
    from carcloud.app.web import run_web

    await run_web(settings, name, listeners)


async def _jobs(settings: Settings, name: str, _tracer: Tracer) -> None:
    from carcloud.app.jobs import run_jobs

    await run_jobs(settings, name)
