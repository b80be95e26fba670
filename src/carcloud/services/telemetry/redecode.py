"""The kind `redecode`: history of a model's vehicles, decoded anew from the raw frames.

Each step takes some vehicles' frames of one day and replaces the rows that they gave in one commit
of the lake; done again after a crash it finds nothing to change. Frames that ingest has not
finished with are left alone: they are decoded as things are now anyway.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from carcloud.model.streams import live_subject
from carcloud.model.time import DAY, parse_iso
from carcloud.ports.lake import Slice, TableRef
from carcloud.services.compute.api import Context, JobFailed, Kind
from carcloud.services.telemetry.dead_letters import DeadLetters, refusal
from carcloud.services.telemetry.decode_can import PROTOCOL as IMPORTED
from carcloud.services.telemetry.ingest_position import WRITER as INGEST
from carcloud.services.telemetry.ingest_rows import as_time, live_messages, plain
from carcloud.services.telemetry.protocols import DecodedFrames, Decoder
from carcloud.services.telemetry.ranges import RangesByTenant
from carcloud.services.telemetry.redecode_rows import (
    Key,
    Replaced,
    keys_of,
    newest,
    replaced,
    reports,
)
from carcloud.services.telemetry.tables import LETTERS, RAW, SIGNALS
from carcloud.services.telemetry.twins import snapshot_key
from carcloud.services.telemetry.types import DeadLetter
from carcloud.services.telemetry.work import Streaming, Work

NAME: Final = "redecode"
WRITER: Final = "redecode"
MOST_DAYS: Final = 3_700
_VEHICLES: Final = 50  # of one step, at most
_FRAMES: Final = 100_000  # of one step, where it has more than one vehicle
_COLUMNS: Final = ("vehicle", "time", "received", "seq", "protocol", "frame")

Time = Annotated[str, msgspec.Meta(max_length=40)]


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"start": "from", "end": "to"}):  # fmt: skip  # noqa: E501
    """A model, and the time of the frames, RFC 3339, `to` exclusive."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    start: Time
    end: Time


@dataclass(slots=True)
class _Counts:
    frames: int = 0
    unreadable: int = 0
    rows: int = 0  # that were looked at
    added: int = 0
    changed: int = 0
    removed: int = 0
    letters: int = 0
    commits: int = 0
    days: set[int] = field(default_factory=set)


def kind(work: Callable[[], Work]) -> Kind:
    """The kind; `work` is asked where jobs run."""
    needs = ("models:write",)
    help = "History of a model's vehicles, decoded anew from its raw frames"
    return Kind(NAME, help, Params, lambda c: run(c, work()), needs)


def span_of(start: str, end: str) -> tuple[int, int]:
    """us since 1970; raises ValueError with what is wrong."""
    try:
        first, last = parse_iso(start), parse_iso(end)
    except ValueError as error:
        raise ValueError(f"a time is RFC 3339, as 2026-05-01T00:00:00Z: {error}") from error
    if not 0 <= first < last:
        raise ValueError("`to` must be after `from`")
    if last - first > MOST_DAYS * DAY:
        raise ValueError(f"at most {MOST_DAYS} days")
    return first, last


def run(context: Context[Params], work: Work) -> dict[str, Any]:
    """Decode anew; returns what changed."""
    params = context.params
    try:
        start, end = span_of(params.start, params.end)
    except ValueError as error:
        raise JobFailed(str(error), again=False) from error
    vehicles = sorted(work.vehicles(context.tenant, params.model))
    counts = _Counts()
    with work.streaming() as streaming:
        anew = _Anew(context, work, streaming, counts)
        days = range(start - start % DAY, end, DAY)
        for number, day in enumerate(days):
            first, last = max(start, day), min(end, day + DAY)
            anew.day(vehicles, first, last)
            context.progress((number + 1) / len(days), f"{counts.frames} frames")
        letters = _Letters(context, work, streaming)
        for at in range(0, len(vehicles), _VEHICLES):
            counts.letters += letters.take_in(vehicles[at : at + _VEHICLES], start, end)
    return {
        "vehicles": len(vehicles),
        "frames": counts.frames,
        "unreadable_frames": counts.unreadable,
        "rows": counts.rows,
        "changed_rows": counts.changed,
        "added_rows": counts.added,
        "removed_rows": counts.removed,
        "letters_taken_in": counts.letters,
    }


