"""What the sessions of one listener share, whatever its protocol, and who is connected."""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from carcloud.gateway.admission import Admission, AdmissionDesk, Login
from carcloud.gateway.hangups import hung_up
from carcloud.gateway.limits import Budget, Doorkeeper, Limits, LoginThrottle
from carcloud.gateway.outbox import Outbox
from carcloud.gateway.reporting import Link
from carcloud.gateway.roster import Roster
from carcloud.gateway.tenant_quotas import TenantQuotas
from carcloud.model.ids import Tenant

if TYPE_CHECKING:
    from carcloud.gateway.connection import Connection

_READ_BYTES = 16_384  # taken from a socket at once
HANDSHAKE_S = 10  # in which a client must agree on TLS
_STRAYS_OF_ADDRESS = 1_000  # dead letters before the login, in a quarter of an hour

LoginDesk = AdmissionDesk[Login, Admission]


@dataclass(slots=True)
class GatewayFigures:
    """Counters since the start of the gateway."""

    frames: Counter[str] = field(default_factory=Counter)  # by outcome
    logins: int = 0
    logins_refused: int = 0
    closed: Counter[str] = field(default_factory=Counter)  # by reason
    refused: Counter[str] = field(default_factory=Counter)  # frames, by the error's code
    held: int = 0  # times that a vehicle was above its frame rate


class Listener(ABC):
    """All sessions of one listener. Listeners of one process share roster, door and quotas."""

    def __init__(
        self,
        outbox: Outbox,
        desk: LoginDesk,
        limits: Limits,
        *,
        fallback_tenant: Tenant,
        quotas: TenantQuotas | None = None,
        roster: Roster | None = None,
        door: Doorkeeper | None = None,
    ) -> None:
        self.outbox = outbox
        self.desk = desk
        self.limits = limits
        self.fallback_tenant = fallback_tenant
        self.throttle = LoginThrottle()
        self.strays = Budget(_STRAYS_OF_ADDRESS, 900)  # by address
        self.door = door or Doorkeeper(limits)
        self.quotas = quotas or TenantQuotas()
        self.clock = asyncio.get_running_loop().time
        self.read_buffer = memoryview(bytearray(_READ_BYTES))
        self.sessions: set[Connection[Any, Any, Any]] = set()
        self.arriving: dict[Connection[Any, Any, Any], float] = {}  # accepted, TLS not agreed yet
        self.roster = roster or Roster(limits.carried_timeout_s)
        self.figures = GatewayFigures()

    @abstractmethod
    def session(self) -> "Connection[Any, Any, Any]":
        """A session for a new connection."""

    def protocol(self) -> asyncio.BufferedProtocol:
        """A protocol object for a new connection (`loop.create_server`)."""
        session = self.session()
        self.arriving[session] = asyncio.get_running_loop().time()
        return session

    def press(self, on: bool) -> None:
        """Stop or resume reading from all sockets: the outbox is full, or has room again."""
        for session in self.sessions:
            session.pressed(on)

    def sweep(self, now: float) -> None:
        """Once a second: peers that are silent or gone, frame rates."""
        unread = ((session.unread(), session) for session in self.sessions)
        for session in hung_up((socket, one) for socket, one in unread if socket is not None):
            session.close("hung up before its turn")
        for session in list(self.sessions):
            session.check_clock(now)
            if session.link is not None and self.quotas.suspended(session.link.tenant):
                session.close("the tenant is suspended")
        self.roster.sweep(now)
        for session, since in list(self.arriving.items()):
            if now - since > 2 * HANDSHAKE_S:
                del self.arriving[session]
                self.figures.closed["no TLS handshake"] += 1

    def moved(self, rows: Iterable[Sequence[Any]]) -> None:  # noqa: B027 - most keep no sessions
        """Vehicles have connected to another gateway; rows as of `roster.Row`."""

    def sign_in(self, link: Link) -> None:
        """One live session per vehicle and per platform: the new connection wins."""
        before = self.roster.enter(link)
        if before is not None and before.session is not link.session:
            before.session.close("replaced by a new connection")

    def gone(self, session: "Connection[Any, Any, Any]") -> None:
        """A connection has ended."""
        self.sessions.discard(session)
        if session.link is not None:
            self.quotas.left(session.link.tenant)
            self.roster.leave(session.link)
