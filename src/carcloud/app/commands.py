"""Commands between the records and the gateways, and the care that the jobs role takes of them.

A gateway marks a command as sent before it sends it: of two gateways one does, and after a crash
nobody sends it again. One that was marked and never sent ends by its time. Over MQTT commands are
put to the messages that wait for their vehicles when they are marked, and none is lost.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from carcloud.app.command_checks import CHECKS
from carcloud.app.engines import Engines
from carcloud.app.secret import sealing_secret
from carcloud.config import Settings
from carcloud.gateway.orders import Order, OrderReport, OrderState
from carcloud.model.streams import wake_subject
from carcloud.model.time import now_us
from carcloud.ports.errors import EngineError
from carcloud.ports.stream import Stream
from carcloud.services.commands.api import SERVICE, Command, Commands, Report, State, Waiting

log = logging.getLogger(__name__)

_LOOK_S = 2.0  # between looks at the records when nobody wakes us
_BACK = 200  # numbers that are looked at again: a lower one may be committed after a higher one
_CHUNK = 500  # commands that are put in one transaction
_RETRY_S = 1.0
_MOST_REPORTS = 50_000  # that wait for the records; what is above them is dropped and told
_FORGET_S = 3600.0

_STATES: Final[Mapping[OrderState, State]] = {
    "sent": State.SENT,
    "received": State.RECEIVED,
    "executed": State.EXECUTED,
    "refused": State.REFUSED,
    "failed": State.FAILED,
    "timed_out": State.TIMED_OUT,
}


@dataclass(frozen=True, slots=True)
class Way:
    """How a command gets to a vehicle that is connected to this process."""

    deliver: Callable[[Order], None]
    queues: bool  # it is put to the messages that wait for the vehicle before


FindVehicle = Callable[[str], Way | None]
"""None: the vehicle is not connected to this process."""


def make_commands(settings: Settings, engines: Engines) -> Commands:
    """The service, able to open what is sealed."""
    return Commands(
        engines.records,
        engines.stream,
        parked_s=settings.number("commands.parked_s"),
        secret=sealing_secret(settings),
        checks=CHECKS,
    )


class CommandPost:
    """Takes commands to the vehicles of one gateway process, and brings their reports back."""

    def __init__(self, commands: Commands, stream: Stream, find: FindVehicle) -> None:
        self._commands = commands
        self._stream = stream
        self._find = find
        self._wake = asyncio.Event()
        self._arrived: set[str] = set()
        self._reports: list[Report] = []
        self._after = 0
        self.problem: str | None = None
        self.sent = 0
        self.reported = 0
        self.dropped = 0  # reports

    def arrived(self, vehicles: Iterable[str]) -> None:
        """These have just connected: what waits for them is looked up."""
        self._arrived.update(vehicles)
        self._wake.set()

    def report(self, vehicle: str, told: OrderReport) -> None:
        """What a session tells of a command."""
        if len(self._reports) >= _MOST_REPORTS:
            self.dropped += 1
            return
        state = _STATES[told.state]
        if state == State.SENT:
            return  # it was marked so before
        self._reports.append(
            Report(told.id, vehicle, state, told.reason, told.answer, told.time_us)
        )
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        await self._stream.listen(wake_subject(SERVICE), self._woken)
        begun = False
        while True:
            try:
                if not begun:
                    self._after = await asyncio.to_thread(self._commands.newest)
                    begun = True
                await self._round()
            except EngineError as error:
                self.problem = f"commands wait: {error}"
                log.warning("%s", self.problem)
                await asyncio.sleep(_RETRY_S)
            else:
                self.problem = None

    async def _woken(self, _subject: str, _data: bytes) -> None:
        self._wake.set()

    async def _round(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                await self._wake.wait()
        self._wake.clear()
        await self._write_reports()
        arrived = sorted(self._arrived)
        found = await asyncio.to_thread(self._look, arrived)
        self._arrived.difference_update(arrived)
        ways = [(one, self._find(one.vehicle)) for one in found]
        queued = [one for one, way in ways if way is not None and way.queues]
        sent = [one for one, way in ways if way is not None and not way.queues]
        try:
            if queued:
                await self._queue(queued)
            if sent:
                await self._send(sent)
        except EngineError:  # old commands are not found by number
            self.arrived(one.vehicle for one in (*queued, *sent))
            raise

    async def _write_reports(self) -> None:
        reports, self._reports = self._reports, []
        if not reports:
            return
        try:
            changed = await asyncio.to_thread(self._commands.report, reports)
        except EngineError:
            self._reports = reports + self._reports
            raise
        except Exception as error:
            log.error("%d reports of commands failed together", len(reports), exc_info=error)
            changed = await asyncio.to_thread(self._write_each, reports)
        self.reported += len(changed)

    def _write_each(self, reports: Sequence[Report]) -> list[Command]:
        """One by one, without the one that nobody thought of. In a thread."""
        changed: list[Command] = []
        for one in reports:
            try:
                changed += self._commands.report([one])
            except Exception as error:
                self.dropped += 1
                log.error("a report of command %s is dropped", one.id, exc_info=error)
        return changed

    def _look(self, arrived: Sequence[str]) -> list[Waiting]:
        """What waits for those that came, and what was given since the last look. In a thread."""
        found = {one.number: one for one in self._commands.given_after(self._after - _BACK)}
        if found:
            self._after = max(self._after, *found)
        if arrived:
            found.update((one.number, one) for one in self._commands.waiting(arrived))
        return [found[number] for number in sorted(found)]

    async def _queue(self, waiting: Sequence[Waiting]) -> None:
        for start in range(0, len(waiting), _CHUNK):
            for one in await self._put(waiting[start : start + _CHUNK]):
                if not self._deliver(one, queued=True):  # another gateway may have its vehicle
                    await self._commands.announce(one.tenant, one.vehicle)

    async def _put(self, waiting: Sequence[Waiting]) -> list[Waiting]:
        try:
            return await asyncio.to_thread(self._commands.queue, waiting)
        except EngineError:
            raise
        except Exception as error:
            log.error("%d commands could not be put together", len(waiting), exc_info=error)
        put: list[Waiting] = []
        for one in waiting:  # without the one that nobody thought of
            try:
                put += await asyncio.to_thread(self._commands.queue, [one])
            except EngineError:
                raise
            except Exception as error:  # noqa: BLE001 - logged
                self._failed(one, error)
        return put

    async def _send(self, waiting: Sequence[Waiting]) -> None:
        marked = await asyncio.to_thread(self._mark, waiting)
        gone = [one for one in marked if not self._deliver(one, queued=False)]
        if gone:
            await asyncio.to_thread(self._commands.put_back, [one.id for one in gone])
            self.arrived(one.vehicle for one in gone)  # they may be back already

    def _mark(self, waiting: Sequence[Waiting]) -> list[Waiting]:
        """Those that are ours to send; another gateway has the others, or they were cancelled."""
        marks = [Report(one.id, one.vehicle, State.SENT, time=now_us()) for one in waiting]
        mine = {command.id for command in self._commands.report(marks)}
        return [one for one in waiting if one.id in mine]

    def _deliver(self, one: Waiting, *, queued: bool) -> bool:
        """False: the vehicle is not here any more, or has come back by the other way."""
        way = self._find(one.vehicle)
        if way is None or way.queues is not queued:
            return False
        try:
            way.deliver(Order(one.id, one.name, one.arguments, one.expires))
            self.sent += 1
        except Exception as error:  # of one session; the others' commands go on
            if queued:  # it waits for the vehicle all the same
                log.error("a session failed to look at its messages", exc_info=error)
                return False
            self._failed(one, error)
        return True

    def _failed(self, one: Waiting, error: Exception) -> None:
        log.error("the gateway failed at command %s", one.id, exc_info=error)
        told = OrderReport(one.id, "failed", "the gateway failed at it", now_us())
        self.report(one.vehicle, told)


class CommandCare:
    """What one jobs process does for commands: ends those whose time is over, and publishes."""

    def __init__(self, commands: Commands, keep_days: Callable[[], float]) -> None:
        self._commands = commands
        self._keep_days = keep_days
        self.timed_out = 0
        self.problem: str | None = None

    async def run(self) -> None:
        """Once a second, until cancelled."""
        forgotten = -math.inf  # the loop's clock may begin at 0 with the machine
        loop = asyncio.get_running_loop()
        while True:
            try:
                self.timed_out += len(await asyncio.to_thread(self._commands.expire))
                await self._commands.publish_ended()
                if loop.time() - forgotten > _FORGET_S:
                    await asyncio.to_thread(self._commands.forget_ended, self._keep_days())
                    forgotten = loop.time()
            except EngineError as error:
                self.problem = f"commands are not ended: {error}"
                log.warning("%s", self.problem)
            else:
                self.problem = None
            await asyncio.sleep(1)
