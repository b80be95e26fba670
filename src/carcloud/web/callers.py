"""Who calls: the session behind the cookie or the bearer token of a request."""

import asyncio
import time
from collections import OrderedDict
from typing import Any

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.ports.errors import EngineError
from carcloud.services.tenancy.api import NotSignedIn, Role, Tenancy
from carcloud.web.problems import Refused
from carcloud.web.security import SAFE_METHODS

COOKIE = "carcloud_session"
REMEMBER_S = 3.0  # s; a session ended by another process is refused after so long
REMEMBERED = 1000  # sessions


class Caller(msgspec.Struct, frozen=True):
    """The person or program behind a request."""

    user: str
    tenant: Tenant
    role: Role
    expires_us: int | None  # None = an API token without end
    token: str


class Callers:
    """Looks sessions up, and remembers each for a moment so that not every request asks."""

    def __init__(self, tenancy: Tenancy) -> None:
        self._tenancy = tenancy
        self._known: OrderedDict[str, tuple[float, Caller]] = OrderedDict()

    def guard(self) -> Guard:
        """A guard that sets the request's user or raises `NotSignedIn`."""

        async def authenticate(
            connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
        ) -> None:
            token = token_of(connection)
            if token is None:
                raise NotSignedIn("sign in first: POST /v1/session")
            connection.scope["user"] = await self.find(token)

        return authenticate

    async def find(self, token: str) -> Caller:
        """The caller of a token; raises `NotSignedIn`."""
        asked, caller = self._known.get(token, (0.0, None))
        if caller is None or time.monotonic() - asked > REMEMBER_S:
            caller = await self._ask(token)
        if caller.expires_us is not None and caller.expires_us <= now_us():
            raise NotSignedIn("the session has ended: sign in again")
        return caller

    async def still_signed_in(self, token: str) -> bool:
        """Whether a token is good; records that do not answer are no reason to doubt it."""
        try:
            await self.find(token)
        except NotSignedIn:
            return False
        except EngineError:
            return True
        return True

    def forget(self, token: str) -> None:
        """The session has ended."""
        self._known.pop(token, None)

    async def _ask(self, token: str) -> Caller:
        try:
            who = await asyncio.to_thread(self._tenancy.session, token)
        except NotSignedIn:
            self.forget(token)
            raise
        caller = Caller(who.user, who.tenant, who.role, who.expires, token)
        self._known[token] = (time.monotonic(), caller)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return caller


def token_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    """The bearer token of a request, else its cookie."""
    header = connection.headers.get("authorization", "")
    if header:
        kind, _, token = header.partition(" ")
        return token.strip() if kind.lower() == "bearer" and token.strip() else None
    return connection.cookies.get(COOKIE)


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """The caller that the guard found."""
    caller = request.scope["user"]
    assert isinstance(caller, Caller)  # noqa: S101 - every route with a caller has the guard
    return caller


def needs(role: Role) -> Guard:
    """A guard: callers of a lower role may not change anything here."""

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        caller = connection.scope["user"]
        if connection.scope.get("method") not in SAFE_METHODS and caller.role.rank < role.rank:
            raise Refused(403, f"this needs the role {role.value}", code="role")

    return guard
