"""The vehicle agent against the real gateway: documents down, records and signals up, once."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from carcloud.agent.run import Agent
from carcloud.agent.settings import load_settings
from carcloud.codecs.campaign.document import document_hash
from carcloud.codecs.campaign.record import decode
from carcloud.codecs.samples.read import read
from carcloud.engines.stream_nats import NatsServer
from carcloud.services.commands.api import Command, Commands, NewCommand, State
from carcloud.services.telemetry.api import Reading, VehicleTwin
from carcloud.services.vehicles.api import announce
from tests.agent.test_agent import DBC, EVERY, MODEL, document, write_log
from tests.gateway.conftest import MAX_BYTES
from tests.gateway.mqtt_client import CAR, Site, T, site, until
from tests.gateway.test_gbt32960 import run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    folder = tmp_path_factory.mktemp("agent")
    server = NatsServer.start(folder, user="u", password="p", max_bytes=MAX_BYTES).ready()
    yield server
    server.stop()


async def _publish(found: Site, parts: dict[str, tuple[dict[str, Any], bytes]]) -> None:
    listed = json.dumps({"documents": [entry for entry, _ in parts.values()]}).encode()
    found.outgoing.retain(T, CAR, f"v1/{CAR}/documents", listed, actor="test")
    for name, (_, payload) in parts.items():
        found.outgoing.retain(T, CAR, f"v1/{CAR}/documents/{name}", payload, actor="test")
    await announce(found.stream, T, [CAR])


def test_a_campaign_of_the_cloud_collects_from_a_replayed_log(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with site(server, tmp_path / "cloud") as found:
            (tmp_path / "token").write_text(found.token())
            parts = {
                "car": document("car", "model", {**MODEL, "dbc": [{"document": "bus"}]}),
                "bus": document("bus", "dbc", DBC),
                "every": document("every", "campaign", EVERY),
            }
            await _publish(found, parts)
            given = load_settings(
                None,
                {
                    "vehicle": CAR, "folder": str(tmp_path / "agent"), "server.port": found.port,
                    "server.token_file": str(tmp_path / "token"), "report_interval_ms": 100,
                    "replay": write_log(tmp_path / "a.log", 300, 1000), "loop": True, "speed": 0.05,
                },
            )  # fmt: skip
            stop = asyncio.Event()
            running = asyncio.create_task(Agent(given).run(stop))
            told: dict[str, list[bytes]] = {"signals": [], "collected": [], "checkin": []}
            async with asyncio.timeout(60):
                while not told["signals"] or len(told["collected"]) < 50:
                    for topic, payload in await found.stored(1):
                        told.setdefault(topic.removeprefix(f"v1/{CAR}/"), []).append(payload)
            stop.set()
            await running
            await _nothing_twice_and_in_order(told["collected"])
            batch = read(told["signals"][0])
            assert set(batch.values[0]) == {"Vehicle.Speed", "Vehicle.IsMoving"}
            held = [json.loads(each)["documents"] for each in told["checkin"]]
            assert {(each["id"], each["result"]) for each in held[-1]} == {
                (name, "active") for name in parts
            }
            (kept,) = [each["hash"] for each in held[-1] if each["id"] == "every"]
            assert kept == document_hash(EVERY)

    run(check())


async def _nothing_twice_and_in_order(collected: list[bytes]) -> None:
    records = [record for payload in collected for record in decode(payload)]
    assert {record.campaign for record in records} == {"every"}
    times = [record.time_us for record in records]
    assert times == sorted(times)
    assert len({record.event for record in records}) == len(records)


def test_what_a_campaign_keeps_comes_when_the_cloud_asks_for_it(
    server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carcloud.agent.run._MODEL_S", 60.0)

    async def check() -> None:
        async with site(server, tmp_path / "cloud") as found:
            (tmp_path / "token").write_text(found.token())
            kept = {**EVERY, "partitions": [{"id": "default", "upload": "on_request"}]}
            await _publish(
                found,
                {
                    "car": document("car", "model", MODEL),
                    "every": document("every", "campaign", kept),
                },
            )
            given = load_settings(
                None,
                {
                    "vehicle": CAR, "folder": str(tmp_path / "agent"), "server.port": found.port,
                    "server.token_file": str(tmp_path / "token"), "report_interval_ms": 0,
                    "replay": write_log(tmp_path / "a.log", 20),
                },
            )  # fmt: skip
            agent = Agent(given)
            await agent.run()  # ends, and what nobody has asked for stays
            assert agent.status()["spool"]["waiting"] == 20
            agent, stop = Agent(replace(given, replay=None)), asyncio.Event()
            running = asyncio.create_task(agent.run(stop))
            await until(lambda: agent.status()["connected"])
            assert agent.status()["records"]["sent"] == 0
            assert (await _ended(found, "forward", campaign="every")).result == {"waiting": 20}
            await until(lambda: agent.status()["spool"]["waiting"] == 0)
            stop.set()
            await running
            stored: list[bytes] = []
            while len(stored) < 20:
                stored += [each for topic, each in await found.stored(1) if "collected" in topic]
            await _nothing_twice_and_in_order(stored)
            assert len(stored) == 20

    run(check())


HORN = "Vehicle.Body.Horn.IsActive"
HOOKS = [
    {"name": "write-horn", "path": HORN, "run": [sys.executable, "-c", ""],
     "arguments": {"value": {"type": "boolean"}}},
]  # fmt: skip
WHERE = """VERSION ""
BU_: E
BO_ 512 Gps: 8 E
 SG_ Latitude : 0|32@1- (1e-07,0) [0|0] "" E
 SG_ Longitude : 32|32@1- (1e-07,0) [0|0] "" E
