"""One GB/T 32960 connection, whoever is at its other end.

What the frames mean is said by `login` until somebody has logged in, then by the `link`.
"""

from typing import TYPE_CHECKING

from carcloud.codecs.gbt32960.constants import MIN_FRAME, Flag
from carcloud.codecs.gbt32960.errors import FrameError
from carcloud.codecs.gbt32960.frame import Frame, Garbage, Splitter
from carcloud.gateway.connection import Connection
from carcloud.gateway.gbt32960 import login
from carcloud.gateway.gbt32960.keys import kept_bytes, kept_form
from carcloud.gateway.gbt32960.link import TIME, Link
from carcloud.gateway.gbt32960.rules import REPORTS, answer, flag_for, plausible_time
from carcloud.gateway.orders import OnReport, Order, report
from carcloud.model.time import now_us

if TYPE_CHECKING:
    from carcloud.gateway.gbt32960.gateway import Gbt32960Gateway


class Session(Connection["Gbt32960Gateway", Link, Frame | Garbage]):
    """One connection: a vehicle, or a platform that carries many vehicles."""

    __slots__ = ()

    _splitter: Splitter

    def __init__(self, gateway: "Gbt32960Gateway") -> None:
        super().__init__(gateway, Splitter())

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

    def _take_piece(self, piece: Frame | Garbage) -> None:
        if isinstance(piece, Garbage):
            self._refuse_bytes(piece)
        else:
            self._take(piece)

    def _take(self, frame: Frame) -> None:
        self._frames += 1
        if self.link is not None:
            self.link.take(frame)
        else:
            login.take_first(self, frame)

    def deliver(self, order: Order, on_report: OnReport) -> None:
        """Send a command to the vehicle; `on_report` is told what becomes of it."""
        if self.link is None:
            on_report(report(order, "failed", "nobody has logged in"))
        else:
            self.link.deliver(order, on_report)

    def keep(self, frame: Frame, reply: bytes | None) -> None:
        """Keep a frame of the link; send `reply` once it is durable."""
        assert self.link is not None  # noqa: S101 - links call it
        self.gateway.outbox.add(
            self.link.tenant, frame.unique_id, now_us(), kept_form(frame), self, reply
        )

    def log_in(self, frame: Frame) -> None:
        """Have a login looked up."""
        login.log_in(self, frame)

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
        self.dead_letter(frame.unique_id, kept_form(frame), error, reply)

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
        self.dead_letter(
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
