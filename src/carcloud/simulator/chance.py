"""Random draws that belong to a car: the same car of the same seed draws the same numbers,
however many cars are simulated beside it and in whatever order they are stepped."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Cars = NDArray[np.intp]

_STEP = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: the counter's stride
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)


def mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's output function: every input bit reaches every output bit."""
    words = (words ^ (words >> np.uint64(30))) * _MIX_A
    words = (words ^ (words >> np.uint64(27))) * _MIX_B
    return words ^ (words >> np.uint64(31))


class Chance:
    """A stream of uniform numbers for each of `cars` cars."""

    def __init__(self, cars: int, seed: int, topic: str) -> None:
        """`topic` separates the streams of independent parts of the simulation."""
        salt = np.array([seed & 0xFFFF_FFFF_FFFF_FFFF], np.uint64)
        for byte in topic.encode():
            salt = mixed(salt * _STEP + np.uint64(byte + 1))
        self._keys = mixed(salt + np.arange(1, cars + 1, dtype=np.uint64) * _STEP)
        self._drawn = np.zeros(cars, np.uint64)

    def uniform(self, cars: Cars) -> Floats:
        """One number in [0, 1) for each of the named cars, shape (len(cars),)."""
        self._drawn[cars] += np.uint64(1)
        words = mixed(self._keys[cars] + self._drawn[cars] * _STEP)
        return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def between(self, low: float, high: float) -> Floats:
        """One number in [low, high) for every car, shape (cars,)."""
        return low + (high - low) * self.uniform(np.arange(len(self._keys)))

    def normal(self, columns: int) -> Floats:
        """Standard normal numbers, shape (cars, columns), by Box and Muller's method."""
        everyone = np.arange(len(self._keys))
        out = np.empty((len(self._keys), columns))
        for column in range(columns):
            radius = np.sqrt(-2.0 * np.log1p(-self.uniform(everyone)))
            out[:, column] = radius * np.cos(2.0 * np.pi * self.uniform(everyone))
        return out