BO_ 513 Drive: 8 E
 SG_ Speed : 0|16@1+ (0.01,0) [0|0] "km/h" E
"""
PLACE = "Vehicle.CurrentLocation."
WITH_PLACE = {
    "id": "placed",
    "dbc": [{"text": WHERE}],
    "signals": [
        {"message": "Gps", "signal": "Latitude", "path": f"{PLACE}Latitude", "datatype": "double"},
        {"message": "Gps", "signal": "Longitude", "path": f"{PLACE}Longitude",
         "datatype": "double"},
        {"message": "Drive", "signal": "Speed", "path": "Vehicle.Speed", "datatype": "float"},
    ],
}  # fmt: skip


def _frame(number: int, payload: bytes) -> tuple[int, int, bytes]:
    return time.time_ns() // 1000, number, payload


def _speed(kmh: float) -> list[tuple[int, int, bytes]]:
    return [_frame(513, round(kmh * 100).to_bytes(2, "little"))]


async def _ended(found: Site, name: str, **arguments: Any) -> Command:
    """Give a command as a person does, and wait for its end in the record."""
    commands = Commands(found.engines.records, found.stream)
    now = time.time_ns() // 1000
    stands = VehicleTwin(CAR, now, now, {"Vehicle.Speed": Reading(0.0, now)})
    given = commands.give(T, CAR, NewCommand(name, arguments), actor="ann", twin=stands)
    await commands.wake()
    await until(lambda: commands.get(T, given.id).ended is not None)
    return commands.get(T, given.id)


def test_the_agent_does_what_the_cloud_commands_and_becomes_what_it_desires(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with site(server, tmp_path / "cloud") as found:
            (tmp_path / "token").write_text(found.token())
            (tmp_path / "model.json").write_text(json.dumps(WITH_PLACE))
            allowed = ["locate", "track", "read-parameters", "set-parameters", "restart",
                       "set-signal"]  # fmt: skip
            given = load_settings(
                None,
                {
                    "vehicle": CAR, "folder": str(tmp_path / "agent"), "server.port": found.port,
                    "server.token_file": str(tmp_path / "token"), "commands": allowed,
                    "model": str(tmp_path / "model.json"), "hooks": HOOKS,
                    "report_interval_ms": 3_600_000,
                },
            )  # fmt: skip
            agent = Agent(given)
            running = asyncio.create_task(agent.run())
            latitude, longitude = round(31.2 * 1e7), round(121.5 * 1e7)
            place = latitude.to_bytes(4, "little") + longitude.to_bytes(4, "little")
            agent.feed("can0", [*_speed(50), _frame(512, place)])
            await _commands(found, agent)
            await _refusals(found)
            await _desires(found)
            assert (await _ended(found, "restart")).state == State.EXECUTED
            assert await running is True, "it ends, to be started again"

    run(check())


async def _commands(found: Site, agent: Agent) -> None:
    refused = await _ended(found, "restart")  # the twin has not heard that it drives again
    assert (refused.state, "50 km/h" in refused.reason) == (State.REFUSED, True)
    agent.feed("can0", _speed(0))
    located = await _ended(found, "locate")
    assert (located.state, located.reason) == (State.EXECUTED, "")
    assert located.result[f"{PLACE}Latitude"] == pytest.approx(31.2)
    assert located.received is not None
    assert (await _ended(found, "track", interval_s=1, duration_s=60)).state == State.EXECUTED
    async with asyncio.timeout(60):  # its usual interval is an hour
        while not [topic for topic, _ in await found.stored(1) if topic.endswith("/signals")]:
            pass
    done = await _ended(found, "set-signal", path=HORN, value=True)
    assert done.state == State.EXECUTED, done.reason
    read = await _ended(found, "read-parameters", names=["report_interval_ms"])
    assert read.result == {"report_interval_ms": 3_600_000}
    changed = await _ended(found, "set-parameters", parameters={"checkin_s": 30})
    assert changed.result == {"checkin_s": 30}


async def _refusals(found: Site) -> None:
    for name, arguments, why in (
        ("lock", {}, "no hook"),
        ("run", {"hook": "greet"}, "no hook greet"),
        ("set-parameters", {"parameters": {"colour": "red"}}, "no parameter 'colour'"),
        ("set-signal", {"path": HORN, "value": 3}, "boolean"),
    ):
        ended = await _ended(found, name, **arguments)
        assert (ended.state, why in ended.reason) == (State.REFUSED, True), ended.reason


async def _desires(found: Site) -> None:
    commands = Commands(found.engines.records, found.stream)
    commands.desire(T, CAR, {"report_interval_ms": 60_000}, actor="ann", protocol="mqtt")
    await commands.announce(T, CAR)
    await until(lambda: commands.state(T, CAR).delta is None)
    assert commands.state(T, CAR).reported["report_interval_ms"] == 60_000
    commands.desire(T, CAR, {"colour": "red"}, actor="ann", protocol="mqtt")
    await commands.announce(T, CAR)
    read = await _ended(found, "read-parameters")
    assert read.result["report_interval_ms"] == 60_000
    assert commands.state(T, CAR).delta == {"colour": "red"}, "it cannot be, and is not said to be"


def test_a_command_that_is_too_late_for_the_agent_has_timed_out(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with site(server, tmp_path / "cloud") as found:
            (tmp_path / "token").write_text(found.token())
            given = load_settings(
                None,
                {
                    "vehicle": CAR, "folder": str(tmp_path / "agent"), "server.port": found.port,
                    "server.token_file": str(tmp_path / "token"), "commands": ["locate"],
                    "clock_skew_ms": 0,
                },
            )  # fmt: skip
            late = {"id": "late", "name": "locate", "arguments": {}, "expires_ms": 1}
            payload = json.dumps(late).encode()
            found.outgoing.send(T, CAR, f"v1/{CAR}/commands", payload, actor="test")
            stop = asyncio.Event()
            running = asyncio.create_task(Agent(given).run(stop))
            told: dict[str, Any] = {}
            async with asyncio.timeout(60):
                while told.get("state") != "timed_out":
                    for topic, answer in await found.stored(1):
                        if topic == f"v1/{CAR}/commands/late/result":
                            told = json.loads(answer)
            assert "expired" in told["reason"]
            stop.set()
            await running

    run(check())


def test_a_wrong_token_is_told(server: NatsServer, tmp_path: Path) -> None:
    async def check() -> None:
        async with site(server, tmp_path / "cloud") as found:
            (tmp_path / "token").write_text("cvt_wrong")
            given = load_settings(
                None,
                {
                    "vehicle": CAR, "folder": str(tmp_path / "agent"), "server.port": found.port,
                    "server.token_file": str(tmp_path / "token"),
                },
            )  # fmt: skip
            agent, stop = Agent(given), asyncio.Event()
            running = asyncio.create_task(agent.run(stop))
            async with asyncio.timeout(60):
                while not agent.status()["reason"]:
                    await asyncio.sleep(0.05)
            assert "0x87" in agent.status()["reason"]
            stop.set()
            await running

    run(check())
