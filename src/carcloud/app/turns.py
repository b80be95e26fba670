"""Work that one process of the installation does at a time, on whatever machine it runs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from carcloud.endings import end
from carcloud.ports.errors import EngineError, Unavailable
from carcloud.ports.records import Records, Turn

log = logging.getLogger(__name__)

_ASK_S = 0.5  # between two tries to get a turn
_LOOK_S = 1.0  # between two looks whether it is still ours


async def in_turn(records: Records, name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Wait for the turn, then work; raises `Unavailable` when the turn is lost meanwhile."""
    turn = await _wait(records, name)
    log.info("the turn of %s is ours", name)
    working = asyncio.ensure_future(work())
    watching = asyncio.create_task(_watch(turn, name))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end([working, watching])
        await asyncio.to_thread(turn.end)
    for task in (working, watching):
        if not task.cancelled():
            task.result()


async def _wait(records: Records, name: str) -> Turn:
    told = False
    while True:
        try:
            turn = await asyncio.to_thread(records.turn, name)
        except EngineError as error:
            log.warning("%s waits for its turn: %s", name, error)
            turn = None
        if turn is not None:
            return turn
        if not told:
            log.info("another process has the turn of %s; this one stands by", name)
            told = True
        await asyncio.sleep(_ASK_S)


async def _watch(turn: Turn, name: str) -> None:
    while True:
        if not await asyncio.to_thread(turn.held):
            raise Unavailable(f"records: the turn of {name} was lost")
        await asyncio.sleep(_LOOK_S)
