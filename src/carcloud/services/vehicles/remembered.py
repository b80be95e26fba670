"""Facts of the registry, kept for a few seconds by those who need them for every frame."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from carcloud.ports.errors import EngineError

log = logging.getLogger(__name__)

Fact = TypeVar("Fact")


class _Kept(NamedTuple, Generic[Fact]):
    asked: float
    version: int | None
    fact: Fact | None


class Remembered(Generic[Fact]):
    """Facts by vehicle, at most `entries`, asked again when older than `fresh_s`.

    With `version`, a number that grows whenever what facts come from changes, older ones hold too
    while it is the same.

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
        version: Callable[[], int] | None = None,
    ) -> None:
        self._load = load
        self._fresh_s = fresh_s
        self._entries = entries
        self._now = now
        self._version = version
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Kept[Fact]] = OrderedDict()

    def many(self, wanted: Iterable[str], not_before: float = 0.0) -> dict[str, Fact]:
        """The facts there are about these vehicles, none asked before `not_before` (s)."""
        names = list(dict.fromkeys(wanted))
        with self._lock:
            return self._facts(names, not_before)

    def _facts(self, names: list[str], not_before: float) -> dict[str, Fact]:
        known, must = self._known, not_before > 0.0
        oldest, version = max(self._now() - self._fresh_s, not_before), self._version_now()
        stale = [
            name
            for name in names
            if (kept := known.get(name)) is None
            or (kept.asked < oldest and (must or version is None or kept.version != version))
        ]
        if stale:
            self._ask(stale, version, must=must)
        found = {name: fact for name in names if (fact := known[name].fact) is not None}
        while len(known) > self._entries:
            known.popitem(last=False)
        return found

    def _version_now(self) -> int | None:
        """Before facts are asked, so that they are never older than it; None = not known."""
        try:
            return None if self._version is None else self._version()
        except EngineError:
            return None

    def _ask(self, names: list[str], version: int | None, *, must: bool) -> None:
        asked = self._now()
        try:
            loaded = self._load(names)
        except EngineError as error:
            if must or any(name not in self._known for name in names):
                raise
            log.warning("the records do not answer, old facts about vehicles are used: %s", error)
            return
        for name in names:
            self._known[name] = _Kept(asked, version, loaded.get(name))
            self._known.move_to_end(name)
