"""The compute port: one suite for every engine. Ray's part runs from `test_compute_ray.py`."""

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from carcloud.engines.compute_local import LocalCompute
from carcloud.engines.process_tree import Snapshot
from carcloud.ports.compute import Compute, End, Need, NeverFits, NoRoom, Outcome, Work
from carcloud.ports.errors import Unavailable

WORK = "tests.ports.compute_work:"
RAY = os.environ.get("CARCLOUD_TEST_RAY", "")  # address of a cluster in a network of its own
CPUS, MEMORY_MB, SOON_S = 2, 2000, 30.0
_ids = iter(range(10**6))


@asynccontextmanager
async def engine(kind: str) -> AsyncIterator[Compute]:
    made: Compute
    if kind == "local":
        made = LocalCompute(cpus=CPUS, memory_mb=MEMORY_MB, places=2)
    else:
        from carcloud.engines.compute_ray import RayCompute

        made = await _joined(RayCompute)
    try:
        yield made
    finally:
        await made.close()


async def _joined(engine: Any) -> Any:
    """Connected, when both nodes are there."""
    while True:
        try:
            made = await engine.connect(RAY)
            break
        except Unavailable:
            await asyncio.sleep(1)
    while (await made.room()).cpus < CPUS:
        await asyncio.sleep(0.2)
    return made


@pytest.fixture(params=["local", "ray"])
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "ray" and not RAY:
        pytest.skip("runs in network namespaces: see test_compute_ray.py")
    return str(request.param)


def work(function: str, argument: object = b"", **need: float) -> Work:
    data = argument if isinstance(argument, bytes) else str(argument).encode()
    name = f"{function}-{os.getpid()}-{next(_ids)}"
    fields = {"memory_mb": 400, "seconds": SOON_S, **need}
    return Work(name, WORK + function, data, Need(**fields))  # type: ignore[arg-type]


def with_engine(kind: str, scenario: Callable[[Compute], Awaitable[None]]) -> None:
    async def main() -> None:
        async with engine(kind) as compute, asyncio.timeout(100):
            await scenario(compute)

    asyncio.run(main())


class Notes:
    """What a function tells."""

    def __init__(self) -> None:
        self.all: list[bytes] = []
        self.came = asyncio.Event()

    async def __call__(self, note: bytes) -> None:
        self.all.append(note)
        self.came.set()

    async def first(self) -> bytes:
        async with asyncio.timeout(SOON_S):
            await self.came.wait()
        return self.all[0]


async def done(compute: Compute, what: Work) -> Outcome:
    return await (await compute.submit(what)).wait()


def test_bytes_go_in_and_come_out(kind: str) -> None:
    async def scenario(compute: Compute) -> None:
        for data in (b"", b"\x00\xff", os.urandom(3_000_000)):
            outcome = await done(compute, work("echo", data))
            assert (outcome.end, outcome.value, outcome.limit) == (End.DONE, data, None)
        assert outcome.where

    with_engine(kind, scenario)


def test_an_error_of_the_function_is_told(kind: str) -> None:
    async def scenario(compute: Compute) -> None:
        outcome = await done(compute, work("fail", "seven is not even"))
        assert outcome.end is End.FAILED
        assert "ValueError: seven is not even" in outcome.detail
        assert (await done(compute, work("nothing"))).end is End.FAILED
        outcome = await done(compute, work("no_bytes"))
        assert (outcome.end, "int, not bytes" in outcome.detail) == (End.FAILED, True)
        assert (await done(compute, work("echo", b"on"))).value == b"on"

    with_engine(kind, scenario)


def test_notes_come_in_order_and_before_the_end(kind: str) -> None:
    async def scenario(compute: Compute) -> None:
        notes = Notes()
        run = await compute.submit(work("count", 500), notes)
        assert run.outcome() is None
        outcome = await run.wait()
        assert run.outcome() == outcome
        assert notes.all == [str(number).encode() for number in range(500)]
        assert outcome.value.decode() == run.id

    with_engine(kind, scenario)


