"""The passes over a block: the only compiled functions that Python calls."""

# mypy: disable-error-code="no-any-return"

import zlib
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from carcloud.codecs.gbt32960.columnar_fields import Window, fill_fields, new_window
from carcloud.codecs.gbt32960.columnar_finish import Columns, Out, finish_columns
from carcloud.codecs.gbt32960.columnar_kernel import (
    MAX_PACKS,
    MAX_ROWS,
    Plan,
    Registers,
    fill_rows,
)
from carcloud.codecs.gbt32960.columnar_memory import (
    Widths,
    forms_in,
    lists_in,
    rows_in,
    slots_in,
    stride_of,
)
from carcloud.codecs.gbt32960.columnar_shapes import Scan, Shapes, new_shapes, scan_frames
from carcloud.codecs.kernel_words import OPTIONS, Bytes


class Scratch(NamedTuple):
    """What the passes need besides the memory of the columns; for one block at a time."""

    shapes: Shapes
    window: Window
    registers: Registers
    state: NDArray[np.int64]  # [8]
    live: Bytes  # as Slots.live
    gaps: NDArray[np.int64]  # as Lists.gaps
    packs: NDArray[np.int64]  # as Lists.packs
    out: Out


def new_scratch(columns: int) -> Scratch:
    """Room for the work on a block with at most so many columns."""
    return Scratch(
        shapes=new_shapes(),
        window=new_window(),
        registers=Registers(*(np.zeros(MAX_ROWS, np.int64) for _ in range(3))),
        state=np.zeros(8, np.int64),
        live=np.zeros((3, 64), np.uint8),
        gaps=np.zeros(4, np.int64),
        packs=np.empty((2, MAX_PACKS, 5), np.int64),
        out=Out(
            live=np.zeros(columns, np.uint8),
            nodes=np.zeros(4 * columns, np.int64),
            buffers=np.zeros(10 * columns, np.int64),
            filled=np.zeros(2, np.int64),
            flags=np.zeros(64, np.uint8),
        ),
    )


def _stamp_of_sources() -> int:
    """A number of the sources of all kernels."""
    stamp = 0
    for path in sorted(Path(__file__).parent.glob("columnar_*.py")):
        stamp = zlib.crc32(path.read_bytes(), stamp)
    return stamp


def _compiled(stamp: int) -> tuple[Any, Any]:
    """The two functions, compiled.

    Numba's cache sees a change of a function's own code and of the variables that it encloses,
    not of what it calls: `stamp` stands for the sources of that.
    """

    def scan(
        data: Bytes, bounds: NDArray[np.int32], plan: Plan, scratch: Scratch, scan: Scan
    ) -> int:
        scratch.state[0] = stamp
        return scan_frames(data, bounds, plan, scratch.shapes, scratch.registers, scan)

    def fill(
        data: Bytes, bounds: NDArray[np.int32], plan: Plan, scratch: Scratch, scan: Scan,
        count: int, memory: Bytes, starts: NDArray[np.int64], widths: Widths, columns: Columns,
    ) -> None:  # fmt: skip
        scratch.state[0] = stamp
        scratch.live[:] = 0
        scratch.gaps[:] = 0
        stride = stride_of(count)
        slots = slots_in(memory, starts, count, stride, widths, scratch.live)
        lists = lists_in(memory, starts, stride, scratch.gaps, scratch.packs)
        rows = rows_in(memory, starts, scan.row_frame, scan.shape)
        forms = forms_in(memory, starts, stride, widths)
        lists.offsets[:, 0] = 0
        shapes = scratch.shapes
        fill_fields(data, bounds, count, plan, shapes, slots, rows, scratch.window)
        fill_rows(
            data, bounds, count, plan, shapes.heads, shapes.packs, slots, lists, rows,
            scratch.registers, scratch.state,
        )  # fmt: skip
        finish_columns(count, slots, lists, rows, starts, columns, forms, scratch.out)

    options: dict[str, Any] = {**OPTIONS, "no_cfunc_wrapper": True, "cache": True}
    return njit(**options)(scan), njit(**options)(fill)


_functions: Final = _compiled(_stamp_of_sources())
scan: Final = cast(Any, _functions[0])
"""Check the frames in `data` with n + 1 offsets `bounds`, find their shapes in `Scratch` and note
all in `Scan`; return the number of rows."""
fill: Final = cast(Any, _functions[1])
"""Decode `count` rows that `scan` has found into `memory`; `Scratch.out` says what is where."""
