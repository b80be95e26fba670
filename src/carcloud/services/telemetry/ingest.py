"""From frame blocks to rows: decode, recognise repeats, append to the lake exactly once.

One commit a table a micro-batch carries the stream sequence it reaches (`WRITER`). After a crash
the stream hands out everything that was not confirmed, and each table takes only what lies
beyond its own recorded sequence. So a frame is in the lake once, whatever is killed and when.
"""

import asyncio
import logging
import time as clock
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from carcloud.model import blocks
from carcloud.model.figures import Histogram
from carcloud.model.ids import DEFAULT_TENANT, Tenant
from carcloud.model.streams import FRAMES, live_subject
from carcloud.model.time import now_us
from carcloud.ports.errors import Conflict, EngineError
from carcloud.ports.lake import Lake, Slice, TableRef
from carcloud.ports.stream import Message, Stream
from carcloud.ports.tracing import NO_TRACER, Span, Tracer, part
from carcloud.services.telemetry.ingest_rows import (
    as_time,
    letters,
    live_messages,
    plain,
    raw,
    refused_letters,
    those,
    unreadable,
)
from carcloud.services.telemetry.progress import Progress
from carcloud.services.telemetry.protocols import (
    MOST_CELLS,
    DecodedFrames,
    Decoder,
    Fault,
    TooWide,
)
from carcloud.services.telemetry.ranges import RangesByTenant
from carcloud.services.telemetry.repeats import Repeats
from carcloud.services.telemetry.tables import CAMPAIGN_EVENTS, LETTERS, RAW, SIGNALS

log = logging.getLogger(__name__)

WRITER = "ingest"
_RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0)
_COUNTED_ANEW = ("frames", "duplicates", "corrections", "dead_letters")  # by a further attempt
_PATIENCE_S = 20.0  # s without a commit after which frames that wait are a problem
_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0)
_FRAMES = (10.0, 100.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0, 100_000.0)


@dataclass(slots=True)
class IngestFigures:
    """Counters since the start, and the state of the last micro-batch."""

    frames: int = 0
    stored: int = 0
    duplicates: int = 0
    corrections: int = 0
    dead_letters: int = 0
    commits: int = 0
    commits_full: int = 0  # that did not wait for the clock
    retries: int = 0
    lag_frames: int = 0
    stream_bytes: int = 0
    problem: str | None = None
    commit_seconds: Histogram = field(default_factory=lambda: Histogram(_SECONDS))
    commit_frames: Histogram = field(default_factory=lambda: Histogram(_FRAMES))
    fresh_ms: float | None = None  # of the last micro-batch
    waiting_since_us: int | None = None  # the oldest frame of one that cannot be committed

    @property
    def freshness_ms(self) -> float | None:
        """From arrival to queryable: of the last micro-batch, or of the one that waits."""
        if self.waiting_since_us is not None and self.problem is not None:
            return (now_us() - self.waiting_since_us) / 1000
        return self.fresh_ms


@dataclass(slots=True)
class _Tables:
    """What one micro-batch adds to one tenant's tables."""

    signals: list[pa.Table] = field(default_factory=list)
    frames: list[pa.Table] = field(default_factory=list)
    letters: list[pa.Table] = field(default_factory=list)
    further: dict[str, list[pa.Table]] = field(default_factory=dict)
    rows: int = 0  # of `signals`
    columns: set[str] = field(default_factory=set)

    def growth(self, rows: pa.Table) -> int:
        """By how many cells these rows make the table of all of `signals` larger."""
        width = len(self.columns.union(rows.column_names))
        count: int = self.rows + rows.num_rows
        return count * width - self.rows * len(self.columns)

    def grow(self, rows: pa.Table) -> None:
        """Count rows that are to come."""
        self.rows += rows.num_rows
        self.columns.update(rows.column_names)


class _TooMuch(Exception):
    """The rows of these messages do not fit into one micro-batch."""


class StreamReplaced(EngineError):
    """The stream does not go on where the lake is."""


