"""One figure of a benchmark."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

_SIGNS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
}


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured, and what it is held against.

    `target` is ">= 20000" or "<= 100" in `unit`, or empty. `peer` names what a user would pick
    instead, measured in the same run; `ratio` is how many times better we are than the peer.
    `ratio_target` is the least ratio wanted.
    """

    what: str
    value: float
    unit: str
    target: str = ""
    peer: str = ""
    ratio: float | None = None
    ratio_target: float | None = None

    def __post_init__(self) -> None:
        if self.target and not re.fullmatch(r"(>=|<=) [0-9][0-9,]*(\.[0-9]+)?", self.target):
            raise ValueError(f"target {self.target!r} is not like '>= 20,000' or '<= 2.5'")

    @property
    def met(self) -> bool | None:
        """Whether every target is reached; None where there is none."""
        verdicts = []
        if self.target:
            sign, _, bound = self.target.partition(" ")
            verdicts.append(_SIGNS[sign](self.value, float(bound.replace(",", ""))))
        if self.ratio_target is not None:
            verdicts.append(self.ratio is not None and self.ratio >= self.ratio_target)
        return all(verdicts) if verdicts else None

    def document(self) -> dict[str, object]:
        """The row as `--json` prints it."""
        target = self.target
        if self.ratio_target is not None:
            target = "; ".join(filter(None, (target, f"ratio >= {self.ratio_target:g}")))
        return {
            "what": self.what,
            "value": self.value,
            "unit": self.unit,
            "target": target,
            "peer": self.peer,
            "ratio": self.ratio,
            "met": self.met,
        }
