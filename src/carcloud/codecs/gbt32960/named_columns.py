"""Fields of many reports by name, a column at a time; what `named` reads of one is the reference.

Vehicles of a model send reports that are laid out alike: the same units with the same counts, at
the same places. So the layout is found once, from the first of them, and its fields are taken from
all at once. Reports of many different layouts are read one after the other.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from carcloud.codecs.fields import Found, Mask, Numbers, OneByOne
from carcloud.codecs.gbt32960 import named
from carcloud.codecs.gbt32960.layout import BITS, Number
from carcloud.codecs.gbt32960.named import Field, Place
from carcloud.codecs.gbt32960.tables import ALARM_BITS

Ints = npt.NDArray[np.int64]

_FEWEST: Final = 4  # reports of a layout that are worth it
_MOST_TRIES: Final = 64  # layouts that are looked for in a block
_WORD: Final = 8  # bytes


@dataclass(frozen=True, slots=True, eq=False)
class _Alike:
    """Reports of one layout. rows: (k,), which of the block. starts: (k,), bytes into its data.
    frame: the first of them."""

    layout: named.Layout
    frame: bytes
    rows: Ints
    starts: Ints


class Block:
    """The fields of whole frames with a report in clear, as `codecs.fields.Fields`.

    frames: (n,). which: (m,), those whose fields are wanted, in this order.
    """

    def __init__(self, frames: pa.BinaryArray, which: npt.NDArray[np.integer[Any]]) -> None:
        offsets, self._data = _buffers(frames)
        starts = offsets[which]
        sizes = offsets[which + 1] - starts
        self._count = len(which)
        self._alike, odd = _sorted_out(self._data, starts, sizes)
        self._odd = np.array(odd, np.int64)
        self._rest = OneByOne(
            [named.report(_frame(self._data, starts[one], sizes[one])) for one in odd]
        )

    def raw(self, field: Field) -> Found:
        """As `Fields.raw`."""
        parts = [(one.rows, self._of(one, field, raw=True)) for one in self._alike]
        return self._together(parts, self._rest.raw(field))

    def value(self, field: Field) -> Found:
        """As `Fields.value`."""
        raw = field.place is None and field.bit is not None
        parts = [(one.rows, self._of(one, field, raw=raw)) for one in self._alike]
        return self._together(parts, self._rest.value(field))

    def _together(self, parts: Iterable[tuple[Ints, Found | None]], rest: Found) -> Found:
        found = [(rows, one) for rows, one in parts if one is not None and not one[1].all()]
        if len(self._odd):
            found.append((self._odd, rest))
        if len(found) == 1 and len(found[0][0]) == self._count:
            return found[0][1]
        kind = np.result_type(np.int64, *(one[0].dtype for _, one in found))
        numbers, missing = np.zeros(self._count, kind), np.ones(self._count, np.bool_)
        for rows, (of_rows, without) in found:
            numbers[rows], missing[rows] = of_rows, without
        return numbers, missing

    def _of(self, alike: _Alike, field: Field, *, raw: bool) -> Found | None:
        """Of reports of one layout; None where it does not have the field."""
        if field.place is not None:
            return self._own(alike, field.place, raw=raw)
        if field.bit is not None and field.bit >= ALARM_BITS[alike.layout.edition]:
            return None
        place = alike.layout.number(field.path, alike.frame)
        if place is None:
            return None
        row, at = place
        codes = _integers(self._data, alike.starts + at, row.wire)
        missing = _no_value(row, codes)
        if raw:
            return _without(codes if field.bit is None else codes >> field.bit & 1, missing)
        if row.scale == 1:
            return _without(codes + row.offset, missing)
        return _without((codes + row.zero) / row.scale.denominator, missing)

    def _own(self, alike: _Alike, place: Place, *, raw: bool) -> Found | None:
        """Of a maker's unit."""
        start, end = alike.layout.units.get(place.unit, (0, 0))
        if start + place.at + place.size > end:
            return None
        at = alike.starts + (start + place.at)
        order = "<" if place.little_endian else ">"
        if place.kind == "f":
            numbers = _taken(self._data, at, f"{order}f{place.size}").astype(np.float64)
            return _whole(numbers) if raw else _without(numbers, ~np.isfinite(numbers))
        codes = _integers(self._data, at, place.size, place.kind, order)
        if place.bit is not None:
            codes = codes >> place.bit & 1
        return codes, np.zeros(len(codes), np.bool_)


