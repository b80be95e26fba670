"""A fleet's side of the wire: one protocol object per vehicle, one ticker for all of them."""

import asyncio
import time
from collections.abc import Callable

import numpy as np

from carcloud.codecs.gbt32960.constants import Command
from carcloud.codecs.gbt32960.frame import Frame
from carcloud.model.time import SECOND, now_us
from carcloud.simulator import messages
from carcloud.simulator.backfill import AlarmWatch
from carcloud.simulator.car_commands import CarCommands
from carcloud.simulator.chance import Cars
from carcloud.simulator.fleet import Fleet
from carcloud.simulator.frames import FrameWriter
from carcloud.simulator.link import Link
from carcloud.simulator.options import Progress, SimulateOptions
from carcloud.simulator.outbox import Outbox, Report
from carcloud.simulator.protection import protection
from carcloud.simulator.schedule import SLOT_MS, SLOT_S, Phases, Wheel
from carcloud.simulator.tally import Tally
from carcloud.simulator.vins import iccids

_CONNECTORS = 32  # connections being opened at the same time
_CATCH_UP_SLOTS = 100  # a ticker this late leaves reports out instead of hurrying after
_REISSUES_PER_SLOT = 200  # of the whole fleet
_GOODBYE_ROUNDS = 100  # of 20 ms, in which connections may close by themselves
_WINDOW = 256  # reports of one vehicle on the wire before late ones wait


