"""Compiled passes over whole logs: which frames belong together, and the values of their signals.

One pass numbers the distinct ids, one puts the frames of each into order, and one reads all
signals of a message from its frames, a few hundred frames at a time: their words are gathered
once, then each signal is a shift, a mask and a multiplication over words that are in the cache.
"""

# Integers are numpy's here, which the compiler takes for plain ones and the type checker does not.
# mypy: disable-error-code="arg-type, assignment, return-value, unreachable, var-annotated"
# mypy: disable-error-code="no-any-return"
# Compiled code gets its arrays by position.

import numpy as np
from numpy.typing import NDArray

from carcloud.codecs.kernel_words import as_double, as_float, cached, load64, load64_big

# Columns of Plan.windows: eight or nine bytes from which signals are read
OFFSET, BIG, BITS, FIRST, LAST = range(5)
# Columns of Plan.words, one row a signal: kind, shift, mask, bit to flip
KIND, SHIFT, MASK, FLIP = range(4)
# Columns of Plan.reals
BIAS, LIMIT, FACTOR, ADDEND = range(4)
# Kinds of raw values; SMALL has at most 52 bits
SMALL, SIGNED, UNSIGNED, FLOAT32, FLOAT64 = range(5)

CHUNK = 512  # frames read at once: their words stay in the nearest cache
SMALL_BITS = 52
_MAGIC = 0x4330000000000000  # 2^52 as a float64; the mantissa below it counts ones
BROKEN, CROWDED = -1, -2
_SKIPPED_FLAGS = 6  # error and remote frames, as CanFrames marks them
_HASH = 0x9E3779B97F4A7C15


@cached
def number_ids(
    can_id: NDArray[np.uint32],
    extended: NDArray[np.bool_],
    bus: NDArray[np.uint8],
    flags: NDArray[np.uint8],
    length: NDArray[np.uint16],
    start: NDArray[np.int64],
    total: int,
    table: NDArray[np.int32],
    slot: NDArray[np.int32],
    keys: NDArray[np.uint64],
    counts: NDArray[np.int64],
    shortest: NDArray[np.int64],
) -> int:
    """The number of distinct (bus, extended, id); `slot` says which one a frame has, or -1.

    `table` is a hash table of a power of two of -1. BROKEN where a payload lies outside of
    `total` bytes, CROWDED where the table is too small.
    """
    used = 0
    bits = np.uint64(table.size - 1)
    for i in range(can_id.size):
        if start[i] < 0 or start[i] + np.int64(length[i]) > total:
            return BROKEN
        if flags[i] & _SKIPPED_FLAGS:
            slot[i] = -1
            continue
        key = np.uint64(can_id[i]) | np.uint64(extended[i]) << np.uint64(31)
        key |= np.uint64(bus[i]) << np.uint64(32)
        at = (key * np.uint64(_HASH)) >> np.uint64(40)
        while True:
            found = table[np.int64(at & bits)]
            if found < 0:
                if used >= keys.size:
                    return CROWDED
                found = np.int32(used)
                table[np.int64(at & bits)] = found
                keys[used] = key
                counts[used] = 0
                shortest[used] = np.int64(length[i])
                used += 1
                break
            if keys[found] == key:
                break
            at += np.uint64(1)
        slot[i] = found
        counts[found] += 1
        shortest[found] = min(shortest[found], np.int64(length[i]))
    return used


@cached
def put_in_order(
    slot: NDArray[np.int32], position: NDArray[np.int64], order: NDArray[np.int64]
) -> None:
    """The indices of frames by slot. `position` is where each slot's begin, -1 to leave it out."""
    for i in range(slot.size):
        if slot[i] >= 0:
            at = position[slot[i]]
            if at >= 0:
                order[at] = i
                position[slot[i]] = at + 1


@cached
def _bytes(payload: NDArray[np.uint8], at: int, big: bool) -> np.uint64:
    """Eight bytes near the end of the payload; those behind it count as zero."""
    word = np.uint64(0)
    for k in range(8):
        if at + k < payload.size:
            shift = np.uint64(56 - 8 * k if big else 8 * k)
            word |= np.uint64(payload[at + k]) << shift
    return word


