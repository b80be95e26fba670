"""Named fields of reports, whatever the protocol: read of one report after the other.

Of a protocol that can read them of many reports at once this is the reference.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64] | npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Found = tuple[Numbers, Mask]
"""Of each report (n,): its number, float64 where any is a float, and whether it has none."""


class Field(Protocol):
    """A field of a protocol; None where a report has no such number."""

    def raw(self, report: Any, /) -> int | None:
        """The number as it was sent."""

    def value(self, report: Any, /) -> int | float | None:
        """The number in the field's unit."""


class Fields(Protocol):
    """The fields of some reports."""

    def raw(self, field: Any, /) -> Found:
        """The numbers as they were sent, int64."""

    def value(self, field: Any, /) -> Found:
        """The numbers in the field's unit."""


class OneByOne:
    """The fields of reports as the protocol reads them one at a time."""

    def __init__(self, reports: Sequence[Any]) -> None:
        self._reports = reports

    def raw(self, field: Field) -> Found:
        """As `Fields.raw`."""
        return _columns([field.raw(one) for one in self._reports])

    def value(self, field: Field) -> Found:
        """As `Fields.value`."""
        return _columns([field.value(one) for one in self._reports])


def _columns(found: Sequence[int | float | None]) -> Found:
    missing = np.array([one is None for one in found], np.bool_)
    numbers = [0 if one is None else one for one in found]
    if any(isinstance(one, float) for one in numbers):
        return np.array(numbers, np.float64), missing
    return np.array(numbers, np.int64), missing
