"""Campaigns that are paused: what was collected before is sent, and nothing is collected."""

import asyncio
import contextlib
import json
import time

from tests.agent.server import Server
from tests.agent.test_agent import EVERY, document, settings, speeds

from carcloud.agent.run import Agent

LIST = "v1/car-1/documents"


def frame(speed, moving=True):
    """A frame of now."""
    payload = (speed * 20).to_bytes(2, "little") + bytes([moving])
    return (time.time_ns() // 1000, 0x100, payload)


def lists(entry):
    """The list of the cloud while the campaign runs, is paused, and has ended."""
    return [
        json.dumps(each).encode()
        for each in (
            {"documents": [entry]},
            {"documents": [], "paused": [entry]},
            {"documents": []},
        )
    ]


@contextlib.asynccontextmanager
async def at_work(agent):
    """The agent, running."""
    stop = asyncio.Event()
    running = asyncio.create_task(agent.run(stop))
    try:
        yield agent
    finally:
        stop.set()
        await running


async def collected(folder, campaign, count):
    """What the cloud lists of a campaign, and its document, after an agent that cannot connect
    has collected for it and has ended."""
    entry, whole = document(campaign["id"], "campaign", campaign)
    agent = Agent(settings(folder, 1))
    agent._document("documents", lists(entry)[0])
    agent._document(f"documents/{campaign['id']}", whole)
    async with at_work(agent), asyncio.timeout(60):
        for speed in range(1, count + 1):
            agent.feed("can0", [frame(speed)])
        while agent.status()["records"]["kept"] < count:
            await asyncio.sleep(0.01)
    return entry, whole


def told(server):
    """What became of documents, as the newest check-in says."""
    return {
        each["id"]: each["result"] for each in json.loads(server.on("/checkin")[-1])["documents"]
    }


def test_what_was_collected_before_a_pause_is_sent_and_after_a_resume_it_goes_on(tmp_path):
    async def script():
        entry, whole = await collected(tmp_path, EVERY, 20)
        runs, rests, ended = lists(entry)
        server = await Server().start()
        server.retained = {LIST: rests, f"{LIST}/every": whole}
        agent = Agent(settings(tmp_path, server.port))
        agent._document("documents", rests)  # before anything was sent
        async with at_work(agent):
            await server.wait(lambda it: it.on("/checkin") and told(it) == {"every": "paused"})
            assert agent.status()["missing"] == []
            agent.feed("can0", [frame(speed) for speed in range(100, 110)])
            await server.wait(lambda it: len(speeds(it)) == 20)
            assert agent.status()["campaigns"] == {}
            agent._document("documents", runs)
            agent.feed("can0", [frame(30)])
            await server.wait(lambda it: len(speeds(it)) == 21)
            assert speeds(server) == [*range(1, 21), 30]
            await server.wait(lambda it: told(it) == {"every": "active"})
            agent._document("documents", ended)
            assert not (tmp_path / "agent" / "spool" / "every~default").exists()
        await server.stop()

    asyncio.run(script())


def test_conditions_of_upload_hold_during_a_pause(tmp_path):
    parked = EVERY | {
        "signals": [*EVERY["signals"], {"path": "Vehicle.IsMoving"}],
        "partitions": [{"id": "default", "upload_when": "!Vehicle.IsMoving"}],
    }

    async def script():
        entry, whole = await collected(tmp_path, parked, 5)
        server = await Server().start()
        server.retained = {LIST: lists(entry)[1], f"{LIST}/every": whole}
        async with at_work(Agent(settings(tmp_path, server.port))) as agent:
            await server.wait(lambda it: it.on("/checkin") and told(it) == {"every": "paused"})
            agent.feed("can0", [frame(50, moving=True)])
            await asyncio.sleep(0.2)
            assert speeds(server) == []
            assert agent.status()["spool"]["waiting"] == 5
            agent.feed("can0", [frame(0, moving=False)])
            await server.wait(lambda it: agent.status()["spool"]["waiting"] == 0)
            assert 50 not in speeds(server)
        await server.stop()

    asyncio.run(script())


def test_an_end_throws_away_what_was_not_sent_during_the_pause(tmp_path):
    async def script():
        entry, _ = await collected(tmp_path, EVERY, 5)
        agent = Agent(settings(tmp_path, 1))
        for each, waiting in zip(lists(entry), (5, 5, 0), strict=True):
            agent._document("documents", each)
            assert agent.status()["spool"]["waiting"] == waiting
        assert agent.status()["spool"]["dropped"] == 5

    asyncio.run(script())
