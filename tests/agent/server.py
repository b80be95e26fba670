"""A small MQTT 5 server for tests of the agent: speaks the codec, keeps what it acknowledged."""

import asyncio
import contextlib
from collections import deque

from carcloud.codecs.mqtt.decode import decode
from carcloud.codecs.mqtt.encode import encode
from carcloud.codecs.mqtt.packets import (
    V5,
    Ack,
    Connack,
    Connect,
    Disconnect,
    Ping,
    Publish,
    Suback,
    Subscribe,
    Type,
)
from carcloud.codecs.mqtt.properties import Properties
from carcloud.codecs.mqtt.splitter import Splitter


class Server:
    """Listens on a free port of loopback. `messages` are (topic, payload) in order of arrival.

    `cut_after` closes the connection before that many messages more are acknowledged; `reasons`
    are PUBACK codes to answer with before it acknowledges again; `retained` is sent to whoever
    subscribes.
    """

    def __init__(self):
        self.messages = []
        self.connects = []
        self.certificates = []
        self.retained = {}
        self.cut_after = None
        self.reasons = deque()
        self.most_bytes = None  # of a packet
        self.came = asyncio.Event()
        self._writers = set()

    async def start(self, tls=None):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self):
        self._server.close()
        for writer in list(self._writers):
            writer.close()
        await asyncio.sleep(0)

    async def _serve(self, reader, writer):
        splitter = Splitter()
        self._writers.add(writer)
        if (secured := writer.get_extra_info("ssl_object")) is not None:
            self.certificates.append(secured.getpeercert(binary_form=True))
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                for first, body in splitter.feed(data):
                    answer = self._answer(decode(first, body, V5), writer)
                    if answer is None:
                        writer.close()
                        return
                    for packet in answer:
                        writer.write(encode(packet, V5))
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    def _answer(self, packet, writer):
        match packet:
            case Connect():
                self.connects.append(packet)
                return [Connack(properties=Properties(maximum_packet_size=self.most_bytes))]
            case Subscribe():
                sent = [
                    Publish(topic, payload, 1, at, retain=True)
                    for at, (topic, payload) in enumerate(self.retained.items(), 1)
                ]
                return [Suback(packet.packet_id, (1,) * len(packet.subscriptions)), *sent]
            case Publish():
                return self._published(packet)
            case Ping():
                return [Ping(is_answer=True)]
            case Disconnect():
                return None
        return []

    def _published(self, packet):
        if self.cut_after == 0:
            self.cut_after = None
            return None
        if self.cut_after is not None:
            self.cut_after -= 1
        if self.reasons:
            return [Ack(Type.PUBACK, packet.packet_id, self.reasons.popleft())]
        self.messages.append((packet.topic, packet.payload))
        self.came.set()
        return [Ack(Type.PUBACK, packet.packet_id)]

    def send(self, topic, payload):
        """A message to everybody who is connected."""
        for writer in self._writers:
            writer.write(encode(Publish(topic, payload, 1, 7), V5))

    async def wait(self, what, seconds=60):
        """Until `what(self)` gives something true, which is returned."""
        async with asyncio.timeout(seconds):
            while not (found := what(self)):
                self.came.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.came.wait(), 0.05)
        return found

    def on(self, name):
        """Payloads on the topics of a vehicle that end so."""
        return [payload for topic, payload in self.messages if topic.endswith(name)]
