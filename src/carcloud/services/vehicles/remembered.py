"""Facts of the registry, kept for a few seconds by those who need them for every frame."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from carcloud.ports.errors import EngineError

log = logging.getLogger(__name__)

Fact = TypeVar("Fact")


class Remembered(Generic[Fact]):
    """Facts by vehicle, at most `entries`, asked again when older than `fresh_s`.

    A vehicle without a fact is remembered too. When the records cannot be asked, old facts are
    told; `EngineError` is raised for vehicles never asked about, and where old facts do not do.
    """

    def __init__(
        self,
        load: Callable[[Sequence[str]], Mapping[str, Fact]],
        *,
        fresh_s: float = 5.0,
        entries: int = 200_000,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._load = load
        self._fresh_s = fresh_s
        self._entries = entries
        self._now = now
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, Fact | None]] = OrderedDict()

    def many(self, wanted: Iterable[str], not_before: float = 0.0) -> dict[str, Fact]:
        """The facts there are about these vehicles, none asked before `not_before` (s)."""
        names = list(dict.fromkeys(wanted))
        with self._lock:
            return self._facts(names, not_before)

    def _facts(self, names: list[str], not_before: float) -> dict[str, Fact]:
        oldest = max(self._now() - self._fresh_s, not_before)
        stale = [n for n in names if (kept := self._known.get(n)) is None or kept[0] < oldest]
        if stale:
            self._ask(stale, must=not_before > 0.0)
        known = self._known
        found = {name: fact for name in names if (fact := known[name][1]) is not None}
        while len(known) > self._entries:
            known.popitem(last=False)
        return found

    def _ask(self, names: list[str], *, must: bool) -> None:
        asked = self._now()
        try:
            loaded = self._load(names)
        except EngineError as error:
            if must or any(name not in self._known for name in names):
                raise
            log.warning("the records do not answer, old facts about vehicles are used: %s", error)
            return
        for name in names:
            self._known[name] = asked, loaded.get(name)
            self._known.move_to_end(name)
