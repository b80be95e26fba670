"""Each tenant's part of the SQL that runs: its turns at the same time, its seconds in a day."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from carcloud.model.ids import Tenant
from carcloud.model.limits import UNLIMITED, OverLimit
from carcloud.model.time import DAY, SECOND, now_us

LimitOf = Callable[[Tenant, str], int]
Used = Callable[[Tenant, int, int], int]  # ms of queries that began in [start, end), us
Use = Callable[[Tenant, str, int], None]  # tenant, meter, quantity


class QueryQuota:
    """Made without arguments it allows everything and counts nothing. Of one event loop."""

    def __init__(
        self,
        limit: LimitOf = lambda _tenant, _name: UNLIMITED,
        used: Used = lambda _tenant, _start, _end: 0,
        use: Use = lambda _tenant, _meter, _quantity: None,
        now: Callable[[], int] = now_us,
    ) -> None:
        """`used` blocks briefly; `limit` and `use` do not."""
        self._limit = limit
        self._used = used
        self._use = use
        self._now = now
        self._running: Counter[Tenant] = Counter()
        self._waiting: dict[Tenant, deque[asyncio.Future[None]]] = defaultdict(deque)

    async def check(self, tenant: Tenant) -> None:
        """Raises `OverLimit` when the seconds of the day are used; what has begun may end."""
        most = self._limit(tenant, "query_seconds")
        if most >= UNLIMITED:
            return
        start = self._now() // DAY * DAY
        used_ms = await asyncio.to_thread(self._used, tenant, start, start + DAY)
        if used_ms >= most * 1000:
            wait = (start + DAY - self._now()) // SECOND + 1
            raise OverLimit("query_seconds", most, used_ms // 1000, retry_after_s=wait)

    @asynccontextmanager
    async def turn(self, tenant: Tenant) -> AsyncIterator[None]:
        """Wait until the tenant has fewer queries running than it may; in order of asking."""
        if self._running[tenant] >= self._limit(tenant, "queries"):
            ticket = asyncio.get_running_loop().create_future()
            self._waiting[tenant].append(ticket)
            try:
                await ticket  # whoever gives the turn has counted it
            except asyncio.CancelledError:
                if ticket.done() and not ticket.cancelled():
                    self._leave(tenant)
                raise
        else:
            self._running[tenant] += 1
        try:
            yield
        finally:
            self._leave(tenant)

    def count(self, tenant: Tenant, seconds: float, size: int) -> None:
        """A query has run: so long, and opened so many bytes of files."""
        self._use(tenant, "query_seconds", max(1, round(seconds * 1000)))
        self._use(tenant, "query_bytes", size)

    def _leave(self, tenant: Tenant) -> None:
        self._running[tenant] -= 1
        waiting = self._waiting[tenant]
        while waiting and self._running[tenant] < self._limit(tenant, "queries"):
            ticket = waiting.popleft()
            if not ticket.done():
                self._running[tenant] += 1
                ticket.set_result(None)
        if not self._running[tenant] and not waiting:
            del self._running[tenant], self._waiting[tenant]
