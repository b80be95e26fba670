"""Watches a sandbox from outside: what it prints, what it takes, when it must end."""

import json
import os
import selectors
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from carcloud.engines.process_tree import Snapshot, Taken, kill_tree, shared_memory_bytes
from carcloud.engines.sandbox_bwrap import outputs, seccomp
from carcloud.ports.sandbox import Limits

_LOOK_S = 0.1  # between looks at what it takes
_READ = 65_536  # bytes
_MOST_LINE = 100_000  # bytes of a message, and of the report
_MB = 1 << 20
_BASE_MB = 32  # memory of the sandbox itself and of an interpreter that has done nothing yet


@dataclass(slots=True)
class Watched:
    """What was seen of a sandbox until it ended."""

    code: int = 0  # of bubblewrap
    report: Mapping[str, Any] | None = None  # None = the sandbox ended without one
    failed: Mapping[str, Any] | None = None
    limit: str | None = None  # for which we ended it
    cpu_seconds: float = 0.0
    files: Sequence[str] = ()
    left_out: Sequence[str] = ()
    bad_output: str | None = None
    errors: str = ""  # what bubblewrap itself had to say


@dataclass(slots=True)
class Supervisor:
    """One sandbox."""

    command: Callable[[Sequence[int]], Sequence[str]]  # of the descriptor of a filter, if any
    given: Mapping[str, Any]  # for inside.py; descriptors are added
    limits: Limits
    outputs: Path
    on_output: Callable[[str], None]
    on_message: Callable[[Mapping[str, Any]], None]
    _seen: Watched = field(default_factory=Watched)
    _last: Taken = field(default_factory=Taken)
    _rest: bytes = b""

    def run(self) -> Watched:
        """Start it and stay with it to its end."""
        pipes = {name: os.pipe() for name in ("messages", "report", "out")}
        given = {**self.given, **{name: ends[1] for name, ends in pipes.items()}}
        with _filter() as descriptors:
            process = subprocess.Popen(
                [*self.command(descriptors), json.dumps(given)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[*descriptors, *(ends[1] for ends in pipes.values())],
                env={},
            )
        for _, writing in pipes.values():
            os.close(writing)
        unpacking = threading.Thread(target=self._unpack, args=(pipes["out"][0],))
        unpacking.start()
        try:
            self._attend(process, pipes["messages"][0], pipes["report"][0])
        finally:
            kill_tree(process.pid)
            self._seen.code = process.wait()
            unpacking.join()
            for name in ("messages", "report"):
                os.close(pipes[name][0])
            if process.stdout is not None:
                process.stdout.close()
        self._seen.cpu_seconds = max(self._last.cpu_seconds, self._told_seconds())
        return self._seen

    def _attend(self, process: "subprocess.Popen[bytes]", messages: int, report: int) -> None:
        assert process.stdout is not None  # noqa: S101 - a pipe
        takes = {
            process.stdout.fileno(): self._printed,
            messages: self._told,
            report: self._reported,
        }
        deadline = time.monotonic() + self.limits.seconds
        looked = 0.0
        with selectors.DefaultSelector() as ready:
            for descriptor in takes:
                os.set_blocking(descriptor, False)
                ready.register(descriptor, selectors.EVENT_READ)
            while ready.get_map():
                for key, _ in ready.select(_LOOK_S):
                    data = os.read(key.fd, _READ)
                    if not data:
                        ready.unregister(key.fd)
                    takes[key.fd](data)
                now = time.monotonic()
                if now - looked >= _LOOK_S:
                    looked = now
                    self._seen.limit = self._exceeded(process.pid, now > deadline)
                    if self._seen.limit is not None:
                        return

    def _exceeded(self, pid: int, late: bool) -> str | None:
        """The limit that is exceeded now."""
        if late:
            return "seconds"
        seen = Snapshot.take()
        taken = seen.of(pid)
        self._last = taken if taken.processes else self._last
        if taken.cpu_seconds > self.limits.cpu_seconds:
            return "cpu_seconds"
        if taken.processes - _OWN_PROCESSES > self.limits.processes:
            return "processes"
        if _files_in_job(seen.below(pid)) > 1000 + _FILES_PER_MB * self.limits.disk_mb:
            return "disk_mb"
        most = (self.limits.memory_mb + _BASE_MB) * _MB
        if taken.memory_bytes > most and shared_memory_bytes(seen.below(pid)) > most:
            return "memory_mb"
        return None

    def _printed(self, data: bytes) -> None:
        if data:
            text = data.decode(errors="replace")
            self._seen.errors = (self._seen.errors + text)[-2000:]
            self.on_output(text)

    def _told(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-_MOST_LINE:]
        for line in lines:
            message = _object(line)
            if message is not None and "failed" in message:
                failed = message["failed"]
                self._seen.failed = failed if isinstance(failed, dict) else None
            elif message is not None:
                self.on_message(message)

    def _reported(self, data: bytes) -> None:
        if data:
            self._seen.report = _object(data)

    def _told_seconds(self) -> float:
        """Processor time by the sandbox's own report, which the script may have forged."""
        told = (self._seen.report or {}).get("cpu_seconds")
        return min(float(told), self.limits.cpu_seconds) if isinstance(told, int | float) else 0.0

    def _unpack(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "rb") as stream:
            first = stream.peek(1)
            if not first:
                return  # it ended before there was anything
            try:
                kept = outputs.unpack(stream, self.outputs, self.limits.disk_mb)
                self._seen.files, self._seen.left_out = kept
            except outputs.BadOutput as error:
                self._seen.bad_output = str(error)
            while stream.read(_READ):  # so that the other side does not wait
                pass


_FILES_PER_MB = 64  # of its disk, that a script may have
_OWN_PROCESSES = 3  # bubblewrap twice, and inside.py


@contextmanager
def _filter() -> Iterator[list[int]]:
    """The filter of system calls as a file; no file on machines for which there is none."""
    program = seccomp.program()
    if program is None:
        yield []
        return
    with tempfile.TemporaryFile() as file:
        file.write(program)
        file.seek(0)
        yield [file.fileno()]


def _files_in_job(pids: Sequence[int]) -> int:
    """Files and folders below /job: also empty ones take memory of the kernel."""
    for pid in reversed(pids):
        try:
            found = os.statvfs(Path("/proc", str(pid), "root", "job"))
        except OSError:  # it has ended, or is not inside yet
            continue
        return found.f_files - found.f_ffree
    return 0


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
