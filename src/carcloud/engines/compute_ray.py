"""The compute port on a Ray cluster, used as a runner of jobs.

Needs the optional package `ray`. Ray's processes listen on all interfaces and trust whoever reaches
them: a cluster belongs into a network of its own, or behind a firewall.
"""

import asyncio
import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from carcloud.engines.compute_inside import perform, too_busy, too_long, too_much
from carcloud.engines.process_tree import Snapshot, shared_memory_bytes
from carcloud.ports.compute import End, NeverFits, NoRoom, OnNote, Outcome, Room, Work
from carcloud.ports.errors import Unavailable

log = logging.getLogger(__name__)

_MB = 1 << 20
_LOOK_S = 0.2  # between looks at what running work takes
_SLACK_MB = 64  # on top of a limit of memory
_END_S = 10.0  # that a cancelled task has to go before we stop waiting for it
_QUEUE = 100  # notes that wait to be sent
_NOTE, _END = b"n", b"e"  # how a piece that a task yields begins


def work_task(data: bytes) -> Iterator[bytes]:
    """Inside a Ray worker: notes, then the outcome. The function runs in a thread beside."""
    work = msgspec.msgpack.decode(data, type=Work)
    told: queue.Queue[bytes] = queue.Queue(_QUEUE)
    before = Snapshot.take().of(os.getpid())

    def run() -> None:
        outcome = perform(work, lambda note: told.put(_NOTE + note))
        told.put(_END + msgspec.msgpack.encode(outcome))

    threading.Thread(target=run, daemon=True).start()
    looked = time.monotonic()
    while True:
        try:
            piece = told.get(timeout=_LOOK_S)
        except queue.Empty:
            piece = b""
        if piece:
            yield piece
            if piece.startswith(_END):
                return
        if time.monotonic() - looked >= _LOOK_S:
            looked = time.monotonic()
            exceeded = _exceeded(work, before.cpu_seconds, before.memory_bytes)
            if exceeded is not None:
                yield _END + msgspec.msgpack.encode(exceeded)
                return


def _exceeded(work: Work, cpu_seconds: float, memory_bytes: int) -> Outcome | None:
    """The end of work that takes too much; the driver then ends this process."""
    need, seen, pid = work.need, Snapshot.take(), os.getpid()
    taken = seen.of(pid)
    spent = taken.cpu_seconds - cpu_seconds
    if need.cpu_seconds and spent > need.cpu_seconds:
        return Outcome(End.LIMITED, b"", too_busy(work), "cpu_seconds", spent)
    most = memory_bytes + (need.memory_mb + _SLACK_MB) * _MB
    if taken.memory_bytes > most and shared_memory_bytes(seen.below(pid)) > most:
        return Outcome(End.LIMITED, b"", too_much(work), "memory_mb", spent)
    return None


@dataclass(slots=True, eq=False)
class RayRun:
    """A piece of work that is a task of the cluster."""

    work: Work
    stream: Any  # of Ray: what the task yields
    compute: "RayCompute"
    ending: Outcome | None = None  # why we ended it
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
        if self._outcome is None:
            self.ending = self.ending or Outcome(End.CANCELLED, detail="it was cancelled")
            await self.compute.kill(self)
            await self._ended.wait()

    def finish(self, outcome: Outcome) -> None:
        """This is the end."""
        self._outcome = outcome
        self._ended.set()


