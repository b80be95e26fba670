"""A vehicle's link (Annex B): one vehicle, its reports, its keys."""

from carcloud.codecs.gbt32960.constants import Encryption, Flag
from carcloud.codecs.gbt32960.errors import FrameError, SecurityError
from carcloud.codecs.gbt32960.frame import Frame
from carcloud.gateway.gbt32960.key_requests import ask_keys
from carcloud.gateway.gbt32960.keys import opened_here
from carcloud.gateway.gbt32960.link import TIME, Link
from carcloud.gateway.gbt32960.rules import accepted


class VehicleLink(Link):
    """One vehicle has logged in."""

    is_platform = False

    __slots__ = ()

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
