"""The compiled walk over kept messages: unescape, check, find the position reports, read them.

No Python objects; every length is checked before a byte behind it is read. All of it stands in
one file, whose changes numba's cache sees.
"""

# Integers are numpy's here, which the compiler takes for plain ones and the type checker does not.
# mypy: disable-error-code="no-any-return, untyped-decorator, arg-type, assignment, return-value"
# mypy: disable-error-code="type-var, unreachable"
# Compiled code gets its arrays by position.
# ruff: noqa: PLR0911

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from carcloud.codecs.kernel_words import OPTIONS, Bytes, inline, jit, load64, u16, u32

_OUTER: Final[dict[str, Any]] = {**OPTIONS, "cache": True, "no_cfunc_wrapper": True}
_outer: Final = njit(**_OUTER)

OK, FLAG, ESCAPE, LENGTH, TRUNCATED, BCC, PHONE, PACKET, ENCRYPTED, OVERRUN, TIME = range(11)

# Columns of Scan.head, one row a frame
MESSAGE, EDITION, PHONE_AT, BODY, END, WHEN = range(6)
# Columns of Scan.row, one row a report
FRAME, AT, SIZE, SOURCE, ROW_TIME = range(5)

# Bits of Fields.have
(
    HAS_PLACE, HAS_NO_FIX, HAS_2019, HAS_ODOMETER, HAS_FUEL, HAS_RECORDER, HAS_TEMPERATURE,
    HAS_SIGNALS, HAS_SLEEP, HAS_ANALOG, HAS_STRENGTH, HAS_SATELLITES, HAS_NEUTRAL,
) = range(13)  # fmt: skip

_BASIC = 28  # bytes of a report's basic part
_MAX_PLAIN = 1045
_DAY_S = 86_400
_BEIJING_S = 8 * 3600
_EPOCH_2000 = 10_957  # days from 1970 to 2000
_MAX_ODOMETER = 42_949_672
_MAX_LATITUDE, _MAX_LONGITUDE = 90_000_000, 180_000_000
_HASH_SEED = np.uint64(0x9E3779B97F4A7C15)
_HASH_STEP = np.uint64(0xFF51AFD7ED558CCD)


class Scan(NamedTuple):
    """What the first pass finds. `clean` holds the messages without flags and escapes."""

    clean: Bytes  # as many bytes as the data
    head: NDArray[np.int64]  # [frame, MESSAGE..WHEN]; WHEN in us, -1 = no time
    fault: Bytes  # [frame]
    fault_offset: NDArray[np.int32]  # [frame]
    row: NDArray[np.int64]  # [report, FRAME..ROW_TIME]


class Fields(NamedTuple):
    """What the second pass reads; one element a report."""

    digest: NDArray[np.int64]
    have: NDArray[np.uint32]
    alarm: NDArray[np.uint32]
    status: NDArray[np.uint32]
    lamps: NDArray[np.uint32]  # item 0x25
    places: NDArray[np.float64]  # [4, n]: latitude, longitude, altitude, heading
    floats: NDArray[np.float32]  # [4, n]: speed, fuel, recorder's speed, temperature
    odometer: NDArray[np.int64]  # m
    analog: NDArray[np.int32]  # [2, n]
    shorts: NDArray[np.int16]  # [2, n]: signal strength, satellites
    sleep: NDArray[np.int8]
    flags: NDArray[np.uint32]  # [2, n]: partial, out of range
    stamps: Bytes  # 20 characters a report
    phones: Bytes  # 20 characters a report at most
    ends: NDArray[np.int32]  # [n + 1] of the phones


@inline
def _two(byte: int) -> int:
    """Two BCD digits; a number above 99 where they are none."""
    high, low = np.int64(byte) >> 4, np.int64(byte) & 15
    return 100 if high > 9 or low > 9 else 10 * high + low


