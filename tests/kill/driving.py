"""A simulated fleet that drives until enough has come of it, however slow the machine is."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from carcloud.app.engines import open_lake
from carcloud.demo.reckoning import Reckoning, reckon
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.simulator.options import Progress, SimulateOptions, SimulateResult
from carcloud.simulator.run import simulate
from carcloud.supervisor import Supervisor
from tests.kill.scene import meanwhile


def drive(
    supervisor: Supervisor,
    options: SimulateOptions,
    disturb: Callable[[], None] = lambda: None,
    *,
    until: Callable[[Progress], bool] = lambda _: True,
) -> SimulateResult:
    """What came of the fleet, which drives for `options.seconds` and on until `until` says so,
    asked once a second; `disturb` is called meanwhile, about ten times a second."""

    async def fleet() -> SimulateResult:
        stop = asyncio.Event()

        def look(now: Progress) -> None:
            if until(now) and now.elapsed_s >= (options.seconds or 0.0):
                stop.set()

        return await simulate(replace(options, seconds=None), look, stop=stop)

    return meanwhile(supervisor, fleet, disturb)


def settled(supervisor: Supervisor, result: SimulateResult) -> Reckoning:
    """The reckoning once the lake has stopped growing."""
    lake, before = open_lake(supervisor.settings), None
    for _ in range(60):
        supervisor.tend()
        found = reckon(
            lake, DEFAULT_TENANT, result.vehicles,
            result.acknowledged_vehicle, result.acknowledged_seconds,
        )  # fmt: skip
        if found == before and found.missing == 0:
            break
        before = found
        time.sleep(1)
    return found


@contextmanager
def halted(pid: int) -> Iterator[None]:
    """No thread of the process runs meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + 60
        while any(_state(task) not in "TXZ" for task in Path(f"/proc/{pid}/task").iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _state(task: Path) -> str:
    """The letter of `proc_pid_stat`(5): T is stopped, X and Z have ended."""
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"
