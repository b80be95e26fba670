"""Callers held to vehicles with some labels: SQL and the live map show them no others."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from tests.web.conftest import PASSWORD
from tests.web.test_live import events
from tests.web.test_permissions import OPEN, routes

from carcloud.engines.lake_delta import DeltaLake
from carcloud.model.actions import ANYONE
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.ports.lake import TableRef
from carcloud.services.compute.table_rows import as_rows
from carcloud.services.tenancy.api import SYSTEM, Scope
from carcloud.services.vehicles.api import VehicleChange
from carcloud.web import live, sight

DOCS = Path(__file__).parents[2] / "docs"
START = 1_770_000_000_000_000  # us
NEAR, FAR = "LTESTLABEL0000001", "LTESTLABEL0000002"


@pytest.fixture(scope="module")
def fleet(cloud: Any, make_frame: Any) -> Any:
    """Two vehicles that have reported, one at either depot."""
    for number, (name, depot) in enumerate(((NEAR, "fjord"), (FAR, "delta"))):
        cloud.register(name, labels={"depot": depot})
        cloud.send(name, make_frame(START + number, speed=10.0 + number, lon=5.0, lat=60.0))
    cloud.tenancy.people.create(
        DEFAULT_TENANT, "frida", PASSWORD, "operator", Scope(labels={"depot": "fjord"}), by=SYSTEM
    )
    return cloud


def move(cloud: Any, vehicle: str, depot: str) -> None:
    change = VehicleChange(labels={"depot": depot})
    cloud.vehicles.change(DEFAULT_TENANT, vehicle, change, actor="test")


@contextmanager
def moved(cloud: Any, vehicle: str, depot: str) -> Iterator[None]:
    """The vehicle is at another depot for so long."""
    before = cloud.vehicles.get(DEFAULT_TENANT, vehicle).labels["depot"]
    move(cloud, vehicle, depot)
    try:
        yield
    finally:
        move(cloud, vehicle, before)


def asked(client: httpx.Client, sql: str) -> list[Any]:
    answer = client.post("/v1/query", json={"sql": sql})
    assert answer.status_code == 200, answer.text
    rows: list[Any] = answer.json()["rows"]
    return rows


def test_sql_sees_the_vehicles_of_that_moment(fleet: Any) -> None:
    mine = "SELECT DISTINCT vehicle FROM signals ORDER BY 1"
    with fleet.client("frida") as frida, fleet.client() as owner:
        assert asked(frida, mine) == [[NEAR]]
        assert asked(frida, f"SELECT count(*) FROM frames WHERE vehicle = '{FAR}'") == [[0]]  # noqa: S608
        with moved(fleet, FAR, "fjord"):
            assert asked(frida, mine) == [[NEAR], [FAR]]
        with moved(fleet, NEAR, "delta"):
            assert asked(frida, mine) == []
        assert [FAR] in asked(owner, mine)
        told = frida.post("/v1/query", json={"sql": "SELECT error(vehicle) FROM signals"})
        assert told.status_code == 400
        assert NEAR in told.text
        assert FAR not in told.text


def test_a_file_of_an_answer_holds_the_same_rows(fleet: Any) -> None:
    with fleet.client("frida") as frida:
        body = {"sql": "SELECT vehicle, received FROM signals"}
        answer = frida.post("/v1/query", json=body, headers={"Accept": "text/csv"})
        assert NEAR in answer.text
        assert FAR not in answer.text


def test_tables_come_without_their_sizes(fleet: Any) -> None:
    with fleet.client("frida") as frida, fleet.client() as owner:
        limited, whole = frida.get("/v1/tables").json(), owner.get("/v1/tables").json()
        names = [one["name"] for one in limited["items"]]
        assert names == [one["name"] for one in whole["items"]]
        for one in limited["items"]:
            assert (one["rows"], one["bytes"], one["files"]) == (None, None, None)
            assert "vehicle" in [column["name"] for column in one["columns"]]
        assert max(one["rows"] for one in whole["items"]) > 0


def test_a_grant_in_a_project_holds_for_its_vehicles(fleet: Any, make_frame: Any) -> None:
    name = "LTESTLABEL0000009"
    fleet.register(name, labels={"project": "polar"})
    fleet.send(name, make_frame(START, speed=1.0))
    scope = Scope(project="main")  # of all vehicles without a label `project`
    fleet.tenancy.people.create(DEFAULT_TENANT, "pelle", PASSWORD, "analyst", scope, by=SYSTEM)
    with fleet.client("pelle") as pelle:
        found = asked(pelle, "SELECT DISTINCT vehicle FROM signals")
        assert [NEAR] in found
        assert [name] not in found
        refused = pelle.post("/v1/query", json={"sql": "FROM read_text('/etc/hostname')"})
        assert refused.status_code == 400


def test_who_may_not_query_is_refused_with_labels_too(fleet: Any) -> None:
    scope = Scope(labels={"depot": "fjord"})
    fleet.tenancy.people.create(DEFAULT_TENANT, "vera", PASSWORD, "viewer", scope, by=SYSTEM)
    with fleet.client("vera") as vera, fleet.client("frida") as frida:
        assert vera.post("/v1/query", json={"sql": "SELECT 1"}).status_code == 403
        assert vera.delete("/v1/queries/x").status_code == 403
        assert frida.delete("/v1/queries/x").status_code == 404


def test_a_job_with_sql_needs_the_whole_tenant(fleet: Any) -> None:
    """Its files would be seen by others of the project."""
    job = {"kind": "query-export", "params": {"sql": "SELECT 1 AS one"}}
    with fleet.client("frida") as frida:
        assert frida.post("/v1/jobs", json=job).status_code == 403


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server looks at the registry and at grants each time."""
    monkeypatch.setattr(sight, "FRESH_S", 0.0)
    monkeypatch.setattr(live, "CHECK_S", 0.0)


