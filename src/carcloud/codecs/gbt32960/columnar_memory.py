"""One piece of memory for all columns of a block: where each part starts, and views of the parts.

The parts lie one after the other, each at a whole number of cache lines; a record batch of Arrow
refers to them in place.
"""

# Integers are numpy's here, which the compiler takes for plain ones and the type checker does not.
# mypy: disable-error-code="arg-type, no-any-return, call-arg"

from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carcloud.codecs.gbt32960.columnar_kernel import Lists, Rows, Slots
from carcloud.codecs.kernel_words import Bytes, inline

(
    FLOATS, SMALLS, WIDES, PLACES, TIMES, DIGESTS, SOURCES, PARTIAL, OUTSIDE, PLACED, VIN_OFFSETS,
    VINS, CELLS, PROBES, FUEL, LIST_OFFSETS, PRESENT, BITS, BOOLEANS, CODES, SHORTS, INTS, POWER,
    STAMP_OFFSETS, STAMPS, CELL_BITS, PROBE_BITS, FUEL_BITS, ERRORS, ERROR_ENDS, ERROR_TEXT,
    ALARM_OFFSETS, ALARM_ENDS, ALARM_TEXT, PARTS,
) = range(35)  # fmt: skip


class Widths(NamedTuple):
    """How many columns of each kind there are, and what the names of all alarms need."""

    floats: int
    smalls: int
    wides: int
    columns: int
    booleans: int
    codes: int
    shorts: int
    ints: int
    alarms: int
    alarm_text: int


class Forms(NamedTuple):
    """Memory for what Arrow wants in another form than the kernel."""

    bits: Bytes  # [column, byte] validity
    booleans: Bytes  # [of these, byte]
    codes: NDArray[np.int8]  # [of these, row]
    shorts: NDArray[np.int16]  # [of these, row]
    ints: NDArray[np.int32]  # [of these, row]
    power: NDArray[np.float32]  # [row]
    stamps: Bytes  # 20 a row
    stamp_offsets: NDArray[np.int32]  # [row + 1]
    cell_bits: Bytes
    probe_bits: Bytes
    fuel_bits: Bytes
    error_text: Bytes
    error_ends: NDArray[np.int32]  # [code + 1]
    alarm_offsets: NDArray[np.int32]  # [row + 1]
    alarm_text: Bytes
    alarm_ends: NDArray[np.int32]  # [name + 1]