@jit
def _time(data: Bytes, at: int) -> int:
    """bcd[6] of Beijing time in us since 1970 UTC; -1 where it is no time."""
    year, month, day = _two(data[at]), _two(data[at + 1]), _two(data[at + 2])
    hour, minute, second = _two(data[at + 3]), _two(data[at + 4]), _two(data[at + 5])
    if year > 99 or month < 1 or month > 12 or hour > 23 or minute > 59 or second > 59:
        return -1
    leap = 1 if year % 4 == 0 else 0
    long = 31 - ((month - 1) % 7 & 1)
    if month == 2:
        long = 28 + leap
    if day < 1 or day > long:
        return -1
    before = (367 * month - 362) // 12  # days of the months before, with a February of 30
    if month > 2:
        before -= 2 - leap
    days = _EPOCH_2000 + 365 * year + (year + 3) // 4 + before + day - 1
    seconds = days * _DAY_S + hour * 3600 + minute * 60 + second - _BEIJING_S
    return seconds * 1_000_000


@jit
def _unescape(data: Bytes, at: int, end: int, clean: Bytes, to: int) -> tuple[int, int, int, int]:
    """Copy up to the flag; (its place or -1, end in `clean`, XOR, place of a wrong escape)."""
    total = np.uint8(0)
    while at < end:
        byte = data[at]
        if byte == 0x7E:
            return at, to, np.int64(total), -1
        if byte == 0x7D:
            following = data[at + 1] if at + 1 < end else np.uint8(0x7E)
            if following == 1:
                at += 1
            elif following == 2:
                byte = np.uint8(0x7E)
                at += 1
            elif following != 0x7E:  # before the flag: a checksum that was sent as it is
                return -1, to, 0, at + 1
        clean[to] = byte
        total ^= byte
        to += 1
        at += 1
    return -1, to, np.int64(total), -1


@jit
def _header(clean: Bytes, at: int, end: int, total: int) -> tuple[int, int, int, int, int]:
    """Check one frame without flags; (fault, its offset, header bytes, packets, packet)."""
    size = end - at
    if size > _MAX_PLAIN:
        return LENGTH, 1 + _MAX_PLAIN, 0, 0, 0
    if size < 13:
        return TRUNCATED, 1 + size, 0, 0, 0
    if total != 0:
        return BCC, size, 0, 0, 0
    attributes = u16(clean, at + 2)
    item = 4 if attributes & 0x2000 else 0
    found = size - 1 - item - (attributes & 0x3FF)
    if not (found == 12 or (found == 17 and attributes & 0x4000)):
        return LENGTH, 3, 0, 0, 0
    first, last = (5, 15) if found == 17 else (4, 10)
    any_digit = 0
    for k in range(at + first, at + last):
        any_digit |= np.int64(clean[k])
        if _two(clean[k]) > 99:
            return PHONE, 1 + first, 0, 0, 0
    if any_digit == 0:
        return PHONE, 1 + first, 0, 0, 0
    packets = packet = 1
    if item:
        packets, packet = u16(clean, at + found), u16(clean, at + found + 2)
        if packet < 1 or packet > packets:
            return PACKET, found + 1, 0, 0, 0
    return OK, 0, found + item, packets, packet


@jit
def _take(clean: Bytes, to: int, end: int, header: int, head: NDArray[np.int64]) -> int:
    """Note the first frame of a message, or put the body of a further one behind; its end."""
    if head[PHONE_AT] == 0:
        head[MESSAGE] = u16(clean, to)
        head[EDITION] = 1 if header & 1 else 0
        head[PHONE_AT] = to + 5 - (1 - head[EDITION])
        head[BODY] = to + header
        head[END] = -1 if u16(clean, to + 2) & 0x1C00 else 0
        return end - 1
    for k in range(to + header, end - 1):
        clean[k - header] = clean[k]
    return end - 1 - header


@jit
def _message(
    data: Bytes, start: int, stop: int, clean: Bytes, to: int, head: NDArray[np.int64]
) -> tuple[int, int]:
    """One message, of one frame or of all its packets, into `clean`; (fault, offset)."""
    if stop - start < 2 or data[start] != 0x7E:
        return FLAG, 0
    at, number, packets = start + 1, 0, 1
    while at < stop:
        if data[at] == 0x7E:  # between two frames
            at += 1
            continue
        flag, end, total, wrong = _unescape(data, at, stop, clean, to)
        if wrong >= 0 or flag < 0:
            return ESCAPE if wrong >= 0 else FLAG, wrong - start if wrong >= 0 else stop - start
        fault, offset, header, count, packet = _header(clean, to, end, total)
        if fault != OK:
            return fault, at - start - 1 + offset
        number += 1
        if number == 1:
            packets = count
        if packet != number or count != packets:
            return PACKET, 0
        if number > 1 and u16(clean, to) != head[MESSAGE]:
            return PACKET, 0
        to = _take(clean, to, end, header, head)
        at = flag + 1
    if number != packets:
        return PACKET if number else TRUNCATED, 0
    if head[END] < 0:
        return ENCRYPTED, 0
    head[END] = to
    return OK, 0


