"""What vehicles sent, over HTTP: twin, history, SQL in all formats, dead letters, status."""

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.web.conftest import PATIENCE_S, until

from carcloud.model.ids import DEFAULT_TENANT
from carcloud.services.telemetry.tables import TABLES
from carcloud.services.tenancy.api import AuditFilter
from carcloud.services.vehicles.api import Login

START = 1_750_000_000_000_000  # us
SPAN = {"from": "2025-06-15T15:06:40Z", "to": "2025-06-15T15:07:40Z"}
CAR = "LTESTTELE00000001"
CELLS = "Vehicle.Powertrain.TractionBattery.CellVoltage.CellVoltages"


def fields(answer: httpx.Response) -> list[str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return [error["field"] for error in answer.json()["errors"]]


@pytest.fixture(scope="module")
def car(cloud: Any, make_frame: Any) -> str:
    cloud.register(CAR)
    frames = [
        make_frame(
            START + i * 1_000_000,
            speed=float(i),
            lon=116.0 + i / 1000,
            lat=40.0,
            cells=[3.5, 3.6],
            alarm=2 if i == 4 else 0,
            codes=["gb_insulation"] if i == 4 else [],
        )
        for i in range(10)
    ]
    cloud.send(CAR, *frames)
    return f"/v1/vehicles/{CAR}"


def test_twin(client: httpx.Client, car: str) -> None:
    twin = client.get(f"{car}/twin").json()
    assert twin["vehicle"] == CAR
    assert twin["time"] == "2025-06-15T15:06:49.000Z"
    speed = twin["signals"]["Vehicle.Speed"]
    assert speed == {
        "value": 9.0,
        "time": "2025-06-15T15:06:49.000Z",
        "unit": "km/h",
        "flagged": False,
    }
    assert twin["signals"][CELLS]["value"] == [3.5, 3.6]


def test_a_twin_tells_whether_the_vehicle_is_connected(client: httpx.Client, cloud: Any) -> None:
    name, path = "LTESTLINK00000001", "Vehicle.Connectivity.IsConnectivityAvailable"
    cloud.register(name)
    where = f"/v1/vehicles/{name}/twin"
    assert client.get(where).json()["signals"] == {}  # from now on sessions are followed
    told = {"instance": "twin-test", "full": True, "open": [[name, START, None, "2019"]]}
    cloud.tell_sessions(told | {"closed": []})
    until(lambda: client.get(where).json()["signals"])
    there = client.get(where).json()["signals"][path]
    assert (there["value"], there["time"]) == (True, "2025-06-15T15:06:40.000Z")
    cloud.tell_sessions(told | {"full": False, "open": [], "closed": [name]})
    until(lambda: client.get(where).json()["signals"][path]["value"] is False)


def test_a_silent_vehicle_has_an_empty_twin(client: httpx.Client, cloud: Any) -> None:
    cloud.register("LTESTMUTE00000001")
    twin = client.get("/v1/vehicles/LTESTMUTE00000001/twin").json()
    assert twin == {"vehicle": "LTESTMUTE00000001", "time": None, "signals": {}}
    assert client.get("/v1/vehicles/LTESTNONE00000001/twin").status_code == 404
    assert fields(client.get("/v1/vehicles/-/twin")) == ["vehicle"]


def test_frames_in_pages(client: httpx.Client, car: str) -> None:
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        asked = {"limit": 4, **({"cursor": cursor} if cursor else {})}
        page = client.get(f"{car}/frames", params=asked).json()
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [one["fields"]["Vehicle.Speed"] for one in found] == [float(i) for i in range(9, -1, -1)]
    assert bytes.fromhex(found[0]["hex"]).startswith(b"{")
    before = {"before": found[3]["time"], "limit": 1}
    [older] = client.get(f"{car}/frames", params=before).json()["items"]
    assert older["seq"] == found[4]["seq"]
    assert older["time"] == found[4]["time"]


def test_frames_are_read_in_the_edition_of_the_last_login(
    client: httpx.Client, cloud: Any, make_frame: Any
) -> None:
    name = "LTESTOLDE00000001"
    cloud.register(name)
    cloud.send(name, make_frame(1_700_000_000_000_000, speed=1.0))
    where = f"/v1/vehicles/{name}/frames"
    assert "edition" not in client.get(where).json()["items"][0]["fields"]
    login = Login(vehicle=name, protocol="test", address="127.0.0.1", edition="2011")
    assert cloud.vehicles.admit(login, auto_register=None).refusal is None
    assert client.get(where).json()["items"][0]["fields"]["edition"] == "2011"


def test_signals(client: httpx.Client, car: str) -> None:
    paths = f"Vehicle.Speed,{CELLS}[1],Vehicle.CurrentLocation.Altitude"
    asked = {**SPAN, "paths": paths, "points": 6}
    answer = client.get(f"{car}/signals", params=asked)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["bucket_ms"] == 10_000
    assert found["series"]["Vehicle.Speed"] == {
        "unit": "km/h",
        "time_ms": [START // 1000],
        "min": [0.0],
        "max": [9.0],
        "mean": [4.5],
    }
    assert found["series"][f"{CELLS}[1]"]["mean"] == pytest.approx([3.6])
    assert found["series"]["Vehicle.CurrentLocation.Altitude"]["time_ms"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "paths"),
        ("paths=", "paths"),
        ("paths=Vehicle.Nothing", "paths"),
        (f"paths={CELLS}", "paths"),
        ("paths=Vehicle.Speed&points=0", "points"),
        ("paths=Vehicle.Speed&points=99999", "points"),
        ("paths=Vehicle.Speed&from=yesterday", "from"),
        ("paths=Vehicle.Speed&to=2025-01-01", "to"),
        ("paths=Vehicle.Speed&from=2025-01-02T00:00:00Z&to=2025-01-01T00:00:00Z", "to"),
        ("paths=Vehicle.Speed&from=2001-01-02T00:00:00Z&to=2025-01-01T00:00:00Z", "from"),
    ],
)
def test_a_bad_question_names_the_field(
    client: httpx.Client, car: str, query: str, field: str
) -> None:
    answer = client.get(f"{car}/signals?{query}")
    assert answer.status_code == 400, answer.text
    assert fields(answer) == [field]


