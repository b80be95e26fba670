"""Decoding whole logs: every signal of every frame that the databases know, as columns.

`decode` is as exact as `carcloud.codecs.dbc.scalar`, the reference: a value is the float64 nearest
to the reference's number, bit for bit.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carcloud.codecs.can.frames import CanFrames
from carcloud.codecs.dbc import columnar_kernel as kernel
from carcloud.codecs.dbc.columnar_group import Group
from carcloud.codecs.dbc.columnar_values import Column
from carcloud.codecs.dbc.database import Database
from carcloud.codecs.dbc.j1939 import Finder

_SLOTS = 4096  # distinct ids that are expected at most
_ARRAYS = ("time", "bus", "can_id", "extended", "flags", "length", "start", "payload")

BusDatabase = Database | tuple[Database, int]
"""A database for frames of all buses, or of one."""


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What was decoded, in the order of first sight of the ids.

    `unknown` counts the frames of ids that no database knows, by (bus, extended, id). Error and
    remote frames count nowhere. Times are as `clock` of the frames says.
    """

    columns: tuple[Column, ...]
    frames: int
    """Frames with a message."""
    unknown: dict[tuple[int, bool, int], int]
    clock: str

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    @property
    def values(self) -> int:
        """Number of signal values."""
        return sum(len(column.time) for column in self.columns)

    def series(
        self, signal: str, message: str | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Times and values of a signal over all buses and senders, sorted by time."""
        chosen = [
            one
            for one in self.columns
            if one.signal.name == signal and message in (None, one.message.name)
        ]
        if not chosen:
            return np.empty(0, np.int64), np.empty(0)
        times = np.concatenate([one.time for one in chosen])
        values = np.concatenate([one.value for one in chosen])
        order = np.argsort(times, kind="stable")
        return times[order], values[order]


class LogDecoder:
    """Decodes logs by some databases; the first that knows an id decides.

    `j1939` takes all extended messages for J1939 (found by parameter group).
    """

    def __init__(self, databases: Iterable[BusDatabase], *, j1939: bool = False) -> None:
        self._databases = [one if isinstance(one, tuple) else (one, None) for one in databases]
        self._j1939 = j1939
        self._finders: dict[int, Finder] = {}
        self._groups: dict[tuple[int, int], Group | None] = {}

    def decode(self, frames: CanFrames) -> Decoded:
        """All signals. Raises ValueError where a payload lies outside the frames' bytes."""
        frames = _plain(frames)
        slot, ids = _number(frames)
        known: list[tuple[_Id, Group]] = []
        unknown: dict[tuple[int, bool, int], int] = {}
        position = np.full(max(len(ids), 1), -1, np.int64)
        total = 0
        for at, one in enumerate(ids):
            group = self._group(one)
            if group is None:
                unknown[one.bus, one.extended, one.can_id] = one.count
            else:
                known.append((one, group))
                position[at], one.first = total, total
                total += one.count
        order = np.empty(total, np.int64)
        kernel.put_in_order(slot, position, order)
        columns: list[Column] = []
        for one, group in known:
            mine = order[one.first : one.first + one.count]
            columns += group.columns(frames, mine, one.shortest, (one.bus, one.can_id))
        return Decoded(tuple(columns), total, unknown, frames.clock)

    def _group(self, one: "_Id") -> Group | None:
        """How to read the frames of an id."""
        key = (one.bus, one.can_id | one.extended << 31)
        if key not in self._groups:
            finder = self._finders.get(one.bus)
            if finder is None:
                mine = [base for base, bus in self._databases if bus in (None, one.bus)]
                finder = self._finders[one.bus] = Finder(mine, j1939=self._j1939)
            found = finder.find(one.can_id, one.extended)
            self._groups[key] = None if found is None else Group(found[0], j1939=found[1])
        return self._groups[key]


def decode(frames: CanFrames, databases: Iterable[BusDatabase], *, j1939: bool = False) -> Decoded:
    """All signals of all frames; see LogDecoder."""
    return LogDecoder(databases, j1939=j1939).decode(frames)


@dataclass(slots=True)
class _Id:
    """A distinct id of a log, its number of frames, and the length of the shortest."""

    bus: int
    extended: bool
    can_id: int
    count: int
    shortest: int
    first: int = field(default=0)


def _plain(frames: CanFrames) -> CanFrames:
    """The same frames in the one kind of array that the kernels are compiled for."""

    def plain(array: NDArray[Any]) -> Any:
        view = np.ascontiguousarray(array).view()
        view.flags.writeable = False
        return view

    return replace(frames, **{name: plain(getattr(frames, name)) for name in _ARRAYS})


def _number(frames: CanFrames) -> tuple[NDArray[np.int32], list[_Id]]:
    """Which of the distinct ids each frame has (-1: none), and these."""
    slot = np.empty(len(frames), np.int32)
    room = _SLOTS
    while True:
        keys = np.empty(room, np.uint64)
        counts, shortest = np.empty(room, np.int64), np.empty(room, np.int64)
        used = kernel.number_ids(
            frames.can_id, frames.extended, frames.bus, frames.flags, frames.length, frames.start,
            len(frames.payload), np.full(4 * room, -1, np.int32), slot, keys, counts, shortest,
        )  # fmt: skip
        if used != kernel.CROWDED:
            break
        room *= 16
    if used == kernel.BROKEN:
        raise ValueError("a frame's payload lies outside of the frames' bytes")
    return slot, [
        _Id(key >> 32, bool(key >> 31 & 1), key & 0x1FFFFFFF, count, short)
        for key, count, short in zip(
            keys[:used].tolist(), counts[:used].tolist(), shortest[:used].tolist(), strict=True
        )
    ]


def warm() -> None:
    """Compile the kernels, or load them from the cache, so that the first log is fast."""
    from carcloud.codecs.dbc.database import Message, Signal

    message = Message(1, False, "Warm", 8, (Signal("S", 0, 8),))
    frames = CanFrames.build([0], [1], list(range(8)), [8])
    (column,) = decode(frames, [Database((message,))]).columns
    if column.value.tolist() != [0.0] or column.raw().tolist() != [0]:
        raise RuntimeError("the columnar decoder does not read its own frame")
