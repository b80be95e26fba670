"""The gateway role: sockets of vehicles, one listener per protocol."""

import asyncio
import hashlib
import json
import logging
import shutil
import signal
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from carcloud.app.engines import Engines
from carcloud.app.platform_keys import platform_keys, signature_rule
from carcloud.app.report import Figures
from carcloud.app.secret import sealing_secret
from carcloud.app.tenant_watch import TenantWatch
from carcloud.codecs.gbt32960.errors import FrameError
from carcloud.config import Settings
from carcloud.gateway.admission import LOGIN_FAILED, OTHER_TERMINAL, Admission, AdmissionDesk, Login
from carcloud.gateway.gbt32960.carried import (
    CARRIED_FAILED,
    CarriedClerk,
    CarriedDesk,
    CarriedVehicles,
)
from carcloud.gateway.gbt32960.gateway import Gbt32960Gateway, KeyDesk
from carcloud.gateway.gbt32960.keys import KEY_FAILED, KeyClerk, SignatureCheck
from carcloud.gateway.gbt32960.rules import PROTOCOL, Rules, platform_credentials
from carcloud.gateway.limits import Limits
from carcloud.gateway.listener import HANDSHAKE_S, LoginDesk
from carcloud.gateway.outbox import Outbox
from carcloud.gateway.roster import Changes
from carcloud.model.figures import by_label
from carcloud.model.ids import Tenant
from carcloud.model.streams import event_subject, sessions_subject
from carcloud.model.time import iso, now_us
from carcloud.ports.errors import EngineError
from carcloud.ports.tracing import NO_TRACER, Tracer
from carcloud.services.compliance.api import PlatformAccounts
from carcloud.services.vehicles.api import Admission as VehicleAdmission
from carcloud.services.vehicles.api import Login as VehicleLogin
from carcloud.services.vehicles.api import Vehicles

log = logging.getLogger(__name__)