def test_trail_and_alarms(client: httpx.Client, car: str) -> None:
    trail = client.get(f"{car}/trail", params=SPAN).json()
    assert len(trail["lon"]) == len(trail["time_ms"]) == 10
    [alarm] = client.get(f"{car}/alarms", params=SPAN).json()["items"]
    assert alarm == {
        "code": "gb_insulation",
        "level": 2,
        "start": "2025-06-15T15:06:44.000Z",
        "end": "2025-06-15T15:06:45.000Z",
    }


def test_tables(client: httpx.Client, car: str) -> None:
    tables = {one["name"]: one for one in client.get("/v1/tables").json()["items"]}
    assert {"signals", "frames"} <= set(tables)
    columns = [one["name"] for one in tables["signals"]["columns"]]
    assert "Vehicle.Speed" in columns


def test_tables_answer_before_their_first_row(cloud: Any) -> None:
    cloud.settle("fresh", "newcomer")
    with cloud.client("newcomer") as newcomer:
        tables = {one["name"]: one for one in newcomer.get("/v1/tables").json()["items"]}
        assert list(tables) == ["campaign_events", "dead_letters", "frames", "signals"]
        assert {one["rows"] for one in tables.values()} == {0}
        columns = {one["name"]: one["type"] for one in tables["signals"]["columns"]}
        assert columns["Vehicle.Speed"] == "float"
        assert columns[CELLS] == "list<item: float>"
        for name in tables:
            sql = f"SELECT count(*), max(time) FROM {name}"  # noqa: S608
            answer = newcomer.post("/v1/query", json={"sql": sql}).json()
            assert answer["rows"] == [[0, None]]
        sql = 'SELECT vehicle, max("Vehicle.Speed") FROM signals GROUP BY 1'
        assert newcomer.post("/v1/query", json={"sql": sql}).json()["rows"] == []
        assert newcomer.get("/v1/dead-letters").json()["items"] == []


