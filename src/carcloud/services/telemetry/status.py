"""How the cloud is doing, from what each process tells of itself once a second."""

import asyncio
import itertools
import json
import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from carcloud.model.figures import by_label, labelled
from carcloud.model.ids import Tenant
from carcloud.model.streams import FRAMES, status_subject
from carcloud.model.time import now_us
from carcloud.ports.errors import EngineError
from carcloud.ports.stream import Stream
from carcloud.services.telemetry.metrics import BY_NAME, family
from carcloud.services.telemetry.types import Disk, Problem, Role, Status

_OF_TENANT = 'tenant="'  # in a figure of one tenant

log = logging.getLogger(__name__)

SILENT_S = 5.0  # s without a word after which a process counts as dead
FORGET_S = 600.0  # s after which a dead process leaves the list
RATE_S = 5.0  # s over which rates are averaged
LOOK_S = 2.0  # s between looks at the free disk and the stream
SIZE_S = 15.0  # s between measurements of the data folder
ANSWER_S = 4.0  # s that the stream has to answer
ALWAYS_ON = ("gateway", "ingest")


class ReportedProblem(msgspec.Struct, frozen=True):
    """A problem as a process reports it; `since` in us."""

    code: str
    detail: str = ""
    since: int | float = 0
    tenant: str | None = None  # whose it is; None = everybody's


class Report(msgspec.Struct, frozen=True):
    """What a process tells of itself on `status.<role>.<instance>`."""

    role: str
    instance: str
    pid: int = 0
    uptime_s: float = 0.0
    memory_bytes: int = 0
    version: str = ""
    counters: dict[str, float] = {}
    gauges: dict[str, float] = {}
    problems: list[ReportedProblem] = []


@dataclass(slots=True)
class _Process:
    """The last report of a process and its counters over the last seconds."""

    report: Report
    heard: float  # monotonic s
    heard_us: int
    past: list[tuple[float, Mapping[str, float]]] = field(default_factory=list)

    def hear(self, report: Report, now: float) -> None:
        if report.pid != self.report.pid:
            self.past.clear()  # restarted: its counters began again
        self.report, self.heard, self.heard_us = report, now, now_us()
        self.past.append((now, report.counters))
        while len(self.past) > 2 and now - self.past[1][0] >= RATE_S:
            del self.past[0]

    def alive(self, now: float) -> bool:
        return now - self.heard < SILENT_S

    def rate(self, counter: str, now: float) -> float:
        """Growth of a counter a second."""
        if len(self.past) < 2 or not self.alive(now):
            return 0.0
        (t0, first), (t1, last) = self.past[0], self.past[-1]
        grown = last.get(counter, 0.0) - first.get(counter, 0.0)
        return max(0.0, grown / (t1 - t0)) if t1 > t0 else 0.0


