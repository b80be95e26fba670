"""Object storage put together: the service, its S3 interface, its care and what it tells."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from carcloud.app.engines import Engines, open_own_blobs
from carcloud.app.report import Figures
from carcloud.app.secret import sealing_secret
from carcloud.config import Settings
from carcloud.endings import begin
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.model.usage import Usage, usage_event
from carcloud.ports.errors import EngineError
from carcloud.ports.stream import Stream
from carcloud.services.metering.api import UsageCounter
from carcloud.services.storage.api import Storage
from carcloud.services.tenancy.api import AuditEntry, KnownLimits, Tenancy
from carcloud.web.proxies import Behind, TrustedProxies
from carcloud.web.s3.access import Denial
from carcloud.web.s3.figures import S3Figures
from carcloud.web.serve import Address, Door, serve_plain

if TYPE_CHECKING:
    from carcloud.web.rates import RequestRates

log = logging.getLogger(__name__)

_TELL_S = 2.0  # s between looks at what was used, and at the limits
_HOUR_US = 3_600 * 1_000_000
_DAY_S = 86_400.0


def make_storage(
    settings: Settings,
    engines: Engines,
    limits: KnownLimits,
    elsewhere: Callable[[Tenant], int] = lambda _: 0,
) -> Storage:
    """The service; `elsewhere` = bytes that count for the same limit."""
    return Storage(
        engines.records,
        engines.blobs,
        secret=sealing_secret(settings),
        open_blobs=open_own_blobs,
        limit=limits.limit,
        elsewhere=elsewhere,
    )


@asynccontextmanager
async def serve_s3(
    settings: Settings,
    storage: Storage,
    tenancy: Tenancy,
    limits: KnownLimits,
    stream: Stream,
    instance: str,
    figures: S3Figures,
    rates: "RequestRates",
    door: Door,
) -> AsyncIterator[Address]:
    """The S3 interface on its port while the block runs; raises `OSError` if that is taken."""
    from carcloud.web.s3.application import S3Application  # the jobs role needs no web framework

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


class StorageCare:
    """What the jobs role does for storage: lifecycle, cleaning, metering of stored bytes."""

    def __init__(self, storage: Storage, stream: Stream, settings: Settings) -> None:
        self._storage = storage
        self._stream = stream
        self._every_s = settings.number("storage.care_s")
        self._days = settings.number("storage.upload_days")
        self._orphans_in_s = 600.0  # the first look for lost bytes, after a start in peace
        self._hour = 0
        self.troubles: list[tuple[Tenant, str]] = []
        self._done = {"expired": 0, "uploads": 0, "blobs": 0}

    async def run(self) -> None:
        """Care until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            self._orphans_in_s -= self._every_s
            orphans = self._orphans_in_s <= 0
            try:
                round_ = partial(self._storage.care, days=self._days, orphans=orphans)
                done, self.troubles = await asyncio.to_thread(round_)
                await self._meter()
            except EngineError as error:
                log.warning("care of storage: %s", error)
                continue
            if orphans:
                self._orphans_in_s = _DAY_S
            for name, count in (
                ("expired", done.expired), ("uploads", done.uploads), ("blobs", done.blobs)
            ):  # fmt: skip
                self._done[name] += count
            for _, trouble in self.troubles:
                log.warning("care of storage: %s", trouble)

    def figures(self) -> Figures:
        """For the status of the process."""
        counters = {
            "storage_expired_total": float(self._done["expired"]),
            "storage_uploads_ended_total": float(self._done["uploads"]),
            "storage_blobs_removed_total": float(self._done["blobs"]),
        }
        told: Mapping[tuple[str, str], str] = {
            ("storage", tenant): trouble for tenant, trouble in self.troubles
        }
        return Figures(counters, {}, {}, told)

    async def _meter(self) -> None:
        """Once an hour, what each bucket holds; an id that says which hour counts once."""
        hour = now_us() // _HOUR_US
        if hour == self._hour:
            return
        for bucket in await asyncio.to_thread(self._storage.buckets.everywhere):
            usage = Usage(
                f"storage-{bucket.id}-{hour}", bucket.tenant, "storage_bytes_hours",
                bucket.bytes, hour * _HOUR_US, bucket.name, bucket.project,
            )  # fmt: skip
            message = usage_event(usage)
            await self._stream.publish(message.subject, message.data, message.message_id)
        self._hour = hour


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
