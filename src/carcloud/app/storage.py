"""Object storage put together: the service, its care and what it tells."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial

from carcloud.app.engines import Engines, open_own_blobs
from carcloud.app.report import Figures
from carcloud.app.secret import sealing_secret
from carcloud.config import Settings
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.model.usage import Usage, usage_event
from carcloud.ports.errors import EngineError
from carcloud.ports.stream import Stream
from carcloud.services.storage.api import Storage
from carcloud.services.tenancy.api import KnownLimits

log = logging.getLogger(__name__)

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
