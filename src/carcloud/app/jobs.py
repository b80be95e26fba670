"""The jobs role: care of the lake, and links to further platforms."""

import asyncio
import logging
import shutil
import signal
from pathlib import Path

from carcloud.app.engines import Engines, open_engines
from carcloud.app.forwarding import make_forwarding
from carcloud.app.report import Figures, Reporter
from carcloud.config import Settings
from carcloud.ports.errors import EngineError
from carcloud.rundir import RunDir
from carcloud.services.telemetry.upkeep import Retention, upkeep_round
from carcloud.services.tenancy.api import Tenancy

log = logging.getLogger(__name__)


class JobsRole:
    """Everything that runs in a jobs process."""

    def __init__(self, settings: Settings, engines: Engines) -> None:
        self._settings = settings
        self._engines = engines
        self._tenancy = Tenancy(engines.records)
        self.forwarding = make_forwarding(settings, engines)
        self._troubles: dict[str, str] = {}
        self.rounds = 0
        self.failures = 0

    def figures(self) -> Figures:
        """What the status of this process says."""
        return Figures(
            {"upkeep_rounds_total": self.rounds, "upkeep_failures_total": self.failures},
            {"forwarding_links": self.forwarding.running, "disk_reserve_bytes": self._reserve()},
            {**self._troubles, **self._behind()},
        )

    async def care(self) -> None:
        """Compaction and retention of all tenants' tables, again and again."""
        whole = self._settings.whole
        keep = Retention(
            signals=whole("lake.signals_days") or None,
            frames=whole("lake.frames_days") or None,
            dead_letters=whole("lake.frames_days") or None,
        )
        while True:
            await asyncio.sleep(self._settings.number("lake.upkeep_s"))
            try:
                found = await asyncio.to_thread(self._round, keep)
            except (EngineError, OSError) as error:
                found = [str(error)]
            self.rounds += 1
            self.failures += len(found)
            self._troubles = {"upkeep": "; ".join(found)} if found else {}
            for trouble in found:
                log.warning("upkeep: %s", trouble)

    def _round(self, keep: Retention) -> list[str]:
        """Merging needs room for the merged file: what is left below half the reserve is for
        ingest, which must store what was acknowledged."""
        if shutil.disk_usage(self._settings.text("data")).free < self._reserve() // 2:
            return ["waits for room on the disk: see disk.reserve_mb"]
        return upkeep_round(self._engines.lake, self._tenancy.tenants(), keep)

    def _reserve(self) -> int:
        return self._settings.whole("disk.reserve_mb") * 1_000_000

    def _behind(self) -> dict[str, str]:
        warnings = self.forwarding.warnings
        return {"forwarding": "; ".join(warnings)} if warnings else {}


async def run_jobs(settings: Settings, instance: str) -> None:
    """Work until SIGTERM."""
    engines = await open_engines(settings)
    role = JobsRole(settings, engines)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    reporter = Reporter(engines.stream, "jobs", instance, role.figures)
    works = (reporter.run, role.care, role.forwarding.run, role.forwarding.watch)
    tasks = [asyncio.create_task(work()) for work in works]
    RunDir(Path(settings.text("data"))).write_ready("jobs", {})
    await stopped.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await engines.close()