@inline
def _report(scan: Scan, frame: int, rows: int, at: int, size: int, kind: int) -> tuple[int, int]:
    """Note one report; (rows now, fault)."""
    if size < _BASIC:
        return rows, OVERRUN
    time = _time(scan.clean, at + 22)
    if time < 0:
        return rows, TIME
    row = scan.row[rows]
    row[FRAME], row[AT], row[SIZE] = frame, at, size
    row[SOURCE] = 5 * scan.head[frame, EDITION] + kind
    row[ROW_TIME] = time
    if scan.head[frame, WHEN] < 0:
        scan.head[frame, WHEN] = time
    return rows + 1, OK


@jit
def _is_report(clean: Bytes, at: int, end: int) -> bool:
    """Whether a report that can be read begins here and ends there (see `reading.answer_at`)."""
    if end - at < _BASIC or _time(clean, at + 22) < 0:
        return False
    if u32(clean, at + 8) > _MAX_LATITUDE or u32(clean, at + 12) > _MAX_LONGITUDE:
        return False
    at += _BASIC
    while at + 1 < end:
        at += 2 + np.int64(clean[at + 1])
    return at == end


@inline
def _batch(scan: Scan, frame: int, rows: int, body: int, end: int) -> tuple[int, int, int]:
    """The reports of a 0x0704; (rows now, first fault, where)."""
    if end - body < 3:
        return rows, OVERRUN, body
    fault, place, at = OK, body, body + 3
    for _ in range(u16(scan.clean, body)):
        size = u16(scan.clean, at) if end - at >= 2 else 0
        if at + 2 + size > end or end - at < 2:
            return rows, OVERRUN if fault == OK else fault, at if fault == OK else place
        rows, found = _report(scan, frame, rows, at + 2, size, 3)
        if found != OK and fault == OK:
            fault, place = found, at + 2
        at += 2 + size
    return rows, fault, place


@_outer
def scan_frames(data: Bytes, bounds: NDArray[np.int32], scan: Scan) -> int:
    """Check the messages in `data` with n + 1 offsets `bounds`, find their reports; how many."""
    rows, to = 0, 0
    for frame in range(bounds.size - 1):
        head = scan.head[frame]
        head[:] = 0
        head[WHEN] = -1
        fault, offset = _message(
            data, np.int64(bounds[frame]), np.int64(bounds[frame + 1]), scan.clean, to, head
        )
        if fault == OK:
            message, body, end = head[MESSAGE], head[BODY], head[END]
            place = body
            if message == 0x0200:
                rows, fault = _report(scan, frame, rows, body, end - body, 0)
            elif message in (0x0201, 0x0500):
                kind = 1 if message == 0x0201 else 2
                place = body + 2
                if kind == 1 and head[EDITION] == 0 and not _is_report(scan.clean, body + 2, end):
                    place = body if _is_report(scan.clean, body, end) else body + 2
                rows, fault = _report(scan, frame, rows, place, end - place, kind)
            elif message == 0x0704:
                rows, fault, place = _batch(scan, frame, rows, body, end)
            elif message == 0x0801 and end - body >= 8 + _BASIC:
                rows, _ = _report(scan, frame, rows, body + 8, _BASIC, 4)
            offset = 1 + place - to
            to = end
        scan.fault[frame] = fault
        scan.fault_offset[frame] = offset if fault != OK else 0
    return rows