def _stride(rows: int) -> int:
    """Row capacity of a column: a multiple of 64, and an odd one, so that the columns of one row
    do not fall into one set of the cache."""
    return ((rows + 63) // 64 | 1) * 64


stride_of = inline(_stride)
"""The same, compiled."""


def starts_of(rows: int, elements: list[int], widths: Widths) -> list[int]:
    """Where each part starts, in bytes, and last the size of all.

    `elements`: those of cells, probes, fuel-cell probes and fault codes, at most.
    """
    stride = _stride(rows)
    line = stride // 8
    cells, probes, fuel, errors = elements
    sizes = (
        4 * stride * widths.floats, 2 * stride * widths.smalls, 8 * stride * widths.wides,
        16 * stride, 8 * stride, 8 * stride, stride, stride, stride, stride, 4 * stride + 4,
        17 * stride, 4 * cells + 256, 4 * probes + 256, 4 * fuel + 256, 16 * (stride + 64),
        4 * stride, line * widths.columns, line * widths.booleans, stride * widths.codes,
        2 * stride * widths.shorts, 4 * stride * widths.ints, 4 * stride, 4 * stride + 4,
        20 * stride, cells // 8 + 8, probes // 8 + 8, fuel // 8 + 8, 4 * errors, 4 * errors + 4,
        8 * errors, 4 * stride + 4, 4 * widths.alarms * rows + 4, widths.alarm_text * rows,
    )  # fmt: skip
    return [0, *accumulate((size + 63) & ~63 for size in sizes)]


@inline
def slots_in(
    memory: Bytes, at: NDArray[np.int64], rows: int, stride: int, widths: Widths, live: Bytes
) -> Slots:
    """The scalar columns."""
    n = stride
    return Slots(
        memory[at[FLOATS] : at[FLOATS] + 4 * n * widths.floats]
        .view(np.float32)
        .reshape((widths.floats, n)),
        memory[at[SMALLS] : at[SMALLS] + 2 * n * widths.smalls]
        .view(np.int16)
        .reshape((widths.smalls, n)),
        memory[at[WIDES] : at[WIDES] + 8 * n * widths.wides]
        .view(np.int64)
        .reshape((widths.wides, n)),
        memory[at[PLACES] : at[PLACES] + 16 * n].view(np.float64).reshape((2, n)),
        live,
        rows,
    )


@inline
def lists_in(
    memory: Bytes, at: NDArray[np.int64], stride: int, gaps: NDArray[np.int64],
    packs: NDArray[np.int64],
) -> Lists:  # fmt: skip
    """The list columns."""
    return Lists(
        memory[at[CELLS] : at[CELLS + 1]].view(np.float32),
        memory[at[PROBES] : at[PROBES + 1]].view(np.float32),
        memory[at[FUEL] : at[FUEL + 1]].view(np.float32),
        memory[at[ERRORS] : at[ERRORS + 1]].view(np.uint32),
        memory[at[LIST_OFFSETS] : at[LIST_OFFSETS] + 16 * (stride + 64)]
        .view(np.int32)
        .reshape((4, stride + 64)),
        memory[at[PRESENT] : at[PRESENT] + 4 * stride].reshape((4, stride)),
        gaps,
        packs,
    )


@inline
def rows_in(
    memory: Bytes, at: NDArray[np.int64], row_frame: NDArray[np.int32], shape: NDArray[np.int8]
) -> Rows:
    """What every row has."""
    return Rows(
        memory[at[TIMES] : at[TIMES + 1]].view(np.int64),
        memory[at[DIGESTS] : at[DIGESTS + 1]].view(np.int64),
        memory[at[SOURCES] : at[SOURCES + 1]].view(np.int8),
        memory[at[PARTIAL] : at[PARTIAL + 1]],
        memory[at[OUTSIDE] : at[OUTSIDE + 1]],
        memory[at[PLACED] : at[PLACED + 1]],
        memory[at[VINS] : at[VINS + 1]],
        memory[at[VIN_OFFSETS] : at[VIN_OFFSETS + 1]].view(np.int32),
        row_frame,
        shape,
    )


@inline
def forms_in(memory: Bytes, at: NDArray[np.int64], stride: int, widths: Widths) -> Forms:
    """What Arrow wants in another form."""
    n, line = stride, stride // 8
    return Forms(
        memory[at[BITS] : at[BITS] + line * widths.columns].reshape((widths.columns, line)),
        memory[at[BOOLEANS] : at[BOOLEANS] + line * widths.booleans].reshape(
            (widths.booleans, line)
        ),
        memory[at[CODES] : at[CODES] + n * widths.codes].view(np.int8).reshape((widths.codes, n)),
        memory[at[SHORTS] : at[SHORTS] + 2 * n * widths.shorts]
        .view(np.int16)
        .reshape((widths.shorts, n)),
        memory[at[INTS] : at[INTS] + 4 * n * widths.ints].view(np.int32).reshape((widths.ints, n)),
        memory[at[POWER] : at[POWER + 1]].view(np.float32),
        memory[at[STAMPS] : at[STAMPS + 1]],
        memory[at[STAMP_OFFSETS] : at[STAMP_OFFSETS + 1]].view(np.int32),
        memory[at[CELL_BITS] : at[CELL_BITS + 1]],
        memory[at[PROBE_BITS] : at[PROBE_BITS + 1]],
        memory[at[FUEL_BITS] : at[FUEL_BITS + 1]],
        memory[at[ERROR_TEXT] : at[ERROR_TEXT + 1]],
        memory[at[ERROR_ENDS] : at[ERROR_ENDS + 1]].view(np.int32),
        memory[at[ALARM_OFFSETS] : at[ALARM_OFFSETS + 1]].view(np.int32),
        memory[at[ALARM_TEXT] : at[ALARM_TEXT + 1]],
        memory[at[ALARM_ENDS] : at[ALARM_ENDS + 1]].view(np.int32),
    )
