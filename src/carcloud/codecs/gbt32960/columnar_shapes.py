"""The first compiled pass over a block: header, BCC, and which frames are laid out alike.

A shape is the layout of a report: which body stands where, with how many records and elements.
Every vehicle sends few shapes, most send one; so a shape is learned once in a block, from its
first frame, as a list of fields at fixed places and of the bytes that must be equal. A frame
with those bytes has that shape, and `columnar_fields` reads its fields without walking it. What
is rare or damaged has no shape and is walked by `columnar_kernel`.
"""

# Integers are numpy's here, which the compiler takes for plain ones and the type checker does not.
# mypy: disable-error-code="arg-type, assignment, return-value, unreachable, var-annotated"
# mypy: disable-error-code="no-any-return"
# Compiled code gets its arrays by position; a check is one `return` per clause.
# ruff: noqa: PLR0911

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carcloud.codecs.gbt32960 import columnar_kernel as kernel
from carcloud.codecs.gbt32960.columnar_kernel import (
    EDITION,
    ERRORS_AT,
    ERRORS_COUNT,
    FUEL_AT,
    FUEL_COUNT,
    HAS_ERRORS,
    HAS_FUEL,
    HEAD,
    PARTS,
    SIZE,
    STATIC_OUTSIDE,
    STEPS,
    STOP,
    WORDS,
    Plan,
    Registers,
)
from carcloud.codecs.kernel_words import Bytes, inline, jit, load64, u16, u32

# Faults of a frame, in the order in which they are looked for
OK, NO_START, BAD_LENGTH, BAD_ID, BAD_BCC, NOT_A_REPORT, RESERVED_CIPHER, ENCRYPTED = range(8)
NO_TIME, BAD_TIME = 8, 9

# What is done for each frame of a shape
FIELD, CHECK, POSITION = range(3)
MAX_SHAPES = 32
_MAX_WORDS = 64
_MAX_STEPS = 192
MAX_PARTS = 16  # packs, or parts of packs, of a shape
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Shapes(NamedTuple):
    """The shapes of a block; places are in bytes from the start of the frame."""

    count: NDArray[np.int64]  # [1]
    heads: NDArray[
        np.int64
    ]  # [shape, SIZE..FUEL_AT of columnar_kernel]; STOP is where the digest ends
    places: NDArray[np.int64]  # [shape, word] where eight bytes are compared
    masks: NDArray[np.uint64]  # [shape, word] which bits of them
    values: NDArray[np.uint64]  # [shape, word] what they must be
    steps: NDArray[np.int64]  # [shape, step, 7]: kind, then place, row of the plan, of each field
    packs: NDArray[np.int64]  # [shape, CELLS or PROBES, part, 5]: as Lists.packs


class Scan(NamedTuple):
    """What the first pass finds."""

    fault: Bytes  # [frame] OK and the numbers behind it
    fault_offset: NDArray[np.int32]  # [frame]
    row_frame: NDArray[np.int32]  # [row]
    shape: NDArray[np.int8]  # [row] number of the shape, -1 = none
    elements: NDArray[np.int64]  # [list] at most, all rows together


def new_shapes() -> Shapes:
    """Room for the shapes of one block."""
    return Shapes(
        count=np.zeros(1, np.int64),
        heads=np.empty((MAX_SHAPES, HEAD), np.int64),
        places=np.empty((MAX_SHAPES, _MAX_WORDS), np.int64),
        masks=np.empty((MAX_SHAPES, _MAX_WORDS), np.uint64),
        values=np.empty((MAX_SHAPES, _MAX_WORDS), np.uint64),
        steps=np.empty((MAX_SHAPES, _MAX_STEPS, 7), np.int64),
        packs=np.empty((MAX_SHAPES, 2, MAX_PARTS, 5), np.int64),
    )


@inline
def _xor(data: Bytes, begin: int, end: int) -> int:
    """XOR of data[begin:end]."""
    total = np.uint64(0)
    words = (end - begin) >> 3
    for k in range(words):
        total ^= load64(data, begin + (k << 3))
    total ^= total >> np.uint64(32)
    total ^= total >> np.uint64(16)
    total ^= total >> np.uint64(8)
    rest = np.uint8(total & np.uint64(0xFF))
    for at in range(begin + (words << 3), end):
        rest ^= data[at]
    return np.int64(rest)


@inline
def _is_id(data: Bytes, start: int) -> bool:
    """Whether the 17 bytes of the unique id are printable ASCII or zero."""
    bad = np.uint8(0)
    for at in range(start + 4, start + 21):
        byte = data[at]
        bad |= np.uint8(byte > np.uint8(0x7E)) | np.uint8(
            np.uint8(byte - np.uint8(1)) < np.uint8(0x1F)
        )
    return bool(bad == 0)


