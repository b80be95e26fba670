"""One GB/T 32960 connection, whoever is at its other end: bytes, turns, replies, pace.

What the frames mean is said by `login` until somebody has logged in, then by the `link`.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar, cast

from carcloud.codecs.gbt32960.constants import MIN_FRAME, Flag
from carcloud.codecs.gbt32960.errors import FrameError
from carcloud.codecs.gbt32960.frame import Frame, Garbage, Splitter
from carcloud.gateway.admission import AdmissionDesk
from carcloud.gateway.faults import fault_text
from carcloud.gateway.gbt32960 import login
from carcloud.gateway.gbt32960.keys import kept_bytes, kept_form
from carcloud.gateway.gbt32960.link import TIME, Link
from carcloud.gateway.gbt32960.rules import REPORTS, answer, flag_for, plausible_time
from carcloud.model.time import now_us

if TYPE_CHECKING:
    from carcloud.gateway.gbt32960.gateway import Gbt32960Gateway

_TURN_S = 0.004  # one session's frames at a time: checking an SM2 signature takes half a ms
_STRAYS = 3  # dead letters of a connection that has not logged in, and their longest:
_STRAY_BYTES = 1024

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Session(asyncio.BufferedProtocol):
    """One connection: a vehicle, or a platform that carries many vehicles."""

    __slots__ = (
        "_at_desk",
        "_deaf_since",
        "_faults",
        "_faults_since",
        "_frames",
        "_held",
        "_last",
        "_parked",
        "_paused",
        "_resting",
        "_since",
        "_slowed",
        "_splitter",
        "_strays",
        "_transport",
        "_waiting",
        "_whole",
        "_window",
        "address",
        "gateway",
        "link",
        "unconfirmed",
    )

    def __init__(self, gateway: "Gbt32960Gateway") -> None:
        self.gateway = gateway
        self.link: Link | None = None  # until somebody has logged in
        self.address = ""
        self.unconfirmed = 0
        self._splitter = Splitter()
        self._transport: asyncio.Transport | None = None
        self._waiting: list[Frame | Garbage] = []  # came in while a desk was asked
        self._at_desk: tuple[AdmissionDesk[Any, Any], int, str] | None = None
        # desk, ticket, and the platform that tries to log in
        self._deaf_since: float | None = None  # it leaves replies unread
        self._resting = False  # the others have their turn
        self._paused = False
        self._held = False  # above its frame rate until the next window
        self._slowed = False  # its tenant is above its frame rate
        self._parked = b""  # came in then
        self._frames = 0.0  # above the rate, see _measure_rate
        self._strays = 0  # dead letters before the login
        self._faults = 0
        self._faults_since = 0.0
        self._since = self._last = self._whole = self._window = asyncio.get_running_loop().time()

    @property
    def is_platform(self) -> bool:
        """Whether a platform has logged in."""
        return self.link is not None and self.link.is_platform

    @property
    def heard(self) -> float:
        """When the last bytes came, s on the loop's clock."""
        return self._last

    @property
    def gone(self) -> bool:
        """The connection has ended."""
        return self._transport is None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.gateway.arriving.pop(self, None)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        if not self.gateway.door.enter(self.address):
            self.gateway.figures.closed["too many connections"] += 1
            self._transport.abort()
            self._transport = None
            return
        self._transport.set_write_buffer_limits(high=self.gateway.limits.reply_backlog_bytes)
        self.gateway.sessions.add(self)
        if self.gateway.outbox.pressed:
            self.pressed(True)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        if self._transport is None:
            return
        self._transport = None
        self.gateway.door.leave(self.address)
        if self._at_desk is not None:
            desk, ticket, platform = self._at_desk
            if desk.withdraw(ticket) and platform:
                self.gateway.throttle.forgive(platform, self.address)
        link, quotas = self.link, self.gateway.quotas
        if not self._parked or link is None or not quotas.outlived(link.tenant, self):
            self._parked = b""
            self._finish()
        self.gateway.gone(self)

    def pause_writing(self) -> None:
        self._deaf_since = asyncio.get_running_loop().time()
        self._steer()  # no frames, no further replies

    def resume_writing(self) -> None:
        self._deaf_since = None
        self._steer()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's
        """Where the next bytes go; all sessions share it, as `buffer_updated` copies at once."""
        return self.gateway.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes have come."""
        self._last = self.gateway.clock()
        data = bytes(self.gateway.read_buffer[:nbytes])
        if self.link is not None and (
            self._slowed or not self.gateway.quotas.admits(self.link.tenant, self)
        ):
            self._parked += data
            self._slowed = True
            self._steer()
        else:
            self._read(data)

    def _read(self, data: bytes) -> None:
        """Take the frames that `data` completes; what is usual goes a short way."""
        begun = self._splitter.pending
        if not begun and self.link is not None and self._at_desk is None and not self._resting:
            self._whole = self._last
            data = self._read_usual(self.link, data)
            if not data:
                return
        pieces = self._splitter.feed(data)
        if pieces or not begun:
            self._whole = self._last
        self._receive(pieces)
        if pieces and self.link is not None:
            self.gateway.quotas.spend(self.link.tenant, len(pieces))

    def _read_usual(self, link: Link, data: bytes) -> bytes:
        """Take whole frames from the start of `data` while they are usual; returns the rest."""
        at, frames, end = 0, 0, len(data)
        while end - at >= MIN_FRAME:
            size = MIN_FRAME + (data[at + 22] << 8 | data[at + 23])
            if size > end - at or not link.take_usual(data[at : at + size]):
                break
            at += size
            frames += 1
        if frames:
            self._frames += frames
            self.gateway.quotas.spend(link.tenant, frames)
        return data[at:]

    def _finish(self) -> None:
        """The peer has gone: half a frame may be left."""
        for rest in self._splitter.finish():
            self._refuse_bytes(rest)

    # the outbox's view

    def send(self, data: bytes) -> None:
        """Write replies; a peer that has gone is ignored."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def pressed(self, on: bool) -> None:
        """Stop or resume reading because the outbox asks for it."""
        self._paused = on
        self._steer()

    def go_on(self) -> bool:
        """The tenant's frame rate has room again, also for what a peer left that has gone; False
        when the outbox has none."""
        if self.gateway.outbox.pressed:
            return False
        self._slowed = False
        data, self._parked = self._parked, b""
        if self.link is not None and not self.gateway.quotas.suspended(self.link.tenant):
            self._read(data)
            if self.gone:
                self._finish()
            self._steer()
        return True

    # frames

    def _receive(self, pieces: list[Frame | Garbage]) -> None:
        if self._at_desk is not None or self._resting:
            self._waiting += pieces
        else:
            self._take_all(pieces, left=self.gone)

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
            if self._at_desk is not None:
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
        if self.link is not None:
            self.link.take(frame)
        else:
            login.take_first(self, frame)

    def keep(self, frame: Frame, reply: bytes | None) -> None:
        """Keep a frame of the link; send `reply` once it is durable."""
        assert self.link is not None  # noqa: S101 - links call it
        self.gateway.outbox.add(
            self.link.tenant, frame.unique_id, now_us(), kept_form(frame), self, reply
        )

    # desks

    def log_in(self, frame: Frame) -> None:
        """Have a login looked up."""
        login.log_in(self, frame)

    def ask(
        self,
        desk: AdmissionDesk[Question, Answer],
        question: Question,
        then: Callable[[Answer], None],
        platform: str = "",
    ) -> None:
        """Take nothing more until the desk has answered; `platform` that tries to log in."""
        ticket = desk.ask(question, lambda answer: self._answered(then, answer))
        self._at_desk = desk, ticket, platform
        self._steer()

    def _answered(self, then: Callable[[Answer], None], answer: Answer) -> None:
        self._at_desk = None
        then(answer)
        if self._transport is not None:
            self._go_on()

    def unread(self) -> int | None:
        """The file descriptor of a peer that is not read because it waits at a desk."""
        if self._at_desk is None or self._transport is None or self._transport.is_closing():
            return None
        return int(self._transport.get_extra_info("socket").fileno())

    def forget_waiting(self) -> None:
        """Drop the frames that came in while a desk was asked: the connection ends."""
        self._waiting.clear()

    def certificate(self) -> bytes | None:
        """DER of the peer's TLS certificate."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport else None
        return tls.getpeercert(binary_form=True) if tls is not None else None

    # refusals

    def refuse(
        self,
        frame: Frame,
        flag: Flag,
        error: FrameError,
        *,
        answered: bool = True,
        reply: bytes | None = None,
    ) -> None:
        """Keep a frame as a dead letter and tell the peer, as its edition can."""
        self.gateway.figures.frames["refused"] += 1
        if answered and reply is None:
            reply = answer(frame, flag_for(frame, flag), self.gateway.rules, now_us())
        self._dead_letter(frame.unique_id, kept_form(frame), error, reply)

    def names_a_moment(self, frame: Frame) -> bool:
        """Whether a login has a time; one without is refused."""
        if plausible_time(frame.data[:6]):
            return True
        error = FrameError("bad-time", TIME, "6.3.2", "the login names no moment")
        self.refuse(frame, Flag.BAD_STRUCTURE, error, answered=False)
        return False

    def _refuse_bytes(self, garbage: Garbage) -> None:
        self.gateway.figures.frames["garbage"] += 1
        vehicle = self.link.vehicle if self.link is not None else ""
        self._dead_letter(
            vehicle, kept_bytes(garbage.raw), garbage.error, self._reply_to_damaged(garbage)
        )

    def _reply_to_damaged(self, garbage: Garbage) -> bytes | None:
        """B.2.1: a bad report is answered with an error, when it can be told whose it is."""
        raw, link = garbage.raw, self.link
        if link is None or raw[4:21].rstrip(b"\x00") != link.vehicle.encode():
            return None
        if garbage.error.code != "bcc" or raw[2] not in REPORTS or raw[3] != 0xFE:
            return None
        size = int.from_bytes(raw[22:24], "big")
        frame = Frame(link.edition, raw[2], raw[3], link.vehicle, 1, raw[24 : 24 + size], raw)
        return answer(frame, Flag.ERROR, self.gateway.rules, now_us())

    def _dead_letter(
        self, vehicle: str, raw: bytes, error: FrameError, reply: bytes | None
    ) -> None:
        self.gateway.figures.refused[error.code] += 1
        tenant = self.gateway.fallback_tenant if self.link is None else self.link.tenant
        if self.gateway.quotas.suspended(tenant):  # nothing is kept for it, which may be deleted
            self.close("the tenant is suspended")
            return
        if self.link is None:
            if not self._may_stray():
                self.close("too many frames before the login")
                return
            raw = raw[:_STRAY_BYTES]
        self.gateway.outbox.add(tenant, vehicle, now_us(), raw, self, reply, fault_text(error))
        now = asyncio.get_running_loop().time()
        if now - self._faults_since > 60:
            self._faults, self._faults_since = 0, now
        self._faults += self.link is None or self.link.blamed_for(vehicle)
        if self._faults > self.gateway.limits.faults_per_minute:
            self.close("too many damaged frames")

    def _may_stray(self) -> bool:
        """Whether a dead letter of somebody who has not logged in is kept: the disk is ours."""
        strays, now = self.gateway.strays, asyncio.get_running_loop().time()
        if self._strays >= _STRAYS or not strays.left(self.address, now):
            return False
        self._strays += 1
        strays.spend(self.address, now)
        return True

    # pace

    def check_clock(self, now: float) -> None:
        """Once a second: close a silent peer, measure the frame rate, drop a stuck half frame."""
        limits = self.gateway.limits
        self._measure_rate(now - self._window, limits.frames_per_second_per_vehicle)
        self._window = now
        if self._deaf_since is not None and now - self._deaf_since > limits.reply_wait_s:
            self.close("does not read its replies")
        elif self._transport is not None and not self._transport.is_reading():  # we do not listen
            self._since = self._last = self._whole = now
        elif (
            self.link is None
            and self._at_desk is None
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
            self.gateway.figures.held += held
            self._held = held
            self._steer()

    def _steer(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        stop = self._paused or self._held or self._slowed or self._resting
        stop = stop or self._at_desk is not None or self._deaf_since is not None
        reading = self._transport.is_reading()
        if stop and reading:
            self._transport.pause_reading()
        elif not stop and not reading:
            self._transport.resume_reading()

    def close(self, reason: str) -> None:
        """End the connection; counted by reason."""
        if self._transport is not None and not self._transport.is_closing():
            self.gateway.figures.closed[reason] += 1
            self._transport.abort()
