"""Where messages for vehicles come from: a store that is asked in batches, beside the sessions.

A session is told that something has changed (`MqttGateway.look`), asks for what it does not have
yet, and tells what has been delivered. Both questions are answered in a thread, for many sessions
at once: see `AdmissionDesk`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from carcloud.gateway.admission import AdmissionDesk
from carcloud.model.ids import Tenant


class Message(Protocol):
    """A message to a vehicle. Times are us since 1970, UTC."""

    @property
    def id(self) -> int:
        """Its number, growing with each message of the vehicle."""

    @property
    def topic(self) -> str:
        """One of the vehicle's own."""

    @property
    def payload(self) -> bytes:
        """What it says."""

    @property
    def qos(self) -> int:
        """0, 1 or 2: the most it is sent at."""

    @property
    def retained(self) -> bool:
        """It stays after delivery, for who subscribes later."""

    @property
    def expires(self) -> int | None:
        """After this it must not reach the vehicle."""


@dataclass(frozen=True, slots=True)
class Look:
    """Which messages wait for a vehicle, on topics that `filters` cover, besides those `known`;
    and which of those `held`, which are about to be sent, are not wanted any more."""

    tenant: Tenant
    vehicle: str
    filters: tuple[str, ...]
    known: frozenset[int]
    held: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Found:
    """The oldest of them in order, whether there are more, and which of those held are gone."""

    messages: Sequence[Message] = ()
    more: bool = False
    gone: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Delivered:
    """The vehicle has a message, or it can never have it: it need not be kept."""

    tenant: Tenant
    vehicle: str
    id: int


@dataclass(frozen=True, slots=True)
class Told:
    """What a vehicle says of commands, of its state or of its agent, to be kept in the records."""

    tenant: Tenant
    vehicle: str
    topic: str  # below the vehicle's prefix
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Downlink:
    """The desks that answer. `told` answers with what is wrong, empty = nothing."""

    looks: AdmissionDesk[Look, Found]
    deliveries: AdmissionDesk[Delivered, bool]
    told: AdmissionDesk[Told, str] | None = None


NOTHING = Found()


@dataclass(frozen=True, slots=True)
class Forbidden:
    """A vehicle has tried a topic that is not its own."""

    tenant: Tenant
    vehicle: str
    address: str
    what: str  # publish, subscribe or will
    topic: str = field(repr=False)
