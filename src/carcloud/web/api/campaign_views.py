"""What the routes of campaigns take and answer."""

from decimal import Decimal
from typing import Annotated, Any

import msgspec

from carcloud.model.time import iso
from carcloud.services.campaigns.api import (
    Campaign,
    Check,
    CollectedEvent,
    DryRunResult,
    Finding,
    Progress,
    State,
    Target,
    Totals,
    VehicleProgress,
    Version,
)
from carcloud.web.times import exact_iso, optional_iso

Number = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class NewVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document and the vehicles that it is for; `version` of the document is given here."""

    document: dict[str, Any]
    target: Target = Target()
    note: str = ""


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The version that is approved."""

    version: Number


class Start(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The version to start, null = the newest that is approved; `percent` of the vehicles get it,
    the others keep what they have."""

    version: Number | None = None
    percent: float = 100.0


class CheckRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document, or an expression alone."""

    document: dict[str, Any] | None = None
    expression: str | None = None


class DryRunRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document to try for a target on the last hours, at most 168."""

    document: dict[str, Any]
    target: Target = Target()
    hours: float = 24.0


class ImportRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What AWS IoT FleetWise's CreateCampaign takes; `compatibility` keeps its behaviour."""

    document: dict[str, Any]
    compatibility: bool = False


class FindingView(msgspec.Struct, frozen=True):
    """What is wrong with a field; `position` counts the characters of an expression from 0."""

    field: str
    reason: str
    position: int | None


class UsedSignalView(msgspec.Struct, frozen=True):
    """A signal that is collected, or that a condition reads."""

    path: str
    datatype: str
    unit: str | None
    allowed: list[str]
    collected: bool
    read: bool


class CheckView(msgspec.Struct, frozen=True):
    """Good where nothing is wrong; remarks are no reason to refuse it."""

    good: bool
    errors: list[FindingView]
    remarks: list[FindingView]
    signals: list[UsedSignalView]


class ImportView(msgspec.Struct, frozen=True):
    """The document as one of ours, and what was changed or left out."""

    document: dict[str, Any]
    remarks: list[FindingView]


class CampaignView(msgspec.Struct, frozen=True):
    """A campaign. A switch to `next_version` has reached `next_percent` of its vehicles."""

    id: str
    name: str
    state: State
    version: int
    approved_version: int | None
    running_version: int | None
    next_version: int | None
    next_percent: float
    actor: str
    created: str
    updated: str
    ended: str | None
    revision: int


class VersionView(msgspec.Struct, frozen=True):
    """One version of a campaign; `approved` null = it may not be started yet."""

    campaign: str
    version: int
    document: dict[str, Any]
    target: Target
    note: str
    actor: str
    created: str
    approver: str | None
    approved: str | None


class CampaignDetail(msgspec.Struct, frozen=True):
    """A campaign, its newest version and the one that vehicles have, null = none."""

    campaign: CampaignView
    newest: VersionView
    running: VersionView | None


class Versions(msgspec.Struct, frozen=True):
    """All versions, newest first."""

    items: list[VersionView]


class TriggersView(msgspec.Struct, frozen=True):
    """What one vehicle would have sent."""

    vehicle: str
    rows: int
    events: int
    samples: int
    bytes: int
    messages: int
    first: str | None
    last: str | None


class PerDay(msgspec.Struct, frozen=True):
    """What the whole target would send in a day."""

    events: float
    samples: float
    bytes: float
    messages: float


class DryRunView(msgspec.Struct, frozen=True):
    """What a campaign would have sent from `start` to `end`, and what follows from that.

    `cost`: of 30 such days at this month's prices, null without a price book. `complete`: all
    vehicles were looked at; `remarks` say what was not.
    """

    start: str
    end: str
    vehicles_target: int
    vehicles_read: int
    vehicles_triggered: int
    rows: int
    events: int
    samples: int
    bytes: int
    messages: int
    per_day: PerDay
    cost: Decimal | None
    currency: str
    complete: bool
    remarks: list[str]
    vehicles: list[TriggersView]


class Counted(msgspec.Struct, frozen=True):
    """A reason and how many vehicles have it."""

    reason: str
    vehicles: int


class VersionCount(msgspec.Struct, frozen=True):
    """How many vehicles hold a version."""

    version: int
    vehicles: int


class TotalsView(msgspec.Struct, frozen=True):
    """What was collected; `last` is the time of the newest trigger."""

    events: int
    samples: int
    bytes: int
    last: str | None


class ProgressView(msgspec.Struct, frozen=True):
    """Vehicles that should have the campaign (`target`), for which it is `put`, that hold it as
    they should, that have not said so yet, and that refuse it with the reasons; `problems` says
    why it could not be put."""

    target: int
    put: int
    holding: int
    waiting: int
    refused: int
    reasons: list[Counted]
    problems: list[Counted]
    by_version: list[VersionCount]
    collected: TotalsView


class ForwardingView(msgspec.Struct, frozen=True):
    """A partition that the vehicle was asked for, up to a time, and has not sent all of."""

    partition: str
    until: str


class VehicleView(msgspec.Struct, frozen=True):
    """How a vehicle stands: versions that it should have, that is put for it, that it holds.

    `result`: active, paused, waiting, refused, or empty before it has told. `counters` are those
    of the agent. `forwarding`: what it was asked for and, at its last check-in, still had to send.
    """

    vehicle: str
    wanted: int | None
    put: int | None
    held: int | None
    result: str
    reason: str
    told: str | None
    counters: dict[str, Any]
    forwarding: list[ForwardingView]
    collected: TotalsView


class EventView(msgspec.Struct, frozen=True):
    """A record: one trigger, or a part of it. Its samples are rows of the table `signals`;
    `frames` are raw frames as candump writes them."""

    campaign: str
    version: int
    event: int
    vehicle: str
    time: str
    received: str
    partition: str
    part: int
    parts: int
    samples: int
    bytes: int
    dimensions: dict[str, Any]
    fired: list[str]
    frames: list[str]


def campaign_view(one: Campaign) -> CampaignView:
    """As it is answered."""
    return CampaignView(
        id=one.id,
        name=one.name,
        state=one.state,
        version=one.version,
        approved_version=one.approved_version,
        running_version=one.running_version,
        next_version=one.next_version,
        next_percent=one.next_percent,
        actor=one.actor,
        created=iso(one.created),
        updated=iso(one.updated),
        ended=optional_iso(one.ended),
        revision=one.revision,
    )


def version_view(one: Version) -> VersionView:
    """As it is answered."""
    return VersionView(
        campaign=one.campaign,
        version=one.version,
        document=dict(one.document),
        target=one.target,
        note=one.note,
        actor=one.actor,
        created=iso(one.created),
        approver=one.approver,
        approved=optional_iso(one.approved),
    )


def finding_view(one: Finding) -> FindingView:
    """As it is answered."""
    return FindingView(one.field, one.reason, one.position)


def check_view(found: Check) -> CheckView:
    """As it is answered."""
    signals = [
        UsedSignalView(one.path, one.datatype, one.unit, list(one.allowed), one.collected, one.read)
        for one in found.signals
    ]
    wrong = [finding_view(one) for one in found.errors]
    return CheckView(not wrong, wrong, [finding_view(one) for one in found.remarks], signals)


def dry_run_view(found: DryRunResult) -> DryRunView:
    """As it is answered."""
    vehicles = [
        TriggersView(
            one.vehicle, one.rows, one.events, one.samples, one.bytes, one.messages,
            optional_iso(one.first), optional_iso(one.last),
        )
        for one in found.vehicles
    ]  # fmt: skip
    return DryRunView(
        start=iso(found.start),
        end=iso(found.end),
        vehicles_target=found.vehicles_target,
        vehicles_read=found.vehicles_read,
        vehicles_triggered=found.vehicles_triggered,
        rows=found.rows,
        events=found.events,
        samples=found.samples,
        bytes=found.bytes,
        messages=found.messages,
        per_day=PerDay(**found.per_day),
        cost=found.cost,
        currency=found.currency,
        complete=found.complete,
        remarks=list(found.remarks),
        vehicles=vehicles,
    )


def totals_view(one: Totals) -> TotalsView:
    """As it is answered."""
    return TotalsView(one.events, one.samples, one.bytes, optional_iso(one.last))


def progress_view(found: Progress) -> ProgressView:
    """As it is answered."""
    return ProgressView(
        target=found.target,
        put=found.put,
        holding=found.holding,
        waiting=found.waiting,
        refused=found.refused,
        reasons=[Counted(*one) for one in found.reasons],
        problems=[Counted(*one) for one in found.problems],
        by_version=[VersionCount(*one) for one in found.by_version],
        collected=totals_view(found.collected),
    )


def vehicle_view(one: VehicleProgress, collected: Totals) -> VehicleView:
    """As it is answered."""
    return VehicleView(
        vehicle=one.vehicle,
        wanted=one.wanted,
        put=one.put,
        held=one.held,
        result=one.result,
        reason=one.reason,
        told=optional_iso(one.told),
        counters=dict(one.counters),
        forwarding=[ForwardingView(each.partition, iso(each.until)) for each in one.forwarding],
        collected=totals_view(collected),
    )


def event_view(one: CollectedEvent) -> EventView:
    """As it is answered."""
    return EventView(
        campaign=one.campaign,
        version=one.version,
        event=one.event,
        vehicle=one.vehicle,
        time=exact_iso(one.time),
        received=exact_iso(one.received),
        partition=one.partition,
        part=one.part,
        parts=one.parts,
        samples=one.samples,
        bytes=one.bytes,
        dimensions=dict(one.dimensions),
        fired=list(one.fired),
        frames=list(one.frames),
    )
