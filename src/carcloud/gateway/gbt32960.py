"""GB/T 32960.3 sessions: vehicle links (Annex B) and platform links (clause 5), server side.

A session decodes only what it needs: the header, the collection time, who logs in. All frames go
to the outbox, and every reply leaves through it, so that an acknowledged frame is durable.
"""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, Protocol, cast

from carcloud.codecs.gbt32960.constants import Command, Encryption, Flag, is_known_command
from carcloud.codecs.gbt32960.errors import FrameError, SecurityError
from carcloud.codecs.gbt32960.frame import Frame, Garbage, Splitter
from carcloud.gateway.admission import OTHER_TERMINAL, Admission, AdmissionDesk, Login
from carcloud.gateway.carried import CARRIED, CarriedVehicles
from carcloud.gateway.faults import fault_text
from carcloud.gateway.gbt32960_keys import (
    KeyAnswer,
    KeyRequest,
    activation_result,
    kept_bytes,
    kept_form,
    opened_here,
)
from carcloud.gateway.gbt32960_rules import (
    REPORTS,
    Rules,
    Windows,
    accepted,
    answer,
    flag_for,
    plausible_time,
)
from carcloud.gateway.limits import Budget, Doorkeeper, Limits, LoginThrottle
from carcloud.gateway.outbox import Outbox
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us

log = logging.getLogger(__name__)

PROTOCOL = "gbt32960"
_TIME = 24  # offset of the collection time, the first field of almost every data unit
_LOGIN_ICCID = slice(32, 52)
_KEYS = (Command.ACTIVATION, Command.KEY_EXCHANGE)
_TURN_S = 0.004  # one session's frames at a time: checking an SM2 signature takes half a ms
_MOST_KEYS_WAITING = 1_000  # activations and key exchanges, of up to 64 KiB each
_MOST_PLATFORMS_WAITING = 200
_STRAYS = 3  # dead letters of a connection that has not logged in, and their longest:
_STRAY_BYTES = 1024
_STRAYS_OF_ADDRESS = 1_000  # in a quarter of an hour
HANDSHAKE_S = 10  # in which a client must agree on TLS

LoginDesk = AdmissionDesk[Login, Admission]
KeyDesk = AdmissionDesk[KeyRequest, KeyAnswer]


class ReportCheck(Protocol):
    """Looks at a report before it is accepted, beyond header and time."""

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
        self.windows = Windows(rules)
        self.windows.refresh(now_us())
        self.sessions: set[Gbt32960Session] = set()
        self.arriving: dict[Gbt32960Session, float] = {}  # accepted, TLS not agreed yet
        self.by_vehicle: dict[str, Gbt32960Session] = {}
        self.figures = GatewayFigures()
        self.opened: list[tuple[Tenant, list[object]]] = []  # told to the console and emptied
        self.closed: list[tuple[Tenant, str]] = []

    def protocol(self) -> asyncio.Protocol:
        """A protocol object for a new connection (`loop.create_server`)."""
        session = Gbt32960Session(self)
        self.arriving[session] = asyncio.get_running_loop().time()
        return session

    def press(self, on: bool) -> None:
        """Stop or resume reading from all sockets: the outbox is full, or has room again."""
        for session in self.sessions:
            session.pressed(on)

    def sweep(self, now: float) -> None:
        """Once a second: time windows, silent peers, frame rates."""
        self.windows.refresh(now_us())
        for session in list(self.sessions):
            session.check_clock(now)
        for session, since in list(self.arriving.items()):
            if now - since > 2 * HANDSHAKE_S:
                del self.arriving[session]
                self.figures.closed["no TLS handshake"] += 1

    def sign_in(self, session: "Gbt32960Session") -> None:
        """One live session per vehicle: the new connection wins (B.2.7)."""
        assert session.vehicle is not None and session.tenant is not None  # noqa: S101
        before = self.by_vehicle.get(session.vehicle)
        if before is not None and before is not session:
            before.close("replaced by a new connection")
        self.by_vehicle[session.vehicle] = session
        if not session.is_platform:
            self.opened.append((session.tenant, session.row()))

    def gone(self, session: "Gbt32960Session") -> None:
        """A connection has ended."""
        self.sessions.discard(session)
        if session.vehicle is None or session.tenant is None:
            return
        if self.by_vehicle.get(session.vehicle) is session:
            del self.by_vehicle[session.vehicle]
            self.closed.append((session.tenant, session.vehicle))