def _no_value(row: Number, codes: Ints) -> Mask:
    """As `layout.Number.marker` and `reading.physical` say of one code."""
    highest = (1 << 8 * row.wire) - 1
    low, high = row.valid or (0, highest)
    if row.sentinels != BITS:
        high = min(high, highest - 2)
    return (codes < low) | (codes > high)


def _without(numbers: Numbers, missing: Mask) -> Found:
    if missing.any():
        numbers[missing] = 0
    return numbers, missing


def _whole(numbers: npt.NDArray[np.float64]) -> Found:
    """Those that are whole and an int64."""
    missing = ~(np.trunc(numbers) == numbers)
    missing |= ~((numbers >= -(2.0**63)) & (numbers < 2.0**63))
    return np.where(missing, 0, numbers).astype(np.int64), missing


def _integers(
    data: npt.NDArray[np.uint8], at: Ints, size: int, kind: str = "u", order: str = ">"
) -> Ints:
    """Whole numbers of so many bytes, one at each place."""
    if size != 3:
        return _taken(data, at, f"{order}{kind}{size}").astype(np.int64)
    low, high = (at, at + 2) if order == "<" else (at + 2, at)
    top = data[high].astype(np.int8 if kind == "i" else np.uint8).astype(np.int64)
    return top << 16 | data[at + 1].astype(np.int64) << 8 | data[low]


def _taken(data: npt.NDArray[np.uint8], at: Ints, kind: str) -> npt.NDArray[Any]:
    """Numbers of a kind, one at each place, wherever that is."""
    size = np.dtype(kind).itemsize
    return np.ndarray((len(data) - size + 1,), kind, data, strides=(1,))[at]


def _sorted_out(
    data: npt.NDArray[np.uint8], starts: Ints, sizes: Ints
) -> tuple[list[_Alike], list[int]]:
    """The reports that are laid out alike, and those that are left."""
    found: list[_Alike] = []
    odd: list[int] = []
    left, done = np.arange(len(starts)), np.zeros(len(starts), np.bool_)
    for _ in range(_MOST_TRIES):
        if len(left) < _FEWEST:
            break
        frame = _frame(data, starts[left[0]], sizes[left[0]])
        decisive: list[int] = []
        layout = named.laid_out(frame, decisive)
        rows = left[sizes[left] == len(frame)]
        rows = _equal(data, starts, rows, len(frame), [at for at in decisive if at < len(frame)])
        if len(rows) < _FEWEST:
            odd += rows.tolist()
        else:
            found.append(_Alike(layout, frame, rows, starts[rows]))
        done[rows] = True
        left = left[~done[left]]
    return found, sorted(odd + left.tolist())


def _equal(
    data: npt.NDArray[np.uint8], starts: Ints, rows: Ints, size: int, places: Iterable[int]
) -> Ints:
    """The reports, all of one size, that have the same bytes as the first of them at these
    places."""
    at = starts[rows]
    for place, mask in _words(size, places).items():
        wire = _taken(data, at + place, "<u8") & np.uint64(mask)
        same = wire == wire[0]
        if not same.all():
            rows, at = rows[same], at[same]
    return rows


def _words(size: int, places: Iterable[int]) -> dict[int, int]:
    """Where eight bytes begin of which some, marked by ones, are at these places; they go up."""
    found: dict[int, int] = {}
    begin = -_WORD
    for place in places:
        if place >= begin + _WORD:
            begin = min(place, size - _WORD)
            found[begin] = 0
        found[begin] |= 0xFF << 8 * (place - begin)
    return found


def _frame(data: npt.NDArray[np.uint8], start: int, size: int) -> bytes:
    return data[start : start + size].tobytes()


def _buffers(frames: pa.BinaryArray) -> tuple[Ints, npt.NDArray[np.uint8]]:
    """Where each begins, and behind them where the last ends, and the bytes of all."""
    _, offsets, data = frames.buffers()
    if offsets is None or not len(frames):
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    bounds = np.frombuffer(offsets, np.int32)[frames.offset : frames.offset + len(frames) + 1]
    return bounds.astype(np.int64), np.frombuffer(data or b"", np.uint8)
