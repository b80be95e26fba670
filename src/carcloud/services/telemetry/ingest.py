"""From frame blocks to rows: decode, recognise repeats, append to the lake exactly once.

One commit a table a micro-batch carries the stream sequence it reaches (`WRITER`). After a crash
the stream hands out everything that was not confirmed, and each table takes only what lies
beyond its own recorded sequence. So a frame is in the lake once, whatever is killed and when.
"""

import asyncio
import json
import logging
import time as clock
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from carcloud.model import blocks
from carcloud.model.ids import Tenant
from carcloud.model.streams import FRAMES, live_subject
from carcloud.model.time import now_us
from carcloud.ports.errors import EngineError
from carcloud.ports.lake import Lake, Slice, TableRef
from carcloud.ports.stream import Message, Stream
from carcloud.services.telemetry.protocols import DecodedFrames, Decoder, Fault
from carcloud.services.telemetry.repeats import Repeats

log = logging.getLogger(__name__)

WRITER = "ingest"
SIGNALS, RAW, LETTERS = "signals", "frames", "dead_letters"
_TIME = pa.timestamp("us", "UTC")
_LIVE_BYTES = 2_000_000
_RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0)


@dataclass(slots=True)
class IngestFigures:
    """Counters since the start, and the state of the last micro-batch."""

    frames: int = 0
    stored: int = 0
    duplicates: int = 0
    corrections: int = 0
    dead_letters: int = 0
    commits: int = 0
    freshness_ms: float | None = None
    lag_frames: int = 0
    problem: str | None = None


@dataclass(slots=True)
class _Tables:
    """What one micro-batch adds to one tenant's tables."""

    signals: list[pa.Table] = field(default_factory=list)
    frames: list[pa.Table] = field(default_factory=list)
    letters: list[pa.Table] = field(default_factory=list)


