"""Tasks that live as long as their process: one that fails ends it, to be started anew."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Iterable

log = logging.getLogger(__name__)

_AGAIN_S = 2.0  # what a task has to end in good order before it is cancelled again


def begin(work: Callable[[], Awaitable[None]], name: str) -> asyncio.Task[None]:
    """Start a long-lived task. When it raises, the error is logged and the process told to stop.

    Without that a process would go on with a part of its work undone, and nobody would know.
    """

    async def run() -> None:
        await work()

    task = asyncio.create_task(run(), name=name)
    task.add_done_callback(_ended)
    return task


async def end(tasks: Iterable[asyncio.Future[None]], again_s: float = _AGAIN_S) -> None:
    """Cancel tasks until all of them are over.

    Once is not enough: on Python 3.11 `asyncio.wait_for` misses a cancellation that comes
    together with what it waits for, and a task may have an engine to wait for while it ends.
    """
    left = list(tasks)
    while left := [task for task in left if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=again_s)


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("the process ends, as %s failed", task.get_name(), exc_info=error)
        signal.raise_signal(signal.SIGTERM)
