"""What a jobs process does for metering: counts usage, measures sizes, tells of budgets."""

import asyncio
import json
import logging
import time as clock
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from carcloud.app.report import Figures
from carcloud.model.ids import Tenant
from carcloud.model.streams import USAGE, event_subject
from carcloud.model.time import iso
from carcloud.model.usage import InvalidUsage, Usage, read_usage
from carcloud.ports.errors import EngineError
from carcloud.ports.lake import Lake
from carcloud.ports.stream import Message, Stream
from carcloud.services.metering.api import Alert, Metering
from carcloud.services.telemetry.received import count_received

log = logging.getLogger(__name__)

READER = "metering"
_LAKE_S = 5.0  # between looks at what the lake has got
_SIZES_S, _BUDGETS_S, _STATEMENTS_S, _FORGET_S = 120.0, 60.0, 600.0, 86_400.0
_RETRY_S = 1.0


class MeteringJobs:
    """Loops that run until cancelled; an engine that is away makes them wait."""

    def __init__(
        self,
        stream: Stream,
        lake: Lake,
        metering: Metering,
        tenants: Callable[[], Sequence[Tenant]],
        *,
        close_days: float,
        in_buckets: Callable[[Tenant], int] = lambda _: 0,
    ) -> None:
        """Statements are closed `close_days` after their month has ended."""
        self._in_buckets = in_buckets
        self._stream = stream
        self._lake = lake
        self._metering = metering
        self._tenants = tenants
        self._close_days = close_days
        self._problem: str | None = None
        self._refused: str | None = None
        self._alerts: dict[Tenant, str] = {}
        self.counted = self.messages = self.refused = 0

    def figures(self) -> Figures:
        """What the status of the process says of metering."""
        problems = {"metering": self._problem, "usage-refused": self._refused}
        return Figures(
            {
                "usage_counted_total": self.counted,
                "usage_messages_total": self.messages,
                "usage_refused_total": self.refused,
            },
            {},
            {code: text for code, text in problems.items() if text},
            {("budget", tenant): text for tenant, text in self._alerts.items()},
        )

    async def run(self) -> None:
        """Everything at once."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.read())
            group.create_task(self._again(_LAKE_S, self.count_lake))
            group.create_task(self._again(_SIZES_S, self.measure))
            group.create_task(self._again(_BUDGETS_S, self.watch_budgets))
            group.create_task(self._again(_STATEMENTS_S, self.close_statements))
            group.create_task(self._again(_FORGET_S, self._forget))

    async def read(self) -> None:
        """Count what services tell on the stream."""
        await self._until_done(self._check_stream)
        async for messages in self._stream.read(USAGE.name, READER, batch=200, wait_s=1.0):
            if messages:
                await self._until_done(partial(self._count, messages))

    async def count_lake(self) -> None:
        """Count what the lake has got since the last time."""
        self.messages += await asyncio.to_thread(self.count_lake_now)

    def count_lake_now(self) -> int:
        """The same, blocking; returns the messages counted."""
        return count_received(self._lake, self._metering, self._tenants())

    async def measure(self) -> None:
        """Measure what the tenants have in the lake and, for the quota, in buckets."""
        for tenant in await asyncio.to_thread(self._tenants):
            tables = await asyncio.to_thread(self._lake.tables, tenant)
            size = sum(table.bytes for table in tables)
            note = self._metering.note_size
            await asyncio.to_thread(note, tenant, "lake", size, "lake_bytes_hours")
            in_buckets = await asyncio.to_thread(self._in_buckets, tenant)
            await asyncio.to_thread(note, tenant, "storage", in_buckets)

    async def watch_budgets(self) -> None:
        """Note thresholds that were reached, and tell of them once."""
        for alert in await asyncio.to_thread(self._metering.check_budgets):
            event = event_subject(alert.tenant, "metering", "budget")
            await self._stream.publish(event, _event(alert), _alert_id(alert))
            await asyncio.to_thread(self._metering.alert_told, alert)
        told: dict[Tenant, str] = {}
        for tenant in await asyncio.to_thread(self._tenants):
            alerts = await asyncio.to_thread(self._metering.alerts, tenant)
            if alerts:
                told[tenant] = _notice(alerts[-1])
        self._alerts = told

    async def close_statements(self) -> None:
        """Close the months that are due."""
        for made in await asyncio.to_thread(self._metering.close_due, self._close_days):
            log.info("the statement of %s for %s is closed", made.tenant, made.period)

    async def _forget(self) -> None:
        await asyncio.to_thread(self._metering.forget)

    async def _check_stream(self) -> None:
        """A stream that begins again has low numbers: they are not old ones."""
        counted = await asyncio.to_thread(self._metering.position, USAGE.name)
        if (await self._stream.info(USAGE.name)).last_seq < counted:
            log.warning("the stream of usage was replaced: its numbers begin again")
            await asyncio.to_thread(self._metering.begin_anew, USAGE.name)

    async def _count(self, messages: Sequence[Message]) -> None:
        told = [(message.seq, self._read(message)) for message in messages]
        self.counted += await asyncio.to_thread(self._metering.count_from, USAGE.name, told)
        last = messages[-1].seq
        await self._stream.confirm(USAGE.name, READER, last)
        await self._stream.release(USAGE.name, last)

    def _read(self, message: Message) -> Sequence[Usage]:
        try:
            return read_usage(Tenant(message.subject.split(".", 1)[1]), message.data)
        except InvalidUsage as error:
            self.refused += 1
            self._refused = f"message {message.seq} of {message.subject}: {error}"
            log.error("usage cannot be counted: %s", self._refused)
            return []

    async def _again(self, every_s: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            began = clock.monotonic()
            await self._until_done(work)
            await asyncio.sleep(max(0.0, began + every_s - clock.monotonic()))

    async def _until_done(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except EngineError as error:
                self._problem = f"usage waits to be counted: {error}"
                log.warning("%s", self._problem)
                await asyncio.sleep(_RETRY_S)
            else:
                self._problem = None
                return


def _alert_id(alert: Alert) -> str:
    return f"budget-{alert.budget}-{alert.period}-{alert.kind}-{alert.threshold}"


def _event(alert: Alert) -> bytes:
    told = {
        "time": iso(alert.time),
        "budget": alert.budget,
        "name": alert.name,
        "kind": alert.kind,
        "percent": alert.threshold,
        "amount": str(alert.amount),
    }
    return json.dumps(told, ensure_ascii=False).encode()


def _notice(alert: Alert) -> str:
    if alert.kind == "forecast":
        return f"budget {alert.name}: the month is expected to cost {alert.amount}, above it"
    return f"budget {alert.name}: {alert.threshold} % is spent ({alert.amount})"
