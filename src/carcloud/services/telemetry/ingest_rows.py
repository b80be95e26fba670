"""The Arrow tables of a micro-batch: raw frames, dead letters, and the messages for listeners."""

import json
import zlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from carcloud.model.time import DAY, now_us
from carcloud.ports.stream import Message
from carcloud.services.telemetry.protocols import DecodedFrames, Fault

_TIME = pa.timestamp("us", "UTC")
_NEAR = 8 * DAY  # us; a reissue is at most seven days old
_LIVE_BYTES = 2_000_000


def those(rows: pa.Table, which: npt.NDArray[np.bool_]) -> pa.Table:
    """The rows of a mask; all of them, as nearly always, are not copied."""
    return rows if which.all() else rows.filter(pa.array(which))


def plain(rows: pa.Table) -> pa.Table:
    """Without dictionaries, which parts of a batch may or may not have for one column."""
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in rows.schema
    ]
    return rows.cast(pa.schema(fields))


def as_time(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Microseconds since 1970 as a timestamp."""
    return column.cast(_TIME)


def raw(
    protocol: str,
    frames: pa.Table,
    decoded: DecodedFrames,
    keep: npt.NDArray[np.bool_],
    reports: npt.NDArray[np.int64],
) -> pa.Table:
    """Rows of the table `frames`, for the frames to keep.

    `reports` says how many rows of `signals` each frame gave; metering counts by it.
    """
    received = frames["received"].to_numpy()
    # A login or logout may name any moment: one far off would open a partition of its own.
    near = np.abs(decoded.times - received) <= _NEAR
    near[decoded.row_frame] = True  # the time of a report is checked where it comes in
    times = np.where((decoded.times >= 0) & near, decoded.times, received)
    table = pa.table(
        {
            "vehicle": frames["vehicle"],
            "time": pa.array(times).cast(_TIME),
            "received": as_time(frames["received"]),
            "seq": frames["seq"],
            "protocol": pa.array([protocol] * frames.num_rows, pa.string()),
            "kind": decoded.kinds,
            "reports": pa.array(reports, pa.int32()),
            "size": pc.binary_length(frames["frame"]).cast(pa.int32()),
            "frame": frames["frame"],
        }
    )
    return those(table, keep)


def letters(protocol: str, frames: pa.Table, faults: list[Fault]) -> pa.Table:
    """Rows of the table `dead_letters`, one fault a frame."""
    seqs = frames["seq"].to_pylist()
    received = as_time(frames["received"])
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


def refused_letters(protocol: str, frames: pa.Table) -> list[pa.Table]:
    """Letters of frames that the gateway refused."""
    if frames.num_rows == 0:
        return []
    faults = [Fault(**json.loads(text)) for text in frames["fault"].to_pylist()]
    return [letters(protocol, frames, faults)]


def unreadable(protocol: str, message: Message, reason: str) -> pa.Table:
    """The letter of a message that is not a frame block."""
    frames = pa.table(
        {
            "vehicle": pa.array([""], pa.string()),
            "received": pa.array([now_us()], pa.int64()),
            "frame": pa.array([message.data], pa.binary()),
            "seq": pa.array([message.seq], pa.int64()),
        }
    )
    return letters(protocol, frames, [Fault(f"not a frame block: {reason}", "", None)])


def live_messages(rows: pa.Table, previous: int, seq: int) -> list[bytes]:
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
