"""The process of the demo's agents: many vehicles with an agent each, on one event loop.

    python -m carcloud.demo.agents_child PLAN

It lives until its input is closed, then sends what is kept and writes what the cloud has
acknowledged. Once a second it tells a line of JSON. It loads no numerical library.
"""

import asyncio
import json
import os
import random
import sys
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from carcloud.agent.keeping import Parcel
from carcloud.agent.run import Agent
from carcloud.agent.settings import AgentSettings, Server
from carcloud.agent.sources import Replay, read_log

_DRAIN_S: Final = 30.0
_STARTS_PER_SECOND: Final = 50
_ALLOWED: Final = ("locate", "track", "read-parameters", "set-parameters")


class Tally:
    """What the cloud has acknowledged: number of the car and time in us of each report."""

    def __init__(self) -> None:
        self.reports = array("q")
        self.collected = 0  # messages of campaigns

    def of(self, car: int) -> Any:
        """What one agent calls with each message."""

        def arrived(parcel: Parcel) -> None:
            if parcel.topic != "signals":
                self.collected += 1
                return
            for row in json.loads(parcel.payload):
                self.reports.extend((car, round(row["time"] * 1000)))

        return arrived


class Fleet:
    """The agents of a plan, as `agents.py` writes it."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self.tally = Tally()
        self._losses = plan["losses_per_hour"] / 3600.0
        self._luck = random.Random(plan["seed"])  # noqa: S311 - breaks connections, no secret
        self.cuts = 0
        logs = [read_log(Path(file)) for file in plan["logs"]]
        self.agents = []
        for number, car in enumerate(plan["cars"]):
            frames = logs[number % len(logs)]
            span = frames[-1][1][0] - frames[0][1][0]
            skip = int(span * self._luck.random())
            settings = AgentSettings(
                vehicle=car["vehicle"],
                folder=car["folder"],
                server=Server(plan["host"], plan["port"], token_file=car["token_file"]),
                report_interval_ms=plan["report_ms"],
                commands=_ALLOWED,
                sample_bytes=4 << 20,
            )
            replay = Replay(frames, loop=True, skip_us=skip)
            self.agents.append(Agent(settings, replay=replay, arrived=self.tally.of(number)))

    async def run(self) -> None:
        """Drive until the input is closed, then send what is left."""
        stop, gone = asyncio.Event(), asyncio.Event()
        asyncio.get_running_loop().add_reader(0, _look, gone)
        tasks = [
            asyncio.create_task(self._later(number / _STARTS_PER_SECOND, agent, stop))
            for number, agent in enumerate(self.agents)
        ]
        while not gone.is_set():
            try:
                async with asyncio.timeout(1):
                    await gone.wait()
            except TimeoutError:
                self._tell()
                self._break_some()
        for agent in self.agents:
            agent.finish()
        await asyncio.wait(tasks, timeout=_DRAIN_S)
        stop.set()
        await asyncio.gather(*tasks)
        self._tell()

    async def _later(self, wait_s: float, agent: Agent, stop: asyncio.Event) -> None:
        await asyncio.sleep(wait_s)
        await agent.run(stop)

    def _break_some(self) -> None:
        for agent in self.agents:
            if self._luck.random() < self._losses:
                self.cuts += 1
                agent.cut()

    def _tell(self) -> None:
        told = [agent.status() for agent in self.agents]
        line = {
            "connected": sum(each["connected"] for each in told),
            "frames": sum(each["frames"]["seen"] for each in told),
            "sent": sum(each["records"]["reports"] for each in told),
            "acknowledged": len(self.tally.reports) // 2,
            "triggers": sum(
                campaign["triggers"] for each in told for campaign in each["campaigns"].values()
            ),
            "collected": self.tally.collected,
            "cuts": self.cuts,
            "dropped": sum(each["spool"]["dropped"] for each in told),
        }
        print(json.dumps(line), flush=True)


def _look(gone: asyncio.Event) -> None:
    if not os.read(0, 4096):
        gone.set()
        asyncio.get_running_loop().remove_reader(0)


def main(plan_file: str) -> None:
    """Run a plan."""
    import uvloop

    plan = json.loads(Path(plan_file).read_text("utf-8"))
    fleet = Fleet(plan)
    uvloop.run(fleet.run())
    with Path(plan["acknowledged"]).open("wb") as out:
        fleet.tally.reports.tofile(out)


if __name__ == "__main__":
    main(sys.argv[1])
