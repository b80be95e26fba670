"""Exports and deletions of tenants: what a jobs process of the installation does for them."""

import asyncio
import logging
import shutil
import threading
from collections.abc import Callable
from typing import TypeVar

from carcloud import __version__
from carcloud.app.compute import make_jobs
from carcloud.app.engines import Engines
from carcloud.app.metering import READER as METERING
from carcloud.app.schema.tables import TABLES
from carcloud.config import Settings
from carcloud.model.streams import FRAMES, USAGE
from carcloud.model.time import now_us
from carcloud.model.usage import Usage, usage_event
from carcloud.ports.errors import EngineError
from carcloud.ports.stream import Stream
from carcloud.services.storage.api import Storage, StorageRefusal
from carcloud.services.telemetry.ingest_position import WRITER as INGEST
from carcloud.services.tenant_life.api import (
    Census,
    Contents,
    Deleter,
    Export,
    Maker,
    Reach,
    Steps,
    TenantLife,
)

log = logging.getLogger(__name__)
T = TypeVar("T")

_LOOK_S = 1.0  # between looks for something to do
_AWAY_S = 5.0  # an engine that was away is asked again after so long
_SETTLE_S = 15.0  # all processes know limits after 2 s, and have told what was used after 7
_HOUR_US = 3_600 * 1_000_000


def make_maker(settings: Settings, engines: Engines, storage: Storage) -> Maker:
    """What makes the archives."""
    reach = Reach(TABLES)
    return Maker(
        engines.records,
        storage,
        Contents(engines.records, engines.lake, engines.blobs, storage, reach),
        version=__version__,
        days=lambda: settings.number("tenants.export_days"),
        room=lambda: _room(settings),
        now=now_us,
    )


def make_deleter(settings: Settings, engines: Engines, storage: Storage) -> Deleter:
    """What deletes tenants."""
    reach = Reach(TABLES)
    steps = Steps(
        engines.records,
        engines.lake,
        engines.blobs,
        engines.stream,
        storage,
        make_jobs(settings, engines),
        reach,
        {FRAMES.name: INGEST, USAGE.name: METERING},
    )
    census = Census(engines.records, engines.lake, engines.stream, reach)
    return Deleter(engines.records, census, steps, settle_s=_SETTLE_S, now=now_us)


def _room(settings: Settings) -> int | None:
    """Bytes that the disk of the blobs may still take."""
    if settings.text("blobs.url"):
        return None
    free = shutil.disk_usage(settings.text("data")).free
    return free - settings.whole("disk.reserve_mb") * 1_000_000


class TenantLifeWork:
    """What one jobs process of the installation does; `run` until cancelled."""

    def __init__(self, life: TenantLife, maker: Maker, deleter: Deleter, stream: Stream) -> None:
        self._life = life
        self._maker = maker
        self._deleter = deleter
        self._stream = stream
        self._hour = 0

    async def run(self) -> None:
        """Make archives, remove old ones, and meter what is kept."""
        while True:
            try:
                made = await in_thread(self._maker.make_next)
                await self._meter()
                await asyncio.to_thread(self._life.exports.expire)
            except (EngineError, StorageRefusal) as error:
                log.warning("exports of tenants wait: %s", error)
                await asyncio.sleep(_AWAY_S)
            else:
                await asyncio.sleep(0.0 if made else _LOOK_S)

    async def run_deletions(self) -> None:
        """Delete what is due, a step after the other."""
        looked = now_us()
        while True:
            try:
                moved = await self._deleter.work()
                if now_us() - looked > _HOUR_US:
                    looked = now_us()
                    await self._deleter.look_again()
            except (EngineError, StorageRefusal) as error:
                log.warning("deletions of tenants wait: %s", error)
                moved = False
            await asyncio.sleep(0.0 if moved else _LOOK_S)

    async def _meter(self) -> None:
        """Once an hour, the bytes of each archive; an id that says which hour counts once."""
        hour = now_us() // _HOUR_US
        if hour == self._hour:
            return
        for export in await asyncio.to_thread(self._life.exports.ready):
            message = usage_event(_usage(export, hour))
            await self._stream.publish(message.subject, message.data, message.message_id)
        self._hour = hour


def _usage(export: Export, hour: int) -> Usage:
    return Usage(
        f"export-{export.id}-{hour}", export.tenant, "storage_bytes_hours", export.bytes,
        hour * _HOUR_US, f"export {export.id}",
    )  # fmt: skip


async def in_thread(work: Callable[[threading.Event], T]) -> T:
    """Run `work(stop)` in a thread; when this is cancelled, `stop` is set and waited for."""
    stop = threading.Event()
    running = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait({running})
        raise
