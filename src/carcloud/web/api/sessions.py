"""Routes for signing in and out."""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, delete, get, post
from litestar.datastructures import Cookie
from litestar.di import Provide
from litestar.openapi.spec import Example
from litestar.params import Body

from carcloud.model.time import iso, now_us
from carcloud.services.tenancy.api import Exists, Invalid, NotSignedIn, Throttled, Unknown
from carcloud.web.callers import COOKIE, Callers, caller_of
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheCallers, TheSettings, TheTenancy
from carcloud.web.problems import Refused, Translate
from carcloud.web.security import same_origin

TRANSLATIONS: dict[type[Exception], Translate] = {
    NotSignedIn: lambda e: Refused(401, str(e), headers={"WWW-Authenticate": "Bearer"}),
    Throttled: lambda e: Refused(429, str(e), headers={"Retry-After": str(e.retry_after_s)}),
    Invalid: lambda e: Refused(400, e.detail, field=e.field),
    Exists: lambda e: Refused(409, str(e)),
    Unknown: lambda e: Refused(404, str(e)),
}

_EXAMPLE = Example(summary="The first admin", value={"user": "admin", "password": "…"})


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's name and password."""

    user: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class SessionView(msgspec.Struct, frozen=True):
    """Who is signed in, to which tenant, until when; `expires` null = an API token without end."""

    user: str
    tenant: str
    role: str
    expires: str | None


@post(
    "/session",
    status_code=200,
    summary="Sign in",
    description="Sets the session cookie. Failed tries are counted by user and address.",
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
    address = request.client.host if request.client else ""
    session = await asyncio.to_thread(
        tenancy.sign_in, data.user, data.password, hours=hours, address=address
    )
    who = session.identity
    view = SessionView(who.user, who.tenant, who.role.value, iso(session.expires))
    return Response(view, cookies=[_cookie(request, session.token, session.expires)])


@get("/session", summary="Who is signed in", responses=errors(401, 503))
async def read_session(caller: TheCaller) -> SessionView:
    """Who is signed in."""
    expires = None if caller.expires_us is None else iso(caller.expires_us)
    return SessionView(caller.user, caller.tenant, caller.role.value, expires)


@delete("/session", status_code=204, summary="Sign out", responses=errors(401, 403, 503))
async def sign_out(
    request: Request[Any, Any, Any],
    caller: TheCaller,
    tenancy: TheTenancy,
    callers: TheCallers,
) -> Response[None]:
    """Sign out."""
    await asyncio.to_thread(tenancy.sign_out, caller.token)
    callers.forget(caller.token)
    return Response(None, cookies=[_cookie(request, "", 0)])


def _cookie(request: Request[Any, Any, Any], token: str, expires_us: int) -> Cookie:
    return Cookie(
        key=COOKIE,
        value=token,
        path="/",
        max_age=max(0, (expires_us - now_us()) // 1_000_000),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def router(callers: Callers) -> Router:
    """Signing in needs no session; the rest does."""
    mine = Router(
        "/",
        guards=[callers.guard(), same_origin],
        dependencies={"caller": Provide(caller_of, sync_to_thread=False)},
        route_handlers=[read_session, sign_out],
    )
    return Router("/v1", tags=["session"], route_handlers=[sign_in, mine])
