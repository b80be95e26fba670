"""What is due when, in slots of 50 ms: no timer per vehicle."""

from collections import defaultdict
from itertools import pairwise

import numpy as np

from carcloud.simulator.chance import Cars

SLOT_MS = 50
SLOT_S = SLOT_MS / 1000.0
_GOLDEN = 0.6180339887498949


class Phases:
    """Something that every car does once a period, the cars spread evenly over it."""

    def __init__(self, cars: int, period_s: float, offset: float = 0.0) -> None:
        """`offset` (0..1 of the period) keeps two such things apart."""
        self._slots = max(1, int(period_s / SLOT_S + 1e-6))
        spread = (np.arange(cars) * _GOLDEN + offset) % 1.0
        phase = (spread * self._slots).astype(int)
        order = np.argsort(phase, kind="stable")
        bounds = np.searchsorted(phase[order], np.arange(self._slots + 1))
        self._due = [order[a:b] for a, b in pairwise(bounds)]

    def due(self, slot: int) -> Cars:
        """The cars whose turn it is in this slot."""
        return self._due[slot % self._slots]


class Wheel:
    """Single appointments of cars."""

    def __init__(self) -> None:
        self._slots: defaultdict[int, list[int]] = defaultdict(list)
        self._taken = 0  # first slot that has not been taken out

    def add(self, slot: int, car: int) -> None:
        """Remind of `car` in `slot`, or in the next one to come if that has passed."""
        self._slots[max(slot, self._taken)].append(car)

    def due(self, slot: int) -> list[int]:
        """Take out the cars of all slots up to this one."""
        cars: list[int] = []
        for past in range(self._taken, slot + 1):
            cars += self._slots.pop(past, ())
        self._taken = slot + 1
        return cars
