"""Routes of vehicle models."""

import asyncio
from typing import Annotated

import msgspec
from litestar import Response, Router, get, patch, post
from litestar.datastructures import ResponseHeader
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, JSONBody
from msgspec import UNSET, UnsetType

from carcloud.services.vehicles.api import CurrentSign, Datum, VehicleModel
from carcloud.web.api.vehicles import IfMatch
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheVehicles
from carcloud.web.paging import Page
from carcloud.web.tags import etag, wanted_revision

_TAGGED = [ResponseHeader(name="ETag", documentation_only=True, description="The revision")]


class ModelView(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A type of vehicle: what it speaks, its coordinates, which current is positive."""

    id: str
    name: str
    maker: str = ""
    protocol: str = "gbt32960"
    datum: Datum = Datum.WGS84
    current_sign: CurrentSign = CurrentSign.DISCHARGE


class ModelPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A merge patch (RFC 7396): absent stays."""

    name: str | UnsetType = UNSET
    maker: str | UnsetType = UNSET
    protocol: str | UnsetType = UNSET
    datum: Datum | UnsetType = UNSET
    current_sign: CurrentSign | UnsetType = UNSET


@get("/models", summary="Models", responses=errors(401, 503), opt=allows("models:read"))
async def list_models(caller: TheCaller, vehicles: TheVehicles) -> Page[ModelView]:
    """All models of the tenant."""
    found = await asyncio.to_thread(vehicles.models, caller.tenant)
    return Page([_view(one) for one in found], None, len(found))


_NEW = Example(summary="An electric sedan", value={"id": "e-sedan", "name": "E Sedan"})


@post(
    "/models",
    summary="Add a model",
    response_headers=[
        *_TAGGED,
        ResponseHeader(name="Location", documentation_only=True, description="Its address"),
    ],
    responses=errors(400, 401, 403, 409, 413, 503, 507),
    opt=allows("models:write"),
)
async def create_model(
    data: Annotated[ModelView, Body(examples=[_NEW])],
    caller: TheCaller,
    vehicles: TheVehicles,
) -> Response[ModelView]:
    """Add a model."""
    new = VehicleModel(data.id, data.name, data.maker, data.protocol, data.datum, data.current_sign)
    made = await asyncio.to_thread(vehicles.create_model, caller.tenant, new, actor=caller.user)
    headers = {**etag(made.revision), "Location": f"/v1/models/{made.id}"}
    return Response(_view(made), status_code=201, headers=headers)


@get(
    "/models/{model:str}",
    summary="One model",
    response_headers=_TAGGED,
    responses=errors(400, 401, 404, 503),
    opt=allows("models:read"),
)
async def read_model(
    model: FromPath[str], caller: TheCaller, vehicles: TheVehicles
) -> Response[ModelView]:
    """One model."""
    found = await asyncio.to_thread(vehicles.model, caller.tenant, model)
    return Response(_view(found), headers=etag(found.revision))


@patch(
    "/models/{model:str}",
    summary="Change a model",
    description="A merge patch (RFC 7396). `If-Match` must name the revision that you saw.",
    response_headers=_TAGGED,
    responses=errors(400, 401, 403, 404, 412, 413, 428, 503, 507),
    opt=allows("models:write"),
)
async def change_model(
    model: FromPath[str],
    data: JSONBody[ModelPatch],
    caller: TheCaller,
    vehicles: TheVehicles,
    if_match: IfMatch = None,
) -> Response[ModelView]:
    """Change a model."""
    revision = wanted_revision(if_match, needed=True)
    old = await asyncio.to_thread(vehicles.model, caller.tenant, model)
    given = {name: getattr(data, name) for name in data.__struct_fields__}
    new = msgspec.structs.replace(
        old, **{name: value for name, value in given.items() if value is not UNSET}
    )
    made = await asyncio.to_thread(
        vehicles.change_model,
        caller.tenant,
        new,
        actor=caller.user,
        if_revision=revision or old.revision,
    )
    return Response(_view(made), headers=etag(made.revision))


def _view(model: VehicleModel) -> ModelView:
    return ModelView(
        model.id, model.name, model.maker, model.protocol, model.datum, model.current_sign
    )


router = Router(
    "/",
    tags=["models"],
    route_handlers=[list_models, create_model, read_model, change_model],
)
