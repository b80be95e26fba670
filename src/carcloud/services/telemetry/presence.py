"""Who is connected now, from what the gateways tell on `sessions.<tenant>`.

A gateway tells changes each second and its whole list every 15 s, so a list that was missed, or
a gateway that died, is put right without asking.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import msgspec

from carcloud.model.ids import Tenant
from carcloud.model.streams import sessions_subject
from carcloud.model.time import now_us
from carcloud.ports.stream import Stream
from carcloud.services.telemetry.types import Reading, Session

log = logging.getLogger(__name__)

CONNECTED = "Vehicle.Connectivity.IsConnectivityAvailable"
GONE_S = 40.0  # s; a gateway that told nothing for two full lists and a bit is gone


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A vehicle that is there; `platform` over whose link it reports, None = on its own."""

    vehicle: str
    since_us: int
    address: str | None
    edition: str | int | None
    platform: str | None = None


class Told(msgspec.Struct, frozen=True):
    """One message of a gateway."""

    instance: str
    full: bool
    open: list[Row]
    closed: list[str]


class _Gateway:
    """The sessions of one tenant on one gateway."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.heard = 0.0  # monotonic s


class _Tenant:
    def __init__(self) -> None:
        self.gateways: dict[str, _Gateway] = {}
        self.changes: dict[str, int] = {}  # vehicle -> version of its last coming or going
        self.left: dict[str, int] = {}  # vehicle -> when it was last seen going, us
        self.version = 0
        self.stop: Callable[[], Awaitable[None]] | None = None


class Presence:
    """Follows a tenant from the first question about it on."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._tenants: dict[Tenant, _Tenant] = {}
        self._lock = asyncio.Lock()

    async def follow(self, tenant: Tenant) -> None:
        """Begin to listen, once; raises `Unavailable`."""
        if tenant in self._tenants:
            return
        async with self._lock:
            if tenant in self._tenants:
                return
            state = _Tenant()

            async def on_told(_subject: str, data: bytes) -> None:
                _hear(state, data)

            state.stop = await self._stream.listen(sessions_subject(tenant), on_told)
            self._tenants[tenant] = state

    async def stop(self) -> None:
        """Listen no more."""
        for state in self._tenants.values():
            if state.stop is not None:
                await state.stop()

    def session(self, tenant: Tenant, vehicle: str) -> Session | None:
        """The vehicle's open session, rather one of its own than a platform's."""
        state = self._tenants.get(tenant)
        living = [g for g in state.gateways.values() if _lives(g)] if state else []
        found = [gateway.sessions[vehicle] for gateway in living if vehicle in gateway.sessions]
        return min(found, key=lambda session: session.platform is not None, default=None)

    def connected(self, tenant: Tenant, vehicle: str) -> Reading | None:
        """Whether the vehicle is connected, and since when; None where neither was seen yet."""
        session = self.session(tenant, vehicle)
        if session is not None:
            return Reading(True, session.since_us)
        state = self._tenants.get(tenant)
        left = None if state is None else state.left.get(vehicle)
        return None if left is None else Reading(False, left)

    def online(self, tenant: Tenant) -> set[str]:
        """The vehicles that are connected, or report over a platform's link."""
        state = self._tenants.get(tenant)
        living = [g for g in state.gateways.values() if _lives(g)] if state else []
        return set().union(*(gateway.sessions for gateway in living))

    def version(self, tenant: Tenant) -> int:
        """Grows when a vehicle comes or goes."""
        state = self._tenants.get(tenant)
        return state.version if state else 0

    def changed_since(self, tenant: Tenant, version: int) -> set[str]:
        """Vehicles that came or went after `version`."""
        state = self._tenants.get(tenant)
        if state is None or state.version == version:
            return set()
        return {vehicle for vehicle, at in state.changes.items() if at > version}


def _hear(state: _Tenant, data: bytes) -> None:
    try:
        told = msgspec.json.decode(data, type=Told, strict=False)
    except msgspec.MsgspecError as error:
        log.warning("a list of sessions cannot be read: %s", error)
        return
    gateway = state.gateways.setdefault(told.instance, _Gateway())
    gateway.heard = time.monotonic()
    before = set(gateway.sessions)
    if told.full:
        gateway.sessions.clear()
    for vehicle in told.closed:
        gateway.sessions.pop(vehicle, None)
    for row in told.open:
        edition = None if row.edition is None else str(row.edition)
        gateway.sessions[row.vehicle] = Session(row.address, row.since_us, edition, row.platform)
    lost = [name for name, one in state.gateways.items() if not _lives(one)]
    for name in lost:
        before |= set(state.gateways.pop(name).sessions)
    changed = before ^ set(gateway.sessions)
    if changed:
        state.left.update(dict.fromkeys(before - set(gateway.sessions), now_us()))
        state.version += 1
        state.changes.update(dict.fromkeys(changed, state.version))


def _lives(gateway: _Gateway) -> bool:
    return time.monotonic() - gateway.heard < GONE_S
