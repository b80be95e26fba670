"""A vehicle's link (Annex B): one vehicle, its reports, its keys."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from carcloud.codecs.gbt32960.constants import Encryption, Flag
from carcloud.codecs.gbt32960.errors import FrameError, SecurityError
from carcloud.codecs.gbt32960.frame import Frame, bcc, build
from carcloud.gateway.admission import Admission, Login
from carcloud.gateway.gbt32960.key_requests import ask_keys
from carcloud.gateway.gbt32960.keys import opened_here
from carcloud.gateway.gbt32960.link import TIME, Link
from carcloud.gateway.gbt32960.orders import Orders
from carcloud.gateway.gbt32960.rules import REPORTS, accepted
from carcloud.gateway.orders import OnReport, Order
from carcloud.gateway.outbox import While
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us

if TYPE_CHECKING:
    from carcloud.gateway.gbt32960.session import Session

_HEAD = 22  # bytes of a header before the length of the data unit
_WITH_TIME = 31  # bytes of a frame whose data unit is a collection time alone
_BYTE = [bytes((value,)) for value in range(256)]


class VehicleLink(Link):
    """One vehicle has logged in."""

    is_platform = False

    __slots__ = ("_times", "_usual", "orders")

    def __init__(
        self, session: "Session", login: Login, tenant: Tenant, admission: Admission
    ) -> None:
        super().__init__(session, login, tenant, admission)
        self.orders: Orders | None = None  # made with the first command
        self._times = session.gateway.windows.accepted(self.edition, self.is_platform)
        self._usual = self._usual_reports()

    def admit(self, admission: Admission) -> None:
        """The vehicle has another key: it may sign from now on."""
        super().admit(admission)
        self._usual = self._usual_reports()

    def _usual_reports(self) -> dict[bytes, tuple[bytes, int] | None]:
        """The headers of reports sent in clear; to each the start of its reply and that one's BCC.

        Empty where reports are checked further, or have another reply.
        """
        gateway, edition, check = (
            self.session.gateway,
            self.edition,
            self.session.gateway.check_report,
        )
        checked = check is not None and check.concerns(edition, self.admission)
        if checked or gateway.rules.reply_body != "time":
            return {}
        known: dict[bytes, tuple[bytes, int] | None] = {}
        for command in REPORTS:
            head = build(edition, command, Flag.COMMAND, self.vehicle)[:_HEAD]
            reply = build(edition, command, Flag.SUCCESS, self.vehicle, bytes(6))
            start = reply[:TIME]
            known[head] = (start, reply[-1]) if gateway.rules.reply_reports else None
        return known

    def take_usual(self, raw: bytes) -> bool:
        """A good report of this vehicle, sent in clear: as `take` does, in a quarter of the time.

        `raw` has the length that its header tells.
        """
        head = raw[:_HEAD]
        if head not in self._usual or len(raw) < _WITH_TIME or bcc(raw):  # start bytes cancel out
            return False
        gateway, time = self.session.gateway, raw[TIME : TIME + 6]
        check = self._times.get(time)
        if check is None:
            check = gateway.windows.accepts(time, self.edition, self.is_platform)
            if check is None:
                return False
        known = self._usual[head]
        reply = None if known is None else known[0] + time + _BYTE[known[1] ^ check]
        gateway.figures.frames["report"] += 1
        gateway.outbox.add(self.tenant, self.vehicle, now_us(), raw, self.session, reply)
        return True

    def answered(self, frame: Frame) -> None:
        """An answer to a command."""
        if self.orders is not None:
            self.orders.answered(frame)

    def deliver(self, order: Order, on_report: OnReport) -> None:
        """Send a command to the vehicle; `on_report` is told what becomes of it."""
        if self.orders is None:
            self.orders = Orders(self.edition, self.vehicle, self._send_later)
        self.orders.deliver(order, on_report)

    def _send_later(self, frame: bytes, wanted: Callable[[], bool]) -> None:
        """Send a command: never before the answer to the login, which waits for the stream."""
        self.session.gateway.outbox.after_earlier(self.tenant, self.session, While(frame, wanted))

    def report(self, frame: Frame) -> None:
        """B.2.1: a bad report is answered with an error, a good one if the setting says so."""
        session, gateway = self.session, self.session.gateway
        if frame.encryption != Encryption.NONE:
            try:
                frame = opened_here(frame, self.admission, gateway.rules.future_tolerance_s)
            except SecurityError as error:
                wrong = FrameError("decryption", TIME, "6.2 table 5", str(error))
                session.refuse(frame, Flag.BAD_DECRYPTION, wrong)
                return
        refusal = self._wrong_report(frame)
        if refusal is not None:
            session.refuse(frame, *refusal)
            return
        gateway.figures.frames["report"] += 1
        reply = accepted(frame, gateway.rules) if gateway.rules.reply_reports else None
        session.keep(frame, reply)

    def _wrong_report(self, frame: Frame) -> tuple[Flag, FrameError] | None:
        """What is wrong with a report beyond its frame: whose it is, when, and its signature."""
        if frame.unique_id != self.vehicle:
            detail = f"the session is {self.vehicle}'s, the report names {frame.unique_id}"
            return Flag.VIN_UNKNOWN, FrameError("wrong-vin", 4, "6.2 table 2", detail)
        if frame.encryption == Encryption.NONE:
            wrong = self.wrong_time(frame)
            if wrong is not None:
                return wrong
        check = self.session.gateway.check_report
        return None if check is None else check(frame, self.admission)

    def key_request(self, frame: Frame) -> None:
        """A new key for this vehicle, or its activation."""
        if frame.unique_id != self.vehicle:
            error = FrameError("wrong-vin", 4, "6.2 table 2", "not this session's vehicle")
            self.session.refuse(frame, Flag.VIN_UNKNOWN, error)
        else:
            ask_keys(self.session, frame)
