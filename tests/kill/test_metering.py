"""Metering under `kill -9`: the meters say what the load generator knows, to the unit."""

import os
import random
import time

import pytest

from carcloud.app.engines import open_lake, open_records
from carcloud.app.first_start import prepare
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.model.time import now_us
from carcloud.services.metering.api import Metering
from carcloud.simulator.options import SimulateOptions
from carcloud.supervisor import Supervisor
from tests.kill.driving import drive, settled
from tests.kill.scene import settings_for

pytestmark = pytest.mark.soak

DAY = 86_400_000_000  # us


@pytest.mark.timeout(300)
def test_meters_agree_with_the_load_generator_whatever_is_killed(tmp_path):
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    dice = random.Random(seed)
    settings = settings_for(tmp_path)
    prepare(settings)
    supervisor = Supervisor(settings)
    victims = ["ingest", "jobs", "gateway"] * 2
    dice.shuffle(victims)
    killed: list[str] = []
    next_kill = 0.0

    def disturb() -> None:
        nonlocal next_kill
        if victims and time.monotonic() >= next_kill:
            process = supervisor.children[victims[-1]].process
            if process.poll() is not None:
                return  # it waits to be started again
            process.kill()
            killed.append(victims.pop())
            next_kill = time.monotonic() + dice.uniform(1.0, 3.5)

    records = open_records(settings)
    metering = Metering(records)
    try:
        supervisor.start()
        next_kill = time.monotonic() + 5
        options = SimulateOptions(
            port=settings.whole("gateway.gbt32960.port"), vehicles=100, seconds=28, seed=8,
            backoff_s=(0.2, 2.0), drain_s=60, reply_timeout_s=15,
        )  # fmt: skip
        result = drive(supervisor, options, disturb)
        while victims:  # on a machine that was too slow for all of them
            disturb()
            supervisor.tend()
            time.sleep(0.2)
        found = settled(supervisor, result)
        messages = counted(supervisor, metering, result.acknowledged)
    finally:
        supervisor.stop()
    size = sum(info.rows for info in open_lake(settings).tables(DEFAULT_TENANT))
    hours = metering.total(DEFAULT_TENANT, "vehicle_hours", now_us() - DAY, now_us() + DAY)
    records.close()
    print(killed, result.acknowledged, messages, size, hours)
    assert sorted(killed) == ["gateway", "gateway", "ingest", "ingest", "jobs", "jobs"]
    assert (result.unconfirmed, found.missing, found.duplicates) == (0, 0, 0)
    assert messages == found.stored == result.acknowledged > 1000


def counted(supervisor: Supervisor, metering: Metering, expected: int) -> int:
    """The messages of the default tenant, once they are all there and for a while after."""
    deadline, end = time.monotonic() + 60, 0.0
    while True:
        supervisor.tend()
        total = metering.total(DEFAULT_TENANT, "messages", now_us() - DAY, now_us() + DAY)
        if total >= expected and not end:
            end = time.monotonic() + 7  # another round would count what is counted again
        if time.monotonic() > (end or deadline):
            return total
        time.sleep(0.5)
