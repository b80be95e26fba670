"""The whole cloud under `kill -9`: what was acknowledged is in the lake, once.

Real processes, real sockets. `bench/spine.py` does the same in large.
"""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from carcloud.app.first_start import prepare
from carcloud.simulator.options import Progress, SimulateOptions
from carcloud.supervisor import Supervisor
from tests.kill.driving import drive, settled
from tests.kill.scene import settings_for
from tests.kill.victims import kill

pytestmark = pytest.mark.soak


@pytest.mark.timeout(300)
def test_any_process_killed_again_and_again(tmp_path):
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    dice = random.Random(seed)
    settings = settings_for(tmp_path)
    prepare(settings)
    supervisor = Supervisor(settings)
    killed: dict[str, int] = {}
    victims: list[str] = []
    next_kill = 0.0

    def disturb() -> None:
        nonlocal next_kill
        now = time.monotonic()
        if now < next_kill or (now - began > 35 and len(killed) == 5):
            return
        if not victims:
            victims.extend(dice.sample(sorted(supervisor.pids()), 5))
        if not kill(supervisor, victims[-1]):
            return
        role = victims.pop()
        killed[role] = killed.get(role, 0) + 1
        next_kill = time.monotonic() + dice.uniform(0.2, 3.5)

    try:
        supervisor.start()
        began = time.monotonic()
        next_kill = began + 5
        options = SimulateOptions(
            port=settings.whole("gateway.gbt32960.port"), vehicles=150, seconds=38, seed=3,
            backoff_s=(0.2, 2.0), drain_s=120, reply_timeout_s=15,
        )  # fmt: skip
        result = drive(supervisor, options, disturb, until=lambda _: len(killed) == 5)
        found = settled(supervisor, result)
    finally:
        supervisor.stop()
    print(killed, found, result.sent, result.acknowledged, result.lost_connections)
    assert result.unconfirmed == 0
    assert result.acknowledged > 3000
    assert found.missing == 0
    assert found.duplicates == 0
    assert found.stored == result.acknowledged


@pytest.mark.timeout(240)
def test_heartbeats_confirm_where_reports_are_not_answered(tmp_path):
    settings = settings_for(tmp_path, gateway__gbt32960__reply_reports=False)
    prepare(settings)
    supervisor = Supervisor(settings)
    kills = [6.0, 11.0, 16.0]  # s
    connected = 0

    def all_killed(now: Progress) -> bool:
        nonlocal connected
        connected = now.connected
        return not kills

    def disturb() -> None:
        due = bool(kills) and time.monotonic() - began > kills[0]
        if due and connected == options.vehicles and kill(supervisor, "gateway"):
            del kills[0]

    try:
        supervisor.start()
        began = time.monotonic()
        options = SimulateOptions(
            port=settings.whole("gateway.gbt32960.port"), vehicles=60, seconds=22, seed=4,
            heartbeat_s=2.0, backoff_s=(0.2, 2.0), drain_s=90, confirmation="heartbeat",
        )  # fmt: skip
        result = drive(supervisor, options, disturb, until=all_killed)
        found = settled(supervisor, result)
    finally:
        supervisor.stop()
    assert result.lost_connections >= 60
    assert result.unconfirmed == 0
    assert (found.missing, found.duplicates) == (0, 0)
    assert found.stored >= result.acknowledged > 500


@pytest.mark.timeout(120)
def test_a_stream_that_is_down_delays_acknowledgements_and_loses_nothing(tmp_path):
    settings = settings_for(tmp_path)
    prepare(settings)
    supervisor = Supervisor(settings)
    stopped = resumed = 0.0

    def disturb() -> None:
        nonlocal stopped, resumed
        now, pid = time.monotonic(), supervisor.pids()["stream"]
        if not stopped and now - began > 4:
            os.kill(pid, signal.SIGSTOP)  # hangs: worse than gone
            stopped = now
        elif stopped and not resumed and now - stopped > 8:
            os.kill(pid, signal.SIGCONT)
            resumed = now

    try:
        supervisor.start()
        began = time.monotonic()
        options = SimulateOptions(
            port=settings.whole("gateway.gbt32960.port"), vehicles=40, seconds=16, seed=5,
            drain_s=60,
        )  # fmt: skip
        result = drive(supervisor, options, disturb, until=lambda _: resumed > 0)
        found = settled(supervisor, result)
    finally:
        supervisor.stop()
    assert result.unconfirmed == 0
    assert result.ack_p99_ms > 3000  # acknowledgements waited
    assert (found.missing, found.duplicates) == (0, 0)
    assert found.stored == result.acknowledged


def test_children_die_with_their_supervisor(tmp_path):
    import subprocess
    import sys

    code = (
        "import sys, time; from pathlib import Path\n"
        "from carcloud.supervisor import Supervisor; from carcloud.config import Settings\n"
        "from carcloud.app.first_start import prepare\n"
        "s = Settings({'data': sys.argv[1], 'web.port': 0, 'storage.port': 0,"
        " 'gateway.gbt32960.port': 0, 'gateway.jt808.port': 0,"
        " 'gateway.mqtt.port': 0})\n"
        "prepare(s); sup = Supervisor(s); sup.start()\n"
        "print(*sup.pids().values(), flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 5
        parent.kill()
        deadline = time.monotonic() + 60
        while any(Path(f"/proc/{pid}").exists() and not zombie(pid) for pid in pids):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
