"""`carcloud up` while its jobs process is killed: none is lost, none counts undone."""

import json
import time
from typing import Any

import httpx
import pytest

from carcloud.app.first_start import prepare
from carcloud.supervisor import Supervisor
from tests.kill.driving import halted
from tests.kill.scene import settings_for

pytestmark = pytest.mark.soak

JOBS, KILLS = 30, 4
Attempt = tuple[str, int]  # job, number


def submit(client: httpx.Client, number: int) -> str:
    sql = f"SELECT {number} AS x FROM range(200000)"  # noqa: S608
    params = {"sql": sql, "format": "csv"}
    answer = client.post("/v1/jobs", json={"kind": "query-export", "params": params})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def at_work(client: httpx.Client) -> set[Attempt]:
    """The attempts that run, or did so when their runner was killed."""
    found = client.get("/v1/jobs", params={"state": "running"}).json()["items"]
    return {(job["id"], job["attempt"]) for job in found}


def kill_at_work(
    supervisor: Supervisor, client: httpx.Client, jobs: list[str], known: set[Attempt]
) -> set[Attempt]:
    """The attempts of which the jobs process is killed; those that are `known` are another's.

    Where all jobs are done before, there is one more.
    """
    deadline = time.monotonic() + 100
    while True:
        supervisor.tend()
        if at_work(client) - known:
            process = supervisor.children["jobs"].process
            with halted(process.pid):
                found = at_work(client) - known
                if found:  # none of them has ended, and none will
                    process.kill()
                    return found
        elif not client.get("/v1/jobs", params={"state": "queued"}).json()["items"]:
            jobs.append(submit(client, len(jobs)))
        assert time.monotonic() < deadline
        time.sleep(0.02)


def all_ended(supervisor: Supervisor, client: httpx.Client, jobs: list[str]) -> list[Any]:
    deadline = time.monotonic() + 150
    while True:
        supervisor.tend()
        found = [client.get(f"/v1/jobs/{job}").json() for job in jobs]
        if all(job["state"] not in ("queued", "running") for job in found):
            return found
        assert time.monotonic() < deadline, json.dumps(found)[:2000]
        time.sleep(0.2)


@pytest.mark.timeout(300)
def test_jobs_survive_the_end_of_the_jobs_process(tmp_path):
    settings = settings_for(tmp_path)
    prepare(settings)
    supervisor = Supervisor(settings)
    killed: set[Attempt] = set()
    try:
        supervisor.start()
        web = json.loads((tmp_path / "run" / "web.json").read_text())
        headers = {"authorization": f"Bearer {web['token']}"}
        with httpx.Client(base_url=web["url"], headers=headers, timeout=60) as client:
            jobs = [submit(client, number) for number in range(JOBS)]
            for _ in range(KILLS):
                killed |= kill_at_work(supervisor, client, jobs, killed)
            ended = all_ended(supervisor, client, jobs)
            artifacts = [client.get(f"/v1/jobs/{job}/artifacts/rows.csv").content for job in jobs]
    finally:
        supervisor.stop()
    assert {job["state"] for job in ended} == {"succeeded"}
    for number, content in enumerate(artifacts):  # each has exactly what its job was to make
        assert content == b'"x"\n' + f"{number}\n".encode() * 200_000
    tried = {(job["id"], one["number"]): one["outcome"] for job in ended for one in job["attempts"]}
    assert len(killed) >= KILLS
    assert {attempt for attempt, outcome in tried.items() if outcome == "interrupted"} == killed
    assert list(tried.values()).count("succeeded") == len(jobs)
    assert set(tried.values()) == {"succeeded", "interrupted"}
