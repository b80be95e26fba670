"""The compute port on this machine: processes that stay warm for the next piece of work."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from carcloud.engines.compute_inside import too_busy, too_long, too_much
from carcloud.engines.compute_local.wire import BEGUN, END, NOTE, read_outcome, work_frame
from carcloud.engines.compute_local.worker_process import WorkerProcess, told
from carcloud.engines.process_tree import Snapshot, Taken, shared_memory_bytes
from carcloud.ports.compute import (
    End,
    NeverFits,
    NoRoom,
    OnNote,
    Outcome,
    Room,
    Work,
)
from carcloud.ports.errors import Unavailable

log = logging.getLogger(__name__)

_MB = 1 << 20
_LOOK_S = 0.2  # between looks at what running work takes
_IDLE_S = 60.0  # after which a worker that is not kept warm goes
_MOST_WORKS = 200  # that one worker does: what leaks goes with it
_GROWN_MB = 256  # by which a worker may have grown and still be used again
_SLACK_MB = 64  # on top of a limit of memory


@dataclass(slots=True, eq=False)
class LocalRun:
    """A piece of work in a worker."""

    work: Work
    worker: WorkerProcess
    began: Taken | None = None  # what the worker had taken before; None = it is not ready yet
    last: Taken = field(default_factory=Taken)
    ending: Outcome | None = None  # why we killed the worker
    _outcome: Outcome | None = None
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def id(self) -> str:
        """The work's id."""
        return self.work.id

    def outcome(self) -> Outcome | None:
        """The end, None while it runs."""
        return self._outcome

    async def wait(self) -> Outcome:
        """The end, when it has come and all notes have been taken."""
        await self._ended.wait()
        assert self._outcome is not None  # noqa: S101 - `finish` sets it first
        return self._outcome

    async def cancel(self) -> None:
        """End it; nothing happens if it has ended."""
        await self.stop(Outcome(End.CANCELLED, detail="it was cancelled"))

    async def stop(self, why: Outcome) -> None:
        """Kill the worker and wait for the end, which is `why` unless it came before."""
        if self._outcome is None:
            self.ending = self.ending or why
            await asyncio.to_thread(self.worker.kill)
            await self._ended.wait()

    def finish(self, outcome: Outcome) -> None:
        """This is the end."""
        began = self.began or Taken()
        spent = max(0.0, self.last.cpu_seconds - began.cpu_seconds)
        self._outcome = replace(outcome, cpu_seconds=max(spent, outcome.cpu_seconds))
        self._ended.set()


