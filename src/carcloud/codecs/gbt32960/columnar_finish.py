"""The last compiled pass: every column in the form that Arrow gives it, and where it lies.

What a column needs beyond the kernel's own buffers (bits of validity, narrower integers, text) is
written into the same memory; `Out` says for each column that has a value what an Arrow record
batch says of it: lengths, nulls and the places of its buffers.
"""

# Integers are numpy's here, which the compiler takes for plain ones and the type checker does not.
# mypy: disable-error-code="arg-type, assignment, return-value, index"
# Compiled code is one `return` for each form of a column.
# ruff: noqa: PLR0911

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carcloud.codecs.gbt32960 import columnar_memory as memory
from carcloud.codecs.gbt32960.columnar_kernel import (
    ABSENT_SMALL,
    ABSENT_WIDE,
    CELLS,
    FLOAT,
    PROBES,
    SMALL,
    WIDE,
    Lists,
    Rows,
    Slots,
)
from carcloud.codecs.gbt32960.columnar_memory import Forms
from carcloud.codecs.kernel_words import Bytes, inline, jit, load64

Starts = NDArray[np.int64]

# How a column comes about
VEHICLE, TIME, DIGEST, SOURCE, PARTIAL, OUT_OF_RANGE = range(6)
AS_FLOAT, AS_INT16, AS_BOOLEAN, AS_INT8, AS_INT64, AS_INT32 = range(6, 12)
PLACE, STAMP, NUMBERS, ERROR_CODES, ALARM_CODES = range(12, 17)
BATTERY_POWER, MOTOR_TORQUE, MOTOR_POWER = range(17, 20)
# Columns of Columns.table: how, the slot or list it comes from, a second one, row of the matrix
HOW, FROM, AND, TO = range(4)

_SPREAD = np.uint64(0x0102040810204080)  # gathers the low bits of eight bytes into the top byte
_SECOND = 1_000_000  # us
_DAY = 86_400


class Columns(NamedTuple):
    """What the columns are."""

    table: NDArray[np.int64]  # [column, HOW..TO]
    names: Bytes  # of the alarms, one after the other
    name_ends: NDArray[np.int64]  # [bit + 1]
    masks: NDArray[np.int64]  # [edition] alarm bits that have a meaning


class Out(NamedTuple):
    """What the metadata of a record batch say."""

    live: Bytes  # [column]
    nodes: NDArray[np.int64]  # [2 * node]: length, nulls
    buffers: NDArray[np.int64]  # [2 * buffer]: place, length in bytes
    filled: NDArray[np.int64]  # [2] of nodes, of buffers
    flags: Bytes  # [64] one byte for each row, before they are packed


@inline
def _node(out: Out, length: int, nulls: int) -> None:
    at = out.filled[0]
    out.nodes[at], out.nodes[at + 1] = length, nulls
    out.filled[0] = at + 2


@inline
def _buffer(out: Out, place: int, length: int) -> None:
    at = out.filled[1]
    out.buffers[at], out.buffers[at + 1] = place, length
    out.filled[1] = at + 2


@inline
def _pack(flags: Bytes, bits: Bytes, first: int) -> None:
    """Write 64 flags as eight bytes of bits."""
    for k in range(8):
        bits[(first >> 3) + k] = np.uint8((load64(flags, 8 * k) * _SPREAD) >> np.uint64(56))


@jit
def _float_bits(values: NDArray[np.float32], n: int, bits: Bytes, flags: Bytes) -> int:
    """Pack 'is not NaN'; return how many are NaN. Reads up to 63 values behind the last."""
    present = 0
    for first in range(0, n, 64):
        for k in range(64):
            flags[k] = np.uint8(values[first + k] == values[first + k])
        for k in range(max(0, n - first), 64):
            flags[k] = 0
        for k in range(64):
            present += flags[k]
        _pack(flags, bits, first)
    return n - present


@jit
def _equal_bits(
    values: NDArray[np.int64], n: int, value: int, same: int, bits: Bytes, flags: Bytes
) -> int:
    """Pack 'is `value`' (same = 1) or 'is another' (0); return how many rows are not so."""
    count = 0
    for first in range(0, n, 64):
        for k in range(64):
            flags[k] = np.uint8(values[first + k] == value) ^ np.uint8(1 - same)
        for k in range(max(0, n - first), 64):
            flags[k] = 0
        for k in range(64):
            count += flags[k]
        _pack(flags, bits, first)
    return n - count


