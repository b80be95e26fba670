"""SQL for people: how many queries run and wait, and which of them can be cancelled."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

from carcloud.model.ids import Tenant
from carcloud.ports.errors import QueryCancelled, QueryLimit
from carcloud.ports.lake import Cancel, Lake, QueryLimits, QueryResult
from carcloud.services.telemetry.errors import InvalidArgument, TooBusy, UnknownQuery
from carcloud.services.telemetry.query_quota import QueryQuota

Only = Callable[[], Collection[str]]  # the vehicles whose rows a query may see, when it begins


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """Bounds of SQL for people, from the settings `query.*`."""

    limits: QueryLimits = field(default_factory=QueryLimits)
    concurrent: int = 4
    waiting: int = 16  # queries of a tenant that wait for a place; more are refused


@dataclass(slots=True)
class QueryFigures:
    """SQL queries of people since the start."""

    answered: int = 0
    cut: int = 0  # answers that had more rows than allowed
    cancelled: int = 0
    running: int = 0  # or waiting
    refused: Counter[str] = field(default_factory=Counter)  # by the setting that refused


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose query it is, and the id that the client chose for it, if it did."""

    user: str
    query: str | None = None


@dataclass(slots=True)
class _Running:
    """A query whose answer somebody waits for."""

    cancel: Cancel
    work: asyncio.Future[QueryResult]
    asked_to_end: bool = False

    def end(self) -> None:
        """Stop the process that works on it, or take it from the queue."""
        self.cancel.ask()
        self.work.cancel()


class Queries:
    """The SQL queries of one process; all methods are of one event loop."""

    def __init__(self, lake: Lake, options: QueryOptions, quota: QueryQuota | None = None) -> None:
        self._lake = lake
        self._options = options
        self._quota = quota or QueryQuota()
        self._asked: Counter[Tenant] = Counter()
        self._threads = ThreadPoolExecutor(options.concurrent, thread_name_prefix="query")
        self._named: dict[tuple[Tenant, str, str], _Running] = {}
        self.figures = QueryFigures()

    def stop(self) -> None:
        """Take no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(
        self,
        tenant: Tenant,
        sql: str,
        rows: int | None,
        asker: Asker | None,
        only: Only | None = None,
    ) -> QueryResult:
        """One SELECT; a caller that is cancelled, as when its client leaves, ends the query."""
        limits = self._options.limits
        if rows is not None:
            limits = QueryLimits(rows, limits.seconds, limits.memory_mb)
        key = None if asker is None or asker.query is None else (tenant, asker.user, asker.query)
        if key in self._named:
            raise InvalidArgument("id", "a query of this id runs already")
        if self._asked[tenant] >= self._options.concurrent + self._options.waiting:
            self.figures.refused["query.waiting"] += 1
            raise TooBusy("queries of the tenant run, and as many as may wait do so")
        await self._quota.check(tenant)
        running = self._begin(tenant, sql, limits, only)
        if key is not None:
            self._named[key] = running
        try:
            return await running.work
        except asyncio.CancelledError:
            running.cancel.ask()
            if running.asked_to_end:
                raise QueryCancelled("the query was cancelled") from None
            raise
        finally:
            if key is not None:
                del self._named[key]

    def cancel(self, tenant: Tenant, asker: Asker) -> None:
        """End a query of one's own; raises `UnknownQuery` where none of that id runs here."""
        running = self._named.get((tenant, asker.user, asker.query or ""))
        if running is None or running.work.done():
            raise UnknownQuery(asker.query)
        running.asked_to_end = True
        running.end()

    def _begin(self, tenant: Tenant, sql: str, limits: QueryLimits, only: Only | None) -> _Running:
        cancel = Cancel()
        work = asyncio.ensure_future(self._in_turn(tenant, sql, limits, cancel, only))
        self.figures.running += 1
        self._asked[tenant] += 1
        work.add_done_callback(partial(self._answered, tenant))
        return _Running(cancel, work)

    async def _in_turn(
        self,
        tenant: Tenant,
        sql: str,
        limits: QueryLimits,
        cancel: Cancel,
        only: Only | None,
    ) -> QueryResult:
        loop = asyncio.get_running_loop()

        def work() -> QueryResult:
            began, size = monotonic(), 0
            try:
                seen = None if only is None else only()
                result = self._lake.query(tenant, sql, limits, cancel, only=seen)
                size = result.bytes
            finally:
                seconds = monotonic() - began
                with suppress(RuntimeError):  # the loop is closed: the process ends
                    loop.call_soon_threadsafe(self._quota.count, tenant, seconds, size)
            return result

        async with self._quota.turn(tenant):
            return await loop.run_in_executor(self._threads, work)

    def _answered(self, tenant: Tenant, work: asyncio.Future[QueryResult]) -> None:
        self.figures.running -= 1
        self._asked[tenant] -= 1
        if not self._asked[tenant]:
            del self._asked[tenant]
        if work.cancelled():
            self.figures.cancelled += 1
            return
        error = work.exception()
        if isinstance(error, QueryLimit):
            limit = "query.memory_mb" if "memory_mb" in str(error) else "query.seconds"
            self.figures.refused[limit] += 1
        elif error is None:
            self.figures.answered += 1
            self.figures.cut += work.result().truncated
