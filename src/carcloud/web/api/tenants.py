"""Routes of tenants and their projects, for owners and for administrators of the installation."""

import asyncio
from typing import Annotated

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, JSONBody
from msgspec import UNSET, UnsetType

from carcloud.model.ids import tenant as tenant_id
from carcloud.model.time import iso
from carcloud.services.tenancy.api import Project, TenantInfo, TenantState
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheTenancy
from carcloud.web.paging import Page

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class TenantView(msgspec.Struct, frozen=True):
    """A tenant; `second_factor`: people who sign in with a password need one."""

    id: str
    name: str
    state: TenantState
    created: str
    second_factor: bool


class Owner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first person of a tenant."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class NewTenant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tenant and its first owner."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    name: _Name
    owner: Owner


class TenantPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another name, or another state: `suspended` keeps people, keys and vehicles out."""

    name: _Name | UnsetType = UNSET
    state: TenantState | UnsetType = UNSET


class OwnTenantPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another name; whether people need a second factor."""

    name: _Name | UnsetType = UNSET
    second_factor: bool | UnsetType = UNSET


class ProjectView(msgspec.Struct, frozen=True):
    """A named part of the tenant."""

    id: str
    name: str
    created: str


class NewProject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A project to add."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    name: _Name


@get(
    "/tenant",
    summary="The tenant one works in",
    opt=allows("tenant:read"),
    responses=errors(401, 403, 503),
)
async def read_tenant(caller: TheCaller, tenancy: TheTenancy) -> TenantView:
    """The tenant of the caller."""
    return _tenant(await asyncio.to_thread(tenancy.tenants.get, caller.tenant))


@patch(
    "/tenant",
    summary="Rename the tenant, or ask its people for a second factor",
    description="`second_factor`: people who sign in with a password may do nothing here before "
    "they have set one up, from the next request on. Keys and service accounts are not asked.",
    opt=allows("tenant:write"),
    responses=errors(400, 401, 403, 413, 503, 507),
)
async def change_own_tenant(
    data: JSONBody[OwnTenantPatch], caller: TheCaller, tenancy: TheTenancy
) -> TenantView:
    """Change the tenant of the caller."""
    tenants, tenant, who = tenancy.tenants, caller.tenant, caller.identity
    made = await asyncio.to_thread(tenants.get, tenant)
    if data.second_factor is not UNSET:
        wanted = data.second_factor
        made = await asyncio.to_thread(tenants.require_second_factor, tenant, wanted, by=who)
    if data.name is not UNSET:
        made = await asyncio.to_thread(tenants.rename, tenant, data.name, actor=caller.user)
    return _tenant(made)


@get("/projects", summary="Projects", opt=allows("tenant:read"), responses=errors(401, 403, 503))
async def list_projects(caller: TheCaller, tenancy: TheTenancy) -> Page[ProjectView]:
    """Projects of the tenant."""
    found = await asyncio.to_thread(tenancy.tenants.projects, caller.tenant)
    return Page([_project(one) for one in found], None, len(found))


@post(
    "/projects",
    summary="Add a project",
    opt=allows("tenant:write"),
    responses=errors(400, 401, 403, 409, 413, 503, 507),
)
async def create_project(
    data: JSONBody[NewProject], caller: TheCaller, tenancy: TheTenancy
) -> ProjectView:
    """Add a project."""
    made = await asyncio.to_thread(
        tenancy.tenants.create_project, caller.tenant, data.id, data.name, actor=caller.user
    )
    return _project(made)


@delete(
    "/projects/{project:str}",
    status_code=204,
    summary="Remove a project",
    opt=allows("tenant:write"),
    responses=errors(400, 401, 403, 404, 503, 507),
)
async def remove_project(project: FromPath[str], caller: TheCaller, tenancy: TheTenancy) -> None:
    """Remove a project."""
    await asyncio.to_thread(
        tenancy.tenants.remove_project, caller.tenant, project, actor=caller.user
    )


@get("/tenants", summary="All tenants", opt=allows("tenants:read"), responses=errors(401, 403, 503))
async def list_tenants(tenancy: TheTenancy) -> Page[TenantView]:
    """All tenants of the installation."""
    found = await asyncio.to_thread(tenancy.tenants.all)
    return Page([_tenant(one) for one in found], None, len(found))


_EXAMPLE = Example(
    summary="A fleet operator",
    value={
        "id": "north-fleet",
        "name": "North Fleet",
        "owner": {"name": "olga", "password": "correct horse battery"},
    },
)


@post(
    "/tenants",
    summary="Make a tenant and its first owner",
    opt=allows("tenants:write"),
    responses=errors(400, 401, 403, 409, 413, 503, 507),
)
async def create_tenant(
    data: Annotated[NewTenant, Body(examples=[_EXAMPLE])], caller: TheCaller, tenancy: TheTenancy
) -> TenantView:
    """Make a tenant."""
    made = await asyncio.to_thread(
        tenancy.found,
        tenant_id(data.id),
        data.name,
        data.owner.name,
        data.owner.password,
        actor=caller.user,
    )
    return _tenant(made)


@get(
    "/tenants/{tenant:str}",
    summary="One tenant",
    opt=allows("tenants:read"),
    responses=errors(400, 401, 403, 404, 503),
)
async def read_other_tenant(tenant: FromPath[str], tenancy: TheTenancy) -> TenantView:
    """One tenant of the installation."""
    return _tenant(await asyncio.to_thread(tenancy.tenants.get, tenant_id(tenant)))


@patch(
    "/tenants/{tenant:str}",
    summary="Rename or suspend a tenant",
    opt=allows("tenants:write"),
    description="While a tenant is suspended its people, keys and vehicles are kept out; its "
    "data stays.",
    responses=errors(400, 401, 403, 404, 413, 503, 507),
)
async def change_tenant(
    tenant: FromPath[str], data: JSONBody[TenantPatch], caller: TheCaller, tenancy: TheTenancy
) -> TenantView:
    """Rename, suspend or resume a tenant."""
    slug = tenant_id(tenant)
    made = await asyncio.to_thread(tenancy.tenants.get, slug)
    if data.name is not UNSET:
        made = await asyncio.to_thread(tenancy.tenants.rename, slug, data.name, actor=caller.user)
    if data.state is not UNSET:
        made = await asyncio.to_thread(
            tenancy.tenants.set_state, slug, data.state, actor=caller.user
        )
    return _tenant(made)


def _tenant(one: TenantInfo) -> TenantView:
    return TenantView(one.id, one.name, one.state, iso(one.created), one.second_factor)


def _project(one: Project) -> ProjectView:
    return ProjectView(one.id, one.name, iso(one.created))


router = Router(
    "/",
    tags=["tenants"],
    route_handlers=[
        read_tenant,
        change_own_tenant,
        list_projects,
        create_project,
        remove_project,
        list_tenants,
        create_tenant,
        read_other_tenant,
        change_tenant,
    ],
)
