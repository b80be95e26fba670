"""Links to further platforms and accounts of lower ones over HTTP."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

LINK = {
    "name": "city", "host": "127.0.0.1", "port": 32960, "platform_id": "CARCLOUD000000001",
    "user": "carcloud", "password": "none of yours",
}  # fmt: skip


def fields(answer: httpx.Response) -> list[str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return [error["field"] for error in answer.json()["errors"]]


@pytest.fixture
def where(client: httpx.Client) -> Any:
    made = client.post("/v1/forwarding", json=LINK)
    assert made.status_code == 201, made.text
    yield made.headers["location"]
    client.delete(made.headers["location"])


def test_the_life_of_a_link(client: httpx.Client, where: str) -> None:
    assert where == "/v1/forwarding/city"
    answer = client.get(where)
    link = answer.json()
    assert "password" not in link
    assert "none of yours" not in answer.text
    shown = {name: value for name, value in LINK.items() if name != "password"}
    assert {name: link[name] for name in shown} == shown
    assert (link["enabled"], link["tls"], link["edition"]) == (True, False, 2016)
    assert (link["connected"], link["problem"], link["waiting"]) == (False, None, 0)
    assert fields(client.post("/v1/forwarding", json=LINK)) == ["name"]
    assert client.post("/v1/forwarding", json=LINK).status_code == 409

    tag = answer.headers["etag"]
    off = {"enabled": False}
    assert client.patch(where, json=off).status_code == 428
    assert client.patch(where, json=off, headers={"If-Match": '"9"'}).status_code == 412
    changed = client.patch(where, json=off, headers={"If-Match": tag})
    assert changed.status_code == 200, changed.text
    assert changed.json()["enabled"] is False
    assert changed.headers["etag"] != tag
    assert client.patch(where, json={"port": 1}, headers={"If-Match": tag}).status_code == 412

    assert client.delete(where).status_code == 204
    assert client.get(where).status_code == 404
    assert client.delete(where).status_code == 404


def test_what_waits_is_counted(
    cloud: Any, client: httpx.Client, where: str, make_frame: Callable[..., bytes]
) -> None:
    now = 1_760_000_000_000_000
    cloud.send("LTESTFWD000000001", *[make_frame(now + n, speed=n) for n in range(3)])
    (link,) = client.get("/v1/forwarding").json()["items"]
    assert (link["waiting"], link["retrying"], link["warning"]) == (3, 0, None)
    assert link["oldest_waiting"].endswith("Z")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "City"}, "name"), ({"port": 0}, "port"), ({"host": "a b"}, "host"),
        ({"user": "x" * 13}, "user"), ({"password": ""}, "password"), ({"colour": 1}, "colour"),
        ({"platform_id": "中"}, "platform_id"), ({"edition": 2017}, "edition"),
    ],
)  # fmt: skip
def test_wrong_fields_are_named(client: httpx.Client, change: dict[str, Any], field: str) -> None:
    answer = client.post("/v1/forwarding", json={**LINK, **change})
    assert answer.status_code == 400
    assert any(field in named for named in [*fields(answer), answer.json()["detail"]])


def test_accounts_of_lower_platforms(client: httpx.Client) -> None:
    where = "/v1/platforms/LOWERPLATFORM0001"
    made = client.put(where, json={"user": "user01", "password": "secret"})
    assert made.status_code == 201, made.text
    assert client.put(where, json={"user": "user02", "password": "secret"}).status_code == 200
    answer = client.get("/v1/platforms")
    (account,) = answer.json()["items"]
    assert (account["platform_id"], account["user"]) == ("LOWERPLATFORM0001", "user02")
    assert set(account) == {"platform_id", "user", "created", "updated"}
    assert fields(client.put("/v1/platforms/a%20b", json={"user": "u", "password": "p"}))
    assert client.put(where, json={"user": "u"}).status_code == 400
    assert client.delete(where).status_code == 204
    assert client.delete(where).status_code == 404


def test_only_administrators_change_and_only_their_own(cloud: Any, where: str) -> None:
    with cloud.client("viewer") as viewer:
        assert len(viewer.get("/v1/forwarding").json()["items"]) == 1
        assert viewer.post("/v1/forwarding", json={**LINK, "name": "x"}).status_code == 403
        account = {"user": "u", "password": "p"}
        assert viewer.put("/v1/platforms/P1", json=account).status_code == 403
        assert viewer.delete(where).status_code == 403
    with cloud.client("stranger") as stranger:
        assert stranger.get("/v1/forwarding").json()["items"] == []
        assert stranger.get(where).status_code == 404
        assert stranger.delete(where).status_code == 404
