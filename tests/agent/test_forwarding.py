"""What a campaign keeps in the vehicle until the cloud asks for it."""

import asyncio
import json
import time
from datetime import UTC, datetime

from tests.agent.server import Server
from tests.agent.test_agent import EVERY, campaign_file, settings, speeds, write_log
from tests.agent.test_pause import at_work, collected, frame

from carcloud.agent.forwarding import Forwarding
from carcloud.agent.keeping import Keeper, stream_of
from carcloud.agent.run import Agent
from carcloud.agent.spool import Spool
from carcloud.codecs.campaign.document import parse_campaign

KEPT = {**EVERY, "id": "kept", "partitions": [{"id": "default", "upload": "on_request"}]}


def command(name, **arguments):
    """A command `forward`."""
    given = {"campaign": "kept", **arguments}
    return json.dumps({"id": name, "name": "forward", "arguments": given}).encode()


def moment(seconds):
    """RFC 3339 of a time that many seconds from now."""
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat()


async def answer(server, name):
    """The last answer to a command."""
    await server.wait(lambda it: len(it.on(f"{name}/result")) >= 1)
    await server.wait(lambda it: json.loads(it.on(f"{name}/result")[-1])["state"] != "received")
    return json.loads(server.on(f"{name}/result")[-1])


def test_a_partition_on_request_stays_until_it_is_asked_for(tmp_path):
    async def script():
        await collected(tmp_path, KEPT, 5)
        server = await Server().start()
        agent = Agent(settings(tmp_path, server.port))
        async with at_work(agent):
            await server.wait(lambda it: it.on("/checkin"))
            server.send("v1/car-1/commands", command("early", until=moment(-3600)))
            assert (await answer(server, "early"))["result"] == {"waiting": 5}
            await asyncio.sleep(0.7)  # asked for what was kept before the first of them
            assert speeds(server) == []
            server.send("v1/car-1/commands", command("all"))
            await server.wait(lambda it: len(speeds(it)) == 5)
            assert (await answer(server, "all"))["state"] == "executed"
            agent.feed("can0", [frame(6)])  # later than what was asked for
            async with asyncio.timeout(60):
                while agent.status()["records"]["kept"] < 1:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.7)
            assert speeds(server) == [1, 2, 3, 4, 5]
            assert agent.status()["spool"]["waiting"] == 1
            assert agent.status()["forwarding"] == []
            server.send("v1/car-1/commands", command("on", until=moment(3600)))
            await server.wait(lambda it: len(speeds(it)) == 6)
        again = Agent(settings(tmp_path, server.port))  # what was asked for survives a restart
        async with at_work(again):
            (asked,) = again.status()["forwarding"]
            assert (asked["campaign"], asked["partition"]) == ("kept", "default")
            again.feed("can0", [frame(7)])
            await server.wait(lambda it: len(speeds(it)) == 7)
        await server.stop()

    asyncio.run(script())


def test_what_is_newer_than_what_was_asked_for_rests(tmp_path):
    campaign = parse_campaign(KEPT)
    name = stream_of("kept", campaign.partitions[0].id)
    file, now = tmp_path / "forward.json", [10]

    def keeper():
        kept = Keeper(Spool(tmp_path / "spool", 1 << 20), 1 << 16, lambda: now[0], lambda *_: False)
        kept.campaigns([campaign])
        return kept, Forwarding(file, kept, lambda: {"kept": campaign})

    async def script():
        kept, forwarding = keeper()
        kept.spool.append(name, b"old", now[0])
        assert (kept.waiting, kept.resting) == (1, 1)
        assert await forwarding.forward({"campaign": "kept"}) == {"waiting": 1}
        now[0] = 20
        kept.spool.append(name, b"new", now[0])
        assert (kept.waiting, kept.resting) == (2, 0)  # the first is still to be sent
        sent = kept.next()
        assert sent.payload == b"old"
        assert (kept.next(), kept.resting) == (None, 1)
        kept.rewind()  # the connection broke
        sent = kept.next()
        assert sent.payload == b"old"
        assert json.loads(file.read_text()) == {name: 10}
        kept.arrived(sent)
        assert (kept.next(), kept.waiting, kept.resting) == (None, 1, 1)
        assert (kept.asked, json.loads(file.read_text())) == ({}, {})
        kept.spool.close()
        file.write_text(json.dumps({name: 15}))  # of an earlier version, or with nothing to send
        assert keeper()[0].asked == {}

    asyncio.run(script())


def test_a_replay_ends_also_where_records_newer_than_asked_for_stay(tmp_path):
    async def script():
        server = await Server().start()
        (tmp_path / "agent").mkdir()
        asked = {stream_of("kept", "default"): int(time.time() * 1e6) + 100_000}
        (tmp_path / "agent" / "forward.json").write_text(json.dumps(asked))
        given = {"replay": write_log(tmp_path / "a.log", 4, 200_000)}
        agent = Agent(
            settings(tmp_path, server.port, campaigns=campaign_file(tmp_path, KEPT), **given)
        )
        await asyncio.wait_for(agent.run(), 60)
        assert 0 < agent.status()["spool"]["waiting"] <= 4
        await server.stop()

    asyncio.run(script())


def test_a_replay_ends_also_where_the_condition_of_upload_does_not_hold(tmp_path):
    never = {"id": "default", "upload_when": "Vehicle.Speed > 500"}
    held = {**EVERY, "id": "held", "partitions": [never]}

    async def script():
        server = await Server().start()
        given = {"replay": write_log(tmp_path / "a.log", 4, 200_000)}
        agent = Agent(
            settings(tmp_path, server.port, campaigns=campaign_file(tmp_path, held), **given)
        )
        await asyncio.wait_for(agent.run(), 60)
        assert agent.status()["spool"]["waiting"] == 4
        assert speeds(server) == []
        await server.stop()

    asyncio.run(script())


def test_what_cannot_be_forwarded_is_refused(tmp_path):
    async def script():
        await collected(tmp_path, KEPT, 1)
        server = await Server().start()
        agent = Agent(settings(tmp_path, server.port))
        async with at_work(agent):
            await server.wait(lambda it: it.on("/checkin"))
            for name, given in {
                "other": {"campaign": "other"},
                "part": {"partition": "other"},
                "when": {"until": "tomorrow"},
            }.items():
                server.send("v1/car-1/commands", command(name, **given))
                assert (await answer(server, name))["state"] == "refused"
            assert speeds(server) == []
        await server.stop()

    asyncio.run(script())
