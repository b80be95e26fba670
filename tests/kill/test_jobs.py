"""`carcloud up` while its jobs process is killed: none is lost, none counts undone."""

import json
import os
import signal
import time
from typing import Any

import httpx
import pytest

from carcloud.app.first_start import prepare
from carcloud.supervisor import Supervisor
from tests.kill.test_spine import settings_for

pytestmark = pytest.mark.soak

JOBS, KILLS = 30, 4


def submit(client: httpx.Client, number: int) -> str:
    sql = f"SELECT {number} AS x FROM range(200000)"  # noqa: S608
    params = {"sql": sql, "format": "csv"}
    answer = client.post("/v1/jobs", json={"kind": "query-export", "params": params})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def all_ended(supervisor: Supervisor, client: httpx.Client, jobs: list[str]) -> list[Any]:
    deadline = time.monotonic() + 100
    while True:
        supervisor.tend()
        found = [client.get(f"/v1/jobs/{job}").json() for job in jobs]
        if all(job["state"] not in ("queued", "running") for job in found):
            return found
        assert time.monotonic() < deadline, json.dumps(found)[:2000]
        time.sleep(0.2)


@pytest.mark.timeout(240)
def test_jobs_survive_the_end_of_the_jobs_process(tmp_path):
    settings = settings_for(tmp_path)
    prepare(settings)
    supervisor = Supervisor(settings)
    try:
        supervisor.start()
        web = json.loads((tmp_path / "run" / "web.json").read_text())
        headers = {"authorization": f"Bearer {web['token']}"}
        with httpx.Client(base_url=web["url"], headers=headers, timeout=30) as client:
            jobs = [submit(client, number) for number in range(JOBS)]
            for _ in range(KILLS):
                deadline = time.monotonic() + 40
                while not client.get("/v1/jobs", params={"state": "running"}).json()["items"]:
                    supervisor.tend()
                    if time.monotonic() > deadline:
                        break
                    time.sleep(0.02)
                os.kill(supervisor.pids()["jobs"], signal.SIGKILL)
                supervisor.tend()
            ended = all_ended(supervisor, client, jobs)
            artifacts = [client.get(f"/v1/jobs/{job}/artifacts/rows.csv").content for job in jobs]
    finally:
        supervisor.stop()
    assert {job["state"] for job in ended} == {"succeeded"}
    for number, content in enumerate(artifacts):  # each has exactly what its job was to make
        assert content == b'"x"\n' + f"{number}\n".encode() * 200_000
    outcomes = [attempt["outcome"] for job in ended for attempt in job["attempts"]]
    assert outcomes.count("succeeded") == JOBS
    assert outcomes.count("interrupted") >= 1
    assert set(outcomes) == {"succeeded", "interrupted"}
