"""A campaign made in the cloud reaches a real agent, and what it collects lands in the lake."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from carcloud.agent.run import Agent
from carcloud.agent.settings import load_settings
from carcloud.app.campaigns import CampaignCare
from carcloud.endings import end
from carcloud.engines.stream_nats import NatsServer
from carcloud.ports.lake import Slice, TableRef
from carcloud.services.campaigns.api import (
    Campaigns,
    Distribution,
    Follow,
    KnownCampaigns,
    Target,
)
from carcloud.services.telemetry.api import Ingest
from carcloud.services.telemetry.decode_mqtt import decoder
from carcloud.services.vehicles.api import VehicleChange, VehicleModel
from tests.agent.test_agent import EVERY, MODEL, write_log
from tests.gateway.conftest import MAX_BYTES
from tests.gateway.mqtt_client import CAR, Site, T, site, until
from tests.gateway.test_gbt32960 import run

DOCUMENT = {**EVERY, "dimensions": ["fleet"], "frames": [{"id": 0x100}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    folder = tmp_path_factory.mktemp("campaigns")
    server = NatsServer.start(folder, user="u", password="p", max_bytes=MAX_BYTES).ready()
    yield server
    server.stop()


def _ingest(found: Site) -> Ingest:
    decoders = {"mqtt": decoder(campaigns=KnownCampaigns(found.engines.records))}
    return Ingest(
        found.stream, found.engines.lake, decoders,
        commit_s=0.1, commit_rows=10_000, future_s=300, dedup_entries=10_000,
    )  # fmt: skip


def _agent(found: Site, folder: Path) -> Agent:
    (folder / "token").write_text(found.token())
    given = {
        "vehicle": CAR, "folder": str(folder / "agent"), "server.port": found.port,
        "server.token_file": str(folder / "token"), "report_interval_ms": 0,
        "replay": write_log(folder / "a.log", 300, 1000), "loop": True, "speed": 0.05,
        "attributes": {"fleet": "north"},
    }  # fmt: skip
    return Agent(load_settings(None, given))


def _rows(found: Site, table: str) -> pa.Table:
    return found.engines.lake.read(TableRef(T, table), Slice())


async def _approved(found: Site, service: Campaigns) -> None:
    vehicles = found.role._vehicles
    found.token()
    vehicles.create_model(T, VehicleModel("car", "Car"), actor="ann")
    vehicles.change(T, CAR, VehicleChange(model="car"), actor="ann")
    service.create(T, DOCUMENT, Target(models=("car",)), note="", actor="ann")
    service.approve(T, "every", 1, actor="eve")
    service.start(T, "every", actor="ann")
    await service.wake()


def test_a_campaign_collects_until_it_is_paused_and_all_of_it_arrives(
    server: NatsServer, tmp_path: Path
) -> None:
    async def check() -> None:
        async with site(server, tmp_path / "cloud") as found:
            records, stream = found.engines.records, found.stream
            service = Campaigns(records, stream)
            bring = Distribution(records, model_document=lambda _t, _m: MODEL)
            care = CampaignCare(service, bring, records, stream, lambda: [T])
            ingest, agent = _ingest(found), _agent(found, tmp_path)
            follow, stop = Follow(records, found.engines.lake), asyncio.Event()
            working = [asyncio.create_task(care.run()), asyncio.create_task(ingest.run())]
            running = asyncio.create_task(agent.run(stop))
            await _approved(found, service)
            await until(lambda: _arrived(found) > 20)
            await until(lambda: follow.progress(T, "every").holding == 1)
            await _look_at_what_was_collected(found, follow)
            service.pause(T, "every", actor="ann")
            await service.wake()
            await until(lambda: not agent.status()["campaigns"])
            await until(lambda: _result(follow) == "paused")
            await until(lambda: _arrived(found) == agent.status()["records"]["kept"])
            assert agent.status()["spool"]["dropped"] == 0
            service.end(T, "every", actor="ann")
            await service.wake()
            await until(lambda: _result(follow) is None)
            stop.set()
            await running
            ingest.stop()
            await end([working[0]])
            await working[1]
            assert service.get(T, "every").state == "ended"

    run(check())


def _arrived(found: Site) -> int:
    return _rows(found, "campaign_events").num_rows


def _result(follow: Follow) -> str | None:
    """What the vehicle says of the campaign; None = it does not hold it."""
    found = follow.vehicles(T, "every", after=None, limit=5)
    return found[0][0].result if found else None


async def _look_at_what_was_collected(found: Site, follow: Follow) -> None:
    events = _rows(found, "campaign_events").to_pylist()
    assert {(one["campaign"], one["version"], one["vehicle"]) for one in events} == {
        ("every", 1, CAR)
    }
    assert len({one["event"] for one in events}) == len(events)
    assert {one["dimensions"] for one in events} == {'{"fleet": "north"}'}
    assert " can0 100#" in events[-1]["frames"][0]
    samples = sum(one["samples"] for one in events)
    await until(lambda: _rows(found, "signals").num_rows >= samples)  # a commit of its own
    assert set(_rows(found, "signals")["source"].to_pylist()) == {"mqtt.campaign"}
    told = follow.progress(T, "every")
    assert (told.target, told.put, told.refused) == (1, 1, 0)
    assert told.collected.events >= len(events)
    ((vehicle, totals),) = follow.vehicles(T, "every", after=None, limit=5)
    assert (vehicle.wanted, vehicle.put, vehicle.held, vehicle.result) == (1, 1, 1, "active")
    assert "triggers" in vehicle.counters
    assert totals.samples > 0
    newest = follow.events(T, "every", limit=3)
    last = newest[-1]
    at = (last.time, last.vehicle, last.event, last.partition, last.part)
    older: list[Any] = follow.events(T, "every", before=at, limit=3)
    assert max(one.time for one in older) <= last.time
    assert not {one.event for one in older} & {one.event for one in newest}
