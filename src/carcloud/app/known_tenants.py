"""What one process knows of tenants' limits, and tells metering of their use."""

import asyncio
import logging
from collections.abc import Mapping

from carcloud.model.ids import Tenant
from carcloud.model.streams import shares_subject
from carcloud.ports.errors import EngineError
from carcloud.ports.records import Records
from carcloud.ports.stream import Stream
from carcloud.services.metering.api import Metering, UsageCounter
from carcloud.services.tenancy.api import (
    KnownLimits,
    Shares,
    TenantLimits,
    suspended_tenants,
)

log = logging.getLogger(__name__)

_LIMITS_TURNS, _SIZES_TURNS, _TELL_TURNS = 2, 15, 5  # seconds


class KnownTenants:
    """Limits in memory, shared out among the processes of a role. Call `each_second`."""

    def __init__(self, stream: Stream, records: Records, instance: str, role: str) -> None:
        self._stream = stream
        self._subject = shares_subject(role)
        self.limits = KnownLimits(TenantLimits(records))
        self._records = records
        self.suspended: set[Tenant] = set()
        self._shares = Shares(instance)
        self._sizes: Mapping[Tenant, Mapping[str, int]] = {}
        self._turn = 0
        self.metering = Metering(records)
        self.counter = UsageCounter(stream, instance)

    async def start(self) -> None:
        """Know the limits, and hear the other processes; raises `Unavailable` of the stream."""

        async def hear(_subject: str, data: bytes) -> None:
            self._shares.hear(data)

        await self._stream.listen(self._subject, hear)
        try:
            await self._look(limits=True, sizes=True)
        except EngineError as error:
            log.warning("limits are not known, the defaults hold: %s", error)

    async def each_second(self, given: Mapping[str, Mapping[Tenant, int]]) -> None:
        """`given` = what this process gave in the last second, by limit and tenant."""
        self._turn += 1
        try:
            await self._stream.broadcast(self._subject, self._shares.told(given))
            if self._turn % _TELL_TURNS == 0:
                await self.counter.flush()
            await self._look(
                limits=self._turn % _LIMITS_TURNS == 0, sizes=self._turn % _SIZES_TURNS == 0
            )
        except EngineError as error:
            log.info("limits and usage wait: %s", error)

    async def stop(self) -> None:
        """Tell metering what it has not been told."""
        try:
            await self.counter.flush()
        except EngineError as error:
            log.warning("usage is not told: %s", error)

    def limit(self, tenant: Tenant, name: str) -> int:
        """The tenant's value of a limit."""
        return self.limits.limit(tenant, name)

    def rate(self, tenant: Tenant, name: str) -> float:
        """This process's part of a limit of a rate."""
        return self._shares.rate(tenant, name, self.limit(tenant, name))

    def amount(self, tenant: Tenant, name: str) -> int:
        """What is left for this process of a limit in number."""
        return self._shares.amount(tenant, name, self.limit(tenant, name))

    def full(self, tenant: Tenant) -> bool:
        """The tenant holds as many bytes as it may."""
        held = sum(self._sizes.get(tenant, {}).values())
        return held >= self.limit(tenant, "stored_bytes")

    def lake_bytes(self, tenant: Tenant) -> int:
        """What the tenant has in the lake, as measured last."""
        return self._sizes.get(tenant, {}).get("lake", 0)

    async def _look(self, *, limits: bool, sizes: bool) -> None:
        if limits:
            await asyncio.to_thread(self.limits.refresh)
            self.suspended = await asyncio.to_thread(suspended_tenants, self._records)
        if sizes:
            self._sizes = await asyncio.to_thread(self.metering.sizes)