@inline
def _check(data: Bytes, start: int, end: int) -> tuple[int, int]:
    """Fault of the header or the BCC and its byte offset (§6.2 table 2)."""
    size = end - start
    if size < 2 or data[start] != data[start + 1] or data[start] not in (0x23, 0x24):
        return NO_START, 0
    if size < 25:
        return BAD_LENGTH, size
    if size != 25 + u16(data, start + 22) or size > 65556:
        return BAD_LENGTH, 22
    if not _is_id(data, start):
        return BAD_ID, 4
    if _xor(data, start + 2, end - 1) != data[end - 1]:
        return BAD_BCC, size - 1
    if data[start + 2] not in (2, 3):
        return NOT_A_REPORT, 2
    if data[start + 3] != 0xFE:
        return NOT_A_REPORT, 3
    if data[start + 21] != 1:
        return (ENCRYPTED if 2 <= data[start + 21] <= 5 else RESERVED_CIPHER), 21
    return _check_time(data, start)


@inline
def _check_time(data: Bytes, start: int) -> tuple[int, int]:
    """§6.4: plain binary Beijing time; the data unit must hold it."""
    if u16(data, start + 22) < 6:
        return NO_TIME, 24
    year, month, day = data[start + 24], data[start + 25], data[start + 26]
    if year > 99:
        return BAD_TIME, 24
    if month < 1 or month > 12:
        return BAD_TIME, 25
    leap_day = 1 if month == 2 and year % 4 == 0 else 0
    if day < 1 or day > _MONTH_DAYS[month - 1] + leap_day:
        return BAD_TIME, 26
    if data[start + 27] > 23:
        return BAD_TIME, 27
    if data[start + 28] > 59:
        return BAD_TIME, 28
    if data[start + 29] > 59:
        return BAD_TIME, 29
    return OK, 0


@jit
def _fix(start: int, size: int, shapes: Shapes, n: int, at: int, width: int) -> bool:
    """Make bytes part of the shape; false when there is no more room for words."""
    words, mask = shapes.heads[n, WORDS], (np.uint64(1) << np.uint64(8 * width)) - np.uint64(1)
    at -= start
    if words > 0:
        shift = at - shapes.places[n, words - 1]
        if 0 <= shift <= 8 - width:
            shapes.masks[n, words - 1] |= mask << np.uint64(8 * shift)
            return True
    if words == _MAX_WORDS:
        return False
    place = min(at, size - 8)
    shapes.places[n, words] = place
    shapes.masks[n, words] = mask << np.uint64(8 * (at - place))
    shapes.heads[n, WORDS] = words + 1
    return True


@inline
def _step(shapes: Shapes, n: int, kind: int, at: int, row: int) -> int:
    """Add a step; return its number, -1 when there is no more room."""
    step = shapes.heads[n, STEPS]
    if step == _MAX_STEPS:
        return -1
    shapes.steps[n, step, 0] = kind
    shapes.steps[n, step, 1], shapes.steps[n, step, 2] = at, row
    shapes.heads[n, STEPS] = step + 1
    return step


@jit
def _learn_fields(
    data: Bytes, start: int, at: int, end: int, group: int, plan: Plan, shapes: Shapes, n: int,
    regs: Registers,
) -> int:  # fmt: skip
    """Add the rows of a field table; return where they end, -1 when they cannot be learned."""
    first, size = plan.groups[group, kernel.ROWS], shapes.heads[n, SIZE]
    for k in range(first, plan.groups[group, kernel.ROWS_END]):
        width, place = plan.rows[k, kernel.WIDTH], k - first
        regs.at[place] = at
        if plan.rows[k, kernel.KIND] != kernel.NUMBER:
            source = plan.rows[k, kernel.COUNT]
            count = regs.raw[source]
            counted = plan.rows[first + source, kernel.WIDTH]
            if at + count * width > end or not _fix(
                start, size, shapes, n, regs.at[source], counted
            ):
                return -1
            if plan.rows[k, kernel.KIND] == kernel.CHECKED_LIST and count > 0:
                step = _step(shapes, n, CHECK, at - start, k)
                if step < 0:
                    return -1
                shapes.steps[n, step, 3] = count
            at += count * width
            continue
        if at + width > end or _step(shapes, n, FIELD, at - start, k) < 0:
            return -1
        raw = np.int64(data[at]) if width == 1 else u16(data, at) if width == 2 else u32(data, at)
        at += width
        sentinel = raw >= plan.rows[k, kernel.SENTINEL]
        inside = plan.rows[k, kernel.LOW] <= raw <= plan.rows[k, kernel.HIGH]
        regs.raw[place] = 0 if sentinel else raw
        regs.good[place] = 0 if sentinel else 2 if inside else 1
    return at