class _Anew:
    """Steps of one job."""

    def __init__(
        self, context: Context[Params], work: Work, streaming: Streaming, counts: _Counts
    ) -> None:
        self._tenant = context.tenant
        self._lake, self._blobs = context.lake, context.blobs
        self._decoders = work.decoders
        self._ranges = RangesByTenant(work.catalogue)
        self._streaming = streaming
        self._counts = counts
        self._signals = TableRef(context.tenant, SIGNALS)
        self._raw = TableRef(context.tenant, RAW)

    def day(self, vehicles: Sequence[str], start: int, end: int) -> None:
        """All frames of a day."""
        # Beyond this position ingest has yet to write rows, or has just done so.
        until = self._lake.position(self._signals, INGEST)
        for some in self._steps(vehicles, start, end, until):
            what = Slice(_COLUMNS, start, end, some, until_seq=until)
            frames = self._whole(self._lake.read(self._raw, what), some, start, end)
            for protocol in pc.unique(frames["protocol"]).to_pylist():
                decoder = self._decoders.get(protocol)
                if decoder is not None and protocol != IMPORTED:
                    mine = frames.filter(pc.equal(frames["protocol"], protocol))
                    self._step(mine.combine_chunks(), decoder)

    def _whole(self, frames: pa.Table, vehicles: tuple[str, ...], start: int, end: int) -> pa.Table:
        """With the frames of another time that came in the same messages: rows do not tell which
        of a message's frames gave them."""
        if not frames.num_rows:
            return frames
        seqs = pc.min_max(frames["seq"])
        bounds = {"after_seq": seqs["min"].as_py() - 1, "until_seq": seqs["max"].as_py()}
        names = ("vehicle", "seq", "time")
        found = self._lake.read(self._raw, Slice(names, None, None, vehicles, **bounds))
        there = set(keys_of(frames))
        times = found["time"].cast(pa.int64()).to_numpy()
        outside = (times < start) | (times >= end)
        mine = np.fromiter((key in there for key in keys_of(found)), np.bool_, len(times))
        if not (outside & mine).any():
            return frames
        times = times[outside & mine]
        what = Slice(_COLUMNS, int(times.min()), int(times.max()) + 1, vehicles, **bounds)
        more = self._lake.read(self._raw, what)
        times = more["time"].cast(pa.int64()).to_numpy()
        mine = np.fromiter((key in there for key in keys_of(more)), np.bool_, len(times))
        return pa.concat_tables(
            [frames, more.filter(pa.array(mine & ((times < start) | (times >= end))))]
        )

    def _steps(
        self, vehicles: Sequence[str], start: int, end: int, until: int
    ) -> Iterator[tuple[str, ...]]:
        """Vehicles of one step each."""
        for at in range(0, len(vehicles), _VEHICLES):
            waiting = [tuple(vehicles[at : at + _VEHICLES])]
            while waiting:
                some = waiting.pop()
                count = self._lake.count(self._raw, Slice(None, start, end, some, until_seq=until))
                if count > _FRAMES and len(some) > 1:
                    half = len(some) // 2
                    waiting += [some[half:], some[:half]]
                elif count:
                    yield some

    def _step(self, frames: pa.Table, decoder: Decoder) -> None:
        self._counts.frames += frames.num_rows
        received = frames["received"].cast(pa.int64())
        given = (_flat(one) for one in (frames["vehicle"], frames["frame"], received))
        decoded = decoder(self._tenant, *given)
        keys = self._readable(frames, decoded)
        rows = self._rows(frames, decoded, keys)
        if not keys:
            return
        done = self._replace(rows, frames, keys)
        self._counts.rows += rows.num_rows
        self._counts.added += done.added
        self._counts.changed += done.changed
        self._counts.removed += done.removed
        # Also where nothing changes: who was killed behind the commit has told nobody.
        self._tell(done.now)

    def _readable(self, frames: pa.Table, decoded: DecodedFrames) -> set[Key]:
        """The frames whose rows are replaced: not those that gave rows once and cannot now."""
        gave = set(decoded.row_frame.tolist())
        bad = {index for index in decoded.faults if index not in gave}
        self._counts.unreadable += len(bad)
        every = keys_of(frames)
        return set(every) - {every[index] for index in bad}

    def _rows(self, frames: pa.Table, decoded: DecodedFrames, keys: set[Key]) -> pa.Table:
        source = pa.array(decoded.row_frame)
        rows = self._ranges.of(self._tenant).flag(decoded.rows)
        received = as_time(frames["received"].cast(pa.int64()).take(source))
        rows = rows.add_column(2, "received", received)
        rows = rows.append_column("seq", frames["seq"].take(source))
        return plain(rows.filter(pa.array([one in keys for one in keys_of(rows)], pa.bool_())))

    def _replace(self, rows: pa.Table, frames: pa.Table, keys: set[Key]) -> Replaced:
        """In one commit; what is read again is judged again."""
        vehicles = tuple(sorted({vehicle for vehicle, _ in keys}))
        times = pc.min_max(pa.concat_arrays([_us(frames), _us(rows)]))
        start, end = times["min"].as_py(), times["max"].as_py() + 1
        seqs = pc.min_max(frames["seq"])
        what = Slice(
            None, start - start % DAY, end + -end % DAY, vehicles,
            after_seq=seqs["min"].as_py() - 1, until_seq=seqs["max"].as_py(),
        )  # fmt: skip
        told: list[Replaced] = []

        def change(before: pa.Table) -> pa.Table | None:
            told.append(replaced(before, rows, keys, self._known(what, keys)))
            return told[-1].rows

        if self._lake.rewrite(self._signals, what, change, writer=WRITER):
            self._counts.commits += 1
        return told[-1] if told else Replaced(None, rows.slice(0, 0))

    def _known(self, what: Slice, keys: set[Key]) -> set[tuple[str, int, int]]:
        """Reports of the same vehicles and days that other frames gave."""
        columns = ("vehicle", "time", "seq", "digest")
        wider = Slice(columns, what.start_us, what.end_us, what.vehicles)
        found = self._lake.read(self._signals, wider)
        others = found.filter(pa.array([one not in keys for one in keys_of(found)], pa.bool_()))
        return set(reports(others))

    def _tell(self, rows: pa.Table) -> None:
        """Twins take what is not older than what they have; a snapshot does not know of it."""
        self._blobs.delete(snapshot_key(self._tenant))
        subject = live_subject(self._tenant)
        for data in live_messages(newest(rows), 0, 0) if rows.num_rows else []:
            self._streaming.do(lambda stream, data=data: stream.broadcast(subject, data))  # type: ignore[misc]


