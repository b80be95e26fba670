"""The S3 interface of object storage put together, and what it tells."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from carcloud.config import Settings
from carcloud.endings import begin
from carcloud.model.ids import Tenant
from carcloud.ports.errors import EngineError
from carcloud.ports.stream import Stream
from carcloud.services.metering.api import UsageCounter
from carcloud.services.storage.api import Storage
from carcloud.services.tenancy.api import AuditEntry, KnownLimits, Tenancy
from carcloud.web.proxies import Behind, TrustedProxies
from carcloud.web.rates import RequestRates
from carcloud.web.s3.access import Denial
from carcloud.web.s3.application import S3Application
from carcloud.web.s3.figures import S3Figures
from carcloud.web.serve import Address, Door, serve_plain

log = logging.getLogger(__name__)

_TELL_S = 2.0  # s between looks at what was used, and at the limits


@asynccontextmanager
async def serve_s3(
    settings: Settings,
    storage: Storage,
    tenancy: Tenancy,
    limits: KnownLimits,
    stream: Stream,
    instance: str,
    figures: S3Figures,
    rates: RequestRates,
    door: Door,
) -> AsyncIterator[Address]:
    """The S3 interface on its port while the block runs; raises `OSError` if that is taken."""
    application = S3Application(
        storage,
        tenancy.keys.access,
        domain=settings.text("storage.domain"),
        tell_denial=lambda denial: tenancy.trail.refused([_entry(denial)]),
        figures=figures,
        rates=rates,
    )
    counter = UsageCounter(stream, f"{instance}-s3")
    watching = [
        begin(lambda: _watch(figures, counter, limits), "the counting of storage requests"),
        begin(counter.run, "the telling of storage usage"),
    ]
    host, port = settings.text("storage.host"), settings.whole("storage.port")
    try:
        behind = Behind(application, TrustedProxies.of(settings))
        async with serve_plain(behind, host, port, door) as address:
            yield address
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        _count(figures, counter)
        try:
            await counter.flush()
        except EngineError as error:
            log.info("usage of storage was not told: %s", error)
        application.close()


async def _watch(figures: S3Figures, counter: UsageCounter, limits: KnownLimits) -> None:
    while True:
        try:
            await asyncio.to_thread(limits.refresh)
        except EngineError as error:
            log.debug("limits are not known anew: %s", error)
        _count(figures, counter)
        await asyncio.sleep(_TELL_S)


def _count(figures: S3Figures, counter: UsageCounter) -> None:
    for (tenant, project), (requests, sent) in figures.taken().items():
        counter.add(Tenant(tenant), "storage_requests", requests, project=project)
        counter.add(Tenant(tenant), "storage_bytes_out", sent, project=project)


def _entry(denial: Denial) -> AuditEntry:
    return AuditEntry(
        denial.tenant,
        denial.user,
        denial.action,
        denial.subject[:200],
        after={"reason": denial.reason[:200]},
        denied=True,
        address=denial.address,
    )
