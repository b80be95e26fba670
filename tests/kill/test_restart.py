"""Web and gateway processes are replaced while people ask and vehicles report: no gap."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from carcloud.app.first_start import prepare
from carcloud.simulator.options import Progress, SimulateOptions
from carcloud.supervisor import Change, Child, Supervisor
from tests.kill.driving import drive, settled
from tests.kill.scene import settings_for

pytestmark = pytest.mark.soak


class Asking(threading.Thread):
    """Asks one question after the other, over a kept connection or a new one each time."""

    def __init__(self, url: str, token: str, *, keep: bool) -> None:
        super().__init__()
        self._url, self._token, self._keep = url, token, keep
        self.answers, self.failures = 0, []
        self.over = False

    def run(self) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        if not self._keep:
            headers["Connection"] = "close"
        with httpx.Client(base_url=self._url, headers=headers, timeout=60) as http:
            while not self.over:
                try:
                    answer = http.get("/v1/vehicles?limit=5")
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                else:
                    self.answers += 1
                    if answer.status_code != 200:
                        self.failures.append(f"{answer.status_code} {answer.text}")
                time.sleep(0.01)


def restart(data: Path, role: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "carcloud", "restart", role, "--data", str(data)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.timeout(300)
def test_no_request_fails_and_no_acknowledged_frame_is_lost(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    prepare(settings)
    supervisor = Supervisor(settings)
    asking: list[Asking] = []
    commands: dict[str, subprocess.Popen[str]] = {}
    try:
        supervisor.start()
        port = supervisor.settings.whole("gateway.gbt32960.port")
        before = supervisor.pids()
        url, token = supervisor.run.facts("web")["url"], supervisor.run.local_token()
        asking = [Asking(url, token, keep=keep) for keep in (True, False)]
        for each in asking:
            each.start()
        connected = 0

        def disturb() -> None:
            if not commands and connected == options.vehicles:
                commands.update({role: restart(tmp_path, role) for role in ("web", "gateway")})

        def restarted(now: Progress) -> bool:
            nonlocal connected
            connected = now.connected
            return bool(commands) and all(one.poll() is not None for one in commands.values())

        options = SimulateOptions(
            port=port, vehicles=30, seconds=15, seed=8, backoff_s=(0.2, 1.0), drain_s=60
        )
        result = drive(supervisor, options, disturb, until=restarted)
        after = supervisor.pids()
        found = settled(supervisor, result)
        time.sleep(0.5)
    finally:
        for each in asking:
            each.over = True
            each.join()
        supervisor.stop()
    said = {role: command.communicate()[0] for role, command in commands.items()}
    assert {role: command.returncode for role, command in commands.items()} == {
        "web": 0,
        "gateway": 0,
    }, said
    assert {role for role in after if before[role] != after[role]} == {"web", "gateway"}
    assert [each.failures for each in asking] == [[], []]
    assert min(each.answers for each in asking) > 20
    assert result.lost_connections >= 30  # the vehicles were told to come again
    assert result.unconfirmed == 0
    assert (found.missing, found.duplicates, found.stored) == (0, 0, result.acknowledged)


def test_a_new_process_that_does_not_start_leaves_the_old_one(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    prepare(settings)
    supervisor = Supervisor(settings, ("web",))
    try:
        supervisor.start()
        old = supervisor.pids()["web"]
        key = tmp_path / "secret"
        whole = key.read_bytes()
        key.write_bytes(b"short")  # the next process refuses it
        command = restart(tmp_path, "web")
        while command.poll() is None:
            supervisor.tend()
            time.sleep(0.1)
        assert command.returncode == 1
        assert "the old one stays" in " ".join(command.communicate()[0].split())
        key.write_bytes(whole)
        assert supervisor.pids()["web"] == old
        assert httpx.get(f"{supervisor.run.facts('web')['url']}/healthz").status_code == 200
    finally:
        supervisor.stop()


def test_without_a_cloud_it_says_so(tmp_path: Path) -> None:
    command = restart(tmp_path, "web")
    assert command.wait(60) == 1
    assert "no cloud runs" in command.communicate()[0]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("role", ["jobs", "ingest", "gateway", "web"])
def test_a_role_ends_in_good_order_while_the_stream_is_gone(tmp_path: Path, role: str) -> None:
    settings = settings_for(tmp_path)
    prepare(settings)
    supervisor = Supervisor(settings, (role,))
    try:
        supervisor.start()
        time.sleep(1)
        assert supervisor.server is not None
        supervisor.server.kill()
        time.sleep(1)
        process = supervisor.children[role].process
        os.kill(process.pid, signal.SIGTERM)
        process.wait(60)
    finally:
        supervisor.stop()


@pytest.mark.timeout(120)
def test_a_replacement_ends_in_time_or_with_its_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(tmp_path)
    prepare(settings)
    supervisor = Supervisor(settings, ("web",))

    def tend_until(done: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not done():
            supervisor.tend()
            time.sleep(0.05)
            assert time.monotonic() < deadline

    def begin(timeout_s: int) -> Change:
        supervisor.settings = settings.with_values({"restart.timeout_s": timeout_s})
        supervisor.run.ask("web")
        tend_until(lambda: supervisor._changes)
        return supervisor._changes[0]

    def launch_stopped(name: str) -> Child:
        child = launch(name)
        os.kill(child.process.pid, signal.SIGSTOP)  # before it can serve
        return child

    launch = supervisor._launch
    try:
        supervisor.start()
        old = supervisor.children["web"].process
        with monkeypatch.context() as patch:
            patch.setattr(Supervisor, "_launch", lambda _, name: launch_stopped(name))
            fresh = begin(1).fresh.process
        tend_until(lambda: supervisor.run.answered("web") is not None)
        assert "the new web does not serve after 1 s" in supervisor.run.answered("web")
        assert (fresh.poll(), supervisor.pids()["web"]) == (-signal.SIGKILL, old.pid)
        assert httpx.get(f"{supervisor.run.facts('web')['url']}/healthz").status_code == 200
        os.kill(old.pid, signal.SIGSTOP)  # it does not hear that it shall go
        change = begin(60)
        tend_until(lambda: change.old is not None)
        supervisor.settings = settings.with_values({"restart.timeout_s": 1})
        tend_until(lambda: supervisor.run.answered("web") is not None)
        assert (old.poll(), supervisor.run.answered("web")) == (-signal.SIGKILL, "")
        second = supervisor.children["web"].process
        os.kill(second.pid, signal.SIGSTOP)
        change = begin(60)
        tend_until(lambda: change.old is not None)
    finally:
        supervisor.stop(1)
    assert second.poll() == -signal.SIGKILL
