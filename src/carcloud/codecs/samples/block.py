"""Many payloads at once, as ingest has them: `read` of each, and faster where they are alike.

Vehicles send the same signals again and again, so most rows of protobuf differ in their values
alone: all else (tags, lengths, names) are the same bytes at the same places. Pieces of one size are
put side by side as a matrix of bytes; those that have the bytes of the first one between its
values are read column by column. All others are left to `protobuf_batch`, which looks at each
field and tells what is wrong.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from carcloud.codecs.samples import protobuf_batch
from carcloud.codecs.samples.batch import END_OF_TIME, Batch, InvalidBatch, check_size
from carcloud.codecs.samples.protobuf_batch import ROWS, Moment, Span
from carcloud.codecs.samples.protobuf_wire import (
    BYTES,
    ELEMENTS,
    FIXED64,
    VARINT,
    field,
    read_array,
    read_text,
)
from carcloud.codecs.samples.read import form_of, read

_LONGEST: Final = 65_536  # bytes of a piece that is read so
_FEWEST: Final = 8  # pieces of a size, for fewer it is not worth it
_AT_ONCE: Final = 256 * 1024  # bytes of pieces, that a processor's cache may hold them
_SHAPES: Final = 4  # tried for pieces of one size

Bytes = npt.NDArray[np.uint8]
_Column = tuple[list[Any], npt.NDArray[np.bool_] | None]
"""The values of a hole in each piece, and in which they are good; None = in all."""


def read_block(payloads: Sequence[bytes]) -> list[Batch | InvalidBatch]:
    """What each payload says, or why it is no batch."""
    found: list[Batch | InvalidBatch | None] = []
    for payload in payloads:
        try:
            found.append(None if form_of(payload) == "protobuf" else read(payload))
        except InvalidBatch as error:
            found.append(error)
    places = [place for place, one in enumerate(found) if one is None]
    read_so = _read_protobuf([payloads[place] for place in places])
    for place, batch in zip(places, read_so, strict=True):
        found[place] = batch
    return [one for one in found if one is not None]


def _read_protobuf(payloads: list[bytes]) -> list[Batch | InvalidBatch]:
    """Messages of one row as a whole, then the rows of the others."""
    moments = _read_alike(payloads, _only_row)
    found: list[Batch | InvalidBatch | slice] = []
    spans: list[Span] = []
    pieces: list[bytes] = []
    for payload, only in zip(payloads, moments, strict=True):
        if only is not None and 0 < only[0] < END_OF_TIME:
            found.append(Batch("protobuf", [only[0]], [only[1]]))
            continue
        try:
            check_size(payload)
            mine = protobuf_batch.spans(payload)
        except InvalidBatch as error:
            found.append(error)
            continue
        found.append(slice(len(spans), len(spans) + len(mine)))
        spans += mine
        pieces += [payload[start:end] if number == ROWS else b"" for number, start, end in mine]
    moments = _read_alike(pieces, _row)
    return [
        _gathered(payload, zip(spans[one], moments[one], strict=True))
        if isinstance(one, slice)
        else one
        for payload, one in zip(payloads, found, strict=True)
    ]


def _gathered(payload: bytes, pairs: Iterable[tuple[Span, Moment | None]]) -> Batch | InvalidBatch:
    try:
        return protobuf_batch.gathered(payload, pairs)
    except InvalidBatch as error:
        return error


def _read_alike(
    pieces: list[bytes], holes_of: "Callable[[bytes], Iterator[_Hole]]"
) -> list[Moment | None]:
    """What those say that are alike, None for the others. Of each size, what looks like the first
    is read, then what looks like the next that is otherwise, and so on."""
    moments: list[Moment | None] = [None] * len(pieces)
    sizes: dict[int, list[int]] = {}
    for place, piece in enumerate(pieces):
        sizes.setdefault(len(piece), []).append(place)
    for size, places in sizes.items():
        for _ in range(_SHAPES if size <= _LONGEST else 0):
            if len(places) < _FEWEST:
                break
            try:
                holes = list(holes_of(pieces[places[0]]))
            except (_Unusual, InvalidBatch):
                places = places[1:]  # noqa: PLW2901 - what is left of them
            else:
                places = _read_like(pieces, places, holes, moments)  # noqa: PLW2901
    return moments


def _read_like(
    pieces: list[bytes], places: list[int], holes: "list[_Hole]", moments: list[Moment | None]
) -> list[int]:
    """Read the pieces that have the bytes of the first between the holes; returns the others."""
    constant = np.full(len(pieces[places[0]]) + 7 & ~7, 0xFF, np.uint8)
    for hole in holes:
        constant[hole.start : hole.end] = 0
    first, others, most = None, [], _AT_ONCE // len(constant) + 1
    for start in range(0, len(places), most):
        some = places[start : start + most]
        table = _side_by_side([pieces[place] for place in some])
        words = table.view(np.uint64)
        first = words[0] if first is None else first
        same = ~((words ^ first) & constant.view(np.uint64)).any(axis=1)
        if not same.all():
            others += [place for place, is_same in zip(some, same, strict=True) if not is_same]
            some = [place for place, is_same in zip(some, same, strict=True) if is_same]
            table = table[same]
        _fill(moments, some, table, holes)
    return others


def _side_by_side(pieces: list[bytes]) -> Bytes:
    """(pieces, bytes), each with zeros to a multiple of 8."""
    zeros = bytes(-len(pieces[0]) % 8)
    return np.frombuffer(zeros.join([*pieces, b""]), np.uint8).reshape(len(pieces), -1)


def _fill(
    moments: list[Moment | None], places: list[int], table: Bytes, holes: "list[_Hole]"
) -> None:
    """Read the holes; what has one that is not good is left."""
    good = np.ones(len(places), bool)
    times: list[Any] = []
    columns: list[list[Any]] = []
    names: list[str] = []
    for hole in holes:
        values, right = hole.read(table[:, hole.start : hole.end])
        if right is not None:
            good &= right
        if hole.name is None:
            times = values
        else:
            columns.append(values)
            names.append(hole.name)
    told = zip(*columns, strict=True)
    for place, time, row, right in zip(places, times, told, good.tolist(), strict=True):
        if right:
            moments[place] = time, dict(zip(names, row))  # noqa: B905 - as many


class _Unusual(Exception):
    """A row that is not read so."""


@dataclass(frozen=True, slots=True)
class _Hole:
    """A value of a row: its bytes, and what reads them in many rows."""

    name: str | None  # of the signal; None = the time
    start: int
    end: int
    read: Callable[[Bytes], _Column]


def _only_row(payload: bytes) -> Iterator[_Hole]:
    """The holes of a payload that is one row."""
    spans = protobuf_batch.spans(payload)
    if len(spans) != 1:
        raise _Unusual
    number, start, end = spans[0]
    if number != ROWS or end != len(payload):
        raise _Unusual
    return _holes(payload, start, end)


def _row(row: bytes) -> Iterator[_Hole]:
    return _holes(row, 0, len(row))


def _holes(data: bytes, start: int, end: int) -> Iterator[_Hole]:
    at, times, entries = start, 0, 0
    while at < end:
        begin = at
        number, kind, content, at = field(data, at, end)
        if number == 1 and kind == VARINT:
            times += 1
            yield _varint_hole(data, None, begin, at, _signed)
        elif number == 2 and kind == BYTES:
            entries += 1
            yield _entry_hole(data, *content)
        else:
            raise _Unusual
    if times != 1 or not entries:
        raise _Unusual


def _entry_hole(row: bytes, start: int, end: int) -> _Hole:
    number, kind, name, at = field(row, start, end)
    if at == end or (number, kind) != (1, BYTES):
        raise _Unusual
    number, kind, value, at = field(row, at, end)
    if at != end or (number, kind) != (2, BYTES):
        raise _Unusual
    return _value_hole(row, read_text(row, *name), *value)


def _value_hole(row: bytes, name: str, start: int, end: int) -> _Hole:
    if start == end:
        raise _Unusual
    number, kind, content, at = field(row, start, end)
    if at != end:
        raise _Unusual
    if (number, kind) == (1, FIXED64):
        return _Hole(name, content, end, _doubles)
    if kind == VARINT and number in _VARINTS:
        return _varint_hole(row, name, start, end, _VARINTS[number])
    if kind == BYTES and number == 5 and content[0] < end:
        return _Hole(name, content[0], end, _texts)
    if kind == BYTES and number in ELEMENTS and content[0] < end:
        return _Hole(name, content[0], end, lambda table: _arrays(table, number))
    raise _Unusual


def _varint_hole(
    row: bytes,
    name: str | None,
    start: int,
    end: int,
    make: Callable[[npt.NDArray[np.uint64]], list[Any]],
) -> _Hole:
    """The varint of a field that begins at `start`."""
    if row[start] >= 0x80:
        raise _Unusual

    def read_all(table: Bytes) -> _Column:
        bits, right = _varints(table)
        return make(bits), right

    return _Hole(name, start + 1, end, read_all)


# columns: bytes of a hole in each row, (rows, bytes)


def _doubles(table: Bytes) -> _Column:
    return np.ascontiguousarray(table).view("<f8").ravel().tolist(), None


def _varints(table: Bytes) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """The 64 bits of each, and whether it ends with its last byte; (rows,)."""
    last = table.shape[1] - 1
    right = (table[:, last] < 0x80) & (table[:, :last] >= 0x80).all(axis=1)
    bits = np.zeros(len(table), np.uint64)
    for place in range(last + 1):
        bits |= (table[:, place] & 0x7F).astype(np.uint64) << np.uint64(7 * place)
    return bits, right


def _signed(bits: npt.NDArray[np.uint64]) -> list[Any]:
    found: list[Any] = bits.view(np.int64).tolist()
    return found


def _zigzag(bits: npt.NDArray[np.uint64]) -> list[Any]:
    one = np.uint64(1)
    return _signed((bits >> one) ^ (np.uint64(0) - (bits & one)))


def _unsigned(bits: npt.NDArray[np.uint64]) -> list[Any]:
    found: list[Any] = bits.tolist()
    return found


def _booleans(bits: npt.NDArray[np.uint64]) -> list[Any]:
    found: list[Any] = (bits != 0).tolist()
    return found


_VARINTS: Final = {2: _zigzag, 3: _unsigned, 4: _booleans}  # by field of Value


def _texts(table: Bytes) -> _Column:
    return _one_by_one(table, bytes.decode)


def _arrays(table: Bytes, number: int) -> _Column:
    return _one_by_one(table, lambda raw: read_array(raw, 0, len(raw), ELEMENTS[number]))


def _one_by_one(table: Bytes, make: Callable[[bytes], Any]) -> _Column:
    raw, size = table.tobytes(), table.shape[1]
    right = np.ones(len(table), bool)
    values: list[Any] = []
    for index, start in enumerate(range(0, len(raw), size)):
        try:
            values.append(make(raw[start : start + size]))
        except ValueError:
            values.append(None)
            right[index] = False
    return values, right
