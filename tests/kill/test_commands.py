"""Commands under `kill -9`: what was given ends, and no vehicle does it twice."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from carcloud.model.ids import DEFAULT_TENANT
from carcloud.services.vehicles.api import NewVehicle, Vehicles
from carcloud.supervisor import Supervisor
from tests.gateway.terminals import Terminal, code_body, registration_body
from tests.kill.scene import Kills, Lost, client, cloud, meanwhile, port, twice
from tests.kill.test_jt808 import heard

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]

CAR, TRUCK = "obeying-1", "13900000777"
ROLES = ("gateway", "web", "jobs", "stream")
TIMEOUT_S = 15
ENDS = ("executed", "refused", "failed", "timed-out", "cancelled")


class AgentProcess:
    """`carcloud agent`, whose hook writes down each message; started again when it is killed."""

    def __init__(self, folder: Path, where: int, token: str) -> None:
        folder.mkdir()
        self.done = folder / "done"
        self.done.touch()
        self._config, self._known = folder / "agent.toml", folder / "agent" / "commands.json"
        hook = f'printf "%s\\n" "$(cat)" >> {self.done}'  # in one piece: two may run at a time
        (folder / "token").write_text(token)
        self._config.write_text(
            f'vehicle = "{CAR}"\nfolder = "{folder / "agent"}"\ncommands = ["message"]\n'
            f'report_interval_ms = 0\n[server]\nhost = "127.0.0.1"\nport = {where}\n'
            f'token_file = "{folder / "token"}"\n[[hooks]]\nname = "message"\n'
            f"run = {json.dumps(['/bin/sh', '-c', hook])}\n"
        )
        self.kills = 0
        self.start()

    def start(self) -> None:
        """Let it run."""
        command = [sys.executable, "-m", "carcloud", "agent", "run", "--log-level", "error"]
        self._process = subprocess.Popen([*command, "--config", str(self._config)])

    def kill(self) -> None:
        """SIGKILL, and a new one at once."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self.kills += 1
        self.start()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)

    def idle(self) -> bool:
        """All commands that it knows have ended, and the cloud has their results."""
        known = json.loads(self._known.read_text()) if self._known.exists() else {}
        return all(one["result"] is not None and one["told"] for one in known.values())

    def ids(self) -> list[str]:
        """Of the commands that it has carried out, in order; a hook whose agent is killed before
        it has said which leaves an empty line."""
        lines = self.done.read_text().splitlines()
        return [json.loads(line)["id"] for line in lines if line]


@dataclass
class ObedientTruck:
    """A terminal that does what messages ask, and answers; it comes again when it is cut off."""

    where: int
    texts: list[str] = field(default_factory=list)

    async def run(self, over: asyncio.Event) -> None:
        """Obey until it is over."""
        while not over.is_set():
            try:
                await self._obey()
            except (OSError, Lost):
                await asyncio.sleep(0.2)

    async def _obey(self) -> None:
        link = Terminal(*await asyncio.open_connection("127.0.0.1", self.where), 2019, TRUCK)
        link.send(0x0100, registration_body(2019))
        answer = await heard(link)
        if answer.body[2]:
            raise Lost("not registered")
        link.send(0x0102, code_body(2019, answer.body[3:].decode()))
        while True:
            asked = await heard(link)
            if asked.message == 0x8300:
                self.texts.append(asked.body[2:].decode())
                link.send(0x0001, asked.serial.to_bytes(2) + b"\x83\x00\0")


@dataclass
class Giver:
    """Gives commands over the API, one after the other; asks again under the same key where it
    got no answer."""

    http: dict[str, Any]
    given: dict[str, tuple[str, str]] = field(default_factory=dict)  # vehicle and text, by id
    keys: int = 0

    async def run(self, over: threading.Event) -> None:
        """Give until it is over."""
        async with httpx.AsyncClient(**self.http, timeout=5) as http:
            while not over.is_set():
                self.keys += 1
                vehicle, text = (CAR, TRUCK)[self.keys % 2], f"n{self.keys}"
                body = {
                    "name": "message", "arguments": {"text": text}, "timeout_s": TIMEOUT_S,
                    "key": text,
                }  # fmt: skip
                made = await self._given(http, vehicle, body)
                self.given[made] = vehicle, text
                await asyncio.sleep(0.03)

    async def _given(self, http: httpx.AsyncClient, vehicle: str, body: dict[str, Any]) -> str:
        while True:
            try:
                answer = await http.post(f"/v1/vehicles/{vehicle}/commands", json=body)
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
                continue
            if answer.status_code == 201:
                return str(answer.json()["id"])
            assert answer.status_code >= 500, answer.text
            await asyncio.sleep(0.1)


