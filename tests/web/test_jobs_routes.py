"""Routes of jobs and schedules, over HTTP on real engines."""

import io
import json
import time
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

EXPORT = {"kind": "query-export", "params": {"sql": "SELECT 42 AS answer", "file": "answer"}}
NOWHERE = "0123456789abcdef"


def ended(client: httpx.Client, job: str) -> Any:
    deadline = time.monotonic() + 100
    while True:
        found = client.get(f"/v1/jobs/{job}").json()
        if found["state"] not in ("queued", "running"):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


@pytest.fixture(scope="module")
def done(cloud: Any) -> Any:
    """A job that has ended."""
    with cloud.client() as client:
        made = client.post("/v1/jobs", json={**EXPORT, "name": "The answer"})
        assert made.status_code == 201, made.text
        assert made.json()["user"] == "tester"
        return ended(client, made.json()["id"])


def test_a_job_is_submitted_and_done(client: httpx.Client, done: Any) -> None:
    assert (done["state"], done["attempt"], done["error"]) == ("succeeded", 1, None)
    assert done["result"]["rows"] == 1
    assert done["params"]["sql"] == EXPORT["params"]["sql"]  # type: ignore[index]
    assert [one["outcome"] for one in done["attempts"]] == ["succeeded"]
    assert done["metrics"]["rows"][0][1] == 1
    listed = client.get("/v1/jobs", params={"q": "the ans", "state": "succeeded"}).json()["items"]
    assert done["id"] in [job["id"] for job in listed]


def test_its_log_is_read_in_parts(client: httpx.Client, done: Any) -> None:
    where = f"/v1/jobs/{done['id']}/log"
    whole = client.get(where).json()
    assert whole["text"].startswith("answer.parquet: 1 rows")
    assert (whole["start"], whole["end"]) == (0, whole["size"])
    part = client.get(where, params={"start": 7, "limit": 7}).json()
    assert (part["text"], part["start"], part["end"]) == (whole["text"][7:14], 7, 14)
    assert client.get(where, params={"start": -5}).json()["text"] == whole["text"][-5:]
    assert client.get(where, params={"attempt": 9}).json()["size"] == 0


def test_its_files_are_fetched_whole_and_in_ranges(client: httpx.Client, done: Any) -> None:
    where = f"/v1/jobs/{done['id']}/artifacts"
    (file,) = client.get(where).json()["items"]
    answer = client.get(f"{where}/{file['name']}")
    assert answer.status_code == 200
    assert len(answer.content) == file["bytes"] == int(answer.headers["content-length"])
    assert pq.read_table(io.BytesIO(answer.content)).to_pylist() == [{"answer": 42}]
    assert answer.headers["content-disposition"] == 'attachment; filename="answer.parquet"'
    part = client.get(f"{where}/{file['name']}", headers={"range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, answer.content[4:8])
    assert part.headers["content-range"] == f"bytes 4-7/{file['bytes']}"
    tail = client.get(f"{where}/{file['name']}", headers={"range": "bytes=-4"})
    assert tail.content == b"PAR1"
    beyond = client.get(f"{where}/{file['name']}", headers={"range": "bytes=99999-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (
        416,
        f"bytes */{file['bytes']}",
    )
    assert client.get(f"{where}/other.parquet").status_code == 404
    assert client.get(f"{where}/..%2f..%2fsecret").status_code == 404


def test_it_can_be_followed(client: httpx.Client) -> None:
    job = client.post("/v1/jobs", json=EXPORT).json()["id"]
    text, states, name = "", [], ""
    with client.stream("GET", f"/v1/jobs/{job}/events", timeout=100) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: ") and name == "log":
                text += json.loads(line[6:])["text"]
            elif line.startswith("data: "):
                states.append(json.loads(line[6:])["state"])
    assert states[-1] == "succeeded"
    assert text == client.get(f"/v1/jobs/{job}/log").json()["text"]
    assert client.get(f"/v1/jobs/{NOWHERE}/events").status_code == 404


def test_a_batch_is_taken_whole_or_not_at_all(client: httpx.Client) -> None:
    first, second = {**EXPORT, "key": "a"}, {**EXPORT, "key": "b", "after": ["a"]}
    made = client.post("/v1/jobs/batch", json={"jobs": [second, first]})
    assert made.status_code == 201, made.text
    ends = [ended(client, job["id"]) for job in made.json()["items"]]
    assert ends[0]["started"] >= ends[1]["ended"]
    ahead = client.get(f"/v1/jobs/{ends[0]['id']}").json()["after"]
    assert [(one["id"], one["state"]) for one in ahead] == [(ends[1]["id"], "succeeded")]
    assert ends[1]["after"] == []
    before = client.get("/v1/jobs").json()["items"][0]["id"]
    circle = {"jobs": [second, {**first, "after": ["b"]}]}
    answer = client.post("/v1/jobs/batch", json=circle)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "after")
    assert client.get("/v1/jobs").json()["items"][0]["id"] == before


def test_cancel(client: httpx.Client, done: Any) -> None:
    # it waits for the one before, which never ends by itself within this test
    long = {"kind": "query-export", "params": {"sql": "SELECT count(*) FROM range(1000000000000)"}}
    job = client.post("/v1/jobs", json=long).json()["id"]
    waiting = client.post("/v1/jobs", json={**EXPORT, "after": [job]}).json()["id"]
    assert client.post(f"/v1/jobs/{job}/cancel").status_code == 200
    assert ended(client, job)["state"] == "cancelled"
    assert ended(client, waiting)["state"] == "cancelled"
    assert client.post(f"/v1/jobs/{done['id']}/cancel").status_code == 409
    assert client.post(f"/v1/jobs/{NOWHERE}/cancel").status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "magic"}, "kind"), ({"params": {}}, "params"), ({"priority": 10}, "priority"),
        ({"params": {"sql": "SELECT 1", "colour": 1}}, "params"), ({"colour": 1}, "colour"),
        ({"timeout_s": 0}, "timeout_s"), ({"after": [NOWHERE]}, "after"),
    ],
)  # fmt: skip
def test_wrong_fields_are_named(client: httpx.Client, change: dict[str, Any], field: str) -> None:
    answer = client.post("/v1/jobs", json={**EXPORT, **change})
    assert answer.status_code == 400
    assert field in str(answer.json())


