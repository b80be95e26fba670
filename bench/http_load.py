"""A load generator for HTTP: `python -m bench.http_load URL --token T --paths FILE …`.

A process of its own on plain asyncio sockets, so that it costs little beside the server. Without
`--rate` every connection sends its next request when the last is answered (closed loop: the
greatest rate). With it, requests are due at fixed times, and a latency counts from when the
request was due (open loop: a stall is seen by every request that it delays).
"""

import argparse
import asyncio
import json
import time
from collections import deque
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import uvloop

_LAST_S = 5.0  # for answers that are on their way at the end


class Connection(asyncio.Protocol):
    """One keep-alive connection: sends requests one after the other and times the answers."""

    def __init__(self, run: "Run", lane: int) -> None:
        self._run = run
        self._lane = lane  # which of the requests it sends
        self._held = b""
        self._due: deque[float] = deque()
        self._busy = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return self._busy

    def ask(self, due: float) -> None:
        """Send a request that is due, now or when those before it are answered."""
        self._due.append(due)
        if not self._busy:
            self._send()

    def _send(self) -> None:
        self._busy = True
        self._run.asked += 1
        requests = self._run.requests
        self._transport.write(requests[self._lane % len(requests)])
        self._lane += 7919  # a prime: connections wander over all paths

    def data_received(self, data: bytes) -> None:
        self._held += data
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._held[:end].lower()
        at = head.find(b"content-length: ")
        size = int(head[at + 16 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._held) < end + 4 + size:
            return
        self._held = self._held[end + 4 + size :]
        self._busy = False
        self._run.answered(head.startswith(b"http/1.1 200"), self._due.popleft())
        if self._due:
            self._send()
        elif self._run.rate is None and self._run.going:
            self.ask(time.perf_counter())

    def connection_lost(self, _error: Exception | None) -> None:
        self._run.lost += self._run.going


class Run:
    """The figures of a run."""

    def __init__(self, requests: list[bytes], rate: float | None) -> None:
        self.requests = requests
        self.rate = rate
        self.going = False
        self.latencies: list[float] = []
        self.failed = 0
        self.lost = 0
        self.asked = 0  # ever, as are `served`
        self.served = 0

    def answered(self, good: bool, due: float) -> None:
        """One answer."""
        self.served += good
        if self.going:
            self.latencies.append(time.perf_counter() - due)
            self.failed += not good


async def run(options: argparse.Namespace, paths: list[str]) -> dict[str, float]:
    """Warm up, then measure for `--seconds`."""
    parts = urlsplit(options.url)
    head = f" HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {options.token}\r\n\r\n"
    figures = Run([f"GET {path}{head}".encode() for path in paths], options.rate)
    loop = asyncio.get_running_loop()
    lanes = [
        (
            await loop.create_connection(
                lambda n=n: Connection(figures, n), parts.hostname, parts.port
            )
        )[1]
        for n in range(options.connections)
    ]
    if options.rate is None:
        for lane in lanes:
            figures.going = True
            lane.ask(time.perf_counter())
        await asyncio.sleep(1)
        figures.latencies.clear()
        began = time.perf_counter()
        await asyncio.sleep(options.seconds)
    else:
        began = time.perf_counter()
        total = int(options.rate * (options.seconds + 1))
        for number in range(total):
            due = began + number / options.rate
            if (early := due - time.perf_counter()) > 0.0005:
                await asyncio.sleep(early)
            if not figures.going and number >= options.rate:  # the first second warms up
                figures.going = True
            lanes[number % len(lanes)].ask(due)
        began += 1
        await asyncio.sleep(0.5)
    took = time.perf_counter() - began - (0.5 if options.rate else 0)
    figures.going = False
    end = time.perf_counter() + _LAST_S
    while any(lane.busy for lane in lanes) and time.perf_counter() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    kept = np.array(figures.latencies) * 1000
    p50, p99 = np.percentile(kept, [50, 99]) if len(kept) else (0.0, 0.0)
    return {
        "rate": len(kept) / took,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "failed": figures.failed,
        "asked": figures.asked,
        "served": figures.served,
        "lost": figures.lost,
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--token", required=True)
    parser.add_argument("--paths", required=True, help="file with one path a line")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float)
    options = parser.parse_args()
    paths = Path(options.paths).read_text().split()
    print(json.dumps(uvloop.run(run(options, paths))))


if __name__ == "__main__":
    main()
