"""Messages to a vehicle at QoS 2: every state of their way, lost packets, sessions that go on."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from carcloud.codecs.mqtt.packets import (
    V5,
    V311,
    Ack,
    Disconnect,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Type,
)
from carcloud.codecs.mqtt.properties import Properties
from carcloud.codecs.mqtt.reasons import Reason
from carcloud.engines.stream_nats import NatsServer
from carcloud.gateway.mqtt import state
from carcloud.gateway.mqtt.inflight import Inflight, Sent
from carcloud.gateway.mqtt.link import VehicleLink
from carcloud.services.vehicles.api import OutgoingMessage, announce
from tests.gateway.conftest import MAX_BYTES
from tests.gateway.mqtt_client import CAR, Client, Site, T, site, until
from tests.gateway.test_gbt32960 import run

COMMANDS, DOCUMENTS = f"v1/{CAR}/commands", f"v1/{CAR}/documents"
BOTH = pytest.mark.parametrize("version", [V311, V5])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    folder = tmp_path_factory.mktemp("qos2")
    server = NatsServer.start(folder, user="u", password="p", max_bytes=MAX_BYTES).ready()
    yield server
    server.stop()


async def subscribed(found: Site, version: int = V5, qos: int = 2, **options: object) -> Client:
    """A new session."""
    client = await resumed(found, version, clean_start=True, **options)
    answer = await client.ask(Subscribe(7, (Subscription(f"v1/{CAR}/#", qos),)))
    assert answer == Suback(7, (qos,))
    return client


async def resumed(
    found: Site, version: int = V5, *, clean_start: bool = False, **options: object
) -> Client:
    if version == V311:
        clean_start, properties = False, Properties()
    else:
        properties = Properties(session_expiry=600, **options)  # type: ignore[arg-type]
    return await found.client(version=version, clean_start=clean_start, properties=properties)


async def lost(found: Site, client: Client) -> None:
    client.drop()
    await until(lambda: len(found.mqtt.states) == 1)


async def put(found: Site, *payloads: bytes, qos: int = 2) -> list[int]:
    """Their numbers."""
    sent = [found.outgoing.send(T, CAR, COMMANDS, one, actor="t", qos=qos) for one in payloads]
    await announce(found.stream, T, [CAR])
    return [one.id for one in sent]


async def emptied(found: Site) -> None:
    await until(lambda: found.outgoing.waiting(T, CAR) == [])


def inflight(found: Site) -> Inflight:
    link = found.mqtt.roster.vehicles[CAR]
    assert isinstance(link, VehicleLink)
    return link.state.inflight


def pubrec(number: int, reason: int = 0) -> Ack:
    return Ack(Type.PUBREC, number, reason)


def pubrel(number: int, reason: int = 0) -> Ack:
    return Ack(Type.PUBREL, number, reason)


def pubcomp(number: int, reason: int = 0) -> Ack:
    return Ack(Type.PUBCOMP, number, reason)


async def complete(client: Client, message: Publish) -> None:
    assert await client.ask(pubrec(message.packet_id)) == pubrel(message.packet_id)
    client.send(pubcomp(message.packet_id))


@BOTH
def test_a_message_goes_through_all_four_packets(
    server: NatsServer, tmp_path: Path, version: int
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await subscribed(found, version)
            await put(found, b"a")
            message = await client.message()
            assert (message.qos, message.dup, message.packet_id) == (2, False, 1)
            client.send(b"\x50\x02\x00\x01")
            assert await client.reader.readexactly(4) == b"\x62\x02\x00\x01"
            assert len(found.outgoing.waiting(T, CAR)) == 1  # while the session may be lost
            client.send(b"\x70\x02\x00\x01")
            await emptied(found)
            assert found.mqtt.mqtt.delivered == 1
            await put(found, b"b", qos=1)
            message = await client.message()
            assert (message.payload, message.qos) == (b"b", 1)  # [MQTT-3.8.4-8]
            client.send(Ack(Type.PUBACK, message.packet_id))
            await emptied(found)

    run(check())


@BOTH
def test_each_packet_may_be_lost_with_its_connection(
    server: NatsServer, tmp_path: Path, version: int
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            found.token()
            found.outgoing.retain(T, CAR, DOCUMENTS, b"list", actor="t")
            client = await subscribed(found, version)
            first = await client.message()
            assert (first.payload, first.retain) == (b"list", True)
            for _ in range(2):  # PUBLISH or PUBREC
                await lost(found, client)
                client = await resumed(found, version)
                assert client.connack.session_present
                again = await client.message()
                assert again == Publish(DOCUMENTS, b"list", 2, first.packet_id, True, True)
            assert await client.ask(pubrec(first.packet_id)) == pubrel(first.packet_id)
            for _ in range(2):  # PUBREL or PUBCOMP
                await lost(found, client)
                client = await resumed(found, version)
                assert await client.get() == pubrel(first.packet_id)
                client.send(pubrec(first.packet_id))  # it may say so once more
                assert await client.get() == pubrel(first.packet_id)
            client.send(*[pubcomp(first.packet_id, Reason.PACKET_ID_NOT_FOUND)] * 2)
            await put(found, b"next")
            message = await client.message()
            assert (message.payload, message.dup) == (b"next", False)
            await complete(client, message)
            await until(lambda: len(found.outgoing.waiting(T, CAR)) == 1)
            await lost(found, client)
            client = await resumed(found, version)
            await client.nothing()
            assert found.mqtt.mqtt.delivered == 2

    run(check())


def test_what_is_sent_again_keeps_its_order(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await subscribed(found)
            await put(found, b"1", b"2")
            await put(found, b"3", qos=1)
            await put(found, b"4", b"5")
            sent = [await client.message() for _ in range(5)]
            ids = [one.packet_id for one in sent]
            for number in (ids[3], ids[0]):
                assert await client.ask(pubrec(number)) == pubrel(number)
            await lost(found, client)
            await put(found, b"6")
            client = await resumed(found)
            assert [await client.get() for _ in range(2)] == [pubrel(ids[3]), pubrel(ids[0])]
            again = [await client.message() for _ in range(4)]
            assert [(one.payload, one.qos, one.dup) for one in again] == [
                (b"2", 2, True), (b"3", 1, True), (b"5", 2, True), (b"6", 2, False),
            ]  # fmt: skip
            assert [one.packet_id for one in again[:3]] == [ids[1], ids[2], ids[4]]

    run(check())


def test_both_qos_count_against_the_receive_maximum(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await subscribed(found, receive_maximum=3)
            await put(found, b"1", b"2", qos=1)
            await put(found, b"3", b"4", b"5")
            first, second, third = [await client.message() for _ in range(3)]
            assert await client.ask(pubrec(third.packet_id)) == pubrel(third.packet_id)
            await client.nothing()  # not before PUBCOMP
            client.send(pubcomp(third.packet_id))
            fourth = await client.message()
            assert fourth.payload == b"4"
            await client.nothing()
            await lost(found, client)
            client = await resumed(found, receive_maximum=1)
            for one in (first, second, fourth):  # one by one, as they were
                again = await client.message()
                assert again.dup
                assert (again.packet_id, again.payload) == (one.packet_id, one.payload)
                await client.nothing()
                if one.qos == 1:
                    client.send(Ack(Type.PUBACK, one.packet_id))
                else:
                    assert await client.ask(pubrec(one.packet_id)) == pubrel(one.packet_id)
            await lost(found, client)
            client = await resumed(found, receive_maximum=1)
            assert await client.get() == pubrel(fourth.packet_id)
            await client.nothing()
            client.send(pubcomp(fourth.packet_id))
            assert (await client.message()).payload == b"5"

    run(check())


@pytest.mark.parametrize("reason", [Reason.UNSPECIFIED_ERROR, Reason.QUOTA_EXCEEDED])
def test_a_pubrec_that_refuses_is_the_end(
    server: NatsServer, tmp_path: Path, reason: Reason
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await subscribed(found, receive_maximum=1)
            await put(found, b"no", b"yes")
            message = await client.message()
            client.send(pubrec(message.packet_id, reason))
            message = await client.message()
            assert message.payload == b"yes"
            await lost(found, client)
            client = await resumed(found)
            assert (await client.message()).payload == b"yes"
            await client.nothing()
            assert found.mqtt.mqtt.dropped == {"refused by the vehicle": 1}
            await until(lambda: len(found.outgoing.waiting(T, CAR)) == 1)

    run(check())


@BOTH
def test_packets_that_do_not_belong(server: NatsServer, tmp_path: Path, version: int) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await subscribed(found, version)
            unknown = pubrel(77, Reason.PACKET_ID_NOT_FOUND if version == V5 else 0)
            assert await client.ask(pubrec(77)) == unknown  # no error while states are recovered
            client.send(pubcomp(77), Ack(Type.PUBACK, 77))
            if version == V5:
                client.send(pubrec(78, Reason.UNSPECIFIED_ERROR))
            await put(found, b"2")
            await put(found, b"1", qos=1)
            two, one = [(await client.message()).packet_id for _ in range(2)]
            wrong = (
                Ack(Type.PUBACK, two), pubcomp(two), pubrec(one), pubrec(one, 0x80), pubcomp(one),
            )  # fmt: skip
            for packet in wrong:
                client = await _put_out(found, client, packet)
                assert [(await client.message()).packet_id for _ in range(2)] == [two, one]
            assert await client.ask(pubrec(two)) == pubrel(two)
            client = await _put_out(found, client, Ack(Type.PUBACK, two))
            assert await client.get() == pubrel(two)  # nothing is lost by it
            assert (await client.message()).packet_id == one
            assert found.mqtt.mqtt.delivered == 0

    run(check())


async def _put_out(found: Site, client: Client, packet: Ack) -> Client:
    """The packet ends the connection; another one goes on with the session."""
    client.send(packet)
    if client.version == V5:
        told = await client.get()
        assert isinstance(told, Disconnect)
        assert told.reason == Reason.PROTOCOL_ERROR
    assert await client.get() is None
    return await resumed(found, client.version)


def test_identifiers_of_what_was_withdrawn_are_not_used_again(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await subscribed(found)
            numbers = await put(found, b"1", b"2", b"3")
            sent = [(await client.message()).packet_id for _ in range(3)]
            await lost(found, client)
            for number in numbers:
                assert found.outgoing.withdraw(T, CAR, number, actor="t")
            client = await resumed(found)
            assert client.connack.session_present
            await put(found, b"4")
            fourth = await client.message()
            assert fourth.payload == b"4"
            assert inflight(found).withdrawn == set(sent)
            inflight(found)._last_id = 0
            assert inflight(found).packet_id() == fourth.packet_id + 1
            # It has the first, and says so only now; the second it refuses; the third comes back.
            assert await client.ask(pubrec(sent[0])) == pubrel(sent[0])
            client.send(pubcomp(sent[0]), pubrec(sent[1], 0x80), Ack(Type.PUBACK, sent[2]))
            await complete(client, fourth)
            await emptied(found)
            assert len(inflight(found)) == len(inflight(found).withdrawn) == 0
            assert (found.mqtt.mqtt.delivered, found.mqtt.mqtt.dropped["withdrawn"]) == (1, 3)

    run(check())


def test_a_session_does_not_go_on_when_too_many_identifiers_are_kept_back(
    server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "_WITHDRAWN", 1)

    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await subscribed(found)
            for present in (True, True, False):
                (number,) = await put(found, b"x")
                assert (await client.message()).payload == b"x"
                await lost(found, client)
                assert found.outgoing.withdraw(T, CAR, number, actor="t")
                client = await resumed(found)
                assert client.connack.session_present is present
                await client.nothing()
            await client.ask(Subscribe(7, (Subscription(COMMANDS, 2),)))
            await put(found, b"y")
            assert (await client.message()).packet_id == 1
            found.mqtt.roster.vehicles[CAR].state.inflight.withdrawn.update((8, 9))  # type: ignore[attr-defined]
            taken = await resumed(found)  # while the other is still there
            assert not taken.connack.session_present

    run(check())


def test_what_is_too_large_or_too_late_for_the_next_connection_is_not_sent_again(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await subscribed(found)
            await put(found, b"x" * 300, b"short")
            large = await client.message()
            await client.message()
            await lost(found, client)
            client = await resumed(found, maximum_packet_size=200)
            assert (await client.message()).payload == b"short"
            await client.nothing()
            await until(lambda: len(found.outgoing.waiting(T, CAR)) == 1)
            assert found.mqtt.mqtt.dropped == {"too large": 1}
            assert inflight(found).withdrawn == {large.packet_id}

    run(check())


def test_a_session_that_is_lost_within_a_handshake_loses_no_message(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await subscribed(found)
            await put(found, b"a")
            message = await client.message()
            assert await client.ask(pubrec(message.packet_id)) == pubrel(message.packet_id)
            tokens = found.tokens
        async with site(server, tmp_path) as found:
            found.tokens = tokens
            client = await resumed(found)
            assert not client.connack.session_present  # the vehicle must forget what it has begun
            await client.ask(Subscribe(7, (Subscription(COMMANDS, 2),)))
            message = await client.message()
            assert (message.payload, message.dup) == (b"a", False)
            await complete(client, message)
            await emptied(found)

    run(check())


class Receiver:
    """A vehicle as 4.3.3 has it: it takes a message when it comes, and knows it until PUBREL."""

    def __init__(self) -> None:
        self.known: set[int] = set()
        self.taken: list[bytes] = []

    def answer(self, packet: object) -> Ack | None:
        match packet:
            case Publish():
                if packet.packet_id not in self.known:
                    self.taken.append(packet.payload)
                    self.known.add(packet.packet_id)
                return pubrec(packet.packet_id)
            case Ack(type=Type.PUBREL):
                known = packet.packet_id in self.known
                self.known.discard(packet.packet_id)
                return pubcomp(packet.packet_id, 0 if known else Reason.PACKET_ID_NOT_FOUND)
        return None


@pytest.mark.parametrize("seed", range(3))
def test_wherever_connections_break_each_message_comes_once_and_in_order(
    server: NatsServer, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)

    async def check() -> None:
        async with site(server, tmp_path, gateway__mqtt__window=4) as found:
            client = await subscribed(found)
            payloads = [b"%d" % number for number in range(40)]
            await put(found, *payloads)
            vehicle, breaks = Receiver(), 0
            while inflight(found) or found.outgoing.waiting(T, CAR):
                try:
                    packet = await client.get(0.05)
                except TimeoutError:
                    continue
                before = chance.random() < 0.1  # the packet itself is lost
                answer = None if before else vehicle.answer(packet)
                if answer is not None and chance.random() > 0.1:
                    client.send(answer)
                else:
                    breaks += 1
                    await lost(found, client)
                    client = await resumed(found)
                    assert client.connack.session_present
            assert vehicle.taken == payloads, f"seed {seed}"
            assert breaks > 5
            assert vehicle.known == set()

    run(check())


def test_no_identifier_in_use_is_given_twice() -> None:
    message = OutgoingMessage("car", 1, COMMANDS, b"", 2, False, None, 0)  # type: ignore[arg-type]
    flight = Inflight()
    flight._last_id = 0xFFFD
    for _ in range(4):
        number = flight.packet_id()
        flight.sent[number] = Sent(message, 2, False)
    assert list(flight.sent) == [0xFFFE, 0xFFFF, 1, 2]
    assert flight.pubrec(1)
    assert flight.withdraw(2) is message
    flight._last_id = 0xFFFD
    assert flight.packet_id() == 3
    assert len(flight) == 3
