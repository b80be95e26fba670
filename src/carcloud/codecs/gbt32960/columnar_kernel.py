"""The compiled walk over single report frames (GB/T 32960.3 §7.2 of both editions).

It reads all of a report whose shape is not known, and the lists of every report. No Python
objects; every length is checked before a byte behind it is read.
"""

# Integers are numpy's here, which the compiler takes for plain ones and the type checker does not.
# mypy: disable-error-code="arg-type, assignment, return-value, unreachable, var-annotated"
# mypy: disable-error-code="no-any-return"
# Compiled code gets its arrays by position.
# ruff: noqa: PLR0912

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carcloud.codecs.kernel_words import Bytes, inline, jit, load16, load64, u16, u32

# Columns of Plan.rows: one row of a field table
KIND, WIDTH, LOW, HIGH, SENTINEL, COUNT, FIRST, LAST = range(8)
NUMBER, LIST, CHECKED_LIST = range(3)
# Columns of Plan.targets
STORE, SLOT, BIAS, CODES = range(4)
FLOAT, SMALL, WIDE, CODED = range(4)  # where a value is stored; CODED is SMALL by way of a table
# Columns of Plan.groups: one field table (or one instance of it)
ROWS, ROWS_END, HOOK, RECORDS, RECORD_COUNT = range(5)
NO_HOOK, POSITION, ALARM, CELL_PACK, PROBE_PACK, FUEL_CELL, MOTOR, SIGNATURE = range(8)

# State of the row in work
OUTSIDE, PARTIAL, PLACED, CELL_PACKS, CELL_GAPS, PROBE_PACKS, PROBE_GAPS, MARK = range(8)

# Lists
CELLS, PROBES, FUEL, ERRORS = range(4)

# Columns of columnar_shapes.Shapes.heads; STOP is where the digest ends, PARTS are two columns
SIZE, EDITION, STOP, STATIC_OUTSIDE, WORDS, STEPS, PARTS = range(7)
HAS_ERRORS, ERRORS_COUNT, ERRORS_AT, HAS_FUEL, FUEL_COUNT, FUEL_AT, HEAD = range(8, 15)

ABSENT_SMALL = np.int16(-32768)
ABSENT_WIDE = np.int64(-(2**63))
MAX_PACKS = 2048  # packs or parts of packs in one report that are put in order
MAX_ROWS = 32  # rows of one field table
_HASH_SEED = np.uint64(0x9E3779B97F4A7C15)
_HASH_STEP = np.uint64(0xFF51AFD7ED558CCD)

State = NDArray[np.int64]


class Plan(NamedTuple):
    """Field tables and targets as arrays; `columnar_layout` builds it."""

    rows: NDArray[np.int64]  # [row, KIND..LAST]
    targets: NDArray[np.int64]  # [target, STORE..CODES]
    scale: NDArray[np.float64]  # [target]
    codes: NDArray[np.int16]  # [table, raw]
    groups: NDArray[np.int64]  # [group, ROWS..RECORD_COUNT]
    bodies: NDArray[np.int64]  # [edition 0/1, type]: group, or -1
    slots: NDArray[np.int64]  # slots of computed columns: columnar_layout.COMPUTED_SLOTS


class Slots(NamedTuple):
    """Scalar columns, [slot, row]; a column is filled with 'absent' when first used."""

    floats: NDArray[np.float32]
    smalls: NDArray[np.int16]
    wides: NDArray[np.int64]
    places: NDArray[np.float64]  # longitude, latitude
    live: Bytes  # [3, slot]: FLOAT, SMALL, WIDE
    count: int  # rows to fill with 'absent'


class Lists(NamedTuple):
    """List columns: values one after the other, and where each row's part ends."""

    cells: NDArray[np.float32]
    probes: NDArray[np.float32]
    fuel: NDArray[np.float32]
    errors: NDArray[np.uint32]
    offsets: NDArray[np.int32]  # [list, row + 1]
    present: Bytes  # [list, row]
    gaps: NDArray[np.int64]  # [list]: null elements so far
    packs: NDArray[np.int64]  # [CELLS or PROBES, MAX_PACKS, 5]: key, first, count, at, total