def ended(
    supervisor: Supervisor, given: dict[str, tuple[str, str]], agent: AgentProcess
) -> dict[str, dict[str, Any]]:
    """All commands by id, when they have ended, the agent has told all that it knows, and nothing
    changes any more."""
    before: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + 120
    with client(supervisor) as http:
        while True:
            idle, found = agent.idle(), listed(http)
            over = set(given) <= set(found) and all(found[one]["state"] in ENDS for one in given)
            if idle and over and found == before:
                return found
            assert time.monotonic() < deadline
            before = found
            time.sleep(2)


def listed(http: httpx.Client) -> dict[str, dict[str, Any]]:
    """All commands by id; none where the web process is not back yet."""
    found: dict[str, dict[str, Any]] = {}
    cursor: dict[str, Any] = {}
    while True:
        try:
            answer = http.get("/v1/commands", params={"limit": 200, **cursor})
        except httpx.TransportError:
            return {}
        if answer.status_code >= 500:
            return {}
        page = answer.json()
        found |= {one["id"]: one for one in page["items"]}
        if not page["next_cursor"]:
            return found
        cursor = {"cursor": page["next_cursor"]}


def test_a_command_that_was_given_ends_and_is_done_once_at_most(tmp_path: Path) -> None:
    token = [""]

    def enrol(_settings: Any, _records: Any, vehicles: Vehicles) -> None:
        for name in (CAR, TRUCK):
            vehicles.create(DEFAULT_TENANT, NewVehicle(name), actor="test")
        token[0] = vehicles.make_token(DEFAULT_TENANT, CAR, actor="test").token

    with cloud(tmp_path / "cloud", enrol) as supervisor:
        agent = AgentProcess(tmp_path / "car", port(supervisor, "mqtt"), token[0])
        truck = ObedientTruck(port(supervisor, "jt808"))
        with client(supervisor) as http:
            giver = Giver({"base_url": http.base_url, "headers": dict(http.headers)})

        def work_done() -> tuple[int, int]:
            return len(agent.ids()), len(truck.texts)

        kills = Kills(supervisor, ROLES, turns=2, pause_s=(1.0, 2.5), work=work_done, least=25)

        def disturb() -> None:
            kills()
            if kills.done.total() > 3 * (agent.kills + 1):
                agent.kill()

        async def work() -> dict[str, dict[str, Any]]:
            over = asyncio.Event()
            obeying = asyncio.create_task(truck.run(over))
            async with asyncio.timeout(150):
                await giver.run(kills.over)
            told = await asyncio.to_thread(ended, supervisor, giver.given, agent)
            over.set()
            obeying.cancel()
            return told

        try:
            told = meanwhile(supervisor, work, disturb)
        finally:
            agent.stop()
        done = agent.ids()
    states = Counter((vehicle, told[one]["state"]) for one, (vehicle, _) in giver.given.items())
    print(kills.done, agent.kills, dict(states))
    assert set(kills.done) == set(ROLES) and agent.kills == 2
    assert set(told) == set(giver.given) and len(giver.given) == giver.keys > 50
    assert twice(done) == [] and twice(truck.texts) == []
    for one, (vehicle, text) in giver.given.items():
        was_done = one in done if vehicle == CAR else text in truck.texts
        state = told[one]["state"]
        assert was_done or state != "executed"
        if vehicle == CAR and was_done:  # its results are kept until the cloud has them
            assert state == "executed" or "restarted" in told[one]["reason"], told[one]
    assert states[CAR, "executed"] > 20 and states[TRUCK, "executed"] > 20
