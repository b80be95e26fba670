"""What a gateway process may give each tenant, and what it has given: quotas and metering."""

import asyncio
import logging
from collections.abc import Mapping

from carcloud.app.report import Figures
from carcloud.gateway.tenant_quotas import Allowance, TenantQuotas
from carcloud.model.figures import by_label
from carcloud.model.ids import Tenant
from carcloud.model.streams import shares_subject
from carcloud.ports.errors import EngineError
from carcloud.ports.records import Records
from carcloud.ports.stream import Stream
from carcloud.services.metering.api import Metering, UsageCounter
from carcloud.services.tenancy.api import KnownLimits, Shares, Tenancy

log = logging.getLogger(__name__)

_LIMITS_TURNS, _SIZES_TURNS, _TELL_TURNS = 2, 15, 5  # seconds
_NOTICE_TURNS = 60  # for which a refusal is shown


class TenantWatch:
    """Call `each_second`; `quotas` is for the sessions."""

    def __init__(self, stream: Stream, records: Records, instance: str, role: str) -> None:
        self._stream = stream
        self._subject = shares_subject(role)
        self._limits = KnownLimits(Tenancy(records).limits)
        self._metering = Metering(records)
        self._shares = Shares(instance)
        self._counter = UsageCounter(stream, instance)
        self._sizes: Mapping[Tenant, int] = {}
        self._turn = 0
        self._connected_at: float | None = None
        self._seen: dict[tuple[Tenant, str], int] = {}
        self._notices: dict[Tenant, tuple[int, str]] = {}
        self.quotas = TenantQuotas(self._allow)

    async def start(self) -> None:
        """Know the limits, and hear the other processes; raises `Unavailable`."""

        async def hear(_subject: str, data: bytes) -> None:
            self._shares.hear(data)

        await self._stream.listen(self._subject, hear)
        try:
            await self._look(limits=True, sizes=True)
        except EngineError as error:
            log.warning("limits are not known, the defaults hold: %s", error)

    async def each_second(self, online: Mapping[str, int]) -> None:
        """`online` = vehicles that are connected here, by tenant."""
        self._turn += 1
        self._count_hours(online)
        frames, connections = self.quotas.take_counts()
        told = self._shares.told({"frames_per_second": frames, "connections": connections})
        try:
            await self._stream.broadcast(self._subject, told)
            if self._turn % _TELL_TURNS == 0:
                await self._counter.flush()
            await self._look(
                limits=self._turn % _LIMITS_TURNS == 0, sizes=self._turn % _SIZES_TURNS == 0
            )
        except EngineError as error:
            log.info("limits and usage wait: %s", error)
        self.quotas.refresh()
        self._take_notice()

    async def stop(self) -> None:
        """Tell what is not told."""
        try:
            await self._counter.flush()
        except EngineError as error:
            log.warning("usage is not told: %s", error)

    def figures(self) -> Figures:
        """Refusals and what is held, for the status of the process."""
        refused, slowed = self.quotas.refused, self.quotas.slowed
        by_limit: dict[str, float] = {}
        holding = {str(tenant): count for tenant, count in self.quotas.holding().items()}
        for (_, limit), count in refused.items():
            by_limit[limit] = by_limit.get(limit, 0) + count
        if slowed:
            by_limit["frames_per_second"] = slowed.total()
        return Figures(
            by_label("quota_refusals_total", "limit", by_limit),
            by_label("quota_held_sessions", "tenant", holding),
            {},
            {("quota", tenant): text for tenant, (_, text) in self._notices.items()},
        )

    async def _look(self, *, limits: bool, sizes: bool) -> None:
        if limits:
            await asyncio.to_thread(self._limits.refresh)
        if sizes:
            self._sizes = await asyncio.to_thread(self._metering.sizes)

    def _allow(self, tenant: Tenant) -> Allowance:
        def limit(name: str) -> int:
            return self._limits.limit(tenant, name)

        return Allowance(
            self._shares.rate(tenant, "frames_per_second", limit("frames_per_second")),
            self._shares.amount(tenant, "connections", limit("connections")),
            self._sizes.get(tenant, 0) >= limit("stored_bytes"),
        )

    def _count_hours(self, online: Mapping[str, int]) -> None:
        """Whole seconds since the last time, for every vehicle that is there."""
        now = asyncio.get_running_loop().time()
        seconds = 0 if self._connected_at is None else int(now - self._connected_at)
        self._connected_at = now if self._connected_at is None else self._connected_at + seconds
        for tenant, vehicles in online.items():
            if vehicles and seconds:
                self._counter.add(Tenant(tenant), "vehicle_hours", vehicles * seconds)

    def _take_notice(self) -> None:
        """What was refused or slowed lately is a problem of the tenant, for a minute."""
        counts = dict(self.quotas.refused)
        for tenant, count in self.quotas.slowed.items():
            counts[tenant, "frames_per_second"] = count
        for (tenant, limit), count in counts.items():
            if count > self._seen.get((tenant, limit), 0):
                value = self._limits.limit(tenant, limit)
                text = f"the limit {limit} ({value}) is reached: vehicles of the tenant wait"
                self._notices[tenant] = self._turn, text
        self._seen = counts
        for tenant, (turn, _) in list(self._notices.items()):
            if self._turn - turn > _NOTICE_TURNS:
                del self._notices[tenant]