def online(cloud: Any, *vehicles: str) -> None:
    rows = [[vehicle, START, None, None, None] for vehicle in vehicles]
    told = {"instance": "labels", "full": True, "open": rows, "closed": []}
    cloud.tell_sessions(told)


@pytest.mark.usefixtures("at_once")
def test_the_map_shows_what_lies_inside(fleet: Any, make_frame: Any) -> None:
    """Another vehicle reports, comes in and goes out; then the one that was there goes out."""
    pictures: list[Any] = []
    silent = "LTESTLABEL0000003"
    fleet.register(silent, labels={"depot": "fjord"})
    with fleet.client("frida") as frida, frida.stream("GET", "/v1/live") as answer:
        assert answer.status_code == 200
        told = (data for kind, data in events(answer) if kind == "vehicles")
        pictures.append(next(told))
        fleet.send(FAR, make_frame(START + 2_000_000, speed=33.0, lon=5.1, lat=60.0))
        online(fleet, FAR, silent)  # of these two, only one that never reported may be seen
        pictures.append(next(told))
        with moved(fleet, FAR, "fjord"):
            pictures.append(next(told))
        pictures.append(next(told))
        with moved(fleet, NEAR, "delta"):
            pictures.append(next(told))
        pictures.append(next(told))
    online(fleet)
    shown = [[(row[0], row[4], row[7]) for row in one["rows"]] for one in pictures]
    assert shown == [[(NEAR, 10.0, 0)], [(silent, None, 1)], [(FAR, 33.0, 1)], [], [],
                     [(NEAR, 10.0, 0)]]  # fmt: skip
    assert [one["full"] for one in pictures] == [True] + [False] * 5
    assert [one.get("gone") for one in pictures] == [None, [], [], [FAR], [NEAR], []]