_REASONS = {
    "invalid": "the unique id cannot be a vehicle's",
    "unknown": "the vehicle is not registered",
    "suspended": "the vehicle is suspended",
    "retired": "the vehicle is retired",
    "quota": "the tenant has as many vehicles as it may: see its limit `vehicles`",
}
_PLATFORMS_PER_SECOND = 2  # a password costs a tenth of a second of a core
_KEYS_PER_SECOND = 200  # activations and key exchanges; each is checked and written
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
        self._data = Path(settings.text("data"))
        self._reserve = settings.whole("disk.reserve_mb") * 1_000_000
        self._room = True
        self._events = 0
        self._told: set[Tenant] = set()  # that somebody of has been told of
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None
        self._vehicles = Vehicles(engines.records, secret=sealing_secret(settings))
        self._platforms = PlatformAccounts(engines.records)
        automatic = settings.flag("gateway.auto_register")
        self._auto_register = Tenant(settings.text("gateway.tenant")) if automatic else None
        self.outbox = Outbox(
            engines.stream,
            PROTOCOL,
            instance,
            block_bytes=settings.whole("gateway.block_bytes"),
            block_s=settings.number("gateway.block_ms") / 1000,
            pending_bytes=settings.whole("gateway.pending_mb") * 1_000_000,
            on_pressure=lambda on: self.gateway.press(on),  # noqa: PLW0108 - made below
            room=lambda: self._room,
            tracer=tracer,
        )
        self.desk: LoginDesk = AdmissionDesk(
            self._admit, settings.number("gateway.logins_per_second"), failed=LOGIN_FAILED
        )
        self.platforms: LoginDesk = AdmissionDesk(
            self._admit_platforms, _PLATFORMS_PER_SECOND, failed=LOGIN_FAILED, batch=1
        )
        clerk = KeyClerk(self._vehicles, self._auto_register, platform_keys(settings))
        self.keys: KeyDesk = AdmissionDesk(clerk.answer, _KEYS_PER_SECOND, failed=KEY_FAILED)
        self.carried: CarriedDesk = AdmissionDesk(
            CarriedClerk(self._vehicles, self._platforms).answer,
            settings.number("gateway.logins_per_second"),
            failed=CARRIED_FAILED,
        )
        self.watch = TenantWatch(engines.stream, engines.records, instance, "gateway")
        rule = signature_rule(settings)
        self.gateway = Gbt32960Gateway(
            self.outbox,
            self.desk,
            _rules(settings),
            _limits(settings),
            fallback_tenant=Tenant(settings.text("gateway.tenant")),
            check_report=None if rule is None else SignatureCheck(rule),
            keys=self.keys,
            platforms=self.platforms,
            carried=CarriedVehicles(self.carried),
            quotas=self.watch.quotas,
        )

    async def start(self, tls: ssl.SSLContext | None = None) -> dict[str, object]:
        """Listen; returns the address."""
        loop = asyncio.get_running_loop()
        await self.watch.start()
        tls = tls or tls_context(self._settings)
        self._server = await loop.create_server(
            self.gateway.protocol,
            self._settings.text("gateway.gbt32960.host"),
            self._settings.whole("gateway.gbt32960.port"),
            ssl=tls,
            ssl_handshake_timeout=HANDSHAKE_S if tls is not None else None,
            backlog=4096,
            reuse_port=True,  # with further gateways, and with the one that replaces this
        )
        await self._engines.stream.listen(sessions_subject(Tenant("*")), self._hear_sessions)
        self._tasks = [
            asyncio.create_task(work())
            for work in (*(desk.run for desk in self._desks()), self._each_second)
        ]
        for task in self._tasks:
            task.add_done_callback(_ended)
        host, port = self._server.sockets[0].getsockname()[:2]
        return {"host": host, "port": port}

    def _desks(self) -> tuple[AdmissionDesk[Any, Any], ...]:
        return self.desk, self.platforms, self.keys, self.carried

    async def _hear_sessions(self, _subject: str, data: bytes) -> None:
        """Who has connected to another gateway since leaves this one (B.2.7)."""
        told = json.loads(data)
        if told["instance"] == self._instance:
            return
        roster = self.gateway.roster
        theirs = [row for row in told["open"] if len(row) == _OWN_LINK]
        for rows, links in ((theirs, roster.vehicles), (told["platforms"], roster.platforms)):
            for name, since, *_ in rows:
                mine = links.get(name)
                if mine is not None and mine.since_us < since:
                    mine.session.close("replaced by a connection to another gateway")

    async def stop(self) -> None:
        """Take no more, make durable what is here, then close the connections."""
        if self._server is not None:
            self._server.close()
        self.gateway.press(True)
        await self.outbox.drain(10)
        await self.watch.stop()
        for session in list(self.gateway.sessions):
            session.close("shutdown")
        for task in self._tasks:
            task.cancel()

    def figures(self) -> Figures:
        """What the status of this process says."""
        outbox, told = self.outbox.figures, self.gateway.figures
        waits = next((desk.problem for desk in self._desks() if desk.problem), None)
        vehicles, platforms = self.gateway.roster.counts()
        watched = self.watch.figures()
        problems = {"stream-waits": self.outbox.problem, "records-wait": waits}
        return Figures(
            counters={
                "frames_total": outbox.frames,
                "acked_total": outbox.acked,
                "dead_total": told.frames["refused"] + told.frames["garbage"],
                "heartbeats_total": told.frames["heartbeat"],
                "logins_total": told.logins,
                "logins_refused_total": told.logins_refused,
                "logins_delayed_total": self.desk.delayed,
                "blocks_total": outbox.blocks,
                "blocks_full_total": outbox.blocks_full,
                "pauses_total": outbox.pauses,
                "vehicles_held_total": told.held,
                **by_label("frames_refused_total", "reason", told.refused),
                **by_label("connections_refused_total", "limit", self.gateway.door.refused),
                **by_label("connections_closed_total", "reason", told.closed),
                **by_label("stream_retries_total", "reason", outbox.retries),
                **outbox.ack_seconds.figures("ack_seconds"),
                **watched.counters,
            },
            gauges={
                "connections": self.gateway.door.open,
                **by_label("vehicles_online", "tenant", vehicles),
                **by_label("platforms_online", "tenant", platforms),
                "logins_waiting": self.desk.waiting + self.platforms.waiting,
                "pending_bytes": self.outbox.pending_bytes,
                "reading_paused": float(self.outbox.pressed),
                "disk_reserve_bytes": self._reserve,
                **watched.gauges,
            },
            of_tenants=watched.of_tenants,
            problems={code: text for code, text in problems.items() if text is not None},
        )

    def _admit(self, logins: Sequence[Login]) -> list[Admission]:
        """Ask the registry; runs in a thread."""
        wanted = [_wanted(login) for login in logins]
        found = self._vehicles.admit_many(wanted, auto_register=self._auto_register)
        return [_told(*pair) for pair in zip(logins, found, strict=True)]

    def _admit_platforms(self, logins: Sequence[Login]) -> list[Admission]:
        """Ask the platform accounts; runs in a thread."""
        return [self._admit_platform(login, login.platform or b"") for login in logins]

    def _admit_platform(self, login: Login, data: bytes) -> Admission:
        try:
            user, password = platform_credentials(data)
        except FrameError as error:
            return Admission(None, str(error))
        tenant = self._platforms.admit(login.vehicle, user, password)
        return Admission(tenant, "" if tenant else "no platform account with these credentials")

    async def _each_second(self) -> None:
        loop = asyncio.get_running_loop()
        turn = 0
        while True:
            self.gateway.sweep(loop.time())
            self._room = self._has_room()
            await self._tell_sessions(full=turn % _FULL_LIST_S == 0)
            await self.watch.each_second(self.gateway.roster.counts()[0])
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
        changes = told = self.gateway.roster.take_changes()
        self._told |= set(changes)
        if full:
            told = dict.fromkeys(self._told, Changes()) | self.gateway.roster.everybody()
            self._told = {tenant for tenant, there in told.items() if there.open or there.platforms}
        try:
            for tenant, change in changes.items():
                await self._publish_event(tenant, change)
            for tenant, there in told.items():
                message = {"instance": self._instance, "full": full, **there.told()}
                await self._engines.stream.broadcast(
                    sessions_subject(tenant), json.dumps(message).encode()
                )
        except EngineError as error:
            log.info("sessions not told: %s", error)  # the next full list mends it

    async def _publish_event(self, tenant: Tenant, change: Changes) -> None:
        """`events.<tenant>.vehicles.sessions`: who came and who went in the last second."""
        self._events += 1
        await self._engines.stream.publish(
            event_subject(tenant, "vehicles", "sessions"),
            json.dumps({"time": iso(now_us()), **change.told()}).encode(),
            f"{self._instance}-sessions-{self._events}",
        )


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
        edition=str(login.edition),
    )


