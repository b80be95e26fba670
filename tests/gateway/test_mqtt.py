"""MQTT against a whole gateway role: what version 5 and 3.1.1 promise, packet by packet."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from carcloud.codecs.mqtt.packets import (
    V5,
    V311,
    Ack,
    Connack,
    Connect,
    Disconnect,
    Ping,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Type,
    Unsuback,
    Unsubscribe,
    Will,
)
from carcloud.codecs.mqtt.properties import Properties
from carcloud.codecs.mqtt.reasons import Reason
from carcloud.engines.stream_nats import NatsServer
from carcloud.gateway.tenant_quotas import Allowance
from carcloud.model.limits import OverLimit
from carcloud.services.tenancy.api import AuditFilter, Tenancy
from carcloud.services.vehicles.api import Invalid, NewVehicle, Unknown, announce
from tests.gateway.conftest import MAX_BYTES
from tests.gateway.mqtt_client import CAR, SIGNALS, Client, Site, T, site, until
from tests.gateway.test_gbt32960 import run

COMMANDS, DOCUMENTS = f"v1/{CAR}/commands", f"v1/{CAR}/documents"
EXPIRY = Properties(session_expiry=600)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    folder = tmp_path_factory.mktemp("mqtt")
    server = NatsServer.start(folder, user="u", password="p", max_bytes=MAX_BYTES).ready()
    yield server
    server.stop()


def puback(number: int) -> Ack:
    return Ack(Type.PUBACK, number)


async def subscribed(client: Client, *filters: str, qos: int = 1, **options: object) -> None:
    wanted = tuple(Subscription(one, qos, **options) for one in filters)  # type: ignore[arg-type]
    answer = await client.ask(Subscribe(7, wanted))
    assert answer == Suback(7, (qos,) * len(filters))


async def put(found: Site, payload: bytes, topic: str = COMMANDS, **given: object) -> None:
    found.outgoing.send(T, CAR, topic, payload, actor="test", **given)  # type: ignore[arg-type]
    await announce(found.stream, T, [CAR])


async def retained(found: Site, payload: bytes, topic: str = DOCUMENTS) -> None:
    found.outgoing.retain(T, CAR, topic, payload, actor="test")
    await announce(found.stream, T, [CAR])


async def kept(found: Site, count: int) -> None:
    """So many messages wait in the store."""
    await until(lambda: len(found.outgoing.waiting(T, CAR)) == count)


@pytest.mark.parametrize("version", [V311, V5])
def test_messages_of_each_qos_are_kept_once_and_answered(
    server: NatsServer, tmp_path: Path, version: int
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await found.client(version=version)
            client.send(
                Publish(SIGNALS, b"0"), Publish(SIGNALS, b"1", 1, 1), Publish(SIGNALS, b"2", 1, 2),
                Publish(SIGNALS, b"3", 2, 3), Publish(SIGNALS, b"3", 2, 3, dup=True),
            )  # fmt: skip
            answers = [await client.get() for _ in range(4)]
            assert answers == [puback(1), puback(2), *[Ack(Type.PUBREC, 3)] * 2]
            assert await client.ask(Ack(Type.PUBREL, 3)) == Ack(Type.PUBCOMP, 3)
            again = await client.ask(Ack(Type.PUBREL, 3))
            assert again == Ack(Type.PUBCOMP, 3, 0x92 if version == V5 else 0)
            assert await client.ask(Publish(SIGNALS, b"4", 2, 3)) == Ack(Type.PUBREC, 3)
            assert await client.ask(Ping()) == Ping(is_answer=True)
            assert await found.stored(5) == [(SIGNALS, str(n).encode()) for n in range(5)]

    run(check())


def test_the_usual_and_the_long_way_keep_the_same(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        sizes = (0, 1, 90, 100, 127, 128, 300, 16_300, 20_000)
        async with site(server, tmp_path) as found:
            for version in (V311, V5):
                client = await found.client(version=version)
                for number, size in enumerate(sizes, 1):
                    client.send(Publish(SIGNALS, b"x" * size, 1, number))
                answers = [await client.get() for _ in sizes]
                assert answers == [puback(number) for number in range(1, len(sizes) + 1)]
            stored = await found.stored(2 * len(sizes))
            assert [len(payload) for _, payload in stored] == [*sizes, *sizes]
            assert {topic for topic, _ in stored} == {SIGNALS}

    run(check())


def test_who_cannot_prove_itself_is_refused(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path, gateway__auto_register=True) as found:
            good = found.token().encode()
            for connect, reason in (
                (Connect(CAR, username=CAR, password=b"cvt_wrong"), Reason.NOT_AUTHORIZED),
                (Connect(CAR, username=CAR), Reason.NOT_AUTHORIZED),
                (Connect(CAR, V311, username=CAR, password=b"no"), 5),
                (Connect("stranger", username="stranger", password=good), Reason.NOT_AUTHORIZED),
                (Connect("", username=None), Reason.BAD_CLIENT_ID),
                (Connect("", V311, clean_start=False, username=CAR, password=good), 2),
                (
                    Connect(CAR, properties=Properties(authentication_method="x")),
                    Reason.BAD_AUTHENTICATION_METHOD,
                ),
            ):
                client = await Client.open(found.port)
                answer = await client.ask(connect)
                assert isinstance(answer, Connack)
                assert answer.reason == reason, connect
                assert await client.get() is None

    run(check())


def test_whether_a_vehicle_is_known_is_told_in_the_log_alone(
    server: NatsServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            good = found.token().encode()
            found.role._vehicles.create(T, NewVehicle("retired"), actor="test")
            found.role._vehicles.retire(T, "retired", actor="test")
            answers = set()
            for vehicle, password in (
                *((CAR, b"cvt_wrong"), (CAR, None), ("stranger", good)),
                *(("retired", good), ("no/vehicle", good)),
            ):
                client = await Client.open(found.port)
                answers.add(await client.ask(Connect(vehicle, username=vehicle, password=password)))
            assert len(answers) == 1
            for told in ("'stranger' from", "the vehicle is not registered", "neither the token"):
                assert told in caplog.text

    with caplog.at_level("INFO", "carcloud.gateway.mqtt"):
        run(check())


def test_what_a_client_is_told_of_the_server(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path, gateway__mqtt__session_hours=1.0) as found:
            client = await found.client(
                client_id="", keep_alive=0, properties=Properties(session_expiry=7200)
            )
            told = client.connack.properties
            assert told.assigned_client_id == CAR
            assert (told.server_keep_alive, told.session_expiry) == (300, 3600)
            assert (told.receive_maximum, told.maximum_packet_size) == (1000, 256 * 1024)
            assert (told.topic_alias_maximum, told.shared_available) == (16, 0)

    run(check())


FORBIDDEN = (
    Publish("v1/car-2/signals", b"", 1, 1),
    Publish(COMMANDS, b""),
    Publish("a", b""),
    Subscribe(1, (Subscription("v1/car-2/commands"),)),
    Subscribe(1, (Subscription("#"),)),
    Subscribe(1, (Subscription("v1/+/commands"),)),
    Subscribe(1, (Subscription(f"$share/g/v1/{CAR}/commands"),)),
)


def test_other_topics_end_the_connection_and_are_in_the_audit(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            for attempt in FORBIDDEN:
                client = await found.client()
                end = await client.ask(attempt)
                assert isinstance(end, Disconnect)
                assert end.reason == Reason.NOT_AUTHORIZED
                assert await client.get() is None
            assert found.role.figures().counters["mqtt_forbidden_total"] == len(FORBIDDEN)
            trail = Tenancy(found.engines.records).trail
            denied = AuditFilter(subject=CAR, denied=True)
            await until(lambda: len(trail.page(T, denied).items) == 3)  # not of each of a flood

    run(check())


def test_a_will_is_a_message_of_the_vehicle(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            will = Will(f"v1/{CAR}/checkin", b"lost")
            (await found.client(will=will)).drop()
            assert await found.stored(1) == [(will.topic, b"lost")]
            client = await found.client(will=will)
            client.send(Disconnect())
            assert await client.get() is None
            client = await found.client(will=will)
            client.send(Disconnect(Reason.DISCONNECT_WITH_WILL))
            assert await found.stored(1) == [(will.topic, b"lost")]
            client = await Client.open(found.port)
            other = Will("v1/car-2/signals", b"")
            answer = await client.ask(
                Connect(CAR, username=CAR, will=other, password=found.token().encode())
            )
            assert isinstance(answer, Connack)
            assert answer.reason == Reason.NOT_AUTHORIZED
            assert found.mqtt.mqtt.wills == 2

    run(check())


def test_a_delayed_will_waits_for_the_session(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            gateway = found.mqtt
            will = Will(SIGNALS, b"w", properties=Properties(will_delay=30))
            first = await found.client(will=will, properties=EXPIRY, clean_start=False)
            first.drop()
            await until(lambda: len(gateway.states) == 1)
            gateway.sweep(gateway.clock())
            back = await found.client(will=will, properties=EXPIRY, clean_start=False)
            assert back.connack.session_present
            assert gateway.mqtt.wills == 0
            back.drop()
            await until(lambda: len(gateway.states) == 1)
            gateway.sweep(gateway.clock() + 31)
            assert await found.stored(1) == [(SIGNALS, b"w")]

    run(check())


@pytest.mark.parametrize("version", [V311, V5])
def test_queued_messages_come_in_order_and_go_when_acknowledged(
    server: NatsServer, tmp_path: Path, version: int
) -> None:
    async def check() -> None:
        async with site(server, tmp_path, gateway__mqtt__window=3) as found:
            found.token()
            for number in range(6):
                await put(found, b"%d" % number)
            client = await found.client(version=version)
            await subscribed(client, f"v1/{CAR}/#")
            got = [await client.message() for _ in range(3)]
            await client.nothing()  # until it acknowledges
            for one in got:
                client.send(puback(one.packet_id))
            got += [await client.message() for _ in range(3)]
            assert [one.payload for one in got] == [b"0", b"1", b"2", b"3", b"4", b"5"]
            assert {(one.qos, one.retain, one.topic) for one in got} == {(1, False, COMMANDS)}
            await kept(found, 3)
            await put(found, b"6")
            client.send(*(puback(one.packet_id) for one in got[3:]))
            last = await client.message()
            assert last.payload == b"6"
            client.send(puback(last.packet_id))
            await kept(found, 0)
            assert found.role.figures().counters["mqtt_delivered_total"] == 7

    run(check())


def test_a_session_waits_for_its_vehicle(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            first = await found.client(properties=EXPIRY)
            assert not first.connack.session_present
            await subscribed(first, COMMANDS, DOCUMENTS)
            await put(found, b"a")
            unanswered = await first.message()
            first.drop()
            await until(lambda: len(found.mqtt.states) == 1)
            await put(found, b"b")
            await retained(found, b"new list")
            again = await found.client(properties=EXPIRY, clean_start=False)
            assert again.connack.session_present
            resent = await again.message()
            assert (resent.payload, resent.dup) == (b"a", True)
            assert resent.packet_id == unanswered.packet_id
            assert [(await again.message()).payload for _ in range(2)] == [b"b", b"new list"]
            other = await found.client(properties=EXPIRY, client_id="other", clean_start=False)
            assert not other.connack.session_present
            clean = await found.client(properties=EXPIRY, client_id="other")
            assert not clean.connack.session_present
            await clean.nothing()

    run(check())


def test_messages_outlive_the_gateway(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await found.client(properties=EXPIRY)
            await subscribed(client, COMMANDS)
            await put(found, b"kept")
            await client.message()
            tokens = found.tokens
        async with site(server, tmp_path) as found:
            found.tokens = tokens
            client = await found.client(properties=EXPIRY, clean_start=False)
            assert not client.connack.session_present  # so it subscribes again
            await subscribed(client, COMMANDS)
            again = await client.message()
            assert again.payload == b"kept"
            client.send(puback(again.packet_id))
            await kept(found, 0)

    run(check())


def test_retained_documents_come_to_who_subscribes(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            found.token()
            await retained(found, b"list 1")
            await retained(found, b"one", f"{DOCUMENTS}/x")
            client = await found.client()
            await subscribed(client, f"{DOCUMENTS}/#", qos=0)
            got = [await client.message() for _ in range(2)]
            assert [(one.payload, one.retain, one.qos) for one in got] == [
                (b"list 1", True, 0), (b"one", True, 0),
            ]  # fmt: skip
            await subscribed(client, DOCUMENTS, retain_handling=1)
            assert (await client.message()).payload == b"list 1"  # this filter is new
            await subscribed(client, DOCUMENTS, retain_handling=1)
            await subscribed(client, DOCUMENTS, retain_handling=2)
            await client.nothing()
            await retained(found, b"list 2")
            live = await client.message()
            assert (live.payload, live.retain) == (b"list 2", False)
            client.send(puback(live.packet_id))
            await retained(found, b"")
            assert (await client.message()).payload == b""
            assert [one.topic for one in found.outgoing.waiting(T, CAR) if one.retained] == [
                f"{DOCUMENTS}/x"
            ]
            answer = await client.ask(Unsubscribe(9, (DOCUMENTS, "a")))
            assert answer == Unsuback(9, (0, Reason.NO_SUBSCRIPTION_EXISTED))

    run(check())


def test_subscriptions_are_bounded(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path, gateway__mqtt__subscriptions=1) as found:
            client = await found.client()
            wanted = (Subscription(COMMANDS, 1), Subscription(DOCUMENTS, 1))
            answer = await client.ask(Subscribe(7, wanted))
            assert answer == Suback(7, (1, Reason.QUOTA_EXCEEDED))
            long = Subscription(f"v1/{CAR}/{'a' * 2_000}")
            answer = await client.ask(Subscribe(8, (long,)))
            assert answer == Suback(8, (Reason.TOPIC_FILTER_INVALID,))
            assert found.role.figures().counters["mqtt_subscriptions_refused_total"] == 1

    run(check())


def test_what_a_client_cannot_take_is_not_sent(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            found.token()
            await put(found, b"x" * 500)
            await put(found, b"late", expires=1)
            await put(found, b"in time", expires=2**60)
            client = await found.client(properties=Properties(maximum_packet_size=100))
            await subscribed(client, COMMANDS)
            got = await client.message()
            assert got.payload == b"in time"
            assert got.properties.message_expiry == 0xFFFFFFFF
            client.send(Ack(Type.PUBACK, got.packet_id, Reason.IMPLEMENTATION_ERROR))
            waiting = found.outgoing.waiting
            await until(lambda: {one.payload for one in waiting(T, CAR)} <= {b"late"})
            figures = found.mqtt.mqtt
            assert figures.dropped == {"too large": 1, "refused by the vehicle": 1}
            found.outgoing.forget_expired()  # unless the gateway's round was here first
            assert waiting(T, CAR) == []

    run(check())


def test_what_waits_for_a_vehicle_is_bounded(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            found.token()
            with pytest.raises(OverLimit):
                await put(found, b"x" * 1_000_001)
            with pytest.raises(Invalid):
                await put(found, b"", SIGNALS)
            with pytest.raises(Unknown):
                found.outgoing.send(T, "car-9", "v1/car-9/commands", b"", actor="test")
            message = found.outgoing.send(T, CAR, COMMANDS, b"", actor="test")
            assert found.outgoing.withdraw(T, CAR, message.id, actor="test")
            assert not found.outgoing.withdraw(T, CAR, message.id, actor="test")

    run(check())


def test_a_new_connection_takes_over(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            first = await found.client(properties=EXPIRY)
            await subscribed(first, COMMANDS)
            second = await found.client(properties=EXPIRY, clean_start=False)
            assert second.connack.session_present
            assert await first.get() == Disconnect(Reason.SESSION_TAKEN_OVER)
            assert await first.get() is None
            await put(found, b"here")
            assert (await second.message()).payload == b"here"
            online = found.role.roster.counts()[0]
            assert online == {"default": 1}

    run(check())


def test_a_silent_client_is_closed(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await found.client(keep_alive=40)
            (session,) = found.mqtt.sessions
            found.mqtt.sweep = lambda _now: None  # type: ignore[method-assign]  # nobody else looks
            session.check_clock(session.heard + 59)
            assert not session.closing
            assert await client.ask(Ping()) == Ping(is_answer=True)
            session.check_clock(session.heard + 61)
            assert await client.get() == Disconnect(Reason.KEEP_ALIVE_TIMEOUT)

    run(check())


def test_bounds_of_version_5(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        bounds = {"gateway__mqtt__receive_maximum": 3, "gateway__mqtt__max_packet_kb": 20}
        async with site(server, tmp_path, **bounds) as found:
            alias = Properties(topic_alias=2)
            client = await found.client()
            assert await client.ask(Publish(SIGNALS, b"a", 1, 1, properties=alias)) == puback(1)
            named = b"\x32\x08\x00\x00\x00\x02\x03\x23\x00\x02"  # no topic, alias 2
            client.send(named)
            assert await client.get() == puback(2)
            assert await found.stored(2) == [(SIGNALS, b"a"), (SIGNALS, b"")]
            for number in range(1, 10):  # each answered before the next: never too many
                assert await client.ask(Publish(SIGNALS, b"", 1, number)) == puback(number)
            client.send(*(Publish(SIGNALS, b"", 1, number) for number in range(1, 9)))
            assert await _reason(client) == Reason.RECEIVE_MAXIMUM_EXCEEDED
            for packet, reason in (
                (Publish(SIGNALS, b"x" * 20_480, 1, 1), Reason.PACKET_TOO_LARGE),
                (Publish(SIGNALS, b"", 0, properties=Properties(topic_alias=17)),
                 Reason.TOPIC_ALIAS_INVALID),
                (Publish(f"v1/{CAR}/commands/{'a' * 2_000}/result", b"", 0,
                         properties=Properties(topic_alias=1)), Reason.TOPIC_NAME_INVALID),
                (b"\x30\x06\x00\x00\x03\x23\x00\x01", Reason.PROTOCOL_ERROR),  # nobody set it
                (Subscribe(1, (Subscription(COMMANDS),), Properties(subscription_ids=(1,))),
                 Reason.SUBSCRIPTION_IDS_NOT_SUPPORTED),
                (Connect(CAR), Reason.PROTOCOL_ERROR),
                (b"\x30\x03\x00\x01\xff", Reason.MALFORMED_PACKET),
                (b"\xf0\x00", Reason.PROTOCOL_ERROR),
            ):  # fmt: skip
                client = await found.client()
                client.send(packet)
                assert await _reason(client) == reason, packet

    run(check())


async def _reason(client: Client) -> int:
    """Of the DISCONNECT, after answers."""
    while True:
        found = await client.get()
        assert found is not None
        if isinstance(found, Disconnect):
            assert await client.get() is None
            return found.reason


def test_strangers_are_closed_without_an_answer(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            gateway = found.mqtt
            for raw in (
                b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00", b"\xc0\x00", b"\x10\xff\xff\xff\x7f",
                b"\x10\xff\xff\xff\xff", b"\x30\x03\x00\x01a", bytes(range(256)) * 4,
            ):  # fmt: skip
                client = await Client.open(found.port)
                client.send(raw)
                assert await client.get() is None, raw
            client = await Client.open(found.port)
            client.send(b"\x10\x10\x00")  # and no more
            await until(lambda: any(one._splitter.pending for one in gateway.sessions))
            gateway.sweep(gateway.clock() + 11)
            assert await client.get() is None
            client = await Client.open(found.port)
            answer = await client.ask(Connect(CAR, username="a/b", password=b"x"))
            assert isinstance(answer, Connack)
            assert answer.reason == Reason.NOT_AUTHORIZED
            assert await found.client()  # others do not notice

    run(check())


def test_a_suspended_tenant_is_put_out(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await found.client()
            gateway = found.mqtt
            gateway.quotas._allow = lambda _: Allowance(suspended=True)
            gateway.quotas.refresh()
            gateway.sweep(gateway.clock())
            assert await client.get() == Disconnect(Reason.ADMINISTRATIVE_ACTION)

    run(check())


def test_many_messages_in_one_write_are_all_answered(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await found.client(version=V311)
            count = 1500
            for number in range(1, count + 1):
                client.send(Publish(SIGNALS, b"%d" % number, 1, number))
            answers = [await client.get() for _ in range(count)]
            assert answers == [puback(number) for number in range(1, count + 1)]
            stored = await found.stored(count)
            assert [payload for _, payload in stored] == [b"%d" % n for n in range(1, count + 1)]

    run(check())
