"""Ends connections of vehicles that would not be let in any more, as soon as the registry says so.

A token or certificate that was taken back or replaced, a vehicle that was suspended or retired:
each gateway process looks at what has changed in the registry and asks it again of those vehicles
that are connected here, with what they came in by. Suspended tenants are `TenantWatch`'s.
"""

import asyncio
import contextlib
import logging
from collections import deque
from typing import Final

from carcloud.gateway.reporting import Link
from carcloud.gateway.roster import Roster
from carcloud.ports.errors import EngineError
from carcloud.services.vehicles.api import Refusal, Vehicles

log = logging.getLogger(__name__)

_LOOK_S: Final = 1.0
_NEVER: Final = 1 << 62  # a mark that no change has
_BACK: Final = 10  # looks in which a change is looked at: it may come to light late, and a vehicle
# that was let in just before it enters the roster just after it
CREDENTIALS: Final = "its credentials were taken back"
STOPPED: Final = "the vehicle is suspended or retired"
_REASONS: Final[dict[Refusal, str]] = {"credentials": CREDENTIALS, "iccid": CREDENTIALS}


class AdmissionWatch:
    """Of one gateway process; `run` it."""

    def __init__(self, vehicles: Vehicles, roster: Roster) -> None:
        self._vehicles = vehicles
        self._roster = roster
        self._begun: int | None = None  # the newest change before anybody came in

    async def begin(self) -> None:
        """Call it before the first vehicle may come in: what changes from now on is seen. While
        the registry does not answer, nobody comes in."""
        with contextlib.suppress(EngineError):
            self._begun = await self._newest()

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        settled = deque([await self._begin()], maxlen=_BACK)
        while True:
            try:
                settled.append(await self._look(settled[0]))
            except EngineError as error:
                log.info("changes of the registry wait: %s", error)
            await asyncio.sleep(_LOOK_S)

    async def _begin(self) -> int:
        while self._begun is None:
            await self.begin()
            if self._begun is None:
                await asyncio.sleep(_LOOK_S)
        return self._begun

    async def _newest(self) -> int:
        """The newest change."""
        return (await asyncio.to_thread(self._vehicles.changed_after, _NEVER))[0]

    async def _look(self, after: int) -> int:
        """Look at changes after a mark; returns the newest."""
        newest, changed = await asyncio.to_thread(self._vehicles.changed_after, after)
        links = {
            name: link
            for name in changed
            if (link := self._roster.vehicles.get(name)) is not None and link.proof is not None
        }
        if not links:
            return newest
        came_in = [(link.tenant, link.proof) for link in links.values() if link.proof is not None]
        for vehicle, why in await asyncio.to_thread(self._vehicles.outdated, came_in):
            self._end(links[vehicle], why)
        return newest

    def _end(self, link: Link, why: Refusal) -> None:
        log.info("vehicle %s is disconnected: %s", link.vehicle, why)
        link.session.close(_REASONS.get(why, STOPPED))