@pytest.mark.usefixtures("at_once")
def test_the_status_counts_what_lies_inside(fleet: Any) -> None:
    with fleet.client("frida") as frida, frida.stream("GET", "/v1/live") as answer:
        told = (data for kind, data in events(answer) if kind == "status")
        before = next(told)
        assert set(before) == {"time", "connected", "vehicles"}
        with moved(fleet, FAR, "fjord"):
            counted = next(one for one in told if one["vehicles"] != before["vehicles"])
        assert counted["vehicles"] == before["vehicles"] + 1
        assert frida.get("/v1/status").status_code == 403


@pytest.mark.usefixtures("at_once")
def test_the_twin_of_a_vehicle_outside_is_not_told(fleet: Any, make_frame: Any) -> None:
    with fleet.client("frida") as frida:
        with frida.stream("GET", "/v1/live", params={"vehicle": FAR}) as answer:
            seen = []
            moving = moved(fleet, FAR, "fjord")
            for kind, data in events(answer):
                seen.append(kind)
                if seen.count("status") == 2 and "inside" not in seen:
                    assert "twin" not in seen
                    moving.__enter__()
                    seen.append("inside")
                if kind == "twin":
                    assert data["signals"]["Vehicle.Speed"][0] > 10.0
                    break
            moving.__exit__(None, None, None)
        with frida.stream("GET", "/v1/live", params={"vehicle": NEAR}) as answer:
            assert next(kind for kind, _ in events(answer) if kind == "twin")


@pytest.mark.usefixtures("at_once")
def test_a_stream_ends_when_its_grants_change(fleet: Any) -> None:
    scope = Scope(labels={"depot": "fjord"})
    fleet.tenancy.people.create(DEFAULT_TENANT, "gro", PASSWORD, "viewer", scope, by=SYSTEM)
    grants = fleet.tenancy.grants
    with fleet.client("gro") as gro, gro.stream("GET", "/v1/live") as answer:
        told = events(answer)
        next(told)
        [before] = grants.all(DEFAULT_TENANT, "gro")
        other = Scope(labels={"depot": "delta"})
        grants.grant(DEFAULT_TENANT, "gro", "viewer", other, by=SYSTEM)
        grants.revoke(DEFAULT_TENANT, before.id, by=SYSTEM)
        for _ in told:
            pass  # the server ends the stream
    # A session of its own: the first one may be remembered with both grants for a moment.
    with fleet.client("gro") as gro, gro.stream("GET", "/v1/live") as answer:
        [first] = (data for kind, data in islice(events(answer), 2) if kind == "vehicles")
        assert [row[0] for row in first["rows"]] == [FAR]


def test_of_a_table_that_a_job_made_one_sees_ones_vehicles(fleet: Any) -> None:
    lake, table = DeltaLake(fleet.data / "tenants"), TableRef(DEFAULT_TENANT, "held_to_labels")
    rows = as_rows(pa.table({"vehicle": [NEAR, FAR, ""], "km": [1, 2, 3]}))
    assert lake.append(table, rows, writer="job-1", seq=1)
    wanted = "SELECT vehicle, km FROM held_to_labels ORDER BY km"
    try:
        with fleet.client("frida") as frida, fleet.client() as owner:
            assert asked(frida, wanted) == [[NEAR, 1]]
            assert asked(owner, wanted) == [[NEAR, 1], [FAR, 2], ["", 3]]
    finally:
        lake.drop(table)


def test_what_needs_the_whole_tenant_is_refused_and_listed_in_the_docs(fleet: Any) -> None:
    """Of routes that look at no scopes themselves none opens by accident."""
    page = (DOCS / "access.md").read_text()
    listed = page[page.index("| action | what | why |") : page.index("Nobody can give more")]
    with fleet.client("frida") as frida:
        for method, path, opt in routes(fleet.app):
            whole = opt.get("action", ANYONE) != ANYONE and not opt["narrowed"]
            if whole and "{vehicle" not in path and (method, path) not in OPEN:
                where = path.replace("{version}", "1").replace("{", "").replace("}", "")
                answer = frida.request(method, where, json={})
                assert answer.status_code == 403, (method, path, answer.text)
                assert f"`{opt['action']}`" in listed, (
                    f"tell in docs/access.md why {path} is refused"
                )
