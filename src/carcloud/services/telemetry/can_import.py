"""The kind `can-import`: CAN logs in a bucket become rows of a vehicle's history.

The log is read in the job's own process, so that one which makes a reader crash ends that job and
nothing else. Rows go through the stream to ingest; what is there already is recognised by it.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from carcloud.codecs.can.frames import CanFrames
from carcloud.codecs.canlog.layers import LayerName
from carcloud.model.blocks import pack
from carcloud.model.ids import Tenant
from carcloud.model.limits import OverLimit
from carcloud.model.streams import FRAMES, frames_subject
from carcloud.model.time import SECOND, iso, now_us
from carcloud.ports.lake import Slice, TableRef
from carcloud.services.compute.api import Context, JobFailed, Kind
from carcloud.services.compute.buckets import READ, BucketName
from carcloud.services.telemetry.can_rows import lay_rows
from carcloud.services.telemetry.decode_can import PROTOCOL, SOURCE, pack_rows
from carcloud.services.telemetry.ingest_position import WRITER
from carcloud.services.telemetry.tables import SIGNALS
from carcloud.services.telemetry.work import BadLog, Logs, Streaming, Work
from carcloud.services.vocabulary.mapping_document import read_mapping
from carcloud.services.vocabulary.mapping_types import Mapping

if TYPE_CHECKING:
    from carcloud.services.telemetry.can_mapped import MappedCan

NAME: Final = "can-import"
_FRAMES: Final = 50_000  # frames of the log that are decoded at a time
_ROWS, _BYTES = 4_000, 300_000  # of one frame of the stream, before compression
_AHEAD: Final = 16  # messages that ingest may be behind before the job waits for it
_LOOK_S, _AHEAD_S = 0.1, 300.0  # between looks; that a log's clock may be ahead
_TOLD: Final = 50  # names in a result

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Logs of one vehicle, and how to read them.

    `mapping` and `dbc` are objects too; without them the mapping of the vehicle's model holds.
    """

    vehicle: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")]
    bucket: BucketName
    logs: Annotated[list[Key], msgspec.Meta(min_length=1, max_length=100)]
    mapping: Key | None = None
    dbc: Annotated[list[Key], msgspec.Meta(max_length=20)] = []
    zone: Annotated[str, msgspec.Meta(max_length=60)] | None = None
    transports: Annotated[list[LayerName], msgspec.Meta(max_length=3)] | None = None


@dataclass(slots=True)
class _Counts:
    rows: int = 0
    values: Counter[str] = field(default_factory=Counter)
    first_us: int | None = None
    last_us: int | None = None


def kind(work: Callable[[], Work]) -> Kind:
    """The kind; `work` is asked where jobs run."""
    needs = ("vehicles:write", READ)
    return Kind(NAME, "CAN logs into a vehicle's history", Params, lambda c: run(c, work()), needs)


def run(context: Context[Params], work: Work) -> dict[str, Any]:
    """Import; returns what was imported."""
    # Its compiler is for the processes of jobs alone, not for those that only know the kinds.
    from carcloud.services.telemetry.can_mapped import MappedCan

    params = context.params
    with TemporaryDirectory(prefix="can-import-") as folder:
        mapping = _mapping(context, work, Path(folder))
        logs = _opened(context, work, Path(folder))
        reading = MappedCan(mapping, params.transports)
        with work.streaming() as streaming:
            sending = _Sending(context, streaming)
            counts = _import(context, work, logs, reading, sending)
            sending.finish()
        stored, flagged = _stored(context, sending.seqs)
        return _result(reading, counts, stored, flagged, logs.remarks())


def _mapping(context: Context[Params], work: Work, folder: Path) -> Mapping:
    params = context.params
    if params.mapping is None:
        if params.dbc:
            raise JobFailed("DBC files need a mapping that names them", again=False)
        found = work.mapping(context.tenant, params.vehicle)
        if found is None:
            detail = f"the model of {params.vehicle} has no mapping: give one, or import with one"
            raise JobFailed(detail, again=False)
        return _usable(found)
    text = _text(context, work, params.mapping, folder)
    dbc = {_base(key): _text(context, work, key, folder) for key in params.dbc}
    read = read_mapping(text, dbc, work.catalogue(context.tenant))
    if read.checked.findings:
        told = [f"line {one.line}: {one.node}: {one.text}" for one in read.checked.findings[:10]]
        raise JobFailed("the mapping cannot be used: " + "; ".join(told), again=False)
    return _usable(read.mapping)


def _usable(mapping: Mapping) -> Mapping:
    if not mapping.can and not mapping.obd:
        raise JobFailed("the mapping takes nothing from CAN: it has no can and no obd", again=False)
    return mapping


def _text(context: Context[Params], work: Work, key: str, folder: Path) -> str:
    path = folder / "text"
    context.objects.fetch(context.params.bucket, key, path, min(work.most_log_bytes, 8_000_000))
    data = path.read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")  # as DBC files are that are not UTF-8


def _opened(context: Context[Params], work: Work, folder: Path) -> Logs:
    left, paths = work.most_log_bytes, []
    for number, key in enumerate(context.params.logs):
        path = folder / f"{number:03d}-{_base(key)[-100:]}"
        left -= context.objects.fetch(context.params.bucket, key, path, left)
        paths.append(path)
    try:
        return work.open_logs(paths, context.params.zone)
    except BadLog as error:
        raise JobFailed(str(error), again=False) from error


