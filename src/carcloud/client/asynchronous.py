"""The asynchronous client."""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

import httpx

from carcloud.client.arrow import TableFormat, frame_of
from carcloud.client.audit import AsyncAuditGroup
from carcloud.client.buckets import AsyncBucketGroup
from carcloud.client.campaigns import AsyncCampaignGroup
from carcloud.client.cloud import Cloud
from carcloud.client.commands import AsyncCommandGroup
from carcloud.client.costs import AsyncBudgetGroup, AsyncCostGroup, AsyncUsageGroup
from carcloud.client.dead_letters import AsyncDeadLetterGroup
from carcloud.client.exchange import Call, Listing, Stream, http_options
from carcloud.client.jobs import AsyncJobGroup, AsyncScheduleGroup
from carcloud.client.keys import AsyncKeyGroup
from carcloud.client.local import find_access
from carcloud.client.mappings import AsyncMappingGroup
from carcloud.client.methods import AsyncGroup
from carcloud.client.people import AsyncLoginProviderGroup, AsyncPeopleGroup, AsyncRoleGroup
from carcloud.client.retry import BROKE_OFF, Retry
from carcloud.client.signals import AsyncSignalGroup
from carcloud.client.tenants import AsyncTenantGroup
from carcloud.client.vehicles import AsyncModelGroup, AsyncVehicleGroup

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow as pa

T = TypeVar("T")


class AsyncClient(AsyncGroup, Cloud):
    """As `Client`, for `async with` and `await`; lists and streams go through `async for`."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = 60,
        retry: Retry = Retry(),  # noqa: B008 - frozen
    ) -> None:
        access = find_access(url, token)
        super().__init__(self)
        self.url = access.url
        self._retry = retry
        self._http = httpx.AsyncClient(**http_options(access.url, access.token, timeout_s))
        self.campaigns = AsyncCampaignGroup(self)
        self.commands = AsyncCommandGroup(self)
        self.vehicles = AsyncVehicleGroup(self)
        self.models = AsyncModelGroup(self)
        self.mappings = AsyncMappingGroup(self)
        self.signals = AsyncSignalGroup(self)
        self.jobs = AsyncJobGroup(self)
        self.schedules = AsyncScheduleGroup(self)
        self.buckets = AsyncBucketGroup(self)
        self.dead_letters = AsyncDeadLetterGroup(self)
        self.people = AsyncPeopleGroup(self)
        self.roles = AsyncRoleGroup(self)
        self.login_providers = AsyncLoginProviderGroup(self)
        self.keys = AsyncKeyGroup(self)
        self.tenants = AsyncTenantGroup(self)
        self.audit = AsyncAuditGroup(self)
        self.usage = AsyncUsageGroup(self)
        self.costs = AsyncCostGroup(self)
        self.budgets = AsyncBudgetGroup(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    @overload
    async def query(
        self, sql: str, *, rows: int | None = None, format: Literal["arrow"] = "arrow"
    ) -> "pa.Table": ...
    @overload
    async def query(
        self, sql: str, *, rows: int | None = None, format: Literal["polars"]
    ) -> "polars.DataFrame": ...
    @overload
    async def query(
        self, sql: str, *, rows: int | None = None, format: Literal["pandas"]
    ) -> "pandas.DataFrame": ...
    async def query(
        self, sql: str, *, rows: int | None = None, format: TableFormat = "arrow"
    ) -> Any:
        """The rows of one read-only SELECT, at most `rows`.

        Warns with `TruncatedWarning` when there are more. Raises `Invalid` for what is no SELECT.
        """
        return frame_of(await self.query_file(sql, "arrow", rows=rows), format)

    async def do(self, call: Call[T]) -> T:
        """Do a call; asks again as `Retry` says. Raises `CarcloudError`."""
        attempts = self._retry.begin(reads=call.reads, url=self.url, once=call.once)
        while True:
            try:
                answer = await self._http.request(**call.options())
            except httpx.TransportError as error:
                await self.pause(attempts.failed(error))
                continue
            pause = attempts.answered(answer)
            if pause is None:
                return call.shape(answer)
            await self.pause(pause)

    def each(self, what: Listing[T] | Stream[T]) -> AsyncIterator[T]:
        """What a list or a stream holds, one after the other."""
        return self._pages(what) if isinstance(what, Listing) else self._pieces(what)

    async def pause(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def _pages(self, listing: Listing[T]) -> AsyncIterator[T]:
        asked = listing.begin()
        while asked is not None:
            items, asked = listing.took(await self.do(asked))
            for item in items:
                yield item

    async def _pieces(self, stream: Stream[T]) -> AsyncIterator[T]:
        attempts = self._retry.begin(reads=True, url=self.url)
        while True:
            try:
                async with self._http.stream(**stream.ask().options()) as answer:
                    if not answer.is_success:
                        await answer.aread()
                    pause = attempts.answered(answer)
                    if pause is None:
                        async for piece in answer.aiter_bytes():
                            for one in stream.feed(piece):
                                attempts.went_well()
                                yield one
                        if stream.ended:
                            return
                        pause = attempts.failed(BROKE_OFF, can=stream.can_go_on)
            except httpx.TransportError as error:
                pause = attempts.failed(error, can=stream.can_go_on)
            await self.pause(pause)
