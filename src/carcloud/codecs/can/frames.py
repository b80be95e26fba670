"""Frames of CAN buses as a struct of arrays: what log readers give and decoders take."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["BRS", "ERROR", "ESI", "FD", "REMOTE", "TRANSMITTED", "CanFrames", "Clock", "FrameList"]

FD = 1  # CAN FD frame
ERROR = 2  # error frame: the bus told of an error, no message
REMOTE = 4  # remote frame: asks for a message, has no payload
TRANSMITTED = 8  # sent by the logger itself
BRS = 16  # FD bit rate switch
ESI = 32  # FD error state indicator

STANDARD_IDS = 0x7FF
EXTENDED_IDS = 0x1FFFFFFF

Clock = Literal["gnss", "host_utc", "local_assumed", "relative"]
# From the best to the worst; "relative" is no clock at all and mixes with none.
CLOCKS: tuple[Clock, ...] = ("gnss", "host_utc", "local_assumed", "relative")

_DTYPES = {
    "time": np.int64,
    "bus": np.uint8,
    "can_id": np.uint32,
    "extended": np.bool_,
    "flags": np.uint8,
    "length": np.uint16,
    "start": np.int64,
}


@dataclass(frozen=True, slots=True, eq=False)
class CanFrames:
    """n frames in the order of their log; payloads lie in one array that selections share.

    time: int64 (n,), ns since 1970 UTC, or since the log's start where clock is "relative"
    bus: uint8 (n,), the channel as the log numbers it
    can_id: uint32 (n,), 11 or 29 bits, without flag bits
    extended: bool (n,), 29-bit identifier
    flags: uint8 (n,), sum of FD, ERROR, REMOTE, TRANSMITTED, BRS, ESI
    length: uint16 (n,), bytes of payload
    start: int64 (n,), index of the first byte in payload
    payload: uint8 (total,)
    clock: who set the time stamps: "gnss", "host_utc", "local_assumed" (a zone was assumed
        for local times) or "relative"

    Raises ValueError where the arrays disagree in length.
    """

    time: NDArray[np.int64]
    bus: NDArray[np.uint8]
    can_id: NDArray[np.uint32]
    extended: NDArray[np.bool_]
    flags: NDArray[np.uint8]
    length: NDArray[np.uint16]
    start: NDArray[np.int64]
    payload: NDArray[np.uint8]
    clock: Clock = "host_utc"

    def __post_init__(self) -> None:
        for name, dtype in _DTYPES.items():
            column = getattr(self, name)
            if column.shape != self.time.shape or column.dtype != dtype:
                raise ValueError(f"{name}: {column.dtype} {column.shape}, not {dtype.__name__}")

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def build(
        cls,
        time: Any,
        can_id: Any,
        payload: Any,
        length: Any,
        *,
        bus: Any = 0,
        extended: Any = False,
        flags: Any = 0,
        clock: Clock = "host_utc",
    ) -> "CanFrames":
        """From array-likes; payloads lie one behind the other; a scalar stands for every frame."""
        times = np.asarray(time, np.int64)
        n = len(times)
        lengths = _column(length, n, np.uint16)
        ends = np.cumsum(lengths, dtype=np.int64)
        data = np.asarray(payload, np.uint8).reshape(-1)
        if n and ends[-1] > len(data):
            raise ValueError(f"payload: {len(data)} bytes, the lengths add up to {ends[-1]}")
        return cls(
            times,
            _column(bus, n, np.uint8),
            _column(can_id, n, np.uint32),
            _column(extended, n, np.bool_),
            _column(flags, n, np.uint8),
            lengths,
            ends - lengths,
            data,
            clock,
        )

    @classmethod
    def empty(cls, clock: Clock = "host_utc") -> "CanFrames":
        return cls.build([], [], [], [], clock=clock)

    @classmethod
    def concat(cls, parts: Iterable["CanFrames"]) -> "CanFrames":
        """One after the other; the clock is the worst of the parts that hold frames.

        Raises ValueError where relative times would be mixed with absolute ones.
        """
        every = list(parts)
        full = [part for part in every if len(part)] or every[:1]
        if not full:
            return cls.empty()
        if len(full) == 1:
            return full[0]
        clocks = {part.clock for part in full}
        if "relative" in clocks and len(clocks) > 1:
            raise ValueError("frames with relative times cannot be joined to frames with a date")
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in full]) for name in _DTYPES
        }
        shifts = np.cumsum([0] + [len(part.payload) for part in full[:-1]])
        columns["start"] += np.repeat(shifts, [len(part) for part in full])
        payload = np.concatenate([part.payload for part in full])
        return cls(**columns, payload=payload, clock=max(clocks, key=CLOCKS.index))

    def select(self, which: Any) -> "CanFrames":
        """The frames of a bool mask (n,), of an index array (m,) or of a slice; shares payload."""
        columns: dict[str, Any] = {name: getattr(self, name)[which] for name in _DTYPES}
        return CanFrames(**columns, payload=self.payload, clock=self.clock)

    def compact(self) -> "CanFrames":
        """The same frames with a payload that holds their bytes alone, one after the other."""
        ends = np.cumsum(self.length, dtype=np.int64)
        start = ends - self.length
        total = int(ends[-1]) if len(self) else 0
        where = np.arange(total) + np.repeat(self.start - start, self.length)
        return replace(self, start=start, payload=self.payload[where])

    def by_time(self) -> "CanFrames":
        """Sorted by time; frames of one instant keep their order."""
        if len(self) < 2 or bool(np.all(self.time[1:] >= self.time[:-1])):
            return self
        return self.select(np.argsort(self.time, kind="stable"))

    def messages(self) -> "CanFrames":
        """Without error and remote frames, which carry no signals."""
        ordinary = (self.flags & (ERROR | REMOTE)) == 0
        return self if ordinary.all() else self.select(ordinary)

    def payload_of(self, index: int) -> bytes:
        at = int(self.start[index])
        return self.payload[at : at + int(self.length[index])].tobytes()

    def matrix(self, width: int = 8) -> NDArray[np.uint8]:
        """Payloads as uint8 (n, width): longer ones cut, shorter ones filled with zero."""
        columns = np.arange(width)
        inside = columns < self.length[:, None]
        if not len(self.payload):
            return np.zeros((len(self), width), np.uint8)
        where = np.minimum(self.start[:, None] + columns, len(self.payload) - 1)
        return np.where(inside, self.payload[where], np.uint8(0))

    def groups(self) -> Iterator[tuple[int, bool, int, NDArray[np.int64]]]:
        """(bus, extended, can_id, indices (k,) in log order), sorted by these three."""
        if not len(self):
            return
        key = (self.bus.astype(np.int64) << 32) | (self.extended.astype(np.int64) << 31)
        key |= self.can_id
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        edges = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
        for indices in np.split(order, edges):
            first = indices[0]
            yield (
                int(self.bus[first]),
                bool(self.extended[first]),
                int(self.can_id[first]),
                indices,
            )


class FrameList:
    """Collects frames one by one where a source gives no arrays."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, int, int, bool, int, int]] = []
        self._payload = bytearray()

    def __len__(self) -> int:
        return len(self._rows)

    def append(
        self,
        time: int,
        can_id: int,
        data: bytes | bytearray = b"",
        *,
        bus: int = 0,
        extended: bool = False,
        flags: int = 0,
    ) -> None:
        """time in ns. Raises ValueError for an id that does not fit its 11 or 29 bits, and for a
        time that does not fit 64 bits."""
        if not -(2**63) <= time < 2**63:
            raise ValueError(f"{time} ns is no time")
        if not 0 <= can_id <= (EXTENDED_IDS if extended else STANDARD_IDS):
            raise ValueError(f"identifier 0x{can_id:X} has more than {29 if extended else 11} bits")
        self._rows.append((time, bus & 0xFF, can_id, extended, flags, len(data)))
        self._payload += data

    def frames(self, clock: Clock = "host_utc") -> CanFrames:
        """What was collected so far."""
        columns: Sequence[Sequence[Any]] = list(zip(*self._rows, strict=True)) or [[]] * 6
        time, bus, can_id, extended, flags, length = columns
        payload = np.frombuffer(bytes(self._payload), np.uint8)
        return CanFrames.build(
            time, can_id, payload, length, bus=bus, extended=extended, flags=flags, clock=clock
        )


def _column(values: Any, n: int, dtype: Any) -> NDArray[Any]:
    column = np.asarray(values, dtype)
    if column.ndim == 0:
        return np.full(n, column, dtype)
    if column.shape != (n,):
        raise ValueError(f"{n} times, but a column of shape {column.shape}")
    return column
