"""A column of decoded values, and the raw and exact values behind it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carcloud.codecs.can.frames import CanFrames
from carcloud.codecs.dbc import columnar_kernel as kernel
from carcloud.codecs.dbc.columnar_plan import plan
from carcloud.codecs.dbc.database import Message, Signal
from carcloud.codecs.dbc.j1939 import missing_from
from carcloud.codecs.dbc.scalar import physical, raw_of

_INT64 = 2**63

Raw = NDArray[np.int64] | NDArray[np.uint64] | NDArray[np.float64] | NDArray[np.object_]


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One signal of one id on one bus.

    time: int64 (n,), ns, as the frames have it; columns of a message may share it.
    value: float64 (n,), physical, in `signal.unit`; NaN where J1939 says that there is none.
    index: int64 (n,), which frames of the log these are.
    """

    message: Message
    signal: Signal
    bus: int
    can_id: int
    j1939: bool
    time: NDArray[np.int64]
    value: NDArray[np.float64]
    index: NDArray[np.int64]
    frames: CanFrames

    def raw(
        self,
    ) -> NDArray[np.int64] | NDArray[np.uint64] | NDArray[np.float64] | NDArray[np.object_]:
        """Raw values (n,): int64, uint64 for 64 unsigned bits, float64 for floats, Python ints
        for more bits."""
        return raw_values(self.frames, self.index, self.signal)

    def exact(self) -> NDArray[np.object_] | NDArray[np.float64] | NDArray[np.int64]:
        """Physical values (n,) of a signal of exact integers: int64, or Python's where these could
        be too small; of another signal, `value`."""
        if not self.signal.integral:
            return self.value
        raw = self.raw()
        if _fits_int64(self.signal):
            return raw.astype(np.int64) * int(self.signal.factor) + int(self.signal.offset)
        return np.array([physical(self.signal, one) for one in raw.tolist()], object)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Where the frame says that there is no value (n,)."""
        limit = missing_from(self.message, self.signal) if self.j1939 else None
        return np.zeros(len(self.time), np.bool_) if limit is None else np.isnan(self.value)

    def labels(self) -> list[str | None]:
        """The text of each raw value, where the file has one."""
        known = self.signal.labels
        if not known or self.signal.kind != "int":
            return [None] * len(self.time)
        return [known.get(raw) for raw in self.raw().tolist()]


def raw_values(frames: CanFrames, index: NDArray[np.int64], signal: Signal) -> Raw:
    """Raw values of a signal that fits into all of the frames `index`."""
    if signal.length > 64:
        return np.array([raw_of(signal, frames.payload_of(at)) for at in index], object)
    one = plan([signal])
    words = np.empty(len(index), np.uint64)
    kernel.read_words(frames.payload, frames.start, index, one.windows[0], one.specs[0], words)
    if signal.kind == "float32":
        return words.astype(np.uint32).view(np.float32).astype(np.float64)
    if signal.kind == "float64":
        return words.view(np.float64)
    return words if signal.length == 64 and not signal.signed else words.view(np.int64)


def exact_values(
    frames: CanFrames, index: NDArray[np.int64], signal: Signal, message: Message | None = None
) -> NDArray[np.float64]:
    """Physical values by way of Python's integers, where float64 arithmetic rounds too often;
    of a J1939 `message`, whose values may be none."""
    limit = None if message is None else missing_from(message, signal)
    raw_array = raw_values(frames, index, signal)
    if limit is None and signal.integral and _fits_int64(signal):
        exact = raw_array.astype(np.int64) * int(signal.factor) + int(signal.offset)
        return exact.astype(np.float64)
    raws = raw_array.tolist()
    return np.array(
        [
            np.nan if limit is not None and raw >= limit else _double(physical(signal, raw))
            for raw in raws
        ],
        np.float64,
    )


def _fits_int64(signal: Signal) -> bool:
    """Whether every physical value, which is an integer, is an int64, and every step to it."""
    largest = 1 << (signal.length - 1 if signal.signed else signal.length)
    factor, offset = abs(int(signal.factor)), abs(int(signal.offset))
    return max(largest, factor, offset, largest * factor + offset) < _INT64


def _double(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond all float64
        return np.inf if value > 0 else -np.inf
