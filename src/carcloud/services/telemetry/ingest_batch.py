"""One micro-batch to the tables of its tenants: decode, recognise repeats, check, append."""

import logging
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.ports.errors import EngineError
from carcloud.ports.lake import Lake, TableRef
from carcloud.ports.stream import Message
from carcloud.ports.tracing import NO_TRACER, Span, Tracer, part
from carcloud.services.telemetry.ingest_figures import IngestFigures
from carcloud.services.telemetry.ingest_judges import Judges
from carcloud.services.telemetry.ingest_parts import Parts, flat, grouped, joined, together
from carcloud.services.telemetry.ingest_position import Positions
from carcloud.services.telemetry.ingest_rows import (
    as_time,
    letters,
    live_messages,
    plain,
    raw,
    refused_letters,
    those,
)
from carcloud.services.telemetry.protocols import (
    MOST_CELLS,
    DecodedFrames,
    Decoder,
    Fault,
    TooWide,
)
from carcloud.services.telemetry.ranges import RangesByTenant
from carcloud.services.telemetry.tables import LETTERS, RAW, SIGNALS

log = logging.getLogger(__name__)


class TooMuch(Exception):
    """The rows of these messages do not fit into one micro-batch."""


class BatchWriter:
    """Writes micro-batches, one at a time; remembers where the tables are and which reports came.

    `ranges`: the check of values against each tenant's catalogue; None = the usual one.
    """

    def __init__(
        self,
        lake: Lake,
        decoders: Mapping[str, Decoder],
        figures: IngestFigures,
        *,
        future_us: int,
        dedup_entries: int,
        ranges: RangesByTenant | None = None,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._positions = Positions(lake)
        self._judges = Judges(lake, future_us=future_us, entries=dedup_entries)
        self._decoders = decoders
        self._figures = figures
        self._ranges = ranges or RangesByTenant()
        self._tracer = tracer
        self._live_seq: dict[Tenant, int] = {}
        self._cells = self._messages = 0  # of the micro-batch at hand
        self.span: Span | None = None  # of the micro-batch at hand
        self.mean = 1.0  # frames in a message, of the last micro-batch

    @property
    def dedup(self) -> tuple[int, int]:
        """(reports remembered, lookups in the lake since the start)."""
        return self._judges.figures

    def forget(self) -> None:
        """A commit has failed: what is remembered may not be in the lake."""
        self._judges.forget()
        self._positions.forget()
        self._live_seq.clear()

    def commit(
        self, batch: Sequence[Message], hopeless: Collection[int]
    ) -> dict[Tenant, list[bytes]]:
        """Write what a micro-batch holds; returns live messages by tenant.

        `hopeless`: sequences of messages that become dead letters as they are. Raises `TooMuch`,
        `EngineError`; then `forget`.
        """
        seq = batch[-1].seq
        self._cells, self._messages = 0, len(batch)
        tables: dict[Tenant, Parts] = {}
        groups: list[tuple[Tenant, str, pa.Table]] = []
        contexts: list[str] = []
        for (tenant, protocol), messages in grouped(batch).items():
            into = tables.setdefault(tenant, Parts())
            frames = joined(tenant, protocol, messages, into, contexts, hopeless)
            groups.append((tenant, protocol, frames))
        self.span = self._tracer.resume("ingest batch", contexts) if contexts else None
        self.mean = max(1.0, sum(frames.num_rows for *_, frames in groups) / len(batch))
        received = [pc.min(frames["received"]).as_py() for *_, frames in groups if frames.num_rows]
        oldest = min(received, default=now_us())
        self._figures.waiting_since_us = oldest
        for tenant, protocol, frames in groups:
            if frames.num_rows:
                self._decode(tenant, protocol, frames, tables[tenant])
        live = {tenant: self._store(tenant, seq, parts) for tenant, parts in tables.items()}
        self._figures.commits += 1
        self._figures.commit_frames.observe(sum(frames.num_rows for *_, frames in groups))
        self._figures.fresh_ms = (now_us() - oldest) / 1000
        return {tenant: messages for tenant, messages in live.items() if messages}

    def _decode(self, tenant: Tenant, protocol: str, frames: pa.Table, into: Parts) -> None:
        """Sort the frames of one protocol into rows, raw frames and dead letters."""
        self._figures.frames += frames.num_rows
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
        self, tenant: Tenant, protocol: str, decoder: Decoder, frames: pa.Table, into: Parts
    ) -> None:
        """Decode; where a decoder fails, or rows would take too much memory, halve until the frame
        that does it stands alone.

        One frame that nobody thought of must not stop the frames of everybody else.
        """
        try:
            with part(self.span, "ingest decode"):
                columns = (flat(frames[name]) for name in ("vehicle", "frame", "received"))
            decoded = decoder(tenant, *columns)
            self._make_room(into, decoded.rows)
        except (EngineError, TooMuch):
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

    def _make_room(self, into: Parts, rows: pa.Table) -> None:
        """Count rows in; raises `TooMuch`, or `TooWide` where the batch is one message."""
        growth = into.growth(rows)
        if self._cells + growth > MOST_CELLS:
            if self._messages > 1:
                raise TooMuch
            raise TooWide(into.rows + rows.num_rows, len(into.columns.union(rows.column_names)))
        self._cells += growth
        into.grow(rows)

    def _sort_out(
        self,
        tenant: Tenant,
        protocol: str,
        frames: pa.Table,
        decoded: DecodedFrames,
        into: Parts,
    ) -> None:
        position = self._positions.of(TableRef(tenant, SIGNALS))
        seqs = frames["seq"].to_numpy()
        rows, row_frame = decoded.rows, decoded.row_frame
        fresh = seqs[row_frame] > position  # the rest is in the lake since before a crash
        if not fresh.all():
            rows, row_frame = those(rows, fresh), row_frame[fresh]
        keep_rows, correction, repeated = self._new_rows(tenant, rows, row_frame)
        source = pa.array(row_frame[keep_rows])
        with part(self.span, "ingest check"):
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
        self, tenant: Tenant, frames: pa.Table, decoded: DecodedFrames, into: Parts
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Take the rows of other tables that are new; returns (frames that gave any, frames of
        repeats)."""
        gave, again = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
        for name, found in decoded.further.items():
            ref = TableRef(tenant, name)
            fresh = frames["seq"].to_numpy()[found.row_frame] > self._positions.of(ref)
            rows, row_frame = those(found.rows, fresh), found.row_frame[fresh]
            if rows.num_rows == 0:
                continue
            times = rows["time"].cast(pa.int64()).to_numpy()
            digests, vehicles = rows["digest"].to_numpy(), rows["vehicle"].to_pylist()
            new = ~self._judges.of(ref).judge(vehicles, times, digests, now_us()).repeat
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
        with part(self.span, "ingest dedup"):
            verdict = self._judges.of(TableRef(tenant, SIGNALS)).judge(
                vehicles, times, digests, now_us()
            )
        self._figures.duplicates += int(verdict.repeat.sum())
        self._figures.corrections += int(verdict.correction.sum())
        keep = ~verdict.repeat
        return keep, verdict.correction[keep], row_frame[verdict.repeat]

    def _store(self, tenant: Tenant, seq: int, parts: Parts) -> list[bytes]:
        """Append to the tenant's tables; returns the live messages, none without new rows."""
        signals = together(parts.signals)
        self._append(TableRef(tenant, RAW), together(parts.frames), seq)
        self._append(TableRef(tenant, LETTERS), together(parts.letters), seq)
        for name, rows in parts.further.items():
            self._append(TableRef(tenant, name), together(rows), seq)
        self._figures.dead_letters += sum(table.num_rows for table in parts.letters)
        if signals is None:
            return []
        previous = self._live_seq.get(tenant)
        if previous is None:
            previous = self._positions.of(TableRef(tenant, SIGNALS))
        self._append(TableRef(tenant, SIGNALS), signals, seq)
        self._live_seq[tenant] = seq
        self._figures.stored += signals.num_rows
        return live_messages(signals, previous, seq)

    def _append(self, ref: TableRef, rows: pa.Table | None, seq: int) -> None:
        if rows is not None and rows.num_rows:
            with part(self.span, f"ingest append {ref.name}"):
                self._positions.append(ref, rows, seq)
