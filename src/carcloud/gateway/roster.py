"""Who is connected to one gateway process, and what of it has not been told yet.

Vehicles on links of their own, platforms, and the vehicles that report over a platform's link.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from carcloud.gateway.reporting import Link, Reported, Reporting
from carcloud.model.ids import Tenant

Row = list[object]
"""[name, since (us), address, edition] and, of a vehicle on a platform's link, the platform."""


@dataclass(slots=True)
class Changes:
    """Of one tenant, by name: who is there now, and who has gone before or since."""

    open: dict[str, Row] = field(default_factory=dict)
    closed: dict[str, None] = field(default_factory=dict)
    platforms: dict[str, Row] = field(default_factory=dict)
    platforms_closed: dict[str, None] = field(default_factory=dict)

    def told(self) -> dict[str, list[Row] | list[str]]:
        """As JSON takes it. A name in both lists has gone and come again."""
        return {
            "open": list(self.open.values()),
            "closed": list(self.closed),
            "platforms": list(self.platforms.values()),
            "platforms_closed": list(self.platforms_closed),
        }


class Roster:
    """One link per vehicle and one per platform: a new one takes the place of the old."""

    def __init__(self, report_timeout_s: float) -> None:
        self.vehicles: dict[str, Link] = {}
        self.platforms: dict[str, Link] = {}
        self.reporting = Reporting(report_timeout_s)
        self._untold: dict[Tenant, Changes] = {}

    def enter(self, link: Link) -> Link | None:
        """A link has logged in; returns the one that it replaces, to be closed."""
        links = self.platforms if link.is_platform else self.vehicles
        before = links.get(link.vehicle)
        links[link.vehicle] = link
        changes = self._changes(link.tenant)
        (changes.platforms if link.is_platform else changes.open)[link.vehicle] = link.row()
        if before is not None and link.is_platform and before.tenant == link.tenant:
            self.reporting.hand_over(before, link)
        return before

    def leave(self, link: Link) -> None:
        """A link has ended; one that was replaced is gone already."""
        links = self.platforms if link.is_platform else self.vehicles
        if links.get(link.vehicle) is link:
            del links[link.vehicle]
            if link.is_platform:
                changes = self._changes(link.tenant)
                changes.platforms.pop(link.vehicle, None)
                changes.platforms_closed[link.vehicle] = None
            else:
                self._left_own_link(link)
        if link.is_platform:
            self._not_reporting(self.reporting.ended(link))

    def heard(self, link: Link, vehicle: str, edition: int, now: float) -> None:
        """A vehicle has logged in or reported over a platform's link; `now` of the loop's clock."""
        new = self.reporting.heard(link, vehicle, edition, now)
        if new is not None and not self._has_own_link(new):
            self._changes(link.tenant).open[vehicle] = new.row()

    def left(self, link: Link, vehicle: str) -> None:
        """A vehicle has logged out over a platform's link, or is not welcome on it."""
        gone = self.reporting.left(link, vehicle)
        self._not_reporting([gone] if gone is not None else [])

    def sweep(self, now: float) -> None:
        """Vehicles that were long silent on a platform's link report no more."""
        self._not_reporting(self.reporting.silent(now))

    def counts(self) -> tuple[Counter[str], Counter[str]]:
        """(vehicles there, platforms there) by tenant."""
        vehicles = Counter(str(link.tenant) for link in self.vehicles.values())
        vehicles.update(str(one.link.tenant) for one in self._reporting_only())
        return vehicles, Counter(str(link.tenant) for link in self.platforms.values())

    def take_changes(self) -> dict[Tenant, Changes]:
        """What happened since the last call."""
        untold, self._untold = self._untold, {}
        return untold

    def everybody(self) -> dict[Tenant, Changes]:
        """All who are there."""
        told: dict[Tenant, Changes] = {}
        for name, link in self.vehicles.items():
            told.setdefault(link.tenant, Changes()).open[name] = link.row()
        for one in self._reporting_only():
            told.setdefault(one.link.tenant, Changes()).open[one.vehicle] = one.row()
        for name, link in self.platforms.items():
            told.setdefault(link.tenant, Changes()).platforms[name] = link.row()
        return told

    def _left_own_link(self, link: Link) -> None:
        still = self.reporting.get(link.tenant, link.vehicle)
        if still is not None:
            self._changes(link.tenant).open[link.vehicle] = still.row()
        else:
            self._gone(link.tenant, link.vehicle)

    def _not_reporting(self, gone: Iterable[Reported]) -> None:
        for one in gone:
            if not self._has_own_link(one):
                self._gone(one.link.tenant, one.vehicle)

    def _gone(self, tenant: Tenant, vehicle: str) -> None:
        changes = self._changes(tenant)
        changes.open.pop(vehicle, None)
        changes.closed[vehicle] = None

    def _reporting_only(self) -> Iterator[Reported]:
        return (one for one in self.reporting if not self._has_own_link(one))

    def _has_own_link(self, one: Reported) -> bool:
        own = self.vehicles.get(one.vehicle)
        return own is not None and own.tenant == one.link.tenant

    def _changes(self, tenant: Tenant) -> Changes:
        return self._untold.setdefault(tenant, Changes())
