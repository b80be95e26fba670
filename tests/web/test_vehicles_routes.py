"""The registry over HTTP: life of a vehicle, tags, pages, import, models, other tenants."""

from typing import Any

import httpx
import pytest

from carcloud.services.vehicles.api import Login


def fields(answer: httpx.Response) -> list[str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return [error["field"] for error in answer.json()["errors"]]


def test_the_life_of_a_vehicle(client: httpx.Client) -> None:
    body = {"id": "LTESTLIFE00000001", "labels": {"depot": "north"}}
    made = client.post("/v1/vehicles", json=body)
    assert made.status_code == 201, made.text
    where = made.headers["location"]
    assert where == "/v1/vehicles/LTESTLIFE00000001"
    assert made.json()["lifecycle"] == "registered"
    assert client.post("/v1/vehicles", json=body).status_code == 409

    tag = client.get(where).headers["etag"]
    assert tag == made.headers["etag"]
    change = {"labels": {"depot": None, "line": "7"}, "lifecycle": "active"}
    assert fields(client.patch(where, json=change)) == ["If-Match"]
    assert client.patch(where, json=change).status_code == 428
    stale = client.patch(where, json=change, headers={"If-Match": '"99"'})
    assert stale.status_code == 412
    changed = client.patch(where, json=change, headers={"If-Match": tag})
    assert changed.status_code == 200, changed.text
    assert changed.json()["labels"] == {"line": "7"}
    assert changed.headers["etag"] != tag
    assert client.patch(where, json={}, headers={"If-Match": tag}).status_code == 412
    retired = client.delete(where)
    assert retired.json()["lifecycle"] == "retired"
    assert client.get(where).json()["lifecycle"] == "retired"


def test_credentials_are_set_and_shown(client: httpx.Client) -> None:
    made = client.post("/v1/vehicles", json={"id": "LTESTCRED00000001"})
    where, tag = made.headers["location"], made.headers["etag"]
    keys = {"public_key": "AAEC", "algorithm": "SM2", "iccid": "89860012345678901234"}
    answer = client.patch(where, json={"credentials": keys}, headers={"If-Match": tag})
    assert answer.status_code == 200, answer.text
    shown = client.get(where).json()["credentials"]
    assert {name: shown[name] for name in keys} == keys
    bad = {"credentials": {"public_key": "*"}}
    assert fields(client.patch(where, json=bad, headers={"If-Match": "*"})) == [
        "credentials.public_key"
    ]


def test_a_token_is_told_once_and_revoked(client: httpx.Client, cloud: Any) -> None:
    where = client.post("/v1/vehicles", json={"id": "LTESTTOKEN0000001"}).headers["location"]
    assert client.get(where).json()["credentials"]["token_made"] is None
    made = client.post(f"{where}/token")
    assert made.status_code == 201, made.text
    shown = client.get(where)
    assert shown.json()["credentials"]["token_made"] == made.json()["made"]
    assert made.json()["token"] not in shown.text
    login = Login("LTESTTOKEN0000001", "mqtt", "127.0.0.1:9", token=made.json()["token"])
    assert cloud.vehicles.admit(login, auto_register=None).refusal is None
    assert client.delete(f"{where}/token").status_code == 204
    assert client.delete(f"{where}/token").status_code == 404
    assert client.post("/v1/vehicles/LTESTTOKEN0000002/token").status_code == 404
    assert cloud.vehicles.admit(login, auto_register=None).refusal == "credentials"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "id"),
        ({"id": ""}, "id"),
        ({"id": "a b"}, "id"),
        ({"id": "LTESTX1", "lifecycle": "dead"}, "lifecycle"),
        ({"id": "LTESTX1", "labels": {"a": 1}}, "labels"),
        ({"id": "LTESTX1", "colour": "red"}, "colour"),
        ({"id": "LTESTX1", "model": "no-such-model"}, "model"),
    ],
)
def test_a_bad_vehicle_names_the_field(client: httpx.Client, body: Any, field: str) -> None:
    answer = client.post("/v1/vehicles", json=body)
    assert answer.status_code == 400, answer.text
    [named] = fields(answer)
    assert named.split(".")[0] == field


def test_pages_hold_every_vehicle_once(client: httpx.Client, cloud: Any) -> None:
    names = [f"LTESTPAGE{n:08d}" for n in range(7)]
    cloud.register(*names, labels={"set": "pages"})
    for sort in ("id", "speed"):
        found: list[str] = []
        cursor = None
        while True:
            asked = {"label": "set:pages", "limit": 3, "sort": sort}
            page = client.get(
                "/v1/vehicles", params={**asked, **({"cursor": cursor} if cursor else {})}
            ).json()
            assert page["total"] == 7
            found += [one["id"] for one in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert found == names


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=x", "limit"),
        ("sort=colour", "sort"),
        ("online=perhaps", "online"),
        ("alarm_min=9", "alarm_min"),
        ("lifecycle=dead", "lifecycle"),
        ("cursor=%25%25", "cursor"),
        ("sort=soc&cursor=e30", "cursor"),
    ],
)
def test_a_bad_search_names_the_field(client: httpx.Client, query: str, field: str) -> None:
    answer = client.get(f"/v1/vehicles?{query}")
    assert answer.status_code == 400, answer.text
    assert fields(answer) == [field]


