"""One MQTT 5 connection of a vehicle, on asyncio streams."""

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from carcloud.agent.settings import Server
from carcloud.codecs.mqtt.decode import decode
from carcloud.codecs.mqtt.encode import encode
from carcloud.codecs.mqtt.errors import MqttError
from carcloud.codecs.mqtt.packets import (
    V5,
    Ack,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Ping,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Type,
)
from carcloud.codecs.mqtt.properties import NONE, Properties
from carcloud.codecs.mqtt.splitter import Splitter
from carcloud.codecs.mqtt.topics import DOWN, prefix

log = logging.getLogger(__name__)

_CONNECT_S = 20.0
_SESSION_S = 7 * 86_400  # the cloud keeps commands for a vehicle that is away
_MOST_IN_FLIGHT = 64
_MOST_PACKET = 16 << 20
_REFUSED = 0x80

OnMessage = Callable[[str, bytes], Awaitable[None]]


class LinkLost(ConnectionError):
    """The connection ended, or was never made; the reason is its text."""


def tls_of(server: Server) -> ssl.SSLContext | None:
    """What TLS needs, None for a plain connection; raises `OSError` or `ssl.SSLError`."""
    if not (server.tls or server.ca or server.certificate):
        return None
    context = ssl.create_default_context(cafile=server.ca)
    if server.certificate:
        context.load_cert_chain(server.certificate, server.key)
    return context