class FleetClient:
    """Connects a fleet to a server and keeps it reporting; the `Hub` of its links."""

    def __init__(self, options: SimulateOptions, fleet: Fleet, names: list[str]) -> None:
        self.tally = Tally(options.record_acknowledged)
        self.heartbeat_confirms = {"auto": None, "reply": False, "heartbeat": True}[
            options.confirmation
        ]
        self.unconfirmed = 0  # reports in all outboxes
        self.connected = 0
        self._options, self._fleet, self._vins = options, fleet, names
        self._editions = options.editions()
        self._writer = FrameWriter(names, self._editions)
        self._iccids = iccids(names)
        self._beats = [
            messages.heartbeat(edition, vin)
            for edition, vin in zip(self._editions.tolist(), names, strict=True)
        ]
        self._chips = [
            protection(vin, options.seed, options.sign, options.encrypt) if new else None
            for vin, new in zip(names, self._editions == messages.EDITION_2025, strict=True)
        ]
        self._settled: set[tuple[int, int]] = set()  # car and command that need no repetition
        cars = options.vehicles
        self._outboxes = [Outbox() for _ in range(cars)]
        self._links: list[Link | None] = [None] * cars
        self._commands: dict[int, CarCommands] = {}  # of cars that were told something
        self._begun = np.zeros(cars, bool)  # has been logged in and reports since
        self._serials = np.zeros(cars, np.int64)
        self._attempts = np.zeros(cars, np.int64)
        self._behind: dict[int, None] = {}  # cars with late reports, longest waiting first
        self._kept_bytes = 0
        faulty = np.flatnonzero(fleet.plan.kind) if options.period_s > 1.0 else np.zeros(0, int)
        self._watched = faulty  # no healthy car comes to an alarm of level 3
        self._watches = {car: AlarmWatch(int(self._editions[car])) for car in faulty.tolist()}
        self._told = np.zeros(cars, np.int64)  # collection time of the last report
        self._reports = Phases(cars, options.period_s)
        self._heartbeats = Phases(cars, options.heartbeat_s, offset=0.37)
        self._reconnects, self._login_ends = Wheel(), Wheel()
        self._to_connect: asyncio.Queue[int] = asyncio.Queue()
        self._luck = np.random.default_rng(options.seed)
        self._loop = asyncio.get_running_loop()
        self._tls = options.tls()
        self._slot = 0
        self._start_s = time.monotonic()
        self._start_ms = int(fleet.seconds) * 1000
        self._draining = self._finishing = False

    async def run(self, stop: asyncio.Event, on_second: Callable[[Progress], None]) -> None:
        """Report until `stop` is set, then wait for what is outstanding and say goodbye."""
        connectors = [asyncio.create_task(self._connect_all()) for _ in range(_CONNECTORS)]
        for car in range(self._options.vehicles):
            self._to_connect.put_nowait(car)
        try:
            while not stop.is_set():
                await self._tick(on_second)
            self._draining = True
            latest = self.now() + self._options.drain_s
            while self.unconfirmed and self.now() < latest:
                await self._tick(on_second)
        finally:
            self._finishing = True
            for connector in connectors:
                connector.cancel()
            await asyncio.gather(*connectors, return_exceptions=True)
            await self._finish()

    def progress(self) -> Progress:
        """The present counters."""
        tally = self.tally
        return Progress(
            elapsed_s=self.now() - self._start_s,
            connected=self.connected,
            sent=tally.sent,
            acknowledged=tally.acknowledged,
            reissued=tally.reissued,
            unconfirmed=self.unconfirmed,
            lost_connections=tally.lost,
        )

    # What links call.

    def now(self) -> float:
        """Seconds on the clock that times replies (an event loop's own clock is too coarse)."""
        return time.monotonic()

    def opened(self, link: Link) -> list[bytes]:
        """The connection of a car stands: its login, with its keys where it has any."""
        car, seconds = link.car, self._wall_seconds()
        self._links[car] = link
        self._serials[car] = self._serials[car] % 65_531 + 1
        self._login_ends.add(self._slot + self._slots(self._options.login_timeout_s), car)
        edition, serial = int(self._editions[car]), int(self._serials[car])
        login = messages.login(edition, self._vins[car], seconds, serial, self._iccids[car])
        chip = self._chips[car]
        if chip is None:
            return [login]
        frames = (chip.activation(seconds), login, chip.key_exchange(seconds))
        return [frame for frame in frames if frame and (car, frame[2]) not in self._settled]

    def taken(self, link: Link, command: int) -> None:
        """The server has accepted one of these frames; keys are sent once."""
        if command != Command.LOGIN:
            self._settled.add((link.car, command))

    def online(self, link: Link) -> None:
        """The server has accepted a car's login."""
        self.connected += 1
        self._attempts[link.car] = 0
        self._begun[link.car] = True
        if link.outbox.waiting:
            self._behind[link.car] = None

    def closed(self, link: Link, was_ready: bool) -> None:
        """A connection is gone: what was on the wire waits, the car comes back."""
        car = link.car
        self.connected -= was_ready
        self._links[car] = None
        link.outbox.lost()
        if not self._finishing:
            self.tally.lost += was_ready
            self._try_later(car)

    def confirmed(self, link: Link, report: Report) -> None:
        """The server has a report: it need not be kept any longer."""
        self._forget(report)
        self.tally.acknowledge(link.car, report.seconds, self.now() - report.sent_at)

    def refused(self, link: Link, given_up: Report | None) -> None:
        """The server found fault with a report."""
        if given_up is None:
            self._behind[link.car] = None
        else:
            self._forget(given_up)
            self.tally.refused += 1

    def reports_answered(self) -> None:
        """Settle what confirms reports, unless the options say."""
        if self._options.confirmation == "auto":
            self.heartbeat_confirms = False

    def stray(self) -> None:
        """Count a reply that matches nothing."""
        self.tally.stray += 1

    def commanded(self, link: Link, frame: Frame) -> bytes | None:
        """A car obeys and answers."""
        car, options = link.car, self._options
        if car not in self._commands:
            self._commands[car] = CarCommands(
                int(self._editions[car]), self._vins[car], options.period_s, options.heartbeat_s
            )
        return self._commands[car].answer(frame)

    # Connecting.

    async def _connect_all(self) -> None:
        """One of the connectors: opens connections as they fall due, no faster than allowed."""
        pause = _CONNECTORS / self._options.connects_per_second
        while True:
            car = await self._to_connect.get()
            try:
                async with asyncio.timeout(self._options.login_timeout_s):
                    await self._connect(car)
            except (OSError, TimeoutError):
                self._try_later(car)
            await asyncio.sleep(pause)

    async def _connect(self, car: int) -> None:
        options = self._options
        addresses = options.local_addresses
        await self._loop.create_connection(
            lambda: Link(self, car, self._outboxes[car]),
            options.host,
            options.port,
            ssl=self._tls,
            server_hostname=(options.server_name or options.host) if self._tls else None,
            local_addr=(addresses[car % len(addresses)], 0) if addresses else None,
        )

    def _try_later(self, car: int) -> None:
        """Back off, twice as long every time, with jitter so that a fleet does not march."""
        first, longest = self._options.backoff_s
        wait = min(first * 2.0 ** int(self._attempts[car]), longest)
        self._attempts[car] = min(int(self._attempts[car]) + 1, 16)
        wait *= self._luck.uniform(0.5, 1.5)
        self._reconnects.add(self._slot + self._slots(wait), car)

    # The ticker.

    async def _tick(self, on_second: Callable[[Progress], None]) -> None:
        """Sleep until the next slot and do what is due in it."""
        await asyncio.sleep(max(0.0, self._start_s + self._slot * SLOT_S - self.now()))
        late = int((self.now() - self._start_s) / SLOT_S) - self._slot
        if late > _CATCH_UP_SLOTS:
            self._slot += late
        while self._fleet.seconds < self._slot_seconds():
            self._fleet.step(1.0)
            self._watch_alarms()
        if not self._draining:
            self._report(self._reports.due(self._slot))
            self._break_connections()
        self._beat()
        self._reissue()
        for car in self._reconnects.due(self._slot):
            self._to_connect.put_nowait(car)
        for car in self._login_ends.due(self._slot):
            link = self._links[car]
            if link is not None and not link.ready:
                link.abort()
        if self._slot * SLOT_MS % 1000 == 0:
            on_second(self.progress())
        self._slot += 1

    def _report(self, cars: Cars) -> None:
        """Make a report of each of these cars; those that are online send it at once."""
        cars = cars[self._begun[cars] & (self._told[cars] < self._slot_seconds())]
        if not len(cars) or not self._room_for(len(cars)):
            return
        frames = self._writer.encode(self._fleet.observe(cars))
        for car, frame in zip(cars.tolist(), frames, strict=True):
            self._report_now(car, self._slot_seconds(), frame)

    def _room_for(self, reports: int) -> bool:
        room = self._kept_bytes <= self._options.keep_mb * 1e6
        self.tally.held_back += 0 if room else reports
        return room

    def _report_now(self, car: int, seconds: int, frame: bytes) -> None:
        report, link = self._kept(car, seconds, frame), self._links[car]
        self._outboxes[car].add(report)
        self._told[car] = seconds
        if car in self._watches:
            self._watches[car].reported(seconds)
        if link is not None and self._may_send(link):
            self._send(link, report, late=False)
        else:
            self._behind[car] = None

    def _kept(self, car: int, seconds: int, frame: bytes) -> Report:
        """A new report, as the car's chip sends it."""
        chip = self._chips[car]
        report = Report(seconds, chip.protected(frame) if chip else frame, frame[24:30])
        self.unconfirmed += 1
        self._kept_bytes += len(report.frame)
        return report

    def _watch_alarms(self) -> None:
        """Once a second: what cars with a grave alarm report besides (see `backfill`)."""
        cars = self._watched[self._begun[self._watched]]
        if self._draining or not len(cars):
            return
        readings = self._fleet.observe(cars)
        levels = readings.alarm_levels.max(axis=1).tolist()
        frames = self._writer.encode(readings)
        for car, level, frame in zip(cars.tolist(), levels, frames, strict=True):
            added = self._watches[car].look(readings.seconds, level, frame)
            if added.before and self._room_for(len(added.before)):
                self._outboxes[car].add_late(
                    [self._kept(car, seconds, sample) for seconds, sample in added.before]
                )
                self._behind[car] = None
            if added.now and self._room_for(1):
                self._report_now(car, readings.seconds, frame)

    def _may_send(self, link: Link) -> bool:
        return link.ready and not link.paused and link.outbox.in_flight < _WINDOW

    def _send(self, link: Link, report: Report, late: bool) -> None:
        self.tally.sent += report.sent_at == 0.0
        self.tally.reissued += late
        link.send(report, late)

    def _reissue(self) -> None:
        """Between live reports, send late ones, oldest first, one a car and slot."""
        now = self.now()
        for car in [car for car, _ in zip(self._behind, range(_REISSUES_PER_SLOT), strict=False)]:
            del self._behind[car]
            link = self._links[car]
            if link is None or not link.ready:
                continue  # `online` brings it back
            report = link.outbox.due(now) if self._may_send(link) else None
            if report is not None:
                self._send(link, report, late=True)
            if link.outbox.waiting:
                self._behind[car] = None

    def _beat(self) -> None:
        """Send the heartbeats that are due and give up links whose server has gone silent."""
        due = self._heartbeats.due(self._slot).tolist()
        asks = self._draining and self.heartbeat_confirms is not False
        if asks and self._slot * SLOT_MS % 1000 == 0:
            due = [car for car, outbox in enumerate(self._outboxes) if outbox.in_flight]
        oldest = self.now() - self._options.reply_timeout_s
        for car in due:
            link = self._links[car]
            if link is None or not link.ready:
                continue
            if self._silent(link.outbox, oldest):
                link.abort()
            else:
                link.beat(self._beats[car])

    def _silent(self, outbox: Outbox, oldest: float) -> bool:
        since = outbox.unanswered_since()
        if since is not None and since < oldest:
            return True
        sent = outbox.oldest_sent_at()
        return self.heartbeat_confirms is False and sent is not None and sent < oldest

    def _break_connections(self) -> None:
        rate = self._options.losses_per_hour * self.connected / 3600.0 * SLOT_S
        for _ in range(self._luck.poisson(rate)):
            link = self._links[int(self._luck.integers(self._options.vehicles))]
            if link is not None and link.ready:
                link.abort()

    async def _finish(self) -> None:
        """Log out and close what is open, waiting no longer than two seconds."""
        seconds = self._wall_seconds()
        for car, link in enumerate(self._links):
            if link is None:
                continue
            if self._options.logout and link.ready:
                edition, serial = int(self._editions[car]), int(self._serials[car])
                link.finish(messages.logout(edition, self._vins[car], seconds, serial))
            else:
                link.abort()
        for _ in range(_GOODBYE_ROUNDS):
            if not any(self._links):
                return
            await asyncio.sleep(0.02)
        for link in filter(None, self._links):
            link.abort()
        await asyncio.sleep(0.02)

    def _forget(self, report: Report) -> None:
        self.unconfirmed -= 1
        self._kept_bytes -= len(report.frame)

    def _slots(self, seconds: float) -> int:
        return max(1, int(seconds / SLOT_S))

    def _slot_seconds(self) -> int:
        """Collection time of this slot's reports, UTC seconds since 1970."""
        return (self._start_ms + self._slot * SLOT_MS) // 1000

    def _wall_seconds(self) -> int:
        return now_us() // SECOND