class Registers(NamedTuple):
    """The rows of the field table in work."""

    raw: NDArray[np.int64]  # [MAX_ROWS] code on the wire, 0 for a sentinel
    good: NDArray[np.int64]  # [MAX_ROWS] 2 = a value, 1 = out of range, 0 = a sentinel
    at: NDArray[np.int64]  # [MAX_ROWS] where the row starts


class Rows(NamedTuple):
    """What every row has."""

    time: NDArray[np.int64]
    digest: NDArray[np.int64]
    source: NDArray[np.int8]
    partial: Bytes
    outside: Bytes
    placed: Bytes  # 1 = has a position
    vins: Bytes
    vin_offsets: NDArray[np.int32]
    row_frame: NDArray[np.int32]
    shape: NDArray[np.int8]  # number in columnar_shapes.Shapes, -1 = none


@inline
def seed(length: int) -> int:
    """State of the content hash before the first of `length` bytes."""
    return _HASH_SEED ^ np.uint64(length)


@inline
def mix(state: int, word: int) -> int:
    """State of the content hash after eight more bytes."""
    state = (state ^ word) * _HASH_STEP
    return state ^ (state >> np.uint64(32))


@jit
def _digest(data: Bytes, begin: int, end: int) -> int:
    """64-bit content hash of data[begin:end]; the last word is padded with zeros."""
    state = seed(end - begin)
    words = (end - begin) >> 3
    for k in range(words):
        state = mix(state, load64(data, begin + (k << 3)))
    rest = begin + (words << 3)
    if rest < end:
        word = np.uint64(0)
        for at in range(rest, end):
            word |= np.uint64(data[at]) << np.uint64((at - rest) << 3)
        state = mix(state, word)
    return np.int64(state)


@inline
def fill_float(slots: Slots, slot: int) -> None:
    """Fill a column with 'absent' when it is first used."""
    if slots.live[FLOAT, slot] == 0:
        slots.live[FLOAT, slot] = 1
        for k in range(slots.count):
            slots.floats[slot, k] = np.nan


@inline
def _put_float(slots: Slots, slot: int, row: int, value: float) -> None:
    fill_float(slots, slot)
    slots.floats[slot, row] = value


@inline
def fill_small(slots: Slots, slot: int) -> None:
    """Fill a column with 'absent' when it is first used."""
    if slots.live[SMALL, slot] == 0:
        slots.live[SMALL, slot] = 1
        for k in range(slots.count):
            slots.smalls[slot, k] = ABSENT_SMALL


@inline
def _put_small(slots: Slots, slot: int, row: int, value: int) -> None:
    fill_small(slots, slot)
    slots.smalls[slot, row] = value


@inline
def fill_wide(slots: Slots, slot: int) -> None:
    """Fill a column with 'absent' when it is first used."""
    if slots.live[WIDE, slot] == 0:
        slots.live[WIDE, slot] = 1
        for k in range(slots.count):
            slots.wides[slot, k] = ABSENT_WIDE


@inline
def _put_wide(slots: Slots, slot: int, row: int, value: int) -> None:
    fill_wide(slots, slot)
    slots.wides[slot, row] = value


@inline
def _store(plan: Plan, target: int, raw: int, slots: Slots, row: int) -> None:
    """Put a valid raw value into its column."""
    store, slot = plan.targets[target, STORE], plan.targets[target, SLOT]
    if store == FLOAT:
        scaled = (raw + plan.targets[target, BIAS]) * plan.scale[target]
        _put_float(slots, slot, row, scaled + 0.0)  # no negative zero
    elif store == CODED:
        code = plan.codes[plan.targets[target, CODES], raw]
        if code != ABSENT_SMALL:
            _put_small(slots, slot, row, code)
    elif store == SMALL:
        _put_small(slots, slot, row, raw)
    else:
        _put_wide(slots, slot, row, raw * np.int64(plan.scale[target]))


@jit
def outside(data: Bytes, at: int, count: int, width: int, low: int, high: int) -> int:
    """1 if an element of a list is neither a sentinel nor in its valid range."""
    sentinel = 0xFE if width == 1 else 0xFFFE
    for k in range(count):
        raw = np.int64(data[at + k]) if width == 1 else u16(data, at + 2 * k)
        if raw < sentinel and (raw < low or raw > high):
            return 1
    return 0


