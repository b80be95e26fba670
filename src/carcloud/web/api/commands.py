"""Routes of commands to vehicles and of their desired state."""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, get, patch, post
from litestar.datastructures import ResponseHeader
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, FromQuery, QueryParameter

from carcloud.model.ids import VehicleId
from carcloud.model.ids import vehicle as vehicle_id
from carcloud.model.time import iso
from carcloud.services.commands.api import (
    KINDS,
    SEND,
    Command,
    Ended,
    InvalidCommand,
    KeyTaken,
    Kind,
    NewCommand,
    NotParked,
    State,
    StateChanged,
    UnknownCommand,
    VehicleState,
    kind_of,
)
from carcloud.services.tenancy.api import Denied
from carcloud.web.api.vehicles import IfMatch
from carcloud.web.callers import Caller, allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheCommands, TheTelemetry, TheVehicles, VehiclePath
from carcloud.web.paging import Page, decode_cursor, encode_cursor
from carcloud.web.problems import Refused, Translate
from carcloud.web.tags import etag, wanted_revision
from carcloud.web.times import optional_iso

TRANSLATIONS: dict[type[Exception], Translate] = {
    UnknownCommand: lambda e: Refused(404, str(e)),
    KeyTaken: lambda e: Refused(409, str(e), field="key"),
    NotParked: lambda e: Refused(409, str(e), code="not-parked"),
    Ended: lambda e: Refused(409, str(e)),
    StateChanged: lambda e: Refused(412, str(e), field="If-Match"),
    InvalidCommand: lambda e: Refused(400, e.detail, field=e.field),
}

_TAGGED = [ResponseHeader(name="ETag", documentation_only=True, description="The version")]
Standing = Annotated[
    State | None, QueryParameter(name="state", description="Only commands that stand so")
]
Limit = Annotated[int, QueryParameter(ge=1, le=500, description="Most items of the answer")]


class ArgumentView(msgspec.Struct, frozen=True):
    """What a command takes; what is `secret` is hidden in every answer."""

    name: str
    kind: str
    help: str
    needed: bool
    least: float | None
    most: float | None
    choices: tuple[str, ...]
    secret: bool


class KindView(msgspec.Struct, frozen=True):
    """A command that can be given; `parked`: only to a vehicle that is known to stand."""

    name: str
    help: str
    protocols: tuple[str, ...]
    action: str
    parked: bool
    arguments: list[ArgumentView]


class CommandView(msgspec.Struct, frozen=True):
    """A command and how it went."""

    id: str
    vehicle: str
    name: str
    arguments: dict[str, Any]
    state: State
    reason: str
    result: Any
    actor: str
    created: str
    expires: str
    sent: str | None
    received: str | None
    ended: str | None


class StateView(msgspec.Struct, frozen=True):
    """Desired and reported state, and what of the desired the vehicle does not report so."""

    vehicle: str
    desired: dict[str, Any]
    reported: dict[str, Any]
    delta: dict[str, Any] | None
    desired_version: int
    reported_version: int
    desired_time: str | None
    reported_time: str | None


class Kinds(msgspec.Struct, frozen=True):
    """All commands that can be given."""

    items: list[KindView]


@get(
    "/command-kinds",
    summary="Commands that can be given",
    description="What each takes, over which protocols it goes and which permission it needs.",
    responses=errors(401, 503),
    opt=allows("commands:read", narrowed=True),
)
async def list_kinds() -> Kinds:
    """The table of commands."""
    return Kinds([_kind(kind) for kind in KINDS])


@get(
    "/commands",
    summary="Commands of the tenant",
    description="Newest first.",
    responses=errors(400, 401, 403, 503),
    opt=allows("commands:read"),
)
async def list_commands(
    *,
    caller: TheCaller,
    commands: TheCommands,
    standing: Standing = None,
    cursor: FromQuery[str | None] = None,
    limit: Limit = 50,
) -> Page[CommandView]:
    """Commands to all vehicles."""
    return await _page(caller, commands, None, standing, cursor, limit)