@jit
def _stamp_day(seconds: int, text: Bytes, at: int) -> None:
    """Write the UTC date of a time as `2026-03-14T` (Hinnant, days from civil, inverted)."""
    shifted = seconds // _DAY + 719_468
    era = shifted // 146_097
    day_of_era = shifted - era * 146_097
    year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    text[at], text[at + 1] = 48 + year // 1000, 48 + year // 100 % 10
    text[at + 2], text[at + 3], text[at + 4] = 48 + year // 10 % 10, 48 + year % 10, 0x2D
    text[at + 5], text[at + 6], text[at + 7] = 48 + month // 10, 48 + month % 10, 0x2D
    text[at + 8], text[at + 9], text[at + 10] = 48 + day // 10, 48 + day % 10, 0x54


@jit
def _stamps(rows: Rows, n: int, forms: Forms) -> int:
    """Write the times of rows with a position, `2026-03-14T07:09:26Z`; return the length."""
    text, written, today, dated = forms.stamps, 0, np.int64(-1), 0
    for row in range(n):
        forms.stamp_offsets[row] = written
        if rows.placed[row] == 0:
            continue
        seconds = rows.time[row] // _SECOND
        day = seconds // _DAY
        if day == today:
            for k in range(11):
                text[written + k] = text[dated + k]
        else:
            today, dated = day, written
            _stamp_day(seconds, text, written)
        at, second = written + 11, np.int32(seconds - day * _DAY)
        for k in range(3):
            part = second // np.int32(3600) if k == 0 else second // np.int32(60)
            second -= part * np.int32(3600) if k == 0 else part * np.int32(60)
            part = second if k == 2 else part
            text[at + 3 * k], text[at + 3 * k + 1] = 48 + part // 10, 48 + part % 10
            text[at + 3 * k + 2] = 0x3A if k < 2 else 0x5A
        written += 20
    forms.stamp_offsets[n] = written
    return written


@jit
def _derive(slots: Slots, how: int, one: int, other: int, n: int, forms: Forms, to: int) -> None:
    """Power in W, or motor torque in whole Nm, or its power in whole kW; absent where one is."""
    first, second = slots.floats[one], slots.floats[other]
    if how == BATTERY_POWER:
        for row in range(n):
            forms.power[row] = first[row] * second[row]
        return
    shorts = forms.shorts[to]
    for row in range(n):
        if how == MOTOR_TORQUE:
            value = np.float64(np.rint(first[row]))
        else:
            watts = np.float64(first[row]) * np.float64(second[row]) * (2 * np.pi / 60)
            value = np.rint(watts / 1000)
        fits = abs(value) <= 32767  # false for NaN
        shorts[row] = np.int16(value) if fits else ABSENT_SMALL


@jit
def _alarms(
    slots: Slots, slot: int, rows: Rows, n: int, columns: Columns, forms: Forms
) -> tuple[int, int]:
    """Names of the alarm bits that are set; return how many, and the length of their text."""
    wides, count, written = slots.wides[slot], 0, 0
    for row in range(n):
        forms.alarm_offsets[row] = count
        word = wides[row]
        if word in (ABSENT_WIDE, 0):
            continue
        word &= columns.masks[rows.source[row] >> 1]
        for bit in range(columns.name_ends.size - 1):
            if word >> bit & 1:
                forms.alarm_ends[count] = written
                for k in range(columns.name_ends[bit], columns.name_ends[bit + 1]):
                    forms.alarm_text[written] = columns.names[k]
                    written += 1
                count += 1
    forms.alarm_offsets[n] = forms.alarm_ends[count] = 0
    forms.alarm_offsets[n], forms.alarm_ends[count] = count, written
    return count, written


@jit
def _hexadecimal(lists: Lists, count: int, forms: Forms) -> None:
    """Eight upper-case hexadecimal digits for each battery fault code."""
    for code in range(count):
        word = lists.errors[code]
        forms.error_ends[code] = 8 * code
        for k in range(8):
            digit = (word >> np.uint32(28 - 4 * k)) & np.uint32(15)
            forms.error_text[8 * code + k] = digit + (48 if digit < 10 else 55)
    forms.error_ends[count] = 8 * count


