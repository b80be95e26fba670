"""Who calls: the session behind the cookie or the bearer token of a request."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from carcloud.model.actions import ANYONE
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.ports.errors import EngineError
from carcloud.services.tenancy.api import (
    Denied,
    Identity,
    NotSignedIn,
    SecondFactorMissing,
    Tenancy,
)
from carcloud.web.quick import AsyncGuard

LabelsOf = Callable[[Tenant, str], Mapping[str, str]]  # of a vehicle; none = no such vehicle

COOKIE = "carcloud_session"
REMEMBER_S = 0.8  # s; what another process revoked is refused after so long
REMEMBERED = 10_000  # sessions and keys


@dataclass(frozen=True, slots=True)
class Caller:
    """The person or program behind a request."""

    identity: Identity
    token: str = field(repr=False)

    @property
    def user(self) -> str:
        """Their name, as the audit tells it."""
        return self.identity.user

    @property
    def tenant(self) -> Tenant:
        """The tenant they work in."""
        return self.identity.tenant

    @property
    def expires_us(self) -> int | None:
        """When their session or key ends; None = a key without end."""
        return self.identity.expires


def allows(action: str, *, narrowed: bool = False, unproved: bool = False) -> dict[str, object]:
    """What a route declares in `opt`: the row of `model.actions` that its callers need.

    `ANYONE` = whoever is signed in. Where the path names a `vehicle` the grant may be limited to
    vehicles with its labels. A route that is `narrowed` looks at `identity.scopes` itself and
    serves only what lies inside. An `unproved` one serves also people who have yet to set up the
    second factor that their tenant asks for.
    """
    return {"action": action, "narrowed": narrowed, "unproved": unproved}


class Callers:
    """Looks sessions up, and remembers each for a moment so that not every request asks."""

    def __init__(self, tenancy: Tenancy, labels: LabelsOf) -> None:
        self._tenancy = tenancy
        self._labels = labels
        self._known: OrderedDict[str, tuple[float, Caller]] = OrderedDict()
        self._asked: dict[str, tuple[float, asyncio.Task[Caller]]] = {}  # being looked up, since

    def guard(self) -> AsyncGuard:
        """A guard that sets the request's user or raises `NotSignedIn`."""

        async def authenticate(
            connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
        ) -> None:
            token = token_of(connection)
            if token is None:
                raise NotSignedIn("sign in first: POST /v1/session")
            connection.scope["user"] = await self.find(token)

        return authenticate

    def permission(self) -> AsyncGuard:
        """A guard that raises `Denied` where the caller may not do what the route declares."""

        async def authorise(
            connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
        ) -> None:
            action = str(handler.opt["action"])
            who = connection.scope["user"].identity
            if who.unproved and not handler.opt["unproved"]:
                raise SecondFactorMissing(action, f"{who.tenant} asks people for a second factor")
            if action == ANYONE or action in who.everywhere:
                return
            vehicle = connection.path_params.get("vehicle")
            if who.may_somewhere(action):
                if vehicle is None and handler.opt["narrowed"]:
                    return
                if vehicle is not None and who.may(action, labels=await self._of(who, vehicle)):
                    return
                if vehicle is not None:
                    raise Denied(action, f"there is no vehicle {vehicle!r}", hidden=True)
            raise Denied(action, f"this needs the permission {action}")

        return authorise

    async def _of(self, who: Identity, vehicle: str) -> Mapping[str, str]:
        return await asyncio.to_thread(self._labels, who.tenant, vehicle)

    def at_hand(self, token: str) -> Caller | None:
        """The caller of a token that was looked up a moment ago and is still good.

        One who goes on asking is looked up anew before the moment is over, and need not wait.
        """
        asked, caller = self._known.get(token, (0.0, None))
        age = time.monotonic() - asked
        if caller is None or age > REMEMBER_S:
            return None
        if age > REMEMBER_S / 2:
            self._ask(token)
        return caller if caller.expires_us is None or caller.expires_us > now_us() else None

    async def find(self, token: str) -> Caller:
        """The caller of a token; raises `NotSignedIn`."""
        caller = self.at_hand(token)
        if caller is None:
            caller = await asyncio.shield(self._ask(token))
        if caller.expires_us is not None and caller.expires_us <= now_us():
            raise NotSignedIn("the session has ended: sign in again")
        return caller

    async def still_may(self, caller: Caller, action: str) -> bool:
        """Whether a caller may still do `action` where they could, in the same tenant; records
        that do not answer are no reason to doubt it."""
        try:
            now = await self.find(caller.token)
        except NotSignedIn:
            return False
        except EngineError:
            return True
        where, before = now.identity.scopes(action), caller.identity.scopes(action)
        return now.tenant == caller.tenant and where == before and where != ()

    def forget(self, token: str) -> None:
        """The session has ended."""
        self._known.pop(token, None)
        self._asked.pop(token, None)  # what it finds was true before

    def _ask(self, token: str) -> asyncio.Task[Caller]:
        """The look-up of a token: one at a time, however many wait for it."""
        now = time.monotonic()
        asked, asking = self._asking(token)
        if asking is None or now - asked > REMEMBER_S:  # what a slow one finds may be over
            asking = asyncio.create_task(self._look_up(token, now))
            self._asked[token] = now, asking
            asking.add_done_callback(lambda done: self._answered(token, done))
        return asking

    def _asking(self, token: str) -> tuple[float, asyncio.Task[Caller] | None]:
        """When the look-up of a token began, and the look-up, if there is one."""
        return self._asked.get(token, (0.0, None))

    async def _look_up(self, token: str, asked: float) -> Caller:
        caller = Caller(await asyncio.to_thread(self._tenancy.sessions.identify, token), token)
        if self._asking(token)[1] is asyncio.current_task():
            self._known[token] = (asked, caller)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return caller

    def _answered(self, token: str, done: asyncio.Task[Caller]) -> None:
        if self._asking(token)[1] is done:
            del self._asked[token]
            if not done.cancelled() and isinstance(done.exception(), NotSignedIn):
                self._known.pop(token, None)
        elif not done.cancelled():
            done.exception()  # whoever waited has it


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
