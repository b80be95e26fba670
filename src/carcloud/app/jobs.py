"""The jobs role: care of the lake, links to further platforms, and jobs of tenants."""

import asyncio
import logging
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

from carcloud import lean
from carcloud.app.campaigns import CampaignCare
from carcloud.app.commands import CommandCare
from carcloud.app.compute import make_runner, open_compute, runner_figures
from carcloud.app.engines import Engines, open_engines
from carcloud.app.forgetting import forgetting
from carcloud.app.forwarding import make_forwarding
from carcloud.app.metering import MeteringJobs
from carcloud.app.report import Figures, Reporter
from carcloud.app.storage import StorageCare, make_storage
from carcloud.app.tenant_life import TenantLifeWork, make_deleter, make_maker
from carcloud.app.turns import in_turn
from carcloud.config import Settings
from carcloud.endings import begin, end
from carcloud.model.ids import Tenant
from carcloud.ports.errors import EngineError
from carcloud.rundir import RunDir
from carcloud.services.campaigns.api import Campaigns, Distribution
from carcloud.services.commands.api import Commands
from carcloud.services.compute.api import Runner
from carcloud.services.metering.api import Metering
from carcloud.services.telemetry.upkeep import Retention, upkeep_round
from carcloud.services.tenancy.api import KnownLimits, Tenancy
from carcloud.services.tenant_life.api import TenantLife
from carcloud.services.vocabulary.api import Mappings, Vocabulary

log = logging.getLogger(__name__)


class JobsRole:
    """Everything that runs in a jobs process."""

    def __init__(self, settings: Settings, engines: Engines, runner: Runner) -> None:
        self._settings = settings
        self._engines = engines
        self._runner = runner
        self._tenancy = Tenancy(engines.records)
        self.forwarding = make_forwarding(settings, engines)
        limits = KnownLimits(self._tenancy.limits)
        storage = make_storage(settings, engines, limits)
        self.kept = storage
        self.storage = StorageCare(storage, engines.stream, settings)
        life = TenantLife(engines.records, storage)
        maker = make_maker(settings, engines, storage)
        deleter = make_deleter(settings, engines, storage)
        self.tenant_life = TenantLifeWork(life, maker, deleter, engines.stream)
        self.metering = MeteringJobs(
            engines.stream,
            engines.lake,
            Metering(engines.records),
            self._tenancy.tenants.ids,
            close_days=settings.number("metering.close_days"),
            in_buckets=lambda one: storage.stored_bytes(one) + life.exports.stored(one),
        )
        self.commands = CommandCare(
            Commands(engines.records, engines.stream),
            lambda: settings.number("commands.keep_days"),
        )
        mappings = Mappings(engines.records, Vocabulary(engines.records).catalogue)
        self.campaigns = CampaignCare(
            Campaigns(engines.records, engines.stream),
            Distribution(engines.records, model_document=mappings.model_document),
            engines.records,
            engines.stream,
            self._tenancy.tenants.ids,
        )
        self._general: str | None = None  # why there is no care at all
        self._troubles: list[tuple[Tenant, str]] = []
        self.rounds = 0
        self.failures = 0

    def figures(self) -> Figures:
        """What the status of this process says."""
        jobs, metering = runner_figures(self._runner), self.metering.figures()
        storage = self.storage.figures()
        counters = {"upkeep_rounds_total": self.rounds, "upkeep_failures_total": self.failures}
        counters["commands_timed_out_total"] = self.commands.timed_out
        counters |= self.campaigns.counters()
        links, reserve = self.forwarding.running, self._reserve()
        gauges = {"forwarding_links": links, "disk_reserve_bytes": reserve}
        told = {"upkeep": self._general, "commands": self.commands.problem}
        told["campaigns"] = self.campaigns.problem
        problems = {code: text for code, text in told.items() if text is not None}
        return Figures(
            {**counters, **metering.counters, **jobs.counters, **storage.counters},
            {**gauges, **jobs.gauges},
            {**problems, **metering.problems, **jobs.problems},
            {
                **_by_tenant("upkeep", self._troubles),
                **_by_tenant("forwarding", self._behind()),
                **metering.of_tenants,
                **storage.of_tenants,
            },
        )

    async def chores(self) -> None:
        """What one jobs process of the installation does, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for work in (
                self.care,
                self.metering.run,
                self.forwarding.run,
                self.forwarding.watch,
                self.storage.run,
                self.tenant_life.run,
                self.tenant_life.run_deletions,
                self.commands.run,
                self.campaigns.run,
            ):
                group.create_task(work())

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
                self._troubles, self._general = await asyncio.to_thread(self._round, keep), None
            except (EngineError, OSError) as error:
                self._troubles, self._general = [], str(error)
            self.rounds += 1
            told = [trouble for _, trouble in self._troubles]
            told += [] if self._general is None else [self._general]
            self.failures += len(told)
            for trouble in told:
                log.warning("upkeep: %s", trouble)

    def _round(self, keep: Retention) -> list[tuple[Tenant, str]]:
        """Merging needs room for the merged file: what is left below half the reserve is for
        ingest, which must store what was acknowledged."""
        if shutil.disk_usage(self._settings.text("data")).free < self._reserve() // 2:
            raise OSError("waits for room on the disk: see disk.reserve_mb")
        self.metering.count_lake_now()  # before old rows are dropped
        return upkeep_round(self._engines.lake, self._tenancy.tenants.cared_for(), keep)

    def _reserve(self) -> int:
        return self._settings.whole("disk.reserve_mb") * 1_000_000

    def _behind(self) -> list[tuple[Tenant, str]]:
        """A warning begins with `<tenant>/<link>`."""
        return [(Tenant(text.partition("/")[0]), text) for text in self.forwarding.warnings]


def _by_tenant(code: str, troubles: Sequence[tuple[Tenant, str]]) -> dict[tuple[str, str], str]:
    told: dict[tuple[str, str], str] = {}
    for tenant, trouble in troubles:
        before = told.get((code, tenant))
        told[code, tenant] = trouble if before is None else f"{before}; {trouble}"
    return told


async def run_jobs(settings: Settings, instance: str) -> None:
    """Work until SIGTERM."""
    run = RunDir(Path(settings.text("data")))
    await asyncio.to_thread(run.alone, "jobs")  # one that is still ending finishes first
    engines = await open_engines(settings)
    compute = await open_compute(settings)
    runner = make_runner(settings, engines, compute, instance)
    role = JobsRole(settings, engines, runner)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    reporter = Reporter(engines.stream, "jobs", instance, role.figures)
    tasks = [
        begin(reporter.run, "the status report"),
        begin(lambda: in_turn(engines.records, "chores", role.chores), "the chores"),
        begin(runner.run, "the runner of jobs"),
        forgetting(engines, role.kept),
    ]
    run.write_ready("jobs", {})
    lean.started()
    await stopped.wait()
    await end(tasks)
    await compute.close()
    await engines.close()
