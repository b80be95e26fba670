"""A whole cloud whose processes are killed in turn while vehicles are at work."""

import asyncio
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pyarrow as pa

from carcloud.app.engines import open_lake, open_records
from carcloud.app.first_start import prepare
from carcloud.app.secret import sealing_secret
from carcloud.config import Settings
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.ports.lake import Slice, TableRef
from carcloud.ports.records import Records
from carcloud.services.vehicles.api import Vehicles
from carcloud.supervisor import Supervisor
from tests.kill.victims import kill
from tests.ports.free import free_port

T = TypeVar("T")
TURN = ("gateway", "ingest", "stream", "web")
SIGNALS = TableRef(DEFAULT_TENANT, "signals")
Moment = tuple[str, int]  # vehicle, us


class Lost(Exception):
    """A connection has ended, or nobody answers on it."""


def settings_for(data: Path, **more: object) -> Settings:
    """Of a small cloud whose ports are free; `gateway__processes` is `gateway.processes`."""
    return Settings(
        {
            "data": str(data),
            "web.port": 0,
            "storage.port": 0,
            "gateway.gbt32960.port": free_port(),
            "gateway.jt808.port": 0,
            "gateway.mqtt.port": 0,
            "gateway.auto_register": True,
            "gateway.gbt32960.reply_reports": True,
            "lake.upkeep_s": 5,
            **{name.replace("__", "."): value for name, value in more.items()},
        }
    )


@contextmanager
def cloud(
    data: Path, enrol: Callable[[Settings, Records, Vehicles], None] = lambda *_: None, **more: Any
) -> Iterator[Supervisor]:
    """It runs; `enrol` fills the records before it starts."""
    settings = settings_for(data, **more)
    prepare(settings)
    records = open_records(settings)
    enrol(settings, records, Vehicles(records, secret=sealing_secret(settings)))
    records.close()
    supervisor = Supervisor(settings)
    try:
        supervisor.start()
        yield supervisor
    finally:
        supervisor.stop()


def client(supervisor: Supervisor) -> httpx.Client:
    """The API, as the owner."""
    headers = {"Authorization": f"Bearer {supervisor.run.local_token()}"}
    url = supervisor.run.facts("web")["url"]
    return httpx.Client(base_url=url, headers=headers, timeout=20)


def port(supervisor: Supervisor, protocol: str) -> int:
    """Where vehicles of a protocol connect."""
    return supervisor.settings.whole(f"gateway.{protocol}.port")


class Kills:
    """SIGKILL for one process after the other, at moments nobody expects; then `over` is set.

    `work` counts what each vehicle has got done. The first process is killed once all have done
    something, and it is over once all have done `least` more since the last one was: however slow
    the machine, there is work to disturb, and work behind it.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        roles: Sequence[str] = TURN,
        *,
        turns: int = 1,
        pause_s: tuple[float, float] = (2.0, 3.0),
        work: Callable[[], Sequence[int]] = lambda: (),
        least: int = 1,
    ) -> None:
        seed = int.from_bytes(os.urandom(4), "big")
        print("seed", seed)
        self.dice = random.Random(seed)
        self._supervisor = supervisor
        self._pause_s = pause_s
        self._victims = [r for _ in range(turns) for r in self.dice.sample(roles, len(roles))]
        self._due = time.monotonic() + self.dice.uniform(*pause_s)
        self._work, self._least = work, least
        self._before = [0 for _ in work()]  # what was done when the last one was killed
        self.done: Counter[str] = Counter()
        self.over = threading.Event()

    def __call__(self) -> None:
        """Kill the next one, if it is time to."""
        if time.monotonic() < self._due:
            return
        if not self._victims:
            if self._gone_on(self._least):
                self.over.set()
        elif (self.done or self._gone_on(1)) and kill(self._supervisor, self._victims[0]):
            self._before = list(self._work())
            self.done[self._victims.pop(0)] += 1
            self._due = time.monotonic() + self.dice.uniform(*self._pause_s)

    def _gone_on(self, by: int) -> bool:
        pairs = zip(self._work(), self._before, strict=True)
        return all(now - before >= by for now, before in pairs)


def meanwhile(
    supervisor: Supervisor, work: Callable[[], Coroutine[Any, Any, T]], disturb: Callable[[], None]
) -> T:
    """What `work` returns; `disturb` is called meanwhile, about ten times a second.

    Where that fails, or the time of the test is up, the work is cancelled.
    """
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = Future()

    async def cancellable() -> T:
        task = asyncio.current_task()
        assert task is not None
        begun.set_result((asyncio.get_running_loop(), task))
        return await work()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: asyncio.run(cancellable()))
        try:
            while not running.done():
                disturb()
                supervisor.tend()
                time.sleep(0.1)
        except BaseException:
            loop, task = begun.result(60)
            with suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(task.cancel)
            raise
        return running.result()


def stored(
    supervisor: Supervisor, wanted: Collection[Moment], table: TableRef = SIGNALS, **what: Any
) -> pa.Table:
    """The rows of a table, once it has all that is wanted and grows no more, and every process
    that was killed serves again."""
    lake, before = open_lake(supervisor.settings), -1
    deadline = time.monotonic() + 90
    try:
        while True:
            supervisor.tend()
            rows = lake.read(table, Slice(**what))
            whole = rows.num_rows == before and set(wanted) <= set(moments(rows))
            if (whole and serves(supervisor)) or time.monotonic() > deadline:
                return rows
            before = rows.num_rows
            time.sleep(1)
    finally:
        lake.close()


def serves(supervisor: Supervisor) -> bool:
    """Whether all processes of roles have said that they serve."""
    children = supervisor.children.items()
    return all(supervisor.run.ready(role, child.process.pid) for role, child in children)


def moments(rows: pa.Table) -> list[Moment]:
    """Vehicle and time (us) of each row."""
    if not rows.num_rows:
        return []
    times = rows["time"].cast(pa.int64()).to_pylist()
    return list(zip(rows["vehicle"].to_pylist(), times, strict=True))


def twice(found: Collection[Any]) -> list[Any]:
    """What is there more than once."""
    return [one for one, count in Counter(found).items() if count > 1]
