"""The vehicle list: what the registry knows, joined with the live state."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from carcloud.model.ids import Tenant
from carcloud.model.time import iso
from carcloud.services.telemetry.api import Overview, Telemetry
from carcloud.services.vehicles.api import Filter, Lifecycle, Vehicle, Vehicles
from carcloud.web.paging import Page, decode_cursor, encode_cursor

Sort = Literal["id", "last_seen", "soc", "speed", "alarm"]


class VehicleSummary(msgspec.Struct, frozen=True):
    """What the list shows of one vehicle."""

    id: str
    model: str | None
    labels: dict[str, str]
    lifecycle: Lifecycle
    protocol: str | None
    online: bool
    last_seen: str | None
    speed_kmh: float | None
    soc_pct: float | None
    alarm_level: int | None
    lon: float | None
    lat: float | None


class FleetView:
    """Pages of vehicles. `last_seen`, `speed` and `alarm` sort downwards, `soc` and `id` upwards;
    vehicles without a value come last.
    """

    def __init__(self, vehicles: Vehicles, telemetry: Telemetry) -> None:
        self._vehicles = vehicles
        self._telemetry = telemetry

    async def registered(
        self, tenant: Tenant, what: Filter, cursor: str | None, limit: int
    ) -> Page[VehicleSummary]:
        """A page in order of id, found by the registry alone."""
        page = await asyncio.to_thread(
            self._vehicles.find, tenant, what, cursor=cursor, limit=limit
        )
        total = await asyncio.to_thread(self._vehicles.count, tenant, what)
        states = await self._telemetry.overviews(tenant, [one.id for one in page.items])
        return Page(await self._shown(tenant, page.items, states), page.next_cursor, total)

    async def by_state(
        self,
        tenant: Tenant,
        what: Filter,
        *,
        online: bool | None,
        alarm_min: int | None,
        sort: Sort,
        cursor: str | None,
        limit: int,
    ) -> Page[VehicleSummary]:
        """A page filtered or sorted by the live state."""
        after = None if cursor is None else decode_cursor(cursor, tuple[float, str])
        names = await asyncio.to_thread(self._vehicles.matching_ids, tenant, what)
        states = await self._telemetry.overviews(tenant, names)
        chosen: Iterable[str] = names
        if online is not None:
            there = (await self._telemetry.presence(tenant)).online(tenant)
            chosen = [name for name in chosen if (name in there) is online]
        if alarm_min is not None:
            chosen = [name for name in chosen if _alarm(states.get(name)) >= alarm_min]
        keys = sorted((_rank(states.get(name), sort), str(name)) for name in chosen)
        rest = keys if after is None else [key for key in keys if key > after]
        taken = rest[:limit]
        known = await asyncio.to_thread(self._vehicles.many, tenant, [name for _, name in taken])
        items = [known[name] for _, name in taken if name in known]
        next_cursor = encode_cursor(taken[-1]) if len(rest) > limit else None
        return Page(await self._shown(tenant, items, states), next_cursor, len(keys))

    async def _shown(
        self, tenant: Tenant, items: Iterable[Vehicle], states: Mapping[str, Overview]
    ) -> list[VehicleSummary]:
        online = (await self._telemetry.presence(tenant)).online(tenant)
        return [_summary(one, states.get(one.id), one.id in online) for one in items]


def _summary(vehicle: Vehicle, state: Overview | None, online: bool) -> VehicleSummary:
    return VehicleSummary(
        id=vehicle.id,
        model=vehicle.model,
        labels=dict(vehicle.labels),
        lifecycle=vehicle.lifecycle,
        protocol=vehicle.protocol,
        online=online,
        last_seen=iso(state.received_us) if state else None,
        speed_kmh=state.speed_kmh if state else None,
        soc_pct=state.soc_pct if state else None,
        alarm_level=state.alarm_level if state else None,
        lon=state.lon if state else None,
        lat=state.lat if state else None,
    )


def _alarm(state: Overview | None) -> int:
    return -1 if state is None or state.alarm_level is None else state.alarm_level


def _rank(state: Overview | None, sort: Sort) -> float:
    """Less comes first; 1e300 = nothing known."""
    values = {
        "id": 0.0,
        "last_seen": None if state is None else -float(state.received_us),
        "soc": None if state is None else state.soc_pct,
        "speed": None if state is None or state.speed_kmh is None else -state.speed_kmh,
        "alarm": None if state is None or state.alarm_level is None else -state.alarm_level,
    }
    value = values[sort]
    return 1e300 if value is None else float(value)
