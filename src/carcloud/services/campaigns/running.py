"""Which version of a campaign each vehicle should have."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from carcloud.model.ids import Tenant
from carcloud.services.campaigns import rows
from carcloud.services.campaigns.store import campaign_versions, campaigns
from carcloud.services.campaigns.targets import Aim, share
from carcloud.services.campaigns.types import Campaign, State, Version
from carcloud.services.vehicles.api import Reachable

BRING_US: Final = 30 * 86_400_000_000
"""How long vehicles may bring what they collected before a campaign expired."""


@dataclass(frozen=True, slots=True)
class Live:
    """A running campaign with the versions that vehicles may have."""

    campaign: Campaign
    versions: Mapping[int, Version]
    aims: Mapping[int, Aim]

    def wanted(self, vehicle: Reachable) -> int | None:
        """The version that a vehicle should have; None = it should not collect for it."""
        number = self.campaign.running_version
        if self.campaign.next_version is not None:
            first = share(self.campaign.id, vehicle.id, "switch") < self.campaign.next_percent
            number = self.campaign.next_version if first else number
        aim = self.aims.get(number) if number is not None else None
        return number if aim is not None and aim.takes(vehicle) else None


def live(db: Connection, tenant: Tenant, campaign: str | None = None) -> list[Live]:
    """The running campaigns of a tenant, or one of them."""
    mine = (campaigns.c.tenant == tenant) & (campaigns.c.state == State.RUNNING.value)
    if campaign is not None:
        mine &= campaigns.c.id == campaign
    query = select(campaigns).where(mine).order_by(campaigns.c.id)
    running = [rows.campaign_of(row) for row in db.execute(query).mappings()]
    return [_live(each, _versions(db, each)) for each in running]


def _live(campaign: Campaign, versions: Mapping[int, Version]) -> Live:
    aims = {number: Aim.of(each.target, campaign.id) for number, each in versions.items()}
    return Live(campaign, versions, aims)


def _versions(db: Connection, campaign: Campaign) -> dict[int, Version]:
    numbers = {campaign.running_version, campaign.next_version} - {None}
    table = campaign_versions.c
    mine = (table.tenant == campaign.tenant) & (table.campaign == campaign.id)
    found = db.execute(select(campaign_versions).where(mine & table.version.in_(numbers)))
    return {row["version"]: rows.version_of(row) for row in found.mappings()}


def still_brought(db: Connection, tenant: Tenant, now: int) -> frozenset[str]:
    """Campaigns whose data a vehicle that holds them may still send: all but those that were
    ended, and those that expired long ago."""
    table = campaigns.c
    over = (table.state == State.EXPIRED.value) & (table.ended_us <= now - BRING_US)
    query = select(table.id).where(
        (table.tenant == tenant) & (table.state != State.ENDED.value) & ~over
    )
    return frozenset(db.execute(query).scalars())
