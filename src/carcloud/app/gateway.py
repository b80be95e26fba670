"""The gateway role: sockets of vehicles, one listener per protocol."""

import asyncio
import contextlib
import hashlib
import json
import logging
import shutil
import signal
import ssl
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from carcloud.app.admission_watch import AdmissionWatch
from carcloud.app.commands import CommandPost, Way, make_commands
from carcloud.app.engines import Engines
from carcloud.app.gbt32960_gateway import Gbt32960Listener
from carcloud.app.jt808_gateway import Jt808Listener
from carcloud.app.listeners import Shared, VehicleListener
from carcloud.app.mqtt_gateway import MqttListener
from carcloud.app.report import Figures
from carcloud.app.secret import sealing_secret
from carcloud.app.session_events import SessionEvents
from carcloud.app.tenant_watch import TenantWatch
from carcloud.codecs.mqtt.message import PROTOCOL as MQTT
from carcloud.config import Settings
from carcloud.gateway.admission import (
    EDITION_ON_RECORD,
    LOGIN_FAILED,
    OTHER_TERMINAL,
    Admission,
    AdmissionDesk,
    Login,
)
from carcloud.gateway.limits import Doorkeeper, Limits
from carcloud.gateway.listener import GatewayFigures, LoginDesk
from carcloud.gateway.orders import Order
from carcloud.gateway.outbox import Outbox, OutboxFigures
from carcloud.gateway.roster import Changes, Roster
from carcloud.model.figures import by_label
from carcloud.model.ids import Tenant
from carcloud.model.streams import sessions_subject
from carcloud.ports.errors import EngineError
from carcloud.ports.tracing import NO_TRACER, Tracer
from carcloud.services.vehicles.api import Admission as VehicleAdmission
from carcloud.services.vehicles.api import Login as VehicleLogin
from carcloud.services.vehicles.api import Vehicles

log = logging.getLogger(__name__)

_REASONS = {
    "invalid": "the unique id cannot be a vehicle's",
    "unknown": "the vehicle is not registered",
    "suspended": "the vehicle is suspended",
    "retired": "the vehicle is retired",
    "credentials": "neither the token nor the TLS certificate on record",
    "quota": "the tenant has as many vehicles as it may: see its limit `vehicles`",
}
_OWN_LINK = 4  # columns of a vehicle that a platform brings are more: see `roster.Row`
_FULL_LIST_S = 15  # between broadcasts of all open sessions


