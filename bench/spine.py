"""The spine end to end: decode, sustained load, acknowledgement, freshness, many vehicles, lake.

Everything runs on this machine: the cloud's processes (embedded NATS with an fsync for each
publish, Delta lake on the local disk), the load generator and the measuring client. The load
generator is a process of its own; every vehicle has its own TCP connection, and a frame counts
only when its own reply has come back, which is sent after the frame is synced to disk in the
stream. At the end every acknowledged frame is looked for in the lake by vehicle and collection
time, and every row is checked for being there once.

Freshness: a second, small fleet reports at wall-clock time while the load runs; a client asks the
HTTP API in SQL four times a second (a query costs tens of ms of the same two cores). The figure is
the 99th percentile from the gateway's receipt to the first answer that contains the row, plus the
99th percentile of the acknowledgement, which bounds the time from sending to receipt. Memory is the
proportional set size of all processes. The start is that of the command `carcloud up`, from the
shell's point of view: interpreter, imports, engines, all roles.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvloop

from bench import decode, lake
from bench.row import Row
from bench.site import ROOT, Site, acked_arrays, load, site
from carcloud.demo.freshness import FreshnessProbe
from carcloud.simulator.options import SimulateOptions, SimulateResult
from carcloud.simulator.run import simulate

_ADDRESSES = tuple(f"127.0.0.{n}" for n in range(1, 6))  # source addresses of many vehicles


def rows(small: bool = False) -> Iterator[Any]:
    """All figures of the spine; small: seconds instead of minutes, worth nothing."""
    yield from decode.rows(small)
    yield from _sustained(20_500, 5 if small else 60)
    yield from _half_load(10_000, 6 if small else 40)
    yield from _start(1 if small else 5)
    yield from _many(500 if small else 20_000, 15 if small else 300)
    yield from lake.rows(small)


def _sustained(rate: float, seconds: float) -> list[Row]:
    with site() as cloud:
        figures, kept = load(cloud, rate=rate, seconds=seconds, vehicles=2_000)
        found = cloud.reckoning(*acked_arrays(kept))
    acked = figures["acknowledged"]
    return [
        Row(
            f"acknowledged and stored, 2,000 connections, {figures['frame_bytes']:.0f}-byte frames",
            round(figures["sustained"]), "frames/s", ">= 20,000",
        ),
        Row("of these missing in the lake", found.missing, "frames", "<= 0"),
        Row("of these twice in the lake", found.duplicates, "frames", "<= 0"),
        Row("frames of that run", acked, "frames"),
    ]  # fmt: skip


def _half_load(rate: float, seconds: float) -> list[Row]:
    with site() as cloud:
        probe = _Fleet(cloud, 50)
        probe.start()
        try:
            fleet, _ = load(cloud, rate=rate, seconds=seconds, vehicles=2_000)
        finally:
            probe.stop()
    visible = probe.freshness.percentile_ms(0.99) or float("nan")
    bound = (visible + probe.result.ack_p99_ms) / 1000
    return [
        Row(
            f"acknowledgement p99 at {rate:,.0f} frames/s",
            round(fleet["ack_p99_ms"], 1), "ms", "<= 100",
        ),
        Row(f"acknowledgement p50 at {rate:,.0f} frames/s", round(fleet["ack_p50_ms"], 1), "ms"),
        Row("frame sent to SQL answer contains it, p99", round(bound, 2), "s", "<= 2"),
        Row(
            "the same, p50",
            round((probe.freshness.percentile_ms(0.5) or float("nan")) / 1000, 2), "s",
        ),
    ]  # fmt: skip


class _Fleet:
    """A small fleet at wall-clock time, and the probe that looks for its rows."""

    result: SimulateResult

    def __init__(self, cloud: Site, vehicles: int) -> None:
        token = cloud.supervisor.run.local_token()
        self.freshness = FreshnessProbe(cloud.url, token)
        self._options = SimulateOptions(port=cloud.port, vehicles=vehicles, seed=99)
        self._thread = threading.Thread(target=lambda: uvloop.run(self._run()))
        self._stop = threading.Event()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    async def _run(self) -> None:
        from carcloud.simulator.vins import vins

        stop = asyncio.Event()
        names = vins(self._options.seed, self._options.vehicles)
        probing = asyncio.create_task(self.freshness.run(names))
        running = asyncio.create_task(simulate(self._options, stop=stop))
        await asyncio.to_thread(self._stop.wait)
        probing.cancel()
        stop.set()
        self.result = await running


def _many(vehicles: int, seconds: float) -> list[Row]:
    # Two processes on each side: a process of this machine may open 20,000 files at most.
    with site(gateway__processes=2) as cloud:
        fleets = [
            subprocess.Popen(
                [
                    sys.executable, "-m", "bench.fleet", str(cloud.port), str(vehicles // 2),
                    str(seconds), str(seed), *_ADDRESSES,
                ],
                cwd=ROOT, stdout=subprocess.PIPE, text=True,
            )
            for seed in (1, 2)
        ]  # fmt: skip
        told = [json.loads(fleet.communicate()[0]) for fleet in fleets]
        peak, by_role = cloud.peak_bytes, cloud.peak_by_role
    shares = ", ".join(f"{role} {size / 1e6:.0f}" for role, size in sorted(by_role.items()))
    connected = sum(one["connected"] for one in told)
    what = f"{connected:,} vehicles connected, one frame each 10 s, {told[0]['seconds']:.0f} s"
    return [
        Row(f"{what}: memory of all processes ({shares} MB)", round(peak / 1e9, 2), "GB", "<= 2"),
        Row(
            f"{what}: lost connections",
            sum(one["lost_connections"] for one in told), "connections", "<= 0",
        ),
        Row(f"{what}: frames acknowledged", sum(one["acknowledged"] for one in told), "frames"),
        Row(
            f"{what}: not acknowledged",
            sum(one["unconfirmed"] for one in told), "frames", "<= 0",
        ),
    ]  # fmt: skip


def _start(times: int) -> list[Row]:
    """From the command to the line that says how to stop it, with a data folder that is there."""
    with tempfile.TemporaryDirectory(prefix="carcloud-bench-") as data:
        taken = [_started(data) for _ in range(times + 1)]
    return [
        Row("first start of `carcloud up` to ready", round(taken[0], 2), "s"),
        Row(
            "start of `carcloud up` to ready, median",
            round(statistics.median(taken[1:]), 2), "s", "<= 5",
        ),
    ]  # fmt: skip


def _started(data: str) -> float:
    began = time.monotonic()
    listeners = ("web", "storage", "gateway.gbt32960", "gateway.jt808", "gateway.mqtt")
    any_port = [f"--set={name}.port=0" for name in listeners]
    process = subprocess.Popen(
        [sys.executable, "-m", "carcloud", *any_port, "up", f"--data={data}"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        if not any("Ctrl-C" in line for line in process.stdout):
            raise RuntimeError("the cloud did not start")
        return time.monotonic() - began
    finally:
        process.terminate()
        process.wait(120)
