"""Jobs on real engines: SQLite, a folder of blobs, NATS, a pool of processes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from carcloud.engines.blobs_object import ObjectBlobs
from carcloud.engines.compute_local import LocalCompute
from carcloud.engines.records_sql import SqlRecords
from carcloud.engines.stream_nats import NatsServer, NatsStream
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.ports.compute import Compute
from carcloud.services.compute.api import (
    ENDED,
    Changed,
    Job,
    Jobs,
    NewJob,
    Runner,
    RunnerOptions,
)
from carcloud.services.tenancy.api import Tenancy
from tests.services.compute.kinds import KINDS, Given

ROOM = 1 << 30  # bytes
ACCOUNT = {"user": "u", "password": "p" * 24}
MINE, OTHER = Tenant("mine"), Tenant("other")
SOON_S = 180.0
WHOLE_S = 220.0  # of a scenario: real processes and sandboxes, on a machine that may be busy


@dataclass
class Scene:
    """The service, and a runner that can be started, stopped and lost."""

    folder: Path
    records: SqlRecords
    blobs: ObjectBlobs
    stream: NatsStream
    compute: Compute
    jobs: Jobs
    tenancy: Tenancy
    limits: dict[Tenant, int] = field(default_factory=dict)
    shift_us: int = 0  # of the clock
    _running: asyncio.Task[None] | None = None

    def now(self) -> int:
        return now_us() + self.shift_us

    def runner(self, name: str = "here/1", **more: Any) -> Runner:
        folder = str(self.folder)
        options = RunnerOptions(
            name,
            "tests.services.compute.kinds:work",
            lambda order: msgspec.msgpack.encode(Given(folder, order)),
            **more,
        )
        return Runner(
            self.records, self.blobs, self.stream, self.compute, options,
            limit=lambda tenant: self.limits.get(tenant, 10), now=self.now,
        )  # fmt: skip

    @contextlib.asynccontextmanager
    async def running(self, name: str = "here/1", **more: Any) -> AsyncIterator[Runner]:
        runner = self.runner(name, **more)
        task = asyncio.create_task(runner.run())
        try:
            yield runner
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def submit(self, kind: str, tenant: Tenant = MINE, **fields: Any) -> Job:
        params = {n: fields.pop(n) for n in ("text", "number", "folder") if n in fields}
        new = NewJob(kind=kind, params=params, **{"backoff_s": 0.01, **fields})
        return await self.jobs.submit(tenant, new, actor="tester")

    async def ended(self, job: Job) -> Job:
        """The job when it has ended."""
        async with asyncio.timeout(SOON_S):
            async for news in self.jobs.follow(job.tenant, job.id):
                if isinstance(news, Changed) and news.job.state in ENDED:
                    return news.job
        raise AssertionError("it did not end")

    async def until(self, job: Job, holds: Callable[[Job], bool]) -> Job:
        async with asyncio.timeout(SOON_S):
            while True:
                found = await self.jobs.job(job.tenant, job.id)
                if holds(found):
                    return found
                await asyncio.sleep(0.02)

    async def log_of(self, job: Job, attempt: int | None = None) -> str:
        return (await self.jobs.log(job.tenant, job.id, attempt=attempt)).data.decode()


async def _open(server: NatsServer, folder: Path) -> Scene:
    stream = await NatsStream.connect(
        f"nats://127.0.0.1:{server.port}", max_bytes=ROOM, timeout_s=60, call_s=60, **ACCOUNT
    )
    records = SqlRecords(f"sqlite:///{folder / 'records.sqlite'}")
    tenancy = Tenancy(records)
    for tenant in (MINE, OTHER):
        tenancy.tenants.ensure(tenant)
    blobs = ObjectBlobs(folder / "blobs")
    jobs = Jobs(records, blobs, stream, KINDS, most={"memory_mb": 4000})
    compute = LocalCompute(cpus=2, memory_mb=4000, places=2)
    return Scene(folder, records, blobs, stream, compute, jobs, tenancy)


def play(server: NatsServer, folder: Path, scenario: Callable[[Scene], Awaitable[None]]) -> None:
    """Run a scenario on a scene of its own."""

    async def main() -> None:
        scene = await _open(server, folder)
        scene.jobs._now = scene.now
        try:
            async with asyncio.timeout(WHOLE_S):
                await scenario(scene)
        finally:
            await scene.compute.close()
            await scene.stream.close()
            scene.records.close()

    asyncio.run(main())
