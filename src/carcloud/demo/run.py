"""The demo: supervisor, simulated fleets, agents, freshness probe and the reckoning at the end."""

import asyncio
import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.live import Live

from carcloud import lean
from carcloud.app.first_start import prepare
from carcloud.app.report import memory_bytes
from carcloud.config import Settings
from carcloud.demo.agents import AgentOptions, Agents
from carcloud.demo.freshness import FreshnessProbe
from carcloud.demo.registry import enrol, own_model
from carcloud.demo.report import Outcome, line, lines, report
from carcloud.simulator.options import Progress, SimulateOptions, SimulateResult
from carcloud.simulator.run import simulate
from carcloud.simulator.truck_messages import phones
from carcloud.simulator.vins import vins
from carcloud.supervisor import Supervisor

_QUIET_LOOKS = 3  # seconds without frames that wait: status is told once a second
_AWAY = 20  # where connections are broken on purpose, one of so many may be away
_LOOK_S = 0.1  # between looks at who is connected
_GATHER_S = 120.0  # longest wait until all vehicles are connected
_SETTLE_S = 60.0  # longest wait at the end until the lake has everything


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What to run and where. `trucks` speak JT/T 808, the cars of `agents` MQTT; None = none."""

    settings: Settings
    data: Path
    fleet: SimulateOptions
    trucks: SimulateOptions | None = None
    agents: AgentOptions | None = None


@dataclass(slots=True)
class _Driven:
    """What came of the fleets."""

    results: list[SimulateResult] = field(default_factory=list)
    failed: BaseException | None = None


class Demo:
    """One demo run. `close` ends all processes, whatever happened."""

    def __init__(self, options: DemoOptions, console: Console) -> None:
        self._console = console
        self._options = options
        self._settings = _demo_settings(options)
        self._supervisor = Supervisor(self._settings, forks=True)
        self._agents = (
            None
            if options.agents is None
            else Agents(options.agents, options.data.absolute() / "agents")
        )
        self._progress: dict[str, Progress] = {}
        self._status: dict[str, Any] = {}
        self._peak = self._agents_peak = 0
        self._stop = threading.Event()
        self._outcome = Outcome()

    def run(self) -> dict[str, Any]:
        """Start, drive, stop, compare; returns the report."""
        self._console.print("Starting the cloud …")
        began = time.monotonic()
        self._supervisor.call()
        admin = prepare(self._settings)
        self._supervisor.start()
        lean.started()
        facts = self._supervisor.run.facts
        web, gateway = facts("web"), facts("gateway")
        self._console.print(f"Ready after {time.monotonic() - began:.1f} s.")
        self._console.print(f"  Console     {web['url']}")
        if admin is not None:
            self._console.print(f"  Sign in     user {admin[0]}, password {admin[1]}")
        for name, shown in (("gbt32960", "GB/T 32960"), ("jt808", "JT/T 808"), ("mqtt", "MQTT")):
            self._console.print(f"  {shown:<11} {gateway[name]['host']}:{gateway[name]['port']}")
        self._tell_agents()
        if self._options.fleet.seconds is None:
            self._console.print("Ctrl-C ends the demo.")
        self._drive(gateway, web)
        told = self._reckoned()
        for text in lines(told):
            self._console.print(text)
        return told

    def _reckoned(self) -> dict[str, Any]:
        """The report; where something is missing, ingest may be at it still."""
        deadline = time.monotonic() + _SETTLE_S
        while (told := report(self._settings, self._outcome))["missing"]:
            if time.monotonic() > deadline:
                break
            self._supervisor.tend()
            time.sleep(1)
        return told

    def _tell_agents(self) -> None:
        agents = self._options.agents
        if agents is not None:
            source = f"replay {agents.log}" if agents.log else "replay simulated CAN logs"
            self._console.print(f"  Agents      {agents.cars} cars {source}")

    def close(self) -> None:
        """End all processes."""
        if self._agents is not None:
            self._agents.close()
        self._supervisor.stop()

    def _drive(self, gateway: dict[str, Any], web: dict[str, Any]) -> None:
        token = self._supervisor.run.local_token()
        probe = FreshnessProbe(web["url"], token)
        driven = _Driven()

        def work() -> None:
            import uvloop

            try:
                uvloop.run(self._simulate(gateway, probe, driven))
            except BaseException as error:  # noqa: BLE001 - told in the main thread
                driven.failed = error

        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: self._stop.set())
        thread = threading.Thread(target=work, name="fleet")
        thread.start()
        headers = {"authorization": f"Bearer {token}"}
        with (
            httpx.Client(base_url=web["url"], headers=headers, timeout=2) as http,
            Live(console=self._console, refresh_per_second=4, transient=False) as live,
        ):
            while thread.is_alive():
                self._supervisor.tend()
                self._look(http)
                live.update(line(self._progress, self._agents, self._status))
                thread.join(1.0)
            if driven.failed is None:
                self._settle(http)
                self._look(http)
                live.update(line(self._progress, self._agents, self._status))
        self._console.print()
        if driven.failed is not None:
            raise driven.failed
        self._outcome.fleets = driven.results
        self._outcome.probe = probe
        self._outcome.peak_bytes = self._peak
        self._outcome.agents_peak_bytes = self._agents_peak

    async def _simulate(
        self, gateway: dict[str, Any], probe: FreshnessProbe, driven: _Driven
    ) -> None:
        stop, options = asyncio.Event(), self._options
        watching = asyncio.create_task(self._watch(stop))
        cars = vins(options.fleet.seed, options.fleet.vehicles)
        probing = asyncio.create_task(probe.run(cars))
        driving = [asyncio.create_task(self._one_fleet(options.fleet, gateway, stop))]
        try:
            if options.trucks is not None or self._agents is not None:
                tokens = await asyncio.to_thread(self._enrol)
            if options.trucks is not None:
                driving.append(asyncio.create_task(self._one_fleet(options.trucks, gateway, stop)))
            if self._agents is not None:
                await asyncio.to_thread(self._start, self._agents, gateway["mqtt"], tokens)
            if options.fleet.seconds is not None:  # from now on, with all of them
                await gathered(
                    lambda: 0 if any(task.done() for task in driving) else self._missing(), stop
                )
                asyncio.get_running_loop().call_later(options.fleet.seconds, stop.set)
            driven.results += await asyncio.gather(*driving)
            if self._agents is not None:
                acked = await asyncio.to_thread(self._agents.finish)
                self._outcome.agents = self._agents
                self._outcome.agents_acknowledged = acked
        finally:
            self._stop.set()  # lets the watching thread go
            watching.cancel()
            probing.cancel()

    def _missing(self) -> int:
        """Vehicles that have still to connect; of those that lose connections, some are away."""
        missing, all_vehicles = 0, 0
        for one in (self._options.fleet, self._options.trucks):
            if one is not None:
                known = self._progress.get(one.protocol)
                missing += one.vehicles - (0 if known is None else known.connected)
                all_vehicles += one.vehicles
        if self._agents is not None:
            missing += len(self._agents.cars) - self._agents.told["connected"]
            all_vehicles += len(self._agents.cars)
        return missing - (all_vehicles // _AWAY if self._options.fleet.losses_per_hour else 0)

    def _enrol(self) -> dict[str, str]:
        """Register trucks and cars with agents; the tokens of these."""
        trucks, agents = self._options.trucks, self._agents
        return enrol(
            self._settings,
            () if trucks is None else phones(trucks.seed, trucks.vehicles),
            () if agents is None else agents.cars,
            (self._options.agents and self._options.agents.model) or own_model(),
        )

    def _start(self, agents: Agents, place: dict[str, Any], tokens: dict[str, str]) -> None:
        agents.prepare()
        agents.start(place["host"], place["port"], tokens)

    async def _one_fleet(
        self, fleet: SimulateOptions, gateway: dict[str, Any], stop: asyncio.Event
    ) -> SimulateResult:
        place = gateway[fleet.protocol]
        options = replace(fleet, host=place["host"], port=place["port"], seconds=None)

        def note(progress: Progress) -> None:
            self._progress[fleet.protocol] = progress

        return await simulate(options, note, stop=stop)

    async def _watch(self, stop: asyncio.Event) -> None:
        await asyncio.to_thread(self._stop.wait)
        stop.set()

    def _look(self, http: httpx.Client) -> None:
        pids = list(self._supervisor.pids().values())
        if self._agents is not None and self._agents.pid is not None:
            agents = memory_bytes(self._agents.pid)
            self._agents_peak = max(self._agents_peak, agents)
        self._peak = max(self._peak, sum(map(memory_bytes, pids)))
        try:
            answer = http.get("/v1/status")
        except httpx.TransportError:
            return
        if answer.status_code == 200:
            self._status = answer.json()

    def _settle(self, http: httpx.Client) -> None:
        """Wait until ingest has stored what the stream holds."""
        deadline = time.monotonic() + _SETTLE_S
        quiet = 0
        while quiet < _QUIET_LOOKS and time.monotonic() < deadline:
            time.sleep(1)
            self._status = {}
            self._look(http)
            quiet = quiet + 1 if self._status.get("lag_frames") == 0 else 0
        if quiet < _QUIET_LOOKS:
            left = self._status.get("lag_frames", "some")
            self._console.print(f"{left} frames still wait in the stream; the report lacks them.")


async def gathered(
    missing: Callable[[], int], stop: asyncio.Event, *, most_s: float = _GATHER_S
) -> None:
    """Wait until no vehicle is missing, or it is to stop, or for `most_s` seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(most_s):
            while missing() > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _LOOK_S)
                    return


def _demo_settings(options: DemoOptions) -> Settings:
    settings = options.settings
    return settings.with_values(
        {
            "data": str(options.data),
            "log.format": "json",
            "gateway.auto_register": True,
            "gateway.gbt32960.reply_reports": True,
            "web.port": _free_or_any(settings.text("web.host"), settings.whole("web.port")),
            "storage.port": _free_or_any(
                settings.text("storage.host"), settings.whole("storage.port")
            ),
            **{
                f"{prefix}.port": _free_or_any(
                    settings.text(f"{prefix}.host"), settings.whole(f"{prefix}.port")
                )
                for prefix in ("gateway.gbt32960", "gateway.jt808", "gateway.mqtt")
            },
        }
    )


def _free_or_any(host: str, port: int) -> int:
    """The usual port if nobody has it, else 0: a demo should not fail over a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return 0
    return port
