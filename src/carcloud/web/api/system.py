"""The route of the operator's page: processes and engines of the whole installation."""

import asyncio
from collections.abc import Awaitable, Sequence
from time import monotonic

import msgspec
from litestar import Router, get

from carcloud import __version__
from carcloud.model.time import iso
from carcloud.ports.errors import EngineError
from carcloud.services.telemetry.api import Disk, Role, Status
from carcloud.web.api.operation import READY_S, ProblemView
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.given import Engine, TheEngines, TheTelemetry


class EngineView(msgspec.Struct, frozen=True):
    """An engine. `state` is `ok` or what is wrong, `answer_ms` how long it took to say so."""

    name: str
    kind: str
    version: str
    place: str
    state: str
    answer_ms: float | None


class SystemView(msgspec.Struct, frozen=True):
    """The installation as a whole, of all tenants."""

    time: str
    version: str
    connected: int
    platforms: int
    frames_per_second: float
    stored_per_second: float
    freshness_ms: float | None
    lag_frames: int
    disk: Disk
    problems: list[ProblemView]
    roles: list[Role]
    engines: list[EngineView]


@get(
    "/system",
    summary="Processes and engines of the installation",
    description="Engines are asked now, each for at most two seconds.",
    opt=allows("system:read"),
    responses=errors(401, 403, 503),
)
async def read_system(telemetry: TheTelemetry, engines: TheEngines) -> SystemView:
    """The installation as a whole."""
    status = telemetry.installation()
    found = await asyncio.gather(*(look(engine, status) for engine in engines))
    return _view(status, found)


async def look(engine: Engine, status: Status) -> EngineView:
    """How an engine is doing; one that is away is told, not raised."""
    told = (engine.name, engine.kind, engine.version, engine.place)
    if engine.check is not None:
        return EngineView(*told, *await _answer(engine.check()))
    lives = any(role.alive for role in status.roles if role.role == engine.role)
    return EngineView(*told, "ok" if lives else f"no process of the role {engine.role}", None)


async def _answer(check: Awaitable[object]) -> tuple[str, float | None]:
    began = monotonic()
    try:
        await asyncio.wait_for(check, READY_S)
    except EngineError as error:
        return str(error) or type(error).__name__.lower(), None
    except TimeoutError:
        return "no answer in time", None
    return "ok", round((monotonic() - began) * 1000, 1)


def _view(status: Status, engines: Sequence[EngineView]) -> SystemView:
    return SystemView(
        time=iso(status.time_us),
        version=__version__,
        connected=status.connected,
        platforms=status.platforms,
        frames_per_second=status.frames_per_second,
        stored_per_second=status.stored_per_second,
        freshness_ms=status.freshness_ms,
        lag_frames=status.lag_frames,
        disk=status.disk,
        problems=[ProblemView(p.code, iso(p.since_us), p.detail) for p in status.problems],
        roles=list(status.roles),
        engines=list(engines),
    )


router = Router("/", tags=["operation"], route_handlers=[read_system])
