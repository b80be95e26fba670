"""An agent whose disk takes nothing: it starts, sends what is kept, and goes on."""

import asyncio
import json
import subprocess
import sys

from tests.agent.server import Server
from tests.agent.test_agent import campaign_file, settings, speeds, write_log

from carcloud.agent.run import Agent

CHILD = """
import asyncio, json, resource, sys
from carcloud.agent.run import Agent
from carcloud.agent.settings import load_settings

resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # every write of a file fails

async def work():
    given = json.loads(sys.argv[1])
    log, stop = given.pop("replay"), asyncio.Event()
    first = Agent(load_settings(None, given))
    running = asyncio.create_task(first.run(stop))
    async with asyncio.timeout(60):
        while first.status()["records"]["sent"] < 20 or not first._orders._entries["7"].told:
            await asyncio.sleep(0.02)
    stop.set()
    await running
    second = Agent(load_settings(None, {**given, "replay": log}))
    await asyncio.wait_for(second.run(), 60)
    print(json.dumps([first.status(), second.status()]))

asyncio.run(work())
"""
COMMAND = json.dumps({"id": "7", "name": "read-parameters"}).encode()


def test_a_full_disk_ends_nothing(tmp_path):
    async def script():
        given = {"campaigns": campaign_file(tmp_path), "commands": ["read-parameters"]}
        agent = Agent(settings(tmp_path, 1, replay=write_log(tmp_path / "a.log", 20), **given))
        stop = asyncio.Event()
        running = asyncio.create_task(agent.run(stop))
        async with asyncio.timeout(60):
            while agent.status()["records"]["kept"] < 20:
                await asyncio.sleep(0.02)
        stop.set()
        await running
        server = await Server().start()
        server.retained = {
            "v1/car-1/commands": COMMAND,
            "v1/car-1/documents": b'{"documents": []}',
            "v1/car-1/state/desired": b'{"version": 1, "state": {"checkin_s": 60}}',
        }
        log = write_log(tmp_path / "b.log", 30)
        whole = {
            "vehicle": "car-1", "folder": str(tmp_path / "agent"), "server.port": server.port,
            "model": str(tmp_path / "model.json"), "report_interval_ms": 0, "replay": log, **given,
        }  # fmt: skip
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, json.dumps(whole),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        out, errors = await child.communicate()
        assert child.returncode == 0, errors.decode()
        first, second = json.loads(out)
        assert first["connections"] == 1, "it stays connected"
        assert speeds(server) == list(range(1, 21)), "what was kept is sent"
        assert (second["records"]["kept"], second["spool"]["dropped"]) == (0, 30)
        assert second["frames"]["seen"] == 30
        answer = server.on("/result")[0]
        assert (json.loads(answer)["state"], json.loads(answer)["code"]) == ("refused", 0xE)
        assert b"it cannot be kept" in answer
        await server.stop()

    asyncio.run(script())
