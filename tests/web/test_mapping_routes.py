"""Mappings of models over HTTP, from Python and from a terminal."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from carcloud.cli import main
from carcloud.client import Changed, Client, Invalid

DBC = """\
BO_ 291 Wheels: 8 ECU
 SG_ VehSpd : 0|16@1+ (0.1,0) [0|400] "mph" ECU
 SG_ Boost : 16|8@1+ (1,0) [0|0] "kPa" ECU
"""
FILES = {"drive.dbc": DBC}
GOOD = "dbc: [drive.dbc]\nsignals:\n  Vehicle.Speed: {can: Wheels.VehSpd}\n"
WRONG = "dbc: [drive.dbc]\nsignals:\n  Vehicle.Speed: {can: Wheels.VehSpd, unit: V}\n"


@pytest.fixture(scope="module")
def mine(cloud: Any) -> Iterator[httpx.Client]:
    """The owner of a tenant of its own, with models."""
    cloud.settle("zqmaps", "zqmapper")
    with cloud.client("zqmapper") as client:
        for name in ("routes", "python", "terminal", "import"):
            body = {"id": f"zq-{name}", "name": name}
            assert client.post("/v1/models", json=body).status_code == 201
        yield client


@pytest.fixture
def run(cloud: Any, mine: httpx.Client) -> Callable[..., Result]:
    access = ("--url", cloud.url, "--token", mine.cookies["carcloud_session"])
    return lambda *words: CliRunner().invoke(main, ("models", *map(str, words), *access))


def test_a_mapping_is_checked_saved_and_read(mine: httpx.Client) -> None:
    place = "/v1/models/zq-routes/mapping"
    empty = mine.get(place)
    assert (empty.json()["version"], empty.headers["etag"]) == (0, '"0"')
    assert {one["kind"] for one in empty.json()["fields"]} == {"obd", "field"}
    body = {"text": WRONG, "dbc": FILES}
    told = mine.put(place, params={"check": True}, json=body).json()
    assert (told["version"], [one["line"] for one in told["findings"]]) == (None, [3])
    refused = mine.put(place, json=body, headers={"If-Match": '"0"'})
    assert (refused.status_code, refused.json()["type"]) == (400, "urn:carcloud:problem:mapping")
    assert refused.json()["errors"][0]["detail"].startswith("line 3: Vehicle.Speed: ")
    body = {"text": GOOD, "dbc": FILES, "note": "first"}
    assert mine.put(place, json=body).status_code == 428
    unsaved = mine.put(place, json={**body, "overlay": ""}, headers={"If-Match": '"0"'})
    assert (unsaved.status_code, unsaved.json()["errors"][0]["field"]) == (400, "overlay")
    saved = mine.put(place, json=body, headers={"If-Match": '"0"'})
    assert (saved.status_code, saved.headers["etag"], saved.json()["signals"]) == (200, '"1"', 1)
    assert mine.put(place, json=body, headers={"If-Match": '"0"'}).status_code == 412
    held = mine.get(place).json()
    assert (held["text"], held["dbc"], held["note"]) == (GOOD, ["drive.dbc"], "first")
    landing = {one["name"]: one["paths"] for one in held["fields"] if one["kind"] == "can"}
    assert landing == {"Wheels.VehSpd": ["Vehicle.Speed"], "Wheels.Boost": []}
    assert mine.get(f"{place}/dbc/drive.dbc").json() == {"name": "drive.dbc", "text": DBC}
    assert mine.get(f"{place}/dbc/none.dbc").status_code == 404
    assert mine.get(f"{place}s/1").json()["text"] == GOOD
    assert mine.get(f"{place}s/7").status_code == 404
    [row] = mine.get(f"{place}s").json()["items"]
    assert (row["version"], row["active"]) == (1, True)
    assert mine.get("/v1/models/none/mapping").status_code == 404


def test_the_python_client(mine: httpx.Client, cloud: Any) -> None:
    with Client(cloud.url, mine.cookies["carcloud_session"]) as client:
        checked = client.mappings.check("zq-python", WRONG, dbc=FILES)
        assert [one.line for one in checked.findings] == [3]
        with pytest.raises(Invalid):
            client.mappings.save("zq-python", WRONG, dbc=FILES)
        draft = client.mappings.suggest("zq-python", FILES)
        alone = client.mappings.check("zq-python", draft.mapping, dbc=FILES)
        assert [one.node for one in alone.findings] == ["Vehicle.Private.Wheels.Boost"]
        both = client.mappings.check("zq-python", draft.mapping, dbc=FILES, overlay=draft.overlay)
        assert (both.signals, both.findings) == (2, ())
        old = client.mappings.get("zq-python")
        assert client.mappings.save("zq-python", GOOD, dbc=FILES, etag=old.etag).version == 1
        with pytest.raises(Changed):
            client.mappings.save("zq-python", GOOD, etag=old.etag)
        assert client.mappings.version("zq-python", 1).text == GOOD
        assert client.mappings.dbc("zq-python", "drive.dbc").text == DBC
        assert [one.version for one in client.mappings.versions("zq-python")] == [1]


def test_a_terminal(run: Callable[..., Result], tmp_path: Path) -> None:
    wrong, good, dbc = tmp_path / "w.yaml", tmp_path / "g.yaml", tmp_path / "drive.dbc"
    wrong.write_text(WRONG)
    good.write_text(GOOD)
    dbc.write_text(DBC)
    told = run("mapping", "check", "zq-terminal", wrong, "--dbc", dbc)
    assert told.exit_code != 0
    assert f"{wrong}:3: Vehicle.Speed: is in km/h: no way there from V" in told.output
    saved = run("mapping", "set", "zq-terminal", good, "--dbc", dbc, "--note", "x")
    assert saved.exit_code == 0, saved.output
    assert "version 1 holds" in saved.output
    assert run("mapping", "show", "zq-terminal").output == GOOD
    assert run("mapping", "show", "zq-terminal", "1").output == GOOD
    assert run("mapping", "dbc", "zq-terminal", "drive.dbc").output == DBC
    fields = run("mapping", "fields", "zq-terminal", "--unmapped").output
    assert "Wheels.Boost" in fields
    assert "Wheels.VehSpd" not in fields
    assert "drive.dbc" in run("mapping", "versions", "zq-terminal").output
    assert "zq-terminal" in run("list").output


def test_a_dbc_is_imported_in_one_step(
    run: Callable[..., Result], mine: httpx.Client, tmp_path: Path
) -> None:
    dbc = tmp_path / "drive.dbc"
    dbc.write_text(DBC.replace("Wheels", "Axles"))  # the signals of a tenant are those of all tests
    told = run("mapping", "suggest", "zq-import", dbc)
    assert "Axles.VehSpd is Vehicle.Speed" in told.output
    assert mine.get("/v1/models/zq-import/mapping").json()["version"] == 0
    saved = run("mapping", "suggest", "zq-import", dbc, "--save")
    assert saved.exit_code == 0, saved.output
    assert "version 1 holds, 2 signals" in saved.output
    fields = mine.get("/v1/models/zq-import/mapping").json()["fields"]
    paths = [path for one in fields for path in one["paths"]]
    assert paths == ["Vehicle.Speed", "Vehicle.Private.Axles.Boost"]
    signal = mine.get("/v1/signals/Vehicle.Private.Axles.Boost").json()["signal"]
    assert (signal["unit"], signal["origin"]) == ("kPa", "tenant")
