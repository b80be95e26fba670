"""`carcloud agent` under `kill -9`: what was kept arrives once, within the bounds of the spool."""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from carcloud.agent.spool import Kept, Stream
from carcloud.codecs.campaign.record import Record, decode
from carcloud.codecs.samples.read import read
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.ports.lake import TableRef
from carcloud.services.telemetry.tables import CAMPAIGN_EVENTS
from carcloud.services.vehicles.api import NewVehicle, Vehicles
from tests.agent.server import Server
from tests.agent.test_agent import EVERY, MODEL, campaign_file, speeds, write_log
from tests.kill.scene import Kills, client, cloud, meanwhile, moments, port, stored, twice

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]

CAR = "car-1"
EVENTS = TableRef(DEFAULT_TENANT, CAMPAIGN_EVENTS)
REPORTS = "signals~"  # the stream of latest values
HEADER = 16  # bytes of a record in the spool besides its own


class AgentProcess:
    """The agent as a process; it plays a log, or only sends what it has."""

    def __init__(self, folder: Path, where: int, *more: str, log: str | None) -> None:
        self.folder = folder / "agent"
        self.status_file = self.folder / "status.json"
        self.status_file.unlink(missing_ok=True)
        config = folder / "agent.toml"
        (folder / "model.json").write_text(json.dumps(MODEL))
        played = [] if log is None else [f'replay = "{log}"', "loop = true"]
        top = [f'vehicle = "{CAR}"', f'folder = "{self.folder}"', *played,
               f'model = "{folder / "model.json"}"']  # fmt: skip
        config.write_text("\n".join([*top, *more, "[server]", f"port = {where}"]))
        command = [sys.executable, "-m", "carcloud", "agent", "run", "--log-level", "error"]
        token = ["--token-file", str(folder / "token")] if (folder / "token").exists() else []
        self._process = subprocess.Popen([*command, "--config", str(config), *token])

    def kept(self) -> int:
        """Records that it has said to be on disk."""
        return int(self._status()["records"]["kept"]) if self.status_file.exists() else 0

    def reports(self) -> int:
        """Rows of latest values that it has said to be on disk."""
        return int(self._status()["records"]["reports"]) if self.status_file.exists() else 0

    def waits(self) -> bool:
        """Whether it has anything that the cloud has not."""
        return not self.status_file.exists() or bool(self._status()["spool"]["waiting"])

    def _status(self) -> Any:
        return json.loads(self.status_file.read_text())

    def kill(self) -> None:
        """SIGKILL."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End it in good order."""
        self._process.terminate()
        self._process.wait(20)

    def spooled(self, aside: Path) -> dict[str, list[Kept]]:
        """What is whole on its disk, by stream, read from a copy."""
        shutil.copytree(self.folder / "spool", aside)
        return {one.name: list(_waiting(Stream(one))) for one in aside.iterdir()}

    def spool_bytes(self) -> int:
        """What the spool takes."""
        return sum(one.stat().st_size for one in (self.folder / "spool").rglob("*.seg"))


@pytest.fixture
def started() -> Iterator[list[AgentProcess]]:
    """Agents that are ended with the test, however it ends."""
    agents: list[AgentProcess] = []
    yield agents
    for one in agents:
        one.kill()


def _waiting(stream: Stream) -> list[Kept]:
    found, number = [], stream.position
    while (kept := stream.peek(number)) is not None:
        found.append(kept)
        number = kept.number + 1
    return found


def records_of(spooled: dict[str, list[Kept]]) -> list[Record]:
    """Records of campaigns among what was spooled."""
    payloads = [k.payload for name, kept in spooled.items() if name != REPORTS for k in kept]
    return [record for payload in payloads for record in decode(payload)]


def collect(http: httpx.Client) -> None:
    """A campaign that collects every value."""
    made = http.post("/v1/campaigns", json={"document": EVERY})
    assert made.status_code == 201, made.text
    for step, body in (("approve", {"version": 1}), ("start", {})):
        answer = http.post(f"{made.headers['location']}/{step}", json=body)
        assert answer.status_code == 200, answer.text


