"""Routes of the vehicle registry."""

import asyncio
import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, Router, delete, get, patch, post
from litestar.datastructures import ResponseHeader
from litestar.openapi.spec import Example, OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import Body, FromQuery, HeaderParameter, JSONBody, QueryParameter
from msgspec import UNSET, UnsetType

from carcloud.model.ids import vehicle as vehicle_id
from carcloud.model.time import iso
from carcloud.services.telemetry.api import Session, Telemetry
from carcloud.services.tenancy.api import Denied
from carcloud.services.vehicles.api import (
    Changed,
    Credentials,
    CredentialsChange,
    Exists,
    Filter,
    Invalid,
    Lifecycle,
    NewVehicle,
    Registered,
    Unknown,
    Vehicle,
    VehicleChange,
    Vehicles,
)
from carcloud.web.callers import Caller, allows
from carcloud.web.describe import errors
from carcloud.web.fleet import Sort, VehicleSummary
from carcloud.web.given import TheCaller, TheFleet, TheTelemetry, TheVehicles, VehiclePath
from carcloud.web.paging import Page
from carcloud.web.problems import Refused, Translate
from carcloud.web.tags import etag, wanted_revision

TRANSLATIONS: dict[type[Exception], Translate] = {
    Unknown: lambda e: Refused(404, str(e)),
    Exists: lambda e: Refused(409, str(e), field="id"),
    Changed: lambda e: Refused(412, str(e) or "somebody else changed it first", field="If-Match"),
    Invalid: lambda e: Refused(400, e.detail, field=e.field),
}

IfMatch = Annotated[
    str | None, HeaderParameter(name="If-Match", description="The ETag of what you saw, or *")
]
_TAGGED = [ResponseHeader(name="ETag", documentation_only=True, description="The revision")]


class CredentialsView(msgspec.Struct, frozen=True):
    """What proves that a vehicle is itself; `public_key` in base64.

    `token_made`: when its token was made, null = it has none.
    """

    iccid: str | None
    public_key: str | None
    algorithm: str | None
    tls_fingerprint: str | None
    has_cipher_key: bool
    token_made: str | None


class SessionInfo(msgspec.Struct, frozen=True):
    """How a vehicle is connected: by itself, or over the link of a platform."""

    address: str | None
    since: str
    edition: str | None
    frames: int | None
    platform: str | None


class VehicleView(msgspec.Struct, frozen=True):
    """A vehicle of the registry and whether it is connected."""

    id: str
    vin: str | None
    model: str | None
    labels: dict[str, str]
    lifecycle: Lifecycle
    created: str
    updated: str
    protocol: str | None
    credentials: CredentialsView
    online: bool
    session: SessionInfo | None


class CredentialsPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Absent stays, null removes; `public_key` in base64. Needs `vehicles:credentials`."""

    iccid: str | UnsetType | None = UNSET
    public_key: str | UnsetType | None = UNSET
    algorithm: str | UnsetType | None = UNSET
    tls_fingerprint: str | UnsetType | None = UNSET


class VehiclePatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A merge patch (RFC 7396): absent stays, null removes."""

    vin: str | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET
    labels: dict[str, str | None] | UnsetType = UNSET
    lifecycle: Lifecycle | UnsetType = UNSET
    protocol: str | UnsetType | None = UNSET
    credentials: CredentialsPatch | UnsetType = UNSET


class TokenView(msgspec.Struct, frozen=True):
    """A vehicle's token, told this once."""

    vehicle: str
    token: str
    made: str


class LineProblem(msgspec.Struct, frozen=True):
    """What is wrong with one line; line 1 is the header."""

    line: int
    field: str
    detail: str


class ImportResult(msgspec.Struct, frozen=True):
    """What an import did; lines with errors were left out."""

    created: int
    updated: int
    errors: list[LineProblem]


@get(
    "/vehicles",
    summary="Vehicles",
    description="Searches the registry; `online`, `alarm_min` and sorting look at the live state.",
    responses=errors(400, 401, 503),
    opt=allows("vehicles:read", narrowed=True),
)
async def list_vehicles(
    *,
    caller: TheCaller,
    fleet: TheFleet,
    q: Annotated[
        str, QueryParameter(max_length=200, description="Part of id, model or label")
    ] = "",
    model: FromQuery[str | None] = None,
    label: Annotated[str | None, QueryParameter(description="`key` or `key:value`")] = None,
    lifecycle: FromQuery[Lifecycle | None] = None,
    online: FromQuery[bool | None] = None,
    alarm_min: Annotated[int | None, QueryParameter(ge=0, le=4)] = None,
    sort: FromQuery[Literal["id", "last_seen", "soc", "speed", "alarm"]] = "id",
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50,
) -> Page[VehicleSummary]:
    """A page of vehicles."""
    within = caller.identity.scopes("vehicles:read")
    what = Filter(q=q, model=model, label=label, lifecycle=lifecycle, within=within)
    order: Sort = sort
    if order == "id" and online is None and alarm_min is None:
        return await fleet.registered(caller.tenant, what, cursor, limit)
    return await fleet.by_state(
        caller.tenant, what, online=online, alarm_min=alarm_min, sort=order, cursor=cursor,
        limit=limit,
    )  # fmt: skip