@get(
    "/vehicles/{vehicle:str}/commands",
    summary="Commands to a vehicle",
    description="Newest first.",
    responses=errors(400, 401, 403, 404, 503),
    opt=allows("commands:read"),
)
async def list_vehicle_commands(
    *,
    vehicle: VehiclePath,
    caller: TheCaller,
    commands: TheCommands,
    vehicles: TheVehicles,
    standing: Standing = None,
    cursor: FromQuery[str | None] = None,
    limit: Limit = 50,
) -> Page[CommandView]:
    """Commands to one vehicle."""
    name = vehicle_id(vehicle)
    await asyncio.to_thread(vehicles.get, caller.tenant, name)
    return await _page(caller, commands, name, standing, cursor, limit)


_NEW = Example(
    summary="Ask for the position", value={"name": "locate", "arguments": {}, "timeout_s": 30}
)


@post(
    "/vehicles/{vehicle:str}/commands",
    summary="Give a command",
    description="It is kept first, and sent as soon as the vehicle is connected. Commands that "
    "open, stop or set something need `commands:control`; some need the vehicle to be parked.",
    response_headers=[
        ResponseHeader(name="Location", documentation_only=True, description="Its address")
    ],
    responses=errors(400, 401, 403, 404, 409, 413, 429, 503, 507),
    opt=allows("commands:send"),
)
async def give_command(
    vehicle: VehiclePath,
    data: Annotated[NewCommand, Body(examples=[_NEW])],
    caller: TheCaller,
    commands: TheCommands,
    vehicles: TheVehicles,
    telemetry: TheTelemetry,
) -> Response[CommandView]:
    """Give a command to a vehicle."""
    name = vehicle_id(vehicle)
    found = await asyncio.to_thread(vehicles.get, caller.tenant, name)
    kind = kind_of(data.name)
    _check_action(kind, caller)
    twin = await telemetry.twin(caller.tenant, name) if kind.parked else None
    login = await asyncio.to_thread(vehicles.last_login, caller.tenant, name)
    protocol = found.protocol or (None if login is None else login.protocol)
    made = await asyncio.to_thread(
        commands.give,
        caller.tenant,
        name,
        data,
        actor=caller.user,
        protocol=protocol,
        edition=login.edition if login is not None and login.protocol == protocol else None,
        twin=twin,
    )
    await commands.wake()
    headers = {"Location": f"/v1/vehicles/{name}/commands/{made.id}"}
    return Response(_view(made), status_code=201, headers=headers)


@get(
    "/vehicles/{vehicle:str}/commands/{command:str}",
    summary="One command",
    responses=errors(400, 401, 403, 404, 503),
    opt=allows("commands:read"),
)
async def read_command(
    vehicle: VehiclePath, command: FromPath[str], caller: TheCaller, commands: TheCommands
) -> CommandView:
    """One command and how it went."""
    return _view(await _found(caller, commands, vehicle_id(vehicle), command))


@post(
    "/vehicles/{vehicle:str}/commands/{command:str}/cancel",
    status_code=200,
    summary="Cancel a command",
    description="A vehicle that has it already may carry it out all the same.",
    responses=errors(400, 401, 403, 404, 409, 503, 507),
    opt=allows("commands:send"),
)
async def cancel_command(
    vehicle: VehiclePath, command: FromPath[str], caller: TheCaller, commands: TheCommands
) -> CommandView:
    """Call a command back."""
    found = await _found(caller, commands, vehicle_id(vehicle), command)
    after = await asyncio.to_thread(commands.cancel, caller.tenant, found.id, actor=caller.user)
    await commands.announce(caller.tenant, found.vehicle)
    return _view(after)


@get(
    "/vehicles/{vehicle:str}/state",
    summary="Desired and reported state",
    response_headers=_TAGGED,
    responses=errors(400, 401, 403, 404, 503),
    opt=allows("commands:read"),
)
async def read_state(
    vehicle: VehiclePath, caller: TheCaller, commands: TheCommands, vehicles: TheVehicles
) -> Response[StateView]:
    """Desired and reported state of a vehicle."""
    name = vehicle_id(vehicle)
    await asyncio.to_thread(vehicles.get, caller.tenant, name)
    found = await asyncio.to_thread(commands.state, caller.tenant, name)
    return Response(_state(found), headers=etag(found.desired_version))


