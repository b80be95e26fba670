"""Routes of exports: of one's own tenant, and of any for administrators of the installation."""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, delete, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, PathParameter
from litestar.types import ASGIApp

from carcloud.model.ids import Tenant
from carcloud.model.ids import tenant as tenant_id
from carcloud.model.time import iso
from carcloud.services.tenant_life.api import (
    Export,
    ExportGoing,
    ExportState,
    NotReady,
    TenantLife,
    UnknownExport,
)
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.download import Download, wanted_range
from carcloud.web.given import TheCaller, TheTenantLife
from carcloud.web.paging import Page
from carcloud.web.problems import Refused, Translate
from carcloud.web.times import optional_iso

TRANSLATIONS: dict[type[Exception], Translate] = {
    UnknownExport: lambda e: Refused(404, str(e)),
    NotReady: lambda e: Refused(409, str(e)),
    ExportGoing: lambda e: Refused(409, str(e)),
}
ExportPath = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{16}$", description="Id of an export")]
_HELP = (
    "A tar of records (JSON lines), tables (Delta), objects, and files of jobs, with a "
    "`manifest.json` of sizes and SHA-256 sums. Secrets are left out."
)
_FILE = ResponseSpec(
    bytes,
    description="The archive",
    media_type="application/x-tar",
    generate_examples=False,
)


class ExportView(msgspec.Struct, frozen=True):
    """An archive of all that a tenant has. `progress` is 0 to 1, by bytes, and an estimate."""

    id: str
    tenant: str
    state: ExportState
    by: str
    created: str
    ended: str | None
    expires: str | None
    attempt: int
    part: str
    progress: float
    bytes: int
    members: int
    sha256: str | None
    error: str | None


@get(
    "/tenant/exports",
    summary="Exports of the own tenant",
    opt=allows("tenant:export"),
    responses=errors(401, 403, 503),
)
async def list_exports(caller: TheCaller, life: TheTenantLife) -> Page[ExportView]:
    """Exports of the caller's tenant, newest first."""
    return await _listed(life, caller.tenant)


@post(
    "/tenant/exports",
    summary="Export all of the own tenant",
    description=_HELP,
    opt=allows("tenant:export"),
    responses=errors(401, 403, 409, 503, 507),
)
async def start_export(caller: TheCaller, life: TheTenantLife) -> ExportView:
    """Let an archive of the caller's tenant be made."""
    return _view(await asyncio.to_thread(life.exports.ask, caller.tenant, actor=caller.user))


@get(
    "/tenant/exports/{export:str}",
    summary="One export of the own tenant",
    opt=allows("tenant:export"),
    responses=errors(400, 401, 403, 404, 503),
)
async def read_export(export: ExportPath, caller: TheCaller, life: TheTenantLife) -> ExportView:
    """How far an export is."""
    return _view(await asyncio.to_thread(life.exports.get, caller.tenant, export))


@delete(
    "/tenant/exports/{export:str}",
    status_code=204,
    summary="Take an export back, or remove its archive",
    opt=allows("tenant:export"),
    responses=errors(400, 401, 403, 404, 503, 507),
)
async def remove_export(export: ExportPath, caller: TheCaller, life: TheTenantLife) -> None:
    """Remove an export."""
    await asyncio.to_thread(life.exports.remove, caller.tenant, export, actor=caller.user)


@get(
    "/tenant/exports/{export:str}/archive",
    summary="The archive of an export",
    description="`Range` asks for a part of it.",
    opt=allows("tenant:export"),
    responses={200: _FILE, 206: _FILE, **errors(400, 401, 403, 404, 409, 416, 503)},
)
async def read_archive(
    request: Request[Any, Any, Any], export: ExportPath, caller: TheCaller, life: TheTenantLife
) -> ASGIApp:
    """The bytes of an archive."""
    return await _archive(request, life, caller.tenant, export, caller.user)


@get(
    "/tenants/{tenant:str}/exports",
    summary="Exports of a tenant",
    opt=allows("tenants:write"),
    responses=errors(400, 401, 403, 503),
)
async def list_exports_of(tenant: FromPath[str], life: TheTenantLife) -> Page[ExportView]:
    """Exports of a tenant, newest first."""
    return await _listed(life, tenant_id(tenant))


