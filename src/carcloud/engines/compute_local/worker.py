"""A process in which work runs: `python -m … worker FD [FUNCTION ARG]`.

FD is its socket to the pool. FUNCTION (`module:name`) is called with ARG before it says that it is
ready. It does one thing at a time and ends when the pool goes away.
"""

import contextlib
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from carcloud import lean
from carcloud.engines.compute_inside import load, perform
from carcloud.engines.compute_local.wire import (
    BEGUN,
    HEAD,
    NOTE,
    READY,
    WORK,
    end_frame,
    frame,
    read_work,
)

_NICE = 5  # work comes after vehicles
_OOM_SCORE = "500"  # when the machine runs out of memory, this goes first


def main(descriptor: int, prepare: Sequence[str]) -> None:
    """Work until the pool goes away."""
    lean.without_pandas()
    _become_a_worker()
    pool = socket.socket(fileno=descriptor)
    threading.Thread(target=_end_with, args=(pool,), daemon=True).start()
    if prepare:
        function, argument = prepare
        load(function)(argument)
    pool.sendall(frame(READY))
    while (order := _receive(pool)) is not None:
        kind, body = order
        if kind == WORK:
            pool.sendall(frame(BEGUN))
            outcome = perform(read_work(body), lambda note: pool.sendall(frame(NOTE, note)))
            pool.sendall(end_frame(outcome))


def _become_a_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICE)
    with contextlib.suppress(OSError):  # not every container lets us
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)


def _end_with(pool: socket.socket) -> None:
    """A pool that is gone cannot cancel: end this process and what it started."""
    watch = select.poll()
    watch.register(pool, select.POLLRDHUP)
    watch.poll()
    os.killpg(0, signal.SIGKILL)


def _receive(pool: socket.socket) -> tuple[int, bytes] | None:
    head = _exactly(pool, HEAD.size)
    if head is None:
        return None
    size, kind = HEAD.unpack(head)
    body = _exactly(pool, size)
    return None if body is None else (kind, body)


def _exactly(pool: socket.socket, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        part = pool.recv(min(size - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)


if __name__ == "__main__":
    with contextlib.suppress(ConnectionError):  # the pool is gone: nobody wants to know more
        main(int(sys.argv[1]), sys.argv[2:])
