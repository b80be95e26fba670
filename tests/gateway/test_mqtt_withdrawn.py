"""What was called back, or is too late, does not reach a vehicle, wherever it waits."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carcloud.codecs.mqtt.packets import Ack, Publish, Subscribe, Subscription, Type
from carcloud.codecs.mqtt.properties import Properties
from carcloud.engines.stream_nats import NatsServer
from carcloud.gateway.mqtt import downward
from carcloud.model.time import SECOND, now_us
from carcloud.services.commands.api import Commands, NewCommand
from carcloud.services.vehicles.api import announce
from tests.gateway.conftest import MAX_BYTES
from tests.gateway.mqtt_client import CAR, Client, Site, T, site, until
from tests.gateway.test_gbt32960 import run

COMMANDS, DOCUMENTS = f"v1/{CAR}/commands", f"v1/{CAR}/documents"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    folder = tmp_path_factory.mktemp("withdrawn")
    server = NatsServer.start(folder, user="u", password="p", max_bytes=MAX_BYTES).ready()
    yield server
    server.stop()


async def connected(found: Site, *, clean_start: bool = True, **options: Any) -> Client:
    properties = Properties(session_expiry=600, **options)
    client = await found.client(properties=properties, clean_start=clean_start)
    if clean_start:
        await client.ask(Subscribe(7, (Subscription(f"v1/{CAR}/#", 1),)))
    return client


async def put(found: Site, payload: bytes, expires: int | None = None) -> int:
    sent = found.outgoing.send(T, CAR, COMMANDS, payload, actor="t", expires=expires)
    await announce(found.stream, T, [CAR])
    return sent.id


async def lost(found: Site, client: Client) -> None:
    client.drop()
    await until(lambda: len(found.mqtt.states) == 1)


def puback(message: Publish) -> Ack:
    return Ack(Type.PUBACK, message.packet_id)


def test_a_command_cancelled_before_its_puback_is_not_sent_again(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            commands = Commands(found.engines.records, found.stream)
            client = await connected(found)
            ids = []
            for name in ("unwanted", "wanted"):
                new = NewCommand("run", {"hook": name})
                ids.append(commands.give(T, CAR, new, actor="ann").id)
                await commands.wake()
                sent = await client.message()
                assert json.loads(sent.payload)["id"] == ids[-1]
            await lost(found, client)
            commands.cancel(T, ids[0], actor="ann")
            again = await connected(found, clean_start=False)
            assert again.connack.session_present
            resent = await again.message()
            assert json.loads(resent.payload)["id"] == ids[1]
            assert (resent.dup, resent.packet_id) == (True, sent.packet_id)
            again.send(puback(resent))
            await until(lambda: found.outgoing.waiting(T, CAR) == [])
            await put(found, b"next")
            assert (await again.message()).payload == b"next"
            assert found.mqtt.mqtt.dropped["withdrawn"] == 1

    run(check())


def test_what_is_too_late_or_replaced_is_not_sent_again(
    server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await connected(found)
            await put(found, b"late", now_us() + 600 * SECOND)
            assert (await client.message()).payload == b"late"
            found.outgoing.retain(T, CAR, DOCUMENTS, b"old", actor="t")
            await announce(found.stream, T, [CAR])
            assert (await client.message()).payload == b"old"
            await lost(found, client)
            found.outgoing.retain(T, CAR, DOCUMENTS, b"new", actor="t")
            monkeypatch.setattr(downward, "now_us", lambda: now_us() + 601 * SECOND)
            again = await connected(found, clean_start=False)
            message = await again.message()
            assert (message.payload, message.dup) == (b"new", False)
            await again.nothing()
            assert found.mqtt.mqtt.dropped == {"expired": 1, "withdrawn": 1}

    run(check())


@pytest.mark.parametrize("announced", [True, False])
def test_what_waits_for_room_is_dropped_when_it_is_withdrawn(
    server: NatsServer, tmp_path: Path, announced: bool
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await connected(found, receive_maximum=1)
            first, second, third = [await put(found, text) for text in (b"1", b"2", b"3")]
            message = await client.message()
            assert message.payload == b"1"
            link: Any = found.mqtt.roster.vehicles[CAR]
            await until(
                lambda: second in (one.id for one, _ in link.state.queue) or link.down._again
            )
            link.down.look()
            await until(lambda: not link.down._looking)
            for number in (first, second):
                assert found.outgoing.withdraw(T, CAR, number, actor="t")
            if announced:
                await announce(found.stream, T, [CAR])
                await until(lambda: link.down._stale)
            else:
                link.down._looked, link.down._stale = 0, False  # long ago
            client.send(puback(message))  # of what was withdrawn while it was on its way
            message = await client.message()
            assert message.payload == b"3"
            assert third in (one.message.id for one in link.state.inflight.sent.values())
            client.send(puback(message))
            await until(lambda: found.outgoing.waiting(T, CAR) == [])

    run(check())


def test_what_is_announced_without_end_keeps_nothing_back(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await connected(found)
            looks = found.mqtt.downlink.looks  # type: ignore[union-attr]
            look_up, loop = looks._admit, asyncio.get_running_loop()

            def look_up_while_more_is_announced(asked: Any) -> Any:
                answers = look_up(asked)
                loop.call_soon_threadsafe(found.mqtt.look, [CAR])
                return answers

            looks._admit = look_up_while_more_is_announced
            for text in (b"1", b"2"):
                await put(found, text)
                message = await client.message()
                assert message.payload == text
                client.send(puback(message))
            looks._admit = look_up

    run(check())


def test_what_is_withdrawn_while_it_is_looked_up_is_not_sent(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await connected(found)
            link: Any = found.role.roster.vehicles[CAR]
            await until(lambda: not link.down._looking)  # for what its subscription covers
            looks = found.mqtt.downlink.looks  # type: ignore[union-attr]
            look_up, loop = looks._admit, asyncio.get_running_loop()

            def look_up_too_early(asked: Any) -> Any:
                answers = look_up(asked)
                if answers[0].messages:
                    looks._admit = look_up
                    number = answers[0].messages[0].id
                    assert found.outgoing.withdraw(T, CAR, number, actor="t")
                    loop.call_soon_threadsafe(found.mqtt.look, [CAR])
                return answers

            looks._admit = look_up_too_early
            await put(found, b"withdrawn")
            await until(lambda: looks._admit == look_up)
            await put(found, b"wanted")
            assert (await client.message()).payload == b"wanted"

    run(check())
