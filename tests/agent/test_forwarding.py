"""What a campaign keeps in the vehicle until the cloud asks for it."""

import asyncio
import json
import time
from datetime import UTC, datetime

from tests.agent.server import Server
from tests.agent.test_agent import EVERY, settings, speeds
from tests.agent.test_pause import at_work, collected, frame

from carcloud.agent.run import Agent

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
            async with asyncio.timeout(10):
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
