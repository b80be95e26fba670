"""What a process and all that it started take: processes, processor time, memory. Linux only."""

import contextlib
import os
import signal
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")  # bytes
_MOST_LOOKS = 20  # for processes that started while others were stopped
# Positions after the command's name in /proc/<pid>/stat, see proc_pid_stat(5) less three
_PARENT, _USER, _SYSTEM, _CHILD_USER, _CHILD_SYSTEM, _RESIDENT = 1, 11, 12, 13, 14, 21


@dataclass(frozen=True, slots=True)
class Taken:
    """What some processes take together."""

    processes: int = 0
    cpu_seconds: float = 0.0  # with that of their children that have ended
    memory_bytes: int = 0  # resident; what processes share counts in each


@dataclass(slots=True)
class Snapshot:
    """All processes of this machine at one moment."""

    taken: dict[int, Taken] = field(default_factory=dict)
    children: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def take(cls) -> "Snapshot":
        """Look at /proc; what ends meanwhile is left out."""
        seen = cls()
        for name in os.listdir("/proc"):  # noqa: PTH208 - this runs five times a second
            if name.isdigit():
                with contextlib.suppress(OSError, ValueError):
                    seen._add(int(name))
        return seen

    @classmethod
    def one(cls, pid: int) -> Taken:
        """A process alone; nothing taken when it has ended."""
        seen = cls()
        with contextlib.suppress(OSError, ValueError):
            seen._add(pid)
        return seen.taken.get(pid, Taken())

    def below(self, root: int) -> list[int]:
        """`root` and all its descendants that live."""
        found = [root] if root in self.taken else []
        for pid in found:
            found.extend(self.children.get(pid, ()))
        return found

    def of(self, root: int) -> Taken:
        """What `root` and its descendants take together."""
        members = [self.taken[pid] for pid in self.below(root)]
        return Taken(
            sum(one.processes for one in members),
            sum(one.cpu_seconds for one in members),
            sum(one.memory_bytes for one in members),
        )

    def _add(self, pid: int) -> None:
        text = Path(f"/proc/{pid}/stat").read_bytes()
        fields = text[text.rindex(b")") + 2 :].split()
        ticks = sum(int(fields[i]) for i in (_USER, _SYSTEM, _CHILD_USER, _CHILD_SYSTEM))
        self.taken[pid] = Taken(1, ticks / _TICKS, int(fields[_RESIDENT]) * _PAGE)
        self.children[int(fields[_PARENT])].append(pid)


def shared_memory_bytes(pids: Iterable[int]) -> int:
    """Memory of processes where what they share counts once (PSS); slower than `Snapshot`."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
                if line.startswith(b"Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def kill_tree(root: int) -> None:
    """Kill a process and all its descendants; those that have ended already are no error.

    They are stopped first: what runs could start another one between the look and its end.
    """
    stopped: set[int] = set()
    for _ in range(_MOST_LOOKS):
        running = set(Snapshot.take().below(root)) - stopped
        if not running:
            break
        _signal(running, signal.SIGSTOP)
        stopped |= running
    _signal(stopped, signal.SIGKILL)


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
