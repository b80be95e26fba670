"""The jobs role: care of the lake, and links to further platforms."""

import asyncio
import logging
import signal
from pathlib import Path

from carcloud.app.engines import Engines, open_engines
from carcloud.app.report import Figures, Reporter
from carcloud.config import Settings
from carcloud.gateway.forward_gbt32960 import Outcome, PlatformLink, Queue
from carcloud.model.ids import Tenant
from carcloud.ports.errors import EngineError
from carcloud.rundir import RunDir
from carcloud.services.compliance.api import Compliance, LinkSpec, Outgoing, fresh_enough
from carcloud.services.telemetry.upkeep import Retention, upkeep_round
from carcloud.services.tenancy.api import Tenancy

log = logging.getLogger(__name__)

_LOOK_S = 2  # between two looks at the table of links


class JobsRole:
    """Everything that runs in a jobs process."""

    def __init__(self, settings: Settings, engines: Engines) -> None:
        self._settings = settings
        self._engines = engines
        self._tenancy = Tenancy(engines.records)
        self._compliance = Compliance(engines.records, engines.lake)
        self._links: dict[tuple[Tenant, LinkSpec], asyncio.Task[None]] = {}
        self._troubles: dict[str, str] = {}
        self.rounds = 0

    def figures(self) -> Figures:
        """What the status of this process says."""
        return Figures(
            {"upkeep_rounds_total": self.rounds},
            {"forwarding_links": len(self._links)},
            self._troubles,
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
                tenants = await asyncio.to_thread(self._tenancy.tenants)
                found = await asyncio.to_thread(upkeep_round, self._engines.lake, tenants, keep)
            except EngineError as error:
                found = [str(error)]
            self.rounds += 1
            self._troubles = {"upkeep": "; ".join(found)} if found else {}
            for trouble in found:
                log.warning("upkeep: %s", trouble)

    async def forward(self) -> None:
        """Run the links that are enabled; start and stop them as the table changes."""
        while True:
            try:
                wanted = set(await asyncio.to_thread(self._compliance.enabled))
            except EngineError as error:
                log.warning("forwarding waits: %s", error)
                wanted = set(self._links)
            for key in set(self._links) - wanted:
                self._links.pop(key).cancel()
            for key in wanted - set(self._links):
                self._links[key] = asyncio.create_task(self._link(*key))
            await asyncio.sleep(_LOOK_S)

    async def _link(self, tenant: Tenant, spec: LinkSpec) -> None:
        while True:
            try:
                await PlatformLink(spec, _queue(self._compliance, tenant, spec.name)).run()
            except EngineError as error:
                log.warning("link %s waits: %s", spec.name, error)
                await asyncio.sleep(_LOOK_S)


def _queue(compliance: Compliance, tenant: Tenant, name: str) -> Queue:
    async def waiting() -> tuple[int, list[Outgoing]] | None:
        return await asyncio.to_thread(compliance.waiting, tenant, name)

    async def advance(seq: int, outcome: Outcome) -> None:
        await asyncio.to_thread(
            lambda: compliance.advance(
                tenant,
                name,
                seq,
                forwarded=outcome.forwarded,
                refused=outcome.refused,
                expired=outcome.expired,
            )
        )

    async def tell(connected: bool, problem: str | None) -> None:
        await asyncio.to_thread(
            lambda: compliance.tell(tenant, name, connected=connected, problem=problem)
        )

    return Queue(waiting, advance, tell, fresh_enough)


async def run_jobs(settings: Settings, instance: str) -> None:
    """Work until SIGTERM."""
    engines = await open_engines(settings)
    role = JobsRole(settings, engines)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    reporter = Reporter(engines.stream, "jobs", instance, role.figures)
    tasks = [asyncio.create_task(work()) for work in (reporter.run, role.care, role.forward)]
    RunDir(Path(settings.text("data"))).write_ready("jobs", {})
    await stopped.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await engines.close()
