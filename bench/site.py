"""A whole cloud on this machine for benchmarks: real processes in a folder of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from carcloud.app.engines import open_lake
from carcloud.app.first_start import prepare
from carcloud.app.report import memory_bytes
from carcloud.config import Settings
from carcloud.demo.reckoning import Reckoning, reckon
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.supervisor import Supervisor

ROOT = Path(__file__).parents[1]
SETTLE_S = 60.0
_LOOK_S = 5


@dataclass
class Site:
    """A running cloud and what was seen of it."""

    settings: Settings
    supervisor: Supervisor
    started_s: float
    peak_bytes: int = 0
    peak_by_role: dict[str, int] = field(default_factory=dict)
    watching: bool = True

    @property
    def port(self) -> int:
        """The GB/T 32960 port."""
        return self.supervisor.settings.whole("gateway.gbt32960.port")

    @property
    def url(self) -> str:
        """The console and API."""
        return str(self.supervisor.run.facts("web")["url"])

    def reckoning(self, vins: tuple[str, ...], car: Any, seconds: Any) -> Reckoning:
        """The lake against what was acknowledged, once it has stopped growing and has all, or
        after `SETTLE_S`."""
        lake, before = open_lake(self.settings), -1
        deadline = time.monotonic() + SETTLE_S
        while True:
            stored = sum(t.rows for t in lake.tables(DEFAULT_TENANT) if t.name == "signals")
            if stored == before or time.monotonic() > deadline:
                found = reckon(lake, DEFAULT_TENANT, vins, car, seconds)
                if not found.missing or time.monotonic() > deadline:
                    return found
            before = stored
            time.sleep(2)

    def look(self) -> None:
        """Note the memory of all processes (proportional set size)."""
        now = {role: memory_bytes(pid) for role, pid in self.supervisor.pids().items()}
        if sum(now.values()) > self.peak_bytes:
            self.peak_bytes, self.peak_by_role = sum(now.values()), now


@contextmanager
def site(**settings: Any) -> Iterator[Site]:
    """A cloud with replies to reports and automatic registration, looked after by a thread.

    `roles` is what runs of it, as in the setting; the stream always does.
    """
    data = Path(
        tempfile.mkdtemp(prefix="carcloud-bench-", dir=os.environ.get("CARCLOUD_BENCH_DIR"))
    )
    chosen = Settings(
        {
            "data": str(data),
            "web.port": 0,
            "storage.port": 0,
            "gateway.gbt32960.port": 0,
            "gateway.jt808.port": 0,
            "gateway.mqtt.port": 0,
            "gateway.auto_register": True,
            "gateway.gbt32960.reply_reports": True,
            "log.level": "warning",
            **{name.replace("__", "."): value for name, value in settings.items()},
        }
    )
    prepare(chosen)
    supervisor = Supervisor(chosen, chosen.text("roles").split(","))
    began = time.monotonic()
    try:
        supervisor.start()
        running = Site(chosen, supervisor, time.monotonic() - began)
        watcher = threading.Thread(target=_watch, args=(running,), daemon=True)
        watcher.start()
        yield running
        running.watching = False
        watcher.join()
    finally:
        supervisor.stop()
        shutil.rmtree(data, ignore_errors=True)


def _watch(running: Site) -> None:
    while running.watching:
        running.look()
        for _ in range(_LOOK_S):  # a look costs 0.1 s of the processor that the cloud needs
            if running.watching:
                time.sleep(1)


def load(site: Site, **options: Any) -> tuple[dict[str, Any], Any]:
    """Run the load generator as a process; (figures, the confirmed frames)."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "acked.npz"
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        done = subprocess.run(
            [sys.executable, "-m", "bench.load", str(site.port), f"--acked={file}", *arguments],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        with np.load(file) as found:
            kept = {name: found[name] for name in ("vins", "start", "acked")}
    return json.loads(done.stdout), kept


def acked_arrays(kept: dict[str, Any]) -> tuple[tuple[str, ...], Any, Any]:
    """(VINs, index into them, UTC seconds) of what a load run had confirmed."""
    car, number = kept["acked"].nonzero()
    seconds = (number + int(kept["start"])).astype(np.uint32)
    return tuple(kept["vins"].tolist()), car.astype(np.uint32), seconds
