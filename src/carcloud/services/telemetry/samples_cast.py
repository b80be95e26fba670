"""Values of one signal, as parsers made them, as a column of the signal's type: all at once.

A value of another type is `wrong` and has no place in the column. One that the column holds is
kept, also outside the signal's range: `ranges` flags those of every protocol.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from carcloud.model.catalogue import INTEGERS, Signal
from carcloud.model.signals import arrow_type

Words = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

MAX_TEXT: Final = 65_536  # characters
_KINDS: Final[dict[str, tuple[frozenset[type], str]]] = {
    "boolean": (frozenset({bool}), "true or false"),
    "string": (frozenset({str}), "text"),
    **dict.fromkeys(INTEGERS, (frozenset({int}), "a whole number")),
    **dict.fromkeys(("float", "double"), (frozenset({int, float}), "a number")),
}
_FACTOR: Final = np.uint64(0xFF51AFD7ED558CCD)


@dataclass(frozen=True, slots=True)
class Cast:
    """Values of one signal as its column has them.

    `column`: Arrow array, shape (m,), of the values that fit. `which`: int64 (m,), their places
    among the values given. `words`: uint64 (m,), equal for equal values.
    `wrong`: place -> what is wrong with a value that does not fit.
    """

    column: pa.Array
    which: npt.NDArray[np.int64]
    words: Words
    wrong: dict[int, str]


def cast(values: Sequence[Any], signal: Signal) -> Cast:
    """The values as the signal's type."""
    wrong: dict[int, str] = {}
    array = signal.datatype.endswith("[]")
    check = _misfit_array if array else _misfit
    kinds, wanted = _KINDS[signal.scalar]
    there = set(map(type, chain.from_iterable(values) if array and _lists(values) else values))
    if (array and not _lists(values)) or not there <= kinds:
        values = [check(value, place, kinds, wanted, wrong) for place, value in enumerate(values)]
    if array:
        return _arrays(values, signal, wrong)
    if signal.scalar == "string":
        return _texts(values, wrong)
    return _numbers(values, signal, wrong)


