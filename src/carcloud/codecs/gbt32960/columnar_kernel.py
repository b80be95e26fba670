"""The compiled walk over a block of report frames (GB/T 32960.3 §7.2 of both editions).

One pass per frame: header, BCC, bodies, digest. No Python objects; every length is checked
before a byte behind it is read. All that is compiled into `decode_frames` stands in this one
module because numba notices a change of a cached function only in the module's own file.
"""

# Integers are numpy's here, which the compiler takes for plain ones and the type checker does not.
# mypy: disable-error-code="arg-type, assignment, return-value, unreachable, var-annotated"
# mypy: disable-error-code="no-any-return"
# Compiled code gets its arrays by position; a check is one `return` per clause.
# ruff: noqa: PLR0911, PLR0912

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

# Faults of a frame, in the order in which they are looked for
OK, NO_START, BAD_LENGTH, BAD_ID, BAD_BCC, NOT_A_REPORT, RESERVED_CIPHER, ENCRYPTED = range(8)
NO_TIME, BAD_TIME = 8, 9

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

ABSENT_SMALL = np.int16(-32768)
ABSENT_WIDE = np.int64(-(2**63))
MAX_PACKS = 2048  # packs or parts of packs in one report that are put in order
MAX_ROWS = 32  # rows of one field table
_HASH_SEED = np.uint64(0x9E3779B97F4A7C15)
_HASH_STEP = np.uint64(0xFF51AFD7ED558CCD)
_MONTH_STARTS = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EPOCH_2000 = 10957  # days from 1970-01-01 to 2000-01-01

Bytes = NDArray[np.uint8]
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
    """What every row has, and what every frame has."""

    time: NDArray[np.int64]
    digest: NDArray[np.int64]
    source: NDArray[np.int8]
    partial: Bytes
    outside: Bytes
    vins: Bytes
    vin_offsets: NDArray[np.int32]
    stamps: Bytes
    stamp_offsets: NDArray[np.int32]
    row_frame: NDArray[np.int32]
    fault: Bytes  # [frame]
    fault_offset: NDArray[np.int32]  # [frame]


