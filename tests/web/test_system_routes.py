"""The operator's page over HTTP, and what stands behind each port."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from carcloud import __version__
from carcloud.app.engine_facts import known_engines
from carcloud.app.engines import Engines
from carcloud.app.first_start import prepare
from carcloud.config import Settings
from carcloud.ports.errors import Unavailable
from carcloud.web.api.system import look
from carcloud.web.given import Engine


@pytest.fixture
def operator(cloud: Any) -> Iterator[httpx.Client]:
    with cloud.administering(), cloud.client() as client:
        yield client


def test_only_an_administrator_sees_the_installation(cloud: Any) -> None:
    with cloud.client("viewer") as viewer:
        assert viewer.get("/v1/system").status_code == 403


@pytest.mark.usefixtures("patient")
def test_processes_are_told_with_their_versions(cloud: Any, operator: httpx.Client) -> None:
    report = {"role": "ingest", "instance": "i-9", "pid": 99, "uptime_s": 5, "memory_bytes": 1000}
    cloud.tell_status({**report, "version": __version__, "gauges": {"lag_frames": 7}})
    seen = operator.get("/v1/system").json()
    (role,) = [one for one in seen["roles"] if one["instance"] == "i-9"]
    assert (role["version"], role["alive"], role["memory_bytes"]) == (__version__, True, 1000)
    assert seen["version"] == __version__
    assert seen["lag_frames"] >= 7
    assert seen["disk"]["free_bytes"] > 0


def test_engines_are_asked_and_their_places_hold_no_secret(cloud: Any, tmp_path: Path) -> None:
    settings = Settings(
        {"data": str(tmp_path), "lake.url": "s3://lake/here", "stream.url": "nats://u:p@a:1,b:2"}
    )
    prepare(settings)
    engines = {
        one.name: one
        for one in known_engines(settings, Engines(settings, cloud.stream), cloud.telemetry)
    }
    assert list(engines) == ["stream", "lake", "records", "blobs", "compute"]
    assert engines["lake"].place == "s3://lake/here"
    assert engines["stream"].place == "nats://a:1"
    assert (engines["records"].kind, engines["compute"].role) == ("SQLite", "jobs")
    for name in ("stream", "records", "blobs"):
        cloud.run(engines[name].check())


def test_an_engine_that_is_away_is_told_and_no_error(cloud: Any) -> None:
    async def away() -> object:
        raise Unavailable("the lake does not answer")

    status = cloud.telemetry.installation()
    seen = cloud.run(look(Engine("lake", "Delta Lake", "1", "", away), status))
    assert (seen.state, seen.answer_ms) == ("the lake does not answer", None)
    nobody = cloud.run(look(Engine("compute", "Ray", "", "", role="nobody"), status))
    assert nobody.state == "no process of the role nobody"
