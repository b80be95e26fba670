"""Which vehicles report over the links of platforms just now.

They have no connection of their own, so they count as online from their login or a realtime
report over the link, until their logout, until they have been silent, or until the link ends.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from carcloud.gateway.orders import OnReport, Order
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.services.vehicles.api import Proof

_MOST = 200_000  # vehicles; those above are not shown


class Peer(Protocol):
    """The connection of a link."""

    @property
    def address(self) -> str:
        """Where it comes from."""

    @property
    def queues(self) -> bool:
        """Commands are put to the messages that wait for its vehicle, before it is told of them."""

    def close(self, reason: str) -> None:
        """End it."""

    def deliver(self, order: Order, on_report: OnReport, /) -> None:
        """Send a command; `on_report` is told what becomes of it."""


class Link(Protocol):
    """Somebody who has logged in over a connection, whatever the protocol."""

    @property
    def session(self) -> Peer:
        """The connection."""

    @property
    def tenant(self) -> Tenant:
        """Whose vehicle or platform it is."""

    @property
    def vehicle(self) -> str:
        """Who has logged in."""

    @property
    def is_platform(self) -> bool:
        """Whether it brings many vehicles."""

    @property
    def since_us(self) -> int:
        """When it logged in, UTC."""

    @property
    def proof(self) -> Proof | None:
        """By what it came in; None of a platform."""

    def row(self) -> list[object]:
        """[vehicle, since (us), address, edition], as told to the console."""


@dataclass(slots=True)
class Reported:
    """One vehicle: the link it reports over, since when, and when it was last heard."""

    link: Link
    vehicle: str
    edition: int
    since_us: int
    heard: float  # s on the loop's clock

    def row(self) -> list[object]:
        """[vehicle, since (us), address and edition, platform], as told to the console."""
        address = self.link.session.address
        return [self.vehicle, self.since_us, address, self.edition, self.link.vehicle]


class Reporting:
    """Of one gateway process. The vehicles stand in the order in which they were last heard."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._known: OrderedDict[tuple[Tenant, str], Reported] = OrderedDict()

    def __iter__(self) -> Iterator[Reported]:
        return iter(self._known.values())

    def get(self, tenant: Tenant, vehicle: str) -> Reported | None:
        """The vehicle, if it reports over a platform's link."""
        return self._known.get((tenant, vehicle))

    def heard(self, link: Link, vehicle: str, edition: int, now: float) -> Reported | None:
        """The vehicle has reported; returned when it is new here."""
        key = (link.tenant, vehicle)
        known = self._known.get(key)
        if known is not None:
            known.link, known.heard = link, now
            self._known.move_to_end(key)
            return None
        if len(self._known) >= _MOST:
            return None
        known = self._known[key] = Reported(link, vehicle, edition, now_us(), now)
        return known

    def left(self, link: Link, vehicle: str) -> Reported | None:
        """The vehicle has logged out, or is not welcome; returned when it was here."""
        return self._known.pop((link.tenant, vehicle), None)

    def ended(self, link: Link) -> list[Reported]:
        """The link is gone, and its vehicles with it."""
        gone = [key for key, one in self._known.items() if one.link is link]
        return [self._known.pop(key) for key in gone]

    def hand_over(self, before: Link, link: Link) -> None:
        """The platform has a new link: its vehicles are expected there."""
        for one in self._known.values():
            if one.link is before:
                one.link = link

    def silent(self, now: float) -> list[Reported]:
        """Vehicles that have not been heard for the timeout; they are gone from here."""
        gone: list[Reported] = []
        while self._known and now - next(iter(self)).heard > self._timeout_s:
            gone.append(self._known.popitem(last=False)[1])
        return gone
