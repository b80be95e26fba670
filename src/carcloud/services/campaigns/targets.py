"""Which vehicles a campaign is for. A share of them is always the same one."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from carcloud.services.campaigns.errors import InvalidCampaign
from carcloud.services.campaigns.types import Target
from carcloud.services.vehicles.api import Reachable

MOST_NAMED = 10_000  # vehicles that a target names
_MOST_OTHER = 100  # models, labels


def check_target(target: Target) -> None:
    """Raises `InvalidCampaign`."""
    if not 0 < target.percent <= 100:
        raise InvalidCampaign("target.percent", "above 0, and at most 100")
    most = {"vehicles": MOST_NAMED, "models": _MOST_OTHER, "labels": _MOST_OTHER}
    for field, limit in most.items():
        named = getattr(target, field)
        if len(named) > limit:
            raise InvalidCampaign(f"target.{field}", f"at most {limit:,}")
        for at, name in enumerate(named):
            if not (1 <= len(name) <= 250 and name.isprintable()):
                raise InvalidCampaign(f"target.{field}[{at}]", "1 to 250 printable characters")


def share(campaign: str, vehicle: str, what: str = "") -> float:
    """Where a vehicle stands among all of a campaign, 0 to below 100; spread evenly."""
    text = f"{what}\0{campaign}\0{vehicle}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") / 2**64 * 100


@dataclass(frozen=True, slots=True)
class Aim:
    """A target as it is asked of many vehicles."""

    target: Target
    campaign: str
    named: frozenset[str]

    @classmethod
    def of(cls, target: Target, campaign: str) -> "Aim":
        """The target of a campaign."""
        return cls(target, campaign, frozenset(target.vehicles))

    def takes(self, vehicle: Reachable) -> bool:
        """Whether the campaign is for a vehicle."""
        target = self.target
        if self.named and vehicle.id not in self.named:
            return False
        if target.models and vehicle.model not in target.models:
            return False
        if not all(_labelled(vehicle.labels, label) for label in target.labels):
            return False
        return target.percent >= 100 or share(self.campaign, vehicle.id) < target.percent


def chosen(target: Target, campaign: str, vehicles: Iterable[Reachable]) -> list[Reachable]:
    """The vehicles that a campaign is for."""
    aim = Aim.of(target, campaign)
    return [each for each in vehicles if aim.takes(each)]


def _labelled(labels: Mapping[str, str], label: str) -> bool:
    key, colon, value = label.partition(":")
    return key in labels and (not colon or labels[key] == value)