def _unaligned(bits: int, swap: bool) -> Any:
    """Typing and lowering of a load at any address, byte order swapped or not."""

    def load(_context: Any, array: Any, _at: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            view = context.make_array(signature.args[0])(context, builder, args[0])
            place = builder.gep(view.data, [args[1]])
            word = builder.load(builder.bitcast(place, ir.IntType(bits).as_pointer()), align=1)
            if swap:
                word = builder.zext(builder.bswap(word), ir.IntType(32))
            return word

        return (types.uint32 if swap else types.uint64)(array, types.int64), code

    return load


_load64 = intrinsic(_unaligned(64, False))
"""Eight bytes at any address as a word of the machine, which is taken as little-endian."""
_load16 = intrinsic(_unaligned(16, True))
"""Two bytes at any address as a big-endian number; loops over it become vector code."""

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
Compiled = TypeVar("Compiled", bound=Callable[..., Any])


def _jit(function: Compiled) -> Compiled:
    """Compile; nothing here allocates, so reference counts, which cost much, are off."""
    compiled = njit(cache=True, **_OPTIONS)(function)
    return cast(Compiled, compiled)


def _inline(function: Compiled) -> Compiled:
    """Compile into the caller: passing all the arrays on costs more than most bodies."""
    compiled = njit(forceinline=True, **_OPTIONS)(function)
    return cast(Compiled, compiled)


@_inline
def _u16(data: Bytes, at: int) -> int:
    return (np.int64(data[at]) << 8) | np.int64(data[at + 1])


@_inline
def _u32(data: Bytes, at: int) -> int:
    return (_u16(data, at) << 16) | _u16(data, at + 2)


@_inline
def _xor(data: Bytes, begin: int, end: int) -> int:
    """XOR of data[begin:end]."""
    total = np.uint64(0)
    words = (end - begin) >> 3
    for k in range(words):
        total ^= _load64(data, begin + (k << 3))
    total ^= total >> np.uint64(32)
    total ^= total >> np.uint64(16)
    total ^= total >> np.uint64(8)
    rest = np.uint8(total & np.uint64(0xFF))
    for at in range(begin + (words << 3), end):
        rest ^= data[at]
    return np.int64(rest)


@_inline
def _mix(state: int, word: int) -> int:
    state = (state ^ word) * _HASH_STEP
    return state ^ (state >> np.uint64(32))


@_inline
def _digest(data: Bytes, begin: int, end: int) -> int:
    """64-bit content hash of data[begin:end]; the last word is padded with zeros."""
    state = _HASH_SEED ^ np.uint64(end - begin)
    words = (end - begin) >> 3
    for k in range(words):
        state = _mix(state, _load64(data, begin + (k << 3)))
    rest = begin + (words << 3)
    if rest < end:
        word = np.uint64(0)
        for at in range(rest, end):
            word |= np.uint64(data[at]) << np.uint64((at - rest) << 3)
        state = _mix(state, word)
    return np.int64(state)


@_inline
def _check(data: Bytes, start: int, end: int) -> tuple[int, int]:
    """Fault of the header or the BCC and its byte offset (§6.2 table 2)."""
    size = end - start
    if size < 2 or data[start] != data[start + 1] or data[start] not in (0x23, 0x24):
        return NO_START, 0
    if size < 25:
        return BAD_LENGTH, size
    if size != 25 + _u16(data, start + 22) or size > 65556:
        return BAD_LENGTH, 22
    for at in range(start + 4, start + 21):
        if data[at] != 0 and (data[at] < 0x20 or data[at] > 0x7E):
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


@_inline
def _check_time(data: Bytes, start: int) -> tuple[int, int]:
    """§6.4: plain binary Beijing time; the data unit must hold it."""
    if _u16(data, start + 22) < 6:
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


@_inline
def _time(data: Bytes, at: int) -> int:
    """Six checked bytes of Beijing time as us since 1970, UTC."""
    year, month = np.int64(data[at]), np.int64(data[at + 1])
    days = _EPOCH_2000 + year * 365 + (year + 3) // 4 + _MONTH_STARTS[month - 1]
    if month > 2 and year % 4 == 0:
        days += 1
    days += np.int64(data[at + 2]) - 1
    seconds = (days * 24 + np.int64(data[at + 3]) - 8) * 3600
    return (seconds + np.int64(data[at + 4]) * 60 + np.int64(data[at + 5])) * 1_000_000


@_jit
def _digits(text: Bytes, at: int, value: int, mark: int) -> None:
    text[at], text[at + 1], text[at + 2] = 48 + value // 10, 48 + value % 10, mark


@_jit
def _stamp(data: Bytes, at: int, text: Bytes, to: int) -> int:
    """Write the time at `at` as `2026-03-14T07:09:26Z`; return where the text ends."""
    year, month, day = 2000 + np.int64(data[at]), np.int64(data[at + 1]), np.int64(data[at + 2])
    hour = np.int64(data[at + 3]) - 8
    if hour < 0:
        hour, day = hour + 24, day - 1
    if day < 1:
        month -= 1
        if month < 1:
            month, year = 12, year - 1
        day = _MONTH_DAYS[month - 1] + (1 if month == 2 and year % 4 == 0 else 0)
    text[to], text[to + 1] = 48 + year // 1000, 48 + year // 100 % 10
    _digits(text, to + 2, year % 100, 0x2D)
    _digits(text, to + 5, month, 0x2D)
    _digits(text, to + 8, day, 0x54)
    _digits(text, to + 11, hour, 0x3A)
    _digits(text, to + 14, np.int64(data[at + 4]), 0x3A)
    _digits(text, to + 17, np.int64(data[at + 5]), 0x5A)
    return to + 20


@_inline
def _put_float(slots: Slots, slot: int, row: int, value: float) -> None:
    if slots.live[FLOAT, slot] == 0:
        slots.live[FLOAT, slot] = 1
        for k in range(slots.floats.shape[1]):
            slots.floats[slot, k] = np.nan
    slots.floats[slot, row] = value


@_inline
def _put_small(slots: Slots, slot: int, row: int, value: int) -> None:
    if slots.live[SMALL, slot] == 0:
        slots.live[SMALL, slot] = 1
        for k in range(slots.smalls.shape[1]):
            slots.smalls[slot, k] = ABSENT_SMALL
    slots.smalls[slot, row] = value


@_inline
def _put_wide(slots: Slots, slot: int, row: int, value: int) -> None:
    if slots.live[WIDE, slot] == 0:
        slots.live[WIDE, slot] = 1
        for k in range(slots.wides.shape[1]):
            slots.wides[slot, k] = ABSENT_WIDE
    slots.wides[slot, row] = value


@_inline
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


@_jit
def _outside(data: Bytes, at: int, count: int, width: int, low: int, high: int) -> int:
    """1 if an element of a list is neither a sentinel nor in its valid range."""
    sentinel = 0xFE if width == 1 else 0xFFFE
    for k in range(count):
        raw = np.int64(data[at + k]) if width == 1 else _u16(data, at + 2 * k)
        if raw < sentinel and (raw < low or raw > high):
            return 1
    return 0


@_inline
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
                state[OUTSIDE] |= _outside(
                    data, at, count, width, plan.rows[k, LOW], plan.rows[k, HIGH]
                )
            at += count * width
            continue
        if at + width > end:
            return -1
        if width == 1:
            raw = np.int64(data[at])
        elif width == 2:
            raw = _u16(data, at)
        else:
            raw = _u32(data, at)
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


@_inline
def _position(slots: Slots, row: int, edition: int, regs: Registers, state: State) -> None:
    """Degrees with the sign of the status bits, where there is a fix (tables 15, 22)."""
    longitude, latitude = 1 + edition, 2 + edition
    if regs.raw[0] & 1 or regs.good[longitude] + regs.good[latitude] < 4:
        return
    if slots.live[WIDE, -1] == 0:
        slots.live[WIDE, -1] = 1
        for k in range(slots.places.shape[1]):
            slots.places[0, k] = slots.places[1, k] = np.nan
    east, north = regs.raw[longitude] / 1e6, regs.raw[latitude] / 1e6
    slots.places[0, row] = (-east if regs.raw[0] & 4 else east) + 0.0
    slots.places[1, row] = (-north if regs.raw[0] & 2 else north) + 0.0
    state[PLACED] = 1


@_inline
def _note_faults(data: Bytes, lists: Lists, row: int, regs: Registers) -> None:
    """Battery fault codes of an alarm body; a later body of the report replaces them."""
    if not regs.good[2]:
        return
    start, count = lists.offsets[ERRORS, row], regs.raw[2]
    for k in range(count):
        lists.errors[start + k] = _u32(data, regs.at[3] + 4 * k)
    lists.offsets[ERRORS, row + 1] = start + count
    lists.present[ERRORS, row] = 1


@_inline
def _note_fuel(data: Bytes, lists: Lists, row: int, regs: Registers) -> None:
    """Probe temperatures of the 2016 fuel-cell body (S16 table 12)."""
    if not regs.good[3]:
        return
    start, count = lists.offsets[FUEL, row], regs.raw[3]
    out = lists.fuel[start : start + count]
    if _celsius(data, regs.at[4], 240, out)[0] > 240:
        lists.gaps[FUEL] = 1
    lists.offsets[FUEL, row + 1] = start + count
    lists.present[FUEL, row] = 1


@_inline
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
        state[OUTSIDE] |= _outside(data, regs.at[where], regs.raw[length], width, 0, most)
        return
    key, place = np.int64(data[regs.at[0]]) << 16 | first, n
    while place > 0 and packs[place - 1, 0] > key:
        place -= 1
    if place > 0 and packs[place - 1, 0] == key:
        place -= 1
        state[OUTSIDE] |= _outside(data, packs[place, 3], packs[place, 2], width, 0, most)
    else:
        for k in range(n, place, -1):
            for column in range(5):
                packs[k, column] = packs[k - 1, column]
        state[slot] = n + 1
    packs[place, 0], packs[place, 1] = key, first
    packs[place, 2], packs[place, 3] = regs.raw[length], regs.at[where]
    packs[place, 4] = regs.raw[total]


@_inline
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


@_inline
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


@_inline
def _begin(lists: Lists, row: int, state: State) -> None:
    for k in range(state.size):
        state[k] = 0
    for which in range(lists.offsets.shape[0]):
        lists.offsets[which, row + 1] = lists.offsets[which, row]
        lists.present[which, row] = 0


@_inline
def _volts(data: Bytes, at: int, out: NDArray[np.float32]) -> int:
    """Cell voltages in V, NaN where there is no value; return the highest raw."""
    for k in range(out.size):
        raw = _load16(data, at + 2 * k)
        volts = np.float32(np.int32(raw)) / np.float32(1000)
        out[k] = np.float32(np.nan) if raw > np.uint32(60000) else volts
    top = np.uint32(0)
    for k in range(out.size):
        top = max(top, _load16(data, at + 2 * k))
    return np.int64(top)


@_inline
def _ranked(data: Bytes, at: int, count: int, width: int) -> tuple[int, int]:
    """Highest and lowest of valid codes: raw << 16 | place, the place of the highest inverted."""
    best, worst = np.uint32(0), np.uint32(0xFFFFFFFF)
    for k in range(count):
        raw = (_load16(data, at + 2 * k) if width == 2 else np.uint32(data[at + k])) << np.uint32(
            16
        )
        best = max(best, raw | np.uint32(0xFFFF - k))
        worst = min(worst, raw | np.uint32(k))
    return np.int64(best), np.int64(worst)


@_inline
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


@_inline
def _survey(
    data: Bytes, at: int, count: int, width: int, most: int, totals: NDArray[np.int64]
) -> tuple[int, int]:
    """As `_ranked`, of the elements up to raw `most`, with gaps; -1 where there is none.

    Adds to totals: sum of raws, elements with a value; sets totals[2] if one is out of range.
    """
    best, worst = -1, 1 << 40
    sentinel = (1 << 8 * width) - 2
    for k in range(count):
        raw = np.int64(data[at + k]) if width == 1 else _u16(data, at + 2 * k)
        if raw <= most:
            best, worst = max(best, raw << 16 | 0xFFFF - k), min(worst, raw << 16 | k)
            totals[0] += raw
            totals[1] += 1
        elif raw < sentinel:
            totals[2] = 1
    return best, worst


@_inline
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


@_inline
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


@_jit
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


@_inline
def _report(
    data: Bytes, begin: int, end: int, edition: int, plan: Plan, slots: Slots, lists: Lists,
    row: int, regs: Registers, state: State,
) -> None:  # fmt: skip
    """Read the bodies of a report; one that cannot be read to its end leaves nothing behind."""
    _begin(lists, row, state)
    stop = _bodies(data, begin, end, edition, plan, slots, lists, row, regs, state)
    mark = state[MARK]
    if stop < end and mark in (0, stop):
        _undo(slots, row)
        _begin(lists, row, state)
        _bodies(data, begin, stop, edition, plan, slots, lists, row, regs, state)
        state[MARK] = mark
    state[PARTIAL] = stop < end
    if state[CELL_PACKS]:
        _series(data, CELLS, edition, plan, slots, lists, row, regs.at, state)
    if state[PROBE_PACKS]:
        _series(data, PROBES, edition, plan, slots, lists, row, regs.at, state)


@_inline
def _close(
    data: Bytes, start: int, end: int, edition: int, rows: Rows, row: int,
    state: State,
) -> None:  # fmt: skip
    """Write the columns that every row has."""
    rows.partial[row], rows.outside[row] = state[PARTIAL], state[OUTSIDE]
    rows.source[row] = 2 * edition + np.int64(data[start + 2]) - 2
    rows.time[row] = _time(data, start + 24)
    stop = state[MARK] if state[MARK] > 0 else end
    rows.digest[row] = _digest(data, start + 24, stop)
    size, to = 17, rows.vin_offsets[row]
    while size > 0 and data[start + 3 + size] == 0:
        size -= 1
    for k in range(size):
        rows.vins[to + k] = data[start + 4 + k]
    rows.vin_offsets[row + 1] = to + size
    written = np.int64(rows.stamp_offsets[row])
    if state[PLACED]:
        written = _stamp(data, start + 24, rows.stamps, written)
    rows.stamp_offsets[row + 1] = written


@_inline
def _fits(lists: Lists, row: int, size: int) -> bool:
    """Whether the lists of a frame of `size` bytes surely fit into what is left."""
    return bool(
        lists.offsets[CELLS, row] + size // 2 <= lists.cells.size
        and lists.offsets[PROBES, row] + size <= lists.probes.size
        and lists.offsets[FUEL, row] + size <= lists.fuel.size
        and lists.offsets[ERRORS, row] + size // 4 <= lists.errors.size
    )


@_jit
def decode_frames(
    data: Bytes, bounds: NDArray[np.int32], begin: int, row: int, plan: Plan, slots: Slots,
    lists: Lists, rows: Rows, regs: Registers, state: State,
) -> tuple[int, int]:  # fmt: skip
    """Decode frames from number `begin` on into rows from `row` on.

    `bounds` are the n + 1 offsets of the frames in `data`. Returns the frame and the row
    reached: fewer than all frames when a list buffer must be made larger first.
    """
    for frame in range(begin, bounds.size - 1):
        start, end = np.int64(bounds[frame]), np.int64(bounds[frame + 1])
        if not _fits(lists, row, end - start):
            return frame, row
        fault, where = _check(data, start, end)
        rows.fault[frame], rows.fault_offset[frame] = fault, where
        if fault != OK:
            continue
        edition = np.int64(data[start]) - 0x23
        _report(data, start + 30, end - 1, edition, plan, slots, lists, row, regs, state)
        _close(data, start, end - 1, edition, rows, row, state)
        rows.row_frame[row] = frame
        row += 1
    return bounds.size - 1, row