class Ingest:
    """Reads the frames stream and writes the lake.

    One at a time does the work of an installation; where two do for a moment, each commit of the
    one makes the other begin its batch anew, and every frame is still stored once.
    """

    def __init__(
        self,
        stream: Stream,
        lake: Lake,
        decoders: Mapping[str, Decoder],
        *,
        commit_s: float,
        commit_rows: int,
        future_s: float,
        dedup_entries: int,
        tenants: Callable[[], Sequence[Tenant]] = lambda: (DEFAULT_TENANT,),
        ranges: RangesByTenant | None = None,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        """`tenants` names those that may have rows, to see that stream and lake belong together.

        `ranges`: the check of values against each tenant's catalogue; None = the usual one.
        """
        self._stream = stream
        self._lake = lake
        self._decoders = decoders
        self._commit_s = commit_s
        self._commit_rows = commit_rows
        self._future_us = int(future_s * 1e6)
        self._dedup_entries = dedup_entries
        self._repeats: dict[TableRef, Repeats] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ingest")
        self._live_seq: dict[Tenant, int] = {}
        self._at: dict[TableRef, int] = {}  # where this ingest left each table
        self._ranges = ranges or RangesByTenant()
        self._tracer = tracer
        self._span: Span | None = None  # of the micro-batch at hand
        self._mean = 1.0  # frames in a message, of the last micro-batch
        self._cells = self._messages = 0  # of the micro-batch at hand
        self._reached = 0  # sequence up to which messages are read
        self._lookups = 0  # in the lake, of judges that are gone
        self._stopping = asyncio.Event()
        self._progress = Progress(_PATIENCE_S + 2 * commit_s)
        self._running = False
        self._hopeless: set[int] = set()  # messages that become dead letters as they are
        self._tenants = tenants
        self.figures = IngestFigures()

    def stop(self) -> None:
        """Finish the micro-batch at hand and return from `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Ingest until `stop`; raises `StreamReplaced`, `EngineError`."""
        await self._check_until_done()
        self._running = True
        batch: list[Message] = []
        frames, deadline = 0, clock.monotonic() + self._commit_s
        reading = self._stream.read(FRAMES.name, WRITER, batch=64, wait_s=self._commit_s / 4)
        async for messages in reading:
            batch += messages
            frames += sum(len(message.data) for message in messages) // 300
            if (now := clock.monotonic()) >= deadline or frames >= self._commit_rows:
                if batch:
                    self.figures.commits_full += frames >= self._commit_rows
                    await self._commit_until_done(batch)
                batch, frames = [], 0
                # Where a commit takes longer, what waits is gathered: it costs as much for little.
                deadline = max(now + self._commit_s, clock.monotonic() + self._commit_s / 2)
            if self._stopping.is_set():
                break
        if batch:
            await self._commit_until_done(batch)

    async def _check_until_done(self) -> None:
        attempt = 0
        while not self._stopping.is_set():
            try:
                await self._check_stream()
            except StreamReplaced:
                raise
            except EngineError as error:
                self.figures.problem = f"rows wait in the stream: {error}"
                log.warning("%s", self.figures.problem)
                await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1
            else:
                self.figures.problem = None
                return

    async def _check_stream(self) -> None:
        """Sequences must go on where the lake is, or new frames would look like old ones.

        A stream that begins again is refused: nothing is lost while somebody looks at it.
        """
        position = await asyncio.to_thread(lambda: lake_position(self._lake, self._tenants()))
        extent = await self._stream.info(FRAMES.name)
        if extent.last_seq < position:
            raise StreamReplaced(
                f"the stream is at {extent.last_seq}, the lake has frames up to {position}: "
                "the stream was replaced; give back the old one, or begin with a new data folder"
            )

    async def measure(self) -> None:
        """Bring the lag behind the stream up to date; raises `EngineError`."""
        extent = await self._stream.info(FRAMES.name)
        behind = max(0, extent.last_seq - max(self._reached, extent.first_seq - 1))
        self.figures.lag_frames = round(behind * self._mean)
        self.figures.stream_bytes = extent.bytes
        self._progress.look(self.figures.commits, behind * self._running, clock.monotonic())

    @property
    def stuck(self) -> str | None:
        """What is wrong when frames wait, no engine complains, and still nothing is committed."""
        seconds = self._progress.stuck_s(clock.monotonic())
        if seconds is None or self.figures.problem is not None:
            return None
        waiting = f"{self.figures.lag_frames:,} frames wait"
        return f"{waiting}, and nothing has been committed for {seconds:.0f} s"

    @property
    def dedup(self) -> tuple[int, int]:
        """(reports remembered, lookups in the lake since the start)."""
        judges = list(self._repeats.values())
        lookups = self._lookups + sum(judge.lake_lookups for judge in judges)
        return sum(judge.remembered for judge in judges), lookups

    async def _commit_until_done(self, batch: list[Message]) -> None:
        """Try until the batch is in the lake; then confirm, release and tell the listeners."""
        loop = asyncio.get_running_loop()
        attempt, began = 0, clock.monotonic()
        while not self._stopping.is_set() or attempt == 0:
            counted = {name: getattr(self.figures, name) for name in _COUNTED_ANEW}
            try:
                live = await loop.run_in_executor(self._thread, self._commit, batch)
                seq = batch[-1].seq
                await self._stream.confirm(FRAMES.name, WRITER, seq)
                await self._stream.release(FRAMES.name, seq)
            except EngineError as error:
                self._forget_repeats()
                for name, count in counted.items():
                    setattr(self.figures, name, count)
                self.figures.retries += 1
                self.figures.problem = f"rows wait in the stream: {error}"
                log.warning("%s", self.figures.problem)
                await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1
            except _TooMuch:
                self._forget_repeats()
                for name, count in counted.items():
                    setattr(self.figures, name, count)
                half = len(batch) // 2
                await self._commit_until_done(batch[:half])
                await self._commit_until_done(batch[half:])
                return
            except Exception:
                # Nobody thought of this one. It must not stop the frames of everybody else.
                self._forget_repeats()
                if batch[0].seq in self._hopeless:
                    raise
                log.exception("a micro-batch of %d messages failed", len(batch))
                if len(batch) == 1:
                    self._hopeless.add(batch[0].seq)
                for message in batch:
                    await self._commit_until_done([message])
                return
            else:
                self.figures.problem = self.figures.waiting_since_us = None
                self._reached = seq
                self.figures.commit_seconds.observe(clock.monotonic() - began)
                with part(self._span, "ingest tell"):
                    await self._tell(live)
                return
            finally:
                if self._span is not None:
                    self._span.end()

    def _forget_repeats(self) -> None:
        """What they remember may not be in the lake."""
        self._lookups = self.dedup[1]
        self._repeats.clear()
        self._at.clear()
        self._live_seq.clear()

    async def _tell(self, live: Mapping[Tenant, list[bytes]]) -> None:
        for tenant, messages in live.items():
            try:
                for data in messages:
                    await self._stream.broadcast(live_subject(tenant), data)
            except EngineError as error:  # listeners notice the gap and read the lake
                log.info("live rows not told: %s", error)

    def _commit(self, batch: list[Message]) -> dict[Tenant, list[bytes]]:
        seq = batch[-1].seq
        self._cells, self._messages = 0, len(batch)
        tables: dict[Tenant, _Tables] = {}
        groups: list[tuple[Tenant, str, pa.Table]] = []
        contexts: list[str] = []
        for (tenant, protocol), messages in _grouped(batch).items():
            into = tables.setdefault(tenant, _Tables())
            frames = _joined(tenant, protocol, messages, into, contexts, self._hopeless)
            groups.append((tenant, protocol, frames))
        self._span = self._tracer.resume("ingest batch", contexts) if contexts else None
        self._mean = max(1.0, sum(frames.num_rows for *_, frames in groups) / len(batch))
        received = [pc.min(frames["received"]).as_py() for *_, frames in groups if frames.num_rows]
        oldest = min(received, default=now_us())
        self.figures.waiting_since_us = oldest
        for tenant, protocol, frames in groups:
            if frames.num_rows:
                self._decode(tenant, protocol, frames, tables[tenant])
        live = {tenant: self._store(tenant, seq, parts) for tenant, parts in tables.items()}
        self.figures.commits += 1
        self.figures.commit_frames.observe(sum(frames.num_rows for *_, frames in groups))
        self.figures.fresh_ms = (now_us() - oldest) / 1000
        return {tenant: messages for tenant, messages in live.items() if messages}

    def _decode(self, tenant: Tenant, protocol: str, frames: pa.Table, into: _Tables) -> None:
        """Sort the frames of one protocol into rows, raw frames and dead letters."""
        self.figures.frames += frames.num_rows
        refused = pc.is_valid(frames["fault"])
        into.letters += refused_letters(protocol, frames.filter(refused))
        good = those(frames, pc.invert(refused).to_numpy()).combine_chunks()
        decoder = self._decoders.get(protocol)
        if good.num_rows == 0:
            return
        if decoder is None:
            fault = Fault(f"no decoder for protocol {protocol}", "", None)
            into.letters.append(letters(protocol, good, [fault] * good.num_rows))
            return
        self._decode_well(tenant, protocol, decoder, good, into)

    def _decode_well(
        self, tenant: Tenant, protocol: str, decoder: Decoder, frames: pa.Table, into: _Tables
    ) -> None:
        """Decode; where a decoder fails, or rows would take too much memory, halve until the frame
        that does it stands alone.

        One frame that nobody thought of must not stop the frames of everybody else.
        """
        try:
            with part(self._span, "ingest decode"):
                columns = (_flat(frames[name]) for name in ("vehicle", "frame", "received"))
            decoded = decoder(tenant, *columns)
            self._make_room(into, decoded.rows)
        except (EngineError, _TooMuch):
            raise  # not the frames' fault: all of them wait
        except Exception as error:
            if frames.num_rows == 1:
                if isinstance(error, TooWide):
                    fault = Fault(str(error), "", None)
                else:
                    log.error("the %s decoder failed on a frame", protocol, exc_info=error)
                    fault = Fault(f"decoder failed: {error!r}", "", None)
                into.letters.append(letters(protocol, frames, [fault]))
                return
            half = frames.num_rows // 2
            for piece in (frames[:half], frames[half:]):
                self._decode_well(tenant, protocol, decoder, piece.combine_chunks(), into)
        else:
            self._sort_out(tenant, protocol, frames, decoded, into)

    def _make_room(self, into: _Tables, rows: pa.Table) -> None:
        """Count rows in; raises `_TooMuch`, or `TooWide` where the batch is one message."""
        growth = into.growth(rows)
        if self._cells + growth > MOST_CELLS:
            if self._messages > 1:
                raise _TooMuch
            raise TooWide(into.rows + rows.num_rows, len(into.columns.union(rows.column_names)))
        self._cells += growth
        into.grow(rows)

    def _sort_out(
        self,
        tenant: Tenant,
        protocol: str,
        frames: pa.Table,
        decoded: DecodedFrames,
        into: _Tables,
    ) -> None:
        position = self._position(TableRef(tenant, SIGNALS))
        seqs = frames["seq"].to_numpy()
        rows, row_frame = decoded.rows, decoded.row_frame
        fresh = seqs[row_frame] > position  # the rest is in the lake since before a crash
        if not fresh.all():
            rows, row_frame = those(rows, fresh), row_frame[fresh]
        keep_rows, correction, repeated = self._new_rows(tenant, rows, row_frame)
        source = pa.array(row_frame[keep_rows])
        with part(self._span, "ingest check"):
            kept = self._ranges.of(tenant).flag(those(rows, keep_rows))
        kept = kept.add_column(2, "received", as_time(frames["received"].take(source)))
        kept = kept.append_column("seq", frames["seq"].take(source))
        kept = kept.append_column("correction", pa.array(correction))
        into.signals.append(plain(kept))
        further, again = self._further(tenant, frames, decoded, into)
        bad = np.fromiter(decoded.faults.keys(), np.int64, len(decoded.faults))
        reports = np.bincount(row_frame[keep_rows], minlength=frames.num_rows)
        gone = np.zeros(frames.num_rows, np.bool_)
        gone[bad] = True
        gone[repeated] = True
        gone[again] = True
        gone[reports > 0] = False  # a part of it is in the table
        gone[further] = False
        into.frames.append(raw(protocol, frames, decoded, ~gone, reports))
        if len(bad):
            faults = [decoded.faults[index] for index in sorted(decoded.faults)]
            into.letters.append(letters(protocol, frames.take(pa.array(np.sort(bad))), faults))

    def _further(
        self, tenant: Tenant, frames: pa.Table, decoded: DecodedFrames, into: _Tables
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Take the rows of other tables that are new; returns (frames that gave any, frames of
        repeats)."""
        gave, again = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
        for name, found in decoded.further.items():
            ref = TableRef(tenant, name)
            fresh = frames["seq"].to_numpy()[found.row_frame] > self._position(ref)
            rows, row_frame = those(found.rows, fresh), found.row_frame[fresh]
            if rows.num_rows == 0:
                continue
            times = rows["time"].cast(pa.int64()).to_numpy()
            digests, vehicles = rows["digest"].to_numpy(), rows["vehicle"].to_pylist()
            new = ~self._judge(ref).judge(vehicles, times, digests, now_us()).repeat
            again.append(row_frame[~new])
            rows, row_frame = those(rows, new), row_frame[new]
            source = pa.array(row_frame)
            rows = rows.append_column("received", as_time(frames["received"].take(source)))
            rows = rows.append_column("seq", frames["seq"].take(source))
            into.further.setdefault(name, []).append(rows)
            gave.append(row_frame)
        return np.concatenate(gave), np.concatenate(again)

    def _new_rows(
        self, tenant: Tenant, rows: pa.Table, row_frame: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.int32]]:
        """(which rows to keep, correction of those kept, frames that were repeats)."""
        if rows.num_rows == 0:
            empty = np.zeros(0, np.bool_)
            return empty, empty, np.zeros(0, np.int32)
        times = rows["time"].cast(pa.int64()).to_numpy()
        digests = rows["digest"].to_numpy()
        vehicles = rows["vehicle"].to_pylist()
        with part(self._span, "ingest dedup"):
            verdict = self._judge(TableRef(tenant, SIGNALS)).judge(
                vehicles, times, digests, now_us()
            )
        self.figures.duplicates += int(verdict.repeat.sum())
        self.figures.corrections += int(verdict.correction.sum())
        keep = ~verdict.repeat
        return keep, verdict.correction[keep], row_frame[verdict.repeat]

    def _judge(self, ref: TableRef) -> Repeats:
        judge = self._repeats.get(ref)
        if judge is None:
            known = self._lake.tables(ref.tenant)
            newest = next((t.max_time_us for t in known if t.name == ref.name), None)
            if newest is not None:
                newest = min(newest, now_us() + self._future_us)
            judge = self._repeats[ref] = Repeats(
                lambda names, first, last: _stored(self._lake, ref, names, first, last),
                newest_us=newest,
                future_us=self._future_us,
                entries=self._dedup_entries,
            )
        return judge

    def _store(self, tenant: Tenant, seq: int, parts: _Tables) -> list[bytes]:
        """Append to the tenant's tables; returns the live messages, none without new rows."""
        signals = _together(parts.signals)
        self._append(TableRef(tenant, RAW), _together(parts.frames), seq)
        self._append(TableRef(tenant, LETTERS), _together(parts.letters), seq)
        for name, rows in parts.further.items():
            self._append(TableRef(tenant, name), _together(rows), seq)
        self.figures.dead_letters += sum(table.num_rows for table in parts.letters)
        if signals is None:
            return []
        previous = self._live_seq.get(tenant)
        if previous is None:
            previous = self._position(TableRef(tenant, SIGNALS))
        self._append(TableRef(tenant, SIGNALS), signals, seq)
        self._live_seq[tenant] = seq
        self.figures.stored += signals.num_rows
        return live_messages(signals, previous, seq)

    def _append(self, ref: TableRef, rows: pa.Table | None, seq: int) -> None:
        if rows is None or rows.num_rows == 0:
            return
        position = self._position(ref)
        if position:
            rows = those(rows, pc.greater(rows["seq"], position).to_numpy())
        if position >= seq:
            return
        with part(self._span, f"ingest append {ref.name}"):
            if not self._lake.append(ref, rows, writer=WRITER, seq=seq, after=position):
                raise Conflict(f"another ingest has brought {ref.name} to {seq} or beyond")
        self._at[ref] = seq

    def _position(self, ref: TableRef) -> int:
        """Where this ingest left a table, or found it at first.

        It is not read anew for each batch: where another ingest has gone on meanwhile, the next
        commit must fail, as this one does not remember the other's reports.
        """
        if ref not in self._at:
            self._at[ref] = self._lake.position(ref, WRITER)
        return self._at[ref]


_TABLES = (SIGNALS, RAW, LETTERS, CAMPAIGN_EVENTS)


def lake_position(lake: Lake, tenants: Iterable[Tenant]) -> int:
    """The highest stream sequence in any table of these tenants; 0 for an empty lake."""
    refs = [TableRef(tenant, name) for tenant in tenants for name in _TABLES]
    return max((lake.position(ref, WRITER) for ref in refs), default=0)


def _grouped(batch: Iterable[Message]) -> dict[tuple[Tenant, str], list[Message]]:
    groups: dict[tuple[Tenant, str], list[Message]] = {}
    for message in batch:
        _, tenant, protocol = message.subject.split(".", 2)
        groups.setdefault((Tenant(tenant), protocol), []).append(message)
    return groups


def _joined(
    tenant: Tenant,
    protocol: str,
    messages: list[Message],
    into: _Tables,
    contexts: list[str],
    hopeless: Collection[int],
) -> pa.Table:
    """All frames of some messages with their stream sequence; unreadable messages are letters.

    Appends to `contexts` the traces that the messages carry.
    """
    parts = [pa.table(_EMPTY_BLOCK)]
    for message in messages:
        if message.seq in hopeless:
            into.letters.append(unreadable(protocol, message, "it made ingest fail"))
            continue
        try:
            block = blocks.unpack(tenant, protocol, message.data)
        except blocks.InvalidBlock as error:
            into.letters.append(unreadable(protocol, message, str(error)))
            continue
        if block.trace is not None:
            contexts.append(block.trace)
        seqs = pa.array(np.full(len(block), message.seq, np.int64))
        parts.append(pa.Table.from_batches([block.frames]).append_column("seq", seqs))
    return pa.concat_tables(parts)


_BLOCK_COLUMNS = pa.schema([*blocks.BLOCK_SCHEMA, pa.field("seq", pa.int64())])
_EMPTY_BLOCK = _BLOCK_COLUMNS.empty_table()


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _together(parts: list[pa.Table]) -> pa.Table | None:
    if not parts:
        return None
    return pa.concat_tables(parts, promote_options="default")


def _stored(
    lake: Lake, ref: TableRef, vehicles: Iterable[str], first_us: int, last_us: int
) -> tuple[list[str], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    found = lake.read(
        ref,
        Slice(
            columns=("vehicle", "time", "digest"),
            start_us=first_us,
            end_us=last_us + 1,
            vehicles=tuple(vehicles),
        ),
    )
    if found.num_rows == 0:
        return [], np.zeros(0, np.int64), np.zeros(0, np.int64)
    times = found["time"].cast(pa.int64()).to_numpy()
    return found["vehicle"].to_pylist(), times, found["digest"].to_numpy()
