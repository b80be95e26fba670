"""A vehicle that has connected: its packets from then on."""

from typing import TYPE_CHECKING

from carcloud.codecs.mqtt.errors import MqttError, wrong
from carcloud.codecs.mqtt.packets import (
    V5,
    Ack,
    Connect,
    Disconnect,
    Packet,
    Ping,
    Publish,
    Subscribe,
    Type,
    Unsubscribe,
    Will,
)
from carcloud.codecs.mqtt.reasons import Reason
from carcloud.gateway.mqtt.downlink import Forbidden
from carcloud.gateway.mqtt.downward import Downward
from carcloud.gateway.mqtt.state import State
from carcloud.gateway.mqtt.upward import Upward
from carcloud.model.time import now_us
from carcloud.services.vehicles.api import Proof

if TYPE_CHECKING:
    from carcloud.gateway.mqtt.session import Session

_PINGRESP = b"\xd0\x00"


class VehicleLink:
    """One connection of a vehicle, from its CONNECT on."""

    is_platform = False

    __slots__ = (
        "_problems", "_will", "down", "idle_s", "proof", "session", "since_us", "state", "tenant",
        "up", "vehicle",
    )  # fmt: skip

    def __init__(
        self,
        session: "Session",
        state: State,
        connect: Connect,
        idle_s: float,
        proof: Proof | None,
    ) -> None:
        self.session = session
        self.state = state
        self.tenant = state.tenant
        self.vehicle = state.vehicle
        self.proof = proof
        self.since_us = state.since_us = now_us()
        self.idle_s = idle_s
        self.up = Upward(self)
        self.down = Downward(self, connect)
        self._will: Will | None = connect.will
        self._problems = connect.properties.request_problem != 0

    def blamed_for(self, vehicle: str) -> bool:  # noqa: ARG002 - platforms differ
        """Whether a refused frame counts against the connection."""
        return True

    def row(self) -> list[object]:
        """[vehicle, since (us), address, edition], as told to the console."""
        edition = 5 if self.session.version >= V5 else 311
        return [self.vehicle, self.since_us, self.session.address, edition]

    def may_say(self, text: str) -> bool:
        """Whether a reason may be told in words: the client wants it, and can take it."""
        return bool(text) and self._problems and self.down.fits(len(text) + 20)

    def take(self, packet: Packet) -> None:
        """Take one packet; raises `MqttError`."""
        match packet:
            case Publish():
                self.up.publish(packet)
            case Ack():
                self._ack(packet)
            case Ping(is_answer=False):
                self.session.gateway.figures.frames["heartbeat"] += 1
                self.session.gateway.outbox.after_earlier(self.tenant, self.session, _PINGRESP)
            case Subscribe():
                self.down.subscribe(packet)
            case Unsubscribe():
                self.down.unsubscribe(packet)
            case Disconnect():
                self._disconnect(packet)
            case Connect():
                raise wrong("[MQTT-3.1.0-2]", "a second CONNECT")
            case _:
                raise wrong("3.15", "a packet that no client may send here")

    def _ack(self, packet: Ack) -> None:
        if packet.type == Type.PUBREL:
            self.up.release(packet)
        elif packet.type == Type.PUBREC:
            self.down.received(packet)
        else:
            self.down.acknowledged(packet)

    def _disconnect(self, packet: Disconnect) -> None:
        if packet.reason != Reason.DISCONNECT_WITH_WILL:
            self._will = None  # [MQTT-3.14.4-3]
        expiry = packet.properties.session_expiry
        if expiry is not None:
            if expiry and not self.state.expiry_s:
                raise wrong("3.14.2.2.2", "a session that was to end cannot go on")
            self.state.expiry_s = min(expiry, self.session.gateway.rules.session_s)
        self.session.end("disconnected", None, "")

    def forbid(self, what: str, topic: str) -> MqttError:
        """A topic that is not the vehicle's: it is told, and the connection ends."""
        session = self.session
        session.gateway.forbid(Forbidden(self.tenant, self.vehicle, session.address, what, topic))
        return MqttError(Reason.NOT_AUTHORIZED, "5.4.2", "not a topic of the vehicle")

    def ended(self, now: float) -> None:
        """The connection is gone; `now` in s of the loop's clock."""
        gateway = self.session.gateway
        will, self._will = self._will, None
        if will is not None:
            gateway.leave_will(self.state, will, now)
        if self.down.live:
            self.down.live = False
            gateway.states.keep(self.state, now)

    def hand_over(self) -> State:
        """Another connection goes on with the session."""
        self.down.live = False
        return self.state

    def moved(self) -> None:
        """The vehicle has connected to another gateway: its session here is over."""
        self.drop_will()
        self.state.expiry_s = 0
        if self.state.inflight or self.state.queue:
            self.session.gateway.tell_others(self.tenant, self.vehicle)

    def drop_will(self) -> None:
        """[MQTT-3.1.3-9]: the session has gone on before the delay of the will was over."""
        if self._will is not None and self._will.properties.will_delay:
            self._will = None
