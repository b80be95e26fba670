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
from carcloud.ports.stream import Stream
from carcloud.services.telemetry.types import Session

log = logging.getLogger(__name__)

GONE_S = 40.0  # s; a gateway that told nothing for two full lists and a bit is gone


class Told(msgspec.Struct, frozen=True):
    """One message of a gateway; a row of `open` is (vehicle, since us, address, edition)."""

    instance: str
    full: bool
    open: list[tuple[str, int, str | None, str | int | None]]
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
        """The vehicle's open session."""
        state = self._tenants.get(tenant)
        for gateway in state.gateways.values() if state else ():
            if vehicle in gateway.sessions and _lives(gateway):
                return gateway.sessions[vehicle]
        return None

    def online(self, tenant: Tenant) -> set[str]:
        """The vehicles that are connected."""
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
    for vehicle, since, address, edition in told.open:
        known = None if edition is None else str(edition)
        gateway.sessions[vehicle] = Session(address, since, known)
    lost = [name for name, one in state.gateways.items() if not _lives(one)]
    for name in lost:
        before |= set(state.gateways.pop(name).sessions)
    changed = before ^ set(gateway.sessions)
    if changed:
        state.version += 1
        state.changes.update(dict.fromkeys(changed, state.version))


def _lives(gateway: _Gateway) -> bool:
    return time.monotonic() - gateway.heard < GONE_S
