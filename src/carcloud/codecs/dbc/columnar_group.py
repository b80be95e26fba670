"""Reading the frames of one id: which signals are in which frames, and their values."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from carcloud.codecs.can.frames import CanFrames
from carcloud.codecs.dbc import columnar_kernel as kernel
from carcloud.codecs.dbc.columnar_plan import Plan, is_direct, plan
from carcloud.codecs.dbc.columnar_values import Column, Raw, exact_values, raw_values
from carcloud.codecs.dbc.database import Message, Signal

Index = NDArray[np.int64]
Ranges = tuple[tuple[int, int], ...]
Condition = tuple[str | None, Ranges, int]
"""The switch above, its values, and the bytes needed."""


@dataclass(slots=True)
class _Bucket:
    """Signals that are in the same frames."""

    condition: Condition
    direct: list[Signal] = field(default_factory=list)
    exact: list[Signal] = field(default_factory=list)
    plan: Plan | None = None


class Group:
    """Reads frames of one message."""

    def __init__(self, message: Message, *, j1939: bool) -> None:
        self._message = message
        self._j1939 = j1939
        self._absent = message if j1939 else None  # whose values may be none
        self._place = {signal.name: at for at, signal in enumerate(message.signals)}
        self._plans: dict[int, list[_Bucket]] = {}

    def columns(
        self, frames: CanFrames, order: Index, shortest: int, source: tuple[int, int]
    ) -> list[Column]:
        """All signals of the frames `order`, the shortest of which has so many bytes.

        In the order of the message's signals; those that are in no frame are left out. `source`
        is (bus, id).
        """
        bus, can_id = source
        chosen = _Chosen(self._message, frames, order)
        found: list[tuple[int, Column]] = []
        for bucket in self._buckets(shortest):
            index = chosen.frames_of(bucket.condition)
            if not len(index):
                continue
            time = frames.time[index]
            for signal, value in self._read(frames, index, bucket):
                column = Column(
                    self._message, signal, bus, can_id, self._j1939, time, value, index, frames
                )
                found.append((self._place[signal.name], column))
        return [column for _, column in sorted(found, key=lambda one: one[0])]

    def _read(
        self, frames: CanFrames, index: Index, bucket: _Bucket
    ) -> list[tuple[Signal, NDArray[np.float64]]]:
        values: list[tuple[Signal, NDArray[np.float64]]] = []
        if bucket.plan is not None:
            read = bucket.plan
            out = np.empty((len(read.signals), len(index)))
            kernel.read_signals(
                frames.payload, frames.start, index, read.windows, read.specs, read.reals, out
            )
            values += zip(read.signals, out, strict=True)
        for signal in bucket.exact:
            values.append((signal, exact_values(frames, index, signal, self._absent)))
        return values

    def _buckets(self, shortest: int) -> list[_Bucket]:
        """Signals by the frames that they are in; what all frames hold needs no bytes."""
        if shortest not in self._plans:
            buckets: dict[Condition, _Bucket] = {}
            for signal in self._message.signals:
                if signal.decodable:
                    needed = signal.needed_bytes if signal.needed_bytes > shortest else 0
                    condition = (signal.parent, signal.ranges, needed)
                    bucket = buckets.setdefault(condition, _Bucket(condition))
                    (bucket.direct if is_direct(signal, self._absent) else bucket.exact).append(
                        signal
                    )
            for bucket in buckets.values():
                if bucket.direct:
                    bucket.plan = plan(bucket.direct, self._absent)
            self._plans[shortest] = list(buckets.values())
        return self._plans[shortest]


class _Chosen:
    """Frames by condition: found once each."""

    def __init__(self, message: Message, frames: CanFrames, order: Index) -> None:
        self._message = message
        self._frames = frames
        self._all = order
        self._found: dict[Condition, Index] = {}
        self._raw: dict[str, tuple[Index, Raw]] = {}

    def frames_of(self, condition: Condition) -> Index:
        """The frames that hold signals of this condition, in their order."""
        if condition not in self._found:
            parent, ranges, needed = condition
            index = self._all if parent is None else self._selected(parent, ranges)
            if needed:
                index = index[self._frames.length[index] >= needed]
            self._found[condition] = index
        return self._found[condition]

    def _selected(self, switch: str, ranges: Ranges) -> Index:
        """The frames in which the switch's raw value lies in a range."""
        if switch not in self._raw:
            signal = self._message.signal_by_name[switch]
            above = self.frames_of((signal.parent, signal.ranges, signal.needed_bytes))
            self._raw[switch] = (above, raw_values(self._frames, above, signal))
        index, raw = self._raw[switch]
        return index[_within(raw, ranges)]


def _within(raw: Raw, ranges: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    inside = np.zeros(len(raw), np.bool_)
    for low, high in ranges:
        inside |= (raw == low) if low == high else (raw >= low) & (raw <= high)
    return inside
