"""Which vehicles a caller sees who is held to a project or to labels, as it is now."""

import asyncio
import itertools
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from carcloud.model.ids import Tenant
from carcloud.ports.errors import EngineError
from carcloud.services.tenancy.api import Scope
from carcloud.services.vehicles.api import Filter, Vehicles

FRESH_S = 2.0  # s for which the registry is not asked again
STALE_S = 60.0  # s after which a sight is no longer good where the registry does not answer
REMEMBERED = 500  # groups of callers who see the same

Within = tuple[Scope, ...]


@dataclass(frozen=True, slots=True)
class Sight:
    """The vehicles of some scopes; another number means that they have changed."""

    number: int
    vehicles: frozenset[str]


@dataclass(slots=True)
class _Kept:
    sight: Sight | None = None
    asked: float = 0.0  # monotonic s, when the registry answered
    tried: float = 0.0  # monotonic s
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Sights:
    """Asks the registry once for all callers with the same scopes."""

    def __init__(self, vehicles: Vehicles) -> None:
        self._vehicles = vehicles
        self._kept: OrderedDict[tuple[Tenant, frozenset[str]], _Kept] = OrderedDict()
        self._numbers = itertools.count(1)

    async def of(self, tenant: Tenant, within: Within) -> Sight:
        """What lies inside; raises `Unavailable` where that is not known, or not any more."""
        key = (tenant, frozenset(scope.text for scope in within))
        kept = self._kept.setdefault(key, _Kept())
        self._kept.move_to_end(key)
        while len(self._kept) > REMEMBERED:
            self._kept.popitem(last=False)
        async with kept.lock:
            now = time.monotonic()
            if kept.sight is not None and now - max(kept.asked, kept.tried) < FRESH_S:
                return kept.sight
            kept.tried = now
            try:
                kept.sight = await self._ask(tenant, within, kept.sight)
            except EngineError:
                if kept.sight is None or now - kept.asked > STALE_S:
                    raise
            else:
                kept.asked = now
            return kept.sight

    async def _ask(self, tenant: Tenant, within: Within, before: Sight | None) -> Sight:
        what = Filter(within=within)
        found = await asyncio.to_thread(self._vehicles.matching_ids, tenant, what)
        inside = frozenset(map(str, found))
        if before is not None and before.vehicles == inside:
            return before
        return Sight(next(self._numbers), inside)
