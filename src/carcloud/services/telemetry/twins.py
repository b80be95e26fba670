"""The twins of all tenants, kept over restarts: snapshot, then the lake, then live rows."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pyarrow as pa
import pyarrow.compute as pc

from carcloud.model.ids import Tenant
from carcloud.model.streams import live_subject
from carcloud.ports.blobs import Blobs
from carcloud.ports.errors import EngineError, NotFound
from carcloud.ports.lake import Lake, Slice, TableInfo, TableRef
from carcloud.ports.stream import Stream
from carcloud.services.telemetry.ingest_position import WRITER
from carcloud.services.telemetry.twin import Twin

log = logging.getLogger(__name__)

SIGNALS = "signals"
SNAPSHOT_S = 60.0  # s between snapshots
CATCH_UP_ROWS = 200_000  # rows read at once after a snapshot or a gap
REBUILD_ROWS = 500_000  # rows read at once when there is no snapshot


class _Kept:
    """The twin of one tenant and how far it has come in the stream."""

    def __init__(self) -> None:
        self.twin = Twin()
        self.seq = 0
        self.saved_seq = 0
        self.behind = True  # the lake may hold rows that came neither live nor in the snapshot
        self.lock = asyncio.Lock()
        self.stop: Callable[[], Awaitable[None]] | None = None

    def advance(self, seq: int) -> None:
        self.seq = max(self.seq, seq)


class Twins:
    """Opens a tenant's twin when it is first asked for, and follows the tenant from then on."""

    def __init__(self, lake: Lake, stream: Stream, blobs: Blobs) -> None:
        self._lake = lake
        self._stream = stream
        self._blobs = blobs
        self._kept: dict[Tenant, _Kept] = {}
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Write snapshots from now on."""
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Stop following and write a last snapshot of every twin."""
        if self._keeper is not None:
            self._keeper.cancel()
        for tenant, kept in self._kept.items():
            if kept.stop is not None:
                await kept.stop()
            await self._save(tenant, kept)

    async def forget(self, tenant: Tenant) -> None:
        """Follow a tenant no more, and write no snapshot of it until it is asked for again."""
        kept = self._kept.pop(tenant, None)
        if kept is None:
            return
        async with kept.lock:
            kept.saved_seq = kept.seq
        if kept.stop is not None:
            await kept.stop()

    async def of(self, tenant: Tenant) -> Twin:
        """The tenant's twin, brought up to date if it was behind; raises `Unavailable`."""
        kept = self._kept.get(tenant)
        if kept is None:
            kept = self._kept[tenant] = _Kept()
        if kept.behind:
            async with kept.lock:
                if kept.behind:
                    await self._open(tenant, kept)
        return kept.twin

    async def _open(self, tenant: Tenant, kept: _Kept) -> None:
        """Called with the lock held: live rows that come meanwhile wait for it."""
        if kept.stop is None:

            async def on_rows(_subject: str, data: bytes) -> None:
                await self._on_live(tenant, kept, data)

            kept.stop = await self._stream.listen(live_subject(tenant), on_rows)
        if kept.seq == 0:
            await asyncio.to_thread(self._load, tenant, kept)
        await self._catch_up(tenant, kept)
        kept.behind = False

    async def _on_live(self, tenant: Tenant, kept: _Kept, data: bytes) -> None:
        with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
            rows = reader.read_all()
        marks = rows.schema.metadata or {}
        before, after = int(marks[b"prev_seq"]), int(marks[b"seq"])
        async with kept.lock:
            if before > kept.seq and not await self._try_catch_up(tenant, kept):
                return
            kept.twin.apply(rows)
            kept.advance(after)

    async def _try_catch_up(self, tenant: Tenant, kept: _Kept) -> bool:
        """Fill a gap from the lake; if that fails the twin stays behind until it succeeds."""
        try:
            await self._catch_up(tenant, kept)
        except EngineError as error:
            log.warning("twin of %s is behind: %s", tenant, error)
            kept.behind = True
            return False
        return True

    async def _catch_up(self, tenant: Tenant, kept: _Kept) -> None:
        table = TableRef(tenant, SIGNALS)
        if kept.seq == 0:
            await self._rebuild(table, kept)
            return
        more = True
        while more:
            rows, more = await asyncio.to_thread(self._next_rows, table, kept.seq)
            if rows.num_rows:
                kept.twin.apply(rows)
                kept.advance(_last_seq(rows))

    def _next_rows(self, table: TableRef, after: int) -> tuple[pa.Table, bool]:
        """About `CATCH_UP_ROWS` rows that follow in the stream, no message in parts; any more?"""
        rows = self._lake.read(table, Slice(after_seq=after, by_seq=True, limit=CATCH_UP_ROWS))
        if rows.num_rows < CATCH_UP_ROWS:
            return rows, False
        last = _last_seq(rows)
        whole = rows.filter(pc.less(rows["seq"], last))
        rest = self._lake.read(table, Slice(after_seq=last - 1, until_seq=last))
        return pa.concat_tables([whole, rest], promote_options="default"), True

    async def _rebuild(self, table: TableRef, kept: _Kept) -> None:
        """Without a snapshot: the whole table, a stretch of time after the other.

        The new twin is shown when it is complete, so that a rebuild that fails begins anew. Rows
        that are committed meanwhile are left for the next catch-up: some lie in stretches that
        have been read, others do not.
        """
        until = await asyncio.to_thread(self._lake.position, table, WRITER)
        infos = await asyncio.to_thread(self._lake.tables, table.tenant)
        twin = Twin()
        for start, end in _stretches([info for info in infos if info.name == table.name]):
            what = Slice(start_us=start, end_us=end, until_seq=until)
            rows = await asyncio.to_thread(self._lake.read, table, what)
            if rows.num_rows:
                twin.apply(rows.sort_by("seq"))
        kept.twin = twin
        kept.advance(until)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(SNAPSHOT_S)
            for tenant, kept in list(self._kept.items()):
                try:
                    await self._save(tenant, kept)
                except Exception:  # one twin must not keep the others from being written
                    log.exception("snapshot of the twin of %s failed", tenant)

    async def _save(self, tenant: Tenant, kept: _Kept) -> None:
        if kept.seq == kept.saved_seq:
            return
        async with kept.lock:
            seq, copy = kept.seq, kept.twin.copy()
        try:
            await asyncio.to_thread(self._write, tenant, seq, copy)
            kept.saved_seq = seq
        except EngineError as error:
            log.warning("snapshot of the twin of %s was not kept: %s", tenant, error)

    def _write(self, tenant: Tenant, seq: int, twin: Twin) -> None:
        table = twin.to_arrow().replace_schema_metadata({b"seq": str(seq).encode()})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        self._blobs.put(snapshot_key(tenant), bytes(sink.getvalue()))

    def _load(self, tenant: Tenant, kept: _Kept) -> None:
        try:
            data = self._blobs.get(snapshot_key(tenant))
            table = pa.ipc.open_file(pa.py_buffer(data)).read_all()
            twin, seq = Twin.from_arrow(table), int(table.schema.metadata[b"seq"])
        except NotFound:
            return
        except (pa.ArrowInvalid, KeyError, ValueError) as error:
            log.warning("snapshot of the twin of %s cannot be read, rebuilding: %s", tenant, error)
            return
        kept.twin, kept.seq, kept.saved_seq = twin, seq, seq


def snapshot_key(tenant: Tenant) -> str:
    """Where the snapshot of a tenant's twin lies."""
    return f"{tenant}/twin/snapshot.arrow"


def _last_seq(rows: pa.Table) -> int:
    return int(pc.max(rows["seq"]).as_py())


def _stretches(infos: list[TableInfo]) -> list[tuple[int, int]]:
    """Stretches of time, us, of about `REBUILD_ROWS` rows each that together cover the table."""
    if not infos or infos[0].min_time_us is None or infos[0].max_time_us is None:
        return []
    start, end = infos[0].min_time_us, infos[0].max_time_us + 1
    step = max(1, (end - start) // (1 + infos[0].rows // REBUILD_ROWS)) + 1
    return [(at, min(at + step, end)) for at in range(start, end, step)]