def test_a_signal_that_no_row_has_yet_is_null(client: httpx.Client, car: str) -> None:
    never = "Vehicle.Powertrain.FuelCell.Voltage"
    sql = f'SELECT count(*) > 0, max("{never}") FROM signals'  # noqa: S608
    assert client.post("/v1/query", json={"sql": sql}).json()["rows"] == [[True, None]]
    all_columns = client.post("/v1/query", json={"sql": "SELECT * FROM signals LIMIT 1"}).json()
    assert never not in [one["name"] for one in all_columns["columns"]]


SQL = f"""SELECT time, "Vehicle.Speed" AS speed, "{CELLS}" AS cells FROM signals
          WHERE vehicle = '{CAR}' ORDER BY time"""  # noqa: S608


def test_query_as_json(client: httpx.Client, car: str) -> None:
    answer = client.post("/v1/query", json={"sql": SQL, "rows": 3}).json()
    assert [one["name"] for one in answer["columns"]] == ["time", "speed", "cells"]
    assert answer["truncated"] is True
    assert [row[1] for row in answer["rows"]] == [0.0, 1.0, 2.0]
    assert answer["rows"][0][0] == "2025-06-15T15:06:40.000000Z"


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("application/vnd.apache.parquet", lambda data: pq.read_table(io.BytesIO(data))),
        ("application/vnd.apache.arrow.stream", lambda data: pa.ipc.open_stream(data).read_all()),
    ],
)
def test_query_as_a_file(client: httpx.Client, car: str, kind: str, read: Any) -> None:
    answer = client.post("/v1/query", json={"sql": SQL}, headers={"Accept": kind})
    assert answer.headers["content-type"] == kind
    assert answer.headers["x-truncated"] == "false"
    assert read(answer.content)["speed"].to_pylist() == [float(i) for i in range(10)]


def test_query_as_csv(client: httpx.Client, car: str) -> None:
    answer = client.post("/v1/query", json={"sql": SQL}, headers={"Accept": "text/csv"})
    lines = answer.text.splitlines()
    assert lines[0] == '"time","speed","cells"'
    assert len(lines) == 11
    assert lines[1].endswith(',0,"[3.5,3.6]"')


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "sql"),
        ({"sql": ""}, "sql"),
        ({"sql": "DROP TABLE signals"}, "sql"),
        ({"sql": "SELECT * FROM nothing"}, "sql"),
        ({"sql": "SELEC"}, "sql"),
        ({"sql": "COPY signals TO 'x.csv'"}, "sql"),
        ({"sql": "SELECT 1", "rows": 0}, "rows"),
    ],
)
def test_a_bad_query_names_the_field(client: httpx.Client, car: str, body: Any, field: str) -> None:
    answer = client.post("/v1/query", json=body)
    assert answer.status_code == 400, answer.text
    assert fields(answer) == [field]


def test_the_registry_of_tables_knows_what_ingest_writes(
    client: httpx.Client, cloud: Any, car: str
) -> None:
    cloud.send("LTESTREG000000001", b"no JSON: a dead letter")
    known = {table.name: set(table.columns.names) for table in TABLES}
    for table in client.get("/v1/tables").json()["items"]:
        columns = {one["name"] for one in table["columns"]} - {"date"}
        signals = {name for name in columns if name.startswith("Vehicle.")}
        assert columns - signals == known[table["name"]]
        assert bool(signals) == (table["name"] == "signals")


ENDLESS = "SELECT sum(hash(range)) FROM range(100000000000000)"


def _running(cloud: Any, count: int) -> None:
    """Wait until so many queries run."""
    until(lambda: cloud.telemetry.queries.running == count)


def test_a_query_is_cancelled_by_its_id(client: httpx.Client, cloud: Any, car: str) -> None:
    """Two run, as many as the lake here runs at once; a third one gets the place of the first."""
    before = cloud.telemetry.queries.cancelled
    with ThreadPoolExecutor() as threads:
        asked = [
            threads.submit(client.post, "/v1/query", json={"sql": ENDLESS, "id": f"slow-{i}"})
            for i in range(2)
        ]
        _running(cloud, 2)
        again = client.post("/v1/query", json={"sql": "SELECT 1", "id": "slow-1"})
        assert (again.status_code, fields(again)) == (400, ["id"])
        cloud.settle("default", "colleague")
        for user in ("colleague", "stranger"):  # of the same tenant, and of another
            with cloud.client(user) as somebody_else:
                assert somebody_else.delete("/v1/queries/slow-0").status_code == 404
        for query, answer in zip(("slow-0", "slow-1"), asked, strict=True):
            assert client.delete(f"/v1/queries/{query}").status_code == 204
            refused = answer.result(PATIENCE_S)
            assert refused.status_code == 409
            assert refused.json()["type"] == "urn:carcloud:problem:query-cancelled"
            assert client.delete(f"/v1/queries/{query}").status_code == 404
            quick = client.post("/v1/query", json={"sql": "SELECT count(*) FROM signals"})
            assert quick.status_code == 200, quick.text
    assert cloud.telemetry.queries.cancelled == before + 2