@jit
def _learn_pack(
    data: Bytes, start: int, kind: int, shapes: Shapes, n: int, regs: Registers
) -> bool:
    """Keep a pack, or a part of one, that follows the one before; false for any other."""
    head, size = shapes.heads[n], shapes.heads[n, SIZE]
    edition, slot = head[EDITION], PARTS + kind
    first, total, length, where = 1, 3, 3, 4  # registers in S25 table 12
    fixed = _fix(start, size, shapes, n, regs.at[0], 1)
    if kind == kernel.PROBES:
        total, length, where = 1, 1, 2
    elif edition == 0:
        first, length, where = regs.raw[4], 5, 6
        fixed &= _fix(start, size, shapes, n, regs.at[3], 2)
        fixed &= _fix(start, size, shapes, n, regs.at[4], 2)
    part = head[slot]
    key = np.int64(data[regs.at[0]]) << 16 | first
    if not (fixed and regs.good[total] and regs.good[length]) or first == 0 or part == MAX_PARTS:
        return False
    if part > 0 and shapes.packs[n, kind, part - 1, 0] >= key:
        return False
    pack = shapes.packs[n, kind, part]
    pack[0], pack[1], pack[2] = key, first, regs.raw[length]
    pack[3], pack[4] = regs.at[where] - start, regs.raw[total]
    head[slot] = part + 1
    return True


@jit
def _learn_hook(
    start: int, hook: int, begun: int, shapes: Shapes, n: int, regs: Registers
) -> bool:  # fmt: skip
    """Keep what is special in a body whose steps start at `begun`."""
    head, steps = shapes.heads[n], shapes.steps[n]
    if hook == kernel.ALARM and regs.good[2]:
        head[HAS_ERRORS], head[ERRORS_COUNT], head[ERRORS_AT] = 1, regs.raw[2], regs.at[3] - start
    elif hook == kernel.FUEL_CELL and regs.good[3]:
        head[HAS_FUEL], head[FUEL_COUNT], head[FUEL_AT] = 1, regs.raw[3], regs.at[4] - start
    elif hook == kernel.POSITION:
        step = _step(shapes, n, POSITION, steps[begun, 1], steps[begun, 2])
        if step < 0:
            return False
        longitude = begun + 1 + head[EDITION]
        for k in range(2):
            steps[step, 3 + 2 * k] = steps[longitude + k, 1]
            steps[step, 4 + 2 * k] = steps[longitude + k, 2]
    return True


@jit
def _learn_body(
    data: Bytes, start: int, at: int, end: int, group: int, plan: Plan, shapes: Shapes, n: int,
    regs: Registers,
) -> int:  # fmt: skip
    """Add the body of a field table; return where it ends, -1 when it cannot be learned."""
    size, begun = shapes.heads[n, SIZE], shapes.heads[n, STEPS]
    at = _learn_fields(data, start, at, end, group, plan, shapes, n, regs)
    hook, records = plan.groups[group, kernel.HOOK], plan.groups[group, kernel.RECORDS]
    if at < 0 or not _learn_hook(start, hook, begun, shapes, n, regs):
        return -1
    if records < 0:
        return at
    place = plan.groups[group, kernel.RECORD_COUNT]
    counted = plan.rows[plan.groups[group, kernel.ROWS] + place, kernel.WIDTH]
    if not _fix(start, size, shapes, n, regs.at[place], counted):
        return -1
    hook = plan.groups[records, kernel.HOOK]
    for _ in range(regs.raw[place]):
        chosen = records
        if hook == kernel.MOTOR:
            if at >= end or not _fix(start, size, shapes, n, at, 1):
                return -1
            chosen += np.int64(data[at]) if 1 <= data[at] <= 4 else 0
        at = _learn_fields(data, start, at, end, chosen, plan, shapes, n, regs)
        if at < 0:
            return -1
        if hook in (kernel.CELL_PACK, kernel.PROBE_PACK):
            kind = kernel.CELLS if hook == kernel.CELL_PACK else kernel.PROBES
            if not _learn_pack(data, start, kind, shapes, n, regs):
                return -1
    return at


@jit
def _is_fixed(shapes: Shapes, n: int, at: int, width: int) -> bool:
    """Whether all bytes of a field belong to the shape."""
    for k in range(shapes.heads[n, WORDS]):
        shift = at - shapes.places[n, k]
        if 0 <= shift <= 8 - width:
            mask = (np.uint64(1) << np.uint64(8 * width)) - np.uint64(1)
            if (shapes.masks[n, k] >> np.uint64(8 * shift)) & mask == mask:
                return True
    return False


