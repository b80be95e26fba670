"""Server-sent events: the state of the cloud, the map, and one vehicle's twin as they change.

Nothing is queued for a client. Each remembers the version it was last sent and gets what changed
since, so a slow one skips steps and never holds memory; what many clients want at the same
moment is encoded once. A client that may see some vehicles gets those in sight: one that comes into
sight is told whole, one that leaves it is told as gone.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.types import Receive, Scope, Send

from carcloud.model.ids import Tenant
from carcloud.model.time import iso, now_us
from carcloud.ports.errors import EngineError
from carcloud.services.telemetry.api import Overview, Presence, Telemetry, Twin
from carcloud.web.observed import WebFigures
from carcloud.web.sight import Sight, Sights, Within

TICK_S = 0.5  # s between looks for changed vehicles
STATUS_S = 0.95  # s between events `status`: every second tick
CHECK_S = 5.0  # s between looks whether the client is still signed in
HEARTBEAT_S = 15.0  # s between comments that keep proxies from closing the connection

Versions = tuple[int, int, int]  # of the twin, of who is connected, and of who may be seen
StatusJson = Callable[[Tenant], Awaitable[bytes]]
StillSignedIn = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who follows: a tenant's picture, all of it or what lies `within`, and one twin."""

    tenant: Tenant
    vehicle: str | None = None
    within: Within | None = None  # None = all vehicles
    expires_us: int | None = None


@dataclass(slots=True)
class _Told:
    """What one client has been sent."""

    versions: Versions | None = None
    sight: Sight | None = None
    twin: int = 0


class LiveFeed:
    """Encodes what clients of one process see. Shared by all of them."""

    def __init__(
        self,
        telemetry: Telemetry,
        sights: Sights,
        status_json: StatusJson,
        figures: WebFigures | None = None,
        most_clients: int = 500,
    ) -> None:
        self._telemetry = telemetry
        self._sights = sights
        self._status_json = status_json
        self._rows: dict[tuple[Tenant, Versions | None, Versions], bytes] = {}
        self._status: dict[Tenant, tuple[float, bytes]] = {}
        self._figures = figures or WebFigures()
        self._most = most_clients

    def has_room(self) -> bool:
        """Whether one more client may follow; counted when not."""
        room = self._figures.live_clients < self._most
        self._figures.live_refused += not room
        return room

    async def events(
        self, viewer: Viewer, still_signed_in: StillSignedIn
    ) -> AsyncGenerator[bytes, None]:
        """Events for one client until it leaves or its session ends."""
        self._figures.live_clients += 1
        try:
            sent, told_status = _Told(), 0.0
            told = checked = time.monotonic()
            yield b"retry: 2000\n\n"
            while viewer.expires_us is None or now_us() < viewer.expires_us:
                now = time.monotonic()
                if now - checked >= CHECK_S:
                    checked = now
                    if not await still_signed_in():
                        break
                if now - told_status >= STATUS_S:
                    told_status = told = now
                    yield await self._status_event(viewer)
                for event in await self._changes(viewer, sent):
                    yield event
                if now - told >= HEARTBEAT_S:
                    told = now
                    yield b": still here\n\n"
                await asyncio.sleep(TICK_S)
        finally:
            self._figures.live_clients -= 1

    async def _status_event(self, viewer: Viewer) -> bytes:
        try:
            if viewer.within is not None:
                return await self._count_event(viewer.tenant, viewer.within)
            return await self._whole_status_event(viewer.tenant)
        except EngineError:
            return b": no status\n\n"

    async def _whole_status_event(self, tenant: Tenant) -> bytes:
        made, event = self._status.get(tenant, (0.0, b""))
        if time.monotonic() - made < STATUS_S / 2:
            return event
        event = _event("status", await self._status_json(tenant))
        self._status[tenant] = (time.monotonic(), event)
        return event

    async def _count_event(self, tenant: Tenant, within: Within) -> bytes:
        """The status of a caller who sees some vehicles: how many these are, and nothing else."""
        inside = (await self._sights.of(tenant, within)).vehicles
        online = (await self._telemetry.presence(tenant)).online(tenant)
        counts = {"connected": len(online & inside), "vehicles": len(inside)}
        return _event("status", msgspec.json.encode({"time": iso(now_us()), **counts}))

    async def _changes(self, viewer: Viewer, sent: _Told) -> list[bytes]:
        """Events of what is new; none while an engine is down, which `status` tells."""
        try:
            twin = await self._telemetry.twins(viewer.tenant)
            presence = await self._telemetry.presence(viewer.tenant)
            sight = None
            if viewer.within is not None:
                sight = await self._sights.of(viewer.tenant, viewer.within)
        except EngineError:
            return []
        versions = (twin.version, presence.version(viewer.tenant), sight.number if sight else 0)
        found = []
        if versions != sent.versions:
            key = (viewer.tenant, sent.versions, versions)
            if key not in self._rows:
                if len(self._rows) > 16:
                    self._rows.clear()
                self._rows[key] = _vehicles_event(viewer.tenant, twin, presence, sent, sight)
            found.append(self._rows[key])
            sent.versions, sent.sight = versions, sight
        if viewer.vehicle is not None:
            hidden = sight is not None and viewer.vehicle not in sight.vehicles
            event, sent.twin = (b"", 0) if hidden else _twin_event(twin, viewer.vehicle, sent.twin)
            found.append(event)
        return [event for event in found if event]


