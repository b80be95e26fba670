"""What crosses the wall of the service. Times are us since 1970, UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from carcloud.model.ids import Tenant


class State(StrEnum):
    """Where a command stands."""

    CREATED = "created"  # waits until the vehicle is connected
    SENT = "sent"  # written to its connection
    RECEIVED = "received"  # the vehicle says that it has it
    EXECUTED = "executed"
    REFUSED = "refused"  # the vehicle will not; `reason` says why
    FAILED = "failed"  # the vehicle could not; `reason` says why
    TIMED_OUT = "timed-out"  # no end was told before `expires`
    CANCELLED = "cancelled"  # by a person, before it ended


OPEN = (State.CREATED, State.SENT, State.RECEIVED)
ENDED = tuple(state for state in State if state not in OPEN)


class NewCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command to give. The same `key` again gives the same command, not another one."""

    name: str
    arguments: dict[str, Any] = {}
    timeout_s: float = 60.0
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A command and how it went. `result` is what the vehicle answered with."""

    id: str
    tenant: Tenant
    vehicle: str
    name: str
    arguments: Mapping[str, Any]
    state: State
    reason: str
    result: Any
    actor: str
    key: str | None
    created: int
    expires: int
    sent: int | None
    received: int | None
    ended: int | None


@dataclass(frozen=True, slots=True)
class CommandPage:
    """Commands, newest first, and the cursor of the next page."""

    items: tuple[Command, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command that a gateway may send; `number` grows with each command given."""

    number: int
    id: str
    tenant: Tenant
    vehicle: str
    name: str
    arguments: Mapping[str, Any] = field(hash=False)
    expires: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What is told of a command by its vehicle, or by the gateway that sent it."""

    id: str
    vehicle: str
    state: State
    reason: str = ""
    result: Any = None
    time: int = 0  # 0 = now


@dataclass(frozen=True, slots=True)
class VehicleState:
    """Desired and reported state of a vehicle, and what of the desired is not reported so.

    Versions count changes, 0 = none yet. `delta` is None where nothing differs.
    """

    vehicle: str
    desired: Mapping[str, Any]
    reported: Mapping[str, Any]
    delta: Mapping[str, Any] | None
    desired_version: int
    reported_version: int
    desired_time: int | None
    reported_time: int | None
