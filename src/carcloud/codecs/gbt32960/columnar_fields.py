"""The second compiled pass: fields of frames of known shape, one field of many frames at a time.

The rows are taken in windows that fit into the cache; in a window, the frames of one shape are
read together, and the digests of four frames are computed side by side.
"""

# Integers are numpy's here, which the compiler takes for plain ones and the type checker does not.
# mypy: disable-error-code="arg-type, assignment, return-value, unreachable"

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carcloud.codecs.gbt32960 import columnar_kernel as kernel
from carcloud.codecs.gbt32960 import columnar_shapes as shaping
from carcloud.codecs.gbt32960.columnar_kernel import (
    ABSENT_SMALL,
    Plan,
    Rows,
    Slots,
    fill_float,
    fill_small,
    fill_wide,
    mix,
    open_places,
    outside,
    seed,
)
from carcloud.codecs.gbt32960.columnar_shapes import Shapes
from carcloud.codecs.kernel_words import Bytes, inline, jit, load16, load32, load64

WINDOW = 128  # rows
_MONTH_STARTS = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_EPOCH_2000 = 10957  # days from 1970-01-01 to 2000-01-01


class Window(NamedTuple):
    """Frames of one shape in the window at work."""

    begin: NDArray[np.int64]  # [WINDOW] start of the frame
    row: NDArray[np.int64]  # [WINDOW]
    raw: NDArray[np.int64]  # [3, WINDOW] codes on the wire
    good: Bytes  # [3, WINDOW] 1 = a value
    outside: Bytes  # [WINDOW]


def new_window() -> Window:
    """Room for one window."""
    return Window(
        begin=np.empty(WINDOW, np.int64),
        row=np.empty(WINDOW, np.int64),
        raw=np.empty((3, WINDOW), np.int64),
        good=np.empty((3, WINDOW), np.uint8),
        outside=np.empty(WINDOW, np.uint8),
    )


@inline
def _time(data: Bytes, at: int) -> int:
    """Six checked bytes of Beijing time as us since 1970, UTC."""
    year, month = np.int64(data[at]), np.int64(data[at + 1])
    days = _EPOCH_2000 + year * 365 + (year + 3) // 4 + _MONTH_STARTS[month - 1]
    if month > 2 and year % 4 == 0:
        days += 1
    days += np.int64(data[at + 2]) - 1
    seconds = (days * 24 + np.int64(data[at + 3]) - 8) * 3600
    return (seconds + np.int64(data[at + 4]) * 60 + np.int64(data[at + 5])) * 1_000_000


@inline
def _open(data: Bytes, start: int, row: int, shapes: Shapes, rows: Rows) -> None:
    """Write what the header says of a row."""
    shape = rows.shape[row]
    rows.placed[row] = rows.partial[row] = 0
    rows.outside[row] = shapes.heads[shape, kernel.STATIC_OUTSIDE] if shape >= 0 else 0
    rows.source[row] = 2 * (np.int64(data[start]) - 0x23) + np.int64(data[start + 2]) - 2
    rows.time[row] = _time(data, start + 24)
    size, to = 17, np.int64(rows.vin_offsets[row])
    while size > 0 and data[start + 3 + size] == 0:
        size -= 1
    for k in range(size):
        rows.vins[to + k] = data[start + 4 + k]
    rows.vin_offsets[row + 1] = to + size


@jit
def _read(data: Bytes, n: int, at: int, row: int, plan: Plan, window: Window, part: int) -> None:
    """One field of n frames: its codes, and which of them are values."""
    raw, good, begin = window.raw[part], window.good[part], window.begin
    width = plan.rows[row, kernel.WIDTH]
    low, high = plan.rows[row, kernel.LOW], plan.rows[row, kernel.HIGH]
    sentinel = plan.rows[row, kernel.SENTINEL]
    if width == 1:
        for i in range(n):
            raw[i] = np.int64(data[begin[i] + at])
    elif width == 2:
        for i in range(n):
            raw[i] = np.int64(load16(data, begin[i] + at))
    else:
        for i in range(n):
            raw[i] = np.int64(load32(data, begin[i] + at))
    for i in range(n):
        inside = np.uint8(raw[i] >= low) & np.uint8(raw[i] <= high)
        plain = np.uint8(raw[i] < sentinel)
        good[i] = inside & plain
        window.outside[i] |= plain & (inside ^ np.uint8(1))


@jit
def _store(n: int, target: int, plan: Plan, slots: Slots, window: Window) -> None:
    """Put the values among the codes into a column; the others leave it as it is."""
    store, slot = plan.targets[target, kernel.STORE], plan.targets[target, kernel.SLOT]
    raw, good, row = window.raw[0], window.good[0], window.row
    if store == kernel.FLOAT:
        fill_float(slots, slot)
        floats, bias, scale = (
            slots.floats[slot],
            plan.targets[target, kernel.BIAS],
            plan.scale[target],
        )
        for i in range(n):
            value = np.float32((raw[i] + bias) * scale + 0.0)  # no negative zero
            floats[row[i]] = value if good[i] else floats[row[i]]
    elif store == kernel.CODED:
        fill_small(slots, slot)
        smalls, codes = slots.smalls[slot], plan.codes[plan.targets[target, kernel.CODES]]
        for i in range(n):
            code = codes[raw[i] & 0xFF]
            smalls[row[i]] = code if good[i] and code != ABSENT_SMALL else smalls[row[i]]
    elif store == kernel.SMALL:
        fill_small(slots, slot)
        smalls = slots.smalls[slot]
        for i in range(n):
            smalls[row[i]] = np.int16(raw[i]) if good[i] else smalls[row[i]]
    else:
        fill_wide(slots, slot)
        wides, factor = slots.wides[slot], np.int64(plan.scale[target])
        for i in range(n):
            wides[row[i]] = raw[i] * factor if good[i] else wides[row[i]]


