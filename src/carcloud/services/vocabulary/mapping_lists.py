"""List signals of a mapping: their elements come in one frame or in several, such as the groups
of a multiplexed message, and are put together round by round.

A round is whole once each element has come; the list has the time of the frame that completes
it. An element that comes again before that begins the next round: what did not come in this one
is null in it, and its time is that of its last frame.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from carcloud.services.vocabulary.mapping_apply import Mask, Series, of_column
from carcloud.services.vocabulary.mapping_types import CanList, Rule

if TYPE_CHECKING:
    from carcloud.codecs.dbc.columnar_values import Column

Ints = npt.NDArray[np.int64]

_NOBODY = -1  # sender of a message that does not name it


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """Values of one element, (n,) each; `frame` orders those of one time."""

    element: int
    time: Ints
    frame: Ints
    values: pa.Array
    flagged: Mask


@dataclass(slots=True, eq=False)
class _Group:
    """Pieces that come in the same frames."""

    pieces: list[_Piece]
    rounds: Ints  # (n,), set when they are known

    @property
    def mask(self) -> int:
        """The elements as bits."""
        return sum(1 << one.element for one in self.pieces)


class Lists:
    """Of one vehicle. What several buses or senders of J1939 report is kept apart."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = [rule for rule in rules if isinstance(rule.source, CanList)]
        self._wanted: dict[tuple[int, bool, str], list[tuple[int, int]]] = {}
        for number, rule in enumerate(self._rules):
            for element, one in enumerate(rule.can):
                key = one.message.id, one.message.extended, one.signal.name
                self._wanted.setdefault(key, []).append((number, element))
        self._open: dict[tuple[int, int, int], list[_Piece]] = {}
        # rule, bus, sender -> pieces of one value each

    def feed(self, columns: "Iterable[Column]") -> list[Series]:
        """The rounds that end in these columns; the last one waits for what is to come."""
        found: dict[tuple[int, int, int], list[_Piece]] = {}
        for column in columns:
            key = column.message.id, column.message.extended, column.signal.name
            sender = column.can_id & 0xFF if column.j1939 else _NOBODY
            for number, element in self._wanted.get(key, ()):
                values, flagged = of_column(self._rules[number], column)
                piece = _Piece(element, column.time, column.index, values, flagged)
                found.setdefault((number, column.bus, sender), []).append(piece)
        told = []
        for place, pieces in found.items():
            rule = self._rules[place[0]]
            series, self._open[place] = _rounds(rule, [*self._open.get(place, ()), *pieces])
            told.append(series)
        return [one for one in told if len(one.time)]

    def finish(self) -> list[Series]:
        """The rounds that nothing completed."""
        pending, self._open = self._open, {}
        return [
            _laid_out(self._rules[place[0]], groups, 1)
            for place, pieces in pending.items()
            if (groups := _groups(pieces))
        ]


def _rounds(rule: Rule, pieces: Sequence[_Piece]) -> tuple[Series, list[_Piece]]:
    """The rounds that end in these pieces, and what is left of the last one."""
    groups = _groups(pieces)
    size = len(rule.can)
    if len(groups) == 1 and len(groups[0].pieces) == size:  # all in each frame
        groups[0].rounds = np.arange(len(groups[0].rounds))
        return _laid_out(rule, groups, len(groups[0].rounds)), []
    ended, whole = _numbered(groups, (1 << size) - 1)
    left = [] if whole else [one for group in groups for one in _of_round(group, ended)]
    return _laid_out(rule, groups, ended), left


def _groups(pieces: Sequence[_Piece]) -> list[_Group]:
    """In the order of their first pieces. Elements of a message mostly share their arrays."""
    of_arrays: dict[tuple[int, int], _Group] = {}
    of_frames: dict[tuple[bytes, bytes], _Group] = {}
    for piece in pieces:
        arrays = id(piece.time), id(piece.frame)
        group = of_arrays.get(arrays)
        if group is None:
            frames = piece.time.tobytes(), piece.frame.tobytes()
            group = of_frames.get(frames)
            if group is None:
                group = of_frames[frames] = _Group([], np.zeros(len(piece.time), np.int64))
            of_arrays[arrays] = group
        group.pieces.append(piece)
    return list(of_frames.values())


def _numbered(groups: Sequence[_Group], full: int) -> tuple[int, bool]:
    """Set the number of the round of each frame; returns (rounds that have ended, whether the
    last frame ended one)."""
    time = np.concatenate([group.pieces[0].time for group in groups])
    frame = np.concatenate([group.pieces[0].frame for group in groups])
    which = np.repeat(np.arange(len(groups)), [len(group.rounds) for group in groups])
    order = np.lexsort((frame, time))
    masks = [group.mask for group in groups]
    rounds = np.empty(len(time), np.int64)
    number = seen = 0
    for at, mask in zip(order.tolist(), [masks[one] for one in which[order]], strict=True):
        if seen & mask:
            number, seen = number + 1, 0
        rounds[at] = number
        seen |= mask
        if seen == full:
            number, seen = number + 1, 0
    ends = np.cumsum([len(group.rounds) for group in groups])
    for group, of_group in zip(groups, np.split(rounds, ends[:-1]), strict=True):
        group.rounds = of_group
    return number, not seen


def _of_round(group: _Group, number: int) -> list[_Piece]:
    """Copies of what came in one round, as pieces before all frames that are to come."""
    rows = np.flatnonzero(group.rounds == number)
    if not len(rows):
        return []
    taken, time = pa.array(rows), group.pieces[0].time[rows]
    frame = np.full(len(rows), -1, np.int64)
    return [
        _Piece(one.element, time, frame, one.values.take(taken), one.flagged[rows])
        for one in group.pieces
    ]


def _laid_out(rule: Rule, groups: Sequence[_Group], count: int) -> Series:
    """The first `count` rounds as lists; one without any value is null."""
    size = len(rule.can)
    place = np.full((count, size), -1, np.int64)
    time = np.full(count, np.iinfo(np.int64).min)
    flagged = np.zeros(count, np.bool_)
    base, parts = 0, []
    for group in groups:
        rows = np.flatnonzero(group.rounds < count)
        into = group.rounds[rows]
        np.maximum.at(time, into, group.pieces[0].time[rows])
        for one in group.pieces:
            place[into, one.element] = base + rows
            flagged[into[one.flagged[rows]]] = True
            parts.append(one.values)
            base += len(one.values)
    flat = place.ravel()
    values = pa.concat_arrays(parts).take(pa.array(flat, mask=flat < 0))
    there = values.is_valid().to_numpy(zero_copy_only=False).reshape(count, size).any(axis=1)
    ends = pa.array(np.arange(0, (count + 1) * size, size, dtype=np.int32))
    return Series(
        rule, time, pa.ListArray.from_arrays(ends, values, mask=pa.array(~there)), flagged
    )