@jit
def _list(
    lists: Lists, how: int, which: int, n: int, valid: int, starts: Starts, bits: Bytes,
    forms: Forms, out: Out,
) -> bool:  # fmt: skip
    """A list column of numbers, or of fault codes as text."""
    nulls = _equal_bits(lists.present[which], n, 1, 1, bits, out.flags)
    if nulls == n:
        return False
    count = np.int64(lists.offsets[which, n])
    _node(out, n, nulls)
    _buffer(out, valid, (n + 7) // 8)
    _buffer(out, starts[memory.LIST_OFFSETS] + 4 * which * lists.offsets.shape[1], 4 * (n + 1))
    if how == ERROR_CODES:
        _hexadecimal(lists, count, forms)
        _texts(out, count, starts[memory.ERROR_ENDS], starts[memory.ERROR_TEXT], 8 * count)
        return True
    gaps = 0
    if lists.gaps[which]:
        if which == CELLS:
            gaps = _float_bits(lists.cells, count, forms.cell_bits, out.flags)
        elif which == PROBES:
            gaps = _float_bits(lists.probes, count, forms.probe_bits, out.flags)
        else:
            gaps = _float_bits(lists.fuel, count, forms.fuel_bits, out.flags)
    _node(out, count, gaps)
    _buffer(out, starts[memory.CELL_BITS + which], (count + 7) // 8)
    _buffer(out, starts[memory.CELLS + which], 4 * count)
    return True


@jit
def _texts(out: Out, count: int, ends: int, text: int, length: int) -> None:
    """A column of texts without nulls."""
    _node(out, count, 0)
    _buffer(out, 0, 0)
    _buffer(out, ends, 4 * (count + 1))
    _buffer(out, text, length)


@jit
def _alarm_list(
    slots: Slots, slot: int, rows: Rows, n: int, valid: int, starts: Starts, bits: Bytes,
    columns: Columns, forms: Forms, out: Out,
) -> bool:  # fmt: skip
    if slots.live[WIDE, slot] == 0:
        return False
    nulls = _equal_bits(slots.wides[slot], n, ABSENT_WIDE, 0, bits, out.flags)
    if nulls == n:
        return False
    count, length = _alarms(slots, slot, rows, n, columns, forms)
    _node(out, n, nulls)
    _buffer(out, valid, (n + 7) // 8)
    _buffer(out, starts[memory.ALARM_OFFSETS], 4 * (n + 1))
    _texts(out, count, starts[memory.ALARM_ENDS], starts[memory.ALARM_TEXT], length)
    return True


@jit
def _of_row(
    rows: Rows, how: int, n: int, valid: int, starts: Starts, bits: Bytes,
    out: Out,
) -> None:  # fmt: skip
    """A column that every row has."""
    if how == VEHICLE:
        length = rows.vin_offsets[n]
        _texts(out, n, starts[memory.VIN_OFFSETS], starts[memory.VINS], length)
        return
    _node(out, n, 0)
    _buffer(out, 0, 0)
    if how == SOURCE:
        _buffer(out, starts[memory.SOURCES], n)
    elif how == TIME:
        _buffer(out, starts[memory.TIMES], 8 * n)
    elif how == DIGEST:
        _buffer(out, starts[memory.DIGESTS], 8 * n)
    else:
        flags = rows.partial if how == PARTIAL else rows.outside
        _equal_bits(flags, n, 1, 1, bits, out.flags)
        _buffer(out, valid, (n + 7) // 8)


@jit
def _of_place(
    slots: Slots, rows: Rows, how: int, axis: int, n: int, valid: int, starts: Starts, bits: Bytes,
    forms: Forms, out: Out,
) -> bool:  # fmt: skip
    """Longitude, latitude and their time: all three or none in a row."""
    if slots.live[WIDE, -1] == 0:
        return False
    nulls = _equal_bits(rows.placed, n, 1, 1, bits, out.flags)
    if nulls == n:
        return False
    _node(out, n, nulls)
    _buffer(out, valid, (n + 7) // 8)
    if how == STAMP:
        length = _stamps(rows, n, forms)
        _buffer(out, starts[memory.STAMP_OFFSETS], 4 * (n + 1))
        _buffer(out, starts[memory.STAMPS], length)
    else:
        _buffer(out, starts[memory.PLACES] + 8 * axis * slots.places.shape[1], 8 * n)
    return True


@inline
def _is_live(slots: Slots, how: int, column: NDArray[np.int64]) -> bool:
    one, other = column[FROM], column[AND]
    if how in (AS_FLOAT, BATTERY_POWER, MOTOR_TORQUE, MOTOR_POWER):
        return bool(slots.live[FLOAT, one] and slots.live[FLOAT, other])
    if how in (AS_INT64, AS_INT32):
        return bool(slots.live[WIDE, one])
    return bool(slots.live[SMALL, one])


@jit
def _scalar(
    slots: Slots, how: int, column: NDArray[np.int64], n: int, starts: Starts, bits: Bytes,
    flags: Bytes, forms: Forms,
) -> tuple[int, int, int]:  # fmt: skip
    """Write the validity of a scalar column, and its values where they are not there yet; return
    the nulls, where the values are, and their length in bytes."""
    one, to, stride = column[FROM], column[TO], slots.floats.shape[1]
    if how == AS_FLOAT:
        nulls = _float_bits(slots.floats[one], n, bits, flags)
        return nulls, starts[memory.FLOATS] + 4 * one * stride, 4 * n
    if how == BATTERY_POWER:
        _derive(slots, how, one, column[AND], n, forms, to)
        nulls = _float_bits(forms.power, n, bits, flags)
        return nulls, starts[memory.POWER], 4 * n
    if how in (MOTOR_TORQUE, MOTOR_POWER):
        _derive(slots, how, one, column[AND], n, forms, to)
        nulls = _equal_bits(forms.shorts[to], n, ABSENT_SMALL, 0, bits, flags)
        return nulls, starts[memory.SHORTS] + 2 * to * stride, 2 * n
    if how in (AS_INT64, AS_INT32):
        wides = slots.wides[one]
        nulls = _equal_bits(wides, n, ABSENT_WIDE, 0, bits, flags)
        if how == AS_INT64:
            return nulls, starts[memory.WIDES] + 8 * one * stride, 8 * n
        ints = forms.ints[to]
        for row in range(n):
            ints[row] = np.int32(wides[row])
        return nulls, starts[memory.INTS] + 4 * to * stride, 4 * n
    smalls = slots.smalls[one]
    nulls = _equal_bits(smalls, n, ABSENT_SMALL, 0, bits, flags)
    if how == AS_INT16:
        return nulls, starts[memory.SMALLS] + 2 * one * stride, 2 * n
    if how == AS_INT8:
        codes = forms.codes[to]
        for row in range(n):
            codes[row] = np.int8(smalls[row])
        return nulls, starts[memory.CODES] + to * stride, n
    _equal_bits(smalls, n, 1, 1, forms.booleans[to], flags)
    return nulls, starts[memory.BOOLEANS] + to * (stride // 8), (n + 7) // 8


@jit
def finish_columns(
    n: int, slots: Slots, lists: Lists, rows: Rows, starts: Starts, columns: Columns, forms: Forms,
    out: Out,
) -> None:  # fmt: skip
    """Bring the columns of `n` rows into Arrow's form; `out` says which, and where they are."""
    out.filled[0] = out.filled[1] = 0
    for number in range(columns.table.shape[0]):
        column, bits = columns.table[number], forms.bits[number]
        how, which = column[HOW], column[FROM]
        valid = starts[memory.BITS] + number * bits.size
        if how <= OUT_OF_RANGE:
            live = n > 0 or number <= OUT_OF_RANGE
            if live:
                _of_row(rows, how, n, valid, starts, bits, out)
        elif how in (NUMBERS, ERROR_CODES):
            live = _list(lists, how, which, n, valid, starts, bits, forms, out)
        elif how == ALARM_CODES:
            live = _alarm_list(slots, which, rows, n, valid, starts, bits, columns, forms, out)
        elif how in (PLACE, STAMP):
            live = _of_place(slots, rows, how, which, n, valid, starts, bits, forms, out)
        else:
            live = _is_live(slots, how, column)
            if live:
                nulls, place, size = _scalar(slots, how, column, n, starts, bits, out.flags, forms)
                live = nulls < n
                if live:
                    _node(out, n, nulls)
                    _buffer(out, valid, (n + 7) // 8)
                    _buffer(out, place, size)
        out.live[number] = live