class Ingest:
    """Reads the frames stream and writes the lake; run one at a time per installation."""

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
    ) -> None:
        self._stream = stream
        self._lake = lake
        self._decoders = decoders
        self._commit_s = commit_s
        self._commit_rows = commit_rows
        self._future_us = int(future_s * 1e6)
        self._dedup_entries = dedup_entries
        self._repeats: dict[Tenant, Repeats] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ingest")
        self._live_seq: dict[Tenant, int] = {}
        self._stopping = asyncio.Event()
        self.figures = IngestFigures()

    def stop(self) -> None:
        """Finish the micro-batch at hand and return from `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Ingest until `stop`."""
        batch: list[Message] = []
        frames, deadline = 0, clock.monotonic() + self._commit_s
        reading = self._stream.read(FRAMES.name, WRITER, batch=64, wait_s=self._commit_s / 4)
        async for messages in reading:
            batch += messages
            frames += sum(len(message.data) for message in messages) // 300
            if clock.monotonic() >= deadline or frames >= self._commit_rows:
                if batch:
                    await self._commit_until_done(batch)
                batch, frames = [], 0
                deadline = clock.monotonic() + self._commit_s
            if self._stopping.is_set():
                break
        if batch:
            await self._commit_until_done(batch)

    async def _commit_until_done(self, batch: list[Message]) -> None:
        """Try until the batch is in the lake; then confirm, release and tell the listeners."""
        loop = asyncio.get_running_loop()
        attempt = 0
        while not self._stopping.is_set() or attempt == 0:
            try:
                live = await loop.run_in_executor(self._thread, self._commit, batch)
                seq = batch[-1].seq
                await self._stream.confirm(FRAMES.name, WRITER, seq)
                await self._stream.release(FRAMES.name, seq)
            except EngineError as error:
                self._repeats.clear()  # what it remembers may not be in the lake
                self.figures.problem = f"rows wait in the stream: {error}"
                log.warning("%s", self.figures.problem)
                await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1
            else:
                self.figures.problem = None
                await self._tell(live)
                return

    async def _tell(self, live: Mapping[Tenant, list[bytes]]) -> None:
        for tenant, messages in live.items():
            try:
                for data in messages:
                    await self._stream.broadcast(live_subject(tenant), data)
            except EngineError as error:  # listeners notice the gap and read the lake
                log.info("live rows not told: %s", error)

    def _commit(self, batch: list[Message]) -> dict[Tenant, list[bytes]]:
        seq = batch[-1].seq
        tables: dict[Tenant, _Tables] = {}
        oldest = now_us()
        for (tenant, protocol), messages in _grouped(batch).items():
            into = tables.setdefault(tenant, _Tables())
            frames = _joined(tenant, protocol, messages, into)
            if frames.num_rows:
                oldest = min(oldest, pc.min(frames["received"]).as_py())
                self._decode(tenant, protocol, frames, into)
        live = {tenant: self._store(tenant, seq, parts) for tenant, parts in tables.items()}
        self.figures.commits += 1
        self.figures.freshness_ms = (now_us() - oldest) / 1000
        return {tenant: messages for tenant, messages in live.items() if messages}

    def _decode(self, tenant: Tenant, protocol: str, frames: pa.Table, into: _Tables) -> None:
        """Sort the frames of one protocol into rows, raw frames and dead letters."""
        self.figures.frames += frames.num_rows
        refused = pc.is_valid(frames["fault"])
        into.letters += _refused_letters(protocol, frames.filter(refused))
        good = frames.filter(pc.invert(refused)).combine_chunks()
        decoder = self._decoders.get(protocol)
        if good.num_rows == 0:
            return
        if decoder is None:
            fault = Fault(f"no decoder for protocol {protocol}", "", None)
            into.letters.append(_letters(protocol, good, [fault] * good.num_rows))
            return
        self._decode_well(tenant, protocol, decoder, good, into)

    def _decode_well(
        self, tenant: Tenant, protocol: str, decoder: Decoder, frames: pa.Table, into: _Tables
    ) -> None:
        """Decode; where a decoder fails, halve until the frame that it fails on stands alone.

        One frame that nobody thought of must not stop the frames of everybody else.
        """
        try:
            decoded = decoder(_flat(frames["vehicle"]), _flat(frames["frame"]))
        except Exception as error:
            if frames.num_rows == 1:
                log.error("the %s decoder failed on a frame", protocol, exc_info=error)
                fault = Fault(f"decoder failed: {error!r}", "", None)
                into.letters.append(_letters(protocol, frames, [fault]))
                return
            half = frames.num_rows // 2
            for part in (frames[:half], frames[half:]):
                self._decode_well(tenant, protocol, decoder, part.combine_chunks(), into)
        else:
            self._sort_out(tenant, protocol, frames, decoded, into)

    def _sort_out(
        self,
        tenant: Tenant,
        protocol: str,
        frames: pa.Table,
        decoded: DecodedFrames,
        into: _Tables,
    ) -> None:
        position = self._lake.position(TableRef(tenant, SIGNALS), WRITER)
        seqs = frames["seq"].to_numpy()
        rows, row_frame = decoded.rows, decoded.row_frame
        fresh = seqs[row_frame] > position  # the rest is in the lake since before a crash
        if not fresh.all():
            rows, row_frame = rows.filter(pa.array(fresh)), row_frame[fresh]
        keep_rows, correction, repeated = self._new_rows(tenant, rows, row_frame)
        source = pa.array(row_frame[keep_rows])
        kept = rows.filter(pa.array(keep_rows))
        kept = kept.add_column(2, "received", _as_time(frames["received"].take(source)))
        kept = kept.append_column("seq", frames["seq"].take(source))
        kept = kept.append_column("correction", pa.array(correction))
        into.signals.append(kept)
        bad = np.fromiter(decoded.faults.keys(), np.int64, len(decoded.faults))
        gone = np.zeros(frames.num_rows, np.bool_)
        gone[bad] = True
        gone[repeated] = True
        into.frames.append(_raw(protocol, frames, decoded, ~gone))
        if len(bad):
            faults = [decoded.faults[index] for index in sorted(decoded.faults)]
            into.letters.append(_letters(protocol, frames.take(pa.array(np.sort(bad))), faults))

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
        verdict = self._judge(tenant).judge(vehicles, times, digests, now_us())
        self.figures.duplicates += int(verdict.repeat.sum())
        self.figures.corrections += int(verdict.correction.sum())
        keep = ~verdict.repeat
        return keep, verdict.correction[keep], row_frame[verdict.repeat]

    def _judge(self, tenant: Tenant) -> Repeats:
        judge = self._repeats.get(tenant)
        if judge is None:
            ref = TableRef(tenant, SIGNALS)
            newest = next(
                (t.max_time_us for t in self._lake.tables(tenant) if t.name == SIGNALS), None
            )
            judge = self._repeats[tenant] = Repeats(
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
        self.figures.dead_letters += sum(part.num_rows for part in parts.letters)
        if signals is None:
            return []
        previous = self._live_seq.get(tenant)
        if previous is None:
            previous = self._lake.position(TableRef(tenant, SIGNALS), WRITER)
        self._append(TableRef(tenant, SIGNALS), signals, seq)
        self._live_seq[tenant] = seq
        self.figures.stored += signals.num_rows
        return _live_messages(signals, previous, seq)

    def _append(self, ref: TableRef, rows: pa.Table | None, seq: int) -> None:
        if rows is None or rows.num_rows == 0:
            return
        position = self._lake.position(ref, WRITER)
        if position:
            rows = rows.filter(pc.greater(rows["seq"], position))
        self._lake.append(ref, rows, writer=WRITER, seq=seq)


def _grouped(batch: Iterable[Message]) -> dict[tuple[Tenant, str], list[Message]]:
    groups: dict[tuple[Tenant, str], list[Message]] = {}
    for message in batch:
        _, tenant, protocol = message.subject.split(".", 2)
        groups.setdefault((Tenant(tenant), protocol), []).append(message)
    return groups


def _joined(tenant: Tenant, protocol: str, messages: list[Message], into: _Tables) -> pa.Table:
    """All frames of some messages with their stream sequence; unreadable messages are letters."""
    parts = [pa.table(_EMPTY_BLOCK)]
    for message in messages:
        try:
            frames = blocks.unpack(tenant, protocol, message.data).frames
        except blocks.InvalidBlock as error:
            into.letters.append(_unreadable(protocol, message, str(error)))
            continue
        seqs = pa.array(np.full(frames.num_rows, message.seq, np.int64))
        parts.append(pa.Table.from_batches([frames]).append_column("seq", seqs))
    return pa.concat_tables(parts)


_BLOCK_COLUMNS = pa.schema([*blocks.BLOCK_SCHEMA, pa.field("seq", pa.int64())])
_EMPTY_BLOCK = _BLOCK_COLUMNS.empty_table()


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _as_time(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(_TIME)


def _raw(
    protocol: str, frames: pa.Table, decoded: DecodedFrames, keep: npt.NDArray[np.bool_]
) -> pa.Table:
    received = frames["received"].to_numpy()
    times = np.where(decoded.times >= 0, decoded.times, received)
    table = pa.table(
        {
            "vehicle": frames["vehicle"],
            "time": pa.array(times).cast(_TIME),
            "received": _as_time(frames["received"]),
            "seq": frames["seq"],
            "protocol": pa.array([protocol] * frames.num_rows, pa.string()),
            "kind": decoded.kinds,
            "frame": frames["frame"],
        }
    )
    return table.filter(pa.array(keep))


def _letters(protocol: str, frames: pa.Table, faults: list[Fault]) -> pa.Table:
    seqs = frames["seq"].to_pylist()
    received = _as_time(frames["received"])
    return pa.table(
        {
            "vehicle": frames["vehicle"],
            "time": received,
            "received": received,
            "seq": frames["seq"],
            "id": pa.array(_letter_ids(seqs, frames["frame"].to_pylist()), pa.string()),
            "protocol": pa.array([protocol] * frames.num_rows, pa.string()),
            "reason": pa.array([fault.reason for fault in faults], pa.string()),
            "clause": pa.array([fault.clause for fault in faults], pa.string()),
            "offset": pa.array([fault.offset for fault in faults], pa.int32()),
            "frame": frames["frame"],
        }
    )


def _letter_ids(seqs: list[int], frames: list[bytes]) -> list[str]:
    """Stable names: the same letter has the same id however micro-batches are cut."""
    counts: dict[tuple[int, int], int] = {}
    ids = []
    for seq, frame in zip(seqs, frames, strict=True):
        key = (seq, zlib.crc32(frame))
        counts[key] = counts.get(key, 0) + 1
        ids.append(f"{seq}-{key[1]:08x}-{counts[key]}")
    return ids


def _refused_letters(protocol: str, frames: pa.Table) -> list[pa.Table]:
    if frames.num_rows == 0:
        return []
    faults = [Fault(**json.loads(text)) for text in frames["fault"].to_pylist()]
    return [_letters(protocol, frames, faults)]


def _unreadable(protocol: str, message: Message, reason: str) -> pa.Table:
    frames = pa.table(
        {
            "vehicle": pa.array([""], pa.string()),
            "received": pa.array([now_us()], pa.int64()),
            "frame": pa.array([message.data], pa.binary()),
            "seq": pa.array([message.seq], pa.int64()),
        }
    )
    return _letters(protocol, frames, [Fault(f"not a frame block: {reason}", "", None)])


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


def _live_messages(rows: pa.Table, previous: int, seq: int) -> list[bytes]:
    """The rows in messages that the stream can carry; only the last one says `seq`."""
    step = max(1, _LIVE_BYTES * rows.num_rows // max(1, rows.nbytes))
    parts = [rows[start : start + step] for start in range(0, rows.num_rows, step)]
    return [_live_message(part, previous, seq if part is parts[-1] else previous) for part in parts]


def _live_message(rows: pa.Table, previous: int, seq: int) -> bytes:
    marked = rows.replace_schema_metadata(
        {b"prev_seq": str(previous).encode(), b"seq": str(seq).encode()}
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, marked.schema) as writer:
        writer.write_table(marked)
    return bytes(sink.getvalue())
