"""The MQTT listener: what its sessions share.

Every answer to a QoS 1 or 2 message leaves through the outbox, so PUBACK and PUBREC mean durable.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from carcloud.codecs.mqtt.message import pack_message
from carcloud.codecs.mqtt.packets import Will
from carcloud.codecs.mqtt.topics import prefix
from carcloud.gateway.admission import Admission, Login
from carcloud.gateway.connection import Connection
from carcloud.gateway.faults import fault_text
from carcloud.gateway.limits import Budget, Doorkeeper, Limits
from carcloud.gateway.listener import Listener, LoginDesk
from carcloud.gateway.mqtt.content import contradiction
from carcloud.gateway.mqtt.downlink import Downlink, Forbidden
from carcloud.gateway.mqtt.link import VehicleLink
from carcloud.gateway.mqtt.rules import Rules
from carcloud.gateway.mqtt.session import Session
from carcloud.gateway.mqtt.state import State, States
from carcloud.gateway.outbox import Outbox
from carcloud.gateway.roster import Roster
from carcloud.gateway.tenant_quotas import TenantQuotas
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us

log = logging.getLogger(__name__)

_SWEEP_S = 10  # between looks for sessions whose time is over
_ATTEMPTS = 3  # on forbidden topics that are told, of a vehicle
_ATTEMPTS_S = 900
_LOGGED, _LOGGED_S = 10, 60  # refused logins that the log tells, of an address


@dataclass(slots=True)
class MqttFigures:
    """Counters since the start, besides those that every listener has."""

    delivered: int = 0  # messages to vehicles that were acknowledged
    dropped: Counter[str] = field(default_factory=Counter)  # messages to vehicles, by reason
    forbidden: int = 0  # attempts on topics that are not the vehicle's
    wills: int = 0
    subscriptions_refused: int = 0  # above the limit


@dataclass(slots=True)
class _Nobody:
    """Sends what a vehicle left behind: no reply goes anywhere."""

    unconfirmed: int = 0

    def send(self, data: bytes) -> None:
        """Nobody is there."""


class MqttGateway(Listener):
    """All sessions of one listener."""

    def __init__(
        self,
        outbox: Outbox,
        desk: LoginDesk,
        rules: Rules,
        limits: Limits,
        *,
        fallback_tenant: Tenant,
        downlink: Downlink | None = None,
        on_forbidden: Callable[[Forbidden], None] = lambda _: None,
        tell_others: Callable[[Tenant, str], None] = lambda _tenant, _vehicle: None,
        quotas: TenantQuotas | None = None,
        roster: Roster | None = None,
        door: Doorkeeper | None = None,
    ) -> None:
        super().__init__(
            outbox, desk, limits, fallback_tenant=fallback_tenant, quotas=quotas, roster=roster,
            door=door,
        )  # fmt: skip
        self.rules = rules
        self.downlink = downlink  # without it, nothing waits for vehicles
        self.states = States(rules.sessions)
        self.mqtt = MqttFigures()
        self._on_forbidden = on_forbidden
        self.tell_others = tell_others  # that something waits for a vehicle which may be there
        self._told = Budget(_ATTEMPTS, _ATTEMPTS_S)  # attempts, by vehicle
        self._logged = Budget(_LOGGED, _LOGGED_S)  # refused logins, by address
        self._wills: dict[str, tuple[float, State, Will]] = {}  # by vehicle, and when they are due
        self._nobody = _Nobody()
        self._swept = 0.0

    def session(self) -> Session:
        """A session for a new connection."""
        return Session(self)

    def sweep(self, now: float) -> None:
        """Once a second: wills that are due, sessions that are over, what every listener does."""
        super().sweep(now)
        for vehicle, (due, state, will) in list(self._wills.items()):
            if now >= due:
                del self._wills[vehicle]
                self._publish_will(state, will)
        if now - self._swept > _SWEEP_S:
            self._swept = now
            self.states.sweep(now)

    def gone(self, session: Connection[Any, Any, Any]) -> None:
        """A connection has ended: its session waits, its will is published."""
        super().gone(session)
        if session.link is not None:
            session.link.ended(self.clock())

    def moved(self, rows: Iterable[Sequence[Any]]) -> None:
        """Vehicles have connected to another gateway: their sessions here are over, and their
        wills are taken back that have not been due yet."""
        for vehicle, since, *_ in rows:
            self.states.moved(vehicle, since)
            will = self._wills.get(vehicle)
            if will is not None and will[1].since_us < since:
                del self._wills[vehicle]
            link = self.roster.vehicles.get(vehicle)
            if isinstance(link, VehicleLink) and link.since_us < since:
                link.moved()

    def admitted(self, vehicle: str, found: Admission) -> None:
        """A login is on record, whatever becomes of its connection: the vehicle's session here is
        not out of date if it has seen the login before."""
        link = self.roster.vehicles.get(vehicle)
        if isinstance(link, VehicleLink):
            link.state.follow(found.before, found.time)
        self.states.follow(vehicle, found.before, found.time)

    def refused(self, login: Login, reason: str) -> None:
        """Log why a vehicle is not let in, which it is not told; not of each of a flood."""
        now = self.clock()
        if self._logged.left(login.address, now):
            self._logged.spend(login.address, now)
            log.info("%r from %s is not let in: %s", login.vehicle, login.address, reason)

    def look(self, vehicles: Iterable[str]) -> None:
        """There may be new messages for these vehicles."""
        for vehicle in vehicles:
            link = self.roster.vehicles.get(vehicle)
            session = None if link is None else link.session
            if isinstance(session, Session) and session.link is not None:
                session.link.down.look()

    def connected(self) -> list[str]:
        """Vehicles that have a session with subscriptions here."""
        links = (session.link for session in self.sessions)
        return [link.vehicle for link in links if link is not None and link.state.subscriptions]

    def forbid(self, attempt: Forbidden) -> None:
        """Tell of an attempt on a topic that is not the vehicle's; not of each of a flood."""
        self.mqtt.forbidden += 1
        now = self.clock()
        if self._told.left(attempt.vehicle, now):
            self._told.spend(attempt.vehicle, now)
            self._on_forbidden(attempt)

    # wills (3.1.2.5)

    def leave_will(self, state: State, will: Will, now: float) -> None:
        """A connection was lost: publish its will, after its delay or the end of the session."""
        delay = min(will.properties.will_delay or 0, state.expiry_s)
        if delay:
            self._wills[state.vehicle] = (now + delay, state, will)
        else:
            self._publish_will(state, will)

    def take_back_will(self, vehicle: str, *, resumed: bool) -> None:
        """[MQTT-3.1.3-9]: the session goes on, so the will is not published; else it is now."""
        found = self._wills.pop(vehicle, None)
        if found is not None and not resumed:
            self._publish_will(found[1], found[2])

    def _publish_will(self, state: State, will: Will) -> None:
        if self.quotas.suspended(state.tenant):
            return
        self.mqtt.wills += 1
        frame = pack_message(will.topic, will.payload)
        below = will.topic[len(prefix(state.vehicle)) :]
        amiss = contradiction(below, will.payload, will.properties)
        fault = None if amiss is None else fault_text(amiss)
        self.outbox.add(state.tenant, state.vehicle, now_us(), frame, self._nobody, None, fault)
