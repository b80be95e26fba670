"""Campaigns in the cloud. Calls block briefly.

A version is written, approved, and then started: rounds of distribution bring it to the vehicles
of its target (`distribution`). Starting another version while one runs switches to it, at once or
for a share of the vehicles first. What vehicles say of their documents comes by `check_in`.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from carcloud.codecs.campaign.document import parse_campaign
from carcloud.codecs.campaign.fields import DocumentError
from carcloud.codecs.campaign.fleetwise import Imported, import_campaign
from carcloud.model.catalogue import CATALOGUE, Signal
from carcloud.model.ids import Tenant
from carcloud.model.limits import check as check_limit
from carcloud.model.streams import event_subject, wake_subject
from carcloud.model.time import now_us
from carcloud.ports.errors import Conflict, EngineError
from carcloud.ports.records import Records
from carcloud.ports.stream import Stream
from carcloud.services.campaigns import checking, holdings, rows
from carcloud.services.campaigns.distribution import Distribution, ModelDocument, no_model
from carcloud.services.campaigns.dry_run import DryRun, DryRunResult, Plan, VehicleTriggers
from carcloud.services.campaigns.errors import (
    CampaignChanged,
    CampaignExists,
    DryRunBusy,
    InvalidCampaign,
    UnknownCampaign,
    WrongState,
)
from carcloud.services.campaigns.known import KnownCampaigns
from carcloud.services.campaigns.progress import Follow
from carcloud.services.campaigns.store import (
    campaign_news,
    campaign_versions,
    campaigns,
    metadata,
)
from carcloud.services.campaigns.targets import check_target, chosen
from carcloud.services.campaigns.types import (
    OPEN,
    Campaign,
    CampaignPage,
    Check,
    CheckIn,
    CollectedEvent,
    Distributed,
    Finding,
    Progress,
    State,
    Target,
    Totals,
    UsedSignal,
    VehicleProgress,
    Version,
)
from carcloud.services.tenancy.api import limit_in
from carcloud.services.vehicles.api import Reachable, Vehicles

__all__ = [
    "OPEN",
    "SERVICE",
    "Campaign",
    "CampaignChanged",
    "CampaignExists",
    "CampaignPage",
    "Campaigns",
    "Check",
    "CheckIn",
    "CollectedEvent",
    "Distributed",
    "Distribution",
    "DryRun",
    "DryRunBusy",
    "DryRunResult",
    "Finding",
    "Follow",
    "Imported",
    "InvalidCampaign",
    "KnownCampaigns",
    "ModelDocument",
    "Plan",
    "Progress",
    "Reachable",
    "State",
    "Target",
    "Totals",
    "UnknownCampaign",
    "UsedSignal",
    "VehicleProgress",
    "VehicleTriggers",
    "Version",
    "WrongState",
    "metadata",
    "no_model",
]

SERVICE = "campaigns"
_CARE = "carcloud"  # who did what nobody asked for
_MOST_NEWS = 500
CatalogueOf = Callable[[Tenant], Mapping[str, Signal]]


class Campaigns:
    """The service."""

    def __init__(
        self,
        records: Records,
        stream: Stream | None = None,
        *,
        catalogue: CatalogueOf = lambda _tenant: CATALOGUE,
        now: Callable[[], int] = now_us,
    ) -> None:
        records.create(metadata)
        self._records = records
        self._stream = stream
        self._catalogue = catalogue
        self._now = now
        self._vehicles = Vehicles(records)

    async def wake(self) -> None:
        """Have changes brought to vehicles now; rounds find them by themselves too."""
        if self._stream is not None:
            with contextlib.suppress(EngineError):
                await self._stream.broadcast(wake_subject(SERVICE), b"")

    # documents

    def check(self, tenant: Tenant, document: object) -> Check:
        """What is wrong with a document, and which signals it uses."""
        return checking.check_document(document, self._catalogue(tenant))

    def check_expression(self, tenant: Tenant, text: str) -> Check:
        """What is wrong with an expression, and which signals it reads."""
        return checking.check_expression(text, self._catalogue(tenant))

    def brought_over(self, document: object, *, compatibility: bool = False) -> Imported:
        """A campaign of AWS IoT FleetWise as one of ours; raises `InvalidCampaign`."""
        try:
            return import_campaign(document, compatibility=compatibility)
        except DocumentError as error:
            raise InvalidCampaign(error.field, error.reason) from error

    def audience(self, tenant: Tenant, campaign: str, target: Target) -> list[Reachable]:
        """The vehicles over MQTT that a campaign of this target is for."""
        return chosen(target, campaign, self._vehicles.over_mqtt(tenant))

    # writing

    def create(
        self, tenant: Tenant, document: Mapping[str, Any], target: Target, *, note: str, actor: str
    ) -> Campaign:
        """A new campaign, as a draft; raises `InvalidCampaign`, `CampaignExists`, `OverLimit`."""
        first = self._version(tenant, document, target, 1, note, actor)
        now = first.created
        try:
            with self._records.transaction() as db:
                _check_room(db, tenant)
                row = {
                    "tenant": tenant, "id": first.campaign, "name": _name(first),
                    "state": State.DRAFT.value, "version": 1, "next_percent": 0.0,
                    "expiry_us": 0, "actor": actor, "created_us": now, "updated_us": now,
                    "revision": 1,
                }  # fmt: skip
                db.execute(insert(campaigns).values(**row))
                rows.put_version(db, tenant, first)
                made = rows.find(db, tenant, first.campaign)
                rows.tell(db, made, "create", actor, now, None)
                return made
        except Conflict as error:
            raise CampaignExists(f"there is a campaign {first.campaign!r} already") from error

    def save(
        self,
        tenant: Tenant,
        campaign: str,
        document: Mapping[str, Any],
        target: Target,
        *,
        note: str,
        actor: str,
        if_revision: int | None = None,
    ) -> Campaign:
        """A new version, as a draft; what runs goes on until the version is started.

        Raises `InvalidCampaign`, `UnknownCampaign`, `CampaignChanged`, `OverLimit`.
        """
        with self._records.transaction() as db:
            before = _seen(db, tenant, campaign, if_revision)
            document = {**document, "id": document.get("id") or campaign}
            new = self._version(tenant, document, target, before.version + 1, note, actor)
            if new.campaign != campaign:
                raise InvalidCampaign("id", f"a version of {campaign!r} keeps its id")
            state = before.state
            if state not in OPEN:
                _check_room(db, tenant)
            if state not in (State.RUNNING, State.PAUSED):
                state = State.DRAFT
            rows.put_version(db, tenant, new)
            values = {"version": new.version, "name": _name(new), "state": state.value}
            return rows.change(db, before, "save", actor, new.created, ended_us=None, **values)

    def _version(
        self,
        tenant: Tenant,
        document: Mapping[str, Any],
        target: Target,
        number: int,
        note: str,
        actor: str,
    ) -> Version:
        check_target(target)
        if len(note) > 200:
            raise InvalidCampaign("note", "at most 200 characters")
        whole = {**document, "version": number}
        ready = checking.prepared(whole, self._catalogue(tenant))
        if "\\u0000" in json.dumps(whole):
            raise InvalidCampaign("", "the document holds a NUL character")
        id = ready.campaign.id
        return Version(id, number, whole, target, note, actor, self._now(), None, None)

    def approve(self, tenant: Tenant, campaign: str, version: int, *, actor: str) -> Campaign:
        """Allow a version to be started; raises `UnknownCampaign`, `WrongState`."""
        now = self._now()
        with self._records.transaction() as db:
            before = rows.find(db, tenant, campaign)
            wanted = rows.find_version(db, tenant, campaign, version)
            if wanted.approved is not None:
                raise WrongState(f"version {version} is approved already, by {wanted.approver}")
            mine = (campaign_versions.c.tenant == tenant) & (
                campaign_versions.c.campaign == campaign
            )
            row = update(campaign_versions).where(mine & (campaign_versions.c.version == version))
            db.execute(row.values(approver=actor, approved_us=now))
            values: dict[str, Any] = {
                "approved_version": max(version, before.approved_version or 0)
            }
            if before.state == State.DRAFT and version == before.version:
                values["state"] = State.APPROVED.value
            return rows.change(db, before, "approve", actor, now, **values)

    # running

    def start(
        self,
        tenant: Tenant,
        campaign: str,
        *,
        version: int | None = None,
        percent: float = 100.0,
        actor: str,
    ) -> Campaign:
        """Bring an approved version (None = the newest such) to `percent` of the vehicles.

        Below 100 the others keep what they have; call it again with more. Raises `WrongState`,
        `InvalidCampaign`, `UnknownCampaign`.
        """
        if not 0 < percent <= 100:
            raise InvalidCampaign("percent", "above 0, and at most 100")
        now = self._now()
        with self._records.transaction() as db:
            before = rows.find(db, tenant, campaign)
            if before.state not in (State.APPROVED, State.RUNNING, State.PAUSED):
                raise WrongState(f"the campaign is {before.state}: approve a version first")
            number = version or before.approved_version or 0
            wanted = rows.find_version(db, tenant, campaign, number)
            if wanted.approved is None:
                raise WrongState(f"version {number} is not approved")
            expiry = parse_campaign(wanted.document).expiry_us
            if expiry <= now:
                raise WrongState(f"version {number} has expired: change `expiry`")
            values: dict[str, Any] = {"state": State.RUNNING.value, "expiry_us": expiry}
            if percent >= 100:
                values |= {"running_version": number, "next_version": None, "next_percent": 0.0}
            else:
                values |= {"next_version": number, "next_percent": percent}
            return rows.change(db, before, "start", actor, now, **values)

    def pause(self, tenant: Tenant, campaign: str, *, actor: str) -> Campaign:
        """Nothing is collected for now, and what was is still sent.

        Raises `WrongState`, `UnknownCampaign`.
        """
        return self._go(tenant, campaign, "pause", (State.RUNNING,), State.PAUSED, actor)

    def resume(self, tenant: Tenant, campaign: str, *, actor: str) -> Campaign:
        """Go on after a pause; raises `WrongState`, `UnknownCampaign`."""
        return self._go(tenant, campaign, "resume", (State.PAUSED,), State.RUNNING, actor)

    def end(self, tenant: Tenant, campaign: str, *, actor: str) -> Campaign:
        """Take it away from the vehicles for good, with what they have not sent.

        Raises `WrongState`, `UnknownCampaign`.
        """
        return self._go(tenant, campaign, "end", OPEN, State.ENDED, actor)

    def _go(
        self,
        tenant: Tenant,
        campaign: str,
        what: str,
        start: Sequence[State],
        state: State,
        actor: str,
    ) -> Campaign:
        now = self._now()
        with self._records.transaction() as db:
            before = rows.find(db, tenant, campaign)
            if before.state not in start:
                raise WrongState(f"the campaign is {before.state}")
            values = _ended(now) if state not in OPEN else {}
            return rows.change(db, before, what, actor, now, state=state.value, **values)

    def remove(self, tenant: Tenant, campaign: str, *, actor: str) -> None:
        """Forget a campaign with its versions; what was collected stays.

        Raises `WrongState` while it runs or is paused, `UnknownCampaign`.
        """
        with self._records.transaction() as db:
            before = rows.find(db, tenant, campaign)
            if before.state in (State.RUNNING, State.PAUSED):
                raise WrongState(f"the campaign is {before.state}: end it first")
            mine = (campaigns.c.tenant == tenant) & (campaigns.c.id == campaign)
            db.execute(delete(campaigns).where(mine))
            versions = campaign_versions.c
            old = (versions.tenant == tenant) & (versions.campaign == campaign)
            db.execute(delete(campaign_versions).where(old))
            rows.tell(db, before, "delete", actor, self._now(), {"state": before.state.value})

    # reading

    def get(self, tenant: Tenant, campaign: str) -> Campaign:
        """A campaign; raises `UnknownCampaign`."""
        with self._records.reading() as db:
            return rows.find(db, tenant, campaign)

    def page(
        self,
        tenant: Tenant,
        *,
        state: State | None = None,
        q: str = "",
        after: str | None = None,
        limit: int = 50,
    ) -> CampaignPage:
        """Campaigns in order of id; `q` is part of id or name, in any case."""
        query = select(campaigns).where(campaigns.c.tenant == tenant)
        if state is not None:
            query = query.where(campaigns.c.state == state.value)
        if after is not None:
            query = query.where(campaigns.c.id > after)
        with self._records.reading() as db:
            every = db.execute(query.order_by(campaigns.c.id)).mappings()
            found = [
                rows.campaign_of(row)
                for row in every
                if q.lower() in f"{row['id']} {row['name']}".lower()
            ][: limit + 1]
        return CampaignPage(tuple(found[:limit]), found[limit - 1].id if found[limit:] else None)

    def version(self, tenant: Tenant, campaign: str, version: int) -> Version:
        """A version of a campaign; raises `UnknownCampaign`."""
        with self._records.reading() as db:
            return rows.find_version(db, tenant, campaign, version)

    def versions(self, tenant: Tenant, campaign: str) -> list[Version]:
        """All versions, newest first; raises `UnknownCampaign`."""
        with self._records.reading() as db:
            rows.find(db, tenant, campaign)
            table = campaign_versions.c
            query = select(campaign_versions).where(table.tenant == tenant)
            query = query.where(table.campaign == campaign).order_by(table.version.desc())
            return [rows.version_of(row) for row in db.execute(query).mappings()]

    # what vehicles tell

    def check_in(self, tenant: Tenant, told: CheckIn) -> list[str]:
        """Keep what a vehicle holds, and put again what it misses; returns the ids of those."""
        with self._records.transaction() as db:
            return holdings.take(db, tenant, told, self._now())

    # for the jobs role

    def expire(self) -> list[Campaign]:
        """End the campaigns whose time is over; returns them."""
        now = self._now()
        live = campaigns.c.state.in_([State.RUNNING.value, State.PAUSED.value])
        with self._records.transaction() as db:
            query = select(campaigns).where(live & (campaigns.c.expiry_us <= now))
            over = [rows.campaign_of(row) for row in db.execute(query).mappings()]
            gone = {"state": State.EXPIRED.value, **_ended(now)}
            return [rows.change(db, each, "expire", _CARE, now, **gone) for each in over]

    async def publish_news(self) -> int:
        """Publish the events that are not yet; returns how many. Raises the engines' errors."""
        if self._stream is None:
            return 0
        news = await asyncio.to_thread(self._news)
        for row in news:
            subject = event_subject(Tenant(row["tenant"]), SERVICE, row["event"])
            number = f"campaign-news-{row['number']}"
            await self._stream.publish(subject, row["body"].encode(), number)
        if news:
            await asyncio.to_thread(self._told, [row["number"] for row in news])
        return len(news)

    def _news(self) -> list[Mapping[str, Any]]:
        query = select(campaign_news).order_by(campaign_news.c.number).limit(_MOST_NEWS)
        with self._records.reading() as db:
            return [dict(row) for row in db.execute(query).mappings()]

    def _told(self, numbers: Sequence[int]) -> None:
        with self._records.transaction() as db:
            db.execute(delete(campaign_news).where(campaign_news.c.number.in_(numbers)))


def _ended(now: int) -> dict[str, Any]:
    return {"ended_us": now, "running_version": None, "next_version": None, "next_percent": 0.0}


def _name(version: Version) -> str:
    return str(version.document.get("name") or "")


def _seen(db: Connection, tenant: Tenant, campaign: str, revision: int | None) -> Campaign:
    found = rows.find(db, tenant, campaign)
    if revision is not None and found.revision != revision:
        raise CampaignChanged(f"the campaign is at revision {found.revision} now")
    return found


def _check_room(db: Connection, tenant: Tenant) -> None:
    """Raises `OverLimit` where the tenant has as many campaigns as it may."""
    opened = campaigns.c.state.in_([state.value for state in OPEN])
    mine = select(func.count()).select_from(campaigns).where(campaigns.c.tenant == tenant, opened)
    check_limit("campaigns", limit_in(db, tenant, "campaigns"), db.execute(mine).scalar_one())