def test_search_and_live_state(client: httpx.Client, cloud: Any, make_frame: Any) -> None:
    names = [f"LTESTSRCH{n:08d}" for n in range(3)]
    cloud.register(*names, labels={"set": "search"})
    for n, name in enumerate(names[:2]):
        cloud.send(name, make_frame(1_700_000_000_000_000 + n, soc=50 - n, alarm=n, speed=10 + n))
    session = [[names[0], 1_700_000_000_000_000, "127.0.0.1:5", "2016", "LOWERPLATFORM0001"]]
    told = {"instance": "g-search", "full": True, "open": session, "closed": []}
    client.get("/v1/vehicles", params={"online": True})  # begins to follow
    cloud.tell_sessions(told)

    def ids(**asked: Any) -> list[str]:
        answer = client.get("/v1/vehicles", params={"label": "set:search", **asked})
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["items"]]

    assert ids(sort="soc") == [names[1], names[0], names[2]]
    assert ids(sort="speed") == [names[1], names[0], names[2]]
    assert ids(alarm_min=1) == [names[1]]
    assert ids(online=True) == [names[0]]
    assert ids(online=False) == names[1:]
    assert ids(q="srch00000002") == [names[2]]
    shown = client.get(f"/v1/vehicles/{names[0]}").json()
    assert shown["session"]["edition"] == "2016"
    assert shown["session"]["platform"] == "LOWERPLATFORM0001"


def test_import(client: httpx.Client) -> None:
    text = "id,label:depot\nLTESTCSV000000001,北\nbad id,x\nLTESTCSV000000002,\n"
    kind = {"Content-Type": "text/csv; charset=utf-8"}
    answer = client.post("/v1/vehicles/import", content=text.encode(), headers=kind)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["created"], answer.json()["updated"]) == (2, 0)
    [wrong] = answer.json()["errors"]
    assert (wrong["line"], wrong["field"]) == (3, "id")
    assert client.get("/v1/vehicles/LTESTCSV000000001").json()["labels"] == {"depot": "北"}


@pytest.mark.parametrize(
    ("content", "kind", "status", "field"),
    [
        (b"id\nx", "application/json", 415, "Content-Type"),
        (b"\xff", "text/csv", 400, "body"),
        (b"", "text/csv", 400, "body"),
        (b"name\nx", "text/csv", 400, "body"),
    ],
)
def test_a_bad_import(
    client: httpx.Client, content: bytes, kind: str, status: int, field: str
) -> None:
    answer = client.post("/v1/vehicles/import", content=content, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert fields(answer) == [field]


def test_models(client: httpx.Client) -> None:
    made = client.post("/v1/models", json={"id": "m-one", "name": "One", "datum": "GCJ02"})
    assert made.status_code == 201, made.text
    where, tag = made.headers["location"], made.headers["etag"]
    assert client.patch(where, json={"name": "Uno"}).status_code == 428
    changed = client.patch(where, json={"name": "Uno"}, headers={"If-Match": tag})
    assert changed.json()["name"] == "Uno"
    assert changed.json()["datum"] == "GCJ02"
    assert client.patch(where, json={}, headers={"If-Match": tag}).status_code == 412
    assert "m-one" in [one["id"] for one in client.get("/v1/models").json()["items"]]
    assert client.get("/v1/models/none").status_code == 404
    bad = client.post("/v1/models", json={"id": "m-two", "name": "Two", "datum": "moon"})
    assert fields(bad) == ["datum"]


def test_another_tenant_sees_and_changes_nothing(
    client: httpx.Client, cloud: Any, make_frame: Any
) -> None:
    name = "LTESTMINE00000001"
    client.post("/v1/vehicles", json={"id": name})
    client.post("/v1/models", json={"id": "mine", "name": "Mine"})
    cloud.send(name, make_frame(1_700_000_000_000_000, speed=1.0), b"not json, mine")
    letter = client.get("/v1/dead-letters", params={"vehicle": name}).json()["items"][0]["id"]
    any_tag = {"If-Match": "*"}
    cloud.settle("untouched", "onlooker")
    with cloud.client("onlooker") as other:
        for path in ("", "/twin", "/frames", "/signals?paths=Vehicle.Speed", "/trail", "/alarms"):
            assert other.get(f"/v1/vehicles/{name}{path}").status_code == 404, path
        assert other.patch(f"/v1/vehicles/{name}", json={}, headers=any_tag).status_code == 404
        assert other.delete(f"/v1/vehicles/{name}").status_code == 404
        assert other.get("/v1/vehicles").json()["total"] == 0
        assert other.get("/v1/models").json()["items"] == []
        assert other.get("/v1/models/mine").status_code == 404
        assert other.patch("/v1/models/mine", json={}, headers=any_tag).status_code == 404
        assert all(one["rows"] == 0 for one in other.get("/v1/tables").json()["items"])
        asked = other.post("/v1/query", json={"sql": "SELECT count(*) FROM signals"})
        assert asked.json()["rows"] == [[0]]
        assert other.get("/v1/dead-letters").json()["items"] == []
        assert other.get(f"/v1/dead-letters/{letter}").status_code == 404
        assert other.post(f"/v1/dead-letters/{letter}/reprocess").status_code == 404
        assert other.post("/v1/dead-letters/reprocess", json={}).json()["tried"] == 0
        assert other.get("/v1/status").json()["vehicles"] == 0
