"""Desired state: what the cloud wants of the agent, and what the agent says it is.

Desired is `{"version": 4, "state": {"report_interval_ms": 500, "report_signals": ["*"]}}`; reported
has the same form, with what was refused and why beside it. Both survive a restart.
"""

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from carcloud.agent.library import write_if_possible
from carcloud.agent.settings import AgentSettings
from carcloud.codecs.campaign.document import parse_json
from carcloud.codecs.campaign.fields import DocumentError, Fields

log = logging.getLogger(__name__)

_MOST_PATTERNS = 1000


class Wishes:
    """The state that can be wished for; `tell` sends what it is."""

    def __init__(
        self,
        file: Path,
        settings: AgentSettings,
        reported: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._file = file
        self._reported = reported
        self._version = 0
        self._refused: dict[str, str] = {}
        self.interval_ms = settings.report_interval_ms
        self.signals = settings.report
        self.checkin_s = settings.checkin_s
        try:
            kept = json.loads(file.read_text("utf-8"))
            self._version = int(kept["version"])
            self._apply(kept["state"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            log.debug("no reported state of an earlier run")

    @property
    def parameters(self) -> dict[str, Any]:
        """All that can be wished for, as it is."""
        return {
            "report_interval_ms": self.interval_ms,
            "report_signals": list(self.signals),
            "checkin_s": self.checkin_s,
        }

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
        before = self.parameters
        self._version = version
        self._apply(state)
        self._keep()
        self.tell()
        return before != self.parameters

    def _apply(self, state: Mapping[str, Any]) -> None:
        self._refused = {}
        for name in state:
            try:
                self._set({name: _read(state, name)})
            except DocumentError as error:
                self._refused[str(name)] = error.reason

    def change(self, given: Mapping[str, Any]) -> None:
        """Set parameters by a command, all or none; raises `DocumentError`."""
        self._set({name: _read(given, name) for name in given})
        self._keep()
        self.tell()

    def _set(self, values: Mapping[str, Any]) -> None:
        self.interval_ms = values.get("report_interval_ms", self.interval_ms)
        self.signals = values.get("report_signals", self.signals)
        self.checkin_s = values.get("checkin_s", self.checkin_s)

    def _keep(self) -> None:
        write_if_possible(self._file, json.dumps(self.document()))

    def document(self) -> dict[str, Any]:
        """The reported state."""
        document: dict[str, Any] = {"version": self._version, "state": self.parameters}
        return document | {"refused": self._refused} if self._refused else document

    def tell(self) -> None:
        """Send the reported state."""
        self._reported(self.document())


def _read(state: Mapping[str, Any], name: str) -> Any:
    """The checked value of a parameter; raises `DocumentError`."""
    fields = Fields(state)
    match name:
        case "report_interval_ms":
            return fields.integer(name, 0, 86_400_000)
        case "report_signals":
            return _patterns(fields, name)
        case "checkin_s":
            return fields.integer(name, 1, 86_400)
        case _:
            raise DocumentError(str(name), "not known to this agent")


def _patterns(fields: Fields, name: str) -> tuple[str, ...]:
    value = fields.take(name)
    good = isinstance(value, list) and len(value) <= _MOST_PATTERNS
    if not good or not all(isinstance(each, str) for each in value):
        raise DocumentError(name, f"expected a list of at most {_MOST_PATTERNS} patterns")
    return tuple(value)
