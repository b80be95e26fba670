"""Stream and lake belong together: sequences of frames must go on where the lake is."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from carcloud.app.engines import open_engines
from carcloud.config import Settings
from carcloud.model.streams import FRAMES
from carcloud.services.telemetry.ingest_position import lake_position
from carcloud.services.tenancy.api import Tenancy


def go_on(settings: Settings) -> int:
    """Let a new stream begin where the lake ends; returns the last sequence of the lake.

    Call it before gateways start: only a stream that never had a message is moved on. One that
    began again and has frames is left alone, and ingest refuses it.
    """
    with ThreadPoolExecutor(1) as thread:  # the caller may have an event loop of its own
        return thread.submit(lambda: asyncio.run(_go_on(settings))).result()


async def _go_on(settings: Settings) -> int:
    engines = await open_engines(settings, patient=True)
    try:
        extent = await engines.stream.info(FRAMES.name)
        if extent.last_seq > 0:
            return 0
        tenants = await asyncio.to_thread(Tenancy(engines.records).tenants.ids)
        position = await asyncio.to_thread(lake_position, engines.lake, tenants)
        if position > 0:
            await engines.stream.release(FRAMES.name, position)
        return position
    finally:
        await engines.close()
