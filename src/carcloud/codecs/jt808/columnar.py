"""Whole blocks of kept messages to Arrow columns: one row a position report (J13 8.18, J19 8.21).

The plain reference is `reports` with `signals`; this is the same reading, compiled. Messages
without position reports give no rows. A message of which a report cannot be read has a fault;
its other reports become rows.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from carcloud.codecs.jt808 import columnar_kernel as kernel
from carcloud.codecs.jt808.columnar_arrow import columns
from carcloud.codecs.jt808.frame import build


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a message, or a report in it, gives no row: a short word, and the broken clause."""

    code: str
    clause: str


FAULTS: Final = (
    Fault("ok", ""),
    Fault("flag", "4.4.1"),
    Fault("escape", "4.4.2"),
    Fault("length", "4.4.3"),
    Fault("truncated", "4.4.3"),
    Fault("bcc", "4.4.4"),
    Fault("phone", "4.4.3"),
    Fault("packet", "4.4.3.4"),
    Fault("encrypted", "4.4.3"),
    Fault("overrun", "0x0200 (J13 8.18, J19 8.21)"),
    Fault("time", "0x0200 (J13 8.18, J19 8.21)"),
)
"""What the codes in `DecodedBlock.fault` mean."""


@dataclass(frozen=True, slots=True)
class DecodedBlock:
    """Rows of a block, in the order of its messages.

    `rows` has vehicle, time (us UTC), source, digest, partial, out_of_range, then the VSS columns
    in which any row has a value. `row_frame` int32[rows] is the message of each row; `fault`
    uint8[messages] indexes `FAULTS`, `fault_offset` int32[messages] is the byte of the unescaped
    message where it was found. `message` int64[messages] are ids, 0 where a header cannot be
    read; `time` int64[messages] us UTC of the first report, -1 without one. `place` int64[rows, 2]
    is where each report begins in `clean`, and its bytes.
    """

    rows: pa.Table
    row_frame: NDArray[np.int32]
    fault: NDArray[np.uint8]
    fault_offset: NDArray[np.int32]
    message: NDArray[np.int64]
    time: NDArray[np.int64]
    clean: NDArray[np.uint8]
    place: NDArray[np.int64]

    def report(self, row: int) -> bytes:
        """The report of a row as a body of 0x0200."""
        at, size = self.place[row].tolist()
        return self.clean[at : at + size].tobytes()


def decode_block(frames: pa.BinaryArray) -> DecodedBlock:
    """Decode messages of all editions, mixed.

    `frames` holds one message each as on the wire: a frame with both flags, or all packets of a
    message one after another. Its buffers are read in place. Raises `TypeError` for another type.
    """
    if not pa.types.is_binary(frames.type):
        raise TypeError(f"frames are {frames.type}, expected binary")
    bounds, data = _buffers(frames)
    count = len(frames)
    length = int(bounds[-1] - bounds[0])
    scan = kernel.Scan(
        clean=np.empty(length + 1, np.uint8),
        head=np.empty((count, 6), np.int64),
        fault=np.empty(count, np.uint8),
        fault_offset=np.empty(count, np.int32),
        row=np.empty((length // 28 + 1, 5), np.int64),
    )
    rows = kernel.scan_frames(data, bounds, scan)
    fields = _fields(rows)
    kernel.fill_rows(scan, rows, fields)
    found = scan.row[:rows]
    return DecodedBlock(
        columns(found, fields),
        found[:, kernel.FRAME].astype(np.int32),
        scan.fault,
        scan.fault_offset,
        scan.head[:, kernel.MESSAGE].copy(),
        scan.head[:, kernel.WHEN].copy(),
        scan.clean,
        found[:, kernel.AT : kernel.SIZE + 1],
    )


def warm() -> None:
    """Compile the kernels, or load them from the cache, so that the first block is fast."""
    body = bytes(22) + bytes.fromhex("260314150926") + bytes.fromhex("010400000001")
    frames = [build(edition, 0x0200, "1", 0, body) for edition in (2013, 2019)]
    if decode_block(pa.array(frames, pa.binary())).rows.num_rows != len(frames):
        raise RuntimeError("the columnar decoder does not read its own frames")


def _fields(rows: int) -> kernel.Fields:
    """Room for so many rows; words that are packed into bits have spare ones that are zero."""
    words = np.zeros((6, rows + 7 & ~7), np.uint32)
    return kernel.Fields(
        digest=np.empty(rows, np.int64),
        have=words[0],
        alarm=words[1],
        status=words[2],
        lamps=words[3],
        places=np.empty((4, rows), np.float64),
        floats=np.zeros((4, rows), np.float32),
        odometer=np.zeros(rows, np.int64),
        analog=np.zeros((2, rows), np.int32),
        shorts=np.zeros((2, rows), np.int16),
        sleep=np.zeros(rows, np.int8),
        flags=words[4:],
        stamps=np.empty(20 * rows, np.uint8),
        phones=np.empty(20 * rows, np.uint8),
        ends=np.empty(rows + 1, np.int32),
    )


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


__all__ = ["FAULTS", "DecodedBlock", "Fault", "decode_block", "warm"]
