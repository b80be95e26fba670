"""Rows of imported CAN logs as ingest wants them.

A frame of this protocol is what the job `can-import` made of a stretch of a log: rows in an Arrow
IPC stream. So imported rows go the way of all others: stored once, checked, counted, told live.
"""

from typing import Final

import numpy as np
import pyarrow as pa

from carcloud.model.ids import Tenant
from carcloud.services.telemetry.can_rows import TIME
from carcloud.services.telemetry.protocols import DecodedFrames, Decoder, Fault
from carcloud.services.telemetry.ranges import FLAGGED, FLAGGED_TYPE, OUT_OF_RANGE

PROTOCOL: Final = "can"
SOURCE: Final = "can.import"
_KIND: Final = "import"
_KEYS: Final = {"time": TIME, "digest": pa.int64(), OUT_OF_RANGE: pa.bool_()}


def pack_rows(rows: pa.Table) -> bytes:
    """Rows of one vehicle, as `can_rows.lay_rows` makes them, as a frame."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, rows.schema, options=options) as writer:
        writer.write_table(rows.combine_chunks())
    return bytes(sink.getvalue())


def unpack_rows(frame: bytes) -> pa.Table:
    """The rows that `pack_rows` packed; raises ValueError."""
    try:
        with pa.ipc.open_stream(pa.py_buffer(frame)) as reader:
            rows = reader.read_all()
        rows.validate(full=True)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise ValueError(f"no rows of an import: {error}") from error
    kinds = {field.name: field.type for field in rows.schema}
    wrong = [name for name, kind in _KEYS.items() if kinds.get(name) != kind]
    wrong += [name for name in kinds if name not in _KEYS and name != FLAGGED and "." not in name]
    if wrong or kinds.get(FLAGGED, FLAGGED_TYPE) != FLAGGED_TYPE:
        raise ValueError(f"no rows of an import: column {(wrong or [FLAGGED])[0]!r}")
    if not rows.num_rows or any(rows[name].null_count for name in _KEYS):
        raise ValueError("no rows of an import: no rows, or rows without a time")
    return rows


def decoder() -> Decoder:
    """The `protocols.Decoder` of imported logs."""

    def decode(
        _tenant: Tenant, vehicles: pa.Array, frames: pa.Array, _received: pa.Array
    ) -> DecodedFrames:
        parts = [pa.table({name: pa.array([], kind) for name, kind in _KEYS.items()})]
        counts = np.zeros(len(frames), np.int64)
        times = np.full(len(frames), -1, np.int64)
        faults: dict[int, Fault] = {}
        for index, frame in enumerate(frames.to_pylist()):
            try:
                rows = unpack_rows(frame)
            except ValueError as error:
                faults[index] = Fault(str(error), "can.import")
                continue
            parts.append(rows)
            counts[index] = rows.num_rows
            times[index] = rows["time"].cast(pa.int64())[0].as_py()
        row_frame = np.repeat(np.arange(len(frames), dtype=np.int32), counts)
        table = pa.concat_tables(parts, promote_options="default").combine_chunks()
        return DecodedFrames(
            rows=_named(table, vehicles.take(pa.array(row_frame))),
            row_frame=row_frame,
            kinds=pa.array([_KIND] * len(frames), pa.string()),
            times=times,
            faults=faults,
        )

    return decode


def _named(rows: pa.Table, vehicles: pa.Array) -> pa.Table:
    """In the order of columns that ingest knows: vehicle, time, then the rest."""
    count = rows.num_rows
    rows = rows.add_column(0, "vehicle", vehicles)
    rows = rows.append_column("source", pa.repeat(SOURCE, count))
    return rows.append_column("partial", pa.repeat(False, count))
