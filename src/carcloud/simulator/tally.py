"""Counting what a fleet has sent and what the server has confirmed."""

import math
from array import array

import numpy as np
from numpy.typing import NDArray

_SMALLEST_S = 1e-5
_PER_OCTAVE = 16  # a bucket is 4 % wide
_BUCKETS = 28 * _PER_OCTAVE  # to about 2,700 s


class Latencies:
    """A histogram with buckets that grow by 4 %; percentiles are right within that."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BUCKETS, np.int64)

    def add(self, seconds: float) -> None:
        """Count one latency."""
        octaves = math.log2(seconds / _SMALLEST_S) if seconds > _SMALLEST_S else 0.0
        self._counts[min(int(octaves * _PER_OCTAVE), _BUCKETS - 1)] += 1

    def add_all(self, seconds: NDArray[np.float64]) -> None:
        """Count many latencies, shape (n,)."""
        octaves = np.log2(np.maximum(seconds, _SMALLEST_S) / _SMALLEST_S)
        buckets = np.minimum((octaves * _PER_OCTAVE).astype(int), _BUCKETS - 1)
        self._counts += np.bincount(buckets, minlength=_BUCKETS)

    def percentile_ms(self, share: float) -> float:
        """The latency in ms that `share` (0..1) of all stay below; nan without any."""
        total = int(self._counts.sum())
        if not total:
            return math.nan
        bucket = int(np.searchsorted(np.cumsum(self._counts), share * total))
        return float(_SMALLEST_S * 1000.0 * 2.0 ** ((bucket + 0.5) / _PER_OCTAVE))


class Tally:
    """The counters of a running simulation."""

    def __init__(self, record: bool) -> None:
        """`record` keeps vehicle and time of every acknowledged report, 8 bytes each."""
        self.sent = 0
        self.acknowledged = 0
        self.reissued = 0
        self.refused = 0
        self.held_back = 0
        self.stray = 0
        self.lost = 0
        self.latencies = Latencies()
        self._record = record
        self._cars = array("I")
        self._seconds = array("I")

    def acknowledge(self, car: int, seconds: int, latency_s: float) -> None:
        """One report of `car` with collection time `seconds` is confirmed."""
        self.acknowledged += 1
        self.latencies.add(latency_s)
        if self._record:
            self._cars.append(car)
            self._seconds.append(seconds)

    def recorded(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """Vehicle numbers and collection times of the acknowledged reports, in their order."""
        return np.array(self._cars, np.uint32), np.array(self._seconds, np.uint32)
