"""What a tenant's vehicles may take of one gateway process: connections, frames each second.

A tenant above its frame rate is slowed: what its sessions send then is not looked at, and no more
is read from them, until the rate has room again; they go on one after the other. Nothing that was
acknowledged is touched, and sessions of other tenants are not looked at.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol

from carcloud.model.ids import Tenant
from carcloud.model.limits import UNLIMITED

_BURST_S = 1.0  # of the rate, that may be taken at once
_TURN_S = 0.004  # in which the held go on, until others have their turn
_PRESSED_S = 0.05  # until the next try where there is no room for what the held sent
_MOST_GONE = 1_000  # held sessions of a tenant whose peer has gone
_LOOK_S = 1.0  # longest time between looks at whether the held may go on


class Held(Protocol):
    """A session as its tenant's quota sees it."""

    @property
    def gone(self) -> bool:
        """Its peer has gone."""

    def go_on(self) -> bool:
        """Take what came in meanwhile, and read again; False when there is no room for it yet."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What this process may give a tenant now."""

    frames_per_second: float = UNLIMITED
    connections: int = UNLIMITED
    full: bool = False  # the tenant holds more bytes than it may: nothing more is taken
    suspended: bool = False  # its connections are closed


@dataclass(slots=True)
class _Tenant:
    allowance: Allowance
    tokens: float
    at: float  # s of the loop's clock, when `tokens` was right
    open: int = 0
    taken: int = 0  # frames since `take_counts`
    held: dict[Held, None] = field(default_factory=dict)  # in the order in which they go on
    gone: int = 0  # of these, whose peer has gone
    waiting: asyncio.TimerHandle | None = None

    @property
    def rate(self) -> float:
        return 0.0 if self.allowance.full else self.allowance.frames_per_second

    def refill(self, now: float) -> None:
        rate = self.rate
        self.tokens = min(self.tokens + rate * (now - self.at), rate * _BURST_S)
        self.at = now
        if rate == 0:
            self.tokens = min(self.tokens, -1.0)


class TenantQuotas:
    """Quotas of all tenants at one process; made without `allow` it allows everything."""

    def __init__(self, allow: Callable[[Tenant], Allowance] = lambda _: Allowance()) -> None:
        self._allow = allow
        self._tenants: dict[Tenant, _Tenant] = {}
        self.refused: Counter[tuple[Tenant, str]] = Counter()  # connections, by limit
        self.slowed: Counter[Tenant] = Counter()  # times that a session was held

    def suspended(self, tenant: Tenant) -> bool:
        """Whether the tenant may not work now."""
        return self._known(tenant).allowance.suspended

    def refuses(self, tenant: Tenant) -> str | None:
        """The limit that is in the way of one more connection; it is counted."""
        known = self._known(tenant)
        limit = "stored_bytes" if known.allowance.full else None
        if limit is None and known.open >= known.allowance.connections:
            limit = "connections"
        if limit is not None:
            self.refused[tenant, limit] += 1
        return limit

    def entered(self, tenant: Tenant) -> None:
        """A connection of the tenant has logged in."""
        self._known(tenant).open += 1

    def left(self, tenant: Tenant) -> None:
        """It has ended."""
        self._known(tenant).open -= 1

    def admits(self, tenant: Tenant, session: Held) -> bool:
        """Whether the tenant may send now; if not, the session is held until `Held.go_on`."""
        known = self._tenants.get(tenant) or self._known(tenant)
        if known.tokens < 0:
            known.refill(asyncio.get_running_loop().time())
        if known.tokens >= 0 and not known.held:
            return True
        known.held[session] = None
        self.slowed[tenant] += 1
        self._wait(known)
        return False

    def outlived(self, tenant: Tenant, session: Held) -> bool:
        """The peer of a held session has gone: whether what it sent is taken in its turn.

        It was not acknowledged. It is not of a tenant that may send nothing or has left too much.
        """
        known = self._known(tenant)
        if known.rate > 0 and known.gone < _MOST_GONE:
            known.gone += 1
            return True
        known.held.pop(session, None)
        return False

    def spend(self, tenant: Tenant, frames: int) -> None:
        """Count frames that were taken."""
        known = self._tenants.get(tenant) or self._known(tenant)
        known.taken += frames
        if known.rate < UNLIMITED:  # time in which there was no room for more gives nothing
            known.refill(asyncio.get_running_loop().time())
        known.tokens -= frames

    def refresh(self) -> None:
        """Once a second: ask anew what is allowed."""
        now = asyncio.get_running_loop().time()
        for tenant, known in self._tenants.items():
            known.refill(now)
            known.allowance = self._allow(tenant)
            known.refill(now)

    def take_counts(self) -> tuple[dict[Tenant, int], dict[Tenant, int]]:
        """(frames since the last call, open connections) by tenant."""
        frames = {tenant: known.taken for tenant, known in self._tenants.items() if known.taken}
        for known in self._tenants.values():
            known.taken = 0
        return frames, {tenant: known.open for tenant, known in self._tenants.items() if known.open}

    def holding(self) -> dict[Tenant, int]:
        """Sessions that are held now, by tenant."""
        return {tenant: len(known.held) for tenant, known in self._tenants.items() if known.held}

    def _known(self, tenant: Tenant) -> _Tenant:
        known = self._tenants.get(tenant)
        if known is None:
            allowance = self._allow(tenant)
            now = asyncio.get_running_loop().time()
            known = self._tenants[tenant] = _Tenant(allowance, 0.0, now - _BURST_S)
        return known

    def _wait(self, known: _Tenant, least_s: float = 0.0) -> None:
        if known.waiting is None:
            rate = known.rate
            delay = min(_LOOK_S, max(0.0, -known.tokens) / rate) if rate > 0 else _LOOK_S
            loop = asyncio.get_running_loop()
            known.waiting = loop.call_later(max(delay, least_s), self._go_on, known)

    def _go_on(self, known: _Tenant) -> None:
        known.waiting, pause = None, 0.0
        known.refill(asyncio.get_running_loop().time())
        until = perf_counter() + _TURN_S
        try:
            while known.held and known.tokens >= 0 and perf_counter() < until:
                session = next(iter(known.held))
                if not session.go_on():
                    pause = _PRESSED_S
                    break
                known.held.pop(session, None)
                known.gone -= session.gone
        finally:
            if known.held:
                self._wait(known, pause)
