"""One worker as the pool sees it: a process, and a socket to it."""

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from carcloud.engines.compute_local.wire import HEAD, READY
from carcloud.engines.process_tree import Taken, kill_tree

_MODULE = "carcloud.engines.compute_local.worker"


@dataclass(slots=True, eq=False)
class WorkerProcess:
    """A process that does one thing at a time."""

    process: subprocess.Popen[bytes]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    is_ready: bool = False
    works: int = 0  # that it has done
    taken: Taken | None = None  # by it and its children, after the last one
    idle_since: float = field(default_factory=time.monotonic)

    @classmethod
    async def start(cls, prepare: Sequence[str]) -> "WorkerProcess":
        """A new process that does `prepare` first; raises `OSError`. It is not forked from us.

        Its standard output and error are ours.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", _MODULE, str(theirs.fileno()), *prepare]
            try:
                process = subprocess.Popen(  # noqa: ASYNC220 - a few ms
                    command,
                    stdin=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        reader, writer = await asyncio.open_connection(sock=ours)
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def lives(self) -> bool:
        """False once the process has ended."""
        return self.process.poll() is None

    async def ready(self) -> None:
        """Wait until it can begin; raises `EOFError` if it ends before."""
        if not self.is_ready:
            kind, _ = await self.receive()
            self.is_ready = kind == READY

    async def send(self, frame: bytes) -> None:
        """Send a frame; raises `ConnectionError`."""
        self.writer.write(frame)
        await self.writer.drain()

    async def receive(self) -> tuple[int, bytes]:
        """The next frame; raises `EOFError` or `ConnectionError` when the process is gone."""
        size, kind = HEAD.unpack(await self.reader.readexactly(HEAD.size))
        return kind, await self.reader.readexactly(size)

    def kill(self) -> None:
        """Kill the process and all that it started, at once."""
        kill_tree(self.pid)

    async def end(self) -> None:
        """Kill it and wait until it is gone."""
        if self.lives():
            await asyncio.to_thread(self.kill)
        await self.gone()

    async def gone(self) -> int:
        """Wait for the end of the process; returns its code, negative for a signal."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()
        return await asyncio.to_thread(self.process.wait)


def told(code: int) -> str:
    """The end of a process in words."""
    if code >= 0:
        return f"its process ended with code {code}"
    try:
        return f"its process was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"its process was ended by signal {-code}"
