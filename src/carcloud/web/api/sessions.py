"""Routes for signing in and out."""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, delete, get, post, put
from litestar.di import Provide
from litestar.openapi.spec import Example
from litestar.params import Body, JSONBody
from litestar.types import Guard

from carcloud.model.actions import ANYONE
from carcloud.services.tenancy.api import (
    Changed,
    Denied,
    Exists,
    Invalid,
    NoSecret,
    NotSignedIn,
    SecondFactorMissing,
    SecondFactorNeeded,
    Throttled,
    Unknown,
)
from carcloud.web.api import connections, invitations, openid, registration, second_factor
from carcloud.web.callers import allows, caller_of
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheCallers, TheSettings, TheTenancy
from carcloud.web.problems import Refused, Translate
from carcloud.web.security import same_origin
from carcloud.web.signed_in import (
    SessionView,
    client_of,
    session_cookie,
    session_view,
    signed_in,
)

TRANSLATIONS: dict[type[Exception], Translate] = {
    SecondFactorNeeded: lambda e: Refused(401, str(e), code="second-factor", field="code"),
    NoSecret: lambda e: Refused(503, str(e)),
    NotSignedIn: lambda e: Refused(401, str(e), headers={"WWW-Authenticate": "Bearer"}),
    Throttled: lambda e: Refused(429, str(e), headers={"Retry-After": str(e.retry_after_s)}),
    SecondFactorMissing: lambda e: Refused(403, str(e), code="second-factor-missing"),
    Denied: lambda e: Refused(
        404 if e.hidden else 403, str(e), code=None if e.hidden else "denied"
    ),
    Changed: lambda e: Refused(412, str(e), field="If-Match"),
    Invalid: lambda e: Refused(400, e.detail, field=e.field),
    Exists: lambda e: Refused(409, str(e)),
    Unknown: lambda e: Refused(404, str(e)),
}

_EXAMPLE = Example(summary="The first admin", value={"user": "admin", "password": "…"})


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's name and password, and a code where the second factor is on."""

    user: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    code: Annotated[str, msgspec.Meta(min_length=1, max_length=40)] | None = None


class Switch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tenant to work in from now on."""

    tenant: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]


@post(
    "/session",
    status_code=200,
    summary="Sign in",
    description="Sets the session cookie. Failed tries are counted by user and address. A problem "
    "of type `urn:carcloud:problem:second-factor` asks to send `code` too: of the authenticator "
    "app, or a recovery code.",
    guards=[same_origin],
    security=[{}],
    responses=errors(400, 401, 403, 413, 429, 503),
)
async def sign_in(
    request: Request[Any, Any, Any],
    data: Annotated[Credentials, Body(examples=[_EXAMPLE])],
    tenancy: TheTenancy,
    settings: TheSettings,
) -> Response[SessionView]:
    """Sign in."""
    hours = settings.number("web.session_hours")
    session = await asyncio.to_thread(
        tenancy.sessions.sign_in,
        data.user,
        data.password,
        hours=hours,
        client=client_of(request),
        code=data.code,
    )
    return await signed_in(request, session, tenancy)


@get(
    "/session",
    summary="Who is signed in",
    responses=errors(401, 503),
    opt=allows(ANYONE, unproved=True),
)
async def read_session(caller: TheCaller, tenancy: TheTenancy) -> SessionView:
    """Who is signed in."""
    return await session_view(caller.identity, tenancy)


@put(
    "/session/tenant",
    summary="Work in another tenant",
    description="Sets a new session cookie; the old one ends.",
    responses=errors(400, 401, 403, 404, 503),
    opt=allows(ANYONE, unproved=True),
)
async def switch_tenant(
    request: Request[Any, Any, Any],
    data: JSONBody[Switch],
    caller: TheCaller,
    tenancy: TheTenancy,
    callers: TheCallers,
) -> Response[SessionView]:
    """Work in another tenant."""
    session = await asyncio.to_thread(tenancy.sessions.switch, caller.identity, data.tenant)
    callers.forget(caller.token)
    return await signed_in(request, session, tenancy)


class OwnPassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another password of one's own; `current` proves that it is oneself."""

    current: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


@put(
    "/session/password",
    status_code=204,
    summary="Change one's own password",
    description="Ends one's other sessions. Wrong tries are counted as at signing in.",
    responses=errors(400, 401, 403, 413, 429, 503, 507),
    opt=allows(ANYONE, unproved=True),
)
async def change_password(
    request: Request[Any, Any, Any],
    data: JSONBody[OwnPassword],
    caller: TheCaller,
    tenancy: TheTenancy,
) -> None:
    """Change one's own password."""
    await asyncio.to_thread(
        lambda: tenancy.sessions.change_password(
            caller.identity, data.current, data.password, client=client_of(request)
        )
    )


@delete(
    "/session",
    status_code=204,
    summary="Sign out",
    responses=errors(401, 403, 503),
    opt=allows(ANYONE, unproved=True),
)
async def sign_out(
    request: Request[Any, Any, Any],
    caller: TheCaller,
    tenancy: TheTenancy,
    callers: TheCallers,
) -> Response[None]:
    """Sign out."""
    await asyncio.to_thread(tenancy.sessions.sign_out, caller.token)
    callers.forget(caller.token)
    return Response(None, cookies=[session_cookie(request, "", 0)])


def router(guard: Guard) -> Router:
    """Signing in needs no session; the rest does, and is held to the rate of its tenant."""
    mine = Router(
        "/",
        guards=[guard],
        dependencies={"caller": Provide(caller_of, sync_to_thread=False)},
        route_handlers=[
            read_session,
            switch_tenant,
            change_password,
            sign_out,
            *second_factor.MINE,
            *invitations.MINE,
            *connections.MINE,
        ],
    )
    return Router(
        "/v1",
        tags=["session"],
        route_handlers=[sign_in, registration.register, *invitations.PUBLIC, *openid.PUBLIC, mine],
    )