class GatewayRole:
    """Everything that runs in a gateway process."""

    def __init__(
        self, settings: Settings, engines: Engines, instance: str, tracer: Tracer = NO_TRACER
    ) -> None:
        self._settings = settings
        self._engines = engines
        self._instance = instance
        self._tracer = tracer
        self._data = Path(settings.text("data"))
        self._reserve = settings.whole("disk.reserve_mb") * 1_000_000
        self._room = True
        self._events = SessionEvents(engines.stream, instance)
        self._told: set[Tenant] = set()  # that somebody of has been told of
        self._tasks: list[asyncio.Task[None]] = []
        self._vehicles = Vehicles(engines.records, secret=sealing_secret(settings))
        automatic = settings.flag("gateway.auto_register")
        self._auto_register = Tenant(settings.text("gateway.tenant")) if automatic else None
        self.desk: LoginDesk = AdmissionDesk(
            self._admit, settings.number("gateway.logins_per_second"), failed=LOGIN_FAILED
        )
        self.watch = TenantWatch(engines.stream, engines.records, instance, "gateway")
        limits = _limits(settings)
        self.roster = Roster(limits.carried_timeout_s)
        self._door = Doorkeeper(limits)
        shared = Shared(
            self.desk,
            limits,
            Tenant(settings.text("gateway.tenant")),
            self.watch.quotas,
            self.roster,
            self._door,
        )
        gbt32960 = Gbt32960Listener(
            settings, engines, shared, self._outbox, self._vehicles, self._auto_register
        )
        self._login_desks = self.desk, gbt32960.platforms
        self.listeners: dict[str, VehicleListener] = {
            "gbt32960": gbt32960,
            "jt808": Jt808Listener(settings, engines, shared, self._outbox, self.watch.limits),
            MQTT: MqttListener(settings, engines, shared, self._outbox),
        }

        self.admissions = AdmissionWatch(self._vehicles, self.roster)
        self.post = CommandPost(make_commands(settings, engines), engines.stream, self._to_vehicle)

    def _to_vehicle(self, vehicle: str) -> Way | None:
        """How a command reaches a vehicle that is connected here."""
        link = self.roster.vehicles.get(vehicle)
        if link is None:
            return None
        session = link.session

        def deliver(order: Order) -> None:
            session.deliver(order, lambda told: self.post.report(vehicle, told))

        return Way(deliver, queues=session.queues)

    def _outbox(self, protocol: str, on_pressure: Callable[[bool], None]) -> Outbox:
        settings = self._settings
        return Outbox(
            self._engines.stream,
            protocol,
            self._instance,
            block_bytes=settings.whole("gateway.block_bytes"),
            block_s=settings.number("gateway.block_ms") / 1000,
            pending_bytes=settings.whole("gateway.pending_mb") * 1_000_000,
            on_pressure=on_pressure,
            room=lambda: self._room,
            tracer=self._tracer,
        )

    async def start(self, tls: ssl.SSLContext | None = None) -> dict[str, dict[str, object]]:
        """Listen; returns the addresses by protocol. `tls` = of the GB/T 32960 listener."""
        await self.watch.start()
        with contextlib.suppress(EngineError):
            await asyncio.to_thread(self.admissions.begin)
        addresses = {
            name: await one.start(tls if name == "gbt32960" else None)
            for name, one in self.listeners.items()
        }
        await self._engines.stream.listen(sessions_subject(Tenant("*")), self._hear_sessions)
        works = [*(desk.run for desk in self._desks()), self._each_second]
        works += [self.post.run, self.admissions.run, self._events.run]
        works += [work for one in self.listeners.values() for work in one.works()]
        self._tasks = [asyncio.create_task(work()) for work in works]
        for task in self._tasks:
            task.add_done_callback(_ended)
        return {name: address for name, address in addresses.items() if address is not None}

    def _desks(self) -> tuple[AdmissionDesk[Any, Any], ...]:
        return self.desk, *(desk for one in self.listeners.values() for desk in one.desks())

    async def _hear_sessions(self, _subject: str, data: bytes) -> None:
        """Who has connected to another gateway since leaves this one (B.2.7)."""
        told = json.loads(data)
        if told["instance"] == self._instance:
            return
        roster = self.roster
        theirs = [row for row in told["open"] if len(row) == _OWN_LINK]
        for one in self.listeners.values():
            one.gateway.moved(theirs)
        for rows, links in ((theirs, roster.vehicles), (told["platforms"], roster.platforms)):
            for name, since, *_ in rows:
                mine = links.get(name)
                if mine is not None and mine.since_us < since:
                    mine.session.close("replaced by a connection to another gateway")

    async def stop(self) -> None:
        """Take no more, make durable what is here, then close the connections."""
        listeners = self.listeners.values()
        for one in listeners:
            one.stop_listening()
        for one in listeners:
            await one.drain(10)
        await asyncio.gather(*(one.outbox.drain(10) for one in listeners))
        await self.watch.stop()
        for one in listeners:
            for session in list(one.gateway.sessions):
                session.close("shutdown")
        for task in self._tasks:
            task.cancel()

    def figures(self) -> Figures:
        """What the status of this process says."""
        outboxes = [one.outbox for one in self.listeners.values()]
        gateways = [one.gateway.figures for one in self.listeners.values()]
        waits = next((desk.problem for desk in self._desks() if desk.problem), None)
        stream = next((outbox.problem for outbox in outboxes if outbox.problem), None)
        vehicles, platforms = self.roster.counts()
        own = [self.watch.figures(), *(one.figures() for one in self.listeners.values())]
        problems = {
            "stream-waits": stream,
            "records-wait": waits,
            "commands-wait": self.post.problem,
        }
        return Figures(
            counters={
                **_sent(outbox.figures for outbox in outboxes),
                **_taken(gateways),
                "logins_delayed_total": self.desk.delayed,
                "commands_sent_total": self.post.sent,
                "command_reports_total": self.post.reported,
                "command_reports_dropped_total": self.post.dropped,
                "session_events_dropped_total": self._events.dropped,
                **by_label("connections_refused_total", "limit", self._door.refused),
                **by_label(
                    "protocol_frames_total",
                    "protocol",
                    {name: one.outbox.figures.frames for name, one in self.listeners.items()},
                ),
                **{name: count for one in own for name, count in one.counters.items()},
            },
            gauges={
                "connections": self._door.open,
                **by_label(
                    "protocol_connections",
                    "protocol",
                    {name: len(one.gateway.sessions) for name, one in self.listeners.items()},
                ),
                **by_label("vehicles_online", "tenant", vehicles),
                **by_label("platforms_online", "tenant", platforms),
                "logins_waiting": sum(desk.waiting for desk in self._login_desks),
                "pending_bytes": sum(outbox.pending_bytes for outbox in outboxes),
                "reading_paused": float(any(outbox.pressed for outbox in outboxes)),
                "disk_reserve_bytes": self._reserve,
                **{name: value for one in own for name, value in one.gauges.items()},
            },
            of_tenants=own[0].of_tenants,
            problems={code: text for code, text in problems.items() if text is not None},
        )

    def _admit(self, logins: Sequence[Login]) -> list[Admission]:
        """Ask the registry; runs in a thread."""
        self.admissions.begin()
        wanted = [_wanted(login) for login in logins]
        found = self._vehicles.admit_many(wanted, auto_register=self._auto_register)
        return [_told(one) for one in found]

    async def _each_second(self) -> None:
        loop = asyncio.get_running_loop()
        turn = 0
        while True:
            for one in self.listeners.values():
                one.gateway.sweep(loop.time())
            self._room = self._has_room()
            await self._tell_sessions(full=turn % _FULL_LIST_S == 0)
            await self.watch.each_second(self.roster.counts()[0])
            turn += 1
            await asyncio.sleep(1)

    def _has_room(self) -> bool:
        try:
            return shutil.disk_usage(self._data).free > self._reserve
        except OSError as error:
            log.warning("the data folder cannot be measured: %s", error)
            return False

    async def _tell_sessions(self, *, full: bool) -> None:
        """Who is connected, for the console: changes each second, everybody now and then."""
        changes = told = self.roster.take_changes()
        self._events.note(changes)
        self._told |= set(changes)
        for change in changes.values():
            self.post.arrived(change.open)
        if full:
            told = dict.fromkeys(self._told, Changes()) | self.roster.everybody()
            self._told = {tenant for tenant, there in told.items() if there.open or there.platforms}
        try:
            for tenant, there in told.items():
                message = {"instance": self._instance, "full": full, **there.told()}
                await self._engines.stream.broadcast(
                    sessions_subject(tenant), json.dumps(message).encode()
                )
        except EngineError as error:
            log.info("sessions not told: %s", error)  # the next full list mends it