@jit
def _fields(
    data: Bytes, at: int, end: int, group: int, plan: Plan, slots: Slots, row: int, regs: Registers,
    state: State,
) -> int:  # fmt: skip
    """Read the rows of a field table; return where they end, -1 beyond the data unit."""
    first = plan.groups[group, ROWS]
    for k in range(first, plan.groups[group, ROWS_END]):
        width, place = plan.rows[k, WIDTH], k - first
        regs.at[place] = at
        if plan.rows[k, KIND] != NUMBER:
            count = regs.raw[plan.rows[k, COUNT]]
            if at + count * width > end:
                return -1
            if plan.rows[k, KIND] == CHECKED_LIST:
                state[OUTSIDE] |= outside(
                    data, at, count, width, plan.rows[k, LOW], plan.rows[k, HIGH]
                )
            at += count * width
            continue
        if at + width > end:
            return -1
        if width == 1:
            raw = np.int64(data[at])
        elif width == 2:
            raw = u16(data, at)
        else:
            raw = u32(data, at)
        at += width
        good = 2
        if raw >= plan.rows[k, SENTINEL]:
            raw = good = 0
        elif raw < plan.rows[k, LOW] or raw > plan.rows[k, HIGH]:
            good = state[OUTSIDE] = 1
        else:
            for target in range(plan.rows[k, FIRST], plan.rows[k, LAST]):
                _store(plan, target, raw, slots, row)
        regs.raw[place], regs.good[place] = raw, good
    return at


@inline
def open_places(slots: Slots) -> None:
    """Fill longitude and latitude with 'absent' when they are first used."""
    if slots.live[WIDE, -1] == 0:
        slots.live[WIDE, -1] = 1
        for k in range(slots.count):
            slots.places[0, k] = slots.places[1, k] = np.nan


@inline
def _position(slots: Slots, row: int, edition: int, regs: Registers, state: State) -> None:
    """Degrees with the sign of the status bits, where there is a fix (tables 15, 22)."""
    longitude, latitude = 1 + edition, 2 + edition
    if regs.raw[0] & 1 or regs.good[longitude] + regs.good[latitude] < 4:
        return
    open_places(slots)
    east, north = regs.raw[longitude] / 1e6, regs.raw[latitude] / 1e6
    slots.places[0, row] = (-east if regs.raw[0] & 4 else east) + 0.0
    slots.places[1, row] = (-north if regs.raw[0] & 2 else north) + 0.0
    state[PLACED] = 1


@jit
def _put_errors(data: Bytes, at: int, count: int, lists: Lists, row: int) -> None:
    start = lists.offsets[ERRORS, row]
    for k in range(count):
        lists.errors[start + k] = u32(data, at + 4 * k)
    lists.offsets[ERRORS, row + 1] = start + count
    lists.present[ERRORS, row] = 1


@jit
def _put_fuel(data: Bytes, at: int, count: int, lists: Lists, row: int) -> None:
    start = lists.offsets[FUEL, row]
    if _celsius(data, at, 240, lists.fuel[start : start + count])[0] > 240:
        lists.gaps[FUEL] = 1
    lists.offsets[FUEL, row + 1] = start + count
    lists.present[FUEL, row] = 1


@inline
def _note_faults(data: Bytes, lists: Lists, row: int, regs: Registers) -> None:
    """Battery fault codes of an alarm body; a later body of the report replaces them."""
    if not regs.good[2]:
        return
    _put_errors(data, regs.at[3], regs.raw[2], lists, row)


@inline
def _note_fuel(data: Bytes, lists: Lists, row: int, regs: Registers) -> None:
    """Probe temperatures of the 2016 fuel-cell body (S16 table 12)."""
    if not regs.good[3]:
        return
    _put_fuel(data, regs.at[4], regs.raw[3], lists, row)


