"""Whole blocks of report frames to Arrow columns (GB/T 32960.3-2016 and -2025 §7.2).

The plain reference is `decode` with `signals`; this is the same reading, compiled. A frame that
is no readable report in clear becomes a fault; a report of which a later part cannot be read
becomes a row with `partial` set.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from carcloud.codecs.gbt32960 import columnar_kernel as kernel
from carcloud.codecs.gbt32960.columnar_arrow import SOURCES, SignalColumns, row_columns
from carcloud.codecs.gbt32960.columnar_layout import Layout, layout
from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.frame import build


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a frame gives no row: a short stable word, and the clause that is broken."""

    code: str
    clause: str


__all__ = ["FAULTS", "SOURCES", "DecodedBlock", "Fault", "decode_block", "warm"]

FAULTS: Final = (
    Fault("ok", ""),
    Fault("start", "6.2 table 2"),
    Fault("length", "6.2 table 2"),
    Fault("unique-id", "6.2 table 2"),
    Fault("bcc", "6.2 table 2"),
    Fault("not-a-report", "6.3.1 table 3"),
    Fault("reserved-encryption", "5, table 5"),
    Fault("encrypted", "5, table 5"),
    Fault("overrun", "7.2.1 table 7"),
    Fault("time", "6.4 table 5"),
)
"""What the codes in `DecodedBlock.fault` mean. An `encrypted` frame must be decrypted first."""


@dataclass(frozen=True, slots=True)
class DecodedBlock:
    """Rows of a block, in the order of its frames.

    `rows` has vehicle, time (us UTC), source, digest, partial, out_of_range, then the VSS columns
    in which any row has a value. `row_frame` int32[rows] is the frame of each row; `fault`
    uint8[frames] indexes `FAULTS`, `fault_offset` int32[frames] is the byte where it was found.
    """

    rows: pa.Table
    row_frame: NDArray[np.int32]
    fault: NDArray[np.uint8]
    fault_offset: NDArray[np.int32]


def decode_block(frames: pa.BinaryArray, *, negate_current: bool = True) -> DecodedBlock:
    """Decode realtime (0x02) and reissue (0x03) frames of both editions, mixed.

    `frames` holds one whole frame each, data unit in clear; its buffers are read in place.
    `negate_current`: vehicles count discharge as positive, VSS counts charge so. Raises
    `TypeError` for another array type.
    """
    if not pa.types.is_binary(frames.type):
        raise TypeError(f"frames are {frames.type}, expected binary")
    bounds, data = _buffers(frames)
    tables = layout(negate_current)
    slots, lists, rows = _room(tables, len(frames), int(bounds[-1]) - int(bounds[0]))
    scratch = _registers(), np.zeros(8, np.int64)
    frame = row = 0
    while True:
        frame, row = kernel.decode_frames(
            data, bounds, frame, row, tables.plan, slots, lists, rows, *scratch
        )
        if frame == len(frames):
            break
        lists = _more_room(lists)
    columns = dict(row_columns(rows, row))
    columns.update(SignalColumns(tables, slots, lists, rows, row).columns())
    return DecodedBlock(_table(columns), rows.row_frame[:row].copy(), rows.fault, rows.fault_offset)


def warm() -> None:
    """Compile the kernels, or load them from the cache, so that the first block is fast."""
    time = bytes((26, 3, 14, 15, 9, 26))
    bodies = {
        2016: "01010301027b0012d6870e44278d4c012e13880000",
        2025: "01010302ffff0012d687177c75ad4c012e1388",  # speed not available
    }
    frames = [
        build(edition, Command.REALTIME, Flag.COMMAND, "WARM", time + bytes.fromhex(body))
        for edition, body in bodies.items()
    ]
    rows = decode_block(pa.array(frames, pa.binary())).rows
    if rows.num_rows != len(frames):
        raise RuntimeError("the columnar decoder does not read its own frames")


def _table(columns: dict[str, pa.Array]) -> pa.Table:
    batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    return pa.Table.from_batches([batch])  # half the time of pa.table


def _buffers(frames: pa.BinaryArray) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Offsets and bytes of an array, without copying."""
    _, offsets, data = frames.buffers()
    empty = np.zeros(1, np.int32)
    bounds = empty if offsets is None else np.frombuffer(offsets, np.int32)
    bounds = bounds[frames.offset : frames.offset + len(frames) + 1] if len(frames) else empty
    content = np.frombuffer(data or b"", np.uint8)
    # Arrow's memory may be writable or not; the kernel is compiled for one of the two.
    bounds, content = bounds.view(), content.view()
    bounds.flags.writeable = content.flags.writeable = False
    return bounds, content


def _stride(count: int) -> int:
    """Row capacity of a column: an odd number of cache lines of the narrowest type, so that the
    columns of one row do not fall into one set of the cache."""
    return (count // 32 + 1 | 1) * 32


def _empty(shape: int | tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """As `np.empty`, from Arrow's pool, which keeps its pages between blocks; the C library gives
    them back, and faulting them in again costs a quarter of the time."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(pa.allocate_buffer(size), dtype).reshape(shape)


def _room(tables: Layout, count: int, size: int) -> tuple[kernel.Slots, kernel.Lists, kernel.Rows]:
    """Buffers for `count` frames of `size` bytes in all."""
    stride = _stride(count)
    slots = kernel.Slots(
        floats=_empty((len(tables.floats), stride), np.float32),
        smalls=_empty((len(tables.smalls), stride), np.int16),
        wides=_empty((len(tables.wides), stride), np.int64),
        places=_empty((2, stride), np.float64),
        live=np.zeros((3, 64), np.uint8),
    )
    lists = kernel.Lists(
        cells=_empty(65536 + size // 4, np.float32),
        probes=_empty(65536 + size // 8, np.float32),
        fuel=_empty(65536, np.float32),
        errors=_empty(65536, np.uint32),
        offsets=np.zeros((4, count + 1), np.int32),
        present=_empty((4, count + 1), np.uint8),
        gaps=np.zeros(4, np.int64),
        packs=_empty((2, kernel.MAX_PACKS, 5), np.int64),
    )
    rows = kernel.Rows(
        time=_empty(count, np.int64),
        digest=_empty(count, np.int64),
        source=_empty(count, np.int8),
        partial=_empty(count, np.uint8),
        outside=_empty(count, np.uint8),
        vins=_empty(count * 17, np.uint8),
        vin_offsets=np.zeros(count + 1, np.int32),
        stamps=_empty(count * 20, np.uint8),
        stamp_offsets=np.zeros(count + 1, np.int32),
        row_frame=_empty(count, np.int32),
        fault=_empty(count, np.uint8),
        fault_offset=_empty(count, np.int32),
    )
    return slots, lists, rows


def _registers() -> kernel.Registers:
    return kernel.Registers(*(np.zeros(kernel.MAX_ROWS, np.int64) for _ in range(3)))


def _more_room(lists: kernel.Lists) -> kernel.Lists:
    """The same lists with twice the room for values."""
    return lists._replace(
        cells=np.concatenate((lists.cells, np.empty_like(lists.cells))),
        probes=np.concatenate((lists.probes, np.empty_like(lists.probes))),
        fuel=np.concatenate((lists.fuel, np.empty_like(lists.fuel))),
        errors=np.concatenate((lists.errors, np.empty_like(lists.errors))),
    )