def test_a_query_ends_when_its_client_leaves(client: httpx.Client, cloud: Any, car: str) -> None:
    for _ in range(2):
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/query", json={"sql": ENDLESS}, timeout=1.5)
    _running(cloud, 0)
    assert client.post("/v1/query", json={"sql": "SELECT 1"}).json()["rows"] == [[1]]


def letters(client: httpx.Client, vehicle: str) -> list[dict[str, Any]]:
    answer = client.get("/v1/dead-letters", params={"vehicle": vehicle})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def test_a_dead_letter_is_read_again(client: httpx.Client, cloud: Any, make_frame: Any) -> None:
    name = "LTESTDEAD00000001"
    cloud.register(name)
    cloud.send(name, make_frame(START, speed=5.0, bad=True))
    [letter] = letters(client, name)
    assert (letter["reason"], letter["clause"]) == ("says it is bad", "test clause 2")
    assert letter["offset"] == 3
    assert letter["size"] == len(letter["hex"]) // 2
    where = f"/v1/dead-letters/{letter['id']}"
    assert client.get(where).json() == letter

    again = client.post(f"{where}/reprocess").json()
    assert again == {"outcome": "still-bad", "reason": "says it is bad"}
    [newer] = letters(client, name)
    assert newer["id"] != letter["id"]

    cloud.decoder.lenient = True
    try:
        done = client.post(f"/v1/dead-letters/{newer['id']}/reprocess").json()
    finally:
        cloud.decoder.lenient = False
    assert done == {"outcome": "stored"}
    assert letters(client, name) == []
    sql = f"SELECT count(*) FROM signals WHERE vehicle = '{name}'"  # noqa: S608
    assert client.post("/v1/query", json={"sql": sql}).json()["rows"] == [[1]]