@jit
def _note_pack(
    data: Bytes, lists: Lists, kind: int, edition: int, regs: Registers, state: State
) -> None:
    """Keep the packs in order of number and first cell; a repeated one replaces the earlier."""
    slot = CELL_PACKS if kind == CELLS else PROBE_PACKS
    first, total, length, where = 1, 3, 3, 4  # registers in S25 table 12
    if kind == PROBES:
        total, length, where = 1, 1, 2
    elif edition == 0:
        first, length, where = regs.raw[4], 5, 6
        total = 3
    n, packs = state[slot], lists.packs[kind]
    unknown = not (regs.good[total] and regs.good[length])
    width, most = (2, 60000) if kind == CELLS else (1, 250)
    if unknown or n == MAX_PACKS or first == 0:
        state[slot + 1] = 1
        state[OUTSIDE] |= outside(data, regs.at[where], regs.raw[length], width, 0, most)
        return
    key, place = np.int64(data[regs.at[0]]) << 16 | first, n
    while place > 0 and packs[place - 1, 0] > key:
        place -= 1
    if place > 0 and packs[place - 1, 0] == key:
        place -= 1
        state[OUTSIDE] |= outside(data, packs[place, 3], packs[place, 2], width, 0, most)
    else:
        for k in range(n, place, -1):
            for column in range(5):
                packs[k, column] = packs[k - 1, column]
        state[slot] = n + 1
    packs[place, 0], packs[place, 1] = key, first
    packs[place, 2], packs[place, 3] = regs.raw[length], regs.at[where]
    packs[place, 4] = regs.raw[total]


@inline
def _body(
    data: Bytes, at: int, end: int, group: int, edition: int, plan: Plan, slots: Slots,
    lists: Lists, row: int, regs: Registers, state: State,
) -> int:  # fmt: skip
    """Read the body of a field table; return where it ends, -1 beyond the data unit."""
    at = _fields(data, at, end, group, plan, slots, row, regs, state)
    if at < 0:
        return -1
    hook, records = plan.groups[group, HOOK], plan.groups[group, RECORDS]
    if hook == POSITION:
        _position(slots, row, edition, regs, state)
    elif hook == ALARM:
        _note_faults(data, lists, row, regs)
    elif hook == FUEL_CELL:
        _note_fuel(data, lists, row, regs)
    if records < 0:
        return at
    hook = plan.groups[records, HOOK]
    for _ in range(regs.raw[plan.groups[group, RECORD_COUNT]]):
        chosen = records
        if hook == MOTOR and at < end and 1 <= data[at] <= 4:
            chosen += np.int64(data[at])
        at = _fields(data, at, end, chosen, plan, slots, row, regs, state)
        if at < 0:
            return -1
        if hook == CELL_PACK:
            _note_pack(data, lists, CELLS, edition, regs, state)
        elif hook == PROBE_PACK:
            _note_pack(data, lists, PROBES, edition, regs, state)
    return at


@jit
def _bodies(
    data: Bytes, at: int, end: int, edition: int, plan: Plan, slots: Slots, lists: Lists,
    row: int, regs: Registers, state: State,
) -> int:  # fmt: skip
    """Read (type, body) pairs; return the end, or where the first unreadable one starts."""
    while at < end:
        group = plan.bodies[edition, data[at]]
        if group < 0:
            return at
        signature = plan.groups[group, HOOK] == SIGNATURE
        if signature:
            state[MARK] = at
        after = _body(data, at + 1, end, group, edition, plan, slots, lists, row, regs, state)
        if after < 0 or signature:
            return max(after, at)
        at = after
    return at


@inline
def _begin(lists: Lists, row: int, state: State) -> None:
    for k in range(state.size):
        state[k] = 0
    for which in range(lists.offsets.shape[0]):
        lists.offsets[which, row + 1] = lists.offsets[which, row]
        lists.present[which, row] = 0


@inline
def _volts(data: Bytes, at: int, out: NDArray[np.float32]) -> int:
    """Cell voltages in V, NaN where there is no value; return the highest raw."""
    for k in range(out.size):
        raw = load16(data, at + 2 * k)
        volts = np.float32(np.int32(raw)) / np.float32(1000)
        out[k] = np.float32(np.nan) if raw > np.uint32(60000) else volts
    top = np.uint32(0)
    for k in range(out.size):
        top = max(top, load16(data, at + 2 * k))
    return np.int64(top)


@inline
def _ranked(data: Bytes, at: int, count: int, width: int) -> tuple[int, int]:
    """Highest and lowest of valid codes: raw << 16 | place, the place of the highest inverted."""
    best, worst = np.uint32(0), np.uint32(0xFFFFFFFF)
    for k in range(count):
        raw = (load16(data, at + 2 * k) if width == 2 else np.uint32(data[at + k])) << np.uint32(16)
        best = max(best, raw | np.uint32(0xFFFF - k))
        worst = min(worst, raw | np.uint32(k))
    return np.int64(best), np.int64(worst)


