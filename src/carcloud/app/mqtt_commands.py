"""What vehicles tell over MQTT of commands, of their state and of their agent."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from carcloud.app.engines import Engines
from carcloud.gateway.mqtt.downlink import Told
from carcloud.model.limits import OverLimit
from carcloud.services.campaigns.api import Campaigns, CheckIn
from carcloud.services.commands.api import Commands, InvalidCommand, Report, State, UnknownCommand
from carcloud.services.vehicles.api import Invalid, Unknown

_COMMANDS, _RESULT, _REPORTED = "commands/", "/result", "state/reported"
_CHECK_IN: Final = "checkin"
_STATES: Final = {
    "received": State.RECEIVED,
    "executed": State.EXECUTED,
    "refused": State.REFUSED,
    "failed": State.FAILED,
    "timed-out": State.TIMED_OUT,
}


class Result(msgspec.Struct, frozen=True):
    """Payload of `v1/{vehicle}/commands/{id}/result`; further fields are passed over."""

    state: str
    reason: str = ""
    code: int | None = None
    result: Any = None


class Reported(msgspec.Struct, frozen=True):
    """Payload of `v1/{vehicle}/state/reported`; further fields are passed over."""

    state: dict[str, Any]


class CheckedIn(msgspec.Struct, frozen=True):
    """Payload of `v1/{vehicle}/checkin`; further fields are passed over."""

    documents: list[dict[str, Any]] = []
    missing: list[str] = []
    campaigns: dict[str, Any] = {}
    agent: str = ""
    frames: dict[str, Any] = {}
    records: dict[str, Any] = {}
    spool: dict[str, Any] = {}
    uptime_s: float = 0.0
    connections: int = 0
    model: str | None = None
    sample_bytes: int = 0
    clock_steps: int = 0
    forwarding: list[dict[str, Any]] = []


_FIGURES: Final = (
    "frames", "records", "spool", "uptime_s", "connections", "model", "sample_bytes",
    "clock_steps", "forwarding",
)  # fmt: skip


class MqttCommands:
    """Called in threads, in batches. Answers are empty, or say what is wrong."""

    def __init__(self, engines: Engines) -> None:
        self._commands = Commands(engines.records, engines.stream)
        self._campaigns = Campaigns(engines.records, engines.stream)
        self._put_again: Callable[[Told], None] = lambda _told: None

    def on_put_again(self, call: Callable[[Told], None]) -> None:
        """Have it called in a thread where a vehicle gets documents once more."""
        self._put_again = call

    def told(self, messages: Sequence[Told]) -> list[str]:
        """Keep what vehicles tell."""
        return [self._take(one) for one in messages]

    def _take(self, one: Told) -> str:
        take = self._taker(one.topic)
        if take is None:
            return ""  # the lake has it, and nobody else wants it
        try:
            take(one)
        except (
            *(msgspec.MsgspecError, InvalidCommand, UnknownCommand),
            *(Invalid, OverLimit, Unknown),
        ) as error:
            return str(error)
        return ""

    def _taker(self, topic: str) -> Callable[[Told], None] | None:
        if topic == _REPORTED:
            return self._state
        if topic == _CHECK_IN:
            return self._check_in
        if topic.startswith(_COMMANDS) and topic.endswith(_RESULT):
            return self._result
        return None

    def _result(self, one: Told) -> None:
        told = msgspec.json.decode(one.payload, type=Result)
        state = _STATES.get(told.state.replace("_", "-"))
        if state is None:
            raise InvalidCommand("state", f"one of {', '.join(_STATES)}")
        command = one.topic[len(_COMMANDS) : -len(_RESULT)]
        if self._commands.get(one.tenant, command).vehicle != one.vehicle:
            raise UnknownCommand(f"there is no command {command!r}")
        reason = f"{told.reason} (0x{told.code:x})".strip() if told.code else told.reason
        self._commands.report([Report(command, one.vehicle, state, reason, told.result)])

    def _check_in(self, one: Told) -> None:
        told = msgspec.json.decode(one.payload, type=CheckedIn)
        check_in = CheckIn(
            one.vehicle,
            tuple(told.documents),
            tuple(told.missing),
            told.campaigns,
            {name: getattr(told, name) for name in _FIGURES},
            told.agent,
        )
        if self._campaigns.check_in(one.tenant, check_in):
            self._put_again(one)

    def _state(self, one: Told) -> None:
        told: Mapping[str, Any] = msgspec.json.decode(one.payload, type=Reported).state
        self._commands.reported(one.tenant, one.vehicle, told)
