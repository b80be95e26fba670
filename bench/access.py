"""Access: authorised API reads of one web process, and the check of a permission alone.

A whole cloud runs on this machine with 1,000 registered vehicles. Programs read
`GET /v1/vehicles/<id>` with the API key of a service account: each request has its key checked, its
permission, its tenant's scope and its share of the tenant's request rate, and reads the registry.
The load generator is a process of its own with 32 connections. The greatest rate is closed loop;
the latencies are at half of the target, 2,500 requests a second, open loop, from when each request
was due. Requests are raw bytes, so that the generator costs little of the two cores.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.row import Row
from bench.site import ROOT, Site, site
from carcloud.app.engines import open_records
from carcloud.app.secret import sealing_secret
from carcloud.model.ids import DEFAULT_TENANT, Tenant
from carcloud.services.tenancy.api import SYSTEM, Allowed, Identity, Scope, Tenancy
from carcloud.services.vehicles.api import NewVehicle, Vehicles

_VEHICLES = 1000
_CHECKS = 200_000


def rows(small: bool = False) -> list[Row]:
    """Rate and latencies over HTTP, microseconds of a check; small: seconds."""
    seconds = 3 if small else 15
    with site() as running, tempfile.TemporaryDirectory() as folder:
        secret = _prepare(running)
        paths = Path(folder) / "paths"
        paths.write_text("\n".join(f"/v1/vehicles/{_name(n)}" for n in range(_VEHICLES)))
        most = http_load(running, secret, paths, seconds)
        half = http_load(running, secret, paths, seconds, rate=2500)
    return [
        Row("authorised API read, one web process", round(most["rate"]), "requests/s", ">= 5,000"),
        Row("of these not answered with 200", most["failed"] + most["lost"], "requests", "<= 0"),
        Row("latency p99 at 2,500 requests/s", half["p99_ms"], "ms", "<= 20"),
        Row("latency p50 at 2,500 requests/s", half["p50_ms"], "ms"),
        Row("permission check, grants by labels in ten depots", _check_us(), "us", "<= 20"),
    ]


def _name(number: int) -> str:
    return f"LTESTACC{number:09d}"


def _prepare(running: Site) -> str:
    records = open_records(running.settings)
    secret = sealing_secret(running.settings)
    vehicles = Vehicles(records, secret=secret)
    for number in range(_VEHICLES):
        vehicles.create(DEFAULT_TENANT, NewVehicle(id=_name(number)), actor="bench")
    tenancy = Tenancy(records, secret=secret)
    tenancy.limits.set_limit(DEFAULT_TENANT, "requests_per_second", 1_000_000, actor="bench")
    robot = tenancy.people.create_service(DEFAULT_TENANT, "bench", "viewer", by=SYSTEM)
    key = tenancy.keys.create(DEFAULT_TENANT, robot.name, "bench", by=SYSTEM)
    records.close()
    time.sleep(3)  # quotas are read anew each second
    return key.secret


def http_load(
    running: Site, token: str, paths: Path, seconds: float, rate: float | None = None
) -> dict[str, float]:
    """Run the HTTP load generator as a process; its figures."""
    words = [running.url, f"--token={token}", f"--paths={paths}", f"--seconds={seconds}"]
    if rate is not None:
        words.append(f"--rate={rate}")
    done = subprocess.run(
        [sys.executable, "-m", "bench.http_load", *words],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return dict(json.loads(done.stdout))


def _check_us() -> float:
    """The worst case: the scope that matches is the last of ten."""
    partly = tuple(
        Allowed(Scope(labels={"depot": f"d{n}"}), frozenset({"vehicles:read"})) for n in range(10)
    )
    who = Identity("ann", Tenant("a"), frozenset({"status:read"}), partly)
    labels = {"depot": "d9", "region": "north"}
    began = time.perf_counter()
    for _ in range(_CHECKS):
        who.may("vehicles:read", labels=labels)
    return (time.perf_counter() - began) / _CHECKS * 1e6