class Link:
    """Connects, subscribes, publishes at QoS 1, and gives messages to `on_message`."""

    def __init__(self, vehicle: str, server: Server, on_message: OnMessage) -> None:
        self._vehicle = vehicle
        self._server = server
        self._on_message = on_message
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._early: list[Packet] = []  # what came together with CONNACK
        self._splitter = Splitter(_MOST_PACKET)
        self._flights: dict[int, asyncio.Future[int]] = {}
        self._next_id = 0
        self._room = asyncio.Semaphore(_MOST_IN_FLIGHT)
        self._sent_s = time.monotonic()
        self._heard_s = self._sent_s
        self._keep_alive_s = float(server.keep_alive_s)
        self.most_bytes = _MOST_PACKET
        self.subscribed = False

    async def open(self) -> None:
        """Connect and subscribe; raises `LinkLost`."""
        try:
            async with asyncio.timeout(_CONNECT_S):
                await self._open()
        except (OSError, MqttError, TimeoutError, asyncio.IncompleteReadError) as error:
            await self.close()
            raise LinkLost(str(error) or type(error).__name__) from error

    async def _open(self) -> None:
        server = self._server
        context = tls_of(server)
        self._reader, self._writer = await asyncio.open_connection(
            server.host, server.port, ssl=context
        )
        token = None
        if server.token_file:
            token = Path(server.token_file).read_text("utf-8").strip().encode()  # noqa: ASYNC240
        self._send(
            Connect(
                client_id=self._vehicle,
                clean_start=False,
                keep_alive=server.keep_alive_s,
                username=self._vehicle,
                password=token,
                properties=Properties(session_expiry=_SESSION_S, maximum_packet_size=_MOST_PACKET),
            )
        )
        answer, *self._early = await self._packets()
        if not isinstance(answer, Connack) or answer.reason:
            reason = answer.reason if isinstance(answer, Connack) else "no CONNACK"
            raise LinkLost(f"the server refused the connection: {_told(reason, answer)}")
        self._take(answer.properties)
        start = prefix(self._vehicle)
        self._send(Subscribe(self._id(), tuple(Subscription(f"{start}{each}", 1) for each in DOWN)))

    def _take(self, told: Properties) -> None:
        in_flight = min(told.receive_maximum or _MOST_IN_FLIGHT, _MOST_IN_FLIGHT)
        self._room = asyncio.Semaphore(in_flight)
        self.most_bytes = told.maximum_packet_size or _MOST_PACKET
        if told.server_keep_alive is not None:
            self._keep_alive_s = float(told.server_keep_alive)

    async def run(self) -> None:
        """Read until the connection ends; raises `LinkLost`."""
        beat = asyncio.create_task(self._beat())
        try:
            packets, self._early = self._early, []
            while True:
                for packet in packets:
                    await self._receive(packet)
                packets = await self._packets()
        except (OSError, MqttError, asyncio.IncompleteReadError) as error:
            raise LinkLost(str(error) or type(error).__name__) from error
        finally:
            beat.cancel()
            await self.close()

    async def _packets(self) -> list[Packet]:
        assert self._reader is not None  # noqa: S101 - `open` comes first
        while True:
            data = await self._reader.read(1 << 16)
            if not data:
                raise LinkLost("the server closed the connection")
            self._heard_s = time.monotonic()
            if found := self._splitter.feed(data):
                return [decode(first, body, V5) for first, body in found]

    async def _receive(self, packet: Packet) -> None:
        match packet:
            case Publish():
                await self._on_message(packet.topic, packet.payload)
                if packet.qos:
                    self._send(Ack(Type.PUBACK, packet.packet_id))
            case Ack():
                flight = self._flights.pop(packet.packet_id, None)
                if flight is not None and not flight.done():
                    flight.set_result(packet.reason)
            case Suback():
                self.subscribed = all(code < _REFUSED for code in packet.reasons)
                if not self.subscribed:
                    log.warning("the server refused a subscription: %s", packet.reasons)
            case Disconnect():
                raise LinkLost(f"the server ended it: {_told(packet.reason, packet)}")
            case _:
                pass

    async def _beat(self) -> None:
        """Keep the connection alive, and end it when nothing is heard any more."""
        while self._keep_alive_s:
            await asyncio.sleep(self._keep_alive_s / 4)
            now = time.monotonic()
            if now - self._heard_s > 1.5 * self._keep_alive_s and self._writer is not None:
                self._writer.close()
                return
            if now - min(self._sent_s, self._heard_s) >= self._keep_alive_s / 2:
                try:
                    self._send(Ping())
                except LinkLost:
                    return  # `run` finds out by itself

    def _id(self) -> int:
        while True:
            self._next_id = self._next_id % 0xFFFF + 1
            if self._next_id not in self._flights:
                return self._next_id

    def _send(self, packet: Packet) -> None:
        if self._writer is None or self._writer.is_closing():
            raise LinkLost("not connected")
        self._sent_s = time.monotonic()
        self._writer.write(encode(packet, V5))

    async def publish(
        self, topic: str, payload: bytes, content_type: str | None = None
    ) -> asyncio.Future[int]:
        """Send at QoS 1, when there is room; the future gives the reason code of the PUBACK.

        It is cancelled when the connection ends first. Raises `LinkLost`.
        """
        room = self._room
        await room.acquire()
        flight: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        flight.add_done_callback(lambda _: room.release())
        packet_id = self._id()
        self._flights[packet_id] = flight
        properties = NONE if content_type is None else Properties(content_type=content_type)
        try:
            self._send(
                Publish(prefix(self._vehicle) + topic, payload, 1, packet_id, properties=properties)
            )
            if self._writer is not None:
                await self._writer.drain()
        except OSError as error:
            flight.cancel()
            raise LinkLost(str(error)) from error
        return flight

    def abort(self) -> None:
        """Drop the connection without a word; `run` finds out."""
        if self._writer is not None:
            self._writer.transport.abort()

    async def close(self, *, politely: bool = False) -> None:
        """End the connection; what is in flight is cancelled."""
        writer, self._writer = self._writer, None
        for flight in self._flights.values():
            flight.cancel()
        self._flights.clear()
        if writer is None:
            return
        if politely and not writer.is_closing():
            writer.write(encode(Disconnect(), V5))
        writer.close()
        try:
            async with asyncio.timeout(2):
                await writer.wait_closed()
        except (OSError, TimeoutError):
            log.debug("the connection did not end in good order")


def _told(reason: object, packet: Packet) -> str:
    properties = getattr(packet, "properties", NONE)
    shown = f"0x{reason:02x}" if isinstance(reason, int) else str(reason)
    return f"{shown} {properties.reason_string or ''}".strip()