@jit
def _settle(data: Bytes, start: int, plan: Plan, shapes: Shapes, n: int) -> None:
    """Note the bytes to compare, and drop the steps whose outcome follows from them."""
    head, steps, kept = shapes.heads[n], shapes.steps[n], 0
    for k in range(head[WORDS]):
        shapes.values[n, k] = load64(data, start + shapes.places[n, k]) & shapes.masks[n, k]
    for step in range(head[STEPS]):
        at, k = steps[step, 1], steps[step, 2]
        width, low, high = (
            plan.rows[k, kernel.WIDTH], plan.rows[k, kernel.LOW], plan.rows[k, kernel.HIGH],
        )  # fmt: skip
        if steps[step, 0] == FIELD and plan.rows[k, kernel.FIRST] == plan.rows[k, kernel.LAST]:
            if low == 0 and high >= 1 << 8 * width:
                continue
            if _is_fixed(shapes, n, at, width):
                here = start + at
                raw = (
                    np.int64(data[here]) if width == 1
                    else u16(data, here) if width == 2 else u32(data, here)
                )  # fmt: skip
                if raw < plan.rows[k, kernel.SENTINEL] and (raw < low or raw > high):
                    head[STATIC_OUTSIDE] = 1
                continue
        for column in range(7):
            steps[kept, column] = steps[step, column]
        kept += 1
    head[STEPS] = kept


@jit
def _learn(data: Bytes, start: int, end: int, plan: Plan, shapes: Shapes, regs: Registers) -> int:
    """Learn the shape of a frame; -1 when it has none, or too many are known already."""
    n, last = shapes.count[0], end - 1
    if n == MAX_SHAPES:
        return -1
    head = shapes.heads[n]
    for k in range(HEAD):
        head[k] = 0
    edition = np.int64(data[start]) - 0x23
    head[SIZE], head[EDITION], head[STOP] = end - start, edition, last - start
    at = start + 30
    while at < last:
        group = plan.bodies[edition, data[at]]
        if group < 0 or not _fix(start, head[SIZE], shapes, n, at, 1):
            return -1
        signature = plan.groups[group, kernel.HOOK] == kernel.SIGNATURE
        if signature:
            head[STOP] = at - start
        at = _learn_body(data, start, at + 1, last, group, plan, shapes, n, regs)
        if at < 0 or (signature and at != last):
            return -1
    _settle(data, start, plan, shapes, n)
    shapes.count[0] = n + 1
    return n


@inline
def _has_shape(data: Bytes, start: int, shapes: Shapes, n: int) -> bool:
    differ = np.uint64(0)
    for k in range(shapes.heads[n, WORDS]):
        word = load64(data, start + shapes.places[n, k])
        differ |= (word & shapes.masks[n, k]) ^ shapes.values[n, k]
    return bool(differ == 0)


@inline
def _find(data: Bytes, start: int, end: int, shapes: Shapes) -> int:
    """The shape of a frame, or -1."""
    size, edition = end - start, np.int64(data[start]) - 0x23
    for n in range(shapes.count[0]):
        head = shapes.heads[n]
        if head[SIZE] == size and head[EDITION] == edition and _has_shape(data, start, shapes, n):
            return n
    return -1


@inline
def _count(size: int, shape: int, shapes: Shapes, totals: NDArray[np.int64]) -> None:
    """Add up how many list elements a frame has, at most."""
    if shape < 0:
        totals[kernel.CELLS] += size >> 1
        totals[kernel.PROBES] += size
        totals[kernel.FUEL] += size
        totals[kernel.ERRORS] += size >> 2
        return
    head = shapes.heads[shape]
    for kind in range(2):
        for k in range(head[PARTS + kind]):
            totals[kind] += shapes.packs[shape, kind, k, 2]
    totals[kernel.FUEL] += head[FUEL_COUNT]
    totals[kernel.ERRORS] += head[ERRORS_COUNT]


@jit
def scan_frames(
    data: Bytes, bounds: NDArray[np.int32], plan: Plan, shapes: Shapes, regs: Registers, scan: Scan
) -> int:
    """Check every frame and find the shape of each report; return the number of reports.

    `bounds` are the n + 1 offsets of the frames in `data`.
    """
    row = misses = 0
    shapes.count[0] = 0
    scan.elements[:] = 0
    for frame in range(bounds.size - 1):
        start, end = np.int64(bounds[frame]), np.int64(bounds[frame + 1])
        fault, where = _check(data, start, end)
        scan.fault[frame], scan.fault_offset[frame] = fault, where
        if fault != OK:
            continue
        shape = _find(data, start, end, shapes)
        if shape < 0 and misses < 2 * MAX_SHAPES:  # a block of oddities is not learned from
            shape = _learn(data, start, end, plan, shapes, regs)
            misses += 1
        _count(end - start, shape, shapes, scan.elements)
        scan.shape[row], scan.row_frame[row] = shape, frame
        row += 1
    return row