def test_a_note_too_large_is_refused(kind: str) -> None:
    async def scenario(compute: Compute) -> None:
        assert (await done(compute, work("large_note", 1_000_000))).end is End.DONE
        outcome = await done(compute, work("large_note", 1_000_001))
        assert (outcome.end, "at most 1000000" in outcome.detail) == (End.FAILED, True)

    with_engine(kind, scenario)


def test_a_reader_that_fails_ends_the_work(kind: str) -> None:
    async def broken(_note: bytes) -> None:
        raise OSError("no room for notes")

    async def scenario(compute: Compute) -> None:
        outcome = await (await compute.submit(work("sleep", 600), broken)).wait()
        assert (outcome.end, "no room for notes" in outcome.detail) == (End.FAILED, True)

    with_engine(kind, scenario)


def test_cancel_ends_what_does_not_listen(kind: str) -> None:
    async def scenario(compute: Compute) -> None:
        notes = Notes()
        run = await compute.submit(work("stubborn"), notes)
        assert await notes.first() == b"deaf"
        started = time.monotonic()
        await run.cancel()
        assert (await run.wait()).end is End.CANCELLED
        assert time.monotonic() - started < SOON_S / 2
        await run.cancel()
        assert (await done(compute, work("echo", b"on"))).value == b"on"

    with_engine(kind, scenario)


@pytest.mark.parametrize(
    ("function", "limit", "need"),
    [
        ("sleep", "seconds", {"seconds": 1.5}),
        ("eat", "memory_mb", {"memory_mb": 200}),
        ("eat_in_a_child", "memory_mb", {"memory_mb": 200}),
    ],
)
def test_limits_end_the_work_and_are_named(
    kind: str, function: str, limit: str, need: dict[str, float]
) -> None:
    async def scenario(compute: Compute) -> None:
        argument = b"600" if function == "sleep" else b""
        outcome = await done(compute, work(function, argument, **need))
        assert (outcome.end, outcome.limit) == (End.LIMITED, limit), outcome.detail
        assert f"{need[limit]:g}" in outcome.detail

    with_engine(kind, scenario)


def test_the_limit_of_processor_time_does_not_count_sleep(kind: str) -> None:
    asleep = 1.5  # s, in which wall time would exceed the limit

    async def scenario(compute: Compute) -> None:
        notes, began = Notes(), time.monotonic()
        run = await compute.submit(work("burn", asleep, cpu_seconds=0.7), notes)
        outcome = await run.wait()
        took = time.monotonic() - began
        assert (outcome.end, outcome.limit) == (End.LIMITED, "cpu_seconds"), outcome.detail
        assert "0.7" in outcome.detail
        assert notes.all == [b"hot"]
        assert 0.7 <= outcome.cpu_seconds <= took - asleep / 2

    with_engine(kind, scenario)


def test_a_process_that_dies_is_noticed(kind: str) -> None:
    async def scenario(compute: Compute) -> None:
        outcome = await done(compute, work("die"))
        assert outcome.end is End.DIED
        assert outcome.detail
        assert (await done(compute, work("leave", 3))).end is End.DIED
        assert (await done(compute, work("echo", b"on"))).value == b"on"

    with_engine(kind, scenario)


