"""Where the latest values of signals lie, and what else conditions read: one list, by number."""

from collections.abc import Iterable
from typing import Any

from carcloud.codecs.campaign.buffers import Window
from carcloud.codecs.campaign.checking import Bound, Checked, Input
from carcloud.codecs.campaign.prepare import Prepared

_FIGURES = {"MIN": 0, "MAX": 1, "AVG": 2}


class Slots:
    """`values` are what conditions read; `counts` are samples of the signals' slots."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.counts: list[int] = []
        self._numbers: dict[tuple[str, str, object], int] = {}

    def of(self, path: str) -> int:
        """The slot of a signal's latest value."""
        return self._slot("value", path, None)

    def of_null(self, path: str, owner: Prepared) -> int:
        """The slot of a campaign's isNull of a signal."""
        return self._slot("isNull", path, id(owner))

    def latest(self, path: str) -> Any:
        """The latest value of a signal, None where there is none."""
        slot = self._numbers.get(("value", path, None))
        return None if slot is None else self.values[slot]

    def forget(self, paths: Iterable[str]) -> None:
        """Signals that nobody follows any more have no value: it would be an old one later."""
        for path in paths:
            self.values[self.of(path)] = None

    def bind(self, checked: Checked, owner: Prepared) -> Bound:
        """An expression of a campaign, with memory of edges of its own."""
        slots: dict[Input, int] = {}
        for each in checked.inputs:
            if each.kind == "value":
                slots[each] = self.of(each.path)
            elif each.kind == "isNull":
                slots[each] = self.of_null(each.path, owner)
            else:
                slots[each] = self._slot(each.kind, each.path, owner.windows[each.path])
        return checked.bind(slots)

    def take_window(self, path: str, length_us: int, window: Window) -> None:
        """The figures of a signal's windows of a length are new."""
        for which, figures in (("LAST", window.last), ("PREV_LAST", window.before)):
            for what, at in _FIGURES.items():
                slot = self._numbers.get((f"{which}_WINDOW_{what}", path, length_us))
                if slot is not None:
                    self.values[slot] = None if figures is None else figures[at]

    def _slot(self, kind: str, path: str, owner: object) -> int:
        key = (kind, path, owner)
        if key not in self._numbers:
            self._numbers[key] = len(self.values)
            self.values.append(None)
            self.counts.append(0)
        return self._numbers[key]
