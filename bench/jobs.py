"""From the submission of a job to the first line of its function, with a warm worker.

Through the service: `Jobs.submit` checks and writes to SQLite and wakes the runner over NATS; the
runner claims the job in a second transaction and gives it to the pool; the worker calls the kind.
One job at a time, 100 after 5 that do not count. Beside it the pool alone, Python's own warm
`ProcessPoolExecutor` (spawned) and a new Python process. All read one clock, the machine's
monotonic one.
"""

import asyncio
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec

from bench.row import Row
from carcloud.engines.blobs_object import ObjectBlobs
from carcloud.engines.compute_local import LocalCompute
from carcloud.engines.lake_delta import DeltaLake
from carcloud.engines.records_sql import SqlRecords
from carcloud.engines.stream_nats import NatsServer, NatsStream
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.ports.compute import Compute, Desk, Need, Work
from carcloud.services.compute.api import (
    ENDED,
    Bounds,
    Context,
    Jobs,
    Kind,
    Kinds,
    NewJob,
    Runner,
    RunnerOptions,
    Stores,
    perform,
)
from carcloud.services.storage.api import Storage
from carcloud.services.tenancy.api import Tenancy

WARM_UP, JOBS, SMALL_JOBS = 5, 100, 15
_ACCOUNT = {"user": "u", "password": "p" * 24}
_stores: dict[str, Stores] = {}


class Nothing(msgspec.Struct, frozen=True):
    """No parameters."""


def now_ns(_context: Context[Nothing]) -> int:
    """When the function of a job began."""
    return time.monotonic_ns()


KINDS = Kinds([Kind("now", "When it began", Nothing, now_ns)])


def bare(_desk: Desk, _argument: bytes) -> bytes:
    """The same without a service."""
    return str(time.monotonic_ns()).encode()


def plain() -> int:
    """The same for Python's own pool."""
    return time.monotonic_ns()


def prepare(folder: str) -> None:
    """In a new worker: open the engines, as the jobs role does."""
    place = Path(folder)
    records = SqlRecords(f"sqlite:///{place / 'records.sqlite'}")
    blobs = ObjectBlobs(place / "blobs")
    lake = DeltaLake(place / "tenants")
    _stores[folder] = Stores(records, lake, blobs, Storage(records, blobs))


def work(desk: Desk, argument: bytes) -> bytes:
    """One job."""
    folder, order = msgspec.msgpack.decode(argument)
    return perform(order, desk.tell, KINDS, _stores[folder], Bounds())


def rows(small: bool = False) -> list[Row]:
    """The figures."""
    count = SMALL_JOBS if small else JOBS
    with tempfile.TemporaryDirectory(prefix="carcloud-bench-") as folder:
        server = NatsServer.start(Path(folder, "nats"), max_bytes=1 << 30, **_ACCOUNT)
        with server:
            server.ready()
            service = asyncio.run(_service(server, folder, count))
    pool = asyncio.run(_pool(count))
    peer, fresh = _executor(count), _fresh(min(count, 20))
    return [
        Row("job start, through the service, median", _median(service), "ms", "<= 50"),
        Row("job start, through the service, 95th percentile", _p95(service), "ms"),
        Row(
            "job start, the pool alone, median", _median(pool), "ms",
            peer=f"warm ProcessPoolExecutor: {_median(peer):.2g} ms",
            ratio=_median(peer) / _median(pool),
        ),
        Row("a new Python process instead, median", _median(fresh), "ms"),
    ]  # fmt: skip


async def _service(server: NatsServer, folder: str, count: int) -> list[float]:
    records = SqlRecords(f"sqlite:///{Path(folder, 'records.sqlite')}")
    Tenancy(records).tenants.ensure(DEFAULT_TENANT)
    blobs = ObjectBlobs(Path(folder, "blobs"))
    stream = await NatsStream.connect(
        f"nats://127.0.0.1:{server.port}", max_bytes=1 << 30, **_ACCOUNT
    )
    compute = LocalCompute(prepare=("bench.jobs:prepare", folder))
    options = RunnerOptions(
        "bench/1", "bench.jobs:work", lambda order: msgspec.msgpack.encode((folder, order))
    )
    runner = Runner(records, blobs, stream, compute, options, limit=lambda _tenant: 10)
    task = asyncio.create_task(runner.run())
    jobs = Jobs(records, blobs, stream, KINDS)
    taken = [await _one(jobs) for _ in range(WARM_UP + count)][WARM_UP:]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await compute.close()
    await stream.close()
    records.close()
    return taken


async def _one(jobs: Jobs) -> float:
    """ms from submission to the first line of the function."""
    began = time.monotonic_ns()
    job = await jobs.submit(DEFAULT_TENANT, NewJob("now"), actor="bench")
    while job.state not in ENDED:
        await asyncio.sleep(0.02)
        job = await jobs.job(DEFAULT_TENANT, job.id)
    assert job.error is None, job.error
    return (int(job.result) - began) / 1e6


async def _pool(count: int) -> list[float]:
    compute = LocalCompute()
    taken = await _times(compute, count)
    await compute.close()
    return taken


async def _times(compute: Compute, count: int) -> list[float]:
    taken = []
    for number in range(WARM_UP + count):
        began = time.monotonic_ns()
        need = Need(memory_mb=100)
        run = await compute.submit(Work(f"{os.getpid()}-{number}", "bench.jobs:bare", b"", need))
        taken.append((int((await run.wait()).value) - began) / 1e6)
    return taken[WARM_UP:]


def _executor(count: int) -> list[float]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return _timed(lambda: pool.submit(plain).result(), count)


def _fresh(count: int) -> list[float]:
    line = [sys.executable, "-c", "import time; print(time.monotonic_ns())"]
    return _timed(lambda: int(subprocess.check_output(line)), count)


def _timed(begin: Callable[[], int], count: int) -> list[float]:
    taken = []
    for _ in range(WARM_UP + count):
        began = time.monotonic_ns()
        taken.append((begin() - began) / 1e6)
    return taken[WARM_UP:]


def _median(taken: list[float]) -> float:
    return statistics.median(taken)


def _p95(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=20)[-1]
