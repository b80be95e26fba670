"""A fleet of trucks that speak JT/T 808: one task per connection, one ticker for all of them."""

import asyncio
import time
from collections.abc import Callable

import numpy as np

from carcloud.model.time import SECOND, now_us
from carcloud.simulator.fleet import Fleet
from carcloud.simulator.options import Progress, SimulateOptions
from carcloud.simulator.tally import Tally
from carcloud.simulator.truck import Report, Truck
from carcloud.simulator.truck_messages import positions

_GOLDEN = 0.6180339887498949
_REPORT_BYTES = 150  # that a kept position costs
_LATEST_S = 5  # a ticker this late leaves positions out


class TruckClient:
    """Connects a fleet to a server and keeps it reporting; the `Hub` of its trucks."""

    def __init__(self, options: SimulateOptions, fleet: Fleet, phones: list[str]) -> None:
        self.tally = Tally(options.record_acknowledged)
        self.connected = 0
        self.finishing = False
        self._options, self._fleet = options, fleet
        new = options.editions() == 2025
        self._trucks = [
            Truck(self, index, phone, 2019 if new[index] else 2013, options.period_s)
            for index, phone in enumerate(phones)
        ]
        share = (np.arange(len(phones)) * _GOLDEN) % 1.0
        self._next = (share * options.period_s).astype(int)  # s until the next position
        self._beats = (share * options.heartbeat_s).astype(int)
        self._settled = asyncio.Event()  # a position was confirmed or refused
        self._luck = np.random.default_rng(options.seed)
        self._tls = options.tls()
        self._connecting = asyncio.Semaphore(32)
        self._start = time.monotonic()

    @property
    def unconfirmed(self) -> int:
        """Positions that the platform has not confirmed."""
        return sum(truck.unconfirmed for truck in self._trucks)

    async def run(self, stop: asyncio.Event, on_second: Callable[[Progress], None]) -> None:
        """Report until `stop` is set, then wait for what is outstanding."""
        tasks = [asyncio.create_task(self._live(truck)) for truck in self._trucks]
        try:
            second = 0
            while not stop.is_set():
                second += 1
                await self._wait_until(self._start + second, stop)
                late = time.monotonic() - self._start - second
                self._tick(tell=late < _LATEST_S)
                on_second(self.progress())
            latest = self.now() + self._options.drain_s
            while self.unconfirmed and self.now() < latest:
                self._settled.clear()
                await self._wait_until(latest, self._settled)
        finally:
            self.finishing = True
            for truck in self._trucks:
                truck.abort()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait_until(self, moment: float, stop: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(max(0.0, moment - time.monotonic())):
                await stop.wait()
        except TimeoutError:
            return

    def progress(self) -> Progress:
        """The present counters."""
        tally = self.tally
        return Progress(
            elapsed_s=self.now() - self._start,
            connected=self.connected,
            sent=tally.sent,
            acknowledged=tally.acknowledged,
            reissued=tally.reissued,
            unconfirmed=self.unconfirmed,
            lost_connections=tally.lost,
        )

    # once a second

    def _tick(self, *, tell: bool) -> None:
        self._fleet.step(max(0.0, now_us() / SECOND - self._fleet.seconds))
        self._next -= 1
        self._beats -= 1
        due = []
        for truck in self._trucks:
            truck.commands.passed(1)
            if self._next[truck.index] <= 0 and (truck.code is not None or truck.ready):
                self._next[truck.index] = max(1, int(truck.commands.period_s))
                due.append(truck)
            if self._beats[truck.index] <= 0:
                self._beats[truck.index] = int(self._options.heartbeat_s)
                truck.beat()
        if tell:
            self._report(due)
        self._break_some()

    def _report(self, due: list[Truck]) -> None:
        room = int(self._options.keep_mb * 1e6 / _REPORT_BYTES) - self.unconfirmed
        if len(due) > room:
            self.tally.held_back += len(due)
            return
        if due:
            seconds = int(self._fleet.seconds + 1e-6)
            for truck, body in zip(due, self._positions(due), strict=True):
                truck.report(Report(seconds, body))

    def _positions(self, trucks: list[Truck]) -> list[bytes]:
        return positions(
            self._fleet,
            [truck.index for truck in trucks],
            [truck.edition == 2019 for truck in trucks],
            [truck.locked for truck in trucks],
        )

    def _break_some(self) -> None:
        """Losses, and connections whose replies do not come."""
        chance = self._options.losses_per_hour / 3600.0
        lost = self._luck.random(len(self._trucks)) < chance if chance else None
        for truck in self._trucks:
            sent = truck.oldest_sent()
            stuck = sent is not None and self.now() - sent > self._options.reply_timeout_s
            if stuck or (lost is not None and lost[truck.index]):
                truck.abort()

    # connections

    async def _live(self, truck: Truck) -> None:
        wait, longest = self._options.backoff_s
        await asyncio.sleep(truck.index / self._options.connects_per_second)
        while not self.finishing:
            try:
                async with self._connecting:
                    reader, writer = await asyncio.open_connection(
                        self._options.host,
                        self._options.port,
                        ssl=self._tls,
                        server_hostname=self._options.server_name if self._tls else None,
                    )
                await truck.talk(reader, writer)
                wait = self._options.backoff_s[0]
            except (OSError, TimeoutError):
                wait = min(wait * 2, longest)
            await asyncio.sleep(wait * (0.5 + 0.5 * self._luck.random()))

    # what trucks call

    def now(self) -> float:
        """Seconds on the clock that times replies."""
        return time.monotonic()

    def online(self, truck: Truck) -> None:  # noqa: ARG002 - the hub's
        """A truck has authenticated."""
        self.connected += 1

    def offline(self, truck: Truck, was_ready: bool) -> None:  # noqa: ARG002 - the hub's
        """Its connection is gone."""
        self.connected -= was_ready
        self.tally.lost += was_ready and not self.finishing

    def sent(self, reports: int, late: int) -> None:
        """Positions were sent."""
        self.tally.sent += reports
        self.tally.reissued += late

    def confirmed(self, truck: Truck, report: Report, latency_s: float) -> None:
        """The platform has a position."""
        self.tally.acknowledge(truck.index, report.seconds, latency_s)
        self._settled.set()

    def refused(self) -> None:
        """The platform refused a position."""
        self.tally.refused += 1
        self._settled.set()

    def stray(self) -> None:
        """A reply matches nothing."""
        self.tally.stray += 1

    def position(self, truck: Truck) -> bytes:
        """Where a truck is now."""
        return self._positions([truck])[0]