def test_dead_letters_of_a_reason_are_read_again(client: httpx.Client, cloud: Any) -> None:
    names = [f"LTESTBULK{n:08d}" for n in range(5)]
    for name in names:
        cloud.send(name, b"nonsense from " + name.encode())
    page = client.get("/v1/dead-letters", params={"reason": "not JSON", "limit": 2}).json()
    counts = {one["reason"]: one["count"] for one in page["reasons"]}
    assert counts["not JSON"] == page["total"] >= 5
    found: list[str] = []
    limit = min(page["total"] // 2, 200)  # some pages, whatever other tests left
    asked: dict[str, Any] = {"reason": "not JSON", "limit": limit}
    while True:
        page = client.get("/v1/dead-letters", params=asked).json()
        found += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        asked["cursor"] = page["next_cursor"]
    assert len(found) == len(set(found)) == counts["not JSON"]
    answer = client.post("/v1/dead-letters/reprocess", json={"reason": "not JSON"}).json()
    assert answer == {"tried": len(found), "queued": len(found)}


def test_reasons_that_differ_in_numbers_are_one_kind(client: httpx.Client, cloud: Any) -> None:
    texts = [
        f"length: {n} bytes follow where {n * 7} were told by LTESTKIND{n:08d}" for n in range(1000)
    ]
    cloud.refuse("LTESTKIND00000001", b"frame", *texts)
    page = client.get("/v1/dead-letters", params={"vehicle": "LTESTKIND00000001"}).json()
    kind = "length: # bytes follow where # were told by #"
    [group] = [one for one in page["reasons"] if one["reason"].startswith("length")]
    assert group == {"reason": kind, "clause": "B.1", "count": 1000}
    assert {one["reason"] for one in page["items"]} <= set(texts)
    of_kind = client.get("/v1/dead-letters", params={"reason": kind, "limit": 1}).json()
    assert (of_kind["total"], of_kind["items"][0]["reason"] in texts) == (1000, True)
    exact = client.get("/v1/dead-letters", params={"reason": texts[77]}).json()
    assert [one["reason"] for one in exact["items"]] == [texts[77]]
    put_back = client.post("/v1/dead-letters/reprocess", json={"reason": kind}).json()
    assert put_back == {"tried": 1000, "queued": 1000}


def test_no_such_dead_letter(client: httpx.Client) -> None:
    assert client.get("/v1/dead-letters/none").status_code == 404
    assert client.post("/v1/dead-letters/none/reprocess").status_code == 404
    assert fields(client.get("/v1/dead-letters?cursor=x")) == ["cursor"]
    assert fields(client.post("/v1/dead-letters/reprocess", json={"reason": 1})) == ["reason"]


@pytest.mark.usefixtures("patient")
def test_status_and_metrics(client: httpx.Client, cloud: Any) -> None:
    report = {
        "role": "gateway",
        "instance": "g1",
        "pid": 12,
        "uptime_s": 1.5,
        "memory_bytes": 1000,
        "counters": {"frames_total": 10},
        "gauges": {
            'vehicles_online{tenant="default"}': 3,
            'platforms_online{tenant="default"}': 1,
        },
        "problems": [{"code": "stream-waits", "detail": "no answer", "since": START}],
    }
    cloud.tell_status(report)
    cloud.tell_status({**report, "counters": {"frames_total": 30}})
    status = client.get("/v1/status").json()
    assert (status["connected"], status["platforms"]) == (3, 1)
    assert status["frames_per_second"] > 0
    assert "stream-waits" in [one["code"] for one in status["problems"]]
    assert status["disk"]["free_bytes"] > 0
    [role] = [one for one in status["roles"] if one["instance"] == "g1"]
    assert role["alive"] is True
    with cloud.administering(), cloud.client() as chief:  # others learn nothing of tenants
        text = chief.get("/metrics").text
    assert 'carcloud_frames_total{role="gateway",instance="g1"} 30' in text
    assert "# TYPE carcloud_frames_total counter" in text
    assert 'carcloud_vehicles_online{tenant="default",role="gateway",instance="g1"} 3' in text


def test_what_the_gateway_refused_is_read_again_by_force_alone(
    client: httpx.Client, cloud: Any, make_frame: Any
) -> None:
    name, good = "LTESTDEAD00000009", "LTESTDEAD00000008"
    cloud.register(name, good)
    cloud.refuse(name, make_frame(START, speed=5.0), "no-login: not logged in")
    [letter] = letters(client, name)
    where = f"/v1/dead-letters/{letter['id']}/reprocess"
    bulk = client.post("/v1/dead-letters/reprocess", json={"reason": letter["reason"]}).json()
    assert bulk == {"tried": 1, "queued": 0}
    assert fields(client.post(where)) == ["force"]
    assert fields(client.post(where, json={})) == ["force"]
    assert letters(client, name) == [letter]
    assert client.post(where, json={"force": True}).json() == {"outcome": "stored"}
    assert letters(client, name) == []
    [entry] = cloud.tenancy.trail.page(DEFAULT_TENANT, AuditFilter(subject=letter["id"])).items
    assert (entry.actor, entry.action) == ("tester", "dead-letter.reprocess")
    assert entry.after["force"] is True


def test_blocks_of_letters_that_begin_alike_are_both_read_again(
    client: httpx.Client, cloud: Any
) -> None:
    """The first letter of a block must not stand for all of it."""
    frames = [b"alike one", b"alike two"]
    cloud.send("LTESTALIKE0000001", *frames)
    found = {one["hex"]: one["id"] for one in letters(client, "LTESTALIKE0000001")}
    assert len(found) == 2
    first = max(found.values())
    assert client.post(f"/v1/dead-letters/{first}/reprocess").json()["outcome"] == "still-bad"
    again = letters(client, "LTESTALIKE0000001")
    assert len(again) == 2
    client.post("/v1/dead-letters/reprocess", json={"reason": "not JSON"})
    cloud.send("LTESTALIKE0000002", b"last")  # those before it have been dealt with
    assert len(letters(client, "LTESTALIKE0000001")) == 2