def test_what_the_agent_kept_is_in_the_lake_once(
    tmp_path: Path, started: list[AgentProcess]
) -> None:
    def enrol(_settings: Any, _records: Any, vehicles: Vehicles) -> None:
        vehicles.create(DEFAULT_TENANT, NewVehicle(CAR), actor="test")
        token = vehicles.make_token(DEFAULT_TENANT, CAR, actor="test").token
        (tmp_path / "token").write_text(token)

    kept: list[int] = []  # what each agent has said to be on disk
    events: set[tuple[int, int]] = set()  # time (us) and number of each record that was on disk
    reported: set[tuple[str, int]] = set()
    log = write_log(tmp_path / "a.log", 300, 10_000)
    with cloud(tmp_path / "cloud", enrol) as supervisor:
        with client(supervisor) as http:
            collect(http)
        where = port(supervisor, "mqtt")
        kills = Kills(supervisor, pause_s=(2.5, 3.5))

        def play(log: str | None = log, to: int = where) -> AgentProcess:
            started.append(AgentProcess(tmp_path, to, "report_interval_ms = 100", log=log))
            return started[-1]

        async def cut_short(agent: AgentProcess, least: int) -> None:
            """It is killed once it has kept so much; what lies on its disk then is noted."""
            async with asyncio.timeout(60):
                while agent.kept() < least or not agent.reports():
                    await asyncio.sleep(0.1)
            await asyncio.sleep(kills.dice.uniform(0, 2))
            agent.kill()
            spooled = agent.spooled(tmp_path / f"aside-{len(kept)}")
            events.update((one.time_us, one.event) for one in records_of(spooled))
            batches = [read(kept.payload) for kept in spooled.get(REPORTS, ())]
            reported.update((CAR, at) for batch in batches for at in batch.times)
            kept.append(agent.kept())

        async def work() -> None:
            while not kills.over.is_set() or len(kept) < 3:
                await cut_short(play(), 1)
            await cut_short(play(to=1), 60)  # nobody listens there: nothing of it has arrived
            play().kill()
            agent = play(log=None)
            async with asyncio.timeout(90):
                while agent.waits():
                    await asyncio.sleep(0.2)
            agent.stop()

        meanwhile(supervisor, work, kills)
        stands = stored(supervisor, reported)
        rows = stored(supervisor, {(CAR, at) for at, _ in events}, EVENTS)
    numbered = list(zip((at for _, at in moments(rows)), rows["event"].to_pylist(), strict=True))
    print(kills.done, kept, len(events), len(reported), rows.num_rows, stands.num_rows)
    assert set(kills.done) == {"gateway", "ingest", "stream", "web"}
    assert min(kept) > 0 and len(events) > 50 and reported
    assert events <= set(numbered) and reported <= set(moments(stands))
    assert twice(numbered) == []
    assert twice(list(zip(moments(stands), stands["digest"].to_pylist(), strict=True))) == []
    (spool,) = (one for one in (tmp_path / "agent" / "spool").iterdir() if one.name != REPORTS)
    assert rows.num_rows == Stream(spool).next >= sum(kept)  # as many as were ever added to it


LIMIT = 65_536  # bytes, the least that the settings allow


def without_gap(numbers: Collection[int]) -> bool:
    """One after the other."""
    return list(numbers) == list(range(min(numbers), max(numbers) + 1))


def test_a_spool_within_its_bounds_keeps_the_newest_over_kills(
    tmp_path: Path, started: list[AgentProcess]
) -> None:
    dice = random.Random(int.from_bytes(os.urandom(4), "big"))
    campaign = json.dumps(campaign_file(tmp_path))
    more = (f"campaigns = {campaign}", f"spool_bytes = {LIMIT}", "report_interval_ms = 0")
    log, told, last = write_log(tmp_path / "a.log", 500, 2000), 0, 0
    spooled: list[Kept] = []
    for turn in range(3):
        agent = AgentProcess(tmp_path, 1, *more, log=log)  # nobody listens there
        started.append(agent)
        deadline = time.monotonic() + 90
        while agent.kept() < 1000:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(dice.uniform(0, 1))
        agent.kill()
        told += agent.kept()
        (spooled,) = agent.spooled(tmp_path / f"aside-{turn}").values()
        numbers = [kept.number for kept in spooled]
        assert agent.spool_bytes() <= LIMIT + max(len(k.payload) for k in spooled) + HEADER
        assert len(spooled) > 200 and numbers[0] > 0 and without_gap(numbers)
        assert max(numbers) + 1 >= told and max(numbers) > last  # none that counted is forgotten
        last = max(numbers)

    async def deliver() -> list[float]:
        server = await Server().start()
        sender = AgentProcess(tmp_path, server.port, *more, log=None)
        started.append(sender)
        try:
            await server.wait(lambda it: len(it.on("/collected")) >= len(spooled), 90)
            await asyncio.sleep(0.5)
        finally:
            await asyncio.to_thread(sender.stop)
        assert server.on("/collected") == [kept.payload for kept in spooled]
        found: list[float] = speeds(server)
        await server.stop()
        return found

    assert len(asyncio.run(deliver())) == len(spooled)
