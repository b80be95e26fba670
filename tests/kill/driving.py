"""A simulated fleet that drives until enough has come of it, however slow the machine is."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from carcloud.simulator.options import Progress, SimulateOptions, SimulateResult
from carcloud.simulator.run import simulate
from carcloud.supervisor import Supervisor
from tests.kill.scene import meanwhile

LONGEST_S = 100.0


def drive_until(
    supervisor: Supervisor,
    options: SimulateOptions,
    enough: Callable[[Progress], bool],
    disturb: Callable[[], None] = lambda: None,
) -> SimulateResult:
    """What came of the fleet, which reports until `enough` says so, `LONGEST_S` at most; `disturb`
    is called meanwhile, about ten times a second."""

    async def drive() -> SimulateResult:
        stop = asyncio.Event()

        def look(progress: Progress) -> None:
            if enough(progress):
                stop.set()

        return await simulate(replace(options, seconds=LONGEST_S), look, stop=stop)

    return meanwhile(supervisor, drive, disturb)


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
