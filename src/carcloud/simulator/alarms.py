"""Which alarms a car's own values call for: bit numbers of GB/T 32960.3 (both editions)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carcloud.simulator.chance import Floats

BITS = 19  # alarms that exist in both editions


@dataclass(frozen=True, slots=True)
class Rule:
    """An alarm rises when `sign` times the measure exceeds `sign` times a level's threshold."""

    bit: int
    measure: str
    sign: int  # 1: too high, -1: too low
    thresholds: tuple[float, ...]  # of level 1, 2, 3


RULES = (
    Rule(0, "probe_difference_k", 1, (15.0, 25.0)),
    Rule(1, "hottest_c", 1, (55.0, 60.0, 68.0)),
    Rule(2, "mean_cell_v", 1, (4.25,)),
    Rule(3, "mean_cell_v", -1, (2.95,)),
    Rule(4, "charge", -1, (0.10, 0.05)),
    Rule(5, "highest_cell_v", 1, (4.25, 4.30)),
    Rule(6, "lowest_cell_v", -1, (2.90, 2.70, 2.50)),
    Rule(10, "cell_difference_v", 1, (0.12, 0.30)),
    Rule(11, "ohm_per_volt", -1, (500.0, 300.0, 100.0)),  # GB 18384: at least 100 ohm/V
    Rule(15, "controller_c", 1, (90.0, 105.0)),
    Rule(17, "motor_c", 1, (140.0, 155.0)),
)


def judge(measures: dict[str, Floats]) -> NDArray[np.uint8]:
    """Level of every alarm, 0 = none, shape (cars, BITS); each measure has shape (cars,)."""
    cars = len(next(iter(measures.values())))
    levels = np.zeros((cars, BITS), np.uint8)
    for rule in RULES:
        measured = measures[rule.measure]
        for level, threshold in enumerate(rule.thresholds, 1):
            levels[rule.sign * measured > rule.sign * threshold, rule.bit] = level
    return levels


def flags(levels: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """The alarm word: bit n is set where alarm n has a level; shape (cars,)."""
    weights = np.uint32(1) << np.arange(BITS, dtype=np.uint32)
    words: NDArray[np.uint32] = ((levels > 0) * weights).sum(axis=1, dtype=np.uint32)
    return words