def _told(login: Login, found: VehicleAdmission) -> Admission:
    """What the registry says, as the session needs it."""
    if found.refusal == "iccid":
        return Admission(None, OTHER_TERMINAL)
    if found.refusal is not None:
        return Admission(None, _REASONS.get(found.refusal, found.refusal))
    if found.tls_fingerprint is not None and _fingerprint(login) != found.tls_fingerprint:
        return Admission(None, "the TLS certificate is not the one on record")
    return Admission(found.tenant, "", found.public_key, found.algorithm, found.data_keys)


def _fingerprint(login: Login) -> str | None:
    return hashlib.sha256(login.certificate).hexdigest() if login.certificate else None


def _rules(settings: Settings) -> Rules:
    prefix = "gateway.gbt32960."
    return Rules(
        reply_reports=settings.flag(prefix + "reply_reports"),
        reply_body="echo" if settings.text(prefix + "reply_body") == "echo" else "time",
        reissue_days_2016=settings.whole(prefix + "reissue_days_2016"),
        reissue_days_2025=settings.whole(prefix + "reissue_days_2025"),
        future_tolerance_s=settings.whole("gateway.future_tolerance_s"),
    )


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


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """TLS of the vehicle listener (GB/T 40855-2021 5.4 asks for it); None when not set."""
    prefix = "gateway.gbt32960."
    certificate = settings.text(prefix + "tls_cert")
    if not certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, settings.text(prefix + "tls_key") or None)
    authority = settings.text(prefix + "tls_client_ca")
    if authority:
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
