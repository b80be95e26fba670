"""Methods of commands to vehicles and of their desired state."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from carcloud.client.exchange import Call, Listing, get, send, shaped
from carcloud.client.methods import AsyncGroup, Group, call, many
from carcloud.client.types import Items, Page, Tagged

_ONE = "/v1/vehicles/{vehicle}/commands/{command}"
State = Literal[
    "created", "sent", "received", "executed", "refused", "failed", "timed-out", "cancelled"
]


class Argument(msgspec.Struct, frozen=True):
    """What a command takes; what is `secret` is hidden in every answer."""

    name: str
    kind: str
    help: str
    needed: bool
    least: float | None
    most: float | None
    choices: tuple[str, ...]
    secret: bool


class CommandKind(msgspec.Struct, frozen=True):
    """A command that can be given; `parked`: only to a vehicle that is known to stand."""

    name: str
    help: str
    protocols: tuple[str, ...]
    action: str
    parked: bool
    arguments: tuple[Argument, ...]


class Command(msgspec.Struct, frozen=True):
    """A command and how it went."""

    id: str
    vehicle: str
    name: str
    arguments: dict[str, Any]
    state: str
    reason: str
    result: Any
    actor: str
    created: datetime
    expires: datetime
    sent: datetime | None
    received: datetime | None
    ended: datetime | None


class VehicleState(Tagged, frozen=True):
    """Desired and reported state; `delta` is what of the desired is not reported so."""

    vehicle: str
    desired: dict[str, Any]
    reported: dict[str, Any]
    delta: dict[str, Any] | None
    desired_version: int
    reported_version: int
    desired_time: datetime | None
    reported_time: datetime | None


class NewCommand(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a new command."""

    name: str
    arguments: Mapping[str, Any] = {}
    timeout_s: float = 60.0
    key: str | None = None


class _Commands:
    @call
    def kinds(self) -> Call[tuple[CommandKind, ...]]:
        """The commands that can be given, and what each takes."""
        return shaped(get("/v1/command-kinds", Items[CommandKind]), lambda found: found.items)

    @many
    def list(
        self,
        vehicle: str | None = None,
        *,
        state: State | None = None,
        limit: int | None = None,
    ) -> Listing[Command]:
        """Commands, newest first: to one vehicle, or to all."""
        if vehicle is None:
            return Listing(get("/v1/commands", Page[Command], state=state), limit)
        path = "/v1/vehicles/{vehicle}/commands"
        return Listing(get(path, Page[Command], place={"vehicle": vehicle}, state=state), limit)

    @call
    def give(
        self,
        vehicle: str,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout_s: float = 60.0,
        key: str | None = None,
    ) -> Call[Command]:
        """Give a command. The same `key` again gives the same command, not another one.

        Raises `Invalid`, `Conflict` where the vehicle is not known to be parked and must be.
        """
        body = NewCommand(name, arguments or {}, timeout_s, key)
        path = "/v1/vehicles/{vehicle}/commands"
        return send("POST", path, Command, place={"vehicle": vehicle}, body=body)

    @call
    def get(self, vehicle: str, command: str) -> Call[Command]:
        """One command and how it went."""
        return get(_ONE, Command, place={"vehicle": vehicle, "command": command})

    @call
    def cancel(self, vehicle: str, command: str) -> Call[Command]:
        """Call a command back; raises `Conflict` where it has ended."""
        place = {"vehicle": vehicle, "command": command}
        return send("POST", _ONE + "/cancel", Command, place=place)

    @call
    def state(self, vehicle: str) -> Call[VehicleState]:
        """Desired and reported state of a vehicle, with the ETag of the desired one."""
        return get("/v1/vehicles/{vehicle}/state", VehicleState, place={"vehicle": vehicle})

    @call
    def desire(
        self, vehicle: str, desired: Mapping[str, Any], *, etag: str | None = None
    ) -> Call[VehicleState]:
        """Change the desired state by a merge patch; raises `Changed` where `etag` is old."""
        path = "/v1/vehicles/{vehicle}/state/desired"
        return send(
            "PATCH", path, VehicleState, place={"vehicle": vehicle}, body=desired, etag=etag
        )


class CommandGroup(Group, _Commands):
    """`client.commands`"""


class AsyncCommandGroup(AsyncGroup, _Commands):
    """`client.commands`"""