class StatusBoard:
    """Listens to the processes and answers with a `Status`."""

    def __init__(self, stream: Stream, data: Path, reserve_mb: int) -> None:
        self._stream = stream
        self._data = data
        self._reserve = reserve_mb * 1_000_000
        self._processes: dict[tuple[str, str], _Process] = {}
        self._disk = Disk(0, 0)
        self._disk_low_since: int | None = None
        self._stream_down: Problem | None = None
        self._stream_back = -SILENT_S  # monotonic s
        self._missing_since: dict[str, int] = {}
        self._stop: Callable[[], Awaitable[None]] | None = None
        self._watches: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listen from now on; raises `Unavailable`."""

        async def on_report(_subject: str, data: bytes) -> None:
            self.hear(data)

        self._stop = await self._stream.listen(status_subject("*", "*"), on_report)
        await asyncio.to_thread(self.look_at_disk)
        works = (self._watch_disk, self._watch_stream)
        self._watches = [asyncio.create_task(work()) for work in works]

    async def stop(self) -> None:
        """Listen no more."""
        for watch in self._watches:
            watch.cancel()
        if self._stop is not None:
            await self._stop()

    def hear(self, data: bytes) -> None:
        """Take one report, JSON of `Report`; what cannot be read is logged and left."""
        try:
            report = msgspec.json.decode(data, type=Report, strict=False)
        except msgspec.MsgspecError as error:
            log.warning("a status report cannot be read: %s", error)
            return
        key, now = (report.role, report.instance), time.monotonic()
        process = self._processes.setdefault(key, _Process(report, now, now_us()))
        process.hear(report, now)

    def look_at_disk(self) -> None:
        """Measure the data folder and the room beside it. Blocks."""
        self.look_at_room()
        self._disk = Disk(_size(self._data), self._disk.free_bytes)

    def look_at_room(self) -> None:
        """Measure the room beside the data folder alone."""
        free = shutil.disk_usage(self._data).free
        self._disk = Disk(self._disk.used_bytes, free)
        low = free < self._reserve
        self._disk_low_since = (self._disk_low_since or now_us()) if low else None

    async def look_at_stream(self) -> None:
        """Ask the stream whether it is there."""
        try:
            await asyncio.wait_for(self._stream.info(FRAMES.name), ANSWER_S)
        except (EngineError, TimeoutError) as error:
            since = self._stream_down.since_us if self._stream_down else now_us()
            detail = f"vehicles are not acknowledged: {error or 'no answer in time'}"
            self._stream_down = Problem("stream-down", since, detail)
        else:
            if self._stream_down is not None:
                self._stream_back = time.monotonic()
            self._stream_down = None

    def status(self, vehicles: int, dead_letters: int, tenant: Tenant | None = None) -> Status:
        """The present state: counts and problems are the tenant's, rates those of all.

        Without a tenant, those who are connected and the problems of all.
        """
        now = time.monotonic()
        self._forget(now)
        freshness = [g for g in self._gauges("ingest", "freshness_ms", now)]
        return Status(
            time_us=now_us(),
            connected=self._online("vehicles_online", tenant, now),
            platforms=self._online("platforms_online", tenant, now),
            vehicles=vehicles,
            frames_per_second=round(self._rate("gateway", "frames_total", now), 1),
            stored_per_second=round(self._rate("ingest", "stored_total", now), 1),
            freshness_ms=max(freshness) if freshness else None,
            lag_frames=int(sum(self._gauges("ingest", "lag_frames", now))),
            dead_letters=dead_letters,
            disk=self._disk,
            problems=[
                problem
                for problem in self._problems(now)
                if tenant is None or problem.tenant in (None, tenant)
            ],
            roles=[_role(process, now) for _, process in sorted(self._processes.items())],
        )

    def exposition(self, *, tenants: bool = True) -> str:
        """Counters and gauges of all processes in Prometheus' text format 0.0.4; without
        `tenants` those of single tenants are left out."""
        now = time.monotonic()
        self._forget(now)
        families: dict[tuple[str, str], list[str]] = {}
        for (role, instance), process in sorted(self._processes.items()):
            labels = f'role="{_label(role)}",instance="{_label(instance)}"'
            for kind, key, value in _measures(process, now):
                if not tenants and _OF_TENANT in key:
                    continue
                of = families.setdefault((family(key), kind), [])
                of.append(_sample(key, labels, value))
        for key, value in self._own(now).items():
            families.setdefault((family(key), "gauge"), []).append(_sample(key, "", value))
        return "".join(_family(*named, of) for named, of in sorted(families.items()))

    def _own(self, now: float) -> dict[str, float]:
        """What the board itself measures."""
        problems = Counter(problem.code for problem in self._problems(now))
        return {
            "disk_used_bytes": self._disk.used_bytes,
            "disk_free_bytes": self._disk.free_bytes,
            "stream_up": float(self._stream_down is None),
            **by_label("problems", "code", problems),
        }

    def _gauges(self, role: str, name: str, now: float) -> list[float]:
        return [
            process.report.gauges[name]
            for (its_role, _), process in self._processes.items()
            if its_role == role and process.alive(now) and name in process.report.gauges
        ]

    def _online(self, name: str, tenant: Tenant | None, now: float) -> int:
        """Sum over gateways of a gauge that is labelled by tenant."""
        wanted = None if tenant is None else labelled(name, tenant=tenant)
        return int(
            sum(
                value
                for (role, _), process in self._processes.items()
                if role == "gateway" and process.alive(now)
                for key, value in process.report.gauges.items()
                if (key == wanted if wanted else family(key) == name)
            )
        )

    def _rate(self, role: str, counter: str, now: float) -> float:
        return sum(p.rate(counter, now) for (r, _), p in self._processes.items() if r == role)

    def _problems(self, now: float) -> list[Problem]:
        problems: list[Problem] = []
        if self._disk_low_since is not None:
            detail = (
                f"{self._disk.free_bytes // 1_000_000} MB are free, disk.reserve_mb keeps "
                f"{self._reserve // 1_000_000}: vehicles are not acknowledged"
            )
            problems.append(Problem("disk-full", self._disk_low_since, detail))
        if self._stream_down is not None:
            return [*problems, self._stream_down]  # nobody can be heard: of them nothing is known
        for (role, instance), process in sorted(self._processes.items()):
            if not process.alive(now):
                if now - self._stream_back < SILENT_S:
                    continue  # the stream has only just come back
                detail = f"{role} {instance} has been silent for {now - process.heard:.0f} s"
                problems.append(Problem("role-silent", process.heard_us, detail))
            else:
                for told in process.report.problems:
                    since = int(told.since) or process.heard_us
                    problems.append(Problem(told.code, since, told.detail, told.tenant))
        return problems + self._missing()

    def _missing(self) -> list[Problem]:
        """Roles of which no process was ever heard."""
        problems = []
        for role in ALWAYS_ON:
            if any(its_role == role for its_role, _ in self._processes):
                self._missing_since.pop(role, None)
            else:
                since = self._missing_since.setdefault(role, now_us())
                if now_us() - since >= SILENT_S * 1_000_000:
                    problems.append(Problem("role-missing", since, f"no {role} is running"))
        return problems

    def _forget(self, now: float) -> None:
        """A dead process whose role lives on in another, or that is long dead, is dropped."""
        living = {role for (role, _), p in self._processes.items() if p.alive(now)}
        for key, process in list(self._processes.items()):
            silent = now - process.heard
            if silent > FORGET_S or (silent > SILENT_S and key[0] in living):
                del self._processes[key]

    async def _watch_disk(self) -> None:
        for turn in itertools.count(1):
            await asyncio.sleep(LOOK_S)
            measured = turn % (SIZE_S // LOOK_S) == 0
            try:
                await asyncio.to_thread(self.look_at_disk if measured else self.look_at_room)
            except OSError as error:
                log.warning("the data folder cannot be measured: %s", error)
            except Exception:  # the next look may succeed
                log.exception("the data folder cannot be measured")

    async def _watch_stream(self) -> None:
        while True:
            try:
                await self.look_at_stream()
            except Exception:  # the next look may succeed
                log.exception("the stream cannot be looked at")
            await asyncio.sleep(LOOK_S)


def report_json(report: Report) -> bytes:
    """The bytes that a process broadcasts."""
    return json.dumps(msgspec.to_builtins(report)).encode()


def _role(process: _Process, now: float) -> Role:
    report = process.report
    return Role(
        report.role,
        report.instance,
        report.pid,
        report.uptime_s,
        report.memory_bytes,
        process.alive(now),
        report.version,
    )


def _measures(process: _Process, now: float) -> list[tuple[str, str, float]]:
    """(kind, key, value) of everything one process reports."""
    report = process.report
    return [
        ("gauge", "up", float(process.alive(now))),
        ("gauge", "uptime_seconds", report.uptime_s),
        ("gauge", "memory_bytes", float(report.memory_bytes)),
        *((_counted(key), key, value) for key, value in report.counters.items()),
        *(("gauge", key, value) for key, value in report.gauges.items()),
    ]


def _counted(key: str) -> str:
    known = BY_NAME.get(family(key))
    return "histogram" if known is not None and known.kind == "histogram" else "counter"


def _sample(key: str, labels: str, value: float) -> str:
    """One line: the labels of the figure itself stand before those of the process."""
    name, _, own = key.partition("{")
    inner = ",".join(part for part in (own.removesuffix("}"), labels) if part)
    return f"{_metric(name)}{{{inner}}} {value:.17g}" if inner else f"{_metric(name)} {value:.17g}"


def _family(name: str, kind: str, samples: list[str]) -> str:
    known = BY_NAME.get(name)
    told = known.help if known is not None else name.replace("_", " ")
    full = _metric(name)
    return "\n".join([f"# HELP {full} {told}", f"# TYPE {full} {kind}", *samples]) + "\n"


def _metric(name: str) -> str:
    return "carcloud_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in name)


def _label(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _size(folder: Path) -> int:
    """Bytes of all files below; files that vanish meanwhile count nothing."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(where) / name).lstat().st_size
            except OSError:
                continue
    return total