_DESIRED = Example(summary="Report less often", value={"reporting": {"interval_s": 30}})


@patch(
    "/vehicles/{vehicle:str}/state/desired",
    summary="Change the desired state",
    description="A merge patch (RFC 7396): absent stays, null removes. With `If-Match` it is "
    "refused where somebody else changed it first.",
    response_headers=_TAGGED,
    responses=errors(400, 401, 403, 404, 412, 413, 503, 507),
    opt=allows("commands:send"),
)
async def change_desired(
    vehicle: VehiclePath,
    data: Annotated[dict[str, Any], Body(examples=[_DESIRED])],
    caller: TheCaller,
    commands: TheCommands,
    vehicles: TheVehicles,
    if_match: IfMatch = None,
) -> Response[StateView]:
    """Change what is desired of a vehicle."""
    version = wanted_revision(if_match, needed=False)
    name = vehicle_id(vehicle)
    found = await asyncio.to_thread(vehicles.get, caller.tenant, name)
    made = await asyncio.to_thread(
        commands.desire,
        caller.tenant,
        name,
        data,
        actor=caller.user,
        if_version=version,
        protocol=found.protocol,
    )
    await commands.announce(caller.tenant, name)
    return Response(_state(made), headers=etag(made.desired_version))


def _check_action(kind: Kind, caller: Caller) -> None:
    # Whoever came here may give commands; what goes beyond that must hold everywhere.
    if kind.action != SEND and kind.action not in caller.identity.everywhere:
        raise Denied(kind.action, f"the command {kind.name} needs the permission {kind.action}")


async def _page(
    caller: Caller,
    commands: TheCommands,
    vehicle: VehicleId | None,
    state: State | None,
    cursor: str | None,
    limit: int,
) -> Page[CommandView]:
    before = decode_cursor(cursor, str) if cursor else None
    page = await asyncio.to_thread(
        commands.page, caller.tenant, vehicle=vehicle, state=state, before=before, limit=limit
    )
    after = encode_cursor(page.next_cursor) if page.next_cursor else None
    return Page([_view(one) for one in page.items], after)


async def _found(
    caller: Caller, commands: TheCommands, vehicle: VehicleId, command: str
) -> Command:
    found = await asyncio.to_thread(commands.get, caller.tenant, command)
    if found.vehicle != vehicle:
        raise UnknownCommand(f"there is no command {command!r}")
    return found


def _kind(kind: Kind) -> KindView:
    arguments = [
        ArgumentView(
            one.name, one.kind, one.help, one.needed, one.least, one.most, one.choices, one.secret
        )
        for one in kind.arguments
    ]
    return KindView(kind.name, kind.help, kind.protocols, kind.action, kind.parked, arguments)


def _view(command: Command) -> CommandView:
    return CommandView(
        id=command.id,
        vehicle=command.vehicle,
        name=command.name,
        arguments=dict(command.arguments),
        state=command.state,
        reason=command.reason,
        result=command.result,
        actor=command.actor,
        created=iso(command.created),
        expires=iso(command.expires),
        sent=optional_iso(command.sent),
        received=optional_iso(command.received),
        ended=optional_iso(command.ended),
    )


def _state(state: VehicleState) -> StateView:
    return StateView(
        vehicle=state.vehicle,
        desired=dict(state.desired),
        reported=dict(state.reported),
        delta=None if state.delta is None else dict(state.delta),
        desired_version=state.desired_version,
        reported_version=state.reported_version,
        desired_time=optional_iso(state.desired_time),
        reported_time=optional_iso(state.reported_time),
    )


router = Router(
    "/",
    tags=["commands"],
    route_handlers=[
        list_kinds,
        list_commands,
        list_vehicle_commands,
        give_command,
        read_command,
        cancel_command,
        read_state,
        change_desired,
    ],
)