_NEW = Example(
    summary="A car",
    value={"id": "LTESTA0A0PA000001", "model": "e-sedan", "labels": {"depot": "north"}},
)


@post(
    "/vehicles",
    summary="Register a vehicle",
    response_headers=[
        *_TAGGED,
        ResponseHeader(name="Location", documentation_only=True, description="Its address"),
    ],
    responses=errors(400, 401, 403, 409, 413, 503, 507),
    opt=allows("vehicles:write"),
)
async def create_vehicle(
    data: Annotated[NewVehicle, Body(examples=[_NEW])],
    caller: TheCaller,
    vehicles: TheVehicles,
    telemetry: TheTelemetry,
) -> Response[VehicleView]:
    """Register a vehicle."""
    made = await asyncio.to_thread(vehicles.create, caller.tenant, data, actor=caller.user)
    answer = await _answer(await _with_credentials(made, vehicles), telemetry, status=201)
    answer.headers["Location"] = f"/v1/vehicles/{made.id}"
    return answer


@get(
    "/vehicles/{vehicle:str}",
    summary="One vehicle",
    response_headers=_TAGGED,
    responses=errors(400, 401, 404, 503),
    opt=allows("vehicles:read"),
)
async def read_vehicle(
    vehicle: VehiclePath,
    caller: TheCaller,
    vehicles: TheVehicles,
    telemetry: TheTelemetry,
) -> Response[VehicleView]:
    """One vehicle."""
    name = vehicle_id(vehicle)
    found = vehicles.at_hand(caller.tenant, name)
    if found is None:
        found = await asyncio.to_thread(vehicles.registered, caller.tenant, name)
    return await _answer(found, telemetry)


@patch(
    "/vehicles/{vehicle:str}",
    summary="Change a vehicle",
    description="A merge patch (RFC 7396). `If-Match` must name the revision that you saw.",
    response_headers=_TAGGED,
    responses=errors(400, 401, 403, 404, 409, 412, 413, 428, 503, 507),
    opt=allows("vehicles:write"),
)
async def change_vehicle(
    *,
    vehicle: VehiclePath,
    data: JSONBody[VehiclePatch],
    caller: TheCaller,
    vehicles: TheVehicles,
    telemetry: TheTelemetry,
    if_match: IfMatch = None,
) -> Response[VehicleView]:
    """Change a vehicle."""
    revision = wanted_revision(if_match, needed=True)
    name = vehicle_id(vehicle)
    _check_labels(data, caller)
    secrets = _credentials_change(data.credentials, caller)
    change = VehicleChange(data.vin, data.model, data.labels, data.lifecycle, data.protocol)
    made = await asyncio.to_thread(
        vehicles.change, caller.tenant, name, change, actor=caller.user, if_revision=revision
    )
    if secrets is not None:
        await asyncio.to_thread(
            vehicles.set_credentials, caller.tenant, name, secrets, actor=caller.user
        )
        made = await asyncio.to_thread(vehicles.get, caller.tenant, name)
    return await _answer(await _with_credentials(made, vehicles), telemetry)


@delete(
    "/vehicles/{vehicle:str}",
    status_code=200,
    summary="Retire a vehicle",
    description="It may not connect any more; its history stays.",
    response_headers=_TAGGED,
    responses=errors(400, 401, 403, 404, 412, 503, 507),
    opt=allows("vehicles:write"),
)
async def retire_vehicle(
    vehicle: VehiclePath,
    caller: TheCaller,
    vehicles: TheVehicles,
    telemetry: TheTelemetry,
    if_match: IfMatch = None,
) -> Response[VehicleView]:
    """Retire a vehicle."""
    revision = wanted_revision(if_match, needed=False)
    gone = await asyncio.to_thread(
        vehicles.retire,
        caller.tenant,
        vehicle_id(vehicle),
        actor=caller.user,
        if_revision=revision,
    )
    return await _answer(await _with_credentials(gone, vehicles), telemetry)


@post(
    "/vehicles/{vehicle:str}/token",
    summary="Make a vehicle's token",
    description="In place of the one it has. The vehicle signs in with it over MQTT.",
    responses=errors(400, 401, 403, 404, 503, 507),
    opt=allows("vehicles:credentials"),
)
async def make_token(vehicle: VehiclePath, caller: TheCaller, vehicles: TheVehicles) -> TokenView:
    """Make a token."""
    name = vehicle_id(vehicle)
    made = await asyncio.to_thread(vehicles.make_token, caller.tenant, name, actor=caller.user)
    return TokenView(made.vehicle, made.token, iso(made.made))