@jit
def _digest(data: Bytes, begin: int, end: int) -> int:
    """64-bit content hash of data[begin:end]; the last word is padded with zeros."""
    state = _HASH_SEED ^ np.uint64(end - begin)
    whole = begin + (end - begin >> 3 << 3)
    for at in range(begin, whole, 8):
        state = (state ^ load64(data, at)) * _HASH_STEP
        state ^= state >> np.uint64(32)
    if whole < end:
        word = np.uint64(0)
        for at in range(whole, end):
            word |= np.uint64(data[at]) << np.uint64(at - whole << 3)
        state = (state ^ word) * _HASH_STEP
        state ^= state >> np.uint64(32)
    return np.int64(state)


@inline
def _item(clean: Bytes, number: int, at: int, size: int, fields: Fields, row: int) -> int:
    """One additional item of a known length; the bits of `have` that it brings."""
    if number == 0x01 and size == 4:
        raw = u32(clean, at)
        fields.odometer[row] = raw * 100
        if raw > _MAX_ODOMETER:
            fields.flags[1, row] = 1
        return 1 << HAS_ODOMETER
    if number == 0x02 and size == 2:
        fields.floats[1, row] = np.float32(u16(clean, at) / 10.0)
        return 1 << HAS_FUEL
    if number == 0x03 and size == 2:
        fields.floats[2, row] = np.float32(u16(clean, at) / 10.0)
        return 1 << HAS_RECORDER
    if number == 0x25 and size == 4:
        bits = u32(clean, at)
        fields.lamps[row] = np.uint32(bits)
        return 1 << HAS_SIGNALS | (1 << HAS_NEUTRAL if bits & 1 << 10 else 0)
    if number == 0x30 and size == 1:
        fields.shorts[0, row] = np.int16(clean[at])
        return 1 << HAS_STRENGTH
    if number == 0x31 and size == 1:
        fields.shorts[1, row] = np.int16(clean[at])
        return 1 << HAS_SATELLITES
    if number == 0x06 and size == 2:
        raw = u16(clean, at)
        fields.floats[3, row] = np.float32(0x8000 - raw if raw >= 0x8000 else raw)
        return 1 << HAS_TEMPERATURE
    if number == 0x2A and size == 2:
        bits = u16(clean, at)
        fields.sleep[row] = np.int8(2 if bits & 1 else bits >> 1 & 1)
        return 1 << HAS_SLEEP
    if number == 0x2B and size == 4:
        fields.analog[1, row], fields.analog[0, row] = u16(clean, at), u16(clean, at + 2)
        return 1 << HAS_ANALOG
    return 0


@inline
def _basic(clean: Bytes, at: int, fields: Fields, row: int) -> int:
    """The basic part of a report; the bits of `have` that it brings."""
    status = u32(clean, at + 4)
    fields.alarm[row], fields.status[row] = u32(clean, at), status
    latitude, longitude = u32(clean, at + 8), u32(clean, at + 12)
    altitude, direction = u16(clean, at + 16), u16(clean, at + 20)
    north, east = latitude / 1e6, longitude / 1e6
    fields.places[0, row] = (-north if status & 4 else north) + 0.0
    fields.places[1, row] = (-east if status & 8 else east) + 0.0
    fields.places[2, row] = altitude - 0x10000 if altitude >= 0x8000 else altitude
    fields.places[3, row] = direction
    fields.floats[0, row] = np.float32(u16(clean, at + 18) / 10.0)
    if latitude > 90_000_000 or longitude > 180_000_000 or direction > 359:
        fields.flags[1, row] = 1
    if not status & 2:
        return 1 << HAS_NO_FIX
    return 0 if status & 32 else 1 << HAS_PLACE


@inline
def _digits(text: Bytes, at: int, number: int) -> None:
    text[at] = 48 + number // 10
    text[at + 1] = 48 + number % 10


