"""A role's process: a new interpreter, or a fork of one that has loaded the libraries already.

Both load what the role needs at once and then wait at a gate until there is something to open.
A fork may only be made while the parent has opened no engine and started no thread of its own:
the threads of native engines do not live on in it, and it would wait for them for ever.
"""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

from carcloud.engines.stream_nats.server import dies_with

CAN_FORK = sys.platform == "linux"
_LOOK_S = 0.01

Play = Callable[[str, Path, Mapping[str, int], int | None], None]
"""Runs a role until it ends: its name, the data folder, listeners, the gate to wait at."""


class RoleProcess(Protocol):
    """What a supervisor does with a process; as `subprocess.Popen`, which is one."""

    @property
    def pid(self) -> int:
        """Of the process."""

    @property
    def returncode(self) -> int | None:
        """As `poll` found it last."""

    def poll(self) -> int | None:
        """How it ended, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """The same once it has ended; raises `subprocess.TimeoutExpired`."""

    def send_signal(self, sig: int) -> None:
        """Nothing happens to one that has ended."""

    def terminate(self) -> None:
        """SIGTERM."""

    def kill(self) -> None:
        """SIGKILL."""


class Gate:
    """Where processes of roles wait until they may open engines."""

    def __init__(self) -> None:
        self.waits, self._opens = os.pipe()
        self._waiting = 0

    def expect(self) -> None:
        """One more process waits."""
        self._waiting += 1

    def open(self) -> None:
        """Let in all who wait, and whoever comes."""
        os.write(self._opens, bytes(self._waiting))
        self.leave()

    def leave(self) -> None:
        """Who has the gate no more; without anybody to open it, those who wait end."""
        os.close(self._opens)
        os.close(self.waits)


@dataclass(frozen=True, slots=True)
class Part:
    """What a process of a role is given."""

    role: str
    data: Path
    log: Path  # its output is added to it
    listeners: Mapping[str, socket.socket] = field(default_factory=dict)  # that it shares
    gate: Gate | None = None  # None = everything is there to be opened


def spawn(part: Part) -> RoleProcess:
    """The role in a new interpreter."""
    command = [sys.executable, "-m", "carcloud", "role", part.role, "--data", str(part.data)]
    passed = []
    for name, listener in part.listeners.items():
        command += ["--listener", name, str(listener.fileno())]
        passed.append(listener.fileno())
    if part.gate is not None:
        command += ["--gate", str(part.gate.waits)]
        passed.append(part.gate.waits)
    with part.log.open("ab") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            preexec_fn=dies_with(os.getpid()),  # noqa: PLW1509 - two system calls, no locks
            pass_fds=passed,
            start_new_session=True,  # Ctrl-C is for the supervisor to handle
        )


def fork(part: Part, play: Play, leave: Callable[[], None]) -> RoleProcess:
    """The role in a fork of this process, which calls `play(role, data, listeners, gate)`.

    `leave` is called in the fork: it closes what of the parent it must not hold.
    """
    process = multiprocessing.get_context("fork").Process(
        target=_in_fork, args=(part, play, leave, dies_with(os.getpid())), daemon=True
    )
    process.start()
    return Fork(process)


def _in_fork(
    part: Part,
    play: Play,
    leave: Callable[[], None],
    at_start: Callable[[], None] | None,
) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if at_start is not None:
        at_start()
    os.setsid()  # Ctrl-C is for the supervisor to handle
    with part.log.open("ab") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    leave()
    gate = None if part.gate is None else os.dup(part.gate.waits)
    if part.gate is not None:
        part.gate.leave()
    _name(part)
    play(part.role, part.data, {n: one.fileno() for n, one in part.listeners.items()}, gate)


def _name(part: Part) -> None:
    """As `ps` shows a process that was spawned."""
    from setproctitle import setproctitle

    setproctitle(f"{sys.executable} -m carcloud role {part.role} --data {part.data}")


class Fork:
    """A fork as a `RoleProcess`."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process
        self.returncode: int | None = None

    @property
    def pid(self) -> int:
        """Of the process."""
        pid = self._process.pid
        assert pid is not None  # noqa: S101 - it was started
        return pid

    def poll(self) -> int | None:
        """How it ended, None while it runs."""
        self.returncode = self._process.exitcode
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The same once it has ended; raises `subprocess.TimeoutExpired`."""
        patience = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if patience is not None and time.monotonic() > patience:
                raise subprocess.TimeoutExpired("carcloud role", timeout or 0)
            time.sleep(_LOOK_S)
        return code

    def send_signal(self, sig: int) -> None:
        """Nothing happens to one that has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)
