"""Routes of OpenID Connect: providers and how they are set, and signing in there."""

import asyncio
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from litestar import Request, Response, Router, delete, get, post, put
from litestar.datastructures import Cookie
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, FromQuery, JSONBody

from carcloud.model.time import iso
from carcloud.services.tenancy.api import (
    INSTALLATION,
    PROPOSAL_S,
    LoginProvider,
    ProviderRules,
    SignInBegun,
    SignInRefused,
    Throttled,
)
from carcloud.web.api.invitations import ShownProvider, public_url
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheProviderThreads, TheSettings, TheTenancy
from carcloud.web.paging import Page
from carcloud.web.security import same_origin
from carcloud.web.signed_in import client_of, session_cookie

CALLBACK = "/v1/session/openid/callback"
CONNECT = "/v1/session/openid/connect"
COOKIE = "carcloud_openid"
PROPOSAL = "carcloud_connect"
_TICKET_S = 600
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class ProviderView(msgspec.Struct, frozen=True):
    """A provider; the secret of the client is not told. `callback` must be registered there."""

    id: str
    name: str
    installation: bool
    issuer: str
    client_id: str
    confidential: bool
    domains: list[str]
    creates: bool
    role: str | None
    claim: str | None
    roles: dict[str, str]
    created: str
    callback: str


class ProviderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A provider as it is from now on.

    `client_secret` left out keeps the one that there is, empty means a public client. `domains`:
    only verified e-mail addresses of these. `creates`: who comes for the first time becomes a
    user, with the roles that `roles` gives for values of `claim`, else with `role`.
    `installation`: for people of all tenants, set by administrators.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    issuer: _Text
    client_id: _Text
    client_secret: Annotated[str, msgspec.Meta(max_length=500)] | None = None
    domains: list[str] = []
    creates: bool = False
    role: str | None = None
    claim: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    roles: dict[str, str] = {}
    installation: bool = False


