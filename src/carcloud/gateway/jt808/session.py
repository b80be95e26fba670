"""One JT/T 808 connection: its frames, the messages of several packets, and its replies.

What messages mean is said by `entry` until the terminal has authenticated, then by the `link`.
"""

from typing import TYPE_CHECKING

import msgspec

from carcloud.codecs.errors import FrameError
from carcloud.codecs.jt808.frame import Frame, Garbage, Splitter, build, header_of
from carcloud.codecs.jt808.packets import Assembler, Missing, Progress
from carcloud.gateway.connection import Connection
from carcloud.gateway.jt808 import entry
from carcloud.gateway.jt808.link import Link
from carcloud.gateway.jt808.rules import (
    Down,
    Result,
    Up,
    media_body,
    resend_body,
    result_body,
)
from carcloud.gateway.jt808.terminal_orders import TerminalOrders
from carcloud.gateway.orders import OnReport, Order
from carcloud.gateway.outbox import Reply
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us

if TYPE_CHECKING:
    from carcloud.gateway.jt808.gateway import Jt808Gateway

_MOST_KEPT = 300_000  # bytes of a message in the stream; media are kept elsewhere
_LETTER_BYTES = 64_000  # of a message that is refused, so much is kept


class Session(Connection["Jt808Gateway", Link, Frame | Garbage]):
    """The connection of one terminal."""

    __slots__ = ("_assembler", "_follows", "_serial", "_theirs", "orders")

    _splitter: Splitter

    def __init__(self, gateway: "Jt808Gateway") -> None:
        super().__init__(gateway, Splitter())
        self._assembler = Assembler(gateway.rules.packets, gateway.room)
        self._serial = 0
        self._theirs = -1  # serial number of the terminal's last frame
        self._follows = False  # that was the next one after the one before
        self.orders = TerminalOrders(self)

    # frames

    def _take_piece(self, piece: Frame | Garbage) -> None:
        if isinstance(piece, Garbage):
            self._refuse_bytes(piece)
        else:
            self._frames += 1
            self._follows = piece.serial == (self._theirs + 1) & 0xFFFF
            self._theirs = piece.serial
            self._take(piece)

    def _take(self, frame: Frame) -> None:
        if frame.encryption:
            error = FrameError("encrypted", 3, "4.4.3", f"encryption {frame.encryption}")
            self.refuse(frame, Result.UNSUPPORTED, error)
        elif self.link is None:
            entry.take_first(self, frame)
        elif frame.phone != self.link.vehicle:
            detail = f"the connection is {self.link.vehicle}'s: {frame.phone} needs its own"
            self.refuse(frame, Result.FAILURE, FrameError("wrong-phone", 5, "4.4.3", detail))
        elif frame.packets > 1:
            self._assemble(self.link, frame)
        else:
            self.link.take(frame)

    def _assemble(self, link: Link, frame: Frame) -> None:
        try:
            whole = self._assembler.add(frame, self._last, follows=self._follows)
        except FrameError as error:
            self.refuse(frame, Result.FAILURE, error)
            return
        finally:  # told one by one: too many end the connection
            for missing in self._assembler.replaced():
                self._give_up(missing)
        if whole is Progress.COMPLETE:  # it was kept, and the reply is lost or on its way
            self.reply_later(self.reply(frame, Result.SUCCESS))
        elif isinstance(whole, Progress):
            self.gateway.figures.frames["packet"] += 1
        elif len(whole.raw) > _MOST_KEPT and (
            whole.message != Up.MEDIA or self.gateway.media.sink is None
        ):
            detail = f"{len(whole.raw)} bytes, at most {_MOST_KEPT}"
            self.refuse(whole, Result.FAILURE, FrameError("too-large", 1, "4.4.3.4", detail))
        else:
            link.take(whole)

    def _finish(self) -> None:
        self.orders.end("the connection ended before the answer")
        for rest in self._splitter.finish():
            self._refuse_bytes(rest)
        self._give_up_all()

    # the way in and out

    def enter(self, frame: Frame) -> None:
        """Registration or authentication on a link that has authenticated: looked up anew."""
        entry.take_first(self, frame)

    def sign_in(self, link: Link) -> None:
        """The terminal has authenticated."""
        gateway, before = self.gateway, self.link
        if before is not None and (before.vehicle, before.tenant) != (link.vehicle, link.tenant):
            self._give_up_all()  # as dead letters of whose they are
        self.link = link
        if before is not None:
            gateway.quotas.left(before.tenant)
            if before.vehicle != link.vehicle or before.tenant != link.tenant:
                gateway.roster.leave(before)
        gateway.quotas.entered(link.tenant)
        gateway.figures.logins += 1
        gateway.sign_in(link)

    def sign_out(self) -> None:
        """The terminal has deregistered: it must authenticate anew."""
        link = self.link
        if link is None:
            return
        self.orders.end("the terminal has deregistered")
        self._give_up_all()  # as dead letters of the tenant
        self.link = None
        self._since = self._last
        if not self.gone:  # else the end of the connection has done it
            self.gateway.quotas.left(link.tenant)
            self.gateway.roster.leave(link)

    # replies

    def frame(self, to: Frame, message: int, body: bytes) -> bytes:
        """A frame of ours in the edition of `to`."""
        serial, self._serial = self._serial, (self._serial + 1) & 0xFFFF
        return build(to.edition, message, to.phone, serial, body, version=to.version or 1)

    def next_serials(self, count: int) -> int:
        """The first of so many serial numbers of ours."""
        serial, self._serial = self._serial, (self._serial + count) & 0xFFFF
        return serial

    def reply(self, frame: Frame, result: Result) -> bytes:
        """The general reply to a message."""
        body = result_body(frame.last_serial, frame.message, result)
        return self.frame(frame, Down.REPLY, body)

    def keep(self, frame: Frame, reply: bytes | None) -> None:
        """Keep a message of the link; send `reply` once it is durable."""
        assert self.link is not None  # noqa: S101 - links call it
        self.gateway.outbox.add(self.link.tenant, frame.phone, now_us(), frame.raw, self, reply)

    def reply_later(self, reply: Reply) -> None:
        """Send `reply` once all that came before is durable."""
        assert self.link is not None  # noqa: S101 - links call it
        self.gateway.outbox.after_earlier(self.link.tenant, self, reply)

    # media

    def hold(self, frame: Frame) -> None:
        """A message is answered later: its packets that come again are not answered before."""
        if frame.packet == 0:
            self._assembler.hold(frame)

    def settle(self, frame: Frame, *, kept: bool) -> None:
        """A held message has been answered; what is not kept may come anew."""
        self._assembler.settle(frame, kept=kept)

    def forget(self, frame: Frame) -> None:
        """A message is refused: it may come anew."""
        if frame.packet == 0:
            self._assembler.forget(frame)

    # refusals

    def refuse(
        self,
        frame: Frame,
        result: Result,
        error: FrameError,
        *,
        reply: bytes | None = None,
        tenant: Tenant | None = None,
        damaged: bool = True,
    ) -> None:
        """Keep a message as a dead letter and tell the terminal; an answer is not answered.

        `tenant`: whose it is, if not the link's, which may have ended. `damaged`: many such
        messages end the connection.
        """
        self.gateway.figures.frames["refused"] += 1
        self.forget(frame)
        if reply is None and frame.message != Up.REPLY:
            reply = self.reply(frame, result)
        raw = frame.raw[:_LETTER_BYTES]
        self.dead_letter(frame.phone, raw, error, reply, tenant=tenant, damaged=damaged)

    def _refuse_bytes(self, garbage: Garbage) -> None:
        self.gateway.figures.frames["garbage"] += 1
        vehicle = self.link.vehicle if self.link is not None else ""
        self.dead_letter(vehicle, garbage.raw, garbage.error, self._reply_to_damaged(garbage))

    def _reply_to_damaged(self, garbage: Garbage) -> bytes | None:
        """A damaged frame is answered "message wrong" when it seems to be this terminal's."""
        seen = header_of(garbage.raw) if garbage.error.code in ("bcc", "length") else None
        if seen is None or self.link is None or seen[2] != self.link.vehicle:
            return None
        edition, message, phone, serial = seen
        frame = Frame(edition, message, 0, 0, phone, serial, 1, 1, b"", b"")
        return self.reply(frame, Result.WRONG)

    # packets

    def check_clock(self, now: float) -> None:
        """Once a second: as every connection, and messages that wait for packets or answers."""
        super().check_clock(now)
        if self.closing:
            return
        if self._transport is not None and not self._transport.is_reading():
            self._assembler.rest(now)  # what is missing may be in the socket
        for missing in self._assembler.due(now):
            if missing.given_up:
                self._give_up(missing)
            else:
                self._ask_for(missing)
        self.orders.expire(now_us())

    def _ask_for(self, missing: Missing) -> None:
        """7.12: ask for packets; 2011 has no message for it, and just sends anew."""
        first, link = missing.first, self.link
        if link is None or link.edition == 2011:
            return
        self.gateway.figures.frames["asked again"] += 1
        if first.message == Up.MEDIA and first.packet == 1:
            body = media_body(link.edition, 0, first.body[:4], missing.numbers)
            self.send(self.frame(first, Down.MEDIA, body))
        else:
            body = resend_body(first.edition, missing.serial, missing.numbers)
            self.send(self.frame(first, Down.RESEND, body))

    def _give_up_all(self) -> None:
        for missing in self._assembler.clear():
            self._give_up(missing)

    def _give_up(self, missing: Missing) -> None:
        first = missing.first
        raw = b"".join(frame.raw for frame in missing.frames)
        told = ", ".join(str(number) for number in missing.numbers[:20])
        error = FrameError(
            "incomplete", 1, "4.4.3.4", f"of {first.packets} packets did not come: {told}"
        )
        self.refuse(msgspec.structs.replace(first, raw=raw), Result.FAILURE, error)

    # commands

    def deliver(self, order: Order, on_report: OnReport) -> None:
        """Send a command to the terminal; `on_report` is told what becomes of it."""
        self.orders.deliver(order, on_report)
