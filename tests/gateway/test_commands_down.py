"""Commands from the records to vehicles of each protocol and back, over a whole gateway role."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.frame import build
from carcloud.codecs.mqtt.packets import Ack, Publish, Subscribe, Subscription, Type
from carcloud.codecs.mqtt.properties import Properties
from carcloud.engines.stream_nats import NatsServer
from carcloud.gateway.orders import OrderReport
from carcloud.ports.errors import Unavailable
from carcloud.services.commands.api import Commands, NewCommand, State
from carcloud.services.tenancy.api import AuditFilter, Tenancy
from carcloud.services.vehicles.api import NewVehicle
from tests.gateway.conftest import MAX_BYTES
from tests.gateway.conftest import Site as Place
from tests.gateway.mqtt_client import CAR, Client, Site, T, site, until
from tests.gateway.terminals import PHONE, POSITION, Terminal, code_body, registration_body
from tests.gateway.test_gbt32960 import VIN, Car, login, now6, run

PREFIX = f"v1/{CAR}"
DONE = {"state": "executed", "result": {"answer": 42}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    folder = tmp_path_factory.mktemp("commands")
    server = NatsServer.start(folder, user="u", password="p", max_bytes=MAX_BYTES).ready()
    yield server
    server.stop()


def give(found: Site, vehicle: str, name: str, **arguments: Any) -> str:
    commands = Commands(found.engines.records)
    return commands.give(T, vehicle, NewCommand(name, arguments), actor="ann").id


async def stands(found: Site, command: str, state: State) -> Any:
    """Wait until the command stands so."""
    commands = Commands(found.engines.records)
    await until(lambda: commands.get(T, command).state == state)
    return commands.get(T, command)


async def listening(found: Site) -> Client:
    client = await found.client()
    await client.ask(Subscribe(7, (Subscription(f"{PREFIX}/#", 1),)))
    return client


async def taken(client: Client) -> Publish:
    """The next message, acknowledged."""
    message = await client.message()
    client.send(Ack(Type.PUBACK, message.packet_id))
    return message


def test_gbt32960_takes_a_command_that_waited_and_one_that_comes(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            found.role._vehicles.create(T, NewVehicle(VIN), actor="test")
            waited = give(found, VIN, "read-parameters", names=["report_period_s"])
            listener: Any = found.role.listeners["gbt32960"]
            car = await Car.connect(listener._server.sockets[0].getsockname()[1])
            car.send(login(VIN))
            assert (await car.reply()).flag == Flag.SUCCESS
            query = await car.reply()
            assert (query.command, query.flag) == (Command.QUERY, Flag.COMMAND)
            await stands(found, waited, State.SENT)
            body = now6() + bytes((1, 2)) + (10).to_bytes(2, "big")
            car.send(build(2016, Command.QUERY, Flag.SUCCESS, VIN, body))
            done = await stands(found, waited, State.EXECUTED)
            assert done.result == {"report_period_s": 10}

            wake = Commands(found.engines.records, found.stream).wake
            later = give(found, VIN, "set-parameters", parameters={"report_period_s": 20})
            await wake()
            assert (await car.reply()).command == Command.SET
            car.send(build(2016, Command.SET, Flag.ERROR, VIN, now6()))
            assert (await stands(found, later, State.FAILED)).reason
            wrong = give(found, VIN, "set-parameters", parameters={"nonsense": 1})
            await wake()
            assert "nonsense" in (await stands(found, wrong, State.REFUSED)).reason
            assert found.role.figures().counters["commands_sent_total"] == 3

    run(check())


def test_a_terminal_of_jt808_takes_commands_and_what_it_answers_ends_them(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with site(server, tmp_path, gateway__jt808__port=0) as found:
            found.role._vehicles.create(T, NewVehicle(PHONE), actor="t")
            waited = give(found, PHONE, "locate")
            listener: Any = found.role.listeners["jt808"]
            port = listener._server.sockets[0].getsockname()[1]
            here = Place(listener.gateway, found.stream, port)
            terminal = await Terminal.connect(here)
            terminal.send(0x0100, registration_body(2019))
            code = (await terminal.reply()).body[3:].decode()
            terminal.send(0x0102, code_body(2019, code))
            assert (await terminal.result())[2] == 0
            asked = await terminal.reply()
            assert asked.message == 0x8201
            await stands(found, waited, State.SENT)
            terminal.send(0x0201, asked.serial.to_bytes(2) + POSITION)
            done = await stands(found, waited, State.EXECUTED)
            assert done.result["position"]["latitude_deg"] == pytest.approx(31.2, abs=1)

            refused = give(found, PHONE, "message", text="Please call")
            await Commands(found.engines.records, found.stream).wake()
            asked = await terminal.reply()
            assert asked.message == 0x8300
            body = asked.serial.to_bytes(2) + (0x8300).to_bytes(2) + b"\x03"
            terminal.send(0x0001, body)  # not supported
            assert (await stands(found, refused, State.REFUSED)).reason
            wrong = give(found, PHONE, "set-areas", shape="circle", areas=[{"nonsense": 1}])
            await Commands(found.engines.records, found.stream).wake()
            assert (await stands(found, wrong, State.REFUSED)).reason

    run(check())


def test_mqtt_takes_a_command_and_answers(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            found.token()
            waited = give(found, CAR, "locate")
            client = await listening(found)
            message = await taken(client)
            assert message.topic == f"{PREFIX}/commands"
            told = json.loads(message.payload)
            assert (told["id"], told["name"], told["arguments"]) == (waited, "locate", {})
            assert told["expires_ms"] > 1_700_000_000_000
            where = f"{PREFIX}/commands/{waited}/result"
            received = json.dumps({"state": "received"}).encode()
            assert await client.ask(Publish(where, received, 1, 1)) == Ack(Type.PUBACK, 1)
            commands = Commands(found.engines.records)
            assert commands.get(T, waited).state == State.RECEIVED, "recorded before the PUBACK"
            client.send(Publish(where, json.dumps(DONE).encode(), 1, 2))
            assert (await stands(found, waited, State.EXECUTED)).result == {"answer": 42}

    run(check())


def test_a_result_that_makes_no_sense_is_a_dead_letter(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await found.client()  # not subscribed: its command does not come between
            found.role._vehicles.create(T, NewVehicle(PHONE), actor="t")
            of_another, mine = give(found, PHONE, "locate"), give(found, CAR, "locate")
            done = json.dumps(DONE).encode()
            wrong = [(mine, one) for one in (b"{", b"[]", b'{"state": "flown"}', b'{"reason": 1}')]
            wrong += [("abc", done), ("0" * 24, done), (of_another, done)]
            for number, (command, payload) in enumerate(wrong, 1):
                result = Publish(f"{PREFIX}/commands/{command}/result", payload, 1, number)
                assert await client.ask(result) == Ack(Type.PUBACK, number)
            dead = [row for row in await faults(found, len(wrong)) if row]
            assert len(dead) == len(wrong)
            assert all("not-taken" in row for row in dead)

    run(check())


async def faults(found: Site, count: int) -> list[str | None]:
    from carcloud.model import blocks

    told: list[str | None] = []
    async with asyncio.timeout(60):
        async for messages in found.stream.read("FRAMES", "test", batch=16, wait_s=0.1):
            for message in messages:
                rows = blocks.unpack(T, "mqtt", message.data).frames
                told += rows["fault"].to_pylist()
                await found.stream.confirm("FRAMES", "test", message.seq)
            if len(told) >= count:
                break
    return told


def test_desired_state_goes_down_and_the_reported_one_comes_up(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            found.token()
            commands = Commands(found.engines.records, found.stream)
            wish = {"reporting": {"interval_s": 30}}
            commands.desire(T, CAR, wish, actor="ann")  # nobody knows yet what it speaks
            client = await listening(found)
            first = [await taken(client), await taken(client)]
            down = {message.topic: json.loads(message.payload) for message in first}
            desired = {"version": 1, "state": wish}
            assert down == {f"{PREFIX}/state/desired": desired, f"{PREFIX}/state/delta": desired}
            assert all(message.retain for message in first)

            report = json.dumps({"state": wish}).encode()
            client.send(Publish(f"{PREFIX}/state/reported", report, 1, 5))
            await until(lambda: commands.state(T, CAR).delta is None)
            came = [await client.get() for _ in range(2)]  # the desired state is as it was
            assert Ack(Type.PUBACK, 5) in came
            (gone,) = [one for one in came if isinstance(one, Publish)]
            assert (gone.topic, gone.payload) == (f"{PREFIX}/state/delta", b"")

            commands.desire(T, CAR, {"lamp": True}, actor="ann", protocol="mqtt")
            await commands.announce(T, CAR)
            more = [await client.message() for _ in range(2)]
            assert json.loads(more[1].payload) == {"version": 2, "state": {"lamp": True}}
            trail = Tenancy(found.engines.records).trail.page(T, AuditFilter(subject=CAR)).items
            actions = {entry.action for entry in trail}
            assert "state.desire" in actions
            assert "vehicle.message.put" not in actions

    run(check())


def test_of_two_gateways_one_sends(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as one, site(server, tmp_path) as other:
            client = await listening(one)
            given = give(one, CAR, "locate")
            await asyncio.gather(one.role.post._round(), other.role.post._round())
            message = await taken(client)
            assert json.loads(message.payload)["id"] == given
            await client.nothing()
            await until(lambda: one.role.post.sent > 0)
            assert (one.role.post.sent, other.role.post.sent) == (1, 0)

    run(check())


def test_a_cancelled_command_does_not_wait_for_the_vehicle(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            client = await found.client()  # it has not subscribed to its commands
            given = give(found, CAR, "locate")
            await stands(found, given, State.SENT)
            await until(lambda: len(found.outgoing.waiting(T, CAR)) == 1)
            Commands(found.engines.records).cancel(T, given, actor="ann")
            assert found.outgoing.waiting(T, CAR) == []
            client.drop()

    run(check())


def test_an_old_command_is_sent_though_the_records_were_away_when_its_vehicle_came(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            found.token()
            waited, post = give(found, CAR, "locate"), found.role.post
            await until(lambda: post._after > 0)
            post._after = 10_000  # so many commands were given since
            queue, away = post._commands.queue, [Unavailable("records")]
            post._commands.queue = lambda found: fail(away.pop()) if away else queue(found)  # type: ignore[method-assign]
            client = await listening(found)
            assert json.loads((await client.message()).payload)["id"] == waited
            assert not away

    def fail(error: Exception) -> Any:
        raise error

    run(check())


def test_a_command_that_cannot_be_put_stops_nobody(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            found.token()
            post, bad = found.role.post, give(found, CAR, "message", text="bad")
            queue = post._commands.queue
            post._commands.queue = lambda waiting: fail(waiting, bad) or queue(waiting)  # type: ignore[method-assign, func-returns-value]
            good = give(found, CAR, "locate")
            client = await listening(found)
            assert json.loads((await taken(client)).payload)["id"] == good
            assert (await stands(found, bad, State.FAILED)).reason == "the gateway failed at it"

    def fail(waiting: Any, bad: str) -> None:
        if any(one.id == bad for one in waiting):
            raise TypeError("nobody thought of this")

    run(check())


def test_a_report_that_cannot_be_kept_stops_nobody(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            found.token()
            post, good = found.role.post, give(found, CAR, "locate")
            bad = OrderReport("0" * 24, "executed", "", 0, {"x": object()})
            write = post._commands.report
            post._commands.report = lambda told: write(told) if told[0].id == good else fail()  # type: ignore[method-assign]
            post.report(CAR, bad)
            post.report(CAR, OrderReport(good, "executed", "", 0))
            await stands(found, good, State.EXECUTED)
            assert post.dropped == 1

    def fail() -> Any:
        raise TypeError("nobody thought of this")

    run(check())


def test_a_result_at_qos_2_is_kept_though_the_connection_breaks(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            expiry = Properties(session_expiry=600)
            client = await found.client(properties=expiry)
            told = found.mqtt.downlink.told
            kept, told._admit = told._admit, waits  # the records are away
            result = Publish(f"{PREFIX}/state/reported", b'{"state": {"lamp": true}}', 2, 9)
            client.send(result)
            await until(lambda: bool(tried))
            client.drop()
            await until(lambda: not found.mqtt.sessions)
            told._admit = kept
            again = await found.client(properties=expiry, clean_start=False)
            answer = await again.ask(replace(result, dup=True))
            assert answer == Ack(Type.PUBREC, 9)
            assert Commands(found.engines.records).state(T, CAR).reported == {"lamp": True}

    tried: list[Any] = []

    def waits(asked: Any) -> Any:
        tried.append(asked)
        raise Unavailable("records")

    run(check())


def test_a_vehicle_with_a_token_comes_by_no_other_protocol(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with site(server, tmp_path) as found:
            found.token(VIN)
            listener: Any = found.role.listeners["gbt32960"]
            car = await Car.connect(listener._server.sockets[0].getsockname()[1])
            car.send(login(VIN, 2025))
            assert (await car.reply()).flag == Flag.VIN_UNKNOWN

    run(check())