def test_works_run_side_by_side_until_there_is_no_room(kind: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    async def scenario(compute: Compute) -> None:
        room = await compute.room()
        assert room.free_cpus == room.cpus == CPUS
        met = [await compute.submit(work("meet", f"{tmp_path}|2")) for _ in range(2)]
        with pytest.raises(NoRoom):
            await compute.submit(work("echo"))
        assert (await compute.room()).free_cpus < 1
        assert [(await run.wait()).value for run in met] == [b"met", b"met"]
        async with asyncio.timeout(SOON_S):
            while (await compute.room()).free_cpus < CPUS:
                await asyncio.sleep(0.05)
        assert (await done(compute, work("echo", b"on"))).value == b"on"

    with_engine(kind, scenario)


def test_what_never_fits_is_refused(kind: str) -> None:
    async def scenario(compute: Compute) -> None:
        with pytest.raises(NeverFits, match="MB"):
            await compute.submit(work("echo", memory_mb=10_000_000))
        with pytest.raises(NeverFits):
            await compute.submit(work("echo", cpus=64))

    with_engine(kind, scenario)


def test_closing_cancels(kind: str) -> None:
    async def main() -> None:
        notes = Notes()
        async with engine(kind) as compute:
            run = await compute.submit(work("sleep", 600), notes)
            await notes.first()
        assert (await run.wait()).end is End.CANCELLED

    asyncio.run(main())


@pytest.mark.skipif(not RAY, reason="runs in network namespaces: see test_compute_ray.py")
def test_works_on_two_nodes_at_once(tmp_path: Path) -> None:
    """Two works that need a processor each are on the two nodes that have one each."""

    async def scenario(compute: Compute) -> None:
        met = [await compute.submit(work("meet_where", f"{tmp_path}|2")) for _ in range(2)]
        spaces = {(await run.wait()).value for run in met}
        assert len(spaces) == 2

    with_engine("ray", scenario)


# --- what is the local engine's alone -----------------------------------------------------------


def test_a_warm_worker_is_used_again_and_begins_at_once() -> None:
    async def scenario(compute: Compute) -> None:
        seen, took = set(), []
        for _ in range(21):
            started = time.monotonic()
            seen.add((await done(compute, work("process"))).value)
            took.append(time.monotonic() - started)
        assert len(seen) == 1
        assert statistics.median(took[1:]) < took[0] / 2  # the first one waits for a worker

    with_engine("local", scenario)


def test_a_look_at_work_that_has_just_ended_forgets_nothing_of_what_it_took() -> None:
    async def scenario(compute: Compute) -> None:
        assert isinstance(compute, LocalCompute)
        run = await compute.submit(work("burn"))
        async with asyncio.timeout(SOON_S):
            while run.began is None or run.last.cpu_seconds < run.began.cpu_seconds + 0.3:
                await asyncio.sleep(0.02)
        await compute._look(run, Snapshot())  # its process has gone, and nobody has heard yet
        await run.cancel()
        assert (await run.wait()).cpu_seconds >= 0.3

    with_engine("local", scenario)


def test_children_of_cancelled_work_are_gone() -> None:
    async def scenario(compute: Compute) -> None:
        notes = Notes()
        run = await compute.submit(work("with_child"), notes)
        child = int(await notes.first())
        await run.cancel()
        async with asyncio.timeout(SOON_S):
            while is_alive(child):
                await asyncio.sleep(0.02)

    with_engine("local", scenario)


def test_no_child_is_left_of_work_that_starts_them_as_it_is_cancelled() -> None:
    async def scenario(compute: Compute) -> None:
        assert isinstance(compute, LocalCompute)
        for _ in range(4):
            notes = Notes()
            run = await compute.submit(work("breed"), notes)
            await notes.first()
            worker = run.worker.pid
            await run.cancel()
            async with asyncio.timeout(SOON_S):
                while of_session(worker):
                    await asyncio.sleep(0.02)

    with_engine("local", scenario)


def test_an_idle_worker_that_was_killed_is_replaced() -> None:
    async def scenario(compute: Compute) -> None:
        first = int((await done(compute, work("process"))).value)
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(SOON_S):
            while is_alive(first):
                await asyncio.sleep(0.01)
        second = int((await done(compute, work("process"))).value)
        assert second != first

    with_engine("local", scenario)


_POOL = """
import asyncio, sys
from carcloud.engines.compute_local import LocalCompute
from carcloud.engines.process_tree import Snapshot
from tests.ports.test_compute import work

async def main():
    compute = LocalCompute()
    async def told(note):
        print(note.decode(), flush=True)
    await (await compute.submit(work("with_child"), told)).wait()

asyncio.run(main())
"""


def test_workers_end_with_a_pool_that_is_killed() -> None:
    pool = subprocess.Popen([sys.executable, "-c", _POOL], stdout=subprocess.PIPE, text=True)
    assert pool.stdout is not None
    child = int(pool.stdout.readline())
    pool.kill()
    pool.wait()
    deadline = time.monotonic() + SOON_S
    while is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pool.stdout.close()


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def of_session(leader: int) -> list[int]:
    """What lives of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, _, _, session = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:4]
            if int(session) == leader and state != "Z":
                found.append(int(folder.name))
    return found