@post(
    "/tenants/{tenant:str}/exports",
    summary="Export all of a tenant",
    description=_HELP,
    opt=allows("tenants:write"),
    responses=errors(400, 401, 403, 404, 409, 503, 507),
)
async def start_export_of(
    tenant: FromPath[str], caller: TheCaller, life: TheTenantLife
) -> ExportView:
    """Let an archive of a tenant be made."""
    slug = tenant_id(tenant)
    return _view(await asyncio.to_thread(life.exports.ask, slug, actor=caller.user))


@get(
    "/tenants/{tenant:str}/exports/{export:str}",
    summary="One export of a tenant",
    opt=allows("tenants:write"),
    responses=errors(400, 401, 403, 404, 503),
)
async def read_export_of(
    tenant: FromPath[str], export: ExportPath, life: TheTenantLife
) -> ExportView:
    """How far an export is."""
    return _view(await asyncio.to_thread(life.exports.get, tenant_id(tenant), export))


@delete(
    "/tenants/{tenant:str}/exports/{export:str}",
    status_code=204,
    summary="Take an export of a tenant back, or remove its archive",
    opt=allows("tenants:write"),
    responses=errors(400, 401, 403, 404, 503, 507),
)
async def remove_export_of(
    tenant: FromPath[str], export: ExportPath, caller: TheCaller, life: TheTenantLife
) -> None:
    """Remove an export."""
    slug = tenant_id(tenant)
    await asyncio.to_thread(life.exports.remove, slug, export, actor=caller.user)


@get(
    "/tenants/{tenant:str}/exports/{export:str}/archive",
    summary="The archive of an export of a tenant",
    description="`Range` asks for a part of it.",
    opt=allows("tenants:write"),
    responses={200: _FILE, 206: _FILE, **errors(400, 401, 403, 404, 409, 416, 503)},
)
async def read_archive_of(
    request: Request[Any, Any, Any],
    tenant: FromPath[str],
    export: ExportPath,
    caller: TheCaller,
    life: TheTenantLife,
) -> ASGIApp:
    """The bytes of an archive."""
    return await _archive(request, life, tenant_id(tenant), export, caller.user)


async def _listed(life: TenantLife, tenant: Tenant) -> Page[ExportView]:
    found = await asyncio.to_thread(life.exports.all, tenant)
    return Page([_view(one) for one in found], None, len(found))


async def _archive(
    request: Request[Any, Any, Any], life: TenantLife, tenant: Tenant, export: str, user: str
) -> ASGIApp:
    found = await asyncio.to_thread(life.exports.begin_reading, tenant, export, actor=user)
    span = wanted_range(request.headers.get("range"), found.bytes)
    headers = {
        "content-type": "application/x-tar",
        "content-disposition": f'attachment; filename="{tenant}-{export}.tar"',
        "etag": f'"{(found.sha256 or "")[:32]}"',
    }

    def pieces(start: int, length: int) -> bytes:
        return b"".join(life.exports.read(found, start, start + length))

    async def read(start: int, length: int) -> bytes:
        return await asyncio.to_thread(pieces, start, length)

    return Download(read, found.bytes, span, headers)


def _view(one: Export) -> ExportView:
    ready = one.state is ExportState.READY
    progress = 1.0 if ready else min(0.99, one.done / one.expected) if one.expected else 0.0
    return ExportView(
        one.id, one.tenant, one.state, one.by, iso(one.created), optional_iso(one.ended),
        optional_iso(one.expires), one.attempt, one.part, round(progress, 4), one.bytes,
        one.members, one.sha256, one.error,
    )  # fmt: skip


router = Router(
    "/",
    tags=["tenants"],
    route_handlers=[
        list_exports,
        start_export,
        read_export,
        remove_export,
        read_archive,
        list_exports_of,
        start_export_of,
        read_export_of,
        remove_export_of,
        read_archive_of,
    ],
)
