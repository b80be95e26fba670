"""What a process keeps of deleted tenants' files goes from its memory and its machine."""

import asyncio
import logging

from carcloud.app.engines import Engines
from carcloud.endings import begin
from carcloud.ports.errors import EngineError
from carcloud.ports.lake import Lake
from carcloud.ports.records import Records
from carcloud.services.storage.api import Storage
from carcloud.services.tenancy.api import deleted_tenants

log = logging.getLogger(__name__)

_LOOK_S = 5.0  # a deletion counts again, and is certified, later than that


def forgetting(engines: Engines, storage: Storage | None = None) -> asyncio.Task[None]:
    """Again and again until it is ended: a machine that was off at the time forgets them, too."""

    async def work() -> None:
        while True:
            try:
                await asyncio.to_thread(forget_once, engines.records, engines.lake, storage)
            except EngineError as error:
                log.info("copies of what was deleted stay for now: %s", error)
            await asyncio.sleep(_LOOK_S)

    return begin(work, "the copies of deleted tenants")


def forget_once(records: Records, lake: Lake, storage: Storage | None = None) -> None:
    """Tries all of them, then raises the first `EngineError` there was."""
    troubles: list[EngineError] = []
    for tenant in deleted_tenants(records):
        if storage is not None:
            storage.places.forget(tenant)
        try:
            lake.forget(tenant)
        except EngineError as error:
            troubles.append(error)
    if troubles:
        raise troubles[0]