@inline
def _celsius(data: Bytes, at: int, most: int, out: NDArray[np.float32]) -> tuple[int, int]:
    """Probe temperatures in Celsius, NaN where there is no value; highest and sum of raws."""
    top, total, limit = np.int32(0), np.int32(0), np.int32(most)
    probes = data[at : at + out.size]
    for k in range(out.size):
        raw = np.int32(probes[k])
        out[k] = np.float32(np.nan) if raw > limit else np.float32(raw - np.int32(40))
        top = max(top, raw)
        total += raw
    return np.int64(top), np.int64(total)


@inline
def _survey(
    data: Bytes, at: int, count: int, width: int, most: int, totals: NDArray[np.int64]
) -> tuple[int, int]:
    """As `_ranked`, of the elements up to raw `most`, with gaps; -1 where there is none.

    Adds to totals: sum of raws, elements with a value; sets totals[2] if one is out of range.
    """
    best, worst = -1, 1 << 40
    sentinel = (1 << 8 * width) - 2
    for k in range(count):
        raw = np.int64(data[at + k]) if width == 1 else u16(data, at + 2 * k)
        if raw <= most:
            best, worst = max(best, raw << 16 | 0xFFFF - k), min(worst, raw << 16 | k)
            totals[0] += raw
            totals[1] += 1
        elif raw < sentinel:
            totals[2] = 1
    return best, worst


@inline
def _complete(packs: NDArray[np.int64], n: int) -> bool:
    """True when the parts of every pack follow each other from cell 1 to its total."""
    expected, total = 1, 0
    for k in range(n):
        number, first = packs[k, 0] >> 16, packs[k, 1]
        if k == 0 or number != packs[k - 1, 0] >> 16:
            if k > 0 and expected != total + 1:
                return False
            expected, total = 1, packs[k, 4]
        if first != expected or packs[k, 4] != total:
            return False
        expected += packs[k, 2]
    return n > 0 and expected == total + 1


@inline
def _series(
    data: Bytes, kind: int, edition: int, plan: Plan, slots: Slots, lists: Lists, row: int,
    totals: NDArray[np.int64], state: State,
) -> None:  # fmt: skip
    """Write the cells or probes of a row when no pack misses one; 2025 also their extremes."""
    cells = kind == CELLS
    slot, width, most = (CELL_PACKS, 2, 60000) if cells else (PROBE_PACKS, 1, 250)
    packs, here = lists.packs[kind], np.int64(lists.offsets[kind, row])
    best, worst, best_pack, worst_pack = -1, 1 << 40, 0, 0
    totals[0] = totals[1] = totals[2] = 0
    gaps = False
    for k in range(state[slot]):
        at, count, high, low = packs[k, 3], packs[k, 2], -1, 1 << 40
        if cells:
            top, total = _volts(data, at, lists.cells[here : here + count]), np.int64(0)
        else:
            top, total = _celsius(data, at, most, lists.probes[here : here + count])
        if top > most:
            high, low = _survey(data, at, count, width, most, totals)
        else:
            totals[0], totals[1] = totals[0] + total, totals[1] + count
            if edition == 1 and count > 0:
                high, low = _ranked(data, at, count, width)
        if high >> 16 > best >> 16:
            best, best_pack = high, k
        if low >> 16 < worst >> 16:
            worst, worst_pack = low, k
        gaps |= top > most
        here += count
    state[OUTSIDE] |= totals[2]
    if state[slot + 1] or not _complete(packs, state[slot]):
        return
    lists.gaps[kind] |= gaps
    lists.offsets[kind, row + 1] = here
    lists.present[kind, row] = 1
    if not cells and totals[1] > 0:
        _put_float(slots, plan.slots[8], row, totals[0] / totals[1] - 40)
    if edition == 0 or best < 0:
        return
    scale, bias, base = (0.001, 0, 0) if cells else (1.0, -40, 4)
    _put_float(slots, plan.slots[base], row, ((best >> 16) + bias) * scale)
    _put_float(slots, plan.slots[base + 1], row, ((worst >> 16) + bias) * scale)
    _put_wide(slots, plan.slots[base + 2], row, 0x10000 - (best & 0xFFFF))
    _put_wide(slots, plan.slots[base + 3], row, (worst & 0xFFFF) + 1)
    if cells and packs[best_pack, 0] >> 16 < 0xFE:
        _put_small(slots, plan.slots[9], row, packs[best_pack, 0] >> 16)
    if cells and packs[worst_pack, 0] >> 16 < 0xFE:
        _put_small(slots, plan.slots[10], row, packs[worst_pack, 0] >> 16)


