"""How long a frame takes until a SQL query finds it, measured through the HTTP API."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import httpx
import numpy as np

from carcloud.model.time import iso, now_us

_SAMPLE = 20  # vehicles that are looked for
_EVERY_S = 0.25
_LOOK_BACK_US = 15_000_000


@dataclass(slots=True)
class FreshnessProbe:
    """Asks again and again for the newest rows of some vehicles and notes when they appear.

    A latency runs from the gateway's receipt of the frame to the arrival of the first answer
    that contains it, so the time between two questions is part of it.
    """

    url: str
    token: str
    latencies_ms: list[float] = field(default_factory=list)
    _seen: set[tuple[str, str]] = field(default_factory=set)
    _first: bool = True

    async def run(self, vehicles: Sequence[str]) -> None:
        """Measure until cancelled."""
        step = max(1, len(vehicles) // _SAMPLE)
        names = ", ".join(f"'{name}'" for name in list(vehicles)[::step][:_SAMPLE])
        headers = {"authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30) as http:
            while True:
                began = time.monotonic()
                await self._ask(http, names)
                await asyncio.sleep(max(0.0, _EVERY_S - (time.monotonic() - began)))

    async def _ask(self, http: httpx.AsyncClient, names: str) -> None:
        since = iso(now_us() - _LOOK_BACK_US)
        sql = (
            "SELECT vehicle, time, received FROM signals "  # noqa: S608 - all parts are ours
            f"WHERE time >= TIMESTAMPTZ '{since}' AND vehicle IN ({names})"
        )
        try:
            answer = await http.post("/v1/query", json={"sql": sql})
        except httpx.TransportError:
            return
        if answer.status_code != 200:
            return
        came = time.time()
        for vehicle, at, received in answer.json()["rows"]:
            if (vehicle, at) not in self._seen:
                self._seen.add((vehicle, at))
                if not self._first:
                    told = datetime.fromisoformat(received).timestamp()
                    self.latencies_ms.append((came - told) * 1000)
        self._first = False

    def percentile_ms(self, share: float) -> float | None:
        """The latency that `share` of the frames stay below; None without any."""
        if not self.latencies_ms:
            return None
        return round(float(np.percentile(self.latencies_ms, share * 100)), 1)