class RayCompute:
    """`ports.compute.Compute` on a cluster; make it with `connect`. One a process, as Ray is."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._task = ray.remote(max_retries=0, num_returns="streaming")(work_task)
        self._runs: dict[str, RayRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def connect(cls, address: str) -> "RayCompute":
        """Join the cluster at `address`; raises `Unavailable`."""
        try:
            import ray
        except ImportError as error:
            raise Unavailable("compute: the package ray is not installed") from error

        def join() -> None:
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING,
                     ignore_reinit_error=True, namespace="carcloud")  # fmt: skip

        try:
            await asyncio.to_thread(join)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            raise Unavailable(f"compute: no Ray cluster at {address}: {error}") from error
        return cls(ray)

    async def submit(self, work: Work, on_note: OnNote | None = None) -> RayRun:
        """Begin at once; raises `NoRoom`, `NeverFits`, `Unavailable`."""
        await self._check_room(work)
        need = work.need
        options = {"num_cpus": need.cpus, "memory": need.memory_mb * _MB, "name": work.id}
        data = msgspec.msgpack.encode(work)
        stream = await asyncio.to_thread(lambda: self._task.options(**options).remote(data))
        run = RayRun(work, stream, self)
        self._runs[work.id] = run
        self._begin(self._carry_out(run, on_note))
        return run

    async def room(self) -> Room:
        """What the nodes have, and what our own work has left; raises `Unavailable`."""
        try:
            total = await asyncio.to_thread(self._ray.cluster_resources)
        except Exception as error:
            raise Unavailable(f"compute: {error}") from error
        needs = [run.work.need for run in self._runs.values()]
        cpus, memory = float(total.get("CPU", 0)), int(total.get("memory", 0)) // _MB
        return Room(
            cpus,
            memory,
            cpus - sum(need.cpus for need in needs),
            memory - sum(need.memory_mb for need in needs),
        )

    async def close(self) -> None:
        """Cancel what runs and leave the cluster."""
        for run in list(self._runs.values()):
            await run.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._ray.shutdown)

    async def kill(self, run: RayRun) -> None:
        """End the process of a task."""
        with contextlib.suppress(Exception):  # it has ended already
            await asyncio.to_thread(self._ray.cancel, run.stream, force=True)

    async def _check_room(self, work: Work) -> None:
        room, need = await self.room(), work.need
        nodes = [node["Resources"] for node in await asyncio.to_thread(self._ray.nodes)]
        if not any(
            need.cpus <= node.get("CPU", 0) and need.memory_mb * _MB <= node.get("memory", 0)
            for node in nodes
        ):
            raise NeverFits(
                f"no node of the cluster has {need.cpus:g} processors and {need.memory_mb} MB"
            )
        full = need.cpus > room.free_cpus or need.memory_mb > room.free_memory_mb
        if full or work.id in self._runs:
            raise NoRoom("other work has taken the processors or the memory")

    async def _carry_out(self, run: RayRun, on_note: OnNote | None) -> None:
        try:
            async with asyncio.timeout(run.work.need.seconds) as time_left:
                outcome = await self._listen(run, on_note)
        except TimeoutError:
            expired = time_left.expired()
            detail = too_long(run.work) if expired else "the cluster did not answer"
            limit = "seconds" if expired else None
            outcome = Outcome(End.LIMITED if expired else End.DIED, b"", detail, limit)
        except _NoteNotTaken as error:
            log.error("a note of work %s was not taken", run.id, exc_info=error.__cause__)
            outcome = Outcome(End.FAILED, detail=str(error))
        except Exception as error:  # noqa: BLE001 - Ray's errors have no common ancestor
            outcome = run.ending or Outcome(End.DIED, detail=_died(error))
        if outcome.end not in (End.DONE, End.FAILED) or run.ending is not None:
            await self.kill(run)
        if run.ending is not None and outcome.end is not End.DONE:
            outcome = replace(run.ending, cpu_seconds=outcome.cpu_seconds)
        del self._runs[run.id]
        run.finish(outcome)

    async def _listen(self, run: RayRun, on_note: OnNote | None) -> Outcome:
        async for reference in run.stream:
            piece: bytes = await reference
            if piece.startswith(_END):
                return msgspec.msgpack.decode(piece[1:], type=Outcome)
            if on_note is not None:
                try:
                    await on_note(piece[1:])
                except Exception as error:
                    await self.kill(run)
                    raise _NoteNotTaken(f"a note was not taken: {error!r}") from error
        return run.ending or Outcome(End.DIED, detail="its task ended without an answer")

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _NoteNotTaken(Exception):
    """The caller's `on_note` failed, with the error that is the cause of this."""


def _died(error: Exception) -> str:
    """Why a task is gone, in one line."""
    text = str(error).strip().splitlines() or [type(error).__name__]
    return f"its process or node went away: {type(error).__name__}: {text[0][:300]}"
