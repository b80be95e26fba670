"""A session as it goes over the wire: what it tells, its cookie, where it comes from."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.datastructures import Cookie

from carcloud.config import Settings
from carcloud.model.time import iso, now_us
from carcloud.services.tenancy.api import Client, Identity, Session, Tenancy
from carcloud.web.callers import COOKIE


class TenantView(msgspec.Struct, frozen=True):
    """A tenant to work in."""

    id: str
    name: str


class PartView(msgspec.Struct, frozen=True):
    """Actions that are allowed in one scope: `project:NAME` or `labels:key=value,…`."""

    scope: str
    actions: list[str]


class SessionView(msgspec.Struct, frozen=True):
    """Who is signed in, to which tenant, what that one may do there, until when.

    `actions` are allowed on the whole tenant, `parts` tells of those that are limited; `expires`
    null = an API key without end. `unproved`: the tenant asks for a second factor, and until one is
    set up nothing else is allowed.
    """

    user: str
    tenant: str
    actions: list[str]
    parts: list[PartView]
    expires: str | None
    tenants: list[TenantView]
    unproved: bool = False


def client_of(request: Request[Any, Any, Any]) -> Client:
    """From where and with what a request comes."""
    address = request.client.host if request.client else ""
    return Client(address, request.headers.get("user-agent", ""))


async def session_view(who: Identity, tenancy: Tenancy) -> SessionView:
    """What a caller is told of their session."""
    where = [who.tenant]
    found = await asyncio.to_thread(tenancy.sessions.tenants, who.user)
    tenants = [one for one in found if who.session is not None or one.id in where]
    return SessionView(
        user=who.user,
        tenant=who.tenant,
        actions=sorted(who.everywhere),
        parts=[PartView(one.scope.text, sorted(one.actions)) for one in who.partly],
        expires=None if who.expires is None else iso(who.expires),
        tenants=[TenantView(one.id, one.name) for one in tenants],
        unproved=who.unproved,
    )


def session_cookie(request: Request[Any, Any, Any], token: str, expires_us: int) -> Cookie:
    """The cookie of a session; an end in the past takes it away."""
    return Cookie(
        key=COOKIE,
        value=token,
        path="/",
        max_age=max(0, (expires_us - now_us()) // 1_000_000),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


async def first_session(
    request: Request[Any, Any, Any],
    tenancy: Tenancy,
    settings: Settings,
    make: Callable[[], str],
) -> Response[SessionView]:
    """The answer to a user whom `make` makes, and tells the name of."""

    def work() -> Session:
        hours = settings.number("web.session_hours")
        return tenancy.sessions.open_new(make(), hours=hours, client=client_of(request))

    return await signed_in(request, await asyncio.to_thread(work), tenancy)


async def signed_in(
    request: Request[Any, Any, Any], session: Session, tenancy: Tenancy
) -> Response[SessionView]:
    """The answer to whoever has just signed in."""
    view = await session_view(session.identity, tenancy)
    return Response(view, cookies=[session_cookie(request, session.token, session.expires)])