@delete(
    "/vehicles/{vehicle:str}/token",
    status_code=204,
    summary="Revoke a vehicle's token",
    description="It opens no connection any more, and the one that it opened ends within seconds.",
    responses=errors(400, 401, 403, 404, 503, 507),
    opt=allows("vehicles:credentials"),
)
async def revoke_token(vehicle: VehiclePath, caller: TheCaller, vehicles: TheVehicles) -> None:
    """Revoke the token."""
    name = vehicle_id(vehicle)
    if not await asyncio.to_thread(vehicles.revoke_token, caller.tenant, name, actor=caller.user):
        raise Refused(404, f"vehicle {name!r} has no token")


@dataclass
class CsvOperation(Operation):
    """Describes a body that the framework does not parse."""

    def __post_init__(self) -> None:
        sample = "id,model,label:depot\nLTESTA0A0PA000001,e-sedan,north\n"
        schema = Schema(type=OpenAPIType.STRING, examples=[sample])
        self.request_body = RequestBody(
            content={"text/csv": OpenAPIMediaType(schema=schema)}, required=True
        )


@post(
    "/vehicles/import",
    status_code=200,
    summary="Import vehicles from CSV",
    description="Columns id, vin, model, protocol, iccid, label:KEY; empty cells change nothing.",
    operation_class=CsvOperation,
    responses=errors(400, 401, 403, 413, 415, 503, 507),
    opt=allows("vehicles:write"),
)
async def import_vehicles(
    request: Request[Any, Any, Any],
    caller: TheCaller,
    vehicles: TheVehicles,
) -> ImportResult:
    """Import vehicles from CSV."""
    kind = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if kind not in ("text/csv", "text/plain"):
        raise Refused(415, "send text/csv", field="Content-Type")
    try:
        text = (await request.body()).decode()
    except UnicodeDecodeError as error:
        raise Refused(400, f"byte {error.start} is not UTF-8", field="body") from error
    columns = [name.strip().lower() for name in text.partition("\n")[0].split(",")]
    if "iccid" in columns and "vehicles:credentials" not in caller.identity.everywhere:
        raise Denied("vehicles:credentials", "the column iccid needs vehicles:credentials")
    report = await asyncio.to_thread(vehicles.import_csv, caller.tenant, text, actor=caller.user)
    wrong = [LineProblem(one.line, one.field, one.detail) for one in report.errors]
    return ImportResult(report.created, report.updated, wrong)


def _check_labels(data: VehiclePatch, caller: Caller) -> None:
    """Labels decide who may see a vehicle: whoever is held to some may not move it elsewhere."""
    if data.labels is not UNSET and "vehicles:write" not in caller.identity.everywhere:
        raise Denied("vehicles:write", "labels need vehicles:write on the whole tenant")


def _credentials_change(
    given: CredentialsPatch | UnsetType, caller: Caller
) -> CredentialsChange | None:
    if isinstance(given, UnsetType):
        return None
    if "vehicles:credentials" not in caller.identity.everywhere:
        raise Denied("vehicles:credentials", "credentials need the permission vehicles:credentials")
    key: bytes | UnsetType | None = UNSET
    if isinstance(given.public_key, str):
        try:
            key = base64.b64decode(given.public_key, validate=True)
        except binascii.Error as error:
            raise Refused(400, "is not base64", field="credentials.public_key") from error
    elif given.public_key is None:
        key = None
    return CredentialsChange(given.iccid, key, given.algorithm, given.tls_fingerprint)


async def _with_credentials(made: Vehicle, vehicles: Vehicles) -> Registered:
    proof = await asyncio.to_thread(vehicles.credentials, made.tenant, made.id)
    return Registered(made, proof)


async def _answer(
    registered: Registered, telemetry: Telemetry, status: int = 200
) -> Response[VehicleView]:
    found = registered.vehicle
    session = (await telemetry.presence(found.tenant)).session(found.tenant, found.id)
    view = VehicleView(
        id=found.id,
        vin=found.vin,
        model=found.model,
        labels=dict(found.labels),
        lifecycle=found.lifecycle,
        created=iso(found.created),
        updated=iso(found.updated),
        protocol=found.protocol,
        credentials=_credentials(registered.credentials),
        online=session is not None,
        session=None if session is None else _session(session),
    )
    return Response(view, status_code=status, headers=etag(found.revision))


def _credentials(secrets: Credentials) -> CredentialsView:
    key = secrets.public_key
    return CredentialsView(
        iccid=secrets.iccid,
        public_key=None if key is None else base64.b64encode(key).decode(),
        algorithm=secrets.algorithm,
        tls_fingerprint=secrets.tls_fingerprint,
        has_cipher_key=secrets.has_cipher_key,
        token_made=None if secrets.token_made is None else iso(secrets.token_made),
    )


def _session(session: Session) -> SessionInfo:
    return SessionInfo(
        session.address, iso(session.since_us), session.edition, None, session.platform
    )


router = Router(
    "/",
    tags=["vehicles"],
    route_handlers=[
        list_vehicles,
        create_vehicle,
        read_vehicle,
        change_vehicle,
        retire_vehicle,
        import_vehicles,
        make_token,
        revoke_token,
    ],
)
