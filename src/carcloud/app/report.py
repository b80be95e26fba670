"""Each process tells of itself once a second on `status.<role>.<instance>`."""

import asyncio
import json
import logging
import os
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from carcloud import __version__
from carcloud.model.streams import status_subject
from carcloud.model.time import now_us
from carcloud.ports.errors import EngineError
from carcloud.ports.stream import Stream

log = logging.getLogger(__name__)

_WEIGH_S = 10.0  # between two looks at the memory: the kernel walks through all of it each time


@dataclass(frozen=True, slots=True)
class Figures:
    """What a role tells: counters only grow, gauges may fall, problems by code.

    A problem of one tenant, by (code, tenant), is told to nobody else's people.
    """

    counters: Mapping[str, float]
    gauges: Mapping[str, float]
    problems: Mapping[str, str] = field(default_factory=dict)
    of_tenants: Mapping[tuple[str, str], str] = field(default_factory=dict)


class Reporter:
    """Broadcasts a role's figures until cancelled."""

    def __init__(
        self, stream: Stream, role: str, instance: str, figures: Callable[[], Figures]
    ) -> None:
        self._stream = stream
        self._role = role
        self._instance = instance
        self._figures = figures
        self._started = self._weighed = time.monotonic()
        self._memory = memory_bytes()
        self._since: dict[tuple[str, str | None], int] = {}  # us, by code and tenant

    async def run(self) -> None:
        """Tell once a second; a stream that is away is no reason to stop."""
        subject = status_subject(self._role, self._instance)
        while True:
            try:
                await self._stream.broadcast(subject, json.dumps(self.report()).encode())
            except EngineError as error:
                log.debug("status not told: %s", error)
            await asyncio.sleep(1)

    def report(self) -> dict[str, Any]:
        """The figures of this moment."""
        figures = self._figures()
        present: dict[tuple[str, str | None], str] = {
            (code, None): detail for code, detail in figures.problems.items()
        }
        present |= {(code, tenant): told for (code, tenant), told in figures.of_tenants.items()}
        self._since = {key: self._since.get(key) or now_us() for key in present}
        return {
            "role": self._role,
            "instance": self._instance,
            "pid": os.getpid(),
            "uptime_s": round(time.monotonic() - self._started, 1),
            "memory_bytes": self._memory_bytes(),
            "version": __version__,
            "counters": dict(figures.counters),
            "gauges": dict(figures.gauges),
            "problems": [
                {
                    "code": code,
                    "detail": detail,
                    "since": self._since[code, tenant],
                    "tenant": tenant,
                }
                for (code, tenant), detail in present.items()
            ],
        }

    def _memory_bytes(self) -> int:
        if time.monotonic() - self._weighed > _WEIGH_S:
            self._memory, self._weighed = memory_bytes(), time.monotonic()
        return self._memory


def memory_bytes(pid: int | None = None) -> int:
    """Memory of a process now: its own and its share of what it shares (PSS).

    Resident memory where the system does not tell the shares; 0 for a process that has ended.
    """
    try:
        lines = Path(f"/proc/{pid or 'self'}/smaps_rollup").read_text().splitlines()
    except OSError:
        return _resident_bytes(pid)
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024


def _resident_bytes(pid: int | None) -> int:
    try:
        text = Path(f"/proc/{pid or 'self'}/statm").read_text()
    except OSError:
        return 0 if pid else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")