def _import(
    context: Context[Params], work: Work, logs: Logs, reading: "MappedCan", sending: "_Sending"
) -> _Counts:
    """All blocks, as rows, to the stream."""
    counts = _Counts()
    size = max(1, logs.size)
    latest = now_us() + int(_AHEAD_S * SECOND)

    def told(done: int) -> None:
        context.progress(min(0.99, done / size))

    def send(rows: pa.Table) -> None:
        if rows.num_rows:
            _count(counts, rows, latest)
            sending.send(rows, lambda size: work.room(context.tenant, size))

    try:
        for block in logs.blocks(told):
            if len(block) and block.clock == "relative":
                detail = "the log tells times since its start alone: say a zone, or give a date"
                raise JobFailed(detail, again=False)
            for frames in _pieces(block):
                send(lay_rows(reading.feed(frames)))
    except BadLog as error:
        detail = f"{error}; {counts.rows} rows before that are imported"
        raise JobFailed(detail, again=False) from error
    send(lay_rows(reading.finish()))
    return counts


def _pieces(block: CanFrames) -> Iterator[CanFrames]:
    for at in range(0, len(block), _FRAMES):
        yield block.select(slice(at, at + _FRAMES))


def _count(counts: _Counts, rows: pa.Table, latest: int) -> None:
    times = rows["time"].cast(pa.int64()).to_numpy()
    if times[-1] > latest or times[0] < 0:
        detail = f"the log's clock is wrong: it has times from {iso(int(times[0]))} on"
        raise JobFailed(detail, again=False)
    counts.rows += len(times)
    first, last = int(times[0]), int(times[-1])
    counts.first_us = first if counts.first_us is None else min(counts.first_us, first)
    counts.last_us = last if counts.last_us is None else max(counts.last_us, last)
    for path in rows.column_names:
        if "." in path:
            counts.values[path] += rows.num_rows - rows[path].null_count


class _Sending:
    """Rows to the stream, no faster than ingest takes them."""

    def __init__(self, context: Context[Params], streaming: Streaming) -> None:
        self._context = context
        self._streaming = streaming
        self._subject = frames_subject(context.tenant, PROTOCOL)
        self.seqs: list[int] = []

    def send(self, rows: pa.Table, room: Callable[[int], None]) -> None:
        """Rows of the vehicle; raises `JobFailed` where the tenant has no room for them."""
        step = max(1, min(_ROWS, _BYTES * rows.num_rows // max(1, rows.nbytes)))
        for start in range(0, rows.num_rows, step):
            frame = pack_rows(rows[start : start + step])
            try:
                room(len(frame))
            except OverLimit as error:
                raise JobFailed(str(error), limit=error.limit, again=False) from error
            self._publish(frame)
            if len(self.seqs) > _AHEAD:
                self._wait(self.seqs[-_AHEAD])

    def finish(self) -> None:
        """Until ingest has all of it."""
        if self.seqs:
            self._wait(self.seqs[-1])

    def _publish(self, frame: bytes) -> None:
        vehicle, job = self._context.params.vehicle, self._context.job
        block = pack([vehicle], [now_us()], [None], [frame])
        told = hashlib.blake2b(frame, digest_size=16).hexdigest()
        message = f"can-{job}-{len(self.seqs)}-{told}"
        self.seqs.append(self._streaming.do(lambda s: s.publish(self._subject, block, message)))

    def _wait(self, seq: int) -> None:
        while self._streaming.do(lambda s: s.confirmed(FRAMES.name, WRITER)) < seq:
            time.sleep(_LOOK_S)  # the stream tells nobody when it is confirmed


def _stored(context: Context[Params], seqs: Sequence[int]) -> tuple[int, int]:
    """How many of the rows were new, and how many of these are out of range."""
    if not seqs:
        return 0, 0
    what = Slice(
        columns=("seq", "source", "out_of_range"),
        vehicles=(context.params.vehicle,),
        after_seq=seqs[0] - 1,
        until_seq=seqs[-1],
    )
    found = context.lake.read(TableRef(Tenant(context.tenant), SIGNALS), what)
    mine = np.isin(found["seq"].to_numpy(), seqs)
    found = found.filter(pc.and_(pa.array(mine), pc.equal(found["source"], SOURCE)))
    return found.num_rows, int(pc.sum(found["out_of_range"]).as_py() or 0)


def _result(
    reading: "MappedCan", counts: _Counts, stored: int, flagged: int, remarks: list[str]
) -> dict[str, Any]:
    tally = reading.tally
    return {
        "frames": tally.frames,
        "rows": counts.rows,
        "new_rows": stored,
        "known_rows": counts.rows - stored,
        "values": sum(counts.values.values()),
        "signals": dict(sorted(counts.values.items())),
        "out_of_range_rows": flagged,
        "unmapped_signals": len(reading.unmapped),
        "unmapped": [name for name, _ in reading.unmapped.most_common(_TOLD)],
        "unknown_frames": sum(tally.unknown.values()),
        "incomplete_messages": sum(tally.dropped.values()),
        "from": None if counts.first_us is None else iso(counts.first_us),
        "to": None if counts.last_us is None else iso(counts.last_us),
        "remarks": remarks[:_TOLD],
    }


def _base(key: str) -> str:
    return key.rsplit("/", 1)[-1]
