"""The blocking client."""

import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

import httpx

from carcloud.client.arrow import TableFormat, frame_of
from carcloud.client.audit import AuditGroup
from carcloud.client.buckets import BucketGroup
from carcloud.client.campaigns import CampaignGroup
from carcloud.client.cloud import Cloud
from carcloud.client.commands import CommandGroup
from carcloud.client.costs import BudgetGroup, CostGroup, UsageGroup
from carcloud.client.dead_letters import DeadLetterGroup
from carcloud.client.exchange import Call, Listing, Stream, http_options
from carcloud.client.jobs import JobGroup, ScheduleGroup
from carcloud.client.keys import KeyGroup
from carcloud.client.local import find_access
from carcloud.client.mappings import MappingGroup
from carcloud.client.methods import Group
from carcloud.client.people import LoginProviderGroup, PeopleGroup, RoleGroup
from carcloud.client.retry import BROKE_OFF, Retry
from carcloud.client.signals import SignalGroup
from carcloud.client.tenants import TenantGroup
from carcloud.client.vehicles import ModelGroup, VehicleGroup

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow as pa

T = TypeVar("T")


class Client(Group, Cloud):
    """A carcloud as a Python object; use it in a `with` block, or `close` it.

    Without `url` it is the one that runs on this machine: on the data folder of the settings, or a
    demo that was started in this folder. `token` is an API key or another token. `timeout_s` is
    for each silence of the server. Raises `NoCarcloud`.
    """

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
        self._http = httpx.Client(**http_options(access.url, access.token, timeout_s))
        self.campaigns = CampaignGroup(self)
        self.commands = CommandGroup(self)
        self.vehicles = VehicleGroup(self)
        self.models = ModelGroup(self)
        self.mappings = MappingGroup(self)
        self.signals = SignalGroup(self)
        self.jobs = JobGroup(self)
        self.schedules = ScheduleGroup(self)
        self.buckets = BucketGroup(self)
        self.dead_letters = DeadLetterGroup(self)
        self.people = PeopleGroup(self)
        self.roles = RoleGroup(self)
        self.login_providers = LoginProviderGroup(self)
        self.keys = KeyGroup(self)
        self.tenants = TenantGroup(self)
        self.audit = AuditGroup(self)
        self.usage = UsageGroup(self)
        self.costs = CostGroup(self)
        self.budgets = BudgetGroup(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @overload
    def query(
        self, sql: str, *, rows: int | None = None, format: Literal["arrow"] = "arrow"
    ) -> "pa.Table": ...
    @overload
    def query(
        self, sql: str, *, rows: int | None = None, format: Literal["polars"]
    ) -> "polars.DataFrame": ...
    @overload
    def query(
        self, sql: str, *, rows: int | None = None, format: Literal["pandas"]
    ) -> "pandas.DataFrame": ...
    def query(self, sql: str, *, rows: int | None = None, format: TableFormat = "arrow") -> Any:
        """The rows of one read-only SELECT, at most `rows`.

        Warns with `TruncatedWarning` when there are more. Raises `Invalid` for what is no SELECT.
        """
        return frame_of(self.query_file(sql, "arrow", rows=rows), format)

    def do(self, call: Call[T]) -> T:
        """Do a call; asks again as `Retry` says. Raises `CarcloudError`."""
        attempts = self._retry.begin(reads=call.reads, url=self.url, once=call.once)
        while True:
            try:
                answer = self._http.request(**call.options())
            except httpx.TransportError as error:
                self.pause(attempts.failed(error))
                continue
            pause = attempts.answered(answer)
            if pause is None:
                return call.shape(answer)
            self.pause(pause)

    def each(self, what: Listing[T] | Stream[T]) -> Iterator[T]:
        """What a list or a stream holds, one after the other."""
        return self._pages(what) if isinstance(what, Listing) else self._pieces(what)

    def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def _pages(self, listing: Listing[T]) -> Iterator[T]:
        asked = listing.begin()
        while asked is not None:
            items, asked = listing.took(self.do(asked))
            yield from items

    def _pieces(self, stream: Stream[T]) -> Iterator[T]:
        attempts = self._retry.begin(reads=True, url=self.url)
        while True:
            try:
                with self._http.stream(**stream.ask().options()) as answer:
                    if not answer.is_success:
                        answer.read()
                    pause = attempts.answered(answer)
                    if pause is None:
                        for piece in answer.iter_bytes():
                            for one in stream.feed(piece):
                                attempts.went_well()
                                yield one
                        if stream.ended:
                            return
                        pause = attempts.failed(BROKE_OFF, can=stream.can_go_on)
            except httpx.TransportError as error:
                pause = attempts.failed(error, can=stream.can_go_on)
            self.pause(pause)
