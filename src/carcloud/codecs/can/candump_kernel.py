"""The compiled reader of candump lines; `candump.read_plainly` is its reference.

It takes the usual lines. For all others the caller reads the block plainly, which knows more forms
and says what is wrong.
"""

# Integers are numpy's here, which the compiler takes for plain ones and the type checker does not.
# mypy: disable-error-code="arg-type, assignment, return-value, no-any-return, untyped-decorator"

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from carcloud.codecs.can.frames import CanFrames

Bytes = NDArray[np.uint8]
# Only compiled code calls these: no wrappers for Python and C, which take most of the time.
_OUTER: dict[str, Any] = {"nogil": True, "_nrt": False}
_INNER: dict[str, Any] = {**_OUTER, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_inner = njit(**_INNER)

SPACE, TAB, RETURN, NEWLINE = 32, 9, 13, 10
HASH, OPEN, CLOSE, DOT, ZERO, NINE = 35, 40, 41, 46, 48, 57
LETTER_R, LETTER_T, SQUARE, SQUARE_END, DELETE = 82, 84, 91, 93, 127
NAME_BYTES = 16
MOST_NAMES = 64
# FD, ERROR, REMOTE, TRANSMITTED, BRS, ESI of frames.py
F_FD, F_ERROR, F_REMOTE, F_TRANSMITTED, F_BRS, F_ESI = 1, 2, 4, 8, 16, 32
STRANGE = -1


class Columns(NamedTuple):
    """What the kernel fills; see CanFrames. names: uint8 (MOST_NAMES, NAME_BYTES), zero-filled."""

    time: NDArray[np.int64]
    bus: Bytes
    can_id: NDArray[np.uint32]
    extended: NDArray[np.bool_]
    flags: Bytes
    length: NDArray[np.uint16]
    payload: Bytes
    names: Bytes


def read_block(block: bytes, names: list[bytes]) -> CanFrames | None:
    """The frames of whole lines, and the interfaces that `bus` counts; None for odd lines."""
    text = np.frombuffer(block, np.uint8)
    lines = block.count(b"\n") + 1
    columns = Columns(
        np.empty(lines, np.int64),
        np.empty(lines, np.uint8),
        np.empty(lines, np.uint32),
        np.empty(lines, np.bool_),
        np.empty(lines, np.uint8),
        np.empty(lines, np.uint16),
        np.empty(len(text) // 2 + 1, np.uint8),
        np.zeros((MOST_NAMES, NAME_BYTES), np.uint8),
    )
    frames, used, interfaces = _read(text, columns)
    if frames == STRANGE:
        return None
    names.extend(columns.names[i].tobytes().rstrip(b"\0") for i in range(interfaces))
    return CanFrames.build(
        columns.time[:frames],
        columns.can_id[:frames],
        columns.payload[:used],
        columns.length[:frames],
        bus=columns.bus[:frames],
        extended=columns.extended[:frames],
        flags=columns.flags[:frames],
    )


def warm() -> None:
    """Compile the kernel, or load it from the cache."""
    if read_block(b"(1.000000) can0 123#00\n", []) is None:
        raise RuntimeError("the compiled reader does not read a usual line")


@_inner
def _hex(byte: int) -> int:
    if 48 <= byte <= 57:
        return byte - 48
    if 65 <= byte <= 70:
        return byte - 55
    if 97 <= byte <= 102:
        return byte - 87
    return STRANGE


@_inner
def _blanks(text: Bytes, at: int, end: int) -> int:
    while at < end and (text[at] == SPACE or text[at] == TAB):
        at += 1
    return at


@_inner
def _time(text: Bytes, at: int, end: int, columns: Columns, n: int) -> int:
    """`(seconds.fraction)`; the place behind it, or STRANGE."""
    if at >= end or text[at] != OPEN:
        return STRANGE
    at += 1
    seconds = 0
    first = at
    while at < end and ZERO <= text[at] <= NINE:
        seconds = seconds * 10 + (text[at] - ZERO)
        at += 1
    if at == first or at - first > 10 or at >= end or text[at] != DOT:
        return STRANGE
    at += 1
    first = at
    fraction = 0
    scale = 1000000000
    while at < end and ZERO <= text[at] <= NINE:
        fraction = fraction * 10 + (text[at] - ZERO)
        scale //= 10
        at += 1
    if at == first or at - first > 9 or at + 1 >= end or text[at] != CLOSE:
        return STRANGE
    if text[at + 1] != SPACE and text[at + 1] != TAB:
        return STRANGE
    columns.time[n] = seconds * 1000000000 + fraction * scale
    return _blanks(text, at + 1, end)


@_inner
def _name(text: Bytes, at: int, end: int, names: Bytes, known: int) -> tuple[int, int]:
    """(index of the name, place behind it and the blanks); the index is known for a new one."""
    first = at
    while at < end and SPACE < text[at] < DELETE:
        at += 1
    size = at - first
    if size < 1 or size > NAME_BYTES or at == end or (text[at] != SPACE and text[at] != TAB):
        return STRANGE, at
    behind = _blanks(text, at, end)
    for index in range(known):
        same = size == NAME_BYTES or names[index, size] == 0
        for byte in range(size):
            if names[index, byte] != text[first + byte]:
                same = False
                break
        if same:
            return index, behind
    if known == len(names):
        return STRANGE, at
    for byte in range(size):
        names[known, byte] = text[first + byte]
    return known, behind


@_inner
def _identifier(text: Bytes, at: int, end: int, columns: Columns, n: int) -> int:
    """Three or eight hex digits; the place behind them, or STRANGE."""
    first = at
    value = 0
    while at < end:
        digit = _hex(text[at])
        if digit < 0:
            break
        value = value * 16 + digit
        at += 1
    digits = at - first
    flags = 0
    if digits == 8:
        if value & 0x20000000:
            flags = F_ERROR
            value &= 0x1FFFFFFF
        if value > 0x1FFFFFFF:
            return STRANGE
    elif digits != 3 or value > 0x7FF:
        return STRANGE
    columns.can_id[n] = value
    columns.extended[n] = digits == 8
    columns.flags[n] = flags
    return at


@_inner
def _compact(text: Bytes, at: int, end: int, columns: Columns, n: int, used: int) -> int:
    """What follows the first `#`; how many bytes of payload, or STRANGE."""
    if at < end and text[at] == HASH:
        if at + 1 >= end:
            return STRANGE
        mark = _hex(text[at + 1])
        if mark < 0:
            return STRANGE
        columns.flags[n] |= F_FD | (F_BRS if mark & 1 else 0) | (F_ESI if mark & 2 else 0)
        at += 2
    size = 0
    if at < end and text[at] == LETTER_R:
        columns.flags[n] |= F_REMOTE
        at += 1
        if at < end and _hex(text[at]) >= 0:
            at += 1
    else:
        while at + 1 < end:
            high, low = _hex(text[at]), _hex(text[at + 1])
            if high < 0 or low < 0:
                break
            columns.payload[used + size] = high * 16 + low
            size += 1
            at += 2
    behind = _blanks(text, at, end)
    if behind > at and behind + 1 == end:
        if text[behind] == LETTER_T:
            columns.flags[n] |= F_TRANSMITTED
        elif text[behind] != LETTER_R:
            return STRANGE
    elif behind != end:
        return STRANGE
    return size


@_inner
def _printed(text: Bytes, at: int, end: int, columns: Columns, n: int, used: int) -> int:
    """What follows the identifier and blanks; how many bytes of payload, or STRANGE."""
    if at >= end or text[at] != SQUARE:
        return STRANGE
    at += 1
    first = at
    size = 0
    while at < end and ZERO <= text[at] <= NINE:
        size = size * 10 + (text[at] - ZERO)
        at += 1
    digits = at - first
    if digits < 1 or digits > 2 or at >= end or text[at] != SQUARE_END:
        return STRANGE
    if digits == 2:
        columns.flags[n] |= F_FD
    at += 1
    for byte in range(size):
        behind = _blanks(text, at, end)
        if behind == at or behind + 1 >= end:
            return STRANGE
        high, low = _hex(text[behind]), _hex(text[behind + 1])
        if high < 0 or low < 0:
            return STRANGE
        columns.payload[used + byte] = high * 16 + low
        at = behind + 2
    if at < end and text[at] != SPACE and text[at] != TAB:
        return STRANGE
    return size if size or at == end else STRANGE


@njit(cache=True, **_OUTER)
def _read(text: Bytes, columns: Columns) -> tuple[int, int, int]:
    """(frames, bytes of payload, interfaces); frames is STRANGE where a line is odd."""
    n, used, known, begin = 0, 0, 0, 0
    while begin < len(text):
        stop = begin
        while stop < len(text) and text[stop] != NEWLINE:
            stop += 1
        end = stop
        while end > begin and text[end - 1] in (SPACE, TAB, RETURN):
            end -= 1
        at = _blanks(text, begin, end)
        begin = stop + 1
        if at == end or text[at] == HASH:
            continue
        at = _time(text, at, end, columns, n)
        if at < 0:
            return STRANGE, used, known
        bus, at = _name(text, at, end, columns.names, known)
        if bus < 0:
            return STRANGE, used, known
        at = _identifier(text, at, end, columns, n)
        if at < 0 or at >= end:
            return STRANGE, used, known
        if text[at] == HASH:
            size = _compact(text, at + 1, end, columns, n, used)
        else:
            size = _printed(text, _blanks(text, at, end), end, columns, n, used)
        if size < 0 or size > (64 if columns.flags[n] & F_FD else 8):
            return STRANGE, used, known
        known = max(known, bus + 1)
        columns.bus[n] = bus
        columns.length[n] = size
        used += size
        n += 1
    return n, used, known
