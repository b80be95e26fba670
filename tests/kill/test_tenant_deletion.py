"""`carcloud up` while a tenant is deleted: killed at several steps it ends, and nothing is left."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from carcloud.app.engines import open_records
from carcloud.app.first_start import prepare
from carcloud.config import Settings
from carcloud.model.ids import Tenant
from carcloud.services.tenancy.api import SYSTEM, Tenancy
from carcloud.simulator.options import SimulateOptions
from carcloud.supervisor import Supervisor
from tests.kill.test_spine import drive, settings_for

TENANT, MARK, PASSWORD = "leaver", b"zqxplanted", "correct horse battery"
STEPS = ("close", "drain", "blobs", "records", "check")  # at which the process is killed


def own(settings: Settings) -> None:
    """Somebody who owns the tenant, made beside the running cloud."""
    records = open_records(settings)
    Tenancy(records).people.create(Tenant(TENANT), "owen", PASSWORD, "owner", by=SYSTEM)
    records.close()


def plant(client: httpx.Client, url: str) -> None:
    """An owner, a key, an object, a budget and a schedule, with the mark in each."""
    invited = client.post(f"/v1/tenants/{TENANT}/exports")
    assert invited.status_code == 201, invited.text
    with httpx.Client(base_url=url, timeout=30) as owner:
        signed = owner.post("/v1/session", json={"user": "owen", "password": PASSWORD})
        assert signed.status_code == 200, signed.text
        mark = MARK.decode()
        sql = {"sql": f"SELECT '{mark}' AS x FROM signals"}  # noqa: S608
        job = {"kind": "query-export", "params": sql, "name": mark}
        for path, body in (
            ("/v1/buckets", {"name": f"{mark}-box"}),
            ("/v1/jobs", job),
            ("/v1/schedules", {"name": mark, "cron": "* * * * *", "job": job}),
            ("/v1/budgets", {"name": mark, "amount": "1", "thresholds": [50]}),
            ("/v1/service-accounts", {"name": mark, "role": "viewer", "note": mark}),
        ):
            answer = owner.post(path, json=body)
            assert answer.status_code == 201, (path, answer.text)
        where = f"/v1/buckets/{mark}-box/object?key={mark}"
        owner.put(where, content=MARK * 10_000).raise_for_status()


def found_in(folder: Path, *marks: bytes) -> list[str]:
    """Files of the data folder, but for logs of processes, that have one of the marks."""
    found = []
    for file in folder.rglob("*"):
        inside = file.relative_to(folder).parts
        if inside[0] == "logs" or not file.is_file():
            continue
        data = file.read_bytes()
        found += [
            f"{file}: {mark!r}" for mark in marks if mark in data or mark in file.name.encode()
        ]
    return found


def kill_on_the_way(supervisor: Supervisor, client: httpx.Client) -> tuple[dict[str, Any], int]:
    """The deletion at its end; the jobs process is killed once at each of `STEPS`."""
    where, deadline, kills = f"/v1/tenants/{TENANT}/deletion", time.monotonic() + 150, 0
    wanted = list(STEPS)
    while (found := client.get(where).json())["state"] != "done":
        assert time.monotonic() < deadline, found
        if found["state"] == "running" and found["step"] in wanted:
            wanted.remove(found["step"])
            os.kill(supervisor.pids()["jobs"], signal.SIGKILL)
            kills += 1
        supervisor.tend()
        time.sleep(0.01)
    return found, kills


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_deletion_ends_whatever_is_killed_and_leaves_nothing(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, gateway__tenant=TENANT, tenants__deletion_days=0.0)
    prepare(settings)
    supervisor = Supervisor(settings)
    try:
        supervisor.start()
        web, token = supervisor.run.facts("web"), supervisor.run.local_token()
        headers = {"authorization": f"Bearer {token}"}
        port = settings.whole("gateway.gbt32960.port")
        with httpx.Client(base_url=web["url"], headers=headers, timeout=30) as client:
            fleet = SimulateOptions(port=port, vehicles=5, seconds=3, seed=7)
            result = drive(supervisor, fleet, lambda: None)
            assert result.acknowledged > 0
            own(settings)
            plant(client, web["url"])
            vins = [vin.encode() for vin in result.vehicles]
            assert len(vins) == 5 and len(found_in(tmp_path, MARK, *vins)) >= 10
            suspended = client.patch(f"/v1/tenants/{TENANT}", json={"state": "suspended"})
            assert suspended.status_code == 200, suspended.text
            asked = client.post(f"/v1/tenants/{TENANT}/deletion", json={"confirm": TENANT})
            assert asked.status_code == 201, asked.text
            done, kills = kill_on_the_way(supervisor, client)
            assert kills >= 3
            assert done["certificate"]["before"]["lake"]["tables"]["signals"]["rows"] > 0
            refused = drive(supervisor, fleet, lambda: None)
            assert refused.acknowledged == 0
            assert found_in(tmp_path, MARK, *vins) == []
    finally:
        supervisor.stop()
    assert found_in(tmp_path, MARK, *vins) == []
