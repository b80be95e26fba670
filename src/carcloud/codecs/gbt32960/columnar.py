"""Whole blocks of report frames to Arrow columns (GB/T 32960.3-2016 and -2025 §7.2).

The plain reference is `decode` with `signals`; this is the same reading, compiled. A frame that
is no readable report in clear becomes a fault; a report of which a later part cannot be read
becomes a row with `partial` set.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from carcloud.codecs.gbt32960.columnar_arrow import SOURCES, shelf, table
from carcloud.codecs.gbt32960.columnar_layout import layout
from carcloud.codecs.gbt32960.columnar_memory import starts_of
from carcloud.codecs.gbt32960.columnar_pass import Scratch, fill, new_scratch, scan
from carcloud.codecs.gbt32960.columnar_shapes import Scan
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
    columns, count = shelf(tables), len(frames)
    found = Scan(
        fault=np.empty(count, np.uint8),
        fault_offset=np.empty(count, np.int32),
        row_frame=np.empty(count, np.int32),
        shape=np.empty(count, np.int8),
        elements=np.empty(4, np.int64),
    )
    with _scratch(len(columns.paths)) as scratch:
        rows = scan(data, bounds, tables.plan, scratch, found)
        starts = starts_of(rows, found.elements.tolist(), columns.widths)
        buffer = pa.allocate_buffer(starts[-1])
        memory = np.frombuffer(buffer, np.uint8)
        fill(
            data, bounds, tables.plan, scratch, found, rows, memory, np.array(starts),
            columns.widths, columns.columns,
        )  # fmt: skip
        columns_found = table(columns, rows, buffer, scratch.out)
    return DecodedBlock(columns_found, found.row_frame[:rows], found.fault, found.fault_offset)


_idle: Final[list[Scratch]] = []
"""Scratch memory between blocks; as many as there were blocks at work at a time."""


@contextmanager
def _scratch(columns: int) -> Iterator[Scratch]:
    try:
        scratch = _idle.pop()
    except IndexError:
        scratch = new_scratch(columns)
    yield scratch
    _idle.append(scratch)


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