@jit
def _positions(n: int, slots: Slots, rows: Rows, window: Window) -> None:
    """Degrees with the sign of the status bits, where there is a fix (tables 15, 22)."""
    open_places(slots)
    status, longitude, latitude = window.raw[0], window.raw[1], window.raw[2]
    for i in range(n):
        if status[i] & 1 or not (window.good[1, i] and window.good[2, i]):
            continue
        row = window.row[i]
        east, north = longitude[i] / 1e6, latitude[i] / 1e6
        slots.places[0, row] = (-east if status[i] & 4 else east) + 0.0
        slots.places[1, row] = (-north if status[i] & 2 else north) + 0.0
        rows.placed[row] = 1


@inline
def _digest(data: Bytes, at: int, length: int) -> int:
    """64-bit content hash of bytes; the last word is padded with zeros."""
    state = seed(length)
    for k in range(length >> 3):
        state = mix(state, load64(data, at + (k << 3)))
    return _last(data, at, length, state)


@inline
def _last(data: Bytes, at: int, length: int, state: int) -> int:
    rest = length & 7
    if rest:  # the six bytes of the time and the header stand before: reading back is safe
        word = load64(data, at + length - 8) >> np.uint64(64 - 8 * rest)
        state = mix(state, word)
    return np.int64(state)


@jit
def _digests(data: Bytes, n: int, length: int, rows: Rows, window: Window) -> None:
    """Digests of the data units of n frames; four chains of multiplications at a time."""
    begin, row = window.begin, window.row
    for i in range(0, n - 3, 4):
        a, b, c, d = begin[i] + 24, begin[i + 1] + 24, begin[i + 2] + 24, begin[i + 3] + 24
        one = two = three = four = seed(length)
        for k in range(0, length - 7, 8):
            one, two = mix(one, load64(data, a + k)), mix(two, load64(data, b + k))
            three, four = mix(three, load64(data, c + k)), mix(four, load64(data, d + k))
        rows.digest[row[i]] = _last(data, a, length, one)
        rows.digest[row[i + 1]] = _last(data, b, length, two)
        rows.digest[row[i + 2]] = _last(data, c, length, three)
        rows.digest[row[i + 3]] = _last(data, d, length, four)
    for i in range(n & ~3, n):
        rows.digest[row[i]] = _digest(data, begin[i] + 24, length)


@jit
def _steps(
    data: Bytes, n: int, shape: int, plan: Plan, shapes: Shapes, slots: Slots, rows: Rows,
    window: Window,
) -> None:  # fmt: skip
    """Every step of a shape for its n frames in the window."""
    head = shapes.heads[shape]
    for i in range(n):
        window.outside[i] = 0
    for number in range(head[kernel.STEPS]):
        step = shapes.steps[shape, number]
        kind, at, row = step[0], step[1], step[2]
        if kind == shaping.CHECK:
            for i in range(n):
                window.outside[i] |= np.uint8(
                    outside(
                        data, window.begin[i] + at, step[3], plan.rows[row, kernel.WIDTH],
                        plan.rows[row, kernel.LOW], plan.rows[row, kernel.HIGH],
                    )
                )  # fmt: skip
            continue
        _read(data, n, at, row, plan, window, 0)
        if kind == shaping.POSITION:
            _read(data, n, step[3], step[4], plan, window, 1)
            _read(data, n, step[5], step[6], plan, window, 2)
            _positions(n, slots, rows, window)
            continue
        for target in range(plan.rows[row, kernel.FIRST], plan.rows[row, kernel.LAST]):
            _store(n, target, plan, slots, window)
    for i in range(n):
        rows.outside[window.row[i]] |= window.outside[i]


@jit
def fill_fields(
    data: Bytes, bounds: NDArray[np.int32], count: int, plan: Plan, shapes: Shapes, slots: Slots,
    rows: Rows, window: Window,
) -> None:  # fmt: skip
    """Fill what the header says, and for rows that have a shape, scalar columns and digest."""
    rows.vin_offsets[0] = 0
    for first in range(0, count, WINDOW):
        last = min(first + WINDOW, count)
        for row in range(first, last):
            _open(data, np.int64(bounds[rows.row_frame[row]]), row, shapes, rows)
        for shape in range(shapes.count[0]):
            n = 0
            for row in range(first, last):
                window.begin[n] = bounds[rows.row_frame[row]]
                window.row[n] = row
                n += rows.shape[row] == shape
            if n > 0:
                length = shapes.heads[shape, kernel.STOP] - 24
                _digests(data, n, length, rows, window)
                _steps(data, n, shape, plan, shapes, slots, rows, window)
