"""Routes for the state of the cloud: status, live events, health, metrics, the console's facts."""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter
from litestar.types import ASGIApp

from carcloud.model.ids import Tenant
from carcloud.model.ids import vehicle as vehicle_id
from carcloud.model.time import iso
from carcloud.ports.errors import EngineError
from carcloud.services.telemetry.api import Disk, Role, Status, Telemetry
from carcloud.services.vehicles.api import Vehicles
from carcloud.web.callers import allows, token_of
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheCallers, TheLiveFeed, TheTelemetry, TheVehicles
from carcloud.web.live import EventStream, Viewer
from carcloud.web.problems import Refused

READY_S = 2.0  # s that an engine has to answer


class ProblemView(msgspec.Struct, frozen=True):
    """Something an operator should know."""

    code: str
    since: str
    detail: str


class StatusView(msgspec.Struct, frozen=True):
    """How the cloud is doing now."""

    time: str
    connected: int
    platforms: int
    vehicles: int
    frames_per_second: float
    stored_per_second: float
    freshness_ms: float | None
    lag_frames: int
    dead_letters: int
    disk: Disk
    problems: list[ProblemView]
    roles: list[Role]


class Facts(msgspec.Struct, frozen=True):
    """What the console needs to know before anybody signs in.

    `url`: under which people reach the console. `registration`: anybody may make a tenant.
    """

    tiles: str
    tiles_credit: str
    version: str
    demo: bool
    url: str
    registration: bool


class Health(msgspec.Struct, frozen=True):
    """`ok`, or per engine what is wrong."""

    status: str
    engines: dict[str, str] = {}


def status_view(status: Status) -> StatusView:
    """The status as it goes over the wire."""
    return StatusView(
        time=iso(status.time_us),
        connected=status.connected,
        platforms=status.platforms,
        vehicles=status.vehicles,
        frames_per_second=status.frames_per_second,
        stored_per_second=status.stored_per_second,
        freshness_ms=status.freshness_ms,
        lag_frames=status.lag_frames,
        dead_letters=status.dead_letters,
        disk=status.disk,
        problems=[ProblemView(p.code, iso(p.since_us), p.detail) for p in status.problems],
        roles=list(status.roles),
    )


async def present_status(tenant: Tenant, telemetry: Telemetry, vehicles: Vehicles) -> StatusView:
    """The status that a tenant sees."""
    registered = await asyncio.to_thread(vehicles.count, tenant)
    return status_view(await telemetry.status(tenant, registered))


@get("/status", summary="State of the cloud", responses=errors(401, 503), opt=allows("status:read"))
async def read_status(
    caller: TheCaller,
    telemetry: TheTelemetry,
    vehicles: TheVehicles,
) -> StatusView:
    """The state of the cloud."""
    return await present_status(caller.tenant, telemetry, vehicles)


_EVENTS = ResponseSpec(
    str,
    description="Events `status`, `vehicles` and, with `vehicle`, `twin`",
    media_type="text/event-stream",
    generate_examples=False,
)


@get(
    "/live",
    summary="Live events",
    description=(
        "Server-sent events. `status` each second; `vehicles` {full, rows: [[id, lon, lat, "
        "heading, speed_kmh, soc_pct, alarm_level, online, time_ms]]}, first all, then those that "
        "changed; with `vehicle`, `twin` {signals: {path: [value, time_ms]}} when it changes. "
        "Where the caller may see some vehicles only, all is of those; `vehicles` also has `gone: "
        "[id]`, of vehicles that lie outside from now on, and `status` only counts vehicles."
    ),
    responses={200: _EVENTS, **errors(400, 401, 403, 429)},
    opt=allows("telemetry:read", narrowed=True),
)
async def follow_live(
    caller: TheCaller,
    callers: TheCallers,
    live: TheLiveFeed,
    vehicle: Annotated[
        str | None, QueryParameter(description="Also follow this one's twin")
    ] = None,
) -> ASGIApp:
    """Live events until the client leaves."""
    if not live.has_room():
        raise Refused(429, "too many live connections", headers={"Retry-After": "10"})
    name = None if vehicle is None else vehicle_id(vehicle)
    within = caller.identity.scopes("telemetry:read")
    viewer = Viewer(caller.tenant, name, within, caller.expires_us)
    events = live.events(viewer, lambda: callers.still_may(caller, "telemetry:read"))
    return EventStream(events)


@get("/healthz", summary="Is this process alive", include_in_schema=True)
async def read_health() -> Health:
    """This process lives."""
    return Health("ok")


@get(
    "/readyz",
    summary="Do the engines answer",
    responses={503: ResponseSpec(Health, description="An engine does not answer")},
)
async def read_readiness(telemetry: TheTelemetry, vehicles: TheVehicles) -> Response[Health]:
    """The engines answer."""
    checks = {
        "stream": telemetry.check_stream(),
        "lake": telemetry.check_lake(),
        "records": asyncio.to_thread(vehicles.count, Tenant("default")),
    }
    answers = await asyncio.gather(*map(_says, checks.values()))
    engines = dict(zip(checks, answers, strict=True))
    good = all(answer == "ok" for answer in answers)
    return Response(Health("ok" if good else "waiting", engines), status_code=200 if good else 503)


async def _says(check: Any) -> str:
    try:
        await asyncio.wait_for(check, READY_S)
    except EngineError as error:
        return type(error).__name__.lower()
    except TimeoutError:
        return "no answer in time"
    return "ok"


@get(
    "/metrics",
    summary="Figures for Prometheus",
    description="Without a key that allows `system:read`, those of single tenants are left out.",
    media_type="text/plain; version=0.0.4",
)
async def read_metrics(
    request: Request[Any, Any, Any], telemetry: TheTelemetry, callers: TheCallers
) -> str:
    """Figures of all processes."""
    token = token_of(request)
    if token is None:
        return telemetry.metrics(tenants=False)
    caller = await callers.find(token)
    if not caller.identity.may("system:read"):
        return telemetry.metrics(tenants=False)
    return telemetry.metrics()


router = Router("/", tags=["operation"], route_handlers=[read_status, follow_live])
public = Router(
    "/",
    tags=["operation"],
    route_handlers=[read_health, read_readiness, read_metrics],
    security=[{}],
)
