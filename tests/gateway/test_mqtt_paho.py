"""MQTT with a client that others wrote (Eclipse Paho): both versions, plain and over TLS."""

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from carcloud.codecs.mqtt.packets import Type
from carcloud.codecs.mqtt.splitter import Splitter
from carcloud.codecs.mqtt.wire import variable
from carcloud.engines.stream_nats import NatsServer
from carcloud.services.vehicles.api import CredentialsChange, announce
from tests.gateway.conftest import MAX_BYTES
from tests.gateway.mqtt_client import CAR, SIGNALS, Site, T, site, until
from tests.gateway.test_gbt32960 import run
from tests.gateway.test_security import Papers

VERSIONS = [paho.MQTTv311, paho.MQTTv5]
COMMANDS, LIST = f"v1/{CAR}/commands", f"v1/{CAR}/documents"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    folder = tmp_path_factory.mktemp("paho")
    server = NatsServer.start(folder, user="u", password="p", max_bytes=MAX_BYTES).ready()
    yield server
    server.stop()


class Vehicle:
    """A Paho client with its own thread, and what it was told."""

    def __init__(self, version: int, *, client_id: str = CAR, user: str | None = CAR) -> None:
        given = {"clean_session": False} if version == paho.MQTTv311 else {}
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id, protocol=version, **given
        )
        self.version = version
        self.user = user
        self.messages: list[paho.MQTTMessage] = []
        self.connected: list[tuple[Any, Any]] = []
        self.disconnected: list[Any] = []
        self.client.on_message = lambda _c, _u, message: self.messages.append(message)
        self.client.on_connect = lambda _c, _u, flags, code, _p: self.connected.append(
            (flags, code)
        )
        self.client.on_disconnect = lambda _c, _u, _f, code, _p: self.disconnected.append(code)

    async def connect(self, port: int, password: str | None) -> None:
        """And wait for the answer."""
        if self.user is not None:
            self.client.username_pw_set(self.user, password)
        extra: dict[str, Any] = {}
        if self.version == paho.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 600
            extra = {"clean_start": False, "properties": properties}
        before = len(self.connected)
        await asyncio.to_thread(self.client.connect, "localhost", port, 30, **extra)
        self.client.loop_start()
        await until(lambda: len(self.connected) > before)

    async def publish(self, *qos: int) -> None:
        """One message at each of these, all acknowledged."""
        for number, level in enumerate(qos):
            told = self.client.publish(SIGNALS, b"%d" % number, level)
            await asyncio.to_thread(told.wait_for_publish, 60)
            assert told.is_published()

    async def leave(self) -> None:
        """Say goodbye."""
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_vehicle_by_paho(server: NatsServer, tmp_path: Path, version: int) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            token = found.token()
            car = Vehicle(version)
            await car.connect(found.port, token)
            await car.publish(0, 1, 2, 1)
            assert await found.stored(4) == [(SIGNALS, b"%d" % n) for n in range(4)]
            found.outgoing.retain(T, CAR, LIST, b"list", actor="test")
            found.outgoing.send(T, CAR, COMMANDS, b"one", actor="test")
            car.client.subscribe(f"v1/{CAR}/#", 1)
            await until(lambda: len(car.messages) == 2)
            assert [(one.payload, one.retain) for one in car.messages] == [
                (b"list", True), (b"one", False),
            ]  # fmt: skip
            await until(lambda: len(found.outgoing.waiting(T, CAR)) == 1)  # it has acknowledged
            await _away(found, car)
            found.outgoing.send(T, CAR, COMMANDS, b"two", actor="test")
            await car.connect(found.port, token)
            assert car.connected[-1][0].session_present
            await until(lambda: len(car.messages) == 3)
            found.outgoing.send(T, CAR, COMMANDS, b"three", actor="test")
            await announce(found.stream, T, [CAR])
            await until(lambda: len(car.messages) == 4)
            assert [one.payload for one in car.messages[2:]] == [b"two", b"three"]
            await until(lambda: len(found.outgoing.waiting(T, CAR)) == 1)  # what is retained
            await car.leave()

    run(check())


async def _away(found: Site, car: Vehicle) -> None:
    await car.leave()
    await until(lambda: len(found.mqtt.states) == 1)


