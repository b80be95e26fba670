"""Server-sent events: the state of the cloud, the map, and one vehicle's twin as they change.

Nothing is queued for a client. Each remembers the version it was last sent and gets what changed
since, so a slow one skips steps and never holds memory; what many clients want at the same
moment is encoded once.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import msgspec
from litestar.types import Receive, Scope, Send

from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.ports.errors import EngineError
from carcloud.services.telemetry.api import Overview, Telemetry, Twin
from carcloud.web.observed import WebFigures

TICK_S = 0.5  # s between looks for changed vehicles
STATUS_S = 0.95  # s between events `status`: every second tick
CHECK_S = 5.0  # s between looks whether the client is still signed in
HEARTBEAT_S = 15.0  # s between comments that keep proxies from closing the connection

Versions = tuple[int, int]  # of the twin and of who is connected
StatusJson = Callable[[Tenant], Awaitable[bytes]]
StillSignedIn = Callable[[], Awaitable[bool]]


class LiveFeed:
    """Encodes what clients of one process see. Shared by all of them."""

    def __init__(
        self,
        telemetry: Telemetry,
        status_json: StatusJson,
        figures: WebFigures | None = None,
        most_clients: int = 500,
    ) -> None:
        self._telemetry = telemetry
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
        self,
        tenant: Tenant,
        vehicle: str | None,
        expires_us: int | None,
        still_signed_in: StillSignedIn,
    ) -> AsyncGenerator[bytes, None]:
        """Events for one client until it leaves or its session ends."""
        self._figures.live_clients += 1
        try:
            seen: Versions | None = None
            seen_twin, told_status = 0, 0.0
            told = checked = time.monotonic()
            yield b"retry: 2000\n\n"
            while expires_us is None or now_us() < expires_us:
                now = time.monotonic()
                if now - checked >= CHECK_S:
                    checked = now
                    if not await still_signed_in():
                        break
                if now - told_status >= STATUS_S:
                    told_status = told = now
                    yield await self._status_event(tenant)
                rows, seen = await self._vehicles_event(tenant, seen)
                if rows:
                    yield rows
                if vehicle is not None:
                    twin_event, seen_twin = await self._twin_event(tenant, vehicle, seen_twin)
                    if twin_event:
                        yield twin_event
                if now - told >= HEARTBEAT_S:
                    told = now
                    yield b": still here\n\n"
                await asyncio.sleep(TICK_S)
        finally:
            self._figures.live_clients -= 1

    async def _status_event(self, tenant: Tenant) -> bytes:
        made, event = self._status.get(tenant, (0.0, b""))
        if time.monotonic() - made < STATUS_S / 2:
            return event
        try:
            event = _event("status", await self._status_json(tenant))
        except EngineError:
            return b": no status\n\n"
        self._status[tenant] = (time.monotonic(), event)
        return event

    async def _vehicles_event(
        self, tenant: Tenant, seen: Versions | None
    ) -> tuple[bytes, Versions | None]:
        """What changed since `seen`; everything when it is None."""
        try:
            twin = await self._telemetry.twins(tenant)
            presence = await self._telemetry.presence(tenant)
        except EngineError:
            return b"", seen  # told by the event `status`
        present = (twin.version, presence.version(tenant))
        if seen == present:
            return b"", seen
        key = (tenant, seen, present)
        if key not in self._rows:
            came = None if seen is None else presence.changed_since(tenant, seen[1])
            shown = _changed(twin, seen, came)
            online = presence.online(tenant)
            full = {"full": seen is None, "rows": _rows(shown, online, came)}
            if len(self._rows) > 16:
                self._rows.clear()
            self._rows[key] = _event("vehicles", msgspec.json.encode(full))
        return self._rows[key], present

    async def _twin_event(self, tenant: Tenant, vehicle: str, seen: int) -> tuple[bytes, int]:
        try:
            twin = await self._telemetry.twins(tenant)
        except EngineError:
            return b"", seen
        version = twin.version_of(vehicle)
        found = twin.get(vehicle) if version > seen else None
        if found is None:
            return b"", seen
        signals = {
            path: (reading.value, reading.time_us // 1000)
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
