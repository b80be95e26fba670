"""What a caller with little must not reach by a side door: SQL by a job, figures of tenants."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from tests.web.conftest import PASSWORD

from carcloud.app.tokens import end_key, local_key
from carcloud.model.figures import labelled
from carcloud.model.ids import DEFAULT_TENANT, Tenant
from carcloud.model.time import DAY, now_us
from carcloud.services.tenancy.api import INSTALLATION, SYSTEM, Identity, NotSignedIn
from carcloud.web.s3 import access
from carcloud.web.s3.access import OF_ONE_USER, REMEMBER_S, Denial, Door


def test_a_job_asks_in_sql_only_for_who_may(cloud: Any) -> None:
    runs = frozenset({"jobs:run", "jobs:read"})
    cloud.tenancy.grants.create_role(DEFAULT_TENANT, "runs", "Runs", runs, by=SYSTEM)
    cloud.tenancy.people.create(DEFAULT_TENANT, "rob", PASSWORD, "runs", by=SYSTEM)
    job = {"kind": "query-export", "params": {"sql": "SELECT 1 AS one"}}
    schedule = {"name": "sly", "cron": "0 1 * * *", "job": job}
    with cloud.client("rob") as rob, cloud.client() as owner:
        for path, body in (("jobs", job), ("jobs/batch", {"jobs": [job]}), ("schedules", schedule)):
            answer = rob.post(f"/v1/{path}", json=body)
            assert answer.status_code == 403, answer.text
            assert "queries:run" in answer.json()["detail"]
        into = {"kind": "query-export", "params": {"sql": "SELECT 1", "into": {"bucket": "box"}}}
        answer = rob.post("/v1/jobs", json=into)
        assert (answer.status_code, "objects:write" in answer.json()["detail"]) == (403, True)
        made = owner.post("/v1/jobs", json=job).json()
        refused = rob.get(f"/v1/jobs/{made['id']}/artifacts/rows.parquet")
        assert refused.status_code == 403
        assert "telemetry:read" in refused.json()["detail"]


@pytest.mark.usefixtures("patient")
def test_figures_of_tenants_are_for_administrators(cloud: Any, anybody: httpx.Client) -> None:
    name = labelled("vehicles_connected", tenant="secret-client")
    report = {"role": "gateway", "instance": "g-9", "gauges": {name: 1.0, "connections": 4.0}}
    cloud.tell_status({**report, "counters": {}, "pid": 1, "started": 0, "every": 5})
    cloud.tenancy.people.create(DEFAULT_TENANT, "ada", PASSWORD, "viewer", by=SYSTEM)
    with cloud.client("ada") as ada:
        assert "secret-client" not in ada.get("/metrics").text
        cloud.tenancy.grants.grant(INSTALLATION, "ada", "administrator", by=SYSTEM)
    key = cloud.tenancy.sessions.sign_in("ada", PASSWORD, hours=1).token
    told = anybody.get("/metrics", headers={"Authorization": f"Bearer {key}"}).text
    assert "secret-client" in told
    plain = anybody.get("/metrics").text
    assert "secret-client" not in plain
    assert plain.count("\n") > 5
    wrong = anybody.get("/metrics", headers={"Authorization": "Bearer nonsense"})
    assert wrong.status_code == 401


def test_nobody_makes_a_tenant_unless_that_is_allowed(anybody: httpx.Client) -> None:
    owner = {"name": "una", "password": PASSWORD}
    body = {"id": "mine", "name": "Mine", "owner": owner}
    assert anybody.post("/v1/registration", json=body).status_code == 404


def test_a_second_web_process_leaves_the_first_ones_key(cloud: Any) -> None:
    first, second = local_key(cloud.tenancy, "/data/one"), local_key(cloud.tenancy, "/data/two")
    again = local_key(cloud.tenancy, "/data/one")
    longest = local_key(cloud.tenancy, "/data/" + "deep/" * 200)
    for good in (second, again, longest):
        assert cloud.tenancy.sessions.identify(good).user == "local@default"
    with pytest.raises(NotSignedIn):
        cloud.tenancy.sessions.identify(first)


def test_keys_of_machines_that_are_gone_end(cloud: Any) -> None:
    tenancy, later = cloud.tenancy, now_us() + 2 * DAY
    silent, ended = local_key(tenancy, "pod-1:/data"), local_key(tenancy, "pod-2:/data")
    end_key(tenancy, ended)
    mine = tenancy.keys.create(DEFAULT_TENANT, "local@default", "kept", by=SYSTEM).secret
    with pytest.raises(NotSignedIn):
        tenancy.sessions.identify(ended)
    local_key(tenancy, "pod-3:/data")
    assert tenancy.sessions.identify(silent).user == "local@default"
    new = local_key(tenancy, "pod-4:/data", lambda: later)
    for good in (new, mine):
        assert tenancy.sessions.identify(good).user == "local@default"
    with pytest.raises(NotSignedIn):
        tenancy.sessions.identify(silent)


def test_denials_with_varying_names_do_not_fill_the_audit() -> None:
    told: list[Denial] = []

    async def deny() -> None:
        with ThreadPoolExecutor(1) as pool:
            door = Door(lambda _: None, told.append, pool)
            for user in ("ann", "bob"):
                who = Identity(user, Tenant("a"))
                for number in range(500):
                    door._deny(who, "objects:read", f"bucket-{number}", "none", "192.0.2.1")
            await asyncio.gather(*door._telling)

    asyncio.run(deny())
    for user in ("ann", "bob"):
        mine = [one.subject for one in told if one.user == user]
        assert len(mine) == OF_ONE_USER + 1
        assert mine[-1] == "(and others)"


def test_a_key_revoked_while_it_is_looked_up_is_refused_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slow answers to early questions neither last longer nor replace those to later ones."""
    now, held, answers = [1000.0], ["key", None], [threading.Event(), threading.Event()]
    monkeypatch.setattr(access, "time", SimpleNamespace(monotonic=lambda: now[0]))
    asked: list[int] = []

    def find(_name: str) -> Any:
        number = len(asked)
        asked.append(number)
        assert answers[number].wait(60)
        return held[number]  # it is revoked before the second look-up

    async def look_ups() -> None:
        with ThreadPoolExecutor(2) as pool:
            door = Door(find, None, pool)
            early = asyncio.create_task(door._key("k"))
            while len(asked) < 1:
                await asyncio.sleep(0.001)
            now[0] += 2 * REMEMBER_S
            late = asyncio.create_task(door._key("k"))
            while len(asked) < 2:
                await asyncio.sleep(0.001)
            answers[1].set()
            assert await late is None
            answers[0].set()
            assert await early == "key"
            assert await door._key("k") is None
            assert len(asked) == 2

    asyncio.run(look_ups())
