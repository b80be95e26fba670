"""Tables that jobs make: listed, asked in SQL, counted, dropped; over HTTP, client and terminal."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from tests.web.conftest import PASSWORD
from tests.web.test_jobs_routes import ended

from carcloud.app.tokens import local_key
from carcloud.client import Client
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.services.tenancy.api import SYSTEM, Exists

NAME = "answers_of_tests"
JOB = {
    "kind": "query-export",
    "params": {"sql": "SELECT 'v1' AS vehicle, 42 AS answer", "table": {"name": NAME}},
}


@pytest.fixture
def made(client: httpx.Client) -> Iterator[Any]:
    """A job that made a table, which is dropped in the end."""
    answer = client.post("/v1/jobs", json=JOB)
    assert answer.status_code == 201, answer.text
    yield ended(client, answer.json()["id"])
    client.delete(f"/v1/tables/{NAME}")


def listed(client: httpx.Client) -> dict[str, Any]:
    return {one["name"]: one for one in client.get("/v1/tables").json()["items"]}


def used(client: httpx.Client) -> int:
    quotas = client.get("/v1/quotas").json()["items"]
    return int(next(one["used"] for one in quotas if one["name"] == "tables"))


def test_a_table_is_listed_asked_counted_and_dropped(client: httpx.Client, made: Any) -> None:
    assert made["state"] == "succeeded", made["error"]
    assert made["result"]["tables"] == [{"name": NAME, "mode": "append", "rows": 1}]
    table = listed(client)[NAME]
    assert (table["rows"], table["built_in"]) == (1, False)
    assert {"name": "answer", "type": "int32"} in table["columns"]
    assert listed(client)["signals"]["built_in"]
    asked = {"sql": f"FROM {NAME} SELECT vehicle, answer"}
    assert client.post("/v1/query", json=asked).json()["rows"] == [["v1", 42]]
    before = used(client)
    assert client.delete(f"/v1/tables/{NAME}").status_code == 204
    assert NAME not in listed(client)
    assert used(client) == before - 1
    assert client.post("/v1/query", json=asked).status_code == 400
    again = client.delete(f"/v1/tables/{NAME}")
    assert (again.status_code, "there is no table" in again.text) == (404, True)
    entries = client.get("/v1/audit", params={"subject": NAME}).json()["items"]
    (entry,) = [one for one in entries if one["action"] == "table.drop" and one["before"]][:1]
    assert entry["before"]["rows"] == 1
    submitted = client.get("/v1/audit", params={"subject": made["id"]}).json()["items"]
    (entry,) = [one for one in submitted if one["action"] == "job.submit"]
    assert entry["after"]["tables"] == [NAME]


def test_built_in_tables_stay(client: httpx.Client) -> None:
    for name in ("signals", "frames", "dead_letters"):
        refused = client.delete(f"/v1/tables/{name}")
        assert (refused.status_code, "of carcloud's own" in refused.text) == (409, True)
        assert name in listed(client)
    assert client.delete("/v1/tables/..%2fother").status_code in (400, 404)


def test_whoever_may_not_write_tables_neither_makes_nor_drops_one(
    cloud: Any, client: httpx.Client, made: Any
) -> None:
    actions = {"jobs:run", "jobs:read", "queries:run", "tables:read"}
    with suppress(Exists):
        cloud.tenancy.grants.create_role(
            DEFAULT_TENANT, "runs-no-tables", "runs", frozenset(actions), by=SYSTEM
        )
        cloud.tenancy.people.create(DEFAULT_TENANT, "tabea", PASSWORD, "runs-no-tables", by=SYSTEM)
    with cloud.client("tabea") as tabea:
        for refused in (
            tabea.post("/v1/jobs", json=JOB),
            tabea.post("/v1/schedules", json={"name": "tabeas", "cron": "0 1 * * *", "job": JOB}),
            tabea.delete(f"/v1/tables/{NAME}"),
        ):
            assert (refused.status_code, "tables:write" in refused.text) == (403, True)
        assert NAME in listed(tabea)
        assert tabea.post("/v1/jobs", json={**JOB, "params": {"sql": "SELECT 1"}}).is_success


def test_the_client_and_a_terminal_drop_it(cloud: Any, client: httpx.Client, made: Any) -> None:
    key = local_key(cloud.tenancy)
    with Client(cloud.url, key) as carcloud:
        assert not next(one for one in carcloud.tables() if one.name == NAME).built_in
    line = [sys.executable, "-m", "carcloud", "tables", "drop", NAME, "--yes"]
    line += ["--url", cloud.url, "--token", key]
    told = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert (told.returncode, told.stdout) == (0, f"{NAME} is dropped\n"), told.stderr
    assert NAME not in listed(client)
    with Client(cloud.url, key) as carcloud, pytest.raises(Exception, match="there is no table"):
        carcloud.drop_table(NAME)
