"""Commands and desired state over HTTP and from a terminal."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from carcloud.cli import main
from carcloud.model.time import now_us
from carcloud.services.commands.api import Report, State
from carcloud.services.vehicles.api import Login

CAR = "LTESTCMDW00000001"
HERE = f"/v1/vehicles/{CAR}/commands"


@pytest.fixture(scope="module", autouse=True)
def car(cloud: Any) -> None:
    with cloud.client("tester") as client:
        assert client.post("/v1/vehicles", json={"id": CAR}).status_code == 201


@pytest.fixture
def run(cloud: Any, client: httpx.Client) -> Callable[..., Result]:
    token = client.cookies["carcloud_session"]

    def run(name: str, *words: str) -> Result:
        access = ("--url", cloud.url, "--token", token)
        return CliRunner().invoke(main, ("commands", name, *access, *words))

    return run


def test_a_command_is_given_seen_and_cancelled(client: httpx.Client) -> None:
    made = client.post(HERE, json={"name": "locate", "timeout_s": 3600})
    assert made.status_code == 201, made.text
    where = made.headers["location"]
    assert client.get(where).json() == made.json()
    assert made.json()["state"] == "created"
    assert client.get(HERE).json()["items"][0]["id"] == made.json()["id"]
    assert client.get("/v1/commands", params={"state": "created"}).json()["items"]
    gone = client.post(f"{where}/cancel")
    assert gone.json()["state"] == "cancelled", gone.text
    assert client.post(f"{where}/cancel").status_code == 409
    other = where.replace(CAR, "LTESTCMDW00000002")
    assert client.get(other).status_code == 404


def test_pages_of_commands(client: httpx.Client) -> None:
    made = [client.post(HERE, json={"name": "locate"}).json()["id"] for _ in range(3)]
    first = client.get(HERE, params={"limit": 2}).json()
    assert [one["id"] for one in first["items"]] == made[:0:-1]
    rest = client.get(HERE, params={"limit": 1, "cursor": first["next_cursor"]}).json()
    assert rest["items"][0]["id"] == made[0]


def test_a_moving_vehicle_is_not_unlocked(
    cloud: Any, client: httpx.Client, make_frame: Any
) -> None:
    assert client.post(HERE, json={"name": "unlock"}).status_code == 409
    cloud.send(CAR, make_frame(now_us() - 1_000_000, speed=50.0))
    refused = client.post(HERE, json={"name": "unlock"})
    assert refused.status_code == 409
    assert "50 km/h" in refused.json()["detail"]
    cloud.send(CAR, make_frame(now_us(), speed=0.0))
    assert client.post(HERE, json={"name": "unlock"}).status_code == 201


def test_what_is_wrong_is_named(client: httpx.Client) -> None:
    wrong = client.post(HERE, json={"name": "message", "arguments": {"txt": "hi"}})
    assert wrong.status_code == 400
    assert wrong.json()["errors"][0]["field"] == "arguments.txt"
    assert client.post(HERE, json={"name": "locate", "key": "k"}).status_code == 201
    other = client.post(
        HERE,
        json={
            "name": "track",
            "key": "k",
            "arguments": {
                "interval_s": 1,
                "duration_s": 2,
            },
        },
    )
    assert other.status_code == 409
    nowhere = client.post("/v1/vehicles/NOSUCH/commands", json={"name": "locate"})
    assert nowhere.status_code == 404


YARD = {"id": 1, "latitude_deg": 31.2, "longitude_deg": 121.4, "radius_m": 500}
CIRCLE: dict[str, Any] = {"shape": "circle"}


def test_what_the_protocol_cannot_carry_is_refused_at_once(
    cloud: Any, client: httpx.Client
) -> None:
    """The protocol is that on record, or that of the last login."""
    cloud.register("10000100077", protocol="jt808")
    cloud.register("LTESTCMDW00000009", "LTESTCMDW00000010")
    cloud.vehicles.admit(
        Login("LTESTCMDW00000009", "gbt32960", "192.0.2.1", edition="2025"), auto_register=None
    )
    for vehicle, name, arguments, field, why in (
        ("10000100077", "set-areas", CIRCLE | {"areas": [{"id": 1}]}, "arguments", "latitude_deg"),
        (
            *("10000100077", "set-areas", CIRCLE | {"areas": [YARD | {"x": 1}]}),
            *("arguments.areas", "radius_m"),
        ),
        ("LTESTCMDW00000009", "locate", {}, "name", "not over gbt32960"),
        (
            *("LTESTCMDW00000009", "set-parameters", {"parameters": {"x": 1}}),
            *("arguments.parameters", "heartbeat_period_s"),
        ),
    ):
        refused = client.post(
            f"/v1/vehicles/{vehicle}/commands", json={"name": name, "arguments": arguments}
        )
        assert refused.status_code == 400, refused.text
        (error,) = refused.json()["errors"]
        assert error["field"] == field
        assert why in error["detail"]
    for vehicle, name, arguments in (
        ("10000100077", "set-areas", CIRCLE | {"areas": [YARD]}),
        ("LTESTCMDW00000009", "set-parameters", {"parameters": {"heartbeat_s": 30}}),
        ("LTESTCMDW00000010", "locate", {}),
    ):
        given = client.post(
            f"/v1/vehicles/{vehicle}/commands", json={"name": name, "arguments": arguments}
        )
        assert given.status_code == 201, given.text


def test_opening_a_vehicle_needs_its_own_permission(cloud: Any, client: httpx.Client) -> None:
    password = "correct horse battery"
    client.post("/v1/users", json={"name": "cmd-op", "password": password, "role": "operator"})
    with cloud.client("cmd-op") as operator:
        assert operator.post(HERE, json={"name": "locate"}).status_code == 201
        refused = operator.post(HERE, json={"name": "lock"})
        assert refused.status_code == 403
        assert "commands:control" in refused.json()["detail"]


def test_desired_state_over_http(client: httpx.Client) -> None:
    where = f"/v1/vehicles/{CAR}/state"
    made = client.patch(f"{where}/desired", json={"reporting": {"interval_s": 30}})
    assert made.status_code == 200, made.text
    tag = made.headers["etag"]
    assert client.get(where).headers["etag"] == tag
    assert made.json()["delta"] == {"reporting": {"interval_s": 30}}
    change = {"reporting": None}
    stale = client.patch(f"{where}/desired", json=change, headers={"If-Match": '"99"'})
    assert stale.status_code == 412
    done = client.patch(f"{where}/desired", json=change, headers={"If-Match": tag})
    assert done.json()["delta"] is None


def test_from_a_terminal(run: Callable[..., Result], cloud: Any) -> None:
    kinds = run("kinds", "--json")
    assert {"locate", "unlock"} <= {json.loads(line)["name"] for line in kinds.output.splitlines()}
    assert "interval_s" in run("kinds").output
    made = run("give", CAR, "track", "--set", "interval_s=5", "--set", "duration_s=60")
    assert made.exit_code == 0, made.output
    command = json.loads(made.output)
    assert command["arguments"] == {"interval_s": 5, "duration_s": 60}
    cloud.commands.report([Report(command["id"], CAR, State.EXECUTED)])
    assert "executed" in run("list", "--vehicle", CAR).output
    assert "executed" in run("cancel", CAR, command["id"]).output
    assert "reporting" in run("desire", CAR, '{"reporting": {"interval_s": 9}}').output
    assert json.loads(run("state", CAR).output)["desired"] == {"reporting": {"interval_s": 9}}
    assert run("desire", CAR, "{").exit_code == 1
    assert run("desire", CAR, "[1]").output.count("`object`") == 1


def test_a_terminal_tells_what_a_command_takes_and_repeats_by_key(
    run: Callable[..., Result],
) -> None:
    assert "latitude_deg" in run("kinds", "set-areas").output
    assert "carcloud commands kinds" in run("kinds", "fly").output
    assert "carcloud commands kinds" in run("give", CAR, "fly").output
    first, second = (run("give", CAR, "locate", "--key", "of-a-terminal") for _ in range(2))
    assert json.loads(first.output)["id"] == json.loads(second.output)["id"]
