"""Desired state: what the cloud wants of the agent, and what the agent says it is.

Desired is `{"version": 4, "state": {"report_interval_ms": 500, "report_signals": ["*"]}}`; reported
has the same form, with what was refused and why beside it. Both survive a restart.
"""

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from carcloud.agent.library import write_safely
from carcloud.codecs.campaign.document import parse_json
from carcloud.codecs.campaign.fields import DocumentError, Fields

log = logging.getLogger(__name__)

_MOST_PATTERNS = 1000


class Wishes:
    """The state that can be wished for; `tell` sends what it is."""

    def __init__(
        self,
        file: Path,
        interval_ms: int,
        signals: tuple[str, ...],
        reported: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._file = file
        self._reported = reported
        self._version = 0
        self._refused: dict[str, str] = {}
        self.interval_ms = interval_ms
        self.signals = signals
        try:
            kept = json.loads(file.read_text("utf-8"))
            self._version = int(kept["version"])
            self._apply(kept["state"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            log.debug("no reported state of an earlier run")

    def take(self, payload: bytes) -> bool:
        """Desired state; True where something changed. What cannot be is refused and reported."""
        if not payload:
            return False
        try:
            fields = Fields(parse_json(payload))
            version = fields.integer("version", 0, 2**53, 0)
            state = fields.take("state")
            if not isinstance(state, Mapping):
                raise DocumentError("state", "expected an object")
        except DocumentError as error:
            log.warning("a desired state that cannot be read: %s", error)
            return False
        before = (self.interval_ms, self.signals)
        self._version = version
        self._apply(state)
        self._keep()
        self.tell()
        return before != (self.interval_ms, self.signals)

    def _apply(self, state: Mapping[str, Any]) -> None:
        self._refused = {}
        for name in state:
            fields = Fields(state)
            try:
                if name == "report_interval_ms":
                    self.interval_ms = fields.integer(name, 0, 86_400_000)
                elif name == "report_signals":
                    self.signals = _patterns(fields, name)
                else:
                    self._refused[str(name)] = "not known to this agent"
            except DocumentError as error:
                self._refused[str(name)] = error.reason

    def set_interval(self, interval_ms: int) -> None:
        """Change the interval by a command."""
        self.interval_ms = interval_ms
        self._keep()
        self.tell()

    def _keep(self) -> None:
        write_safely(self._file, json.dumps(self.document()))

    def document(self) -> dict[str, Any]:
        """The reported state."""
        document: dict[str, Any] = {
            "version": self._version,
            "state": {
                "report_interval_ms": self.interval_ms,
                "report_signals": list(self.signals),
            },
        }
        return document | {"refused": self._refused} if self._refused else document

    def tell(self) -> None:
        """Send the reported state."""
        self._reported(self.document())


def _patterns(fields: Fields, name: str) -> tuple[str, ...]:
    value = fields.take(name)
    good = isinstance(value, list) and len(value) <= _MOST_PATTERNS
    if not good or not all(isinstance(each, str) for each in value):
        raise DocumentError(name, f"expected a list of at most {_MOST_PATTERNS} patterns")
    return tuple(value)