def _ended(task: asyncio.Task[None]) -> None:
    """A gateway without its clock or its desk would stall unseen: end it, to be started anew."""
    if not task.cancelled() and task.exception() is not None:
        log.critical("the gateway ends", exc_info=task.exception())
        signal.raise_signal(signal.SIGTERM)


def _wanted(login: Login) -> VehicleLogin:
    return VehicleLogin(
        vehicle=login.vehicle,
        protocol=login.protocol,
        address=login.address,
        iccid=login.iccid or None,
        edition=None if login.edition == EDITION_ON_RECORD else str(login.edition),
        proven=login.proven,
        token=login.token,
        certificate=_fingerprint(login),
    )


def _told(found: VehicleAdmission) -> Admission:
    """What the registry says, as the session needs it."""
    if found.refusal == "iccid":
        return Admission(None, OTHER_TERMINAL, refusal="iccid")
    if found.refusal is not None:
        reason = _REASONS.get(found.refusal, found.refusal)
        return Admission(None, reason, refusal=found.refusal)
    return Admission(
        found.tenant,
        public_key=found.public_key,
        key_algorithm=found.algorithm,
        data_keys=found.data_keys,
        edition=int(found.edition or EDITION_ON_RECORD),
        proof=found.proof,
        time=found.time,
        before=found.before,
    )


def _fingerprint(login: Login) -> str | None:
    return hashlib.sha256(login.certificate).hexdigest() if login.certificate else None


def _sent(outboxes: Iterable[OutboxFigures]) -> dict[str, float]:
    """What all outboxes have sent, together."""
    total: Counter[str] = Counter()
    for one in outboxes:
        total.update(
            {
                "frames_total": one.frames,
                "acked_total": one.acked,
                "blocks_total": one.blocks,
                "blocks_full_total": one.blocks_full,
                "pauses_total": one.pauses,
            }
        )
        total.update(by_label("stream_retries_total", "reason", one.retries))
        total.update(one.ack_seconds.figures("ack_seconds"))
    return dict(total)


def _taken(listeners: Iterable[GatewayFigures]) -> dict[str, float]:
    """What all listeners have taken and refused, together."""
    total: Counter[str] = Counter()
    for one in listeners:
        total.update(
            {
                "dead_total": one.frames["refused"] + one.frames["garbage"],
                "heartbeats_total": one.frames["heartbeat"],
                "logins_total": one.logins,
                "logins_refused_total": one.logins_refused,
                "vehicles_held_total": one.held,
            }
        )
        total.update(by_label("frames_refused_total", "reason", one.refused))
        total.update(by_label("connections_closed_total", "reason", one.closed))
    return dict(total)


def _limits(settings: Settings) -> Limits:
    return Limits(
        connections=settings.whole("gateway.max_connections"),
        connections_per_address=settings.whole("gateway.max_connections_per_address"),
        logins_per_second=settings.number("gateway.logins_per_second"),
        frames_per_second_per_vehicle=settings.number("gateway.frames_per_second_per_vehicle"),
        login_timeout_s=settings.number("gateway.login_timeout_s"),
        carried_timeout_s=settings.number("gateway.carried_timeout_s"),
        idle_timeout_s=settings.number("gateway.idle_timeout_s"),
        half_frame_s=settings.number("gateway.half_frame_s"),
        faults_per_minute=settings.whole("gateway.faults_per_minute"),
        reply_backlog_bytes=settings.whole("gateway.reply_backlog_kb") * 1024,
        reply_wait_s=settings.number("gateway.reply_wait_s"),
    )
