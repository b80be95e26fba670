"""How many requests a tenant may make each second of one web process: a token bucket.

What is refused is answered late, so that a client that tries again at once does not take the
time of the others; headers as in draft-ietf-httpapi-ratelimit-headers tell what is left.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Message, Scope

from carcloud.model.ids import Tenant
from carcloud.model.limits import REQUESTS, UNLIMITED, OverLimit
from carcloud.web.quick import AsyncGuard

LATE_S = 0.25  # after which a refusal is answered
MOST_LATE = 100  # refusals of a tenant that wait at the same time; more are answered at once
_BURST_S = 1.0
_SCOPE = "carcloud.rate"


@dataclass(slots=True)
class _Bucket:
    rate: float
    tokens: float
    at: float  # monotonic s
    taken: int = 0  # since `take_counts`
    late: int = 0


class RequestRates:
    """The buckets of all tenants; `allowed` tells requests/s of this process."""

    def __init__(self, allowed: Callable[[Tenant], float] = lambda _: UNLIMITED) -> None:
        self._allowed = allowed
        self._buckets: dict[Tenant, _Bucket] = {}
        self.refused: Counter[Tenant] = Counter()

    def guard(self) -> AsyncGuard:
        """A guard after the one that finds the caller; raises `OverLimit`."""

        async def within_rate(
            connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
        ) -> None:
            await self.take_for(connection.scope["user"].tenant, connection.scope)

        return within_rate

    async def take_for(self, tenant: Tenant, scope: Any) -> None:
        """As `take`; headers of the answer tell what is left."""
        try:
            await self.take(tenant)
        finally:
            self._note(scope, self._buckets[tenant])

    async def take(self, tenant: Tenant) -> None:
        """Count one request; raises `OverLimit` when there are too many, after a wait."""
        bucket = self._refilled(tenant)
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            bucket.taken += 1
            return
        self.refused[tenant] += 1
        if bucket.late < MOST_LATE:
            bucket.late += 1
            try:
                await asyncio.sleep(LATE_S)
            finally:
                bucket.late -= 1
        wait = math.ceil((1 - bucket.tokens) / bucket.rate) if bucket.rate > 0 else 60
        raise OverLimit(REQUESTS, int(bucket.rate), int(bucket.rate), retry_after_s=max(1, wait))

    def take_counts(self) -> dict[Tenant, int]:
        """Requests taken since the last call."""
        counts = {tenant: one.taken for tenant, one in self._buckets.items() if one.taken}
        for bucket in self._buckets.values():
            bucket.taken = 0
        return counts

    def _refilled(self, tenant: Tenant) -> _Bucket:
        now, rate = time.monotonic(), self._allowed(tenant)
        bucket = self._buckets.get(tenant)
        most = max(1.0, rate * _BURST_S) if rate > 0 else 0.0
        if bucket is None:
            bucket = self._buckets[tenant] = _Bucket(rate, most, now)
        bucket.tokens = min(bucket.tokens + rate * (now - bucket.at), most)
        bucket.rate, bucket.at = rate, now
        return bucket

    def _note(self, scope: Any, bucket: _Bucket) -> None:
        if bucket.rate < UNLIMITED:
            scope[_SCOPE] = (int(bucket.rate), max(0, int(bucket.tokens)))


async def add_rate_headers(message: Message, scope: Scope) -> None:
    """A hook that tells what is left of the rate."""
    if message["type"] != "http.response.start":
        return
    told: Any = scope.get(_SCOPE)
    if told is not None:
        rate, left = told
        message["headers"] = [
            *message["headers"],
            (b"ratelimit-policy", b'"requests";q=%d;w=1' % rate),
            (b"ratelimit", b'"requests";r=%d;t=1' % left),
        ]
