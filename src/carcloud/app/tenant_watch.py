"""What a gateway process gives each tenant: quotas, vehicle-hours, and a word on refusals."""

import asyncio
from collections.abc import Mapping

from carcloud.app.known_tenants import KnownTenants
from carcloud.app.report import Figures
from carcloud.gateway.tenant_quotas import Allowance, TenantQuotas
from carcloud.model.figures import by_label
from carcloud.model.ids import Tenant
from carcloud.ports.records import Records
from carcloud.ports.stream import Stream

_NOTICE_TURNS = 60  # seconds for which a refusal is shown


class TenantWatch:
    """Call `each_second`; `quotas` is for the sessions."""

    def __init__(self, stream: Stream, records: Records, instance: str, role: str) -> None:
        self._known = KnownTenants(stream, records, instance, role)
        self._turn = 0
        self._counted_at: float | None = None  # s of the loop's clock
        self._seen: dict[tuple[Tenant, str], int] = {}
        self._notices: dict[Tenant, tuple[int, str]] = {}
        self.quotas = TenantQuotas(self._allow)
        self.limits = self._known.limits
        self.start = self._known.start
        self.stop = self._known.stop

    async def each_second(self, online: Mapping[str, int]) -> None:
        """`online` = vehicles that are connected here, by tenant."""
        self._turn += 1
        self._count_hours(online)
        frames, connections = self.quotas.take_counts()
        await self._known.each_second({"frames_per_second": frames, "connections": connections})
        self.quotas.refresh()
        self._take_notice()

    def figures(self) -> Figures:
        """Refusals and what is held, for the status of the process."""
        by_limit: dict[str, float] = {}
        for (_, limit), count in self._counts().items():
            by_limit[limit] = by_limit.get(limit, 0) + count
        holding = {str(tenant): count for tenant, count in self.quotas.holding().items()}
        return Figures(
            by_label("quota_refusals_total", "limit", by_limit),
            by_label("quota_held_sessions", "tenant", holding),
            {},
            {("quota", tenant): text for tenant, (_, text) in self._notices.items()},
        )

    def _allow(self, tenant: Tenant) -> Allowance:
        known = self._known
        return Allowance(
            known.rate(tenant, "frames_per_second"),
            known.amount(tenant, "connections"),
            known.full(tenant),
            tenant in known.suspended,
        )

    def _count_hours(self, online: Mapping[str, int]) -> None:
        """Whole seconds since the last time, for every vehicle that is there."""
        now = asyncio.get_running_loop().time()
        before = now if self._counted_at is None else self._counted_at
        seconds = int(now - before)
        self._counted_at = before + seconds
        for tenant, vehicles in online.items():
            if vehicles and seconds:
                self._known.counter.add(Tenant(tenant), "vehicle_hours", vehicles * seconds)

    def _counts(self) -> dict[tuple[Tenant, str], int]:
        """Refusals and slowings since the start, by tenant and limit."""
        counts = dict(self.quotas.refused)
        for tenant, count in self.quotas.slowed.items():
            counts[tenant, "frames_per_second"] = count
        return counts

    def _take_notice(self) -> None:
        """What was refused or slowed lately is a problem of the tenant, for a minute."""
        counts = self._counts()
        for (tenant, limit), count in counts.items():
            if count > self._seen.get((tenant, limit), 0):
                value = self._known.limit(tenant, limit)
                text = f"the limit {limit} ({value}) is reached: vehicles of the tenant wait"
                self._notices[tenant] = self._turn, text
        self._seen = counts
        for tenant, (turn, _) in list(self._notices.items()):
            if self._turn - turn > _NOTICE_TURNS:
                del self._notices[tenant]
