"""The demo: supervisor, simulated fleet, freshness probe and the reckoning at the end."""

import asyncio
import signal
import socket
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.live import Live
from rich.text import Text

from carcloud import lean
from carcloud.app.engines import open_lake
from carcloud.app.first_start import prepare
from carcloud.app.report import memory_bytes
from carcloud.config import Settings
from carcloud.demo.freshness import FreshnessProbe
from carcloud.demo.reckoning import reckon
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.simulator.options import Progress, SimulateOptions, SimulateResult
from carcloud.simulator.run import simulate
from carcloud.supervisor import Supervisor

_QUIET_LOOKS = 3  # seconds without frames that wait: status is told once a second
_SETTLE_S = 60.0  # longest wait at the end until the lake has everything


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What to run and where."""

    settings: Settings
    data: Path
    fleet: SimulateOptions


class Demo:
    """One demo run. `close` ends all processes, whatever happened."""

    def __init__(self, options: DemoOptions, console: Console) -> None:
        self._console = console
        self._settings = _demo_settings(options)
        self._fleet = options.fleet
        self._supervisor = Supervisor(self._settings, forks=True)
        self._progress: Progress | None = None
        self._status: dict[str, Any] = {}
        self._peak = 0
        self._stop = threading.Event()

    def run(self) -> dict[str, Any]:
        """Start, drive, stop, compare; returns the report."""
        self._console.print("Starting the cloud …")
        began = time.monotonic()
        self._supervisor.call()
        admin = prepare(self._settings)
        self._supervisor.start()
        lean.started()
        web = self._supervisor.run.facts("web")
        gateway = self._supervisor.run.facts("gateway")["gbt32960"]
        self._console.print(f"Ready after {time.monotonic() - began:.1f} s.")
        self._console.print(f"  Console     {web['url']}")
        if admin is not None:
            self._console.print(f"  Sign in     user {admin[0]}, password {admin[1]}")
        self._console.print(f"  GB/T 32960  {gateway['host']}:{gateway['port']}")
        if self._fleet.seconds is None:
            self._console.print("Ctrl-C ends the demo.")
        fleet = replace(self._fleet, host=gateway["host"], port=gateway["port"])
        result, probe = self._drive(fleet, web)
        return self._report(result, probe)

    def close(self) -> None:
        """End all processes."""
        self._supervisor.stop()

    def _drive(
        self, fleet: SimulateOptions, web: dict[str, Any]
    ) -> tuple[SimulateResult, FreshnessProbe]:
        token = self._supervisor.run.local_token()
        probe = FreshnessProbe(web["url"], token)
        box: list[SimulateResult] = []
        failed: list[BaseException] = []

        def work() -> None:
            import uvloop

            try:
                box.append(uvloop.run(self._simulate(fleet, probe)))
            except BaseException as error:  # noqa: BLE001 - told in the main thread
                failed.append(error)

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
                live.update(self._line())
                thread.join(1.0)
            if not failed:
                self._settle(http)
                self._look(http)
                live.update(self._line())
        self._console.print()
        if failed:
            raise failed[0]
        return box[0], probe

    async def _simulate(self, fleet: SimulateOptions, probe: FreshnessProbe) -> SimulateResult:
        from carcloud.simulator.vins import vins

        stop = asyncio.Event()
        watching = asyncio.create_task(self._watch(stop))
        probing = asyncio.create_task(probe.run(vins(fleet.seed, fleet.vehicles)))
        try:
            return await simulate(fleet, self._note, stop=stop)
        finally:
            self._stop.set()  # lets the watching thread go
            watching.cancel()
            probing.cancel()

    async def _watch(self, stop: asyncio.Event) -> None:
        await asyncio.to_thread(self._stop.wait)
        stop.set()

    def _note(self, progress: Progress) -> None:
        self._progress = progress

    def _look(self, http: httpx.Client) -> None:
        self._peak = max(self._peak, sum(map(memory_bytes, self._supervisor.pids().values())))
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

    def _line(self) -> Text:
        progress, status = self._progress, self._status
        if progress is None:
            return Text("connecting …")
        fresh = status.get("freshness_ms")
        parts = [
            f"{progress.elapsed_s:6.0f} s",
            f"connected {progress.connected}",
            f"{status.get('frames_per_second', 0):.0f} frames/s",
            f"sent {progress.sent}",
            f"acknowledged {progress.acknowledged}",
            f"stored {status.get('stored_per_second', 0):.0f}/s",
            f"fresh {fresh:.0f} ms" if fresh is not None else "fresh –",
        ]
        parts += [problem["detail"] for problem in status.get("problems", ())]
        return Text("  ".join(parts))

    def _report(self, result: SimulateResult, probe: FreshnessProbe) -> dict[str, Any]:
        found = reckon(
            open_lake(self._settings),
            DEFAULT_TENANT,
            result.vehicles,
            result.acknowledged_vehicle,
            result.acknowledged_seconds,
        )
        report = {
            "vehicles": len(result.vehicles),
            "seconds": round(result.elapsed_s, 1),
            "sent": result.sent,
            "acknowledged": result.acknowledged,
            "unacknowledged": result.unconfirmed,
            "reissued": result.reissued,
            "lost_connections": result.lost_connections,
            "stored": found.stored,
            "duplicates": found.duplicates,
            "missing": found.missing,
            "dead_letters": found.dead_letters,
            "ack_p50_ms": round(result.ack_p50_ms, 2),
            "ack_p99_ms": round(result.ack_p99_ms, 2),
            "queryable_p50_ms": probe.percentile_ms(0.5),
            "queryable_p99_ms": probe.percentile_ms(0.99),
            "peak_memory_mb": round(self._peak / 1e6, 1),
        }
        for name, value in report.items():
            self._console.print(f"  {name.replace('_', ' '):<18} {value}")
        return report


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
