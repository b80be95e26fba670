"""Routes of invitations: made, listed and taken back by owners, looked at and accepted by those
who hold the secret of one."""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, delete, get, post
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, JSONBody

from carcloud.config import Settings
from carcloud.model.actions import ANYONE
from carcloud.model.time import iso
from carcloud.services.tenancy.api import Invitation, Tenancy
from carcloud.web.api.people import ScopeView, scope_of
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheSettings, TheTenancy
from carcloud.web.paging import Page
from carcloud.web.security import same_origin
from carcloud.web.signed_in import SessionView, first_session

_Secret = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class InvitationView(msgspec.Struct, frozen=True):
    """An invitation that can still be accepted; `note` tells whom it is for."""

    id: str
    note: str
    role: str
    scope: ScopeView
    by: str
    created: str
    expires: str


class NewInvitation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to invite (a name or an e-mail address, for people to read), and to what."""

    note: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    role: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    scope: ScopeView | None = None
    days: float = 7


class InvitationMade(msgspec.Struct, frozen=True):
    """An invitation and its link, told once: carcloud sends no mail."""

    invitation: InvitationView
    link: str


class InvitationSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands after the # of a link."""

    secret: _Secret


class Acceptance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The name and password with which the invited person will sign in."""

    secret: _Secret
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class ShownProvider(msgspec.Struct, frozen=True):
    """A provider at which one may sign in."""

    id: str
    name: str


class OfferView(msgspec.Struct, frozen=True):
    """What an invitation offers, and at which providers one may come in with it."""

    tenant: str
    tenant_name: str
    note: str
    role: str
    expires: str
    providers: list[ShownProvider]


@get(
    "/invitations",
    summary="Open invitations",
    opt=allows("people:read"),
    responses=errors(401, 403, 503),
)
async def list_invitations(caller: TheCaller, tenancy: TheTenancy) -> Page[InvitationView]:
    """Invitations that can still be accepted."""
    found = await asyncio.to_thread(tenancy.invitations.all, caller.tenant)
    return Page([_view(one) for one in found], None, len(found))


_EXAMPLE = Example(
    summary="An operator", value={"note": "ann@example.com", "role": "operator", "days": 7}
)


@post(
    "/invitations",
    summary="Invite somebody",
    description="Answers a link that works once. Who is a user of another tenant becomes a guest.",
    opt=allows("people:write"),
    responses=errors(400, 401, 403, 413, 503, 507),
)
async def create_invitation(
    request: Request[Any, Any, Any],
    data: Annotated[NewInvitation, Body(examples=[_EXAMPLE])],
    caller: TheCaller,
    tenancy: TheTenancy,
    settings: TheSettings,
) -> InvitationMade:
    """Invite somebody."""
    made = await asyncio.to_thread(
        lambda: tenancy.invitations.create(
            caller.tenant,
            data.role,
            scope_of(data.scope),
            note=data.note,
            days=data.days,
            by=caller.identity,
        )
    )
    link = f"{public_url(request, settings)}/invitation#{made.secret}"
    return InvitationMade(_view(made.invitation), link)


@delete(
    "/invitations/{invitation:str}",
    status_code=204,
    summary="Take an invitation back",
    opt=allows("people:write"),
    responses=errors(400, 401, 403, 404, 503, 507),
)
async def revoke_invitation(
    invitation: FromPath[str], caller: TheCaller, tenancy: TheTenancy
) -> None:
    """Take an invitation back."""
    await asyncio.to_thread(
        tenancy.invitations.revoke, caller.tenant, invitation, by=caller.identity
    )


@post(
    "/session/invitation",
    status_code=200,
    summary="What an invitation offers",
    guards=[same_origin],
    security=[{}],
    responses=errors(400, 403, 404, 413, 503),
)
async def read_offer(data: JSONBody[InvitationSecret], tenancy: TheTenancy) -> OfferView:
    """What an invitation offers to who holds its secret."""
    return await asyncio.to_thread(_offer, tenancy, data.secret)


@post(
    "/session/invitation/accept",
    status_code=200,
    summary="Accept an invitation as a new user",
    description="Sets the session cookie.",
    guards=[same_origin],
    security=[{}],
    responses=errors(400, 403, 404, 409, 413, 429, 503, 507),
)
async def accept_invitation(
    request: Request[Any, Any, Any],
    data: JSONBody[Acceptance],
    tenancy: TheTenancy,
    settings: TheSettings,
) -> Response[SessionView]:
    """Become a user and sign in."""

    def accept() -> str:
        return tenancy.invitations.accept(data.secret, data.name, data.password).name

    return await first_session(request, tenancy, settings, accept)


@post(
    "/session/invitation/join",
    status_code=200,
    summary="Accept an invitation as the user that one is",
    description="In another tenant one becomes a guest: work there with `PUT /session/tenant`.",
    opt=allows(ANYONE),
    responses=errors(400, 401, 403, 404, 409, 413, 503, 507),
)
async def join_tenant(
    data: JSONBody[InvitationSecret], caller: TheCaller, tenancy: TheTenancy
) -> OfferView:
    """Take what the invitation gives."""

    def join() -> OfferView:
        told = _offer(tenancy, data.secret)
        tenancy.invitations.join(data.secret, caller.identity)
        return told

    return await asyncio.to_thread(join)


def public_url(request: Request[Any, Any, Any], settings: Settings) -> str:
    """Under which people reach the console, without a slash at the end."""
    return (settings.text("web.url") or str(request.base_url)).rstrip("/")


def _offer(tenancy: Tenancy, secret: str) -> OfferView:
    told = tenancy.invitations.offer(secret)
    return OfferView(
        told.tenant,
        told.tenant_name,
        told.note,
        told.role,
        iso(told.expires),
        [ShownProvider(one.id, one.name) for one in tenancy.providers.all(told.tenant)],
    )


def _view(one: Invitation) -> InvitationView:
    scope = ScopeView(one.scope.project, dict(one.scope.labels))
    return InvitationView(
        one.id, one.note, one.role, scope, one.by, iso(one.created), iso(one.expires)
    )


PUBLIC = [read_offer, accept_invitation]
MINE = [join_tenant]
router = Router(
    "/",
    tags=["people"],
    route_handlers=[list_invitations, create_invitation, revoke_invitation],
)
