"""MQTT under `kill -9`: what was acknowledged is in the lake once, what waits comes."""

import asyncio
import json
import os
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from carcloud.app.engines import open_records
from carcloud.codecs.mqtt.packets import (
    Ack,
    Connack,
    Connect,
    Disconnect,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Type,
)
from carcloud.codecs.mqtt.properties import Properties
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.services.vehicles.api import NewVehicle, Outgoing, OutgoingMessage, Vehicles
from tests.gateway.mqtt_client import Client
from tests.kill.scene import Kills, Lost, client, cloud, meanwhile, moments, port, stored, twice

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]

SPEED = "Vehicle.Speed"
HOUR_S = Properties(session_expiry=3600)
WINDOW = 6  # messages that are not acknowledged
ROWS = 3  # of a message
BUSY = 0x88  # the registry does not answer


async def heard(link: Client, patience_s: float = 6) -> Any:
    """The next packet; raises `Lost`."""
    try:
        packet = await link.get(patience_s)
    except TimeoutError as error:
        raise Lost("silence") from error
    if packet is None or isinstance(packet, Disconnect):
        raise Lost("closed")
    return packet


async def connected(
    where: int, vehicle: str, token: str, patience_s: float = 6
) -> tuple[Client, bool]:
    """A client of a session that lives on, and whether the gateway knew it; raises `Lost`."""
    link = await Client.open(where)
    link.send(
        Connect(vehicle, clean_start=False, keep_alive=60, username=vehicle,
                password=token.encode(), properties=HOUR_S)
    )  # fmt: skip
    answer = await heard(link, patience_s)
    assert isinstance(answer, Connack)
    if answer.reason:
        assert answer.reason == BUSY, answer
        link.drop()
        raise Lost("busy")
    return link, answer.session_present


@dataclass
class Publisher:
    """One vehicle. What is not acknowledged goes again over the next connection, and one that was
    acknowledged as well, as of a device that is not sure."""

    vehicle: str
    token: str
    qos: int
    began_ms: int
    count: int = 0
    number: int = 0
    waiting: dict[int, bytes] = field(default_factory=dict)  # by packet id, in order
    released: dict[int, bytes] = field(default_factory=dict)  # QoS 2, from PUBREC on
    durable: list[bytes] = field(default_factory=list)
    again: int = 0

    async def run(self, where: int, over: threading.Event) -> None:
        """Publish until it is over and all is acknowledged."""
        while True:
            try:
                link, _ = await connected(where, self.vehicle, self.token)
                await self._publish(link, over)
            except (OSError, Lost):
                await asyncio.sleep(0.2)
            else:
                return

    async def _publish(self, link: Client, over: threading.Event) -> None:
        self.again += len(self.released) + len(self.waiting)
        for number in self.released:
            link.send(Ack(Type.PUBREL, number))
        for number, payload in self.waiting.items():
            self._send(link, number, payload, dup=True)
        if self.durable:
            self._new(link, self.durable[-1])
        while not over.is_set() or self.waiting or self.released:
            while not over.is_set() and len(self.waiting) + len(self.released) < WINDOW:
                self._new(link, self._payload())
            self._take(link, await heard(link))
            await asyncio.sleep(0.01)
        link.send(Disconnect())
        await link.writer.drain()
        link.drop()

    def _new(self, link: Client, payload: bytes) -> None:
        self.number = self.number % 0xFFFF + 1
        self.waiting[self.number] = payload
        self._send(link, self.number, payload)

    def _send(self, link: Client, number: int, payload: bytes, *, dup: bool = False) -> None:
        link.send(Publish(f"v1/{self.vehicle}/signals", payload, self.qos, number, dup=dup))

    def _payload(self) -> bytes:
        rows = []
        for _ in range(ROWS):
            self.count += 1
            at = self.began_ms + self.count
            rows.append({"time": at, "values": {SPEED: at % 199}})
        return json.dumps(rows).encode()

    def _take(self, link: Client, packet: Any) -> None:
        assert isinstance(packet, Ack), packet
        number = packet.packet_id
        if packet.type == Type.PUBCOMP:
            del self.released[number]
            return
        assert packet.reason < 0x80
        payload = self.waiting.pop(number)
        self.durable.append(payload)
        if packet.type == Type.PUBREC:
            self.released[number] = payload
            link.send(Ack(Type.PUBREL, number))

    def rows(self) -> dict[tuple[str, int], float]:
        """What was acknowledged, by moment."""
        every = [row for payload in self.durable for row in json.loads(payload)]
        return {(self.vehicle, row["time"] * 1000): row["values"][SPEED] for row in every}


