"""Who makes an S3 request, and whether that one may.

A bucket of another tenant is answered as one that does not exist (404), never as one that is
forbidden (403): the difference would tell which names are taken. Only making a bucket tells,
because names are unique over the installation and S3 clients must learn that one is taken.
"""

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from carcloud.codecs.s3.errors import S3Error
from carcloud.codecs.s3.signature import Claim, Signed, check, claim_of
from carcloud.model.ids import Tenant

log = logging.getLogger(__name__)

REMEMBER_S = 0.8  # a key that was revoked is refused after so long
_REMEMBERED = 2_000  # keys
_NEVER = (-math.inf, None)
_TOLD_S = 60.0  # the same denial is noted once in so long
_TOLD = 10_000
OF_ONE_USER = 20  # different denials that are told in so long; further ones are told together


class Identity(Protocol):
    """Who makes a call."""

    @property
    def user(self) -> str:
        """The user's name."""

    @property
    def tenant(self) -> Tenant:
        """The tenant that the call works in."""

    def may(self, action: str, project: str | None = None) -> bool:
        """Whether an action is allowed, on a thing of a project."""


class AccessKey(Protocol):
    """What checks a signature."""

    @property
    def id(self) -> str:
        """The access key id."""

    @property
    def secret(self) -> str:
        """The secret that signs."""

    @property
    def identity(self) -> Identity:
        """Whose key it is."""


@dataclass(frozen=True, slots=True)
class Denial:
    """An attempt that was refused, for the record of changes."""

    tenant: Tenant
    user: str
    action: str
    subject: str
    reason: str
    address: str


FindKey = Callable[[str], AccessKey | None]  # blocks
TellDenial = Callable[[Denial], None]  # blocks


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who was let in, and the signature that proved it."""

    identity: Identity
    claim: Claim
    secret: str
    address: str


class Door:
    """Checks signatures; remembers each key for a moment."""

    def __init__(
        self,
        find_key: FindKey,
        tell_denial: TellDenial | None,
        pool: Executor,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._find_key = find_key
        self._tell_denial = tell_denial
        self._pool = pool
        self._now = now
        self._known: OrderedDict[str, tuple[float, AccessKey | None]] = OrderedDict()
        self._told: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self._counts: dict[tuple[str, str], tuple[float, int]] = {}
        self._telling: set[asyncio.Future[None]] = set()

    async def admit(self, request: Signed, address: str) -> Visitor:
        """The visitor behind a request; raises `S3Error`."""
        claim = claim_of(request)
        if claim is None:
            raise S3Error("AccessDenied", "sign the request: nothing here is open to everybody")
        key = await self._key(claim.access_key)
        if key is None:
            raise S3Error("InvalidAccessKeyId", AWSAccessKeyId=claim.access_key)
        try:
            check(claim, request, key.secret, self._now())
        except S3Error as error:
            who = key.identity
            self._deny(who, "s3.signature", claim.access_key, error.message, address)
            raise
        return Visitor(key.identity, claim, key.secret, address)

    def denied(self, visitor: Visitor, action: str, subject: str, reason: str) -> None:
        """Note an attempt that was refused."""
        self._deny(visitor.identity, action, subject, reason, visitor.address)

    def missed(self, visitor: Visitor, action: str, bucket: str) -> None:
        """Somebody asked for a bucket that is not the tenant's: maybe by mistake, maybe not."""
        reason = "there is no such bucket"
        self._deny(visitor.identity, action, bucket, reason, visitor.address)

    async def _key(self, name: str) -> AccessKey | None:
        """A key is as good as when it was asked for, not when the answer came."""
        now, (asked, key) = time.monotonic(), self._known.get(name, _NEVER)
        if now - asked > REMEMBER_S:
            loop = asyncio.get_running_loop()
            key = await loop.run_in_executor(self._pool, self._find_key, name)
            if self._known.get(name, _NEVER)[0] <= now:
                self._known[name] = (now, key)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return key

    def _deny(self, who: Identity, action: str, subject: str, reason: str, address: str) -> None:
        if self._tell_denial is None:
            return
        same = (who.tenant, who.user, action, subject, reason)
        now = time.monotonic()
        if now - self._told.get(same, -_TOLD_S) < _TOLD_S:
            return
        if not self._has_room(who, now):
            subject, reason = "(and others)", "more than are told one by one"
            same = (who.tenant, who.user, action, subject, reason)
            if now - self._told.get(same, -_TOLD_S) < _TOLD_S:
                return
        self._told[same] = now
        while len(self._told) > _TOLD:
            self._told.popitem(last=False)
        denial = Denial(who.tenant, who.user, action, subject, reason, address)
        telling = asyncio.get_running_loop().run_in_executor(self._pool, self._tell_denial, denial)
        self._telling.add(telling)
        telling.add_done_callback(self._told_it)

    def _has_room(self, who: Identity, now: float) -> bool:
        """Whether this one's denials are still told one by one: varying names must not fill the
        audit."""
        mine = (who.tenant, who.user)
        since, count = self._counts.get(mine, (now, 0))
        if now - since >= _TOLD_S:
            since, count = now, 0
        self._counts[mine] = (since, count + 1)
        while len(self._counts) > _TOLD:
            self._counts.pop(next(iter(self._counts)))
        return count < OF_ONE_USER

    def _told_it(self, telling: "asyncio.Future[None]") -> None:
        self._telling.discard(telling)
        if not telling.cancelled() and telling.exception() is not None:
            log.warning("a denied attempt was not noted: %s", telling.exception())
