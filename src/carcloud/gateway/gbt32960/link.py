"""What the link of a vehicle and that of a platform have in common, once logged in."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from carcloud.codecs.gbt32960.constants import Command, Flag, is_known_command
from carcloud.codecs.gbt32960.errors import FrameError
from carcloud.codecs.gbt32960.frame import Frame
from carcloud.gateway.admission import Admission, Login
from carcloud.gateway.gbt32960.rules import REPORTS, answer, plausible_time
from carcloud.gateway.orders import OnReport, Order, report
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.services.vehicles.api import Proof

if TYPE_CHECKING:
    from carcloud.gateway.gbt32960.session import Session

TIME = 24  # offset of the collection time, the first field of almost every data unit
KEYS = (Command.ACTIVATION, Command.KEY_EXCHANGE)


class Link(ABC):
    """A session's frames from its login on; `vehicle` is the unique id that logged in."""

    is_platform: ClassVar[bool]

    __slots__ = ("admission", "edition", "session", "since_us", "tenant", "vehicle")

    def __init__(
        self, session: "Session", login: Login, tenant: Tenant, admission: Admission
    ) -> None:
        self.session = session
        self.tenant = tenant
        self.vehicle = login.vehicle
        self.edition = login.edition
        self.admission = admission
        self.since_us = now_us()

    @property
    def proof(self) -> Proof | None:
        """By what the vehicle came in."""
        return self.admission.proof

    @property
    def identity(self) -> tuple[Tenant, str, bool]:
        """Who has logged in."""
        return self.tenant, self.vehicle, self.is_platform

    def admit(self, admission: Admission) -> None:
        """What is known of the peer has changed: it has another key."""
        self.admission = admission

    def take_usual(self, raw: bytes) -> bool:  # noqa: ARG002 - a vehicle's link looks at it
        """Keep and answer one whole frame if it needs no second look; False: `take` it parsed."""
        return False

    def take(self, frame: Frame) -> None:
        """Keep a frame and answer it, or refuse it."""
        if frame.command in REPORTS and frame.flag == Flag.COMMAND:
            self.report(frame)
        elif not frame.is_command:
            self.session.gateway.figures.frames["answer"] += 1
            self.session.keep(frame, None)  # to a query, setting or control of ours
            self.answered(frame)
        elif frame.command in (Command.LOGIN, Command.PLATFORM_LOGIN):
            self.login(frame)
        elif frame.edition == 2025 and frame.command in KEYS and self.session.gateway.keys:
            self.key_request(frame)
        else:
            self.other(frame)

    def deliver(self, order: Order, on_report: OnReport) -> None:
        """Send a command; only to a vehicle on a link of its own."""
        on_report(report(order, "refused", "a platform's link carries no commands"))

    def answered(self, frame: Frame) -> None:  # noqa: B027 - a vehicle's link looks at it
        """The peer has answered a command of ours."""

    @abstractmethod
    def report(self, frame: Frame) -> None:
        """A realtime or reissued report."""

    @abstractmethod
    def key_request(self, frame: Frame) -> None:
        """Activation or key exchange."""

    def login(self, frame: Frame) -> None:
        """A login on a link that has logged in: it is looked up anew."""
        self.session.log_in(frame)

    def other(self, frame: Frame) -> None:
        """A command other than login, report and key request."""
        gateway = self.session.gateway
        if not is_known_command(frame.edition, frame.command) and not 0xC0 <= frame.command < 0xFF:
            error = FrameError("unknown-command", 2, "6.3.1 table 3", f"0x{frame.command:02x}")
            self.session.refuse(frame, Flag.BAD_STRUCTURE, error)
            return
        reply = answer(frame, Flag.SUCCESS, gateway.rules, now_us())
        if frame.command in (Command.HEARTBEAT, Command.TIME_SYNC):
            gateway.figures.frames["heartbeat"] += 1
            gateway.outbox.after_earlier(self.tenant, self.session, reply)
            return
        gateway.figures.frames["other"] += 1
        self.keep_other(frame, reply)

    def keep_other(self, frame: Frame, reply: bytes) -> None:
        """Keep a good frame that `other` has looked at."""
        self.session.keep(frame, reply)

    def blamed_for(self, vehicle: str) -> bool:  # noqa: ARG002 - a platform link looks at it
        """Whether a refused frame of `vehicle` counts against the link."""
        return True

    def wrong_time(self, frame: Frame) -> tuple[Flag, FrameError] | None:
        """What is wrong with the collection time of a report in clear."""
        time = frame.data[:6]
        windows = self.session.gateway.windows
        if not plausible_time(time):
            error = FrameError("bad-time", TIME, "6.3.2", f"{time.hex()} names no moment")
        elif time > windows.latest:
            error = FrameError("future-time", TIME, "6.3.2", "collection time in the future")
        elif time < windows.earliest(frame.edition, self.is_platform):
            error = FrameError("too-old", TIME, "B.2.1", "older than the reissue window")
        else:
            return None
        return Flag.BAD_STRUCTURE, error

    def row(self) -> list[object]:
        """[vehicle, since (us), address, edition], as told to the console."""
        return [self.vehicle, self.since_us, self.session.address, self.edition]
