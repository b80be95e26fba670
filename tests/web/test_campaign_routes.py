"""Campaigns over HTTP and from a terminal."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from carcloud.cli import main
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.model.time import now_us
from carcloud.services.campaigns.api import Campaigns, CheckIn
from carcloud.services.metering.api import Metering, Price, PriceBook, Tier

HERE = "/v1/campaigns"
SPEED = "Vehicle.Speed"


def document(name: str, **more: Any) -> dict[str, Any]:
    when = {"when": f"{SPEED} > 120", "mode": "RISING_EDGE"}
    return {"id": name, "trigger": when, "signals": [{"path": SPEED, "max_samples": 5}], **more}


@pytest.fixture
def run(cloud: Any, client: httpx.Client) -> Callable[..., Result]:
    token = client.cookies["carcloud_session"]

    def run(name: str, *words: str) -> Result:
        access = ("--url", cloud.url, "--token", token)
        return CliRunner().invoke(main, ("campaigns", name, *access, *words))

    return run


def test_a_campaign_over_http(client: httpx.Client, cloud: Any) -> None:
    made = client.post(HERE, json={"document": document("web-one"), "target": {"percent": 50}})
    assert made.status_code == 201, made.text
    where = made.headers["location"]
    assert client.post(HERE, json={"document": document("web-one")}).status_code == 409
    assert client.post(f"{where}/start", json={}).json()["type"].endswith("wrong-state")
    assert client.post(f"{where}/approve", json={"version": 1}).json()["state"] == "approved"
    assert client.post(f"{where}/start", json={"percent": 20}).json()["next_percent"] == 20
    tag = client.get(where).headers["etag"]
    new = {"document": document("web-one", post_trigger_ms=5), "note": "longer"}
    saved = client.put(where, json=new, headers={"If-Match": tag})
    assert saved.json()["newest"]["document"]["version"] == 2, saved.text
    assert client.put(where, json=new, headers={"If-Match": tag}).status_code == 412
    assert [one["version"] for one in client.get(f"{where}/versions").json()["items"]] == [2, 1]
    assert client.post(f"{where}/pause").json()["state"] == "paused"
    assert client.delete(where).status_code == 409
    assert client.post(f"{where}/end").json()["state"] == "ended"
    assert client.get(f"{where}/progress").json()["collected"]["events"] == 0
    assert client.get(f"{where}/vehicles").json()["items"] == []
    assert client.get(f"{where}/events").json()["items"] == []
    listed = client.get(HERE, params={"q": "WEB-one", "state": "ended"}).json()["items"]
    assert [one["id"] for one in listed] == ["web-one"]
    assert client.delete(where).status_code == 204
    assert client.get(f"{where}/events").status_code == 404
    with cloud.client("viewer") as viewer:
        assert viewer.get(HERE).status_code == 200
        refused = viewer.post(HERE, json={"document": document("web-two")})
        assert refused.status_code == 403


def test_vehicles_are_asked_for_what_a_campaign_keeps_in_them(
    client: httpx.Client, cloud: Any, run: Callable[..., Result]
) -> None:
    parts = [{"id": "default"}, {"id": "slow", "upload": "on_request"}]
    whole = document("web-kept", partitions=parts)
    body = {"document": whole, "target": {"labels": ["camp:kept"]}}  # not those of other tests
    where = client.post(HERE, json=body).headers["location"]
    assert client.post(f"{where}/forward", json={}).json()["type"].endswith("wrong-state")
    client.post(f"{where}/approve", json={"version": 1})
    client.post(f"{where}/start", json={})
    assert client.post(f"{where}/forward", json={}).json() == {"vehicles": 0}
    holder = "LTESTKEPT00000001"
    made = client.post("/v1/vehicles", json={"id": holder, "labels": {"camp": "kept"}})
    assert made.status_code == 201
    assert client.post(f"/v1/vehicles/{holder}/token").status_code == 201
    row = {"id": "web-kept", "kind": "campaign", "version": 1, "hash": "0", "result": "active"}
    service = Campaigns(cloud.commands._records)
    left = {"campaign": "web-kept", "partition": "slow", "until": 1_777_622_400_000.0}
    junk = ({**left, "campaign": "other"}, {**left, "until": 1e300}, {**left, "until": "soon"}, {})
    told = {"forwarding": [*junk, left]}
    service.check_in(DEFAULT_TENANT, CheckIn(holder, (row,), (), {}, told))
    (held,) = client.get(f"{where}/vehicles").json()["items"]
    assert held["forwarding"] == [{"partition": "slow", "until": "2026-05-01T08:00:00.000Z"}]
    ask = {"partition": "slow", "until": "2026-05-01T08:00:00Z", "vehicle": holder}
    assert client.post(f"{where}/forward", json=ask).json() == {"vehicles": 1}
    done = run("forward", "web-kept")
    assert "1 vehicles are asked" in done.output, done.output
    whole_one, slow = client.get(f"/v1/vehicles/{holder}/commands").json()["items"]
    assert whole_one["arguments"] == {"campaign": "web-kept"}
    assert slow["arguments"] == {
        "campaign": "web-kept", "partition": "slow", "until": "2026-05-01T08:00:00.000000Z"
    }  # fmt: skip
    for wrong in ({"partition": "none"}, {"until": "soon"}, {"vehicle": "LTESTVNA4A0000101"}):
        refused = client.post(f"{where}/forward", json=wrong)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, *wrong)
    given = {"name": "forward", "arguments": {"campaign": "web-kept"}}
    role = {"id": "giver", "name": "Giver", "actions": ["vehicles:read", "commands:send"]}
    assert client.post("/v1/roles", json=role).status_code == 201
    user = {"name": "giver", "password": "correct horse battery", "role": "giver"}
    assert client.post("/v1/users", json=user).status_code == 201
    with cloud.client("giver") as giver:
        refused = giver.post(f"/v1/vehicles/{holder}/commands", json=given)
        assert refused.status_code == 403
        assert "campaigns:write" in refused.json()["detail"]
    with cloud.client("viewer") as viewer:
        assert viewer.post(f"{where}/forward", json={}).status_code == 403
    client.post(f"{where}/end")


def test_what_is_wrong_is_told_with_its_place(client: httpx.Client) -> None:
    wrong = document("web-bad", trigger={"when": f"{SPEED} > > 1"})
    refused = client.post(HERE, json={"document": wrong})
    assert refused.status_code == 400
    (error,) = refused.json()["errors"]
    assert (error["field"], error["detail"][:12]) == ("trigger.when", "position 17:")
    found = client.post(f"{HERE}/check", json={"document": wrong}).json()
    assert (found["good"], found["errors"][0]["position"]) == (False, 16)
    good = client.post(f"{HERE}/check", json={"expression": f"{SPEED} > 1"}).json()
    assert (good["good"], good["signals"][0]["unit"]) == (True, "km/h")
    assert client.post(f"{HERE}/check", json={}).status_code == 400


def test_a_dry_run_counts_what_vehicles_have_reported(
    client: httpx.Client, cloud: Any, make_frame: Any
) -> None:
    fast, slow, now = "LTESTCAMP00000001", "LTESTCAMP00000002", now_us()
    cloud.register(fast, slow, labels={"camp": "dry"}, protocol="mqtt")
    speeds = [100.0, 130.0, 140.0, 90.0, 125.0]
    for car, factor in ((fast, 1.0), (slow, 0.5)):
        frames = [
            make_frame(now - 600_000_000 + at * 10_000_000, speed=speed * factor)
            for at, speed in enumerate(speeds)
        ]
        cloud.send(car, *frames)
    body = {"document": document("web-dry"), "target": {"labels": ["camp:dry"]}, "hours": 1}
    found = client.post(f"{HERE}/dry-run", json=body)
    assert found.status_code == 200, found.text
    told = found.json()
    assert (told["vehicles_target"], told["vehicles_read"], told["vehicles_triggered"]) == (2, 2, 1)
    assert (told["rows"], told["events"], told["samples"], told["complete"]) == (10, 2, 5, True)
    assert told["vehicles"][0]["vehicle"] == fast
    assert told["messages"] == 2
    assert told["per_day"]["messages"] == 48
    assert told["cost"] is None
    wrong = {**body, "hours": 1000}
    assert client.post(f"{HERE}/dry-run", json=wrong).json()["errors"][0]["field"] == "hours"


def test_a_month_of_it_is_priced(cloud: Any) -> None:
    metering = Metering(cloud.commands._records)
    prices = {"messages": Price([Tier(Decimal(2))])}
    book = metering.create_book(
        PriceBook("", "camp", "CNY", prices, metering.present_period(), tenant=DEFAULT_TENANT),
        actor="test",
    )
    try:
        assert metering.price(DEFAULT_TENANT, {"messages": 10}) == (Decimal(20), "CNY")
    finally:
        metering.remove_book(book.id, actor="test")


def test_a_document_of_fleetwise(client: httpx.Client) -> None:
    fleetwise = {
        "name": "speeding", "targetArn": "arn:aws:iotfleetwise:eu-central-1:1:fleet/all",
        "collectionScheme": {"timeBasedCollectionScheme": {"periodMs": 10_000}},
        "signalsToCollect": [{"name": SPEED}, {"name": "Vehicle.Nope"}],
    }  # fmt: skip
    found = client.post(f"{HERE}/import", json={"document": fleetwise}).json()
    assert found["document"]["trigger"] == {"every_ms": 10_000}
    assert {"targetArn", "signals[1].path"} <= {one["field"] for one in found["remarks"]}
    wrong = client.post(f"{HERE}/import", json={"document": {"name": "x"}})
    assert wrong.json()["errors"][0]["field"] == "collectionScheme"


def test_from_a_terminal(run: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text(json.dumps(document("cli-one")))

    def good(name: str, *words: str) -> str:
        done = run(name, *words)
        assert done.exit_code == 0, done.output
        return done.output

    assert f"signals: {SPEED}" in good("check", str(file))
    assert "expression at 17" in run("check", "--expression", f"{SPEED} > > 1").output
    assert "is a draft" in good("create", str(file), "--label", "camp:cli", "--percent", "10")
    assert "cli-one" in good("list", "--state", "draft")
    assert "version 1 of cli-one is approved" in good("approve", "cli-one", "1")
    assert "running: version 1, 5 percent" in good("start", "cli-one", "--percent", "5")
    assert "version 2" in good("save", str(file), "--percent", "20")
    assert "paused" in good("pause", "cli-one")
    assert "running" in good("resume", "cli-one")
    assert "target     0" in good("progress", "cli-one")
    good("vehicles", "cli-one")
    good("events", "cli-one")
    assert json.loads(good("dry-run", str(file), "--vehicle", "NOBODY"))["events"] == 0
    assert json.loads(good("show", "cli-one"))["campaign"]["version"] == 2
    assert "ended" in good("end", "cli-one")
    assert "is gone" in good("remove", "cli-one")
    file.write_text(json.dumps({"name": "far", "signalsToCollect": [{"name": SPEED}],
                                "collectionScheme": {"timeBasedCollectionScheme":
                                                     {"periodMs": 10_000}}}))  # fmt: skip
    assert '"id": "far"' in good("import", str(file))