class Lossy:
    """A way to the gateway that loses the first packet of each kind, and with it its connection."""

    def __init__(self, *kinds: Type) -> None:
        self.left = set(kinds)
        self._server: asyncio.Server | None = None

    async def start(self, to: int) -> int:
        """The port it listens on; `to`: that of the gateway."""
        self._to = to
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to = await asyncio.open_connection("127.0.0.1", self._to)
        ways = ((reader, to), (there, writer))
        tasks = [asyncio.create_task(self._carry(*way)) for way in ways]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, to):
            end.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        splitter = Splitter()
        while data := await reader.read(65536):
            for first, body in splitter.feed(data):
                kind = Type(first >> 4)
                if kind in self.left:
                    self.left.discard(kind)
                    return
                writer.write(bytes((first,)) + variable(len(body)) + body)


@pytest.mark.parametrize("version", VERSIONS)
def test_at_qos_2_paho_gets_each_message_once_whatever_is_lost(
    server: NatsServer, tmp_path: Path, version: int
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            token, car = found.token(), Vehicle(version)
            way = Lossy()
            car.client.reconnect_delay_set(0.02, 0.02)  # type: ignore[arg-type]
            car.client.on_subscribe = lambda _c, _u, _m, codes, _p: granted.extend(codes)
            granted: list[Any] = []
            await car.connect(await way.start(found.port), token)
            car.client.subscribe(f"v1/{CAR}/#", 2)
            await until(lambda: [one.value for one in granted] == [2])
            losses = (Type.PUBLISH, Type.PUBREC, Type.PUBREL, Type.PUBCOMP)
            for kind in losses:
                way.left.add(kind)
                found.outgoing.send(T, CAR, COMMANDS, kind.name.encode(), actor="test")
                await announce(found.stream, T, [CAR])
                await until(lambda: found.outgoing.waiting(T, CAR) == [])
                assert not way.left
            wanted = [(kind.name.encode(), 2) for kind in losses]
            assert [(one.payload, one.qos) for one in car.messages] == wanted
            assert len(car.connected) == 5
            assert all(flags.session_present for flags, _ in car.connected[1:])
            await car.leave()
            way.stop()

    run(check())


@pytest.mark.parametrize("version", VERSIONS)
def test_paho_hears_why_it_is_refused(server: NatsServer, tmp_path: Path, version: int) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            token = found.token()
            stranger = Vehicle(version)
            await stranger.connect(found.port, "cvt_guessed")
            assert stranger.connected[0][1].is_failure
            assert str(stranger.connected[0][1]) == "Not authorized"
            await stranger.leave()
            curious = Vehicle(version)
            await curious.connect(found.port, token)
            curious.client.subscribe("v1/car-2/#", 1)
            await until(lambda: bool(curious.disconnected))
            if version == paho.MQTTv5:
                assert str(curious.disconnected[0]) == "Not authorized"
            await curious.leave()

    run(check())


def test_a_certificate_is_proof_enough(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        folder = tmp_path / "papers"
        folder.mkdir()
        papers = Papers(folder, "right")
        shown, key, _ = papers.issue("server")
        mine, other = papers.issue("mine"), papers.issue("other")
        tls = {
            "gateway__mqtt__tls_cert": str(shown),
            "gateway__mqtt__tls_key": str(key),
            "gateway__mqtt__tls_client_ca": str(papers.ca),
        }
        async with site(server, tmp_path / "data", **tls) as found:
            token = found.token()
            pinned = CredentialsChange(tls_fingerprint=mine[2])
            found.role._vehicles.set_credentials(T, CAR, pinned, actor="test")
            for papers_shown, password, welcome in (
                (mine, None, True), (None, token, True), (other, None, False), (None, None, False),
            ):  # fmt: skip
                car = Vehicle(paho.MQTTv5, user=CAR if password else None)
                context = ssl.create_default_context(cafile=papers.ca)
                context.check_hostname = False
                if papers_shown is not None:
                    context.load_cert_chain(*papers_shown[:2])
                car.client.tls_set_context(context)
                await car.connect(found.port, password)
                assert car.connected[0][1].is_failure is not welcome
                if welcome:
                    await car.publish(1, 1)
                await car.leave()
            assert len(await found.stored(4)) == 4

    run(check())
