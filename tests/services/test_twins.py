"""The twin over restarts: snapshot, lake, live rows, and gaps between them. Real engines."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from carcloud.engines.blobs_object import ObjectBlobs
from carcloud.engines.lake_delta import DeltaLake
from carcloud.engines.stream_nats import NatsServer, NatsStream
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.model.streams import live_subject
from carcloud.ports.errors import Unavailable
from carcloud.ports.lake import Slice, TableRef
from carcloud.services.telemetry import twins as module
from carcloud.services.telemetry.twin import SPEED
from carcloud.services.telemetry.twins import Twins, snapshot_key

ROOM = 1 << 30  # bytes
ACCOUNT = {"user": "u", "password": "p" * 24}
SIGNALS = TableRef(DEFAULT_TENANT, "signals")
START = 1_750_000_000_000_000  # us


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer.start(tmp_path / "nats", max_bytes=ROOM, **ACCOUNT) as server:
        yield server.ready()


class Scene:
    """A lake that is written as ingest writes it, and a web role that may be restarted."""

    def __init__(self, stream: NatsStream, folder: Path) -> None:
        self.stream = stream
        self.lake = DeltaLake(folder / "tenants")
        self.blobs = ObjectBlobs(str(folder / "blobs"))
        self.told = 0

    def rows(self, vehicle: str, seq: int, speed: float, second: int) -> pa.Table:
        time = pa.array([START + second * 1_000_000], pa.timestamp("us", "UTC"))
        return pa.table(
            {
                "vehicle": pa.array([vehicle]),
                "time": time,
                "received": time,
                "seq": pa.array([seq]),
                SPEED: pa.array([speed], pa.float32()),
            }
        )

    async def commit(
        self, vehicle: str, seq: int, speed: float, second: int, *, tell: bool = True
    ) -> None:
        """One micro-batch; `tell` False = its live message is lost."""
        rows = self.rows(vehicle, seq, speed, second)
        previous, self.told = self.told, seq
        await asyncio.to_thread(self.lake.append, SIGNALS, rows, writer="ingest", seq=seq)
        if tell:
            marks = {b"prev_seq": str(previous).encode(), b"seq": str(seq).encode()}
            marked = rows.replace_schema_metadata(marks)
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, marked.schema) as writer:
                writer.write_table(marked)
            await self.stream.broadcast(live_subject(DEFAULT_TENANT), bytes(sink.getvalue()))

    @asynccontextmanager
    async def web(self) -> AsyncIterator[Twins]:
        twins = Twins(self.lake, self.stream, self.blobs)
        await twins.start()
        yield twins
        await twins.stop()


async def speeds(twins: Twins, expected: dict[str, float]) -> None:
    """Wait until the twin says so; fails with what it says after half a minute."""
    said: dict[str, float | None] = {}
    for _ in range(600):
        twin = await twins.of(DEFAULT_TENANT)
        said = {row.vehicle: row.speed_kmh for row in twin.overviews()}
        if said == expected:
            return
        await asyncio.sleep(0.05)
    assert said == expected


def run(server: NatsServer, folder: Path, test: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        url = f"nats://127.0.0.1:{server.port}"
        stream = await NatsStream.connect(url, max_bytes=ROOM, timeout_s=60, call_s=60, **ACCOUNT)
        try:
            await test(Scene(stream, folder))
        finally:
            await stream.close()

    asyncio.run(main())


def test_live_rows_after_a_restart(server: NatsServer, tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        await scene.commit("A", 3, 10.0, 1)
        async with scene.web() as twins:
            await speeds(twins, {"A": 10.0})  # from the lake, without a snapshot
            await scene.commit("B", 5, 20.0, 2)
            await speeds(twins, {"A": 10.0, "B": 20.0})  # live
        assert scene.blobs.info(snapshot_key(DEFAULT_TENANT)).size > 0
        await scene.commit("A", 8, 11.0, 3)  # while the web role is down
        async with scene.web() as twins:
            await speeds(twins, {"A": 11.0, "B": 20.0})

    run(server, tmp_path, test)


def test_a_lost_live_message_is_made_good(server: NatsServer, tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        await scene.commit("A", 1, 1.0, 1)
        async with scene.web() as twins:
            await speeds(twins, {"A": 1.0})
            await scene.commit("B", 2, 2.0, 2, tell=False)
            await scene.commit("C", 3, 3.0, 3)
            await speeds(twins, {"A": 1.0, "B": 2.0, "C": 3.0})

    run(server, tmp_path, test)


def test_the_snapshot_is_used_and_a_broken_one_is_not(server: NatsServer, tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        await scene.commit("A", 1, 1.0, 1)
        async with scene.web() as twins:
            await speeds(twins, {"A": 1.0})
        empty = Scene(scene.stream, tmp_path / "elsewhere")  # a lake without rows
        empty.blobs.put(snapshot_key(DEFAULT_TENANT), scene.blobs.get(snapshot_key(DEFAULT_TENANT)))
        async with empty.web() as twins:
            await speeds(twins, {"A": 1.0})
        scene.blobs.put(snapshot_key(DEFAULT_TENANT), b"rubbish")
        async with scene.web() as twins:
            await speeds(twins, {"A": 1.0})

    run(server, tmp_path, test)


def test_a_rebuild_in_many_pieces(
    server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REBUILD_ROWS", 2)

    async def test(scene: Scene) -> None:
        for n in range(9):
            await scene.commit(f"V{n % 4}", n + 1, float(n), n, tell=False)
        async with scene.web() as twins:
            await speeds(twins, {"V0": 8.0, "V1": 5.0, "V2": 6.0, "V3": 7.0})

    run(server, tmp_path, test)


def test_a_catch_up_in_many_pieces(
    server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CATCH_UP_ROWS", 2)

    async def test(scene: Scene) -> None:
        await scene.commit("V0", 1, 0.5, 0)
        async with scene.web() as twins:
            await speeds(twins, {"V0": 0.5})
        for n in range(1, 9):
            both = [scene.rows(f"V{n % 4}", n + 1, float(n), n), scene.rows("W", n + 1, n / 2, n)]
            rows = pa.concat_tables(both)
            scene.lake.append(SIGNALS, rows, writer="ingest", seq=n + 1)
        async with scene.web() as twins:
            await speeds(twins, {"V0": 8.0, "V1": 5.0, "V2": 6.0, "V3": 7.0, "W": 4.0})

    run(server, tmp_path, test)


def test_a_rebuild_that_fails_leaves_no_gap(
    server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REBUILD_ROWS", 2)

    async def test(scene: Scene) -> None:
        for n in range(9):  # what came last in the stream is the oldest
            await scene.commit(f"V{n}", n + 1, float(n), 9 - n, tell=False)
        read, calls = scene.lake.read, [0]

        def sometimes(table: TableRef, what: Slice) -> pa.Table:
            calls[0] += 1
            if calls[0] == 3:
                raise Unavailable("the lake is away")
            return read(table, what)

        monkeypatch.setattr(scene.lake, "read", sometimes)
        async with scene.web() as twins:
            with pytest.raises(Unavailable):
                await twins.of(DEFAULT_TENANT)
            await speeds(twins, {f"V{n}": float(n) for n in range(9)})

    run(server, tmp_path, test)
