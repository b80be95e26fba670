"""The commands that ask a running carcloud: what they send, what they print, how they fail."""

import json

import pytest
from click.testing import CliRunner

from carcloud.cli import main
from carcloud.client.local import DEMO_DATA

STATUS = {
    "time": "2026-03-14T07:09:26Z",
    "connected": 299,
    "platforms": 2,
    "vehicles": 300,
    "frames_per_second": 299.4,
    "stored_per_second": 299.4,
    "freshness_ms": 640.0,
    "lag_frames": 0,
    "dead_letters": 3,
    "disk": {"used_bytes": 12_300_000, "free_bytes": 5e10},
    "problems": [{"code": "disk-low", "since": "2026-03-14T07:00:00Z", "detail": "400 MB left"}],
    "roles": [
        {
            "role": "web",
            "instance": "web-1",
            "pid": 42,
            "uptime_s": 61.2,
            "memory_bytes": 180e6,
            "alive": True,
        }
    ],
}
VEHICLE = {
    "id": "LTESTVNA4A0000101",
    "model": "ev-one",
    "labels": {"depot": "north"},
    "lifecycle": "active",
}
ANSWER = {
    "columns": [{"name": "vehicle", "type": "string"}, {"name": "n", "type": "int64"}],
    "rows": [["a[0]", 1], ["b", 2]],
    "truncated": True,
    "seconds": 0.01,
}


def test_status_shows_figures_problems_and_roles(carcloud, web):
    carcloud.runs_at(web)
    web.says("GET", "/v1/status", STATUS)
    answer = carcloud("status")
    for part in (
        "299 of 300",
        "640 ms",
        "12.3 MB",
        "disk-low since",
        "400 MB left",
        "web-1",
        "alive",
    ):
        assert part in answer.output
    assert web.asked[0].headers["authorization"] == "Bearer secret"


def test_status_json_is_the_document(carcloud, web):
    web.says("GET", "/v1/status", {**STATUS, "freshness_ms": None})
    answer = carcloud("status", "--json", "--url", web.url + "/", "--token", "other")
    assert json.loads(answer.output)["freshness_ms"] is None
    assert web.asked[0].headers["authorization"] == "Bearer other"


def test_environment_names_the_carcloud(carcloud, web, monkeypatch):
    monkeypatch.setenv("CARCLOUD_URL", web.url)
    web.says("GET", "/v1/status", STATUS)
    assert carcloud("status").exit_code == 0
    assert "authorization" not in web.asked[0].headers


def test_query_prints_a_table(carcloud, web):
    carcloud.runs_at(web)
    web.says("POST", "/v1/query", ANSWER)
    answer = carcloud("query", "SELECT 1", "--rows", "2")
    assert "a[0]" in answer.output
    assert "only the first 2 rows" in answer.output
    asked = json.loads(web.asked[0].body)
    assert len(asked.pop("id")) == 16
    assert asked == {"sql": "SELECT 1", "rows": 2}


def test_query_json_is_a_list_of_rows(carcloud, web, tmp_path):
    carcloud.runs_at(web)
    web.says("POST", "/v1/query", ANSWER)
    carcloud("query", "-", "--format", "json", "--out", str(tmp_path / "o.json"), stdin="SELECT 2")
    rows = json.loads((tmp_path / "o.json").read_text())
    assert rows == [{"vehicle": "a[0]", "n": 1}, {"vehicle": "b", "n": 2}]
    assert json.loads(web.asked[0].body)["sql"] == "SELECT 2"


@pytest.mark.parametrize(
    ("kind", "media"),
    [
        ("csv", "text/csv"),
        ("parquet", "application/vnd.apache.parquet"),
        ("arrow", "application/vnd.apache.arrow.stream"),
    ],
)
def test_query_passes_other_formats_on_byte_by_byte(carcloud, web, kind, media):
    carcloud.runs_at(web)
    web.says("POST", "/v1/query", bytes(range(256)))
    answer = carcloud("query", "SELECT 1", "--format", kind)
    assert answer.stdout_bytes == bytes(range(256))
    assert web.asked[0].headers["accept"] == media


def test_vehicles_list_follows_pages_and_passes_filters(carcloud, web):
    carcloud.runs_at(web)
    web.says("GET", "/v1/vehicles", {"items": [VEHICLE] * 2, "next_cursor": "c2", "total": 4})
    web.says("GET", "/v1/vehicles", {"items": [VEHICLE] * 2, "next_cursor": None, "total": 4})
    answer = carcloud(
        "vehicles",
        "list",
        "LTEST",
        "--online",
        "--alarm-min",
        "2",
        "--json",
        "--limit",
        "3",
        "--label",
        "depot=north",
    )
    assert [json.loads(line) for line in answer.output.splitlines()] == [VEHICLE] * 3
    assert web.asked[0].query == {
        "q": ["LTEST"],
        "online": ["true"],
        "alarm_min": ["2"],
        "sort": ["id"],
        "limit": ["3"],
        "label": ["depot:north"],
    }
    assert web.asked[1].query["cursor"] == ["c2"]


def test_vehicles_list_prints_a_table(carcloud, web):
    carcloud.runs_at(web)
    web.says("GET", "/v1/vehicles", {"items": [VEHICLE], "next_cursor": None, "total": 1})
    assert "depot=north" in carcloud("vehicles", "list").output