@jit
def _undo(slots: Slots, row: int) -> None:
    """Take back what a body that turned out too short has written to the row."""
    for slot in range(slots.floats.shape[0]):
        if slots.live[FLOAT, slot]:
            slots.floats[slot, row] = np.nan
    for slot in range(slots.smalls.shape[0]):
        if slots.live[SMALL, slot]:
            slots.smalls[slot, row] = ABSENT_SMALL
    for slot in range(slots.wides.shape[0]):
        if slots.live[WIDE, slot]:
            slots.wides[slot, row] = ABSENT_WIDE
    if slots.live[WIDE, -1]:
        slots.places[0, row] = slots.places[1, row] = np.nan


@jit
def _report(
    data: Bytes, begin: int, end: int, edition: int, plan: Plan, slots: Slots, lists: Lists,
    row: int, regs: Registers, state: State,
) -> None:  # fmt: skip
    """Read the bodies of a report, but not cells and probes; one that cannot be read to its end
    leaves nothing behind."""
    _begin(lists, row, state)
    stop = _bodies(data, begin, end, edition, plan, slots, lists, row, regs, state)
    mark = state[MARK]
    if stop < end and mark in (0, stop):
        _undo(slots, row)
        _begin(lists, row, state)
        _bodies(data, begin, stop, edition, plan, slots, lists, row, regs, state)
        state[MARK] = mark
    state[PARTIAL] = stop < end


@inline
def _close(data: Bytes, start: int, end: int, rows: Rows, row: int, state: State) -> None:
    """Write the columns that every row has."""
    rows.partial[row] = state[PARTIAL]
    rows.placed[row] = state[PLACED]
    stop = state[MARK] if state[MARK] > 0 else end
    rows.digest[row] = _digest(data, start + 24, stop)


@inline
def _lists_of_shape(
    data: Bytes, start: int, head: State, parts: NDArray[np.int64], lists: Lists, row: int,
    state: State,
) -> None:  # fmt: skip
    """Where the lists of a frame of known shape are; `head` and `parts` are of its shape."""
    _begin(lists, row, state)
    if head[HAS_ERRORS]:
        _put_errors(data, start + head[ERRORS_AT], head[ERRORS_COUNT], lists, row)
    if head[HAS_FUEL]:
        _put_fuel(data, start + head[FUEL_AT], head[FUEL_COUNT], lists, row)
    for kind in range(2):
        count = head[PARTS + kind]
        for k in range(count):
            for column in range(5):
                lists.packs[kind, k, column] = parts[kind, k, column]
            lists.packs[kind, k, 3] += start
        state[CELL_PACKS + 2 * kind] = count


@jit
def fill_rows(
    data: Bytes, bounds: NDArray[np.int32], count: int, plan: Plan,
    heads: NDArray[np.int64], parts: NDArray[np.int64], slots: Slots, lists: Lists, rows: Rows,
    regs: Registers, state: State,
) -> None:  # fmt: skip
    """Read the lists of `count` rows, and all else of those without a shape.

    `bounds` are the n + 1 offsets of the frames in `data`. The lists have room for as many
    elements as that many bytes can hold.
    """
    for row in range(count):
        frame, shape = rows.row_frame[row], rows.shape[row]
        start, end = np.int64(bounds[frame]), np.int64(bounds[frame + 1])
        edition = np.int64(data[start]) - 0x23
        if shape < 0:
            _report(data, start + 30, end - 1, edition, plan, slots, lists, row, regs, state)
        else:
            _lists_of_shape(data, start, heads[shape], parts[shape], lists, row, state)
        if state[CELL_PACKS]:
            _series(data, CELLS, edition, plan, slots, lists, row, regs.at, state)
        if state[PROBE_PACKS]:
            _series(data, PROBES, edition, plan, slots, lists, row, regs.at, state)
        rows.outside[row] |= np.uint8(state[OUTSIDE])
        if shape < 0:
            _close(data, start, end - 1, rows, row, state)
