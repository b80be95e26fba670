"""Events that services publish, read from the stream of a running cloud."""

import asyncio
import json

import pytest

from carcloud.app.engines import open_engines
from carcloud.app.first_start import prepare
from carcloud.simulator.options import SimulateOptions
from carcloud.supervisor import Supervisor
from tests.kill.driving import drive
from tests.kill.scene import settings_for

pytestmark = pytest.mark.soak


def test_vehicles_that_come_and_go_are_events(tmp_path):
    settings = settings_for(tmp_path)
    prepare(settings)
    supervisor = Supervisor(settings)

    async def events(gone: set[str]) -> list[tuple[str, dict]]:
        """All, when they have told that these are gone, and no more come."""
        engines = await open_engines(settings)
        found = []
        async with asyncio.timeout(60):
            async for messages in engines.stream.read("EVENTS", "test", batch=64, wait_s=1.0):
                if not messages and gone <= {one for _, told in found for one in told["closed"]}:
                    break
                found += [(message.subject, json.loads(message.data)) for message in messages]
        await engines.close()
        return found

    try:
        supervisor.start()
        port = settings.whole("gateway.gbt32960.port")
        options = SimulateOptions(port=port, vehicles=5, seconds=3)
        result = drive(supervisor, options, until=lambda now: now.connected == 5)
        found = asyncio.run(events(set(result.vehicles)))
    finally:
        supervisor.stop()
    assert {subject for subject, _ in found} == {"events.default.vehicles.sessions"}
    assert {row[0] for _, event in found for row in event["open"]} == set(result.vehicles)
    assert {vehicle for _, event in found for vehicle in event["closed"]} == set(result.vehicles)
