"""Rows of the tables as the service tells them, and their changes with audit and news."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update

from carcloud.model.ids import Tenant
from carcloud.model.time import iso
from carcloud.services.campaigns.errors import CampaignChanged, UnknownCampaign
from carcloud.services.campaigns.store import campaign_news, campaign_versions, campaigns
from carcloud.services.campaigns.types import Campaign, State, Target, Version
from carcloud.services.tenancy.api import AuditEntry, record_changes


def campaign_of(row: Any) -> Campaign:
    """A row of `campaigns`."""
    return Campaign(
        tenant=Tenant(row["tenant"]),
        id=row["id"],
        name=row["name"],
        state=State(row["state"]),
        version=row["version"],
        approved_version=row["approved_version"],
        running_version=row["running_version"],
        next_version=row["next_version"],
        next_percent=row["next_percent"],
        actor=row["actor"],
        created=row["created_us"],
        updated=row["updated_us"],
        ended=row["ended_us"],
        revision=row["revision"],
    )


def version_of(row: Any) -> Version:
    """A row of `campaign_versions`."""
    return Version(
        campaign=row["campaign"],
        version=row["version"],
        document=json.loads(row["document"]),
        target=msgspec.json.decode(row["target"], type=Target),
        note=row["note"],
        actor=row["actor"],
        created=row["created_us"],
        approver=row["approver"],
        approved=row["approved_us"],
    )


def find(db: Connection, tenant: Tenant, campaign: str) -> Campaign:
    """A campaign of the tenant; raises `UnknownCampaign`."""
    if "\0" not in campaign:
        row = db.execute(select(campaigns).where(_is(tenant, campaign))).mappings().first()
        if row is not None:
            return campaign_of(row)
    raise UnknownCampaign(f"there is no campaign {campaign!r}")


def find_version(db: Connection, tenant: Tenant, campaign: str, version: int) -> Version:
    """A version of it; raises `UnknownCampaign`."""
    mine = (campaign_versions.c.tenant == tenant) & (campaign_versions.c.campaign == campaign)
    query = select(campaign_versions).where(mine & (campaign_versions.c.version == version))
    row = db.execute(query).mappings().first()
    if row is None:
        raise UnknownCampaign(f"the campaign {campaign!r} has no version {version}")
    return version_of(row)


def put_version(
    db: Connection,
    tenant: Tenant,
    version: Version,
) -> None:
    """Keep a new version."""
    db.execute(
        insert(campaign_versions).values(
            tenant=tenant,
            campaign=version.campaign,
            version=version.version,
            document=json.dumps(version.document, ensure_ascii=False, separators=(",", ":")),
            target=msgspec.json.encode(version.target).decode(),
            note=version.note,
            actor=version.actor,
            created_us=version.created,
        )
    )


def change(
    db: Connection, before: Campaign, what: str, actor: str, now: int, **values: Any
) -> Campaign:
    """Change a campaign that is still as it was seen, tell the audit and the news of it.

    Raises `CampaignChanged`.
    """
    mine = _is(before.tenant, before.id) & (campaigns.c.revision == before.revision)
    values = {**values, "updated_us": now, "revision": before.revision + 1}
    if db.execute(update(campaigns).where(mine).values(**values)).rowcount != 1:
        raise CampaignChanged(f"somebody changed the campaign {before.id!r} at the same time")
    after = find(db, before.tenant, before.id)
    tell(db, after, what, actor, now, _told(before))
    return after


def tell(
    db: Connection,
    campaign: Campaign,
    what: str,
    actor: str,
    now: int,
    before: Mapping[str, Any] | None,
) -> None:
    """Audit and news of what was done; `what` is a verb, as "pause"."""
    after = None if what == "delete" else _told(campaign)
    entry = AuditEntry(campaign.tenant, actor, f"campaign.{what}", campaign.id, before, after)
    record_changes(db, [entry])
    body = {
        "time": iso(now),
        "campaign": campaign.id,
        "state": "deleted" if what == "delete" else campaign.state.value,
        "version": campaign.version,
        "running_version": campaign.running_version,
        "actor": actor,
    }
    event = {"tenant": campaign.tenant, "event": EVENTS[what], "body": json.dumps(body)}
    db.execute(insert(campaign_news).values(**event))


EVENTS = {
    "create": "created",
    "save": "saved",
    "approve": "approved",
    "start": "started",
    "pause": "paused",
    "resume": "resumed",
    "end": "ended",
    "expire": "expired",
    "delete": "deleted",
}
"""What is done to a campaign, and the event that tells of it."""


def _told(campaign: Campaign) -> dict[str, Any]:
    names = ("state", "version", "running_version", "next_version", "next_percent")
    return {name: getattr(campaign, name) for name in names}


def _is(tenant: Tenant, campaign: str) -> Any:
    return (campaigns.c.tenant == tenant) & (campaigns.c.id == campaign)