class Gbt32960Session(asyncio.Protocol):
    """One connection: a vehicle, or a platform that carries many vehicles."""

    __slots__ = (
        "_admitting",
        "_deaf_since",
        "_faults",
        "_faults_since",
        "_frames",
        "_gateway",
        "_held",
        "_last",
        "_paused",
        "_resting",
        "_since",
        "_splitter",
        "_strays",
        "_transport",
        "_waiting",
        "_waits_for",
        "_whole",
        "_window",
        "address",
        "admission",
        "edition",
        "iccid",
        "is_platform",
        "logged_in_us",
        "tenant",
        "unconfirmed",
        "vehicle",
    )

    def __init__(self, gateway: Gbt32960Gateway) -> None:
        self._gateway = gateway
        self._splitter = Splitter()
        self._transport: asyncio.Transport | None = None
        self._waiting: list[Frame | Garbage] = []  # came in while the login is looked up
        self._admitting = False
        self._deaf_since: float | None = None  # it leaves replies unread
        self._resting = False  # the others have their turn
        self._paused = False
        self._held = False  # above its frame rate until the next window
        self._frames = 0.0  # above the rate, see _measure_rate
        self._waits_for: tuple[AdmissionDesk[Any, Any], int, str] | None = None
        # desk, ticket, and the platform that tries to log in
        self._strays = 0  # dead letters before the login
        self._faults = 0
        self._faults_since = 0.0
        self._since = self._last = self._whole = self._window = asyncio.get_running_loop().time()
        self.address = ""
        self.vehicle: str | None = None
        self.tenant: Tenant | None = None
        self.admission: Admission | None = None
        self.iccid = ""
        self.edition = 0
        self.logged_in_us = 0
        self.is_platform = False
        self.unconfirmed = 0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._gateway.arriving.pop(self, None)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        if not self._gateway.door.enter(self.address):
            self._gateway.figures.closed["too many connections"] += 1
            self._transport.abort()
            self._transport = None
            return
        self._transport.set_write_buffer_limits(high=self._gateway.limits.reply_backlog_bytes)
        self._gateway.sessions.add(self)
        if self._gateway.outbox.pressed:
            self.pressed(True)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        if self._transport is None:
            return
        self._transport = None
        self._gateway.door.leave(self.address)
        if self._waits_for is not None:
            desk, ticket, platform = self._waits_for
            if desk.withdraw(ticket) and platform:
                self._gateway.throttle.forgive(platform, self.address)
        for rest in self._splitter.finish():
            self._refuse_bytes(rest)
        self._gateway.gone(self)

    def pause_writing(self) -> None:
        self._deaf_since = asyncio.get_running_loop().time()
        self._steer()  # no frames, no further replies

    def resume_writing(self) -> None:
        self._deaf_since = None
        self._steer()

    def data_received(self, data: bytes) -> None:
        self._last = asyncio.get_running_loop().time()
        begun = self._splitter.pending
        pieces = self._splitter.feed(data)
        if pieces or not begun:
            self._whole = self._last
        self._receive(pieces)

    def row(self) -> list[object]:
        """[vehicle, since (us), address, edition], as told to the console."""
        return [self.vehicle, self.logged_in_us, self.address, self.edition]

    # the outbox's view

    def send(self, data: bytes) -> None:
        """Write replies; a peer that has gone is ignored."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def pressed(self, on: bool) -> None:
        """Stop or resume reading because the outbox asks for it."""
        self._paused = on
        self._steer()

    # frames

    def _receive(self, pieces: list[Frame | Garbage]) -> None:
        if self._admitting or self._resting:
            self._waiting += pieces
        else:
            self._take_all(pieces)

    def _take_all(self, pieces: list[Frame | Garbage], *, left: bool = False) -> None:
        """Take frames in order, for one turn; `left`: the peer has gone meanwhile."""
        begun = perf_counter()
        for index, piece in enumerate(pieces, 1):
            if isinstance(piece, Garbage):
                self._refuse_bytes(piece)
            else:
                self._take(piece)
            if self._transport is None and not left:
                return
            if self._admitting:
                self._waiting += pieces[index:]
                return
            if perf_counter() - begun > _TURN_S and index < len(pieces):
                self._rest(pieces[index:])
                return

    def _rest(self, pieces: list[Frame | Garbage]) -> None:
        """Let others have their turn before the rest of this packet."""
        self._waiting += pieces
        self._resting = True
        self._steer()
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._resting = False
        waiting, self._waiting = self._waiting, []
        self._take_all(waiting, left=self._transport is None)
        self._steer()

    def _take(self, frame: Frame) -> None:
        self._frames += 1
        if self.is_platform and frame.is_command and frame.command in CARRIED:
            stranger = self._stranger(frame)
            if stranger is not None:
                self._refuse(frame, *stranger)
                return
            if self._came_before(frame):
                return
        if frame.command in REPORTS and frame.flag == Flag.COMMAND and self.tenant is not None:
            self._report(frame)
        elif not frame.is_command:
            self._answer_to_us(frame)
        elif frame.command in (Command.LOGIN, Command.PLATFORM_LOGIN):
            self._login(frame)
        elif frame.edition == 2025 and frame.command in _KEYS and self._gateway.keys is not None:
            self._ask_keys(frame, self._gateway.keys)
        elif self.tenant is None:
            self._refuse(frame, Flag.ERROR, FrameError("no-login", 2, "B.1", "not logged in"))
        else:
            self._other(frame)

    def _stranger(self, frame: Frame) -> tuple[Flag, FrameError] | None:
        """Why a vehicle that a platform brings is not welcome."""
        carried = self._gateway.carried
        if carried is None or self.tenant is None or self.vehicle is None:
            return None
        return carried.refusal(self.tenant, self.vehicle, frame, PROTOCOL)

    def _came_before(self, frame: Frame) -> bool:
        """A vehicle's login or logout that its platform sent before: answered, not kept again."""
        carried = self._gateway.carried
        if carried is None or self.tenant is None or self.vehicle is None:
            return False
        if not carried.repeated(self.tenant, self.vehicle, frame):
            return False
        reply = answer(frame, Flag.SUCCESS, self._gateway.rules, now_us())
        self._gateway.outbox.after_all(self.tenant, self, reply)
        return True

    def _report(self, frame: Frame) -> None:
        if frame.encryption != Encryption.NONE and self.admission is not None:
            slack = self._gateway.rules.future_tolerance_s
            try:
                frame = opened_here(frame, self.admission, slack)
            except SecurityError as error:
                wrong = FrameError("decryption", _TIME, "6.2 table 5", str(error))
                self._refuse(frame, Flag.BAD_DECRYPTION, wrong)
                return
        refusal = self._wrong_report(frame)
        if refusal is not None:
            self._refuse(frame, *refusal)
            return
        gateway = self._gateway
        reply = None
        if self.is_platform or gateway.rules.reply_reports:
            reply = accepted(frame, gateway.rules)
        gateway.figures.frames["report"] += 1
        self._keep(frame, reply)

    def _wrong_report(self, frame: Frame) -> tuple[Flag, FrameError] | None:
        """What is wrong with a report beyond its frame: whose it is, and when."""
        if not self.is_platform and frame.unique_id != self.vehicle:
            detail = f"the session is {self.vehicle}'s, the report names {frame.unique_id}"
            return Flag.VIN_UNKNOWN, FrameError("wrong-vin", 4, "6.2 table 2", detail)
        if frame.encryption == Encryption.NONE:
            wrong = self._wrong_time(frame)
            if wrong is not None:
                return wrong
        check, admission = self._gateway.check_report, self.admission
        if check is None or admission is None or self.is_platform:
            return None  # clause 5: a platform answers for its vehicles
        return check(frame, admission)

    def _wrong_time(self, frame: Frame) -> tuple[Flag, FrameError] | None:
        time = frame.data[:6]
        windows = self._gateway.windows
        if not plausible_time(time):
            error = FrameError("bad-time", _TIME, "6.3.2", f"{time.hex()} names no moment")
        elif time > windows.latest:
            error = FrameError("future-time", _TIME, "6.3.2", "collection time in the future")
        elif time < windows.earliest(frame.edition, self.is_platform):
            error = FrameError("too-old", _TIME, "B.2.1", "older than the reissue window")
        else:
            return None
        return Flag.BAD_STRUCTURE, error

    def _other(self, frame: Frame) -> None:
        """A command other than login and report, in a session that has logged in."""
        gateway = self._gateway
        if not is_known_command(frame.edition, frame.command) and not 0xC0 <= frame.command < 0xFF:
            error = FrameError("unknown-command", 2, "6.3.1 table 3", f"0x{frame.command:02x}")
            self._refuse(frame, Flag.BAD_STRUCTURE, error)
            return
        reply = answer(frame, Flag.SUCCESS, gateway.rules, now_us())
        assert self.tenant is not None  # noqa: S101 - _take made sure
        if frame.command in (Command.HEARTBEAT, Command.TIME_SYNC):
            gateway.figures.frames["heartbeat"] += 1
            gateway.outbox.after_earlier(self.tenant, self, reply)
            return
        gateway.figures.frames["other"] += 1
        if self.is_platform and gateway.carried is not None and self.vehicle is not None:
            gateway.carried.accepted(self.tenant, self.vehicle, frame)
        self._keep(frame, reply)

    def _answer_to_us(self, frame: Frame) -> None:
        """The answer to a query, setting or control of ours; kept as it came."""
        if self.tenant is None:
            error = FrameError("no-login", 2, "B.1", "not logged in")
            self._refuse(frame, Flag.ERROR, error, answered=False)
            return
        self._gateway.figures.frames["answer"] += 1
        self._keep(frame, None)

    def _keep(self, frame: Frame, reply: bytes | None) -> None:
        assert self.tenant is not None  # noqa: S101 - callers made sure
        self._gateway.outbox.add(
            self.tenant, frame.unique_id, now_us(), kept_form(frame), self, reply
        )

    # login

    def _login(self, frame: Frame) -> None:
        platform = frame.command == Command.PLATFORM_LOGIN
        if not plausible_time(frame.data[:6]):
            error = FrameError("bad-time", _TIME, "6.3.2", "the login names no moment")
            self._refuse(frame, Flag.BAD_STRUCTURE, error, answered=False)
            return
        if self.is_platform and not platform:
            self._other(frame)  # clause 5: a vehicle's login forwarded by its platform
            return
        gateway = self._gateway
        desk = gateway.platforms if platform else gateway.desk
        if platform and not self._may_try(frame.unique_id):
            error = FrameError("login-rate", 4, "B.1", "too many logins, wait a quarter of an hour")
            gateway.figures.logins_refused += 1
            self._refuse(frame, Flag.VIN_UNKNOWN, error, answered=frame.edition == 2025)
            return
        self._admitting = True
        self._steer()
        iccid = frame.raw[_LOGIN_ICCID].rstrip(b"\x00").decode("ascii", "replace")
        iccid = iccid.replace("\x00", "\ufffd")
        login = Login(
            vehicle=frame.unique_id,
            iccid="" if platform else iccid,
            protocol=PROTOCOL,
            address=self.address,
            edition=frame.edition,
            certificate=self._certificate(),
            platform=frame.data if platform else None,
        )
        ticket = desk.ask(login, lambda admission: self._admitted(frame, login, admission))
        self._waits_for = desk, ticket, frame.unique_id if platform else ""

    def _may_try(self, platform: str) -> bool:
        """Whether a platform's password is looked at: that costs much, and can be guessing."""
        gateway, now = self._gateway, asyncio.get_running_loop().time()
        if gateway.platforms.waiting >= _MOST_PLATFORMS_WAITING:
            return False
        return gateway.throttle.enter(platform, self.address, now)

    def _certificate(self) -> bytes | None:
        tls = self._transport.get_extra_info("ssl_object") if self._transport else None
        return tls.getpeercert(binary_form=True) if tls is not None else None

    def _admitted(self, frame: Frame, login: Login, admission: Admission) -> None:
        self._admitting, self._waits_for = False, None
        if login.platform is not None and admission.tenant is not None:
            self._gateway.throttle.forgive(login.vehicle, self.address)
        if self._transport is None:
            return
        refusal = self._refusal(admission)
        if refusal is None:
            self._enter(frame, login, admission)
        else:
            self._gateway.figures.logins_refused += 1
            # B.1: a bad login is ignored; 2025 has flags to say why (table 4).
            self._refuse(frame, *refusal, answered=frame.edition == 2025 or self.is_platform)
        self._go_on()

    def _refusal(self, admission: Admission) -> tuple[Flag, FrameError] | None:
        if admission.tenant is not None:
            return None
        if admission.reason == OTHER_TERMINAL:
            error = FrameError("vin-duplicate", 4, "table 4", "another terminal has this VIN")
            return Flag.VIN_DUPLICATE, error
        return Flag.VIN_UNKNOWN, FrameError("refused", 4, "B.1", admission.reason)

    def _enter(self, frame: Frame, login: Login, admission: Admission) -> None:
        gateway = self._gateway
        if self.tenant not in (None, admission.tenant) and self.unconfirmed:
            self._waiting.clear()  # replies keep their order within one tenant only
            self.close("another tenant before its replies")
            return
        if self.vehicle is not None and self.vehicle != login.vehicle:
            gateway.gone(self)
            gateway.sessions.add(self)
        self.tenant, self.vehicle, self.admission = admission.tenant, login.vehicle, admission
        self.iccid, self.edition, self.logged_in_us = login.iccid, frame.edition, now_us()
        self.is_platform = login.platform is not None
        gateway.figures.logins += 1
        gateway.sign_in(self)
        self._keep(frame, answer(frame, Flag.SUCCESS, gateway.rules, now_us()))

    # keys of 2025

    def _ask_keys(self, frame: Frame, desk: KeyDesk) -> None:
        """Activation, before or after the login; key exchange after it."""
        if self.is_platform or (self.vehicle is not None and frame.unique_id != self.vehicle):
            error = FrameError("wrong-vin", 4, "6.2 table 2", "not this session's vehicle")
            self._refuse(frame, Flag.VIN_UNKNOWN, error)
            return
        if desk.waiting >= _MOST_KEYS_WAITING:
            error = FrameError("busy", 2, "B.1", "too many key requests wait")
            self._refuse(frame, Flag.ERROR, error)
            return
        self._admitting = True
        self._steer()
        request = KeyRequest(frame, PROTOCOL, self.tenant, self._certificate())
        ticket = desk.ask(request, lambda keyed: self._keyed(frame, keyed))
        self._waits_for = desk, ticket, ""

    def _keyed(self, frame: Frame, keyed: KeyAnswer) -> None:
        self._admitting, self._waits_for = False, None
        if self._transport is None:
            return
        if keyed.error is not None:
            reply = activation_result(frame, keyed.info) if keyed.info else None
            self._refuse(frame, keyed.flag, keyed.error, reply=reply)
        else:
            self._learn(frame, keyed)
        self._go_on()

    def _learn(self, frame: Frame, keyed: KeyAnswer) -> None:
        """The keys are on record: use them from the next frame on, and say so when durable."""
        admission = self.admission
        if admission is not None and keyed.public_key is not None:
            self.admission = replace(
                admission, public_key=keyed.public_key, key_algorithm=keyed.key_algorithm
            )
        if admission is not None and keyed.data_keys is not None:
            self.admission = replace(admission, data_keys=keyed.data_keys)
        gateway = self._gateway
        activation = frame.command == Command.ACTIVATION
        gateway.figures.frames["activation" if activation else "key"] += 1
        if activation:
            reply = activation_result(frame, 0)
        else:
            reply = answer(frame, Flag.SUCCESS, gateway.rules, now_us())
        tenant = keyed.tenant or gateway.fallback_tenant
        gateway.outbox.add(tenant, frame.unique_id, now_us(), kept_form(frame), self, reply)

    # refusals

    def _refuse(
        self,
        frame: Frame,
        flag: Flag,
        error: FrameError,
        *,
        answered: bool = True,
        reply: bytes | None = None,
    ) -> None:
        """Keep a frame as a dead letter and tell the peer, as its edition can."""
        self._gateway.figures.frames["refused"] += 1
        if answered and reply is None:
            reply = answer(frame, flag_for(frame, flag), self._gateway.rules, now_us())
        self._dead_letter(frame.unique_id, kept_form(frame), error, reply)

    def _refuse_bytes(self, garbage: Garbage) -> None:
        self._gateway.figures.frames["garbage"] += 1
        reply = self._reply_to_damaged(garbage)
        self._dead_letter(self.vehicle or "", kept_bytes(garbage.raw), garbage.error, reply)

    def _reply_to_damaged(self, garbage: Garbage) -> bytes | None:
        """B.2.1: a bad report is answered with an error, when it can be told whose it is."""
        raw = garbage.raw
        ours = self.vehicle is not None and raw[4:21].rstrip(b"\x00") == self.vehicle.encode()
        if garbage.error.code != "bcc" or not ours or raw[2] not in REPORTS or raw[3] != 0xFE:
            return None
        size = int.from_bytes(raw[22:24], "big")
        frame = Frame(self.edition, raw[2], raw[3], self.vehicle or "", 1, raw[24 : 24 + size], raw)
        return answer(frame, Flag.ERROR, self._gateway.rules, now_us())

    def _dead_letter(
        self, vehicle: str, raw: bytes, error: FrameError, reply: bytes | None
    ) -> None:
        self._gateway.figures.refused[error.code] += 1
        if self.tenant is None:
            if not self._may_stray():
                self.close("too many frames before the login")
                return
            raw = raw[:_STRAY_BYTES]
        tenant = self.tenant or self._gateway.fallback_tenant
        self._gateway.outbox.add(tenant, vehicle, now_us(), raw, self, reply, fault_text(error))
        now = asyncio.get_running_loop().time()
        if now - self._faults_since > 60:
            self._faults, self._faults_since = 0, now
        # The vehicles of a platform share its link: one that is refused must not end it.
        self._faults += not self.is_platform or not vehicle or vehicle == self.vehicle
        if self._faults > self._gateway.limits.faults_per_minute:
            self.close("too many damaged frames")

    def _may_stray(self) -> bool:
        """Whether a dead letter of somebody who has not logged in is kept: the disk is ours."""
        strays, now = self._gateway.strays, asyncio.get_running_loop().time()
        if self._strays >= _STRAYS or not strays.left(self.address, now):
            return False
        self._strays += 1
        strays.spend(self.address, now)
        return True

    # pace

    def check_clock(self, now: float) -> None:
        """Once a second: close a silent peer, measure the frame rate, drop a stuck half frame."""
        limits = self._gateway.limits
        self._measure_rate(now - self._window, limits.frames_per_second_per_vehicle)
        self._window = now
        if self._deaf_since is not None and now - self._deaf_since > limits.reply_wait_s:
            self.close("does not read its replies")
        elif self._transport is not None and not self._transport.is_reading():  # we do not listen
            self._since = self._last = self._whole = now
        elif (
            self.tenant is None
            and not self._admitting
            and now - self._since > limits.login_timeout_s
        ):
            self.close("no login in time")
        elif now - self._last > limits.idle_timeout_s:
            self.close("silent")
        elif self._splitter.pending and now - self._whole > limits.half_frame_s:
            self._whole = now
            self._receive(self._splitter.expire())

    def _measure_rate(self, seconds: float, rate: float) -> None:
        """Hold a vehicle that has sent more than ten seconds' worth ahead, until it has not."""
        self._frames = max(0.0, self._frames - seconds * rate)
        held = self._frames > 10 * rate and not self.is_platform
        if held is not self._held:
            self._gateway.figures.held += held
            self._held = held
            self._steer()

    def _steer(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        stop = self._paused or self._held or self._admitting or self._resting
        stop = stop or self._deaf_since is not None
        reading = self._transport.is_reading()
        if stop and reading:
            self._transport.pause_reading()
        elif not stop and not reading:
            self._transport.resume_reading()

    def close(self, reason: str) -> None:
        """End the connection; counted by reason."""
        if self._transport is not None and not self._transport.is_closing():
            self._gateway.figures.closed[reason] += 1
            self._transport.abort()
