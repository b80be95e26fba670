"""The GB/T 32960 listener: what its sessions share, and who is connected.

A session decodes only what it needs: the header, the collection time, who logs in. All frames go
to the outbox, and every reply leaves through it, so that an acknowledged frame is durable.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from carcloud.codecs.gbt32960.constants import Flag
from carcloud.codecs.gbt32960.errors import FrameError
from carcloud.codecs.gbt32960.frame import Frame
from carcloud.gateway.admission import Admission, AdmissionDesk, Login
from carcloud.gateway.gbt32960.carried import CarriedVehicles
from carcloud.gateway.gbt32960.keys import KeyAnswer, KeyRequest
from carcloud.gateway.gbt32960.link import Link
from carcloud.gateway.gbt32960.roster import Roster
from carcloud.gateway.gbt32960.rules import Rules, Windows
from carcloud.gateway.gbt32960.session import Session
from carcloud.gateway.hangups import hung_up
from carcloud.gateway.limits import Budget, Doorkeeper, Limits, LoginThrottle
from carcloud.gateway.outbox import Outbox
from carcloud.gateway.tenant_quotas import TenantQuotas
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us

_READ_BYTES = 16_384  # taken from a socket at once
HANDSHAKE_S = 10  # in which a client must agree on TLS
_STRAYS_OF_ADDRESS = 1_000  # dead letters before the login, in a quarter of an hour

LoginDesk = AdmissionDesk[Login, Admission]
KeyDesk = AdmissionDesk[KeyRequest, KeyAnswer]


class ReportCheck(Protocol):
    """Looks at a report before it is accepted, beyond header and time."""

    def concerns(self, edition: int, admission: Admission) -> bool:
        """Whether reports of this edition and vehicle are looked at, or all are good."""

    def __call__(self, frame: Frame, admission: Admission) -> tuple[Flag, FrameError] | None:
        """None when the report is good; else the reply flag and what is wrong."""


@dataclass(slots=True)
class GatewayFigures:
    """Counters since the start of the gateway."""

    frames: Counter[str] = field(default_factory=Counter)  # by outcome
    logins: int = 0
    logins_refused: int = 0
    closed: Counter[str] = field(default_factory=Counter)  # by reason
    refused: Counter[str] = field(default_factory=Counter)  # frames, by the error's code
    held: int = 0  # times that a vehicle was above its frame rate


class Gbt32960Gateway:
    """All sessions of one listener."""

    def __init__(
        self,
        outbox: Outbox,
        desk: LoginDesk,
        rules: Rules,
        limits: Limits,
        *,
        fallback_tenant: Tenant,
        check_report: ReportCheck | None = None,
        keys: KeyDesk | None = None,
        platforms: LoginDesk | None = None,
        carried: CarriedVehicles | None = None,
        quotas: TenantQuotas | None = None,
    ) -> None:
        self.outbox = outbox
        self.desk = desk
        self.rules = rules
        self.limits = limits
        self.fallback_tenant = fallback_tenant
        self.check_report = check_report
        self.keys = keys  # without it, activations and key exchanges are only kept
        self.platforms = platforms or desk  # answers the logins of platforms
        self.throttle = LoginThrottle()
        self.strays = Budget(_STRAYS_OF_ADDRESS, 900)  # by address
        self.carried = carried  # without it, platforms bring whom they like
        self.door = Doorkeeper(limits)
        self.quotas = quotas or TenantQuotas()
        self.windows = Windows(rules)
        self.windows.refresh(now_us())
        self.clock = asyncio.get_running_loop().time
        self.read_buffer = memoryview(bytearray(_READ_BYTES))
        self.sessions: set[Session] = set()
        self.arriving: dict[Session, float] = {}  # accepted, TLS not agreed yet
        self.roster = Roster(limits.carried_timeout_s)
        self.figures = GatewayFigures()

    def protocol(self) -> asyncio.BufferedProtocol:
        """A protocol object for a new connection (`loop.create_server`)."""
        session = Session(self)
        self.arriving[session] = asyncio.get_running_loop().time()
        return session

    def press(self, on: bool) -> None:
        """Stop or resume reading from all sockets: the outbox is full, or has room again."""
        for session in self.sessions:
            session.pressed(on)

    def sweep(self, now: float) -> None:
        """Once a second: time windows, peers that are silent or gone, frame rates."""
        self.windows.refresh(now_us())
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

    def sign_in(self, link: Link) -> None:
        """One live session per vehicle and per platform: the new connection wins (B.2.7)."""
        before = self.roster.enter(link)
        if before is not None and before.session is not link.session:
            before.session.close("replaced by a new connection")

    def gone(self, session: Session) -> None:
        """A connection has ended."""
        self.sessions.discard(session)
        if session.link is not None:
            self.quotas.left(session.link.tenant)
            self.roster.leave(session.link)
