"""Ends connections of vehicles that would not be let in any more, as soon as the registry says so.

A token or certificate that was taken back or replaced, a vehicle that was suspended or retired:
each gateway process looks at what has changed in the registry and asks it again of those vehicles
that are connected here, with what they came in by. Suspended tenants are `TenantWatch`'s.
"""

import asyncio
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
        self._settled: deque[int] = deque(maxlen=_BACK)  # the newest change at each last look;
        # first of all, before anybody came in

    def begin(self) -> None:
        """Call it early and before each answer to logins, not in the event loop: what changes
        from the first time on that the registry answers is seen. Raises `EngineError`."""
        if not self._settled:
            self._settled.append(self._vehicles.changed_after(_NEVER)[0])

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            try:
                if self._settled:
                    self._settled.append(await self._look(self._settled[0]))
            except EngineError as error:
                log.info("changes of the registry wait: %s", error)
            await asyncio.sleep(_LOOK_S)

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
