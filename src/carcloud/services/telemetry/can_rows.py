"""Series of mapped signals laid out as rows of `signals`: one row a moment, a column a signal."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from carcloud.services.telemetry.ranges import FLAGGED, FLAGGED_TYPE, OUT_OF_RANGE
from carcloud.services.telemetry.samples_cast import mixed, word
from carcloud.services.vocabulary.mapping_apply import Series

Ints = npt.NDArray[np.int64]
TIME: Final = pa.timestamp("us", "UTC")


def lay_rows(series: Sequence[Series]) -> pa.Table:
    """Columns time, digest, out_of_range, `flagged` where a value is, and one of each path; by
    time. Times are cut to us; of two values of a signal in one moment the later series' stays.

    A row's digest is of its values alone, whatever the order they were found in.
    """
    told = [(one, one.values.is_valid().to_numpy(zero_copy_only=False)) for one in series]
    stamps = [one.time[there] // 1000 for one, there in told]
    times = np.unique(np.concatenate(stamps)) if stamps else np.zeros(0, np.int64)
    count = len(times)
    where: dict[str, Ints] = {}  # place of each row's value among all values of the path
    parts: dict[str, list[pa.Array]] = {}
    outside: dict[str, list[npt.NDArray[np.bool_]]] = {}
    for (one, there), stamp in zip(told, stamps, strict=True):
        place = where.setdefault(one.path, np.full(count, -1, np.int64))
        before = sum(map(len, parts.setdefault(one.path, [])))
        place[np.searchsorted(times, stamp)] = before + np.arange(len(stamp))
        parts[one.path].append(one.values.filter(pa.array(there)))
        outside.setdefault(one.path, []).append(one.flagged[there])
    return _table(times, where, parts, outside)


def _table(
    times: Ints,
    where: dict[str, Ints],
    parts: dict[str, list[pa.Array]],
    outside: dict[str, list[npt.NDArray[np.bool_]]],
) -> pa.Table:
    count = len(times)
    digest = np.zeros(count, np.uint64)
    out = np.zeros(count, np.bool_)
    named: list[list[str] | None] = [None] * count
    columns: dict[str, pa.Array] = {}
    for path, place in sorted(where.items()):
        values, flags = pa.concat_arrays(parts[path]), np.concatenate(outside[path])
        rows = np.flatnonzero(place >= 0)
        at = place[rows]
        digest[rows] += mixed(_words(values)[at] ^ np.uint64(word(path.encode())))
        for row in rows[flags[at]].tolist():
            out[row] = True
            named[row] = [*(named[row] or ()), path]
        columns[path] = values.take(pa.array(place, mask=place < 0))
    told = {FLAGGED: pa.array(named, FLAGGED_TYPE)} if out.any() else {}
    return pa.table(
        {
            "time": pa.array(times).cast(TIME),
            "digest": pa.array(digest.view(np.int64)),
            OUT_OF_RANGE: pa.array(out),
            **told,
            **columns,
        }
    )


def _words(values: pa.Array) -> npt.NDArray[np.uint64]:
    """64 bits that are equal for equal values; a zero has no sign."""
    words: npt.NDArray[np.uint64]
    if pa.types.is_list(values.type):
        return _list_words(values)
    if pa.types.is_string(values.type):
        coded = values.dictionary_encode()
        known = [word(text.encode()) for text in coded.dictionary.to_pylist()]
        at: Ints = coded.indices.to_numpy()
        words = np.array(known, np.uint64)[at]
        return words
    if pa.types.is_floating(values.type):
        numbers = values.cast(pa.float64()).to_numpy() + 0.0
    else:
        numbers = values.cast(pa.int64()).to_numpy()
    words = numbers.view(np.uint64)
    return words


def _list_words(values: pa.Array) -> npt.NDArray[np.uint64]:
    """Of lists without null: their elements' words and places."""
    flat, ends = values.flatten(), values.offsets.to_numpy().astype(np.int64)
    ends = ends - ends[0]
    there = flat.is_valid().to_numpy(zero_copy_only=False)
    words = np.full(len(flat), word(b"null"), np.uint64)
    words[there] = _words(flat.drop_null())
    within = np.arange(len(flat)) - np.repeat(ends[:-1], np.diff(ends))
    spread = mixed(words + mixed(within.astype(np.uint64) + np.uint64(1)))
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(spread)))
    told: npt.NDArray[np.uint64] = sums[ends[1:]] - sums[ends[:-1]]
    told += np.diff(ends).astype(np.uint64)
    return told
