"""Methods of campaigns: what vehicles collect, when, and how far it has come."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from carcloud.client.exchange import Call, Listing, get, nothing, send, shaped
from carcloud.client.methods import AsyncGroup, Group, call, many
from carcloud.client.types import Items, Page, Tagged

_ALL, _ONE = "/v1/campaigns", "/v1/campaigns/{campaign}"
CampaignState = Literal["draft", "approved", "running", "paused", "ended", "expired"]


class Target(msgspec.Struct, frozen=True):
    """Which vehicles; all that is given must hold, nothing given means every vehicle.

    Labels are `key` or `key:value`; `percent` of those, always the same ones for a campaign.
    """

    vehicles: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    percent: float = 100.0


EVERY_VEHICLE = Target()


class Finding(msgspec.Struct, frozen=True):
    """What is wrong with a field; `position` counts the characters of an expression from 0."""

    field: str
    reason: str
    position: int | None


class UsedSignal(msgspec.Struct, frozen=True):
    """A signal that is collected, or that a condition reads."""

    path: str
    datatype: str
    unit: str | None
    allowed: tuple[str, ...]
    collected: bool
    read: bool


class Check(msgspec.Struct, frozen=True):
    """Good where nothing is wrong; remarks are no reason to refuse it."""

    good: bool
    errors: tuple[Finding, ...]
    remarks: tuple[Finding, ...]
    signals: tuple[UsedSignal, ...]


class ImportedCampaign(msgspec.Struct, frozen=True):
    """A document of AWS IoT FleetWise as one of ours, and what was changed or left out."""

    document: dict[str, Any]
    remarks: tuple[Finding, ...]


class Campaign(msgspec.Struct, frozen=True):
    """A campaign. A switch to `next_version` has reached `next_percent` of its vehicles."""

    id: str
    name: str
    state: str
    version: int
    approved_version: int | None
    running_version: int | None
    next_version: int | None
    next_percent: float
    actor: str
    created: datetime
    updated: datetime
    ended: datetime | None
    revision: int


class CampaignVersion(msgspec.Struct, frozen=True):
    """One version of a campaign; `approved` None = it may not be started yet."""

    campaign: str
    version: int
    document: dict[str, Any]
    target: Target
    note: str
    actor: str
    created: datetime
    approver: str | None
    approved: datetime | None


class CampaignDetail(Tagged, frozen=True):
    """A campaign, its newest version and the one that vehicles have, None = none."""

    campaign: Campaign
    newest: CampaignVersion
    running: CampaignVersion | None


class Triggers(msgspec.Struct, frozen=True):
    """What one vehicle would have sent."""

    vehicle: str
    rows: int
    events: int
    samples: int
    bytes: int
    messages: int
    first: datetime | None
    last: datetime | None


class PerDay(msgspec.Struct, frozen=True):
    """What the whole target would send in a day."""

    events: float
    samples: float
    bytes: float
    messages: float


class DryRun(msgspec.Struct, frozen=True):
    """What a campaign would have sent; `cost` of 30 such days, None without prices."""

    start: datetime
    end: datetime
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
    remarks: tuple[str, ...]
    vehicles: tuple[Triggers, ...]


class Counted(msgspec.Struct, frozen=True):
    """A reason and how many vehicles have it."""

    reason: str
    vehicles: int


class VersionCount(msgspec.Struct, frozen=True):
    """How many vehicles hold a version."""

    version: int
    vehicles: int


class Collected(msgspec.Struct, frozen=True):
    """What was collected; `last` is the time of the newest trigger."""

    events: int
    samples: int
    bytes: int
    last: datetime | None


class Progress(msgspec.Struct, frozen=True):
    """How many vehicles should have a campaign, have it put for them, hold, await, refuse it."""

    target: int
    put: int
    holding: int
    waiting: int
    refused: int
    reasons: tuple[Counted, ...]
    problems: tuple[Counted, ...]
    by_version: tuple[VersionCount, ...]
    collected: Collected


class Forwarding(msgspec.Struct, frozen=True):
    """A partition that a vehicle was asked for, up to a time, and has not sent all of."""

    partition: str
    until: datetime


class CampaignVehicle(msgspec.Struct, frozen=True):
    """How a vehicle stands: versions that it should have, that is put for it, that it holds;
    `forwarding`: what it was asked for and, at its last check-in, still had to send."""

    vehicle: str
    wanted: int | None
    put: int | None
    held: int | None
    result: str
    reason: str
    told: datetime | None
    counters: dict[str, Any]
    forwarding: tuple[Forwarding, ...]
    collected: Collected


class CampaignEvent(msgspec.Struct, frozen=True):
    """A record: one trigger, or a part of it; its samples are rows of the table `signals`."""

    campaign: str
    version: int
    event: int
    vehicle: str
    time: datetime
    received: datetime
    partition: str
    part: int
    parts: int
    samples: int
    bytes: int
    dimensions: dict[str, Any]
    fired: tuple[str, ...]
    frames: tuple[str, ...]


class NewVersion(msgspec.Struct, frozen=True):
    """The body of a new campaign, or of a new version."""

    document: Mapping[str, Any]
    target: Target = EVERY_VEHICLE
    note: str = ""


class _Checked(msgspec.Struct, frozen=True):
    document: Mapping[str, Any] | None = None
    expression: str | None = None


class _Tried(msgspec.Struct, frozen=True):
    document: Mapping[str, Any]
    target: Target
    hours: float


class _Brought(msgspec.Struct, frozen=True):
    document: Mapping[str, Any]
    compatibility: bool


class _Approved(msgspec.Struct, frozen=True):
    version: int


class Forward(msgspec.Struct, frozen=True):
    """What is asked of vehicles."""

    partition: str | None
    until: str | None
    vehicle: str | None
    timeout_s: float


class Forwarded(msgspec.Struct, frozen=True):
    """How many vehicles were asked."""

    vehicles: int


class _Started(msgspec.Struct, frozen=True):
    version: int | None
    percent: float


class _Campaigns:
    @many
    def list(
        self, *, state: CampaignState | None = None, q: str = "", limit: int | None = None
    ) -> Listing[Campaign]:
        """Campaigns in order of id; `q` is part of id or name."""
        return Listing(get(_ALL, Page[Campaign], state=state, q=q), limit)

    @call
    def check(self, document: Mapping[str, Any]) -> Call[Check]:
        """All that is wrong with a document, and the signals that it uses."""
        return send("POST", f"{_ALL}/check", Check, body=_Checked(document=document))

    @call
    def check_expression(self, expression: str) -> Call[Check]:
        """What is wrong with an expression, and the signals that it reads."""
        return send("POST", f"{_ALL}/check", Check, body=_Checked(expression=expression))

    @call
    def dry_run(
        self, document: Mapping[str, Any], target: Target = EVERY_VEHICLE, *, hours: float = 24.0
    ) -> Call[DryRun]:
        """What a document would have collected in the last hours."""
        body = _Tried(document, target, hours)
        return send("POST", f"{_ALL}/dry-run", DryRun, body=body)

    @call
    def bring_over(
        self, document: Mapping[str, Any], *, compatibility: bool = False
    ) -> Call[ImportedCampaign]:
        """A document of AWS IoT FleetWise as one of ours; nothing is kept."""
        body = _Brought(document, compatibility)
        return send("POST", f"{_ALL}/import", ImportedCampaign, body=body)

    @call
    def create(
        self, document: Mapping[str, Any], target: Target = EVERY_VEHICLE, *, note: str = ""
    ) -> Call[CampaignDetail]:
        """Make a campaign, as a draft; raises `Invalid`, `Conflict` where the id is taken."""
        return send("POST", _ALL, CampaignDetail, body=NewVersion(document, target, note))

    @call
    def get(self, campaign: str) -> Call[CampaignDetail]:
        """A campaign with its newest version and the one that runs."""
        return get(_ONE, CampaignDetail, place={"campaign": campaign})

    @call
    def save(
        self,
        campaign: str,
        document: Mapping[str, Any],
        target: Target = EVERY_VEHICLE,
        *,
        note: str = "",
        etag: str | None = None,
    ) -> Call[CampaignDetail]:
        """Write a new version, as a draft; raises `Changed` where `etag` is old."""
        body = NewVersion(document, target, note)
        place = {"campaign": campaign}
        return send("PUT", _ONE, CampaignDetail, place=place, body=body, etag=etag)

    @call
    def versions(self, campaign: str) -> Call[tuple[CampaignVersion, ...]]:
        """All versions, newest first."""
        asked = get(f"{_ONE}/versions", Items[CampaignVersion], place={"campaign": campaign})
        return shaped(asked, lambda found: found.items)

    @call
    def approve(self, campaign: str, version: int) -> Call[Campaign]:
        """Allow a version to be started."""
        place = {"campaign": campaign}
        return send("POST", f"{_ONE}/approve", Campaign, place=place, body=_Approved(version))

    @call
    def start(
        self, campaign: str, *, version: int | None = None, percent: float = 100.0
    ) -> Call[Campaign]:
        """Bring a version (None = the newest approved) to `percent` of the vehicles."""
        place = {"campaign": campaign}
        body = _Started(version, percent)
        return send("POST", f"{_ONE}/start", Campaign, place=place, body=body)

    @call
    def pause(self, campaign: str) -> Call[Campaign]:
        """Have vehicles collect nothing for now; what they have is still sent."""
        return send("POST", f"{_ONE}/pause", Campaign, place={"campaign": campaign})

    @call
    def resume(self, campaign: str) -> Call[Campaign]:
        """Go on after a pause."""
        return send("POST", f"{_ONE}/resume", Campaign, place={"campaign": campaign})

    @call
    def end(self, campaign: str) -> Call[Campaign]:
        """Take it away from the vehicles for good, with what they have not sent."""
        return send("POST", f"{_ONE}/end", Campaign, place={"campaign": campaign})

    @call
    def forward(
        self,
        campaign: str,
        *,
        partition: str | None = None,
        until: datetime | None = None,
        vehicle: str | None = None,
        timeout_s: float = 7 * 86_400.0,
    ) -> Call[int]:
        """Ask the vehicles that hold it, or one of them, for what it keeps in them.

        `partition` None = all; `until`: what was kept up to then, None = up to now. Returns how
        many vehicles were asked; it waits `timeout_s` for those that are away.
        """
        asked = None if until is None else until.isoformat()
        body = Forward(partition, asked, vehicle, timeout_s)
        place = {"campaign": campaign}
        given = send("POST", f"{_ONE}/forward", Forwarded, place=place, body=body)
        return shaped(given, lambda found: found.vehicles)

    @call
    def remove(self, campaign: str) -> Call[None]:
        """Forget a campaign; what was collected stays. Raises `Conflict` while it runs."""
        return nothing("DELETE", _ONE, place={"campaign": campaign})

    @call
    def progress(self, campaign: str) -> Call[Progress]:
        """Who holds it, who refuses it and why, and what was collected."""
        return get(f"{_ONE}/progress", Progress, place={"campaign": campaign})

    @many
    def vehicles(self, campaign: str, *, limit: int | None = None) -> Listing[CampaignVehicle]:
        """How vehicles stand to it, in order of id."""
        place = {"campaign": campaign}
        return Listing(get(f"{_ONE}/vehicles", Page[CampaignVehicle], place=place), limit)

    @many
    def events(
        self, campaign: str, *, vehicle: str | None = None, limit: int | None = None
    ) -> Listing[CampaignEvent]:
        """What was collected, newest trigger first."""
        place = {"campaign": campaign}
        asked = get(f"{_ONE}/events", Page[CampaignEvent], place=place, vehicle=vehicle)
        return Listing(asked, limit)


class CampaignGroup(Group, _Campaigns):
    """`client.campaigns`"""


class AsyncCampaignGroup(AsyncGroup, _Campaigns):
    """`client.campaigns`"""
