"""The signal catalogue and overlays over HTTP, from Python and from a terminal."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from carcloud.cli import main
from carcloud.client import Changed, Client, Invalid
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.services.tenancy.api import SYSTEM, Scope

PASSWORD = "correct horse battery"
SPEED = "Vehicle.Speed"
OVERLAY = """\
Vehicle.Cooler:
  type: branch
  instances: Zone[1,2]
  description: Cooled zones.
Vehicle.Cooler.Temperature:
  type: sensor
  datatype: float
  unit: Celsius
  description: Air temperature of the zone.
Vehicle.Speed:
  type: sensor
  max: 120
"""


@pytest.fixture(scope="module")
def mine(cloud: Any, make_frame: Any) -> Iterator[httpx.Client]:
    """The owner of a tenant of its own, with two cars of a model that reported their speed."""
    cloud.settle("zqsignals", "zqsigner")
    with cloud.client("zqsigner") as client:
        assert client.post("/v1/models", json={"id": "zq-van", "name": "Van"}).status_code == 201
        for number in (1, 2):
            car = f"LTESTSIGN0000000{number}"
            body = {"id": car, "model": "zq-van", "labels": {"depot": f"d{number}"}}
            assert client.post("/v1/vehicles", json=body).status_code == 201
            cloud.send(car, make_frame(now_us() - 1_000_000, speed=9.0), tenant="zqsignals")
        yield client


@pytest.fixture
def run(cloud: Any, mine: httpx.Client) -> Callable[..., Result]:
    access = ("--url", cloud.url, "--token", mine.cookies["carcloud_session"])
    return lambda *words: CliRunner().invoke(main, ("signals", *words, *access))


def found(client: httpx.Client, **asked: Any) -> list[str]:
    answer = client.get("/v1/signals", params=asked)
    assert answer.status_code == 200, answer.text
    return [one["path"] for one in answer.json()["items"]]


def test_signals_are_searched_and_paged(mine: httpx.Client) -> None:
    first = mine.get("/v1/signals", params={"limit": 500}).json()
    assert first["total"] >= 1332
    paths = [one["path"] for one in first["items"]]
    rest = mine.get("/v1/signals", params={"limit": 500, "cursor": first["next_cursor"]}).json()
    assert paths == sorted(paths)
    assert rest["items"][0]["path"] > paths[-1]
    assert found(mine, q="TRACTION stateofcharge displayed") == [
        "Vehicle.Powertrain.TractionBattery.StateOfCharge.Displayed"
    ]
    assert set(found(mine, prefix="Vehicle.Regulatory.", kind="actuator")) == {
        "Vehicle.Regulatory.IsCircuitCut", "Vehicle.Regulatory.IsFuelLineCut",
    }  # fmt: skip
    assert "Vehicle.CurrentLocation.Altitude" in found(mine, datatype="double", unit="m")
    assert found(mine, datatype="double", unit="rpm") == []
    assert len(found(mine, deprecated=True)) == 6
    assert mine.get("/v1/signals", params={"kind": "branch"}).status_code == 400
    assert mine.get("/v1/signals", params={"cursor": "x"}).status_code == 400


def test_a_signal_tells_which_models_reported_it(mine: httpx.Client, cloud: Any) -> None:
    assert SPEED in found(mine, reported=True)
    assert SPEED not in found(mine, q=SPEED, reported=False)
    one = mine.get(f"/v1/signals/{SPEED}").json()
    assert one["by_model"] == [{"model": "zq-van", "vehicles": 2}]
    signal = one["signal"]
    assert (signal["unit"], signal["vehicles"], signal["models"]) == ("km/h", 2, ["zq-van"])
    assert signal["last_seen"] is not None
    quiet = mine.get("/v1/signals/Vehicle.Cabin.DoorCount").json()
    assert (quiet["default"], quiet["signal"]["vehicles"]) == (4, 0)
    assert mine.get("/v1/signals/Vehicle.Nothing").status_code == 404


def test_a_caller_held_to_labels_counts_its_vehicles_only(mine: httpx.Client, cloud: Any) -> None:
    scope, tenant = Scope(labels={"depot": "d1"}), Tenant("zqsignals")
    cloud.tenancy.people.create(tenant, "zqlimited", PASSWORD, "operator", scope, by=SYSTEM)
    with cloud.client("zqlimited") as limited:
        assert limited.get(f"/v1/signals/{SPEED}").json()["signal"]["vehicles"] == 1


def test_an_overlay_is_checked_saved_and_read_back(mine: httpx.Client) -> None:
    held = mine.get("/v1/signals/overlay")
    version = held.json()["version"]
    wrong = {"text": OVERLAY.replace("Celsius", "Kelvin")}
    told = mine.put("/v1/signals/overlay", params={"check": True}, json=wrong).json()
    assert told["version"] is None
    assert [(one["line"], one["node"]) for one in told["findings"]] == [
        (8, "Vehicle.Cooler.Temperature")
    ]
    match = {"If-Match": held.headers["etag"]}
    refused = mine.put("/v1/signals/overlay", json=wrong, headers=match)
    assert (refused.status_code, refused.json()["type"]) == (400, "urn:carcloud:problem:overlay")
    assert refused.json()["errors"][0]["detail"].startswith("line 8: Vehicle.Cooler.Temperature")
    assert mine.put("/v1/signals/overlay", json={"text": OVERLAY}).status_code == 428
    saved = mine.put("/v1/signals/overlay", json={"text": OVERLAY, "note": "x"}, headers=match)
    assert saved.status_code == 200, saved.text
    assert saved.json()["added"] == [f"Vehicle.Cooler.Zone{n}.Temperature" for n in (1, 2)]
    again = mine.put("/v1/signals/overlay", json={"text": ""}, headers=match)
    assert again.status_code == 412
    assert found(mine, origin="tenant") == [*saved.json()["added"], SPEED]
    narrowed = mine.get(f"/v1/signals/{SPEED}").json()
    assert (narrowed["signal"]["max"], narrowed["standard"]["max"]) == (120, None)
    new = mine.get(f"/v1/signals/{saved.json()['added'][0]}").json()
    assert new["standard"] is None
    holds = mine.get("/v1/signals/overlay").json()
    assert (holds["added"], holds["changed"]) == (saved.json()["added"], [SPEED])
    assert mine.get(f"/v1/signals/overlays/{version + 1}").json()["removed"] == []
    rows = mine.get("/v1/signals/overlays").json()["items"]
    assert (rows[0]["version"], rows[0]["active"], rows[0]["note"]) == (version + 1, True, "x")
    assert mine.get(f"/v1/signals/overlays/{version + 1}").json()["text"] == OVERLAY
    assert mine.get("/v1/signals/overlays/999").status_code == 404
    column = held.json()["text"]
    tag = {"If-Match": saved.headers["etag"]}
    assert mine.put("/v1/signals/overlay", json={"text": column}, headers=tag).status_code == 200


def test_a_type_cannot_change_under_data(mine: httpx.Client) -> None:
    text = "Vehicle.Speed: {type: sensor, datatype: double}"
    told = mine.put("/v1/signals/overlay", params={"check": True}, json={"text": text}).json()
    assert "stays float" in told["findings"][0]["text"]


def test_from_python(mine: httpx.Client, cloud: Any) -> None:
    with Client(cloud.url, mine.cookies["carcloud_session"]) as client:
        assert client.signals.get(SPEED).by_model[0].model == "zq-van"
        assert SPEED in [one.path for one in client.signals.list("speed km/h")]
        held = client.signals.overlay()
        assert client.signals.check(OVERLAY).changed == (SPEED,)
        with pytest.raises(Invalid, match="line 1"):
            client.signals.save("Vehicle.Speed: 3", etag=held.etag)
        made = client.signals.save(OVERLAY, note="from Python", etag=held.etag)
        with pytest.raises(Changed):
            client.signals.save("", etag=held.etag)
        assert made.version is not None
        assert client.signals.version(made.version).text == OVERLAY
        assert next(iter(client.signals.versions())).note == "from Python"
        client.signals.save("")


def test_from_a_terminal(run: Callable[..., Result], tmp_path: Path) -> None:
    listed = run("list", "odometer", "--json")
    assert listed.exit_code == 0, listed.output
    assert run("list", "traveled", "distance").output.count("\n") > 1
    shown = run("show", SPEED)
    assert "km/h" in shown.output
    assert "2 of zq-van" in shown.output
    file = tmp_path / "mine.vspec"
    file.write_text(OVERLAY.replace("float", "flaot"))
    wrong = run("overlay", "check", str(file))
    assert wrong.exit_code == 1
    assert f"{file}:7: Vehicle.Cooler.Temperature: there is no datatype" in wrong.output
    file.write_text(OVERLAY)
    saved = run("overlay", "save", str(file), "--note", "n")
    assert saved.exit_code == 0, saved.output
    assert "added    2" in saved.output
    assert run("overlay", "show").output == OVERLAY
    version = json.loads(run("overlay", "versions", "--json").output.splitlines()[0])["version"]
    assert run("overlay", "show", str(version)).output == OVERLAY
    file.write_text("")
    assert run("overlay", "save", str(file), "--if-version", str(version)).exit_code == 0
    assert run("overlay", "save", str(file), "--if-version", str(version)).exit_code == 1
