"""What a condition can call. Numbers are doubles; a function without a value raises."""

import math
from collections.abc import Callable
from dataclasses import dataclass

_ANY = 64  # arguments that a function without a fixed number takes


@dataclass(frozen=True, slots=True)
class Function:
    """A function of numbers; `least` and `most` are its numbers of arguments.

    `call` raises `ArithmeticError` or `ValueError` where it has no value.
    """

    call: Callable[..., float]
    least: int
    most: int


def divide(left: float, right: float) -> float:
    """IEEE 754 division: by zero it gives an infinity, 0 / 0 gives NaN."""
    try:
        return left / right
    except ZeroDivisionError:
        if left == 0 or math.isnan(left):
            return math.nan
        return math.copysign(math.inf, left) * math.copysign(1.0, right)


def _pow(base: float, exponent: float) -> float:
    """C's `pow` (C11 F.10.4.4): too much, and zero to a negative power, give an infinity."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        pole = math.inf
    except ValueError:
        if base != 0:
            raise  # a root of a negative number
        pole = math.inf
    return math.copysign(pole, base) if exponent % 2 == 1 else pole


def _log(base: float, value: float) -> float:
    return math.log(value, base)


def _ceil(value: float) -> float:
    return float(math.ceil(value)) if math.isfinite(value) else value


def _floor(value: float) -> float:
    return float(math.floor(value)) if math.isfinite(value) else value


FUNCTIONS: dict[str, Function] = {
    "abs": Function(abs, 1, 1),
    "min": Function(min, 2, _ANY),
    "max": Function(max, 2, _ANY),
    "pow": Function(_pow, 2, 2),
    "log": Function(_log, 2, 2),
    "ceil": Function(_ceil, 1, 1),
    "floor": Function(_floor, 1, 1),
}


class Rises:
    """Which of several conditions became true: MULTI_RISING_EDGE_TRIGGER.

    A condition rises when it is true and was false; one whose first known value is true does not.
    While it has no value it neither rises nor falls.
    """

    __slots__ = ("_before", "fired")

    def __init__(self) -> None:
        self._before: dict[int, bool] = {}
        self.fired: list[str] = []

    def __call__(self, parts: tuple[tuple[str, float | bool | None], ...]) -> bool:
        before, self.fired = self._before, []
        for at, (name, value) in enumerate(parts):
            if value is None:
                continue
            now = value != 0
            if now and before.get(at) is False:
                self.fired.append(name)
            before[at] = now
        return bool(self.fired)
