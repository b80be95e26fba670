"""Campaigns between the records and the vehicles: what one jobs process does for them."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Final

from carcloud.model.ids import Tenant
from carcloud.model.streams import wake_subject
from carcloud.ports.errors import Conflict, EngineError
from carcloud.ports.records import Records
from carcloud.ports.stream import Stream
from carcloud.services.campaigns.api import (
    SERVICE,
    CampaignChanged,
    Campaigns,
    Distribution,
)
from carcloud.services.vehicles.api import announce

log = logging.getLogger(__name__)

_LOOK_S: Final = 2.0  # between looks whether anything has changed
_WHOLE_S: Final = 60.0  # until all is compared, whether it has changed or not


class CampaignCare:
    """Brings documents to vehicles, ends campaigns whose time is over, publishes their events.

    Rounds run when somebody says that something has changed, when the registry or the campaigns
    have changed, and once a minute.
    """

    def __init__(
        self,
        campaigns: Campaigns,
        distribution: Distribution,
        records: Records,
        stream: Stream,
        tenants: Callable[[], Sequence[Tenant]],
    ) -> None:
        self._campaigns = campaigns
        self._distribution = distribution
        self._records = records
        self._stream = stream
        self._tenants = tenants
        self._wake = asyncio.Event()
        self._seen: int | None = None  # version of the records at the last round
        self._whole = 0.0
        self.problem: str | None = None
        self.rounds = self.documents = self.expired = 0

    def counters(self) -> dict[str, int]:
        """For the status of the process."""
        return {
            "campaign_rounds_total": self.rounds,
            "campaign_documents_total": self.documents,
            "campaigns_expired_total": self.expired,
        }

    async def run(self) -> None:
        """Work until cancelled."""
        await self._stream.listen(wake_subject(SERVICE), self._woken)
        while True:
            try:
                await self._once()
            except (EngineError, Conflict, CampaignChanged) as error:
                self.problem, self._seen = f"campaigns wait: {error}", None
                log.warning("%s", self.problem)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._wake.wait()

    async def _woken(self, _subject: str, _data: bytes) -> None:
        self._wake.set()

    async def _once(self) -> None:
        self._wake.clear()
        self.expired += len(await asyncio.to_thread(self._campaigns.expire))
        await self._campaigns.publish_news()
        loop = asyncio.get_running_loop()
        version = await asyncio.to_thread(self._records.version)
        if version == self._seen and loop.time() - self._whole < _WHOLE_S:
            return
        problems: list[str] = []
        for tenant in await asyncio.to_thread(self._tenants):
            problems += await self.bring(tenant)
        self._seen, self._whole = version, loop.time()
        self.rounds += 1
        self.problem = None
        if problems:
            self.problem = f"campaigns: {problems[0]}"
            log.warning("%s", self.problem)

    async def bring(self, tenant: Tenant) -> list[str]:
        """One round of a tenant; returns what could not be put."""
        done, vehicles = await asyncio.to_thread(self._distribution.round, tenant)
        self.documents += done.documents
        if vehicles:
            await announce(self._stream, tenant, vehicles)
        return [f"{tenant}: {each}" for each in done.problems]