class SignInAt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to sign in, and the path of the console to come back to.

    With the secret of an invitation and a name, a new user comes of it.
    """

    provider: _Id
    back: Annotated[str, msgspec.Meta(max_length=500)] = "/"
    invitation: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    name: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class SendTo(msgspec.Struct, frozen=True):
    """The address that the browser must go to."""

    url: str


@get(
    "/login-providers",
    summary="Sign-in providers",
    opt=allows("people:read"),
    responses=errors(401, 403, 503),
)
async def list_providers(
    request: Request[Any, Any, Any], caller: TheCaller, tenancy: TheTenancy, settings: TheSettings
) -> Page[ProviderView]:
    """Providers of the tenant and of the installation."""
    found = await asyncio.to_thread(tenancy.providers.all, caller.tenant)
    callback = public_url(request, settings) + CALLBACK
    return Page([_view(one, callback) for one in found], None, len(found))


_EXAMPLE = Example(
    summary="The company's own",
    value={
        "name": "North Fleet",
        "issuer": "https://login.example.com",
        "client_id": "carcloud",
        "client_secret": "…",
        "domains": ["example.com"],
        "creates": True,
        "role": "viewer",
    },
)


@put(
    "/login-providers/{provider:str}",
    summary="Add or change a sign-in provider",
    opt=allows("people:write"),
    responses=errors(400, 401, 403, 409, 413, 503, 507),
)
async def set_provider(
    request: Request[Any, Any, Any],
    provider: FromPath[str],
    data: Annotated[ProviderBody, Body(examples=[_EXAMPLE])],
    caller: TheCaller,
    tenancy: TheTenancy,
    settings: TheSettings,
) -> ProviderView:
    """Add or change a provider."""
    rules = ProviderRules(tuple(data.domains), data.creates, data.role, data.claim, data.roles)
    made = await asyncio.to_thread(
        lambda: tenancy.providers.set(
            INSTALLATION if data.installation else caller.tenant,
            provider,
            name=data.name,
            issuer=data.issuer,
            client=data.client_id,
            secret=data.client_secret,
            rules=rules,
            by=caller.identity,
        )
    )
    return _view(made, public_url(request, settings) + CALLBACK)


@delete(
    "/login-providers/{provider:str}",
    status_code=204,
    summary="Remove a sign-in provider",
    opt=allows("people:write"),
    responses=errors(400, 401, 403, 404, 503, 507),
)
async def remove_provider(
    provider: FromPath[str],
    caller: TheCaller,
    tenancy: TheTenancy,
    installation: FromQuery[bool] = False,
) -> None:
    """Remove a provider."""
    tenant = INSTALLATION if installation else caller.tenant
    await asyncio.to_thread(tenancy.providers.remove, tenant, provider, by=caller.identity)


@get(
    "/session/openid",
    summary="Sign-in providers for everybody",
    security=[{}],
    description="Those of the installation, and `provider` if it is there: a tenant's own is told "
    "to who knows its id.",
    responses=errors(400, 503),
)
async def list_shown(
    tenancy: TheTenancy, provider: FromQuery[str | None] = None
) -> Page[ShownProvider]:
    """Providers of the installation, and one that is known."""
    found = await asyncio.to_thread(tenancy.providers.shown, provider)
    return Page([ShownProvider(one.id, one.name) for one in found], None, len(found))


@post(
    "/session/openid",
    status_code=200,
    summary="Begin to sign in at a provider",
    description="Sets a cookie that the browser must bring back.",
    guards=[same_origin],
    security=[{}],
    responses=errors(400, 401, 403, 404, 413, 429, 503),
)
async def begin_sign_in(
    request: Request[Any, Any, Any],
    data: JSONBody[SignInAt],
    tenancy: TheTenancy,
    settings: TheSettings,
    provider_threads: TheProviderThreads,
) -> Response[SendTo]:
    """Where to send the browser."""
    begun = await provider_threads.run(
        lambda: tenancy.openid.begin(
            data.provider,
            public_url(request, settings) + CALLBACK,
            back=data.back,
            invitation=data.invitation,
            name=data.name,
            client=client_of(request),
        )
    )
    return leaving(request, begun)


@get(
    "/session/openid/callback",
    status_code=303,
    summary="Where providers send browsers back to",
    security=[{}],
    include_in_schema=False,
)
async def come_back(
    request: Request[Any, Any, Any],
    tenancy: TheTenancy,
    settings: TheSettings,
    provider_threads: TheProviderThreads,
) -> Response[None]:
    """Sign in, or tell the sign-in page why not."""
    hours = settings.number("web.session_hours")
    ticket = request.cookies.get(COOKIE)
    given = {name: value[:4000] for name, value in request.query_params.items()}
    gone = _cookie(request, "", 0)
    try:
        done = await provider_threads.run(
            lambda: tenancy.openid.finish(ticket, given, hours=hours, client=client_of(request))
        )
    except SignInRefused as error:
        return _redirect(f"{error.back}?refused={quote(error.why)}", [gone])
    except Throttled:
        return _redirect("/?refused=throttled", [gone])
    if done.session is None:
        return _redirect(done.back, [gone, proposal_cookie(request, done.proposal)])
    mine = session_cookie(request, done.session.token, done.session.expires)
    return _redirect(done.back, [gone, mine])


def _redirect(path: str, cookies: list[Cookie]) -> Response[None]:
    return Response(None, status_code=303, headers={"Location": path}, cookies=cookies)


def leaving(request: Request[Any, Any, Any], begun: SignInBegun) -> Response[SendTo]:
    """Sends a browser to a provider, with the ticket that it must bring back."""
    return Response(SendTo(begun.url), cookies=[_cookie(request, begun.ticket, _TICKET_S)])


def _cookie(request: Request[Any, Any, Any], ticket: str, seconds: int) -> Cookie:
    """`lax`: a browser must bring it when another site sends it back here."""
    return Cookie(
        key=COOKIE,
        value=ticket,
        path=CALLBACK,
        max_age=seconds,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


def proposal_cookie(request: Request[Any, Any, Any], proposal: str | None) -> Cookie:
    """What waits for the yes of the person, for the page that asks; None takes it away."""
    return Cookie(
        key=PROPOSAL,
        value=proposal or "",
        path=CONNECT,
        max_age=0 if proposal is None else PROPOSAL_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def _view(one: LoginProvider, callback: str) -> ProviderView:
    rules = one.rules
    return ProviderView(
        id=one.id,
        name=one.name,
        installation=one.tenant == INSTALLATION,
        issuer=one.issuer,
        client_id=one.client,
        confidential=one.confidential,
        domains=list(rules.domains),
        creates=rules.creates,
        role=rules.role,
        claim=rules.claim,
        roles=dict(rules.roles),
        created=iso(one.created),
        callback=callback,
    )


PUBLIC = [list_shown, begin_sign_in, come_back]
router = Router(
    "/", tags=["people"], route_handlers=[list_providers, set_provider, remove_provider]
)
