"""A whole cloud of real processes, and a few simulated vehicles."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvloop
from prometheus_client.parser import text_string_to_metric_families

from carcloud.app.first_start import prepare
from carcloud.config import Settings
from carcloud.simulator.options import Progress, SimulateOptions, SimulateResult
from carcloud.simulator.run import simulate
from carcloud.supervisor import Supervisor


@dataclass
class Running:
    """The cloud and what a person at the console has."""

    supervisor: Supervisor
    admin: tuple[str, str]
    client: httpx.Client

    @property
    def port(self) -> int:
        return self.supervisor.run.facts("gateway")["gbt32960"]["port"]

    def simulate(
        self, vehicles: int = 5, reports: int = 15, seconds: float = 60, **more: object
    ) -> SimulateResult:
        """Until so many reports are acknowledged, but no longer than `seconds`."""
        options = SimulateOptions(port=self.port, vehicles=vehicles, seconds=seconds, **more)

        async def run() -> SimulateResult:
            stop = asyncio.Event()

            def look(progress: Progress) -> None:
                if progress.acknowledged >= reports:
                    stop.set()

            return await simulate(options, look, stop=stop)

        return uvloop.run(run())

    def figure(self, name: str, role: str) -> float:
        """A figure of all processes of a role together, as they told it last."""
        families = text_string_to_metric_families(self.client.get("/metrics").text)
        samples = (sample for family in families for sample in family.samples)
        return sum(
            sample.value
            for sample in samples
            if sample.name == f"carcloud_{name}" and sample.labels.get("role") == role
        )

    def is_ready(self) -> bool:
        return self.client.get("/readyz").status_code == 200

    def problems(self) -> set[str]:
        return {each["code"] for each in self.client.get("/v1/status").json()["problems"]}

    def until(self, condition: Callable[[], object], seconds: float = 60) -> None:
        """Tend the processes until something is so."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.client.get("/v1/status").json()
            self.supervisor.tend()
            time.sleep(0.2)


@contextmanager
def running(data: Path, **settings: object) -> Iterator[Running]:
    """Start with some settings, `__` for the dot; stop at the end."""
    given = {name.replace("__", "."): value for name, value in settings.items()}
    chosen = Settings(
        {
            "data": str(data),
            "web.port": 0,
            "storage.port": 0,
            "gateway.gbt32960.port": 0,
            "gateway.jt808.port": 0,
            "gateway.mqtt.port": 0,
            "gateway.auto_register": True,
            "gateway.gbt32960.reply_reports": True,
            **given,
        }
    )
    admin = prepare(chosen)
    assert admin is not None
    supervisor = Supervisor(chosen)
    try:
        supervisor.start()
        with httpx.Client(base_url=supervisor.run.facts("web")["url"], timeout=60) as client:
            client.headers["Authorization"] = f"Bearer {supervisor.run.local_token()}"
            yield Running(supervisor, admin, client)
    finally:
        supervisor.stop()


@pytest.fixture(scope="package")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One cloud for tests that leave it as it was; it logs everything, as JSON."""
    data = tmp_path_factory.mktemp("operation")
    with running(data, log__level="debug", log__format="json") as found:
        yield found
