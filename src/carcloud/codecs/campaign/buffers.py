"""What the engine remembers: rings of samples and of frames, and fixed windows.

A ring is two arrays that grow at the end; `trim` cuts the oldest off from time to time, which
costs less than an index computed for each sample. `base` counts what was cut off, so that a
sample's number in the ring's whole life is `base` plus its place.
"""

from array import array
from typing import Any

SLACK = 64  # samples that `trim` leaves above the capacity
TIME_BYTES = 8
NUMBER_BYTES = 8
OBJECT_BYTES = 64  # a list's slot, and a short string or bytes
ARRAY_BYTES = 3_200  # the values of about a hundred cells
_WHOLE = frozenset({"int8", "int16", "int32", "uint8", "uint16", "uint32"})
_REAL = frozenset({"float", "double"})


def storage(datatype: str) -> Any:
    """An empty sequence that holds values of a VSS data type in little memory."""
    if datatype in _REAL:
        return array("d")
    return array("q") if datatype in _WHOLE else []


def sample_bytes(datatype: str) -> int:
    """Memory of one sample with its time."""
    if datatype.endswith("[]"):
        return TIME_BYTES + ARRAY_BYTES
    small = datatype in _REAL or datatype in _WHOLE
    return TIME_BYTES + (NUMBER_BYTES if small else OBJECT_BYTES)


FRAME_BYTES = TIME_BYTES + 4 + OBJECT_BYTES


class Ring:
    """The newest samples of one signal at one sampling interval; times in microseconds."""

    __slots__ = ("base", "capacity", "datatype", "interval_us", "next_us", "times", "values")

    def __init__(self, datatype: str, interval_us: int) -> None:
        self.times: array[int] = array("q")
        self.values = storage(datatype)
        self.datatype = datatype
        self.base = 0
        self.capacity = 1
        self.interval_us = interval_us
        self.next_us = -(2**62)  # a sample before this is passed over

    def trim(self) -> None:
        """Cut the oldest off where there are more than the capacity."""
        over = len(self.times) - self.capacity - SLACK
        if over > 0:
            del self.times[:over]
            del self.values[:over]
            self.base += over

    def clear(self) -> None:
        """Forget what is there: its times are those of another clock."""
        self.base += len(self.times)
        del self.times[:], self.values[:]
        self.next_us = -(2**62)


class FrameRing:
    """The newest raw frames that one item of a campaign asks for."""

    __slots__ = (
        "base",
        "capacity",
        "ids",
        "interval_us",
        "next_us",
        "origins",
        "payloads",
        "times",
    )

    def __init__(self, interval_us: int) -> None:
        self.times: array[int] = array("q")
        self.ids: array[int] = array("I")  # bit 31: an extended id
        self.origins: list[str] = []
        self.payloads: list[bytes] = []
        self.base = 0
        self.capacity = 1
        self.interval_us = interval_us
        self.next_us = -(2**62)

    def add(self, t: int, key: int, bus: str, payload: bytes) -> None:
        """Take a frame, unless the last one is too near."""
        if t >= self.next_us:
            self.next_us = t + self.interval_us
            self.times.append(t)
            self.ids.append(key)
            self.origins.append(bus)
            self.payloads.append(payload)

    def trim(self) -> None:
        """Cut the oldest off where there are more than the capacity."""
        over = len(self.times) - self.capacity - SLACK
        if over > 0:
            for each in (self.times, self.ids, self.origins, self.payloads):
                del each[:over]
            self.base += over

    def clear(self) -> None:
        """Forget what is there: its times are those of another clock."""
        self.base += len(self.times)
        for each in (self.times, self.ids, self.origins, self.payloads):
            del each[:]
        self.next_us = -(2**62)


class Window:
    """Fixed windows of one signal, one after the other from its first sample.

    `last` and `before` are (least, greatest, mean) of the last complete window and of the one
    before it; None where a window had no sample.
    """

    __slots__ = ("_count", "_greatest", "_least", "_sum", "before", "end_us", "last", "length_us")

    def __init__(self, length_us: int) -> None:
        self.length_us = length_us
        self.end_us: int | None = None
        self.last: tuple[float, float, float] | None = None
        self.before: tuple[float, float, float] | None = None
        self._empty()

    def _empty(self) -> None:
        self._count = 0
        self._least = float("inf")
        self._greatest = float("-inf")
        self._sum = 0.0

    def begin_again(self) -> None:
        """Give the window up that is open; the next one begins with the next sample."""
        self.end_us = None
        self._empty()

    def add(self, t: int, value: float) -> bool:
        """Take a sample; True where a window has ended before it."""
        ended = self.pass_to(t)
        if self.end_us is None:
            self.end_us = t + self.length_us
        self._count += 1
        self._sum += value
        self._least = min(self._least, value)
        self._greatest = max(self._greatest, value)
        return ended

    def pass_to(self, t: int) -> bool:
        """Let the time pass; True where a window has ended."""
        if self.end_us is None or t < self.end_us:
            return False
        complete = None
        if self._count:
            complete = (self._least, self._greatest, self._sum / self._count)
        passed = (t - self.end_us) // self.length_us  # whole windows without a sample
        if passed == 0:
            self.before, self.last = self.last, complete
        else:
            self.before, self.last = (complete if passed == 1 else None), None
        self.end_us += (passed + 1) * self.length_us
        self._empty()
        return True
