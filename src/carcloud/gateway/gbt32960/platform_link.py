"""A platform's link (clause 5): a lower platform brings the frames of many vehicles."""

from carcloud.codecs.gbt32960.constants import Command, Encryption, Flag
from carcloud.codecs.gbt32960.errors import FrameError
from carcloud.codecs.gbt32960.frame import Frame
from carcloud.gateway.gbt32960.carried import CARRIED
from carcloud.gateway.gbt32960.link import Link
from carcloud.gateway.gbt32960.rules import PROTOCOL, accepted, answer
from carcloud.model.time import now_us


class PlatformLink(Link):
    """A platform has logged in; `vehicle` is its own unique id."""

    is_platform = True

    __slots__ = ()

    def take(self, frame: Frame) -> None:
        """As `Link.take`, but a vehicle that is not welcome is refused first."""
        carried = self.session.gateway.carried
        if carried is not None and frame.is_command and frame.command in CARRIED:
            stranger = carried.refusal(self.tenant, self.vehicle, frame, PROTOCOL)
            if stranger is not None:
                self.session.gateway.roster.left(self, frame.unique_id)
                self.session.refuse(frame, *stranger)
                return
            if carried.repeated(self.tenant, self.vehicle, frame):
                self._answer_again(frame)
                return
        super().take(frame)

    def _answer_again(self, frame: Frame) -> None:
        """A vehicle's login or logout that came before: answered, not kept again."""
        gateway = self.session.gateway
        reply = answer(frame, Flag.SUCCESS, gateway.rules, now_us())
        gateway.outbox.after_all(self.tenant, self.session, reply)

    def report(self, frame: Frame) -> None:
        """5.2.2: every report is answered. The platform answers for signatures."""
        session, gateway = self.session, self.session.gateway
        refusal = self.wrong_time(frame) if frame.encryption == Encryption.NONE else None
        if refusal is not None:
            session.refuse(frame, *refusal)
            return
        gateway.figures.frames["report"] += 1
        if frame.command == Command.REALTIME:
            self._heard(frame)
        session.keep(frame, accepted(frame, gateway.rules))

    def login(self, frame: Frame) -> None:
        """The platform itself again, or a vehicle's login that it forwards."""
        if frame.command == Command.LOGIN and self.session.names_a_moment(frame):
            self.other(frame)
        elif frame.command == Command.PLATFORM_LOGIN:
            super().login(frame)

    def key_request(self, frame: Frame) -> None:
        """Keys are between a vehicle and its own platform."""
        error = FrameError("wrong-vin", 4, "6.2 table 2", "not this session's vehicle")
        self.session.refuse(frame, Flag.VIN_UNKNOWN, error)

    def keep_other(self, frame: Frame, reply: bytes) -> None:
        """A vehicle's login or logout is remembered: the same bytes again are a repetition."""
        gateway = self.session.gateway
        if gateway.carried is not None:
            gateway.carried.accepted(self.tenant, self.vehicle, frame)
        if frame.command == Command.LOGIN:
            self._heard(frame)
        elif frame.command == Command.LOGOUT and not self.session.gone:
            gateway.roster.left(self, frame.unique_id)
        super().keep_other(frame, reply)

    def _heard(self, frame: Frame) -> None:
        session = self.session
        if session.gone:  # its vehicles report over another link now, or none
            return
        session.gateway.roster.heard(self, frame.unique_id, frame.edition, session.heard)

    def blamed_for(self, vehicle: str) -> bool:
        """Vehicles share the link: one that is refused must not end it."""
        return not vehicle or vehicle == self.vehicle
