"""Routes for where a tenant's objects lie, and the keys that seal them."""

import asyncio
from typing import Annotated

import msgspec
from litestar import Router, get, patch, post
from litestar.params import FromPath, JSONBody

from carcloud.model.ids import Tenant
from carcloud.model.ids import tenant as tenant_id
from carcloud.services.storage.api import Storage, TenantStorage
from carcloud.services.tenancy.api import Tenancy
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheStorage, TheTenancy, TheTenantLife

_Option = Annotated[str, msgspec.Meta(max_length=1000)]


class PlaceView(msgspec.Struct, frozen=True):
    """Where the objects of a tenant lie; `url` empty = with those of the installation."""

    tenant: str
    url: str
    sealed: bool


class PlaceChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; what is left out stays. `options` are those of the bucket's server, such as
    `endpoint`, `region`, `access_key_id` and `secret_access_key`; they are kept sealed."""

    url: Annotated[str, msgspec.Meta(max_length=500)] | None = None
    options: Annotated[dict[str, _Option], msgspec.Meta(max_length=20)] | None = None
    sealed: bool | None = None


class Sealing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether new objects are sealed with the tenant's key."""

    sealed: bool


class SealingKey(msgspec.Struct, frozen=True):
    """A key that seals new objects; older ones keep theirs."""

    id: str


@get(
    "/tenants/{tenant:str}/storage",
    summary="Where the objects of a tenant lie",
    opt=allows("tenants:read"),
    responses=errors(400, 401, 403, 404, 503),
)
async def read_place(tenant: FromPath[str], tenancy: TheTenancy, storage: TheStorage) -> PlaceView:
    """The place of a tenant."""
    return _view(await asyncio.to_thread(lambda: storage.places.told(_known(tenancy, tenant))))


@patch(
    "/tenants/{tenant:str}/storage",
    summary="Change where the objects of a tenant lie",
    description="A bucket of the tenant's own is written, read and emptied of that once before it "
    "is taken. The place can change only while the tenant keeps no bytes.",
    opt=allows("tenants:write"),
    responses=errors(400, 401, 403, 404, 413, 503, 507),
)
async def change_place(
    tenant: FromPath[str],
    data: JSONBody[PlaceChange],
    caller: TheCaller,
    tenancy: TheTenancy,
    storage: TheStorage,
    life: TheTenantLife,
) -> PlaceView:
    """Change the place of a tenant."""

    def work() -> TenantStorage:
        known = _known(tenancy, tenant)
        return storage.places.change(
            known,
            url=data.url,
            options=data.options,
            sealed=data.sealed,
            actor=caller.user,
            settled=life.exports.settled,
        )

    return _view(await asyncio.to_thread(work))


@patch(
    "/storage",
    summary="Seal new objects, or not",
    opt=allows("tenant:write"),
    responses=errors(400, 401, 403, 413, 503, 507),
)
async def change_sealing(
    data: JSONBody[Sealing], caller: TheCaller, storage: TheStorage
) -> PlaceView:
    """Whether the tenant's new objects are sealed with a key of its own."""
    return _view(await asyncio.to_thread(_seal, storage, caller.tenant, data.sealed, caller.user))


@post(
    "/storage/keys",
    summary="Seal new objects with a new key",
    opt=allows("tenant:write"),
    responses=errors(400, 401, 403, 503, 507),
)
async def make_sealing_key(caller: TheCaller, storage: TheStorage) -> SealingKey:
    """Another key of the tenant's own; what older ones seal can still be read."""
    made = await asyncio.to_thread(storage.places.new_key, caller.tenant, actor=caller.user)
    return SealingKey(made)


def _seal(storage: Storage, tenant: Tenant, sealed: bool, actor: str) -> TenantStorage:
    return storage.places.change(tenant, url=None, options=None, sealed=sealed, actor=actor)


def _known(tenancy: Tenancy, tenant: str) -> Tenant:
    return tenancy.tenants.get(tenant_id(tenant)).id


def _view(told: TenantStorage) -> PlaceView:
    return PlaceView(told.tenant, told.url, told.sealed)


router = Router(
    "/",
    tags=["buckets"],
    route_handlers=[read_place, change_place, change_sealing, make_sealing_key],
)
