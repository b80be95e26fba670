"""Routes of one's own second factor, and of taking it from somebody who lost it."""

import asyncio
from typing import Annotated, Any

import msgspec
import segno
from litestar import Request, delete, get, post, put
from litestar.params import JSONBody

from carcloud.model.actions import ANYONE
from carcloud.web.api.people import UserPath
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheCallers, TheTenancy
from carcloud.web.signed_in import client_of

ISSUER = "carcloud"  # as an authenticator app shows it


class SecondFactorView(msgspec.Struct, frozen=True):
    """Whether it is on, and how many recovery codes were not used yet."""

    on: bool
    recovery_codes: int


class Begin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One's own password once more."""

    password: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class Code(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Six digits of the app; a recovery code where that will do."""

    code: Annotated[str, msgspec.Meta(min_length=6, max_length=40)]


class EnrolmentView(msgspec.Struct, frozen=True):
    """What goes into an authenticator app: `qr` is a picture of `uri`, as a data URL of SVG."""

    secret: str
    uri: str
    qr: str


class RecoveryCodes(msgspec.Struct, frozen=True):
    """Each signs in once in place of a code of the app. Told once."""

    recovery_codes: list[str]


@get(
    "/session/second-factor",
    summary="One's own second factor",
    opt=allows(ANYONE, unproved=True),
    responses=errors(401, 503),
)
async def read_second_factor(caller: TheCaller, tenancy: TheTenancy) -> SecondFactorView:
    """Whether one's second factor is on."""
    told = await asyncio.to_thread(tenancy.second_factor.state, caller.identity)
    return SecondFactorView(told.on, told.recovery_codes)


@post(
    "/session/second-factor",
    status_code=200,
    summary="Begin to set up a second factor",
    description="Tells a secret for an authenticator app (RFC 6238). Nothing changes before it is "
    "confirmed with a code, within 15 minutes.",
    opt=allows(ANYONE, unproved=True),
    responses=errors(400, 401, 403, 409, 413, 429, 503, 507),
)
async def begin_second_factor(
    request: Request[Any, Any, Any], data: JSONBody[Begin], caller: TheCaller, tenancy: TheTenancy
) -> EnrolmentView:
    """A secret for an authenticator app."""

    def begin() -> EnrolmentView:
        address = client_of(request).address
        made = tenancy.second_factor.begin(
            caller.identity, data.password, issuer=ISSUER, address=address
        )
        qr = segno.make(made.uri, error="m", micro=False)
        picture = qr.svg_data_uri(scale=4, border=4, dark="#000", light="#fff")
        return EnrolmentView(made.secret, made.uri, picture)

    return await asyncio.to_thread(begin)


@put(
    "/session/second-factor",
    summary="Turn the second factor on",
    description="With a first code of the app. One's other sessions end.",
    opt=allows(ANYONE, unproved=True),
    responses=errors(400, 401, 403, 404, 409, 413, 429, 503, 507),
)
async def confirm_second_factor(
    data: JSONBody[Code], caller: TheCaller, tenancy: TheTenancy, callers: TheCallers
) -> RecoveryCodes:
    """Turn it on."""
    codes = await asyncio.to_thread(tenancy.second_factor.confirm, caller.identity, data.code)
    callers.forget(caller.token)  # may do more from now on
    return RecoveryCodes(codes)


@post(
    "/session/second-factor/recovery-codes",
    status_code=200,
    summary="Other recovery codes",
    description="Those that were told before end.",
    opt=allows(ANYONE, unproved=True),
    responses=errors(400, 401, 403, 404, 413, 429, 503, 507),
)
async def renew_recovery_codes(
    data: JSONBody[Code], caller: TheCaller, tenancy: TheTenancy
) -> RecoveryCodes:
    """Other recovery codes."""
    codes = await asyncio.to_thread(tenancy.second_factor.renew_codes, caller.identity, data.code)
    return RecoveryCodes(codes)


@post(
    "/session/second-factor/off",
    status_code=204,
    summary="Turn the second factor off",
    opt=allows(ANYONE, unproved=True),
    responses=errors(400, 401, 403, 404, 413, 429, 503, 507),
)
async def turn_second_factor_off(
    data: JSONBody[Code], caller: TheCaller, tenancy: TheTenancy
) -> None:
    """Turn it off."""
    await asyncio.to_thread(tenancy.second_factor.turn_off, caller.identity, data.code)


@delete(
    "/users/{user:str}/second-factor",
    status_code=204,
    summary="Take a lost second factor from a user",
    description="Their sessions end; they sign in with the password alone and set up another.",
    opt=allows("people:write"),
    responses=errors(400, 401, 403, 404, 503, 507),
)
async def reset_second_factor(user: UserPath, caller: TheCaller, tenancy: TheTenancy) -> None:
    """Take somebody's second factor away."""
    await asyncio.to_thread(tenancy.second_factor.reset, caller.tenant, user, by=caller.identity)


MINE = [
    read_second_factor,
    begin_second_factor,
    confirm_second_factor,
    renew_recovery_codes,
    turn_second_factor_off,
]