def test_kinds_have_schemas(client: httpx.Client) -> None:
    kinds = {kind["name"]: kind for kind in client.get("/v1/job-kinds").json()["items"]}
    assert "sql" in json.dumps(kinds["query-export"]["params"])


def test_schedules(client: httpx.Client) -> None:
    new = {"name": "nightly", "cron": "30 2 * * *", "timezone": "Asia/Shanghai", "job": EXPORT}
    made = client.post("/v1/schedules", json=new)
    assert made.status_code == 201, made.text
    assert made.json()["next"][11:19] == "18:30:00"
    planned = made.json()["upcoming"]
    assert (planned[0], len(planned)) == (made.json()["next"], 5)
    asked = {"line": new["cron"], "timezone": new["timezone"]}
    assert client.get("/v1/cron", params=asked).json()["times"] == planned
    wrong = client.get("/v1/cron", params={"line": "61 * * * *"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (400, "cron")
    assert client.post("/v1/schedules", json=new).status_code == 409
    where, tag = "/v1/schedules/nightly", made.headers["etag"]
    body = {**{k: v for k, v in new.items() if k != "name"}, "enabled": False}
    assert client.put(where, json=body).status_code == 428
    changed = client.put(where, json=body, headers={"if-match": tag})
    assert (changed.status_code, changed.json()["next"]) == (200, None)
    assert changed.json()["upcoming"] == []
    assert client.put(where, json=body, headers={"if-match": tag}).status_code == 412
    assert [one["name"] for one in client.get("/v1/schedules").json()["items"]] == ["nightly"]
    for wrong in ({"cron": "61 * * * *"}, {"cron": "0 0 30 2 *"}, {"timezone": "Mars/Base"}):
        answer = client.post("/v1/schedules", json={**new, "name": "x", **wrong})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, *wrong)
    assert client.delete(where).status_code == 204
    assert client.get(where).status_code == 404


def test_viewers_look_and_strangers_see_nothing(cloud: Any, done: Any) -> None:
    where = f"/v1/jobs/{done['id']}"
    with cloud.client("viewer") as viewer:
        assert viewer.get(where).status_code == 200
        assert viewer.post("/v1/jobs", json=EXPORT).status_code == 403
        assert viewer.post(f"{where}/cancel").status_code == 403
    with cloud.client("stranger") as stranger:
        for path in ("", "/log", "/events", "/artifacts", "/artifacts/answer.parquet"):
            assert stranger.get(where + path).status_code == 404, path
        assert stranger.post(f"{where}/cancel").status_code == 404
        assert stranger.get("/v1/jobs").json()["items"] == []
