"""Run a simulated fleet against a server."""

import asyncio
import resource
from collections.abc import Callable

from carcloud.model.time import SECOND, now_us
from carcloud.simulator import faults
from carcloud.simulator.client import FleetClient
from carcloud.simulator.faults import Truth
from carcloud.simulator.fleet import Fleet
from carcloud.simulator.options import Progress, SimulateOptions, SimulateResult
from carcloud.simulator.truck_messages import phones
from carcloud.simulator.trucks import TruckClient
from carcloud.simulator.vins import vins

__all__ = ["Progress", "SimulateOptions", "SimulateResult", "simulate"]

_SPARE_FILES = 200  # descriptors besides the vehicles' sockets


async def simulate(
    options: SimulateOptions,
    on_progress: Callable[[Progress], None] | None = None,
    *,
    stop: asyncio.Event | None = None,
    on_truth: Callable[[tuple[Truth, ...]], None] | None = None,
) -> SimulateResult:
    """Connect the fleet and report for `options.seconds`, or until `stop` is set.

    `on_progress` is called about once a second, `on_truth` once at the start with the truth about
    the injected faults. At the end it waits, no longer than `options.drain_s`, until the server
    has confirmed what is outstanding. Raises `UnknownFault` or `ValueError` for options that
    cannot be met, `ssl.SSLError` or `OSError` for certificates that cannot be read.
    """
    start = now_us() // SECOND
    plan = faults.plan(options.vehicles, options.seed, options.faults)
    trucks = options.protocol == "jt808"
    names = (phones if trucks else vins)(options.seed, options.vehicles)
    truths = tuple(faults.truths(plan, names, start * SECOND))
    if on_truth is not None:
        on_truth(truths)
    _allow_files(options.vehicles + _SPARE_FILES)
    fleet = Fleet(options.vehicles, options.seed, start, plan)
    client = (TruckClient if trucks else FleetClient)(options, fleet, names)
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    timer = loop.call_later(options.seconds, stop.set) if options.seconds is not None else None
    try:
        await client.run(stop, on_progress or _ignore)
    finally:
        if timer is not None:
            timer.cancel()
    return _result(client, names, truths)


def _result(
    client: FleetClient | TruckClient, names: list[str], truths: tuple[Truth, ...]
) -> SimulateResult:
    tally, at_end = client.tally, client.progress()
    vehicle, seconds = tally.recorded()
    return SimulateResult(
        vehicles=tuple(names),
        elapsed_s=at_end.elapsed_s,
        sent=tally.sent,
        acknowledged=tally.acknowledged,
        reissued=tally.reissued,
        refused=tally.refused,
        unconfirmed=client.unconfirmed,
        held_back=tally.held_back,
        stray_replies=tally.stray,
        lost_connections=tally.lost,
        ack_p50_ms=tally.latencies.percentile_ms(0.50),
        ack_p99_ms=tally.latencies.percentile_ms(0.99),
        truths=truths,
        acknowledged_vehicle=vehicle,
        acknowledged_seconds=seconds,
    )


def _allow_files(wanted: int) -> None:
    """Raise this process's limit of open files as far as it may; more fails on connecting."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        ceiling = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, hard))


def _ignore(progress: Progress) -> None:
    """Nobody wants to know."""
