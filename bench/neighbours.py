"""Neighbours: what the flood of one tenant does to another, and whether the meters are right.

A whole cloud runs on this machine. The quiet tenant has 100 vehicles that send 100 frames a second
together, and a program that asks the API 50 times a second. That is measured alone, then while the
other tenant does all it can: 1,000 vehicles that send as fast as they are read, and 32 connections
that ask the API without a pause, against quotas of 2,000 frames and 200 requests a second.
Latencies are open loop: from when a report or a request was due. All load generators are processes
on the same two cores, so the rows beside the flood include what the generators take.

Last, the meters of the quiet tenant are held against what its load generators counted.
"""

import concurrent.futures
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.access import http_load
from bench.row import Row
from bench.site import Site, load, site
from carcloud.app.engines import open_records
from carcloud.app.secret import sealing_secret
from carcloud.model.ids import DEFAULT_TENANT, Tenant
from carcloud.model.time import now_us
from carcloud.services.metering.api import Metering
from carcloud.services.tenancy.api import SYSTEM, Tenancy
from carcloud.services.vehicles.api import NewVehicle, Vehicles
from carcloud.simulator.vins import vins

_QUIET, _NOISY = Tenant("quiet"), DEFAULT_TENANT
_CARS, _SEED = 100, 11
_FRAMES, _REQUESTS = 2_000, 200  # quotas of the noisy tenant, in a second
_DAY = 86_400_000_000  # us
_SETTLE_S = 60.0


def rows(small: bool = False) -> list[Row]:
    """Latencies alone and beside a flood, and the difference of two counts; small: seconds."""
    seconds = 4 if small else 20
    with site() as running, tempfile.TemporaryDirectory() as folder:
        keys = _prepare(running)
        paths = Path(folder) / "paths"
        paths.write_text("\n".join(f"/v1/vehicles/{name}" for name in vins(_SEED, _CARS)))
        alone = _quiet(running, keys[_QUIET], paths, seconds, days_back=3)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            flooding = (
                pool.submit(
                    load, running, vehicles=1000, rate=20_000, seconds=seconds + 6, seed=12,
                    drain_s=5,
                ),
                pool.submit(http_load, running, keys[_NOISY], paths, seconds + 6),
            )  # fmt: skip
            time.sleep(4)
            beside = _quiet(running, keys[_QUIET], paths, seconds, days_back=2)
            frames, requests = flooding[0].result()[0], flooding[1].result()
        both = (alone, beside)
        acknowledged = sum(one["frames"]["acknowledged"] for one in both)
        served = sum(one["requests"]["served"] for one in both)
        missed = _difference(running, "messages", acknowledged)
        unbilled = _difference(running, "api_requests", served)
    return [
        Row("quiet tenant alone: acknowledgement p99", alone["frames"]["ack_p99_ms"], "ms"),
        Row("beside a flood", beside["frames"]["ack_p99_ms"], "ms", "<= 100"),
        Row("quiet tenant alone: API p99", alone["requests"]["p99_ms"], "ms"),
        Row("beside a flood", beside["requests"]["p99_ms"], "ms", "<= 100"),
        Row("quiet tenant's requests that were not served", _failed(both), "requests", "<= 0"),
        Row("flood: frames taken, quota 2,000", round(frames["sustained"]), "frames/s"),
        Row("flood: requests answered, most with 429", round(requests["rate"]), "requests/s"),
        Row("metered messages less acknowledged frames", missed, "frames", "<= 0"),
        Row("metered requests less served requests", unbilled, "requests", "<= 0"),
    ]


def _prepare(running: Site) -> dict[Tenant, str]:
    records = open_records(running.settings)
    secret = sealing_secret(running.settings)
    tenancy = Tenancy(records, secret=secret)
    tenancy.tenants.ensure(_QUIET)
    vehicles = Vehicles(records, secret=secret)
    for name in vins(_SEED, _CARS):
        vehicles.create(_QUIET, NewVehicle(id=name), actor="bench")
    tenancy.limits.set_limit(_NOISY, "frames_per_second", _FRAMES, actor="bench")
    tenancy.limits.set_limit(_NOISY, "requests_per_second", _REQUESTS, actor="bench")
    keys = {}
    for tenant in (_QUIET, _NOISY):
        robot = tenancy.people.create_service(tenant, "bench", "viewer", by=SYSTEM)
        keys[tenant] = tenancy.keys.create(tenant, robot.name, "bench", by=SYSTEM).secret
    records.close()
    time.sleep(3)  # quotas are read anew each second
    return keys


def _quiet(
    running: Site, key: str, paths: Path, seconds: float, days_back: float
) -> dict[str, Any]:
    """Frames and requests of the quiet tenant at the same time; no frame is a repeat."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asking = pool.submit(http_load, running, key, paths, seconds, rate=50)
        figures, _ = load(
            running, vehicles=_CARS, rate=100, seconds=seconds, seed=_SEED, days_back=days_back
        )
        return {"frames": figures, "requests": asking.result()}


def _failed(runs: tuple[dict[str, Any], ...]) -> int:
    return sum(int(one["requests"]["asked"] - one["requests"]["served"]) for one in runs)


def _difference(running: Site, meter: str, expected: int) -> int:
    """How far the meter is from the count, either way, once it has come to rest."""
    records = open_records(running.settings)
    metering, deadline = Metering(records), time.monotonic() + _SETTLE_S
    while True:
        now = now_us()
        found = int(metering.total(_QUIET, meter, now - _DAY, now + _DAY))
        if found == expected or time.monotonic() > deadline:
            records.close()
            return abs(found - expected)
        time.sleep(1)
