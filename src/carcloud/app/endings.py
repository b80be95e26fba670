"""Tasks that live as long as their process: one that fails ends it, to be started anew."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)


def begin(work: Callable[[], Awaitable[None]], name: str) -> asyncio.Task[None]:
    """Start a long-lived task. When it raises, the error is logged and the process told to stop.

    Without that a process would go on with a part of its work undone, and nobody would know.
    """

    async def run() -> None:
        await work()

    task = asyncio.create_task(run(), name=name)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("the process ends, as %s failed", task.get_name(), exc_info=error)
        signal.raise_signal(signal.SIGTERM)
