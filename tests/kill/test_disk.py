"""A disk that fills up under load: nothing acknowledged is lost, and work resumes by itself."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvloop

from carcloud.app.first_start import prepare
from carcloud.simulator.options import SimulateOptions, SimulateResult
from carcloud.simulator.run import simulate
from carcloud.supervisor import Supervisor
from tests.kill.driving import settled
from tests.kill.scene import settings_for

pytestmark = pytest.mark.soak

SIZE_MB, RESERVE_MB = 160, 24


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, small enough to be filled."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    size = f"size={SIZE_MB}m"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine does not let us mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


class Ballast:
    """A file that takes room away until `keep` bytes are free."""

    def __init__(self, disk: Path) -> None:
        self._disk = disk
        self._file = disk / "ballast"

    def fill(self, keep: int) -> None:
        with self._file.open("ab", buffering=0) as out:
            while (free := shutil.disk_usage(self._disk).free) > keep:
                try:
                    out.write(b"\0" * min(1 << 20, max(free - keep, 1)))
                except OSError:
                    return  # full to the last byte

    def drop(self) -> None:
        self._file.unlink()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("keep", [RESERVE_MB * 900_000, 0], ids=["reserve", "last byte"])
def test_a_disk_that_fills_up_delays_acknowledgements_and_loses_nothing(disk, keep):
    settings = settings_for(disk / "data", disk__reserve_mb=RESERVE_MB)
    prepare(settings)
    supervisor, ballast = Supervisor(settings), Ballast(disk)
    try:
        supervisor.start()
        box: list[SimulateResult] = []
        options = SimulateOptions(
            port=settings.whole("gateway.gbt32960.port"), vehicles=30, seconds=30, seed=6,
            drain_s=90, reply_timeout_s=120,
        )  # fmt: skip
        fleet = threading.Thread(target=lambda: box.append(uvloop.run(simulate(options))))
        fleet.start()
        _until(supervisor, lambda: _acked(supervisor) > 100)

        def full() -> bool:
            ballast.fill(keep)  # again, where something was tidied up
            return _nobody_is_acknowledged(supervisor)

        _until(supervisor, full)
        ballast.drop()
        while fleet.is_alive():
            _tend(supervisor, 0.5)
        result = box[0]
        found = settled(supervisor, result)
        _until(supervisor, lambda: not _problems(supervisor))
    finally:
        supervisor.stop()
    print(found, f"p99 {result.ack_p99_ms:.0f} ms", supervisor.server_restarts)
    assert result.unconfirmed == 0
    assert result.acknowledged > 300
    assert result.ack_p99_ms > 3000  # acknowledgements waited
    assert (found.missing, found.duplicates) == (0, 0)
    assert found.stored == result.acknowledged


def _tend(supervisor: Supervisor, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        supervisor.tend()
        time.sleep(0.2)


def _until(supervisor: Supervisor, found, seconds: float = 90):
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline
        _tend(supervisor, 0.5)
    return value


def _client(supervisor: Supervisor) -> httpx.Client:
    token = supervisor.run.local_token()
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=supervisor.run.facts("web")["url"], headers=headers, timeout=30)


def _problems(supervisor: Supervisor) -> set[str]:
    with _client(supervisor) as client:
        return {each["code"] for each in client.get("/v1/status").json()["problems"]}


def _acked(supervisor: Supervisor) -> float:
    with _client(supervisor) as client:
        lines = client.get("/metrics").text.splitlines()
    return sum(float(x.rpartition(" ")[2]) for x in lines if x.startswith("carcloud_acked_total{"))


def _nobody_is_acknowledged(supervisor: Supervisor) -> bool:
    """For some seconds, and both problems are told. What was on its way when the disk was full,
    and the figures of processes, may take a while."""
    before = _acked(supervisor)
    _tend(supervisor, 6)
    told = {"disk-full", "stream-waits"} <= _problems(supervisor)
    return told and _acked(supervisor) == before > 0
