"""What crosses the wall of the service. Times are us since 1970, UTC."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from carcloud.model.ids import Tenant


class State(StrEnum):
    """Where a campaign stands."""

    DRAFT = "draft"  # its newest version is not approved
    APPROVED = "approved"  # can be started
    RUNNING = "running"  # vehicles have it
    PAUSED = "paused"  # taken away from vehicles, to be resumed
    ENDED = "ended"  # by a person
    EXPIRED = "expired"  # by its own time


OPEN = (State.DRAFT, State.APPROVED, State.RUNNING, State.PAUSED)


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which vehicles; all that is given must hold, nothing given means every vehicle.

    `vehicles`: one of these; `models`: of one of these models; `labels`: with all of these, each
    `key` or `key:value`; `percent` of those, always the same ones for a campaign.
    """

    vehicles: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    percent: float = 100.0


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign. `version` is its newest; a switch to `next_version` has reached
    `next_percent` of the vehicles, the others have `running_version`."""

    tenant: Tenant
    id: str
    name: str
    state: State
    version: int
    approved_version: int | None
    running_version: int | None
    next_version: int | None
    next_percent: float
    actor: str
    created: int
    updated: int
    ended: int | None
    revision: int


@dataclass(frozen=True, slots=True)
class Version:
    """One version: what is collected and of whom. It is never changed."""

    campaign: str
    version: int
    document: Mapping[str, Any]
    target: Target
    note: str
    actor: str
    created: int
    approver: str | None
    approved: int | None


@dataclass(frozen=True, slots=True)
class CampaignPage:
    """Campaigns in order of id, and the id after which the next page begins."""

    items: tuple[Campaign, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a field; `position` is the 0-based character of an expression."""

    field: str
    reason: str
    position: int | None = None


@dataclass(frozen=True, slots=True)
class UsedSignal:
    """A signal that a campaign collects or reads."""

    path: str
    datatype: str
    unit: str | None
    allowed: tuple[str, ...]
    collected: bool
    read: bool


@dataclass(frozen=True, slots=True)
class Check:
    """What is wrong, what is odd, and which signals are used; good where nothing is wrong."""

    errors: tuple[Finding, ...]
    remarks: tuple[Finding, ...]
    signals: tuple[UsedSignal, ...]


@dataclass(frozen=True, slots=True)
class CheckIn:
    """What a vehicle says of itself and of the documents that it holds."""

    vehicle: str
    documents: tuple[Mapping[str, Any], ...]
    missing: tuple[str, ...]
    counters: Mapping[str, Any]  # by campaign
    figures: Mapping[str, Any]  # of the agent
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Distributed:
    """What a round of bringing documents to vehicles did."""

    vehicles: int = 0  # to which something was put
    documents: int = 0  # put, and lists
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Forwarding:
    """A partition that a vehicle was asked for, up to `until` (us), and has not sent all of."""

    partition: str
    until: int


@dataclass(frozen=True, slots=True)
class VehicleProgress:
    """How one vehicle stands to a campaign; versions are None where there is none.

    `put`: the version that waits for it or has reached it; `result` is what it says of it: active,
    paused, waiting or refused with `reason`, "" before it has said anything.
    """

    vehicle: str
    wanted: int | None
    put: int | None
    held: int | None
    result: str
    reason: str
    told: int | None
    counters: Mapping[str, Any]
    forwarding: tuple[Forwarding, ...] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """What was collected: events, samples, bytes as they were sent, when the last came."""

    events: int = 0
    samples: int = 0
    bytes: int = 0
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How a campaign does: vehicles that should have it, that have it as they should, that wait or
    refuse it with how many for which reason; `problems`: why something could not be put."""

    target: int
    put: int
    holding: int
    waiting: int
    refused: int
    reasons: tuple[tuple[str, int], ...]
    problems: tuple[tuple[str, int], ...]
    by_version: tuple[tuple[int, int], ...]  # (version, vehicles that hold it)
    collected: Totals


@dataclass(frozen=True, slots=True)
class CollectedEvent:
    """A record of a campaign: one trigger, or the `part` of `parts` of it in a partition."""

    campaign: str
    version: int
    event: int
    vehicle: str
    time: int
    received: int
    partition: str
    part: int
    parts: int
    samples: int
    bytes: int
    dimensions: Mapping[str, Any]
    fired: tuple[str, ...]
    frames: tuple[str, ...]
