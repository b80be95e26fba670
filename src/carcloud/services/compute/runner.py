"""Runs jobs: claims what has its turn, gives it to the compute engine, keeps how it ended.

At least once: an attempt whose runner was killed is made again with the next number. A job counts
as succeeded only when its attempt said so and that is in the records.
"""

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field
from typing import Any

import msgspec

from carcloud.model.ids import Tenant
from carcloud.model.streams import wake_subject
from carcloud.model.time import now_us
from carcloud.ports.blobs import Blobs
from carcloud.ports.compute import Compute, End, Need, NeverFits, NoRoom, Outcome, Run, Work
from carcloud.ports.errors import EngineError
from carcloud.ports.records import Records
from carcloud.ports.stream import Stream
from carcloud.services.compute import claims, outbox, schedules
from carcloud.services.compute.active import CHANGED, Active
from carcloud.services.compute.claims import Ending, Held
from carcloud.services.compute.logs import LogWriter
from carcloud.services.compute.notes import Answer, Order
from carcloud.services.compute.store import metadata
from carcloud.services.compute.tidy import forget_old
from carcloud.services.compute.turns import Space, Standing, next_job
from carcloud.services.compute.types import State

log = logging.getLogger(__name__)

SERVICE = "compute"
_LOOK_S = 1.0  # between looks at the records when nobody wakes us
_LEASE_S = 5.0  # between signs of life
_BEGIN_S = 1.5  # that the beginning of a job may take when the runner is stopped
_TIDY_S = 3600.0  # between looks for jobs that ended long ago


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """`name` is `<place>/<instance>`: of two runners at one place only one can live at a time."""

    name: str
    function: str  # `module:function` that takes what `argument` made of an `Order`
    argument: Callable[[bytes], bytes]
    queues: Collection[str] = ()  # empty = all
    log_bytes: int = 16_000_000
    keep_days: int = 30  # that ended jobs are kept; 0 = for ever


@dataclass(slots=True)
class RunnerFigures:
    """Since the start."""

    running: int = 0
    waiting: int = 0
    begun: int = 0
    ended: Counter[str] = field(default_factory=Counter)  # attempts, by how they ended
    problem: str | None = None