def test_vehicles_show_has_the_twin(carcloud, web):
    carcloud.runs_at(web)
    path = f"/v1/vehicles/{VEHICLE['id']}"
    web.says("GET", path, VEHICLE)
    speed = {"value": 63.5, "time": "2026-03-14T07:09:26Z", "unit": "km/h"}
    web.says("GET", path + "/twin", {"vehicle": VEHICLE["id"], "signals": {"Vehicle.Speed": speed}})
    answer = carcloud("vehicles", "show", VEHICLE["id"])
    assert "Vehicle.Speed" in answer.output
    assert "63.5" in answer.output


def test_vehicles_add_set_and_retire(carcloud, web):
    carcloud.runs_at(web)
    path = f"/v1/vehicles/{VEHICLE['id']}"
    web.says("POST", "/v1/vehicles", VEHICLE, 201)
    web.says("GET", path, VEHICLE, etag='"7"')
    web.says("PATCH", path, VEHICLE)
    web.says("DELETE", path, b"", 204)
    vehicle = VEHICLE["id"]
    results = [
        carcloud("vehicles", "add", vehicle, "--model", "ev-one", "--label", "depot=north"),
        carcloud("vehicles", "set", vehicle, "--lifecycle", "suspended", "--label", "depot="),
        carcloud("vehicles", "retire", vehicle, "--yes"),
    ]
    assert [result.exit_code for result in results] == [0, 0, 0]
    added, _, changed, _, retired = web.asked
    assert json.loads(added.body) == {
        "id": vehicle,
        "labels": {"depot": "north"},
        "model": "ev-one",
    }
    assert json.loads(changed.body) == {"lifecycle": "suspended", "labels": {"depot": None}}
    assert changed.headers["if-match"] == retired.headers["if-match"] == '"7"'


def test_vehicles_token_prints_the_token_alone_and_revokes_it(carcloud, web):
    carcloud.runs_at(web)
    path = f"/v1/vehicles/{VEHICLE['id']}/token"
    made = {"vehicle": VEHICLE["id"], "token": "cvt_x", "made": "2026-05-01T00:00:00Z"}
    web.says("POST", path, made, 201)
    web.says("DELETE", path, b"", 204)
    answer = carcloud("vehicles", "token", VEHICLE["id"])
    assert answer.exit_code == 0, answer.output
    assert answer.stdout == "cvt_x\n"
    assert json.loads(carcloud("vehicles", "token", VEHICLE["id"], "--json").stdout) == made
    answer = carcloud("vehicles", "token", VEHICLE["id"], "--revoke")
    assert answer.exit_code == 0, answer.output
    assert [(one.method, one.path) for one in web.asked] == [
        ("POST", path), ("POST", path), ("DELETE", path)
    ]  # fmt: skip


def test_vehicles_import_sends_parts_and_counts_lines_over_all(
    carcloud, web, tmp_path, monkeypatch
):
    monkeypatch.setattr("carcloud.cli.vehicles.IMPORT_ROWS", 2)
    carcloud.runs_at(web)
    file = tmp_path / "fleet.csv"
    file.write_text("id,label:depot\na,n\nb,n\n!,n\n")
    web.says("POST", "/v1/vehicles/import", {"created": 2, "updated": 0, "errors": []})
    bad = {"line": 2, "field": "id", "detail": "not valid"}
    web.says("POST", "/v1/vehicles/import", {"created": 0, "updated": 0, "errors": [bad]})
    answer = carcloud("vehicles", "import", str(file), "--json")
    assert answer.exit_code == 1
    assert json.loads(answer.stdout) == {"created": 2, "updated": 0, "errors": [{**bad, "line": 4}]}
    assert web.asked[1].body == b"id,label:depot\r\n!,n\r\n"


@pytest.mark.parametrize("content", ["", "vin\nx\n"])
def test_vehicles_import_refuses_a_file_without_ids(carcloud, web, tmp_path, content):
    carcloud.runs_at(web)
    (tmp_path / "fleet.csv").write_text(content)
    answer = carcloud("vehicles", "import", str(tmp_path / "fleet.csv"))
    assert "has no column id" in answer.output


@pytest.mark.parametrize(
    ("status", "document", "said"),
    [
        (401, {"title": "No access", "detail": "the token is not valid"}, "give a valid --token"),
        (
            400,
            {
                "title": "Bad",
                "detail": "no",
                "errors": [{"field": "sql", "detail": "not a SELECT"}],
            },
            "sql: not a SELECT",
        ),
        (500, b"oops", "answered 500"),
    ],
)
def test_a_refusal_is_one_line_with_the_next_step(carcloud, web, status, document, said):
    carcloud.runs_at(web)
    web.says("POST", "/v1/query", document, status)
    answer = carcloud("query", "DROP TABLE signals")
    assert answer.exit_code == 1
    assert said in answer.output
    assert len(answer.output.splitlines()) == 1


def test_a_demo_in_this_folder_is_found(web, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / DEMO_DATA / "run").mkdir(parents=True)
    (tmp_path / DEMO_DATA / "run" / "web.json").write_text(json.dumps({"url": web.url}))
    web.says("GET", "/v1/status", STATUS)
    assert CliRunner().invoke(main, ["status"]).exit_code == 0
    assert CliRunner().invoke(main, ["--set", "data=other", "status"]).exit_code == 1


def test_nothing_running_says_how_to_start(carcloud):
    answer = carcloud("status")
    assert "start one with `carcloud up`" in answer.output


def test_nobody_listening_says_so(carcloud):
    answer = carcloud("status", "--url", "http://127.0.0.1:9")
    assert "cannot reach http://127.0.0.1:9" in answer.output


def test_a_broken_run_file_says_what_to_give(carcloud):
    (carcloud.data / "run").mkdir()
    (carcloud.data / "run" / "web.json").write_text("[]")
    assert "give --url and --token" in carcloud("status").output