@jit
def _date(days: int, text: Bytes, at: int) -> None:
    """YYYY-MM-DD of a day since 1970, by the civil calendar of Howard Hinnant's formula."""
    shifted = days + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    _digits(text, at, year // 100)
    _digits(text, at + 2, year % 100)
    _digits(text, at + 5, month)
    _digits(text, at + 8, day)
    text[at + 4] = text[at + 7] = 45


@inline
def _stamp(time: int, text: Bytes, at: int, day: int) -> int:
    """ISO 8601 of a time in us; the date is that before it where `day` is the same. The day."""
    seconds = time // 1_000_000
    days = seconds // _DAY_S
    if days == day:
        for k in range(10):
            text[at + k] = text[at - 20 + k]
    else:
        _date(days, text, at)
    rest = seconds - days * _DAY_S
    _digits(text, at + 11, rest // 3600)
    _digits(text, at + 14, rest // 60 % 60)
    _digits(text, at + 17, rest % 60)
    text[at + 10], text[at + 13], text[at + 16], text[at + 19] = 84, 58, 58, 90
    return days


@jit
def _phone(clean: Bytes, at: int, size: int, text: Bytes, to: int) -> int:
    """Digits of a phone number without leading zeros; where they end."""
    first = to
    for k in range(at, at + size):
        for half in range(2):
            digit = np.int64(clean[k]) >> 4 * (1 - half) & 15
            if digit or to > first:
                text[to] = 48 + digit
                to += 1
    return to


@_outer
def fill_rows(scan: Scan, count: int, fields: Fields) -> None:
    """Read the reports that `scan_frames` has found."""
    clean, day = scan.clean, -1
    fields.ends[0] = 0
    for row in range(count):
        frame, at = scan.row[row, FRAME], scan.row[row, AT]
        end = at + scan.row[row, SIZE]
        fields.flags[0, row] = fields.flags[1, row] = 0
        have = _basic(clean, at, fields, row)
        if scan.row[row, SOURCE] >= 5:
            have |= 1 << HAS_2019
        fields.digest[row] = _digest(clean, at, end)
        at += _BASIC
        while at < end:
            size = np.int64(clean[at + 1]) if at + 1 < end else 0
            if at + 2 + size > end:
                fields.flags[0, row] = 1
                break
            have |= _item(clean, clean[at], at + 2, size, fields, row)
            at += 2 + size
        fields.have[row] = have
        day = _stamp(scan.row[row, ROW_TIME], fields.stamps, 20 * row, day)
        fields.ends[row + 1] = _phone(
            clean, scan.head[frame, PHONE_AT], 10 if have & 1 << HAS_2019 else 6, fields.phones,
            fields.ends[row],
        )  # fmt: skip


@_outer
def pack_bits(words: NDArray[np.uint32], chosen: NDArray[np.int64], bits: Bytes) -> None:
    """Bits of the words as rows of bits, eight a byte: `bits[k]` is of bit `chosen[k]`.

    `words` has a multiple of eight, `bits` as many bytes a row as that needs.
    """
    for column in range(chosen.size):
        bit = np.uint32(chosen[column])
        row = bits[column]
        for k in range(row.size):
            byte = np.uint32(0)
            for j in range(8):
                byte |= (words[8 * k + j] >> bit & np.uint32(1)) << np.uint32(j)
            row[k] = np.uint8(byte)


@_outer
def count_bits(words: NDArray[np.uint32], counts: NDArray[np.int64]) -> None:
    """How many words have each of the lowest bits."""
    for bit in range(counts.size):
        found = np.int64(0)
        for k in range(words.size):
            found += np.int64(words[k] >> np.uint32(bit) & np.uint32(1))
        counts[bit] = found


@_outer
def list_bits(
    words: NDArray[np.uint32], count: int, masks: NDArray[np.uint32], which: NDArray[np.int64],
    names: Bytes, name_ends: NDArray[np.int64], ends: NDArray[np.int32],
    text_ends: NDArray[np.int32], text: Bytes,
) -> int:  # fmt: skip
    """The names of the bits that are set in each word under the mask of its kind; how many.

    `text_ends` and `text` have room for all, or are empty: then names and bytes are only counted,
    and `ends[0]` is the bytes.
    """
    found, size = 0, 0
    for k in range(count):
        word = np.int64(words[k] & masks[which[k]])
        if text_ends.size:
            ends[k] = found
        bit = 0
        while word:
            if word & 1:
                if text_ends.size:
                    text_ends[found] = size
                    for at in range(name_ends[bit], name_ends[bit + 1]):
                        text[size + at - name_ends[bit]] = names[at]
                size += name_ends[bit + 1] - name_ends[bit]
                found += 1
            word >>= 1
            bit += 1
    if text_ends.size:
        ends[count], text_ends[found] = found, size
    else:
        ends[0] = size
    return found