def _vehicles_event(
    tenant: Tenant, twin: Twin, presence: Presence, sent: _Told, sight: Sight | None
) -> bytes:
    """What changed since `sent`: everything when that is nothing, of what is in sight."""
    seen = sent.versions
    came = None if seen is None else presence.changed_since(tenant, seen[1])
    online = presence.online(tenant)
    if sight is None:
        told = {"full": seen is None, "rows": _rows(_changed(twin, seen, came), online, came)}
        return _event("vehicles", msgspec.json.encode(told))
    inside = sight.vehicles
    online &= inside
    if seen is None or came is None:
        rows = _rows(twin.overviews(inside), online, None)
        return _event("vehicles", msgspec.json.encode({"full": True, "rows": rows}))
    before = frozenset() if sent.sight is None else sent.sight.vehicles
    entered = inside - before
    changed = [row for row in twin.changed_since(seen[0]) if row.vehicle in inside]
    there = {row.vehicle for row in changed}
    changed += twin.overviews(((came & inside) | entered) - there)
    rows = _rows(changed, online, (came & inside) | (entered & online))
    gone = sorted(before - inside)
    if not rows and not gone:
        return b""  # what others do is not told, not even that they do something
    return _event("vehicles", msgspec.json.encode({"full": False, "rows": rows, "gone": gone}))


def _twin_event(twin: Twin, vehicle: str, seen: int) -> tuple[bytes, int]:
    version = twin.version_of(vehicle)
    found = twin.get(vehicle) if version > seen else None
    if found is None:
        return b"", seen
    signals = {
        path: (reading.value, reading.time_us // 1000, *((True,) if reading.flagged else ()))
        for path, reading in found.signals.items()
    }
    return _event("twin", msgspec.json.encode({"signals": signals})), version


def _changed(twin: Twin, seen: Versions | None, came: set[str] | None) -> list[Overview]:
    if seen is None or came is None:
        return twin.overviews()
    changed = twin.changed_since(seen[0])
    there = {row.vehicle for row in changed}
    return changed + twin.overviews(vehicle for vehicle in came if vehicle not in there)


def _rows(shown: list[Overview], online: set[str], came: set[str] | None) -> list[object]:
    """Rows as the contract has them; vehicles that connected but never reported have no state."""
    rows: list[object] = [
        (
            one.vehicle,
            one.lon,
            one.lat,
            one.heading,
            one.speed_kmh,
            one.soc_pct,
            one.alarm_level,
            int(one.vehicle in online),
            one.time_us // 1000,
        )
        for one in shown
    ]
    silent = (online if came is None else came) - {one.vehicle for one in shown}
    rows += [(v, None, None, None, None, None, None, int(v in online), 0) for v in sorted(silent)]
    return rows


def _event(name: str, data: bytes) -> bytes:
    """JSON never holds a line break, so one `data:` line carries it."""
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


class EventStream:
    """An ASGI response that sends events until they end or the client leaves.

    The framework's own streaming response is not used: when a client leaves while a send waits
    for it, it never ends (seen with granian 2.8 and anyio 4.16).
    """

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        self._events = events

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = [
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        start: Any = {"type": "http.response.start", "status": 200, "headers": headers}
        await send(start)
        tasks = [asyncio.create_task(self._write(send)), asyncio.create_task(_left(receive))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._events.aclose()

    async def _write(self, send: Send) -> None:
        async for chunk in self._events:
            body: Any = {"type": "http.response.body", "body": chunk, "more_body": True}
            await send(body)
        end: Any = {"type": "http.response.body", "body": b"", "more_body": False}
        await send(end)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