class _Letters:
    """Dead letters that can be read now, put back into the stream."""

    def __init__(self, context: Context[Params], work: Work, streaming: Streaming) -> None:
        self._context = context
        self._work = work
        self._streaming = streaming

    def take_in(self, vehicles: Sequence[str], start: int, end: int) -> int:
        """Of these vehicles, received in this time; returns how many."""
        what = Slice(None, start, end, tuple(vehicles))
        table = TableRef(self._context.tenant, LETTERS)
        found = [_letter(row) for row in self._context.lake.read(table, what).to_pylist()]
        good = [one for one in found if refusal(one) is None and self._reads(one)]
        if not good:
            return 0
        tenant, actor = self._context.tenant, f"job {self._context.job}"
        lake, records = self._context.lake, self._work.records
        return self._streaming.do(
            lambda stream: DeadLetters(lake, stream, records).put_back(tenant, good, actor=actor)
        )

    def _reads(self, letter: DeadLetter) -> bool:
        decoder = self._work.decoders.get(letter.protocol)
        if decoder is None:
            return False
        one = (
            pa.array([letter.vehicle], pa.string()),
            pa.array([letter.data], pa.binary()),
            pa.array([letter.received_us], pa.int64()),
        )
        return not decoder(self._context.tenant, *one).faults


def _letter(row: dict[str, Any]) -> DeadLetter:
    received_us = int(row["received"].timestamp() * 1_000_000)
    return DeadLetter(
        row["id"], row["vehicle"], received_us, row["protocol"], row["reason"], row["clause"],
        row["offset"], row["frame"], row["seq"],
    )  # fmt: skip


def _us(rows: pa.Table) -> pa.Array:
    return _flat(rows["time"].cast(pa.int64()))


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