@cached
def _gather(
    payload: NDArray[np.uint8],
    start: NDArray[np.int64],
    order: NDArray[np.int64],
    low: int,
    window: NDArray[np.int64],
    words: NDArray[np.uint64],
) -> None:
    """The words of the frames order[low:]; BITS of the ninth byte move in where they are wanted."""
    offset, big, bits = window[OFFSET], window[BIG] != 0, window[BITS]
    safe = payload.size - 9
    for j in range(words.size):
        at = start[order[low + j]] + offset
        if at > safe:
            word = _bytes(payload, at, big)
        elif big:
            word = load64_big(payload, at)
        else:
            word = load64(payload, at)
        if bits > 0:
            ninth = np.uint64(payload[at + 8]) if at + 8 < payload.size else np.uint64(0)
            if big:
                word = word << np.uint64(bits) | ninth >> np.uint64(8 - bits)
            else:
                word = word >> np.uint64(bits) | ninth << np.uint64(64 - bits)
        words[j] = word


@cached
def _values(
    words: NDArray[np.uint64],
    spec: NDArray[np.uint64],
    reals: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Physical values of one signal from words; NaN from the limit on."""
    kind, shift, mask, flip = spec[KIND], spec[SHIFT], spec[MASK], spec[FLIP]
    bias, limit, factor, addend = reals[BIAS], reals[LIMIT], reals[FACTOR], reals[ADDEND]
    plain = factor == 1.0 and addend == 0.0
    if kind == SMALL and limit == np.inf:
        for j in range(words.size):
            word = ((words[j] >> shift) & mask) ^ flip
            out[j] = (as_double(word | np.uint64(_MAGIC)) - bias) * factor + addend
    elif kind == SMALL:
        for j in range(words.size):
            word = ((words[j] >> shift) & mask) ^ flip
            raw = as_double(word | np.uint64(_MAGIC)) - bias
            out[j] = np.nan if raw >= limit else raw * factor + addend
    elif kind == FLOAT32:
        for j in range(words.size):
            value = np.float64(as_float(np.uint32((words[j] >> shift) & mask)))
            out[j] = value if plain else value * factor + addend
    elif kind == FLOAT64:
        for j in range(words.size):
            value = as_double((words[j] >> shift) & mask)
            out[j] = value if plain else value * factor + addend
    elif kind == SIGNED:
        for j in range(words.size):
            raw = np.int64((((words[j] >> shift) & mask) ^ flip) - flip)
            out[j] = np.float64(raw) * factor + addend
    else:
        for j in range(words.size):
            out[j] = np.float64((words[j] >> shift) & mask) * factor + addend


@cached
def read_signals(
    payload: NDArray[np.uint8],
    start: NDArray[np.int64],
    order: NDArray[np.int64],
    windows: NDArray[np.int64],
    specs: NDArray[np.uint64],
    reals: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """All signals of the frames `order`: out [signal, frame]."""
    scratch = np.empty(CHUNK, np.uint64)
    for low in range(0, order.size, CHUNK):
        high = min(low + CHUNK, order.size)
        words = scratch[: high - low]
        for w in range(windows.shape[0]):
            _gather(payload, start, order, low, windows[w], words)
            for s in range(windows[w, FIRST], windows[w, LAST]):
                _values(words, specs[s], reals[s], out[s, low:high])


@cached
def read_words(
    payload: NDArray[np.uint8],
    start: NDArray[np.int64],
    order: NDArray[np.int64],
    window: NDArray[np.int64],
    spec: NDArray[np.uint64],
    out: NDArray[np.uint64],
) -> None:
    """The bits of one signal in the frames `order`, as they are, with its sign extended."""
    _gather(payload, start, order, 0, window, out)
    for j in range(out.size):
        out[j] = (((out[j] >> spec[SHIFT]) & spec[MASK]) ^ spec[FLIP]) - spec[FLIP]
