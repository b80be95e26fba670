"""The vehicle agent against the real gateway: documents down, records and signals up, once."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carcloud.agent.run import Agent
from carcloud.agent.settings import load_settings
from carcloud.codecs.campaign.document import document_hash
from carcloud.codecs.campaign.record import decode
from carcloud.codecs.samples.read import read
from carcloud.engines.stream_nats import NatsServer
from carcloud.services.vehicles.api import announce
from tests.agent.test_agent import DBC, EVERY, MODEL, document, write_log
from tests.gateway.conftest import MAX_BYTES
from tests.gateway.mqtt_client import CAR, Site, T, site
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
                    "replay": write_log(tmp_path / "a.log", 300, 1000), "loop": True, "speed": 0.25,
                },
            )  # fmt: skip
            stop = asyncio.Event()
            running = asyncio.create_task(Agent(given).run(stop))
            told: dict[str, list[bytes]] = {"signals": [], "collected": [], "checkin": []}
            async with asyncio.timeout(30):
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
            async with asyncio.timeout(20):
                while not agent.status()["reason"]:
                    await asyncio.sleep(0.05)
            assert "0x87" in agent.status()["reason"]
            stop.set()
            await running

    run(check())
