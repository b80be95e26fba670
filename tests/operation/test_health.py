"""What health, readiness and the console say when an engine is down, and after."""

import os
import shutil
import signal
from functools import partial

import pytest

from tests.operation.conftest import Running, running


@pytest.mark.soak
@pytest.mark.timeout(240)
def test_a_stream_that_hangs_is_told_and_vanishes_from_the_problems(cloud: Running):

    def working() -> set[str]:
        engines = cloud.client.get("/readyz").json()["engines"]
        return {name for name, answer in engines.items() if answer == "ok"}

    assert cloud.client.get("/healthz").json() == {"status": "ok", "engines": {}}
    cloud.until(cloud.is_ready)
    pid = cloud.supervisor.pids()["stream"]
    os.kill(pid, signal.SIGSTOP)
    try:
        ready = cloud.client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["engines"]["stream"] != "ok"
        cloud.until(lambda: working() == {"records", "lake"})
        assert cloud.client.get("/healthz").status_code == 200
        cloud.until(lambda: cloud.problems() == {"stream-down"})
        assert "carcloud_stream_up 0" in cloud.client.get("/metrics").text
        answer = cloud.client.post("/v1/query", json={"sql": "SELECT 1"})
        assert answer.status_code == 200  # history can still be read
    finally:
        os.kill(pid, signal.SIGCONT)
    cloud.until(lambda: cloud.is_ready() and not cloud.problems())


@pytest.mark.soak
@pytest.mark.timeout(240)
def test_a_stream_that_is_killed_is_started_again_and_all_is_well(cloud: Running):
    restarts = cloud.supervisor.server_restarts
    os.kill(cloud.supervisor.pids()["stream"], signal.SIGKILL)
    cloud.until(lambda: cloud.supervisor.server_restarts > restarts)
    cloud.until(lambda: cloud.is_ready() and not cloud.problems())
    told = cloud.simulate(vehicles=2, reports=4)
    assert told.acknowledged >= 4
    assert told.unconfirmed == 0


@pytest.mark.soak
@pytest.mark.timeout(240)
def test_a_disk_below_its_reserve_is_told_and_nobody_is_acknowledged(tmp_path):
    free = shutil.disk_usage(tmp_path).free // 1_000_000
    with running(tmp_path, disk__reserve_mb=free + 100_000) as cloud:
        told = cloud.simulate(vehicles=2, seconds=3, drain_s=1, login_timeout_s=3)
        assert told.acknowledged == 0
        cloud.until(lambda: cloud.problems() >= {"disk-full", "stream-waits"})
        text = cloud.client.get("/metrics").text
        assert 'carcloud_stream_retries_total{reason="disk.reserve_mb"' in text
        cloud.until(cloud.is_ready)


@pytest.mark.soak
@pytest.mark.timeout(240)
def test_a_lake_that_cannot_be_written_is_told_and_work_resumes(tmp_path):
    with running(tmp_path) as cloud:
        tables = tmp_path / "tenants" / "default"
        cloud.until(lambda: not cloud.problems())
        shutil.rmtree(tables, ignore_errors=True)
        tables.parent.mkdir(exist_ok=True)
        tables.write_text("a file where the tenant's tables should be")
        told = cloud.simulate(vehicles=3, reports=9)
        assert told.acknowledged >= 9  # the stream keeps them
        assert told.unconfirmed == 0
        cloud.until(lambda: "lake-waits" in cloud.problems())
        cloud.until(lambda: cloud.client.get("/v1/status").json()["lag_frames"] > 0)
        tables.unlink()
        cloud.until(lambda: not cloud.problems())
        sql = "SELECT count(*) AS n, count(DISTINCT (vehicle, time)) AS d FROM signals"
        wanted = [[told.acknowledged, told.acknowledged]]
        answer = partial(cloud.client.post, "/v1/query", json={"sql": sql})
        cloud.until(lambda: answer().json().get("rows") == wanted)