def mixed(words: Words) -> Words:
    """Each word spread over its 64 bits (the finaliser of MurmurHash3)."""
    words = (words ^ (words >> np.uint64(33))) * _FACTOR
    words = (words ^ (words >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return words ^ (words >> np.uint64(33))


def word(content: bytes) -> int:
    """64 bits that stand for some bytes."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _lists(values: Sequence[Any]) -> bool:
    return set(map(type, values)) <= {list}


def _misfit(
    value: Any, place: int, kinds: frozenset[type], wanted: str, wrong: dict[int, str]
) -> Any:
    """The value, a whole float as integer, or None where it does not fit."""
    if type(value) in kinds:
        return value
    if type(value) is float and int in kinds and value.is_integer():
        return int(value)
    wrong[place] = f"{_name(value)} where {wanted} is wanted"
    return None


def _misfit_array(
    value: Any, place: int, kinds: frozenset[type], wanted: str, wrong: dict[int, str]
) -> Any:
    if type(value) is not list:
        wrong[place] = f"{_name(value)} where an array is wanted"
        return None
    made = [_misfit(one, place, kinds, wanted, wrong) for one in value]
    return None if place in wrong else made


def _name(value: Any) -> str:
    names = {bool: "a boolean", str: "text", list: "an array", dict: "an object"}
    if value is None:
        return "no value"
    return names.get(type(value), "a number" if isinstance(value, int | float) else "bytes")


def _numbers(values: Sequence[Any], signal: Signal, wrong: dict[int, str]) -> Cast:
    raw, fits = _vector(values, signal, wrong)
    stored = raw.astype(arrow_type(signal.datatype).to_pandas_dtype(), copy=False)
    words = _words(raw)
    which = np.flatnonzero(fits)
    if len(which) < len(values):
        stored, words = stored[fits], words[fits]
    return Cast(pa.array(stored), which, words, wrong)


def _vector(
    values: Sequence[Any], signal: Signal, wrong: dict[int, str]
) -> tuple[npt.NDArray[Any], Mask]:
    """Numbers (int64, float64 or bool) and which of them the column can hold."""
    if signal.scalar == "boolean":
        kind: Any = np.bool_
    else:
        kind = np.int64 if signal.scalar in INTEGERS else np.float64
    if wrong:
        values = [0 if value is None else value for value in values]
    try:
        raw = np.array(values, kind)
    except OverflowError:
        values = [_small(value, place, wrong) for place, value in enumerate(values)]
        raw = np.array(values, kind)
    fits = np.ones(len(raw), np.bool_)
    if kind is np.float64:
        largest = np.finfo(np.float32 if signal.scalar == "float" else np.float64).max
        fits = np.abs(raw) <= largest
        _tell(fits, wrong, "not a finite number, or too large for its type")
    elif kind is np.int64:
        bounds = np.iinfo(arrow_type(signal.scalar).to_pandas_dtype())
        fits = (raw >= bounds.min) & (raw <= bounds.max)
        _tell(fits, wrong, "too large for its type")
    fits[list(wrong)] = False
    return np.where(fits, raw, 0) if not fits.all() else raw, fits


def _small(value: Any, place: int, wrong: dict[int, str]) -> Any:
    if -(1 << 63) <= value < 1 << 63:
        return value
    wrong[place] = "too large for its type"
    return 0


def _tell(fits: Mask, wrong: dict[int, str], reason: str) -> None:
    for place in np.flatnonzero(~fits).tolist():
        wrong.setdefault(place, reason)


def _words(raw: npt.NDArray[Any]) -> Words:
    """The bits of numbers; a zero has no sign."""
    if raw.dtype == np.float64:
        return (raw + 0.0).view(np.uint64)
    return raw.astype(np.int64, copy=False).view(np.uint64)


def _texts(values: Sequence[Any], wrong: dict[int, str]) -> Cast:
    coded = pa.array(values, pa.string()).dictionary_encode()
    known = coded.dictionary
    long = pc.greater(pc.utf8_length(known), MAX_TEXT).to_numpy(zero_copy_only=False)
    indices = coded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    fits = np.ones(len(values), np.bool_)
    if long.any():
        fits = ~long[indices]
        _tell(fits, wrong, f"text of over {MAX_TEXT} characters")
    fits[list(wrong)] = False
    which = np.flatnonzero(fits)
    indices = indices[which]
    words = np.array([word(text.encode()) for text in known.to_pylist()], np.uint64)[indices]
    return Cast(known.take(pa.array(indices)), which, words, wrong)


def _arrays(values: Sequence[Any], signal: Signal, wrong: dict[int, str]) -> Cast:
    """As for single values, over all elements; an array with one that does not fit does not."""
    good = [place for place in range(len(values)) if place not in wrong]
    flat, owner = _flattened(values, good)
    amiss: dict[int, str] = {}
    if signal.scalar == "string":
        made = _texts(flat, amiss)
    else:
        made = _numbers(flat, replace(signal, datatype=signal.scalar), amiss)
    for element, reason in amiss.items():
        wrong.setdefault(good[int(owner[element])], reason)
    if amiss:
        return _arrays(values, signal, wrong)
    sizes = np.array([len(values[place]) for place in good], np.int64)
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    within = np.arange(len(flat)) - offsets[owner]
    spread = mixed(made.words + within.astype(np.uint64) * _FACTOR)
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(spread)))
    words = sums[offsets[1:]] - sums[offsets[:-1]] + sizes.astype(np.uint64)
    column = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), made.column)
    return Cast(column, np.array(good, np.int64), words, wrong)


def _flattened(
    values: Sequence[Any], good: Sequence[int]
) -> tuple[list[Any], npt.NDArray[np.int64]]:
    """All elements of the good arrays, and for each the number of its array among them."""
    flat = list(chain.from_iterable(values[place] for place in good))
    sizes = [len(values[place]) for place in good]
    return flat, np.repeat(np.arange(len(good)), sizes)
