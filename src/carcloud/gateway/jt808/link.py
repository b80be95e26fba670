"""A terminal that has authenticated: what becomes of each of its messages."""

from typing import TYPE_CHECKING

from carcloud.codecs.errors import FrameError
from carcloud.codecs.jt808.frame import Frame
from carcloud.gateway.jt808 import media
from carcloud.gateway.jt808.rules import (
    ANSWERS,
    REPORTED_ANSWERS,
    REPORTS,
    SHORTEST,
    Down,
    Result,
    Up,
    is_vendor,
    time_body,
)
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.services.vehicles.api import Proof

if TYPE_CHECKING:
    from carcloud.gateway.jt808.session import Session


class Link:
    """One vehicle; `vehicle` is the terminal's phone number without leading zeros."""

    is_platform = False

    __slots__ = ("edition", "proof", "session", "since_us", "tenant", "vehicle")

    def __init__(
        self,
        session: "Session",
        vehicle: str,
        tenant: Tenant,
        edition: int,
        proof: Proof | None = None,
    ) -> None:
        self.session = session
        self.vehicle = vehicle
        self.tenant = tenant
        self.edition = edition  # 2011, 2013 or 2019
        self.proof = proof
        self.since_us = now_us()

    def take(self, frame: Frame) -> None:
        """Keep a message and answer it, or refuse it."""
        session, message = self.session, frame.message
        if len(frame.body) < SHORTEST.get(message, 0):
            detail = f"a body of {len(frame.body)} bytes, at least {SHORTEST[message]}"
            error = FrameError("truncated", len(frame.body), "8", detail)
            session.refuse(frame, Result.WRONG, error)
        elif message == Up.MEDIA:
            media.take(self, frame)
        elif message in REPORTS or is_vendor(frame):
            session.gateway.figures.frames["report"] += 1
            session.keep(frame, session.reply(frame, Result.SUCCESS))
            if message in REPORTED_ANSWERS:
                session.orders.answered(frame)
        elif message in ANSWERS:
            session.gateway.figures.frames["answer"] += 1
            session.keep(frame, None)
            session.orders.answered(frame)
        else:
            self._other(frame)

    def _other(self, frame: Frame) -> None:
        session, gateway = self.session, self.session.gateway
        match frame.message:
            case Up.HEARTBEAT:
                gateway.figures.frames["heartbeat"] += 1
                session.reply_later(session.reply(frame, Result.SUCCESS))
            case Up.TIME:
                gateway.figures.frames["heartbeat"] += 1
                session.reply_later(session.frame(frame, Down.TIME, time_body(now_us())))
            case Up.REGISTER | Up.AUTHENTICATE:
                session.enter(frame)
            case Up.DEREGISTER:
                gateway.figures.frames["other"] += 1
                session.keep(frame, session.reply(frame, Result.SUCCESS))
                session.sign_out()
            case Up.RESEND:
                gateway.figures.frames["other"] += 1
                session.keep(frame, None)
                session.orders.repeat(frame)
            case _:
                error = FrameError("unknown-message", 1, "annex B", f"0x{frame.message:04x}")
                session.refuse(frame, Result.UNSUPPORTED, error, damaged=False)

    def blamed_for(self, vehicle: str) -> bool:  # noqa: ARG002 - one connection, one vehicle
        """Whether a refused message of `vehicle` counts against the link."""
        return True

    def row(self) -> list[object]:
        """[vehicle, since (us), address, edition], as told to the console."""
        return [self.vehicle, self.since_us, self.session.address, self.edition]
