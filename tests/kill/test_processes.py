"""Several gateway processes behind one port."""

import asyncio
import time

import pytest

from carcloud.app.first_start import prepare
from carcloud.simulator.options import SimulateOptions
from carcloud.supervisor import Supervisor
from tests.gateway.test_gbt32960 import VIN, Car, login
from tests.kill.driving import drive, settled
from tests.kill.scene import settings_for

pytestmark = pytest.mark.soak


async def one_of_many_stays(port: int) -> None:
    """The same vehicle connects again and again: wherever it lands, the newest link stays."""
    cars = []
    for _ in range(8):
        car = await Car.connect(port)
        car.send(login(VIN))
        assert (await car.reply()).command == 1
        cars.append(car)
        await asyncio.sleep(0.05)
    deadline = time.monotonic() + 60
    for car in cars[:-1]:
        async with asyncio.timeout(deadline - time.monotonic()):
            assert await car.reader.read(1) == b""
    assert not cars[-1].reader.at_eof()


def test_two_gateways_share_a_port_and_a_vehicle_has_one_session(tmp_path):
    settings = settings_for(tmp_path, gateway__processes=2)
    prepare(settings)
    supervisor = Supervisor(settings)
    try:
        supervisor.start()
        assert {"gateway", "gateway-2"} <= supervisor.pids().keys()
        port = settings.whole("gateway.gbt32960.port")
        asyncio.run(one_of_many_stays(port))
        options = SimulateOptions(port=port, vehicles=40, seconds=5, seed=21)
        result = drive(supervisor, options)
        found = settled(supervisor, result)
    finally:
        supervisor.stop()
    assert result.unconfirmed == 0
    assert (found.missing, found.duplicates) == (0, 0)
    assert found.stored == result.acknowledged
