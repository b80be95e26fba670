"""One carcloud forwards to another that is killed and restarted: nothing lost, nothing twice.

Real processes, real sockets: vehicles -> A -> B, where B's processes end with `kill -9`.
"""

import threading
import time
from pathlib import Path

import pytest
import uvloop

from carcloud.app.engines import open_lake, open_records
from carcloud.app.first_start import prepare
from carcloud.app.forwarding import make_compliance
from carcloud.config import Settings
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.ports.lake import Slice, TableRef
from carcloud.services.compliance.api import LinkSpec, PlatformAccounts
from carcloud.services.vehicles.api import Filter, Vehicles
from carcloud.simulator.options import SimulateOptions, SimulateResult
from carcloud.simulator.run import simulate
from carcloud.supervisor import Supervisor
from tests.kill.scene import settings_for

pytestmark = pytest.mark.soak

PLATFORM = "LOWERPLATFORM0001"
VEHICLES = 20


class Opened:
    """The engines of an installation that need no stream."""

    def __init__(self, settings: Settings) -> None:
        self.records, self.lake = open_records(settings), open_lake(settings)


def connect(lower: Settings, upper: Settings) -> None:
    """Give the lower platform an account above, and a link to it."""
    above = open_records(upper)
    accounts = PlatformAccounts(above)
    accounts.grant(DEFAULT_TENANT, PLATFORM, "maker", "secret", actor="test")
    above.close()
    spec = LinkSpec(
        name="upper", host="127.0.0.1", port=upper.whole("gateway.gbt32960.port"),
        platform_id=PLATFORM, user="maker", password="secret",
    )  # fmt: skip
    make_compliance(lower, Opened(lower)).add(DEFAULT_TENANT, spec, actor="test")


def reports(settings: Settings) -> list[tuple[str, int, int]]:
    """(vehicle, time, digest) of all stored reports."""
    columns = ("vehicle", "time", "digest")
    rows = open_lake(settings).read(TableRef(DEFAULT_TENANT, "signals"), Slice(columns=columns))
    if rows.num_rows == 0:
        return []
    times = rows["time"].cast("int64").to_pylist()
    return list(zip(rows["vehicle"].to_pylist(), times, rows["digest"].to_pylist(), strict=True))


@pytest.mark.timeout(300)
def test_a_further_platform_that_is_killed_gets_every_report_once(tmp_path: Path) -> None:
    lower = settings_for(tmp_path / "lower")
    upper = settings_for(tmp_path / "upper", gateway__auto_register=False)
    for settings in (lower, upper):
        prepare(settings)
    connect(lower, upper)
    below, above = Supervisor(lower), Supervisor(upper)
    result: list[SimulateResult] = []
    options = SimulateOptions(
        port=lower.whole("gateway.gbt32960.port"), vehicles=VEHICLES, seconds=32, seed=6,
        drain_s=60,
    )  # fmt: skip
    fleet = threading.Thread(target=lambda: result.append(uvloop.run(simulate(options))))
    try:
        below.start()
        above.start()
        fleet.start()
        began = time.monotonic()
        killed = stopped = False
        while fleet.is_alive():
            below.tend()
            age = time.monotonic() - began
            if age > 8 and not killed:  # all of it at once; the supervisor starts it anew
                killed = True
                for child in above.children.values():
                    child.process.kill()
                above.server.process.kill()
            if age > 16 and not stopped:  # the whole platform is away for a while
                stopped = True
                above.stop()
            if age > 24 and not above.pids():
                above = Supervisor(upper)
                above.start()
            above.tend() if above.children else None
            fleet.join(0.2)
        if stopped and not above.pids():  # to stop took a slow machine all the time
            above = Supervisor(upper)
            above.start()
        ours, theirs = settled(lower, upper, below, above, result[0].acknowledged)
        state = make_compliance(lower, Opened(lower)).state(DEFAULT_TENANT, "upper")
    finally:
        below.stop()
        above.stop()
    print(len(ours), len(theirs), state)
    assert killed and stopped
    assert result[0].unconfirmed == 0
    assert len(ours) == result[0].acknowledged > VEHICLES * 12
    assert sorted(theirs) == sorted(ours)
    assert len(set(theirs)) == len(theirs)
    assert (state.refused, state.expired) == (0, 0)
    found = Vehicles(open_records(upper)).find(DEFAULT_TENANT, Filter(label=f"platform:{PLATFORM}"))
    assert len(found.items) == VEHICLES


def settled(
    lower: Settings, upper: Settings, below: Supervisor, above: Supervisor, reported: int
) -> tuple[list[tuple[str, int, int]], list[tuple[str, int, int]]]:
    """The reports of both when the lower one has all that were made, the upper one has the same,
    and neither grows."""
    before, deadline = None, time.monotonic() + 120
    while time.monotonic() < deadline:
        below.tend()
        above.tend()
        found = reports(lower), reports(upper)
        if found == before and len(found[0]) >= reported and sorted(found[0]) == sorted(found[1]):
            break
        before = found
        time.sleep(1)
    return found
