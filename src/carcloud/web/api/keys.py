"""Routes of API keys, short-lived tokens and open sessions."""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, delete, get, post
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, JSONBody, QueryParameter

from carcloud.model.actions import ANYONE
from carcloud.model.time import iso
from carcloud.services.tenancy.api import ApiKey, Denied, SessionInfo
from carcloud.web.callers import Caller, allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheTenancy
from carcloud.web.paging import Page
from carcloud.web.signed_in import client_of

Mine = Annotated[bool, QueryParameter(description="Only one's own")]


class KeyView(msgspec.Struct, frozen=True):
    """An API key without its secret; `actions` null = all that its user may."""

    id: str
    name: str
    user: str
    actions: list[str] | None
    project: str | None
    by: str
    created: str
    expires: str | None
    used: str | None


class NewKeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key for oneself, or for a service account: it may what that user may, or less."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    user: Annotated[str, msgspec.Meta(min_length=1, max_length=120)] | None = None
    actions: list[str] | None = None
    project: str | None = None
    days: Annotated[float, msgspec.Meta(gt=0, le=3650)] | None = None


class SecretView(msgspec.Struct, frozen=True):
    """A new key. `secret` and the pair for the S3 interface are told this once."""

    key: KeyView
    secret: str
    s3_access_key_id: str
    s3_secret_access_key: str | None


class NewToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a token lasts, and what it may; `actions` null = all that one may oneself."""

    minutes: Annotated[float, msgspec.Meta(gt=0, le=1440)] = 15
    actions: list[str] | None = None


class TokenView(msgspec.Struct, frozen=True):
    """A short-lived token, told this once."""

    token: str
    expires: str
    actions: list[str]


class SessionView(msgspec.Struct, frozen=True):
    """An open session; `short_lived` = a token that was made from another sign-in or key."""

    id: str
    user: str
    address: str
    agent: str
    created: str
    expires: str
    short_lived: bool
    current: bool


@get(
    "/keys",
    summary="API keys",
    description="All of the tenant's need `keys:read`.",
    opt=allows(ANYONE),
    responses=errors(400, 401, 403, 503),
)
async def list_keys(caller: TheCaller, tenancy: TheTenancy, mine: Mine = False) -> Page[KeyView]:
    """Keys of the tenant, or one's own."""
    user = _whose(caller, mine, "keys:read")
    found = await asyncio.to_thread(tenancy.keys.all, caller.tenant, user)
    return Page([_key(one) for one in found], None, len(found))


_EXAMPLE = Example(
    summary="Reads vehicles for a month",
    value={"name": "dashboard", "actions": ["vehicles:read", "telemetry:read"], "days": 30},
)


@post(
    "/keys",
    summary="Make an API key",
    description="For oneself, or with `keys:write` for a service account of the tenant.",
    opt=allows(ANYONE),
    responses=errors(400, 401, 403, 404, 413, 503, 507),
)
async def create_key(
    data: Annotated[NewKeyBody, Body(examples=[_EXAMPLE])], caller: TheCaller, tenancy: TheTenancy
) -> SecretView:
    """Make a key."""
    user = data.user or caller.user
    if user != caller.user:
        _need(caller, "keys:write")
    actions = None if data.actions is None else frozenset(data.actions)
    made = await asyncio.to_thread(
        lambda: tenancy.keys.create(
            caller.tenant,
            user,
            data.name,
            by=caller.identity,
            actions=actions,
            project=data.project,
            days=data.days,
        )
    )
    return SecretView(_key(made.key), made.secret, made.key.id, made.s3_secret)


@delete(
    "/keys/{key:str}",
    status_code=204,
    summary="Revoke an API key",
    description="It is refused everywhere within a second.",
    opt=allows(ANYONE),
    responses=errors(400, 401, 403, 404, 503, 507),
)
async def revoke_key(key: FromPath[str], caller: TheCaller, tenancy: TheTenancy) -> None:
    """Revoke a key of one's own, or with `keys:write` any."""
    found = await asyncio.to_thread(tenancy.keys.get, caller.tenant, key)
    if found.user != caller.user:
        _need(caller, "keys:write", hidden=f"there is no key {key!r}")
    await asyncio.to_thread(tenancy.keys.revoke, caller.tenant, key, by=caller.identity)


@post(
    "/tokens",
    summary="Make a short-lived token",
    description="It may no more than what it was made with, and does not outlive it.",
    opt=allows(ANYONE),
    responses=errors(400, 401, 403, 413, 503, 507),
)
async def create_token(
    request: Request[Any, Any, Any],
    data: JSONBody[NewToken],
    caller: TheCaller,
    tenancy: TheTenancy,
) -> TokenView:
    """Make a token."""
    actions = None if data.actions is None else frozenset(data.actions)
    made = await asyncio.to_thread(
        lambda: tenancy.sessions.token(
            caller.identity, minutes=data.minutes, actions=actions, client=client_of(request)
        )
    )
    who = made.identity
    kept = who.everywhere.union(*(part.actions for part in who.partly))
    return TokenView(made.token, iso(made.expires), sorted(kept))


@get(
    "/sessions",
    summary="Open sessions",
    description="All of the tenant's need `people:read`.",
    opt=allows(ANYONE),
    responses=errors(400, 401, 403, 503),
)
async def list_sessions(
    caller: TheCaller, tenancy: TheTenancy, mine: Mine = False
) -> Page[SessionView]:
    """Sessions in the tenant, or one's own."""
    user = _whose(caller, mine, "people:read")
    found = await asyncio.to_thread(tenancy.sessions.all, caller.tenant, user)
    return Page([_session(one, caller) for one in found], None, len(found))


@delete(
    "/sessions/{session:str}",
    status_code=204,
    summary="End a session",
    opt=allows(ANYONE),
    responses=errors(400, 401, 403, 404, 503, 507),
)
async def end_session(session: FromPath[str], caller: TheCaller, tenancy: TheTenancy) -> None:
    """End a session of one's own, or with `people:write` any."""
    anybody = caller.identity.may("people:write")
    await asyncio.to_thread(
        lambda: tenancy.sessions.end(
            caller.tenant, session, actor=caller.user, user=None if anybody else caller.user
        )
    )


def _whose(caller: Caller, mine: bool, action: str) -> str | None:
    if mine:
        return caller.user
    _need(caller, action)
    return None


def _need(caller: Caller, action: str, hidden: str | None = None) -> None:
    if not caller.identity.may(action):
        raise Denied(action, hidden or f"this needs the permission {action}", hidden=bool(hidden))


def _key(one: ApiKey) -> KeyView:
    return KeyView(
        one.id,
        one.name,
        one.user,
        None if one.actions is None else sorted(one.actions),
        one.project,
        one.by,
        iso(one.created),
        None if one.expires is None else iso(one.expires),
        None if one.used is None else iso(one.used),
    )


def _session(one: SessionInfo, caller: Caller) -> SessionView:
    current = one.id == caller.identity.session
    return SessionView(
        one.id,
        one.user,
        one.address,
        one.agent,
        iso(one.created),
        iso(one.expires),
        one.short_lived,
        current,
    )


router = Router(
    "/",
    tags=["keys"],
    route_handlers=[
        list_keys,
        create_key,
        revoke_key,
        create_token,
        list_sessions,
        end_session,
    ],
)
