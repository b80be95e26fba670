"""A cluster under `kill -9`: do frames keep flowing, and is anything lost or doubled?

Three NATS servers that keep each message three times, PostgreSQL, an S3 server (SeaweedFS) with
the lake, and two hosts, each with a gateway and an ingest, all on this machine. Two simulated
fleets report once a second, one to each gateway. Every NATS server, gateway and ingest is killed
with SIGKILL once, in shuffled order; each time it is measured how long it takes until both
further reports are acknowledged and further rows are in the lake. At the end the lake is compared
with what the vehicles had acknowledged.
"""

import asyncio
import random
import threading
import time
from dataclasses import dataclass, field

import numpy as np
import uvloop

from bench.cluster_site import Cluster, cluster
from bench.row import Row
from carcloud.app.engines import open_lake
from carcloud.demo.reckoning import Acknowledged, Reckoning, reckon_fleets
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.model.time import SECOND
from carcloud.ports.errors import EngineError
from carcloud.ports.lake import Lake
from carcloud.simulator.options import Progress, SimulateOptions, SimulateResult
from carcloud.simulator.run import simulate

_MOST_S = 30.0  # waited for frames to flow again
_RESTART_S = 60.0  # longest until a process that has ended by itself runs again


@dataclass(slots=True)
class Fleet:
    """A fleet that reports to one gateway, so long as its options say and on until it may end."""

    options: SimulateOptions
    seconds: float
    acknowledged: int = 0
    may_end: bool = False
    results: list[SimulateResult] = field(default_factory=list)
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        uvloop.run(self._report())

    async def _report(self) -> None:
        stop = asyncio.Event()

        def tell(now: Progress) -> None:
            self.acknowledged = now.acknowledged
            if self.may_end and now.elapsed_s >= self.seconds:
                stop.set()

        self.results.append(await simulate(self.options, tell, stop=stop))


def rows(small: bool = False) -> list[Row]:
    """Pauses after each kill, and what was lost or doubled."""
    vehicles, seconds = (15, 45) if small else (200, 90)
    with cluster() as running:
        lake = open_lake(running.hosts[0].settings)
        fleets = [
            Fleet(_options(running.port(host), vehicles, seed=host + 1), seconds)
            for host in range(2)
        ]
        try:
            pauses = _kill_each(running, fleets, lake)
        finally:
            for fleet in fleets:
                fleet.may_end = True
        while any(fleet.thread.is_alive() for fleet in fleets):
            running.tend()
            time.sleep(0.2)
        missing, doubled, stored = _compare(running, fleets, lake)
        lake.close()
    results = [fleet.results[0] for fleet in fleets]
    return [
        *(Row(f"frames flow again after the end of {name}", pause, "s", "<= 10")
          for name, pause in pauses.items()),
        Row("reports acknowledged", sum(r.acknowledged for r in results), "reports"),
        Row("rows stored", stored, "rows"),
        Row("acknowledged but missing in the lake", missing, "reports", "<= 0"),
        Row("twice in the lake", doubled, "reports", "<= 0"),
        Row("never acknowledged", sum(r.unconfirmed for r in results), "reports", "<= 0"),
    ]  # fmt: skip


def _options(port: int, vehicles: int, seed: int) -> SimulateOptions:
    return SimulateOptions(
        port=port, vehicles=vehicles, seed=seed, backoff_s=(0.2, 2.0),
        drain_s=90, reply_timeout_s=15,
    )  # fmt: skip


def _kill_each(running: Cluster, fleets: list[Fleet], lake: Lake) -> dict[str, float]:
    """Kill every process once; how long frames did not flow, in s, by process."""
    _flows(running, fleets, lake)
    victims = sorted(running.pids())
    random.Random().shuffle(victims)
    pauses: dict[str, float] = {}
    for name in victims:
        deadline = time.monotonic() + _RESTART_S
        while not running.kill(name):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} has not been started again in {_RESTART_S:g} s")
            _tend(running, 0.1)
        pauses[name] = _flows(running, fleets, lake)
        _tend(running, 2.5)  # a NATS server must have caught up before the next goes
    return pauses


def _tend(running: Cluster, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        running.tend()
        time.sleep(0.1)


def _flows(running: Cluster, fleets: list[Fleet], lake: Lake) -> float:
    """Seconds until reports are acknowledged and rows stored that were not there at the call."""
    began = time.monotonic()
    acknowledged, stored = sum(fleet.acknowledged for fleet in fleets), _stored(lake)
    while True:
        running.tend()
        more = sum(fleet.acknowledged for fleet in fleets) > acknowledged
        took = time.monotonic() - began
        if took > _MOST_S or (more and _stored(lake) > stored):
            return took
        time.sleep(0.05)


def _stored(lake: Lake) -> int:
    try:
        return sum(table.rows for table in lake.tables(DEFAULT_TENANT) if table.name == "signals")
    except EngineError:
        return 0


def _compare(running: Cluster, fleets: list[Fleet], lake: Lake) -> tuple[int, int, int]:
    """(missing, twice, stored) once the lake has stopped growing."""
    told = [
        Acknowledged(
            result.vehicles,
            result.acknowledged_vehicle,
            result.acknowledged_seconds.astype(np.int64) * SECOND,
        )
        for result in (fleet.results[0] for fleet in fleets)
    ]
    found: tuple[Reckoning, ...] = ()
    for _ in range(60):
        running.tend()
        before = found
        try:
            found = reckon_fleets(lake, DEFAULT_TENANT, told)
        except EngineError:  # the bucket answers late
            found = ()
        if found and found == before and not any(each.missing for each in found):
            break
        time.sleep(1)
    if not found:
        raise RuntimeError("the lake cannot be read")
    return (
        sum(each.missing for each in found),
        sum(each.duplicates for each in found),
        sum(each.stored for each in found),
    )
