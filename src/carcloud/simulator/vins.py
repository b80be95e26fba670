"""Synthetic vehicle identities: VINs that no maker uses, and SIM numbers to match."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

PREFIX = "LTEST"  # L = China; no maker owns these letters
_ALPHABET = "0123456789ABCDEFGHJKLMNPRSTUVWXYZ"
# GB 16735 table 1: the value of every character, and the weight of every place.
_VALUES = dict(
    zip(
        "0123456789ABCDEFGHJKLMNPRSTUVWXYZ",
        [*range(10), *range(1, 9), *range(1, 6), 7, 9, *range(2, 10)],
        strict=True,
    )
)
_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_SERIALS = 10_000_000  # seven digits at the end of the VIN


def check_digit(vin: str) -> str:
    """The character that belongs at place 9 of a 17-character VIN (GB 16735, ISO 3779)."""
    total = sum(_VALUES[char] * weight for char, weight in zip(vin, _WEIGHTS, strict=True))
    return "0123456789X"[total % 11]


def vin(seed: int, index: int) -> str:
    """The VIN of car number `index` (0 .. 9,999,999) in the fleet of `seed`."""
    if not 0 <= index < _SERIALS:
        raise ValueError(f"a fleet has at most {_SERIALS} cars, not a car number {index}")
    letters = _series(seed)
    body = f"{PREFIX}{letters[:3]}0{letters[3]}{index:07d}"
    return body[:8] + check_digit(body) + body[9:]


@lru_cache(maxsize=16)
def _series(seed: int) -> str:
    """Four characters that tell the fleets of different seeds apart."""
    picks = np.random.default_rng(seed).integers(0, len(_ALPHABET), 4)
    return "".join(_ALPHABET[pick] for pick in picks)


def vins(seed: int, cars: int) -> list[str]:
    """The VINs of the first `cars` cars in the fleet of `seed`, all different."""
    return [vin(seed, index) for index in range(cars)]


def iccids(names: Sequence[str]) -> list[str]:
    """A synthetic 20-digit SIM number for every VIN: 898600 (China), zeros, the VIN's serial."""
    return [f"898600{int(name[-7:]):014d}" for name in names]