class Runner:
    """One runner. `limit` says how many jobs of a tenant may run at the same time."""

    def __init__(
        self,
        records: Records,
        blobs: Blobs,
        stream: Stream,
        compute: Compute,
        options: RunnerOptions,
        *,
        limit: Callable[[Tenant], int],
        now: Callable[[], int] = now_us,
    ) -> None:
        self._records = records
        self._blobs = blobs
        self._stream = stream
        self._compute = compute
        self._options = options
        self._limit = limit
        self._now = now
        self._woken = asyncio.Event()
        self._runs: dict[str, tuple[Active, Run]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._served: dict[str, int] = {}
        self._kept = 0.0  # monotonic s
        self._tidied = -math.inf  # monotonic s, which may begin at 0 with the machine
        self._beginning: asyncio.Task[bool] | None = None
        self.figures = RunnerFigures()
        records.create(metadata)

    async def run(self) -> None:
        """Work until cancelled; what runs then is given up and will be tried again."""
        stop = await self._stream.listen(wake_subject(SERVICE), self._on_wake)
        first = True
        try:
            while True:
                try:
                    await self._turn(first=first)
                    first, self.figures.problem = False, None
                except EngineError as error:
                    log.warning("jobs wait: %s", error)
                    self.figures.problem = str(error)
                await self._sleep()
        finally:
            await stop()
            await self._give_up()

    def wake(self) -> None:
        """There is something to do."""
        self._woken.set()

    async def _on_wake(self, _subject: str, _data: bytes) -> None:
        self._woken.set()

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout(_LOOK_S):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()

    async def _turn(self, *, first: bool) -> None:
        if first or time.monotonic() - self._kept >= _LEASE_S:
            await asyncio.to_thread(self._keep_and_reap, first)
            self._kept = time.monotonic()
        while await self._begun_one():  # first, as somebody may wait for it
            pass
        await self._cancel_asked()
        if await asyncio.to_thread(schedules.submit_due, self._records, self._now):
            self._woken.set()
        await outbox.publish(self._records, self._stream)
        if self._options.keep_days and time.monotonic() >= self._tidied + _TIDY_S:
            keep, now = self._options.keep_days, self._now()
            gone = await asyncio.to_thread(forget_old, self._records, self._blobs, keep, now)
            self._tidied = time.monotonic() if gone == 0 else self._tidied

    def _keep_and_reap(self, first: bool) -> None:
        """A sign of life; attempts of runners that have ended are ended."""
        now = self._now()
        place = self._options.name.partition("/")[0] + "/"
        with self._records.transaction() as db:
            claims.keep(db, self._options.name, now)
            gone = [n for n in claims.runners(db) if n.startswith(place)] if first else []
            dead = [name for name in gone if name != self._options.name]
            for held in claims.orphans(db, now, dead):
                ending = Ending("interrupted", "the jobs process went away")
                claims.finish(db, held, ending, now)
                self.figures.ended["interrupted"] += 1

    async def _cancel_asked(self) -> None:
        asked = await asyncio.to_thread(self._asked)
        for job in asked:
            if job in self._runs:
                self._spawn(self._runs[job][1].cancel())

    def _asked(self) -> list[str]:
        if not self._runs:
            return []
        with self._records.reading() as db:
            return claims.cancelling(db, self._options.name)

    async def _begun_one(self) -> bool:
        """`_begin_one`, to its end even if we are cancelled: what it claims is given up too."""
        self._beginning = asyncio.create_task(self._begin_one())
        return await asyncio.shield(self._beginning)

    async def _begin_one(self) -> bool:
        """Begin the job that has its turn; False when there is none."""
        room = await self._compute.room()
        if room.free_cpus <= 0:
            return False
        space = Space(room.free_cpus, room.free_memory_mb)
        largest = Space(room.cpus, room.memory_mb)
        held = await asyncio.to_thread(self._claim, space, largest)
        return held is not None and await self._begin(held)

    def _claim(self, space: Space, largest: Space) -> Held | None:
        now = self._now()
        with self._records.reading() as db:
            waiting = claims.waiting(db, now, self._options.queues)
            running = claims.running(db) if waiting else {}
        self.figures.waiting = len(waiting)
        standing = {
            job.tenant: Standing(
                self._limit(Tenant(job.tenant)),
                running.get(job.tenant, 0),
                self._served.get(job.tenant, 0),
            )
            for job in waiting
        }
        # what never fits is begun as well: the engine says what is wrong with it
        fitting = next((job for job in waiting if not largest.holds(job)), None)
        job = fitting or next_job(waiting, standing, space, now)
        if job is None:
            return None
        with self._records.transaction() as db:
            held = claims.claim(db, job.id, self._options.name, now)
        self._served[job.tenant] = now
        return held

    async def _begin(self, held: Held) -> bool:
        job = held.job
        writer = LogWriter(job.tenant, job.id, held.attempt, self._options.log_bytes)
        active = Active(held, self._records, self._blobs, self._stream, writer)
        need = Need(job.cpus, job.memory_mb, job.timeout_s)
        argument = self._options.argument(_order(held))
        work = Work(f"{job.id}-{held.attempt}", self._options.function, argument, need)
        try:
            run = await self._compute.submit(work, active.on_note)
        except NeverFits as error:
            await self._finish(active, Ending(State.FAILED, str(error), "compute", again=False))
            return True
        except (NoRoom, EngineError) as error:
            log.info("job %s did not begin: %s", job.id, error)
            await asyncio.to_thread(self._give_back, held)
            return False
        self._runs[job.id] = (active, run)
        self.figures.begun += 1
        self.figures.running = len(self._runs)
        self._spawn(self._attend(active, run))
        return True

    def _give_back(self, held: Held) -> None:
        with self._records.transaction() as db:
            claims.give_back(db, held, self._now())

    async def _attend(self, active: Active, run: Run) -> None:
        """From the beginning of an attempt to its end in the records."""
        looking = asyncio.create_task(active.look_after())
        await active.tell(CHANGED)
        try:
            outcome = await run.wait()
        finally:
            looking.cancel()
        ending = _ending(outcome)
        if ending.error:
            await active.say(f"[attempt {active.held.attempt} ended: {ending.error}]")
        await self._finish(active, ending)
        del self._runs[active.held.job.id]
        self.figures.running = len(self._runs)
        self._woken.set()

    async def _finish(self, active: Active, ending: Ending) -> None:
        """Keep the end, however long the engines are away."""
        while True:
            try:
                await active.keep()
                await asyncio.to_thread(self._record_end, active.held, ending)
                break
            except EngineError as error:
                log.warning("the end of job %s is not kept yet: %s", active.held.job.id, error)
                await asyncio.sleep(_LOOK_S)
        self.figures.ended[ending.outcome] += 1
        await active.tell(CHANGED)

    def _record_end(self, held: Held, ending: Ending) -> None:
        with self._records.transaction() as db:
            claims.finish(db, held, ending, self._now())

    async def _give_up(self) -> None:
        """End what runs, and leave it to be tried again."""
        if self._beginning is not None:
            await asyncio.wait([self._beginning], timeout=_BEGIN_S)
            self._beginning.cancel()
            await asyncio.gather(self._beginning, return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for active, run in list(self._runs.values()):
            await run.cancel()
            try:
                await active.keep()
                ending = Ending("interrupted", "the jobs process was stopped")
                await asyncio.to_thread(self._record_end, active.held, ending)
            except EngineError as error:
                log.warning("job %s is left to the next runner: %s", active.held.job.id, error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a job could not be looked after", exc_info=error)


def _order(held: Held) -> bytes:
    job = held.job
    order = Order(
        job.tenant,
        job.project,
        job.id,
        held.attempt,
        job.kind,
        msgspec.json.encode(job.params),
        job.timeout_s,
        job.cpus,
        job.memory_mb,
    )
    return msgspec.msgpack.encode(order)


def _ending(outcome: Outcome) -> Ending:
    """What the records keep of an outcome."""
    where, cpu = outcome.where, outcome.cpu_seconds
    if outcome.end is End.DONE:
        answer = msgspec.msgpack.decode(outcome.value, type=Answer)
        cpu += answer.cpu_seconds
        if answer.error is None:
            return Ending(State.SUCCEEDED, result=answer.result, cpu_seconds=cpu, where=where)
        end = State.TIMED_OUT if answer.limit == "timeout_s" else State.FAILED
        return Ending(end, answer.error, answer.limit, answer.again, cpu_seconds=cpu, where=where)
    if outcome.end is End.LIMITED and outcome.limit == "seconds":
        return Ending(State.TIMED_OUT, outcome.detail, "timeout_s", cpu_seconds=cpu, where=where)
    name = {End.CANCELLED: State.CANCELLED.value, End.DIED: "died"}.get(
        outcome.end, State.FAILED.value
    )
    return Ending(name, outcome.detail, outcome.limit, cpu_seconds=cpu, where=where)
