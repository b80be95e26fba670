"""A whole gateway role that listens for MQTT, and a bare client for it."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from carcloud.app.engines import Engines
from carcloud.app.first_start import prepare_records
from carcloud.app.gateway import GatewayRole
from carcloud.codecs.mqtt.decode import decode
from carcloud.codecs.mqtt.encode import encode
from carcloud.codecs.mqtt.message import unpack_message
from carcloud.codecs.mqtt.packets import V5, Connack, Connect, Packet, Publish
from carcloud.codecs.mqtt.splitter import Splitter
from carcloud.config import Settings
from carcloud.engines.stream_nats import NatsServer, NatsStream
from carcloud.gateway.mqtt.gateway import MqttGateway
from carcloud.model import blocks
from carcloud.model.ids import Tenant
from carcloud.services.vehicles.api import NewVehicle, Outgoing
from tests.gateway.conftest import MAX_BYTES

T = Tenant("default")
CAR = "car-1"
SIGNALS = f"v1/{CAR}/signals"


@dataclass
class Site:
    """A gateway role on real engines, and the token of each vehicle."""

    role: GatewayRole
    stream: NatsStream
    engines: Engines
    port: int
    outgoing: Outgoing
    tokens: dict[str, str]
    first: int  # sequence of the stream before this site

    @property
    def mqtt(self) -> MqttGateway:
        """The listener."""
        gateway = self.role.listeners["mqtt"].gateway
        assert isinstance(gateway, MqttGateway)
        return gateway

    def token(self, vehicle: str = CAR) -> str:
        """Made at the first call, with the vehicle."""
        if vehicle not in self.tokens:
            self.role._vehicles.create(T, NewVehicle(vehicle), actor="test")
            made = self.role._vehicles.make_token(T, vehicle, actor="test")
            self.tokens[vehicle] = made.token
        return self.tokens[vehicle]

    async def stored(self, count: int) -> list[tuple[str, bytes]]:
        """The first `count` messages in the stream since the site was made."""
        found: list[tuple[str, bytes]] = []
        async with asyncio.timeout(60):
            async for messages in self.stream.read("FRAMES", "test", batch=16, wait_s=0.1):
                for message in messages:
                    _, tenant, protocol = message.subject.split(".", 2)
                    rows = blocks.unpack(Tenant(tenant), protocol, message.data).frames
                    if protocol == "mqtt":
                        found += [unpack_message(row["frame"]) for row in rows.to_pylist()]
                    await self.stream.confirm("FRAMES", "test", message.seq)
                if len(found) >= count:
                    break
        return found

    async def client(self, vehicle: str = CAR, **given: object) -> "Client":
        """Connected and admitted."""
        client = await Client.open(self.port)
        given.setdefault("keep_alive", 60)
        connect = Connect(
            str(given.pop("client_id", vehicle)), username=vehicle,
            password=self.token(vehicle).encode(), **given,  # type: ignore[arg-type]
        )  # fmt: skip
        client.connack = await client.ask(connect)
        assert isinstance(client.connack, Connack)
        assert client.connack.reason == 0, client.connack
        return client


class Client:
    """Packets over a socket, one by one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.version = V5
        self.connack = Connack()
        self._splitter = Splitter()
        self._packets: list[Packet] = []

    @classmethod
    async def open(cls, port: int, tls: ssl.SSLContext | None = None) -> "Client":
        name = "localhost" if tls else None
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name))

    def send(self, *packets: Packet | bytes) -> None:
        for packet in packets:
            if isinstance(packet, Connect):
                self.version = packet.version
            raw = packet if isinstance(packet, bytes) else encode(packet, self.version)
            self.writer.write(raw)

    async def get(self, seconds: float = 60) -> Packet | None:
        """The next packet; None when the gateway has closed the connection."""
        async with asyncio.timeout(seconds):
            while not self._packets:
                try:
                    data = await self.reader.read(65536)
                except ConnectionError:
                    return None
                if not data:
                    return None
                self._packets += [decode(*raw, self.version) for raw in self._splitter.feed(data)]
        return self._packets.pop(0)

    async def ask(self, packet: Packet) -> Packet | None:
        self.send(packet)
        return await self.get()

    async def message(self) -> Publish:
        found = await self.get()
        assert isinstance(found, Publish), found
        return found

    async def nothing(self, seconds: float = 0.15) -> None:
        try:
            found = await self.get(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"unexpected: {found}")

    def drop(self) -> None:
        """Gone without a word."""
        self.writer.transport.abort()


@asynccontextmanager
async def site(server: NatsServer, data: Path, **given: object) -> AsyncIterator[Site]:
    named = {name.replace("__", "."): value for name, value in given.items()}
    settings = Settings(
        {
            "data": str(data),
            "gateway.gbt32960.port": 0,
            "gateway.jt808.port": -1,
            "gateway.mqtt.port": 0,
            **named,
        }
    )
    stream = await NatsStream.connect(
        f"nats://127.0.0.1:{server.port}", user="u", password="p", max_bytes=MAX_BYTES
    )
    last = (await stream.info("FRAMES")).last_seq
    if last:
        await stream.confirm("FRAMES", "test", last)
    _prepare(settings)
    engines = Engines(settings, stream)
    role = GatewayRole(settings, engines, f"test-{time.time_ns()}")
    address = (await role.start())["mqtt"]
    outgoing = Outgoing(engines.records)
    try:
        yield Site(role, stream, engines, int(address["port"]), outgoing, {}, last)
    finally:
        await role.stop()
        await engines.close()


_PREPARED: dict[str, bytes] = {}  # the records as the first start leaves them, made once


def _prepare(settings: Settings) -> None:
    data = Path(settings.text("data"))
    if any(data.rglob("records.sqlite")):
        return
    if not _PREPARED:
        prepare_records(settings)
        _PREPARED.update(
            {
                str(path.relative_to(data)): path.read_bytes()
                for path in data.rglob("records.sqlite*")
            }
        )
    for name, content in _PREPARED.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(content)


async def until(true: Callable[[], bool | Awaitable[bool]], seconds: float = 60) -> None:
    """Wait for it."""
    async with asyncio.timeout(seconds):
        while True:
            found = true()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.01)
