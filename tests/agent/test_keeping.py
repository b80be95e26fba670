"""What the keeper keeps, syncs and throws away."""

import asyncio
import json
import os
from pathlib import Path

from tests.agent.server import Server
from tests.agent.test_agent import EVERY, document, settings, speeds, write_log

from carcloud.agent.keeping import SIGNALS, Keeper, stream_of
from carcloud.agent.run import Agent
from carcloud.agent.spool import Bounds, Spool
from carcloud.codecs.campaign.document import parse_campaign


def keeper(folder):
    """A keeper whose streams may always be sent."""
    return Keeper(Spool(folder, 1 << 20), 1 << 16, lambda: 7, lambda *_: True)


def test_a_version_that_cannot_be_read_keeps_what_was_not_sent(tmp_path):
    async def script():
        first = document("every", "campaign", EVERY)
        library = Agent(settings(tmp_path, 1))._library
        library.take_list(json.dumps({"documents": [first[0]]}).encode())
        assert library.take("every", first[1])
        agent = Agent(settings(tmp_path, 1, replay=write_log(tmp_path / "a.log", 20)))
        stop = asyncio.Event()
        running = asyncio.create_task(agent.run(stop))
        async with asyncio.timeout(60):
            while agent.status()["records"]["kept"] < 20:
                await asyncio.sleep(0.02)
        stop.set()
        await running
        server = await Server().start()
        wrong = document("every", "campaign", {**EVERY, "colour": "red"}, 2)
        server.retained = {
            "v1/car-1/documents": json.dumps({"documents": [wrong[0]]}).encode(),
            "v1/car-1/documents/every": wrong[1],
        }
        agent = Agent(settings(tmp_path, server.port))
        agent._library.take_list(server.retained["v1/car-1/documents"])
        agent._document("documents/every", wrong[1])  # refused before anything was sent
        assert agent.status()["spool"]["waiting"] == 20
        stop = asyncio.Event()
        running = asyncio.create_task(agent.run(stop))
        await server.wait(lambda it: len(speeds(it)) == 20)
        agent._document("documents", b'{"documents": []}')
        stop.set()
        await running
        assert list((tmp_path / "agent" / "spool").iterdir()) == [], "not listed any more"
        await server.stop()

    asyncio.run(script())


def test_data_removed_with_a_campaign_are_counted(tmp_path):
    campaign = parse_campaign(EVERY)
    name = stream_of("every", campaign.partitions[0].id)
    kept = keeper(tmp_path)
    kept.campaigns([campaign])
    for _ in range(3):
        kept.spool.append(name, b"x", 7)
    for listed in ({"every"}, None):
        kept.campaigns([], listed)
        assert (kept.waiting, kept.spool.dropped) == (3, 0)
    kept.campaigns([], {"other"})
    assert (kept.waiting, kept.spool.dropped) == (0, 3)


def test_what_is_too_old_goes_also_while_records_come_all_the_time(tmp_path, monkeypatch):
    async def script():
        monkeypatch.setattr("carcloud.agent.keeping._SWEEP_S", 0.05)
        kept, sweep = keeper(tmp_path), Spool.sweep
        now, swept = [0], []

        def counted(spool, now_us):
            swept.append(now_us)
            now[0] = 0 if now[0] > 9_000_000 else now[0]
            return sweep(spool, now_us)

        monkeypatch.setattr(Spool, "sweep", counted)
        kept.clock = lambda: now[0]
        kept.spool.limit("old", Bounds(keep_us=1_000_000))
        kept.spool.append("old", b"x", 0)
        kept.spool.streams["old"].close()
        running = asyncio.create_task(kept.run())

        async def pass_time(until_us):
            now[0], sweeps = until_us, len(swept) + 3
            while len(swept) < sweeps:
                kept.report(now[0], {"Vehicle.Speed": 1.0})
                await asyncio.sleep(0.01)

        await pass_time(500_000)
        await pass_time(1 << 50)  # until it has been looked at once
        assert kept.spool.streams["old"].waiting == 1
        await pass_time(2_000_000)
        assert kept.spool.streams["old"].waiting == 0
        assert kept.spool.dropped == 1
        running.cancel()

    asyncio.run(script())


def test_latest_values_are_synced_before_they_count_as_kept(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync

    def seen(handle):
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    kept = keeper(tmp_path)
    monkeypatch.setattr(os, "fsync", seen)
    kept.report(7, {"Vehicle.Speed": 1.0})
    asyncio.run(kept.flush())
    assert any(SIGNALS in each and each.endswith(".seg") for each in synced)
    assert (kept.tally.kept, kept.tally.reports) == (0, 1)
