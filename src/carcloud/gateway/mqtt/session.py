"""One MQTT connection: bytes to packets, and how it ends."""

import asyncio
from typing import TYPE_CHECKING

from carcloud.codecs.mqtt.decode import decode
from carcloud.codecs.mqtt.encode import encode
from carcloud.codecs.mqtt.errors import MqttError, wrong
from carcloud.codecs.mqtt.packets import V5, V311, Disconnect, Packet
from carcloud.codecs.mqtt.properties import NONE, Properties
from carcloud.codecs.mqtt.reasons import Reason
from carcloud.codecs.mqtt.splitter import Splitter
from carcloud.gateway.connection import Connection
from carcloud.gateway.mqtt import connecting
from carcloud.gateway.mqtt.link import VehicleLink
from carcloud.gateway.mqtt.rules import FIRST_PACKET, REASONS
from carcloud.gateway.orders import OnReport, Order

if TYPE_CHECKING:
    from carcloud.gateway.mqtt.gateway import MqttGateway

Piece = tuple[int, bytes] | MqttError
_UNTOLD = frozenset({"does not read its replies"})  # who does not listen is not told either
_CONNECT = 0x10
_FLUSH_S = 5  # in which a peer must take what it is told at the end


class Cutter:
    """The codec's splitter as a connection wants it: errors are pieces, behind what was good."""

    def __init__(self, maximum: int) -> None:
        self._splitter = Splitter(maximum)

    @property
    def pending(self) -> int:
        """Bytes of a packet that is not whole yet."""
        return self._splitter.pending

    def allow(self, maximum: int) -> None:
        """Packets may have so many bytes from now on."""
        self._splitter.maximum = maximum

    def feed(self, data: bytes) -> list[Piece]:
        """The packets that `data` completes."""
        try:
            found: list[Piece] = [*self._splitter.feed(data)]
        except MqttError as error:
            return [error]
        failed = self._splitter.failed
        return [*found, failed] if failed is not None else found

    def expire(self) -> list[Piece]:
        """The rest of a packet has not come."""
        return [wrong("4.8", "half a packet")]


class Session(Connection["MqttGateway", VehicleLink, Piece]):
    """One connection."""

    __slots__ = ("_begun", "_ending", "version")

    _splitter: Cutter
    queues = True

    def __init__(self, gateway: "MqttGateway") -> None:
        super().__init__(gateway, Cutter(FIRST_PACKET))
        self.version = V311  # until a CONNECT says another
        self._begun = False
        self._ending = False

    def logged_in(self, link: VehicleLink) -> None:
        """Somebody is there: packets may be larger from now on."""
        self.link = link
        self._splitter.allow(self.gateway.rules.max_packet_bytes)

    def write(self, packet: Packet) -> None:
        """Send a packet that answers nothing that must be durable first."""
        super().send(encode(packet, self.version))

    def send_down(self, data: bytes) -> None:
        """Send a message to the vehicle."""
        super().send(data)

    def send(self, data: bytes) -> None:
        """Write; called by the outbox with the answers to what has become durable."""
        if self.link is not None:
            self.link.up.answered(data)
        super().send(data)

    def deliver(self, _order: Order, _on_report: OnReport, /) -> None:
        """A command waits among the vehicle's messages: have them looked at."""
        link = self.link
        if link is not None and link.down.live:
            self.gateway.look([link.vehicle])
        elif link is not None:
            self.gateway.tell_others(link.tenant, link.vehicle)

    @property
    def deaf(self) -> bool:
        """The peer does not read what it was sent."""
        return self._deaf_since is not None

    def resume_writing(self) -> None:
        """The peer reads again."""
        super().resume_writing()
        if self.link is not None:
            self.link.down.pump()

    def _read(self, data: bytes) -> None:
        """Take the packets that `data` completes; what is usual goes a short way."""
        link = self.link
        if (
            link is not None
            and not self._splitter.pending
            and self._at_desk is None
            and not self._resting
            and not self._ending
        ):
            self._whole = self._last
            at, count = link.up.take_usual(data)
            self._frames += count
            if at == len(data):
                return
            data = data[at:]
        elif link is None and not self._begun:
            self._begun = True
            if data[0] != _CONNECT:
                self.fail(wrong("[MQTT-3.1.0-1]", "the first packet is not CONNECT"))
                return
        super()._read(data)

    def _take_piece(self, piece: Piece) -> None:
        if self._ending:
            return
        self._frames += 1
        try:
            if isinstance(piece, MqttError):
                raise piece
            packet = decode(piece[0], piece[1], self.version)
            if self.link is None:
                connecting.take_first(self, packet)
            else:
                self.link.take(packet)
        except MqttError as error:
            self.fail(error)

    def _finish(self) -> None:
        """Half a packet may be left: it was not acknowledged."""

    def _idle(self, limit_s: float) -> float:
        """[MQTT-3.1.2-22]: one and a half times the keep alive."""
        return self.link.idle_s if self.link is not None else limit_s

    # the end

    def fail(self, error: MqttError) -> None:
        """The peer has sent what it may not: 4.13."""
        self.gateway.figures.frames["refused"] += 1
        self.gateway.figures.refused[error.reason.name.lower()] += 1
        if self.link is None:
            connecting.refuse(self, error.reason, str(error), self.version)
        self.end(error.clause, error.reason, str(error))

    def close(self, reason: str) -> None:
        """End the connection; counted by reason."""
        self.end(reason, REASONS.get(reason, Reason.UNSPECIFIED_ERROR), "")

    def end(self, counted: str, reason: Reason | None, text: str) -> None:
        """Tell a version 5 client why (3.14), and end the connection."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._ending = True
        self.forget_waiting()
        self.gateway.figures.closed[counted] += 1
        if counted in _UNTOLD:
            transport.abort()
            return
        if reason is not None and self.version >= V5 and self.link is not None:
            said = self.link.may_say(text)
            properties = Properties(reason_string=text) if said else NONE
            self.write(Disconnect(reason, properties))
        transport.close()
        if transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(_FLUSH_S, transport.abort)
