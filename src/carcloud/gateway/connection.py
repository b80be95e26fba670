"""One connection of a vehicle, whatever its protocol: bytes, turns, replies, pace, refusals.

What the bytes mean is said by the subclass: it cuts them into pieces, takes each, and has a
`link` once somebody has logged in. Replies leave through the outbox only.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from time import perf_counter
from typing import Any, Generic, Protocol, TypeVar, cast

from carcloud.codecs.errors import FrameError
from carcloud.gateway.admission import AdmissionDesk
from carcloud.gateway.faults import fault_text
from carcloud.gateway.listener import Listener
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us

_TURN_S = 0.004  # one session's frames at a time: checking an SM2 signature takes half a ms
_STRAYS = 3  # dead letters of a connection that has not logged in, and their longest:
_STRAY_BYTES = 1024

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Peer(Protocol):
    """Who has logged in, as the connection sees it."""

    @property
    def tenant(self) -> Tenant:
        """Whose vehicle it is."""

    @property
    def is_platform(self) -> bool:
        """Whether it brings many vehicles: its frames are not held at a vehicle's rate."""

    def blamed_for(self, vehicle: str) -> bool:
        """Whether a refused frame of `vehicle` counts against the connection."""


PieceT = TypeVar("PieceT")
PeerT = TypeVar("PeerT", bound=Peer)
ListenerT = TypeVar("ListenerT", bound=Listener)


class Pieces(Protocol[PieceT]):
    """Cuts a byte stream, without input or output."""

    @property
    def pending(self) -> int:
        """Bytes held of a piece that is not complete."""

    def feed(self, data: bytes) -> list[PieceT]:
        """Add bytes; return the pieces completed by them."""

    def expire(self) -> list[PieceT]:
        """Give up the piece that is not complete."""


class Connection(asyncio.BufferedProtocol, ABC, Generic[ListenerT, PeerT, PieceT]):
    """Bytes in, replies out, and everything that one peer may do to the others held in bounds."""

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

    queues: bool = False  # commands are put to the messages that wait for its vehicle

    def __init__(self, gateway: ListenerT, splitter: Pieces[PieceT]) -> None:
        self.gateway = gateway
        self.link: PeerT | None = None  # until somebody has logged in
        self.address = ""
        self.unconfirmed = 0
        self._splitter = splitter
        self._transport: asyncio.Transport | None = None
        self._waiting: list[PieceT] = []  # came in while a desk was asked
        self._at_desk: tuple[AdmissionDesk[Any, Any], int, str] | None = None
        # desk, ticket, and the account that tries to log in
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
        self._since = self._last = self._whole = self._window = gateway.clock()

    # what a protocol says

    @abstractmethod
    def _take_piece(self, piece: PieceT) -> None:
        """Take one piece: keep and answer it, or refuse it."""

    @abstractmethod
    def _finish(self) -> None:
        """The peer has gone: a piece may be left half."""

    def _idle(self, limit_s: float) -> float:
        """Seconds of silence after which the peer is closed; `limit_s` by the settings."""
        return limit_s

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

    @property
    def closing(self) -> bool:
        """The connection has ended, or we are about to end it."""
        return self._transport is None or self._transport.is_closing()

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
            desk, ticket, account = self._at_desk
            if desk.withdraw(ticket) and account:
                self.gateway.throttle.forgive(account, self.address)
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
        """Take the pieces that `data` completes."""
        begun = self._splitter.pending
        pieces = self._splitter.feed(data)
        if pieces or not begun:
            self._whole = self._last
        self._receive(pieces)
        if pieces and self.link is not None:
            self.gateway.quotas.spend(self.link.tenant, len(pieces))

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

    # pieces

    def _receive(self, pieces: list[PieceT]) -> None:
        if self._at_desk is not None or self._resting:
            self._waiting += pieces
        else:
            self._take_all(pieces, left=self.gone)

    def _take_all(self, pieces: list[PieceT], *, left: bool = False) -> None:
        """Take pieces in order, for one turn; `left`: the peer has gone meanwhile."""
        begun = perf_counter()
        for index, piece in enumerate(pieces, 1):
            self._take_piece(piece)
            if self._transport is None and not left:
                return
            if self._at_desk is not None:
                self._waiting += pieces[index:]
                return
            if perf_counter() - begun > _TURN_S and index < len(pieces):
                self._rest(pieces[index:])
                return

    def _rest(self, pieces: list[PieceT]) -> None:
        """Let others have their turn before the rest of this packet."""
        self._waiting += pieces
        self._resting = True
        self._steer()
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._resting = False
        waiting, self._waiting = self._waiting, []
        self._take_all(waiting, left=self._transport is None)
        if self._transport is None and not self._resting:
            self._finish()  # of what was taken since
        self._steer()

    # desks

    def ask(
        self,
        desk: AdmissionDesk[Question, Answer],
        question: Question,
        then: Callable[[Answer], None],
        account: str = "",
    ) -> None:
        """Take nothing more until the desk has answered; `account` that tries to log in."""
        ticket = desk.ask(question, lambda answer: self._answered(then, answer))
        self._at_desk = desk, ticket, account
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
        """Drop the pieces that came in while a desk was asked: the connection ends."""
        self._waiting.clear()

    def certificate(self) -> bytes | None:
        """DER of the peer's TLS certificate."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport else None
        return tls.getpeercert(binary_form=True) if tls is not None else None

    # refusals

    def dead_letter(
        self,
        vehicle: str,
        raw: bytes,
        error: FrameError,
        reply: bytes | None,
        *,
        tenant: Tenant | None = None,
        damaged: bool = True,
    ) -> None:
        """Keep bytes with what is wrong with them; many that are damaged end the connection.

        `tenant`: whose they are, if they came before the link ended.
        """
        self.gateway.figures.refused[error.code] += 1
        stray = self.link is None and tenant is None
        if tenant is None:
            tenant = self.gateway.fallback_tenant if self.link is None else self.link.tenant
        if self.gateway.quotas.suspended(tenant):  # nothing is kept for it, which may be deleted
            self.close("the tenant is suspended")
            return
        if stray:
            if not self._may_stray():
                self.close("too many frames before the login")
                return
            raw = raw[:_STRAY_BYTES]
        self.gateway.outbox.add(tenant, vehicle, now_us(), raw, self, reply, fault_text(error))
        now = asyncio.get_running_loop().time()
        if now - self._faults_since > 60:
            self._faults, self._faults_since = 0, now
        self._faults += self.link is None or (damaged and self.link.blamed_for(vehicle))
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
        elif now - self._last > self._idle(limits.idle_timeout_s):
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
