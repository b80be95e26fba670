"""Routes of the connection of one's own account to a provider: told, begun, made, ended."""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post, put
from litestar.params import JSONBody

from carcloud.model.actions import ANYONE
from carcloud.services.tenancy.api import LoginProvider
from carcloud.web.api.invitations import ShownProvider, public_url
from carcloud.web.api.openid import CALLBACK, PROPOSAL, SendTo, leaving, proposal_cookie
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheProviderThreads, TheSettings, TheTenancy
from carcloud.web.signed_in import client_of

_ROUTE = "/session/openid/connect"
_Password = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
_Code = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]


class Proved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What signing in takes: `code` where the second factor is on."""

    password: _Password
    code: _Code | None = None


class ConnectTo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The provider at which one wants to sign in from now on, and what signing in takes now:
    `code` where the second factor is on."""

    provider: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    password: _Password
    code: _Code | None = None


class ProposalView(msgspec.Struct, frozen=True):
    """The identity, as its owner knows it, with which one came back from the provider `id`."""

    id: str
    name: str
    identity: str


class ConnectionView(msgspec.Struct, frozen=True):
    """At which provider one signs in, and at which one could.

    `provider` null with `connected`: it was removed. `subject` is what it calls one. `password`:
    whether there is one to sign in with. `proposal` waits for `PUT`.
    """

    connected: bool
    provider: ShownProvider | None
    subject: str
    password: bool
    second_factor: bool
    providers: list[ShownProvider]
    proposal: ProposalView | None


@get(
    _ROUTE,
    summary="One's connection to a provider",
    opt=allows(ANYONE),
    responses=errors(401, 403, 503),
)
async def read_connection(
    request: Request[Any, Any, Any], caller: TheCaller, tenancy: TheTenancy
) -> ConnectionView:
    """How one may sign in."""
    proposal = request.cookies.get(PROPOSAL)
    told = await asyncio.to_thread(tenancy.connections.state, caller.identity, proposal)
    waits = told.proposal
    return ConnectionView(
        connected=told.connected,
        provider=None if told.provider is None else _shown(told.provider),
        subject=told.subject,
        password=told.password,
        second_factor=told.second_factor,
        providers=[_shown(one) for one in told.offered],
        proposal=None if waits is None else ProposalView(waits.provider, waits.name, waits.shown),
    )


@post(
    _ROUTE,
    status_code=200,
    summary="Begin to connect one's account to a provider",
    description="As `POST /session/openid`. Who comes back is shown the identity, and connects it "
    "with `PUT`. Takes the password, and a code where the second factor is on; wrong ones are "
    "counted as at signing in.",
    opt=allows(ANYONE),
    responses=errors(400, 401, 403, 404, 409, 413, 429, 503),
)
async def begin_connection(
    request: Request[Any, Any, Any],
    data: JSONBody[ConnectTo],
    caller: TheCaller,
    tenancy: TheTenancy,
    settings: TheSettings,
    provider_threads: TheProviderThreads,
) -> Response[SendTo]:
    """Where to send the browser."""
    begun = await provider_threads.run(
        lambda: tenancy.openid.connect(
            caller.identity,
            data.provider,
            public_url(request, settings) + CALLBACK,
            back="/account",
            password=data.password,
            code=data.code,
            client=client_of(request),
        )
    )
    return leaving(request, begun)


@put(
    _ROUTE,
    status_code=204,
    summary="Connect one's account to a provider",
    description="To the identity with which this browser came back, within five minutes and in "
    "the session that began it; from then on one may sign in there.",
    opt=allows(ANYONE),
    responses=errors(401, 403, 404, 409, 503, 507),
)
async def confirm_connection(
    request: Request[Any, Any, Any], caller: TheCaller, tenancy: TheTenancy
) -> Response[None]:
    """Connect."""
    proposal = request.cookies.get(PROPOSAL)
    await asyncio.to_thread(tenancy.connections.confirm, caller.identity, proposal)
    return Response(None, cookies=[proposal_cookie(request, None)])


@post(
    "/session/openid/disconnect",
    status_code=204,
    summary="Sign in with the password only again",
    description="Ends one's other sessions. Refused who has no password: it would lock them out.",
    opt=allows(ANYONE),
    responses=errors(400, 401, 403, 413, 429, 503, 507),
)
async def end_connection(
    request: Request[Any, Any, Any], data: JSONBody[Proved], caller: TheCaller, tenancy: TheTenancy
) -> None:
    """Take the connection back."""
    client = client_of(request)
    end = tenancy.connections.end
    await asyncio.to_thread(end, caller.identity, data.password, data.code, client=client)


def _shown(one: LoginProvider) -> ShownProvider:
    return ShownProvider(one.id, one.name)


MINE = [read_connection, begin_connection, confirm_connection, end_connection]
