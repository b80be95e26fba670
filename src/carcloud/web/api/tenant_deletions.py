"""Routes of deletions of tenants, for administrators of the installation."""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Router, delete, get, post
from litestar.params import FromPath, JSONBody

from carcloud.model.ids import tenant as tenant_id
from carcloud.model.time import iso
from carcloud.services.tenant_life.api import (
    Deletion,
    DeletionState,
    NoDeletion,
    NotConfirmed,
    NotSuspended,
    Step,
    TooLate,
)
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheTenantLife
from carcloud.web.paging import Page
from carcloud.web.problems import Refused, Translate
from carcloud.web.times import optional_iso

TRANSLATIONS: dict[type[Exception], Translate] = {
    NotConfirmed: lambda e: Refused(400, str(e), field="confirm"),
    NotSuspended: lambda e: Refused(409, str(e)),
    NoDeletion: lambda e: Refused(404, str(e)),
    TooLate: lambda e: Refused(409, str(e)),
}


class Confirmation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The id of the tenant, typed again."""

    confirm: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]


class DeletionView(msgspec.Struct, frozen=True):
    """The deletion of a tenant. Without `approved_by` it waits for somebody to agree; `entry` and
    `entry_hash` name the certificate's entry in the audit of the installation."""

    id: str
    tenant: str
    state: DeletionState
    asked_by: str
    asked: str
    due: str
    approved_by: str | None
    cancelled_by: str | None
    step: Step
    steps: list[Step]
    round: int
    began: str | None
    ended: str | None
    problem: str | None
    certificate: dict[str, Any] | None
    entry: int | None
    entry_hash: str | None


@get(
    "/tenant-deletions",
    summary="Deletions of tenants",
    opt=allows("tenants:read"),
    responses=errors(401, 403, 503),
)
async def list_deletions(life: TheTenantLife) -> Page[DeletionView]:
    """All deletions, newest first, with the certificates of those that are done."""
    found = await asyncio.to_thread(life.deletions.all)
    return Page([_view(one) for one in found], None, len(found))


@get(
    "/tenants/{tenant:str}/deletion",
    summary="The deletion of a tenant",
    opt=allows("tenants:read"),
    responses=errors(400, 401, 403, 404, 503),
)
async def read_deletion(tenant: FromPath[str], life: TheTenantLife) -> DeletionView:
    """How far the deletion of a tenant is, and its certificate at the end."""
    return _view(await asyncio.to_thread(life.deletions.get, tenant_id(tenant)))


@post(
    "/tenants/{tenant:str}/deletion",
    summary="Delete a suspended tenant",
    description="It begins after `tenants.deletion_days`, and can be cancelled until then. With "
    "`tenants.deletion_approval` somebody else must approve it.",
    opt=allows("tenants:write"),
    responses=errors(400, 401, 403, 404, 409, 413, 503, 507),
)
async def ask_deletion(
    tenant: FromPath[str], data: JSONBody[Confirmation], caller: TheCaller, life: TheTenantLife
) -> DeletionView:
    """Ask for the deletion of a tenant."""
    slug = tenant_id(tenant)
    return _view(await asyncio.to_thread(life.deletions.ask, slug, data.confirm, actor=caller.user))


@post(
    "/tenants/{tenant:str}/deletion/approval",
    summary="Approve the deletion of a tenant",
    opt=allows("tenants:write"),
    responses=errors(400, 401, 403, 404, 409, 503, 507),
)
async def approve_deletion(
    tenant: FromPath[str], caller: TheCaller, life: TheTenantLife
) -> DeletionView:
    """Agree to what somebody else has asked for."""
    slug = tenant_id(tenant)
    return _view(await asyncio.to_thread(life.deletions.approve, slug, actor=caller.user))


@delete(
    "/tenants/{tenant:str}/deletion",
    status_code=200,
    summary="Cancel the deletion of a tenant",
    description="The tenant is suspended then, with all it has.",
    opt=allows("tenants:write"),
    responses=errors(400, 401, 403, 404, 409, 503, 507),
)
async def cancel_deletion(
    tenant: FromPath[str], caller: TheCaller, life: TheTenantLife
) -> DeletionView:
    """Cancel a deletion that has not begun."""
    slug = tenant_id(tenant)
    return _view(await asyncio.to_thread(life.deletions.cancel, slug, actor=caller.user))


def _view(one: Deletion) -> DeletionView:
    return DeletionView(
        one.id, one.tenant, one.state, one.asked_by, iso(one.asked), iso(one.due),
        one.approved_by, one.cancelled_by, one.step, list(Step), one.round,
        optional_iso(one.began), optional_iso(one.ended), one.problem,
        None if one.certificate is None else dict(one.certificate), one.entry, one.entry_hash,
    )  # fmt: skip


router = Router(
    "/",
    tags=["tenants"],
    route_handlers=[
        list_deletions,
        read_deletion,
        ask_deletion,
        approve_deletion,
        cancel_deletion,
    ],
)
