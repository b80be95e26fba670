"""`carcloud up` while a tenant is deleted: killed at several steps it ends, and nothing is left."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from carcloud.app.engines import open_lake, open_records
from carcloud.app.first_start import prepare
from carcloud.config import Settings
from carcloud.model.ids import Tenant
from carcloud.ports.lake import Slice, TableRef
from carcloud.services.tenancy.api import SYSTEM, Tenancy
from carcloud.simulator.options import SimulateOptions
from carcloud.supervisor import Supervisor
from tests.kill.driving import drive
from tests.kill.scene import settings_for

TENANT, MARK, PASSWORD = "leaver", b"zqxplanted", "correct horse battery"
STEPS = ("close", "drain", "blobs", "records", "check")  # at which the process is killed
HELD = "the step is held"


def own(settings: Settings) -> None:
    """Somebody who owns the tenant, made beside the running cloud."""
    records = open_records(settings)
    Tenancy(records).people.create(Tenant(TENANT), "owen", PASSWORD, "owner", by=SYSTEM)
    records.close()


def until_stored(supervisor: Supervisor, reports: int) -> None:
    """All reports are in the tenant's lake."""
    lake, deadline = open_lake(supervisor.settings), time.monotonic() + 60
    while lake.count(TableRef(Tenant(TENANT), "signals"), Slice()) < reports:
        assert time.monotonic() < deadline
        supervisor.tend()
        time.sleep(0.2)
    lake.close()


def plant(client: httpx.Client, url: str) -> None:
    """An owner, a key, an object, a budget and a schedule, with the mark in each."""
    invited = client.post(f"/v1/tenants/{TENANT}/exports")
    assert invited.status_code == 201, invited.text
    with httpx.Client(base_url=url, timeout=60) as owner:
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
    for place, _, names in os.walk(folder):  # which passes over what goes away meanwhile
        if Path(place).relative_to(folder).parts[:1] == ("logs",):
            continue
        for name in names:
            file = Path(place, name)
            data = read(file)
            found += [
                f"{file}: {mark!r}" for mark in marks if mark in data or mark in name.encode()
            ]
    return found


def read(file: Path) -> bytes:
    """Nothing where it went away, or is a socket."""
    try:
        return file.read_bytes() if file.is_file() else b""
    except FileNotFoundError:
        return b""


def hold(settings: Settings) -> None:
    """No step of `STEPS` can be ended, so that its work is done again and again."""
    _change(
        settings,
        *(
            f"CREATE TRIGGER held_{step} BEFORE UPDATE ON tenant_deletions WHEN OLD.step = '{step}'"
            " AND (NEW.step <> OLD.step OR NEW.state <> OLD.state)"
            f" BEGIN SELECT RAISE(ABORT, '{HELD}'); END"
            for step in STEPS
        ),
    )


def let_go(settings: Settings, step: str) -> None:
    """The step can be ended."""
    _change(settings, f"DROP TRIGGER held_{step}")


def _change(settings: Settings, *statements: str) -> None:
    records = open_records(settings)
    with records.transaction() as db:
        for statement in statements:
            db.exec_driver_sql(statement)
    records.close()


def kill_on_the_way(
    supervisor: Supervisor, settings: Settings, client: httpx.Client
) -> dict[str, Any]:
    """The deletion at its end; at each of `STEPS` the jobs process is killed when the step's work
    is done and that is not in the records."""
    deadline = time.monotonic() + 220

    def until(right: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while not right(found := client.get(f"/v1/tenants/{TENANT}/deletion").json()):
            assert time.monotonic() < deadline, found
            supervisor.tend()
            time.sleep(0.05)
        return found

    for step in STEPS:
        until(lambda now: (now["step"], HELD in (now["problem"] or "")) == (step, True))  # noqa: B023
        supervisor.children["jobs"].process.kill()
        let_go(settings, step)
    return until(lambda now: now["state"] == "done")


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
        with httpx.Client(base_url=web["url"], headers=headers, timeout=60) as client:
            fleet = SimulateOptions(port=port, vehicles=5, seconds=3, seed=7)
            result = drive(
                supervisor, fleet, until=lambda now: now.connected == 5 and now.acknowledged >= 10
            )
            assert result.acknowledged >= 10
            until_stored(supervisor, result.acknowledged)
            own(settings)
            plant(client, web["url"])
            vins = [vin.encode() for vin in result.vehicles]
            assert len(vins) == 5 and all(found_in(tmp_path, mark) for mark in (MARK, *vins))
            hold(settings)
            suspended = client.patch(f"/v1/tenants/{TENANT}", json={"state": "suspended"})
            assert suspended.status_code == 200, suspended.text
            asked = client.post(f"/v1/tenants/{TENANT}/deletion", json={"confirm": TENANT})
            assert asked.status_code == 201, asked.text
            done = kill_on_the_way(supervisor, settings, client)
            assert done["certificate"]["before"]["lake"]["tables"]["signals"]["rows"] > 0
            refused = drive(supervisor, fleet)
            assert refused.acknowledged == 0
            assert found_in(tmp_path, MARK, *vins) == []
    finally:
        supervisor.stop()
    assert found_in(tmp_path, MARK, *vins) == []
