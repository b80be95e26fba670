"""Routes for forwarding to further platforms, and for lower platforms that log in to us."""

import asyncio
from typing import Annotated

import msgspec
from litestar import Response, Router, delete, get, patch, post, put
from litestar.datastructures import ResponseHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, JSONBody, PathParameter

from carcloud.model.time import iso
from carcloud.services.compliance.api import (
    ACCOUNT_ID,
    NAME,
    Compliance,
    InvalidLink,
    LinkChange,
    LinkChanged,
    LinkExists,
    LinkFacts,
    LinkSpec,
    LinkState,
    Password,
    PlatformAccount,
    PlatformTaken,
    UnknownLink,
    UnknownPlatform,
    User,
    Warn,
)
from carcloud.web.api.vehicles import IfMatch
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheCompliance, ThePlatforms
from carcloud.web.paging import Page
from carcloud.web.problems import Refused, Translate
from carcloud.web.tags import etag, wanted_revision
from carcloud.web.times import optional_iso

TRANSLATIONS: dict[type[Exception], Translate] = {
    UnknownLink: lambda e: Refused(404, str(e)),
    UnknownPlatform: lambda e: Refused(404, str(e)),
    LinkExists: lambda e: Refused(409, str(e), field="name"),
    PlatformTaken: lambda e: Refused(409, str(e), field="platform_id"),
    LinkChanged: lambda e: Refused(412, str(e), field="If-Match"),
    InvalidLink: lambda e: Refused(400, e.detail, field=e.field),
}

_TAGGED = [ResponseHeader(name="ETag", documentation_only=True, description="The revision")]
LinkPath = Annotated[str, PathParameter(pattern=f"^{NAME}$", description="Name of a link")]
PlatformPath = Annotated[
    str, PathParameter(pattern=f"^{ACCOUNT_ID}$", description="Unique id of a lower platform")
]


class LinkView(LinkFacts, frozen=True, kw_only=True):
    """A link and how far it has come; the password is never told.

    `waiting` counts raw frames beyond the link's position and the `retrying` ones, which were
    answered with an error. `warning`: frames are lost or about to be, because raw frames are not
    kept longer (`retention`) or reports are too old to be sent (`reissue-window`).
    """

    waiting: int
    retrying: int
    oldest_waiting: str | None
    warning: Warn | None
    created: str
    updated: str | None


class AccountChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a lower platform must send in its login (2016 table 21, 2025 table 29)."""

    user: User
    password: Password


class AccountView(msgspec.Struct, frozen=True):
    """The account of a lower platform; the password is kept as a hash and never told."""

    platform_id: str
    user: str
    created: str
    updated: str


@get(
    "/forwarding",
    summary="Links to further platforms",
    responses=errors(401, 503),
    opt=allows("forwarding:read"),
)
async def list_links(caller: TheCaller, compliance: TheCompliance) -> Page[LinkView]:
    """All links of the tenant with their state."""
    found = await asyncio.to_thread(
        lambda: [_view(compliance, state) for state in compliance.states(caller.tenant)]
    )
    return Page(found, None, len(found))


_NEW = Example(
    summary="A city's platform",
    value={
        "name": "city", "host": "192.0.2.10", "port": 32960, "platform_id": "CARCLOUD000000001",
        "user": "carcloud", "password": "as they gave it",
    },
)  # fmt: skip


@post(
    "/forwarding",
    summary="Add a link",
    description="Forwards what comes from now on; what the lake has already is not sent.",
    response_headers=[
        *_TAGGED,
        ResponseHeader(name="Location", documentation_only=True, description="Its address"),
    ],
    responses=errors(400, 401, 403, 409, 413, 503, 507),
    opt=allows("forwarding:write"),
)
async def create_link(
    data: Annotated[LinkSpec, Body(examples=[_NEW])], caller: TheCaller, compliance: TheCompliance
) -> Response[LinkView]:
    """Add a link."""
    made = await asyncio.to_thread(compliance.add, caller.tenant, data, actor=caller.user)
    headers = {**etag(made.revision), "Location": f"/v1/forwarding/{made.name}"}
    view = await asyncio.to_thread(_view, compliance, made)
    return Response(view, status_code=201, headers=headers)


@get(
    "/forwarding/{link:str}",
    summary="One link",
    response_headers=_TAGGED,
    responses=errors(400, 401, 404, 503),
    opt=allows("forwarding:read"),
)
async def read_link(
    link: LinkPath, caller: TheCaller, compliance: TheCompliance
) -> Response[LinkView]:
    """One link."""
    found = await asyncio.to_thread(compliance.state, caller.tenant, link)
    view = await asyncio.to_thread(_view, compliance, found)
    return Response(view, headers=etag(found.revision))


@patch(
    "/forwarding/{link:str}",
    summary="Change a link",
    description="A merge patch (RFC 7396), also to enable and disable. `If-Match` must name the "
    "revision that you saw. A link that was disabled goes on where it stopped.",
    response_headers=_TAGGED,
    responses=errors(400, 401, 403, 404, 412, 413, 428, 503, 507),
    opt=allows("forwarding:write"),
)
async def change_link(
    link: LinkPath,
    data: JSONBody[LinkChange],
    caller: TheCaller,
    compliance: TheCompliance,
    if_match: IfMatch = None,
) -> Response[LinkView]:
    """Change a link."""
    revision = wanted_revision(if_match, needed=True)
    made = await asyncio.to_thread(
        compliance.change, caller.tenant, link, data, actor=caller.user, if_revision=revision
    )
    view = await asyncio.to_thread(_view, compliance, made)
    return Response(view, headers=etag(made.revision))


@delete(
    "/forwarding/{link:str}",
    summary="Remove a link",
    description="What waits for it is not sent. A link made later begins at the present.",
    responses=errors(400, 401, 403, 404, 503, 507),
    opt=allows("forwarding:write"),
)
async def remove_link(link: LinkPath, caller: TheCaller, compliance: TheCompliance) -> None:
    """Remove a link."""
    await asyncio.to_thread(compliance.remove, caller.tenant, link, actor=caller.user)


@get(
    "/platforms",
    summary="Lower platforms",
    responses=errors(401, 503),
    opt=allows("platforms:read"),
)
async def list_platforms(caller: TheCaller, platforms: ThePlatforms) -> Page[AccountView]:
    """Lower platforms that may log in and bring vehicles."""
    found = await asyncio.to_thread(platforms.all, caller.tenant)
    return Page([_account(one) for one in found], None, len(found))


@put(
    "/platforms/{platform_id:str}",
    summary="Grant a lower platform its account",
    description="Makes the account (201), or replaces its user and password (200).",
    responses={
        **errors(400, 401, 403, 409, 413, 503, 507),
        201: ResponseSpec(AccountView, description="The account is new", generate_examples=False),
    },
    opt=allows("platforms:write"),
)
async def grant_platform(
    platform_id: PlatformPath,
    data: JSONBody[AccountChange],
    caller: TheCaller,
    platforms: ThePlatforms,
) -> Response[AccountView]:
    """Grant a lower platform its account."""
    made, new = await asyncio.to_thread(
        platforms.grant, caller.tenant, platform_id, data.user, data.password, actor=caller.user
    )
    return Response(_account(made), status_code=201 if new else 200)


@delete(
    "/platforms/{platform_id:str}",
    summary="Revoke the account of a lower platform",
    description="What an open connection still brings is refused within a minute.",
    responses=errors(400, 401, 403, 404, 503, 507),
    opt=allows("platforms:write"),
)
async def revoke_platform(
    platform_id: PlatformPath, caller: TheCaller, platforms: ThePlatforms
) -> None:
    """Revoke the account of a lower platform."""
    await asyncio.to_thread(platforms.revoke, caller.tenant, platform_id, actor=caller.user)


def _view(compliance: Compliance, state: LinkState) -> LinkView:
    """A link with what waits for it; blocks."""
    wait = compliance.wait(state)
    return LinkView(
        **state.facts(),
        waiting=wait.frames,
        retrying=wait.again,
        oldest_waiting=optional_iso(wait.oldest_us),
        warning=wait.warning,
        created=iso(state.created_us),
        updated=optional_iso(state.updated_us or None),
    )


def _account(account: PlatformAccount) -> AccountView:
    return AccountView(
        account.platform_id, account.user, iso(account.created_us), iso(account.updated_us)
    )


router = Router(
    "/",
    tags=["forwarding"],
    route_handlers=[
        list_links,
        create_link,
        read_link,
        change_link,
        remove_link,
        list_platforms,
        grant_platform,
        revoke_platform,
    ],
)
