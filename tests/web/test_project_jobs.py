"""Jobs and schedules of whoever holds a role in one project."""

from contextlib import suppress
from typing import Any

import httpx
import pytest
from tests.web.conftest import PASSWORD

from carcloud.model.ids import DEFAULT_TENANT
from carcloud.services.tenancy.api import SYSTEM, Exists, Scope

JOB = {"kind": "query-export", "params": {"sql": "SELECT 1 AS one"}}
LAB = {**JOB, "project": "lab"}
CRON = {"cron": "0 1 * * *"}


@pytest.fixture(scope="module")
def staff(cloud: Any) -> None:
    """`lena` runs jobs in the lab and may ask in SQL, `luc` only looks at them there."""
    tenancy = cloud.tenancy
    with suppress(Exists):  # other tests work in it too
        tenancy.tenants.create_project(DEFAULT_TENANT, "lab", "Lab", actor="test")
    for role, actions in (
        ("asks", {"queries:run"}),
        ("lab-runs", {"jobs:run", "jobs:read"}),
        ("lab-looks", {"jobs:read"}),
    ):
        tenancy.grants.create_role(DEFAULT_TENANT, role, role, frozenset(actions), by=SYSTEM)
    for user, role in (("lena", "lab-runs"), ("luc", "lab-looks")):
        tenancy.people.create(DEFAULT_TENANT, user, PASSWORD, "asks", by=SYSTEM)
        tenancy.grants.grant(DEFAULT_TENANT, user, role, Scope(project="lab"), by=SYSTEM)


def test_a_role_in_a_project_holds_for_its_jobs(
    cloud: Any, client: httpx.Client, staff: None
) -> None:
    main = client.post("/v1/jobs", json=JOB).json()["id"]
    lab = client.post("/v1/jobs", json=LAB).json()["id"]
    with cloud.client("lena") as lena, cloud.client("luc") as luc:
        for one in (lena, luc):
            items = one.get("/v1/jobs", params={"limit": 200}).json()["items"]
            assert lab in [job["id"] for job in items]
            assert {job["project"] for job in items} == {"lab"}
            assert one.get("/v1/jobs", params={"project": "main"}).json()["items"] == []
            assert one.get(f"/v1/jobs/{lab}").status_code == 200
            for part in ("", "/log", "/events", "/artifacts", "/artifacts/rows.parquet"):
                hidden = one.get(f"/v1/jobs/{main}{part}")
                assert (hidden.status_code, "there is no job" in hidden.text) == (404, True), part
        assert lena.post(f"/v1/jobs/{main}/cancel").status_code == 404
        assert luc.post(f"/v1/jobs/{main}/cancel").status_code == 403  # as of any job
        assert lena.post("/v1/jobs", json=LAB).status_code == 201
        assert lena.post("/v1/jobs/batch", json={"jobs": [LAB, LAB]}).status_code == 201
        for refused in (
            lena.post("/v1/jobs", json=JOB),
            lena.post("/v1/jobs/batch", json={"jobs": [LAB, JOB]}),
            luc.post("/v1/jobs", json=LAB),
        ):
            assert (refused.status_code, "jobs:run" in refused.text) == (403, True)
        assert lena.post("/v1/jobs", json={**LAB, "after": [main]}).status_code == 404
        assert lena.post("/v1/jobs", json={**LAB, "after": [lab]}).status_code == 201
        assert luc.post(f"/v1/jobs/{lab}/cancel").status_code == 403


def test_and_for_its_schedules(cloud: Any, client: httpx.Client, staff: None) -> None:
    for name, job in (("nightly-main", JOB), ("nightly-lab", LAB)):
        made = client.post("/v1/schedules", json={"name": name, "job": job, **CRON})
        assert made.status_code == 201, made.text
    with cloud.client("lena") as lena, cloud.client("luc") as luc:
        for one in (lena, luc):
            items = one.get("/v1/schedules").json()["items"]
            assert [each["name"] for each in items] == ["nightly-lab"]
            assert one.get("/v1/schedules/nightly-main").status_code == 404
        assert lena.delete("/v1/schedules/nightly-main").status_code == 404
        seen = lena.get("/v1/schedules/nightly-lab").headers["etag"]
        wanted = {"if-match": seen}
        moved = lena.put("/v1/schedules/nightly-lab", json={"job": JOB, **CRON}, headers=wanted)
        assert moved.status_code == 403  # out of the project
        kept = lena.put("/v1/schedules/nightly-lab", json={"job": LAB, **CRON}, headers=wanted)
        assert kept.status_code == 200
        taken = lena.put("/v1/schedules/nightly-main", json={"job": LAB, **CRON}, headers=wanted)
        assert taken.status_code == 404
        assert luc.delete("/v1/schedules/nightly-lab").status_code == 403
        assert lena.post("/v1/schedules", json={"name": "x", "job": JOB, **CRON}).status_code == 403
        assert lena.delete("/v1/schedules/nightly-lab").status_code == 204
    assert client.delete("/v1/schedules/nightly-main").status_code == 204
