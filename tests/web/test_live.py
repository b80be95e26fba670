"""Server-sent events from a real server, with a client that reads and one that does not."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from carcloud.model.ids import Tenant
from carcloud.web import live

START = 1_760_000_000_000_000  # us


def events(answer: httpx.Response) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in answer.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_events_follow_the_fleet(cloud: Any, make_frame: Any) -> None:
    name, tenant = "LTESTLIVE00000001", Tenant("live")  # in which nothing else happens
    cloud.settle(tenant, "live-owner")
    cloud.register(name, tenant=tenant)
    cloud.send(name, make_frame(START, speed=1.0, lon=116.0, lat=40.0), tenant=tenant)
    seen: dict[str, list[Any]] = {"status": [], "vehicles": [], "twin": []}
    asked = {"vehicle": name}
    with (
        cloud.client("live-owner") as client,
        client.stream("GET", "/v1/live", params=asked) as answer,
    ):
        assert answer.headers["content-type"] == "text/event-stream"
        sent = False
        for kind, data in events(answer):
            seen[kind].append(data)
            if not sent and seen["vehicles"] and seen["twin"]:
                sent = True
                moved = make_frame(START + 1_000_000, speed=2.0, lon=116.1, lat=40.0)
                cloud.send(name, moved, tenant=tenant)
            if len(seen["twin"]) >= 2 and len(seen["vehicles"]) >= 2:
                break
    first, second = seen["vehicles"]
    assert first["full"] is True
    assert [row[0] for row in first["rows"]] == [name]
    assert second["full"] is False
    [row] = second["rows"]
    assert row[:3] == [name, 116.1, 40.0]
    assert row[3] == 90.0  # east, from two positions
    assert row[4] == 2.0
    assert row[8] == (START + 1_000_000) // 1000
    _, twin = seen["twin"]
    assert twin["signals"]["Vehicle.Speed"] == [2.0, (START + 1_000_000) // 1000]
    assert seen["status"][0]["vehicles"] == 1


def test_a_client_that_does_not_read_holds_up_nobody(cloud: Any) -> None:
    with cloud.client() as client:
        token = client.cookies["carcloud_session"]
        host, port = cloud.url.removeprefix("http://").split(":")
        request = f"GET /v1/live HTTP/1.1\r\nHost: x\r\nCookie: carcloud_session={token}\r\n\r\n"
        with socket.create_connection((host, int(port))) as deaf:
            deaf.sendall(request.encode())
            time.sleep(0.5)
            assert client.get("/v1/status").status_code == 200
        with client.stream("GET", "/v1/live") as answer:  # others go on
            assert next(events(answer))[0] == "status"


def test_a_bad_vehicle_is_named(client: httpx.Client) -> None:
    answer = client.get("/v1/live", params={"vehicle": "a b"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "vehicle"


def test_events_end_with_the_session(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "CHECK_S", 0.0)
    with cloud.client() as client, client.stream("GET", "/v1/live") as answer:
        told = events(answer)
        assert next(told)[0] == "status"
        assert client.delete("/v1/session").status_code in (200, 204)
        for _ in told:
            pass  # the server ends the stream