def test_every_acknowledged_publish_is_in_the_lake_once(tmp_path: Path) -> None:
    tokens: dict[str, str] = {}

    def enrol(_settings: Any, _records: Any, vehicles: Vehicles) -> None:
        for number in range(8):
            name = f"killed-{number}"
            vehicles.create(DEFAULT_TENANT, NewVehicle(name), actor="test")
            tokens[name] = vehicles.make_token(DEFAULT_TENANT, name, actor="test").token

    began = int(time.time() * 1000) - 3_600_000
    with cloud(tmp_path, enrol) as supervisor:
        where = port(supervisor, "mqtt")
        fleet = [
            Publisher(name, token, 1 + at % 2, began)
            for at, (name, token) in enumerate(tokens.items())
        ]
        kills = Kills(supervisor, work=lambda: [len(one.durable) for one in fleet], least=100)

        async def work() -> None:
            async with asyncio.timeout(150), asyncio.TaskGroup() as group:
                for one in fleet:
                    group.create_task(one.run(where, kills.over))

        meanwhile(supervisor, work, kills)
        wanted = {moment: speed for one in fleet for moment, speed in one.rows().items()}
        rows = stored(supervisor, wanted)
    found = moments(rows)
    speeds = dict(zip(found, rows[SPEED].to_pylist(), strict=True))
    again = [one.again for one in fleet]
    print(kills.done, len(wanted), rows.num_rows, again)
    assert set(kills.done) == {"gateway", "ingest", "stream", "web"}
    assert all(again) and len(wanted) > 2000
    assert twice(found) == []
    assert speeds == wanted


async def subscribed(where: int, vehicle: str, token: str) -> tuple[Client, bool]:
    """A client that hears all that comes down; whether its session was known.

    It waits long for an answer: who has hung up is answered all the same, and known from then on.
    """
    async with asyncio.timeout(60):
        while True:
            try:
                link, known = await connected(where, vehicle, token, patience_s=40)
                if not known:
                    link.send(Subscribe(1, (Subscription(f"v1/{vehicle}/#", 1),)))
                    assert isinstance(await heard(link, patience_s=40), Suback)
            except (OSError, Lost):
                await asyncio.sleep(0.1)
            else:
                return link, known


async def until_quiet(link: Client, *, acknowledge: bool, commands: int = 0) -> list[Publish]:
    """What comes until two seconds pass in silence, with the desired state and these commands."""
    found: list[Publish] = []
    deadline = time.monotonic() + 60
    while True:
        try:
            packet = await link.get(2)
        except TimeoutError:
            states = [one for one in found if one.topic.endswith("state/desired")]
            enough = states and len(commands_of(found)) >= commands
            if enough or time.monotonic() > deadline:
                return found
            continue
        assert isinstance(packet, Publish), packet
        found.append(packet)
        if acknowledge and packet.qos:
            link.send(Ack(Type.PUBACK, packet.packet_id))


def test_what_waits_for_a_session_comes_after_its_gateway_was_killed(tmp_path: Path) -> None:
    car, token = "waiting-1", [""]

    def enrol(_settings: Any, _records: Any, vehicles: Vehicles) -> None:
        vehicles.create(DEFAULT_TENANT, NewVehicle(car), actor="test")
        token[0] = vehicles.make_token(DEFAULT_TENANT, car, actor="test").token

    with cloud(tmp_path, enrol) as supervisor, client(supervisor) as http:
        where = port(supervisor, "mqtt")

        def give(text: str) -> str:
            body = {"name": "message", "arguments": {"text": text}, "timeout_s": 3600}
            made = http.post(f"/v1/vehicles/{car}/commands", json=body)
            assert made.status_code == 201, made.text
            return str(made.json()["id"])

        def desire(state: dict[str, Any]) -> None:
            changed = http.patch(f"/v1/vehicles/{car}/state/desired", json=state)
            assert changed.status_code == 200, changed.text

        def waits() -> list[OutgoingMessage]:
            every = Outgoing(records).waiting(DEFAULT_TENANT, car)
            return [one for one in every if one.topic.endswith("/commands")]

        async def scene() -> None:
            first, known = await subscribed(where, car, token[0])
            assert not known
            desire({"lamp": True})
            given = [give("one")]
            told = await until_quiet(first, acknowledge=False, commands=1)
            assert given[0] in commands_of(told)  # on its way, and never acknowledged
            first.drop()
            given.append(give("two"))
            kill("gateway")
            given.append(give("three"))
            desire({"lamp": False, "horn": True})
            second, known = await subscribed(where, car, token[0])
            assert not known  # as the standard has it, the vehicle is told so
            told = await until_quiet(second, acknowledge=True, commands=3)
            assert commands_of(told) == given
            assert {one.topic.rpartition("/")[2] for one in told if one.retain} >= {"desired"}
            assert desired_of(told) == {"lamp": False, "horn": True}
            async with asyncio.timeout(30):
                while waits():  # for the gateway to take what was acknowledged
                    await asyncio.sleep(0.1)
            kill("gateway")
            third, _ = await subscribed(where, car, token[0])
            told = await until_quiet(third, acknowledge=True)
            assert commands_of(told) == []
            assert desired_of(told) == {"lamp": False, "horn": True}
            third.drop()

        def kill(role: str) -> None:
            os.kill(supervisor.pids()[role], signal.SIGKILL)

        records = open_records(supervisor.settings)
        try:
            meanwhile(supervisor, scene, lambda: None)
        finally:
            records.close()


def commands_of(told: list[Publish]) -> list[str]:
    """Ids of the commands among messages."""
    return [json.loads(one.payload)["id"] for one in told if one.topic.endswith("/commands")]


def desired_of(told: list[Publish]) -> Any:
    """The last desired state among messages."""
    states = [json.loads(one.payload) for one in told if one.topic.endswith("state/desired")]
    return states[-1]["state"]
