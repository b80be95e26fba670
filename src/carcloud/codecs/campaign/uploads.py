"""Whether what was collected may be sent now."""

from collections.abc import Iterable
from typing import Any

from carcloud.codecs.campaign.checking import Bound, SignalType
from carcloud.codecs.campaign.prepare import Prepared
from carcloud.codecs.campaign.slots import Slots


class Uploads:
    """The conditions of upload of all campaigns, those that collect nothing now among them."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._conditions: dict[tuple[str, str], Bound] = {}
        self.types: dict[str, SignalType] = {}  # of the signals that are read
        self.windows: set[tuple[str, int]] = set()  # that are read: path, length in microseconds

    def rebuild(self, campaigns: Iterable[Prepared]) -> None:
        """Have the conditions of these campaigns."""
        self._conditions, self.types, self.windows = {}, {}, set()
        for each in campaigns:
            lengths = each.windows
            for partition, checked in each.uploads.items():
                self._conditions[each.campaign.id, partition] = self._slots.bind(checked, each)
                self.types |= {path: each.types[path] for path in checked.paths}
                self.windows |= {
                    (one.path, lengths[one.path]) for one in checked.inputs if one.of_window
                }

    def open(self, campaign: str, partition: str) -> bool:
        """A partition without a condition always is."""
        bound = self._conditions.get((campaign, partition))
        if bound is None:
            return True
        values: list[Any] = self._slots.values
        try:
            return bool(bound.evaluate(values))
        except (ArithmeticError, ValueError, TypeError):
            return False