class LocalCompute:
    """`ports.compute.Compute` with the processors and the memory of this machine.

    `places` is how many pieces of work run at once, `warm` how many idle workers are kept ready.
    A new worker first calls `prepare`, a function by name and the text of its argument. The first
    idle worker is started after `warm_after_s`: whoever starts has enough to do.
    """

    def __init__(
        self,
        *,
        cpus: float | None = None,
        memory_mb: int | None = None,
        places: int | None = None,
        warm: int = 1,
        warm_after_s: float = 0.0,
        prepare: tuple[str, str] | None = None,
    ) -> None:
        self._cpus = cpus or float(os.cpu_count() or 1)
        self._memory_mb = memory_mb or machine_memory_mb() * 3 // 4
        self._places = places or max(2, os.cpu_count() or 1)
        self._warm = min(warm, self._places)
        self._prepare = prepare or ()
        self._idle: list[WorkerProcess] = []
        self._runs: dict[str, LocalRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting = 0
        self._closed = False
        self._begin(self._watch())
        self._begin(self._keep_warm(warm_after_s))

    async def submit(self, work: Work, on_note: OnNote | None = None) -> LocalRun:
        """Begin at once; raises `NoRoom`, `NeverFits`, `Unavailable`."""
        self._check_room(work)
        try:
            worker = self._take() or await WorkerProcess.start(self._prepare)
        except OSError as error:
            raise Unavailable(f"compute: no worker can be started: {error}") from error
        run = LocalRun(work, worker)
        self._runs[work.id] = run
        self._begin(self._carry_out(run, on_note))
        return run

    async def room(self) -> Room:
        """What there is and what is free."""
        needs = [run.work.need for run in self._runs.values()]
        full = len(needs) >= self._places
        return Room(
            self._cpus,
            self._memory_mb,
            0.0 if full else self._cpus - sum(need.cpus for need in needs),
            self._memory_mb - sum(need.memory_mb for need in needs),
        )

    async def close(self) -> None:
        """Cancel what runs and end all workers."""
        self._closed = True
        for run in list(self._runs.values()):
            await run.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while self._idle:
            await self._idle.pop().end()

    def _check_room(self, work: Work) -> None:
        need = work.need
        if need.cpus > self._cpus or need.memory_mb > self._memory_mb:
            has = f"{self._cpus:g} processors and {self._memory_mb} MB of memory"
            raise NeverFits(f"this machine has {has} for work")
        if self._closed or len(self._runs) >= self._places or work.id in self._runs:
            raise NoRoom("all workers are busy")
        running = [run.work.need for run in self._runs.values()]
        cpus = need.cpus + sum(one.cpus for one in running)
        memory = need.memory_mb + sum(one.memory_mb for one in running)
        if cpus > self._cpus or memory > self._memory_mb:
            raise NoRoom("other work has taken the processors or the memory")

    def _take(self) -> WorkerProcess | None:
        """An idle worker: one that is ready, or else the one that was started first."""
        self._idle.sort(key=lambda worker: (worker.is_ready, -worker.idle_since))
        while self._idle:
            worker = self._idle.pop()
            if worker.lives():
                self._begin(self._keep_warm())
                return worker
        return None

    async def _carry_out(self, run: LocalRun, on_note: OnNote | None) -> None:
        """From the order to the end; the worker is used again if it came to the end by itself."""
        again = False
        try:
            outcome = await self._talk(run, on_note)
            again = outcome.end in (End.DONE, End.FAILED)
        except (EOFError, ConnectionError):
            code = await run.worker.gone()
            outcome = run.ending or Outcome(End.DIED, detail=told(code))
        except OSError as error:
            outcome = Outcome(End.DIED, detail=f"no worker can be started: {error}")
        except _TimeIsUp:
            outcome = Outcome(End.LIMITED, detail=too_long(run.work), limit="seconds")
        except asyncio.CancelledError:
            outcome = Outcome(End.CANCELLED, detail="the engine was closed")
        except _NoteNotTaken as error:
            log.error("a note of work %s was not taken", run.id, exc_info=error.__cause__)
            outcome = Outcome(End.FAILED, detail=str(error))
        await self._put_back(run, again=again)
        del self._runs[run.id]
        run.finish(outcome)

    async def _talk(self, run: LocalRun, on_note: OnNote | None) -> Outcome:
        """Give the work to its worker and hear it to the end; raises `_TimeIsUp`."""
        try:
            await _hand_over(run)
        except (EOFError, ConnectionError):
            if run.ending is not None:
                raise
            await run.worker.gone()  # it died while it was idle, and nothing has begun
            run.worker = await WorkerProcess.start(self._prepare)
            await _hand_over(run)
        try:
            async with asyncio.timeout(run.work.need.seconds):
                return await _to_the_end(run.worker, on_note)
        except TimeoutError as error:
            raise _TimeIsUp from error

    async def _put_back(self, run: LocalRun, *, again: bool) -> None:
        worker, began = run.worker, run.began or Taken()
        worker.works += 1
        worker.idle_since = time.monotonic()
        seen = await asyncio.to_thread(Snapshot.take)
        if worker.pid in seen.taken:
            worker.taken = run.last = seen.of(worker.pid)
        grown = run.last.memory_bytes - began.memory_bytes
        fit = again and worker.works < _MOST_WORKS and grown < _GROWN_MB * _MB
        if fit and worker.lives() and not self._closed:
            self._idle.append(worker)
            return
        await worker.end()
        if not self._closed:
            self._begin(self._keep_warm())

    async def _keep_warm(self, after_s: float = 0.0) -> None:
        """Start workers until enough are idle; each says by itself when it is ready."""
        await asyncio.sleep(after_s)
        while self._room_for_idle() and not self._closed:
            self._starting += 1
            try:
                worker = await WorkerProcess.start(self._prepare)
            except OSError as error:
                log.warning("no worker can be kept ready: %s", error)
                return
            finally:
                self._starting -= 1
            self._idle.append(worker)

    def _room_for_idle(self) -> bool:
        idle = len(self._idle) + self._starting
        return idle < self._warm and idle + len(self._runs) < self._places

    async def _watch(self) -> None:
        """Again and again: end what takes too much, and workers that are not needed."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._runs:
                seen = await asyncio.to_thread(Snapshot.take)
                for run in list(self._runs.values()):
                    await self._look(run, seen)
            spare = [w for w in self._idle if time.monotonic() - w.idle_since > _IDLE_S]
            for worker in spare[: max(0, len(self._idle) - self._warm)]:
                self._idle.remove(worker)
                await worker.end()

    async def _look(self, run: LocalRun, seen: Snapshot) -> None:
        if run.began is None or run.ending is not None or run.outcome() is not None:
            return
        taken = seen.of(run.worker.pid)
        if not taken.processes:  # it has just ended: what it took was seen before
            return
        need, run.last = run.work.need, taken
        most = run.began.memory_bytes + (need.memory_mb + _SLACK_MB) * _MB
        if need.cpu_seconds and taken.cpu_seconds - run.began.cpu_seconds > need.cpu_seconds:
            why = Outcome(End.LIMITED, detail=too_busy(run.work), limit="cpu_seconds")
            self._begin(run.stop(why))
        elif taken.memory_bytes > most:
            pids = seen.below(run.worker.pid)
            if await asyncio.to_thread(shared_memory_bytes, pids) > most:
                why = Outcome(End.LIMITED, detail=too_much(run.work), limit="memory_mb")
                self._begin(run.stop(why))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _TimeIsUp(Exception):
    """The work has run for all of its seconds."""


class _NoteNotTaken(Exception):
    """The caller's `on_note` failed, with the error that is the cause of this."""


async def _hand_over(run: LocalRun) -> None:
    """Returns when the work has begun."""
    worker = run.worker
    await worker.ready()
    run.began = run.last = worker.taken or Snapshot.one(worker.pid)
    await worker.send(work_frame(run.work))
    kind, _ = await worker.receive()
    assert kind == BEGUN  # noqa: S101 - a worker's first answer


async def _to_the_end(worker: WorkerProcess, on_note: OnNote | None) -> Outcome:
    while True:
        kind, body = await worker.receive()
        if kind == END:
            return read_outcome(body)
        if kind == NOTE and on_note is not None:
            try:
                await on_note(body)
            except Exception as error:
                raise _NoteNotTaken(f"a note was not taken: {error!r}") from error


def machine_memory_mb() -> int:
    """Memory of this machine."""
    with contextlib.suppress(OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MB
    return 4096
