"""A simulated clock for campaigns: seconds from activation in, events out."""

from collections.abc import Mapping
from typing import Any

from carcloud.codecs.campaign.checking import SignalType
from carcloud.codecs.campaign.document import Campaign, parse_campaign
from carcloud.codecs.campaign.engine import Engine
from carcloud.codecs.campaign.prepare import prepare
from carcloud.codecs.campaign.record import Record

START_US = 1_900_000_000_000_000
TYPES = {
    "Vehicle.Speed": SignalType("float"),
    "Vehicle.A": SignalType("double"),
    "Vehicle.B": SignalType("double"),
    "Vehicle.Count": SignalType("uint16"),
    "Vehicle.IsMoving": SignalType("boolean"),
    "Vehicle.State": SignalType("string", ("ON", "OFF")),
    "Vehicle.Cells": SignalType("float[]"),
}


def campaign(name: str = "c", **fields: Any) -> Campaign:
    """A campaign of JSON fields; without a trigger, one at `Vehicle.Speed > 50`."""
    fields.setdefault("trigger", {"when": "Vehicle.Speed > 50", "mode": "ALWAYS"})
    return parse_campaign({"id": name, **fields})


class Script:
    """An engine that is fed by the second; `events` are (campaign, seconds of the trigger)."""

    def __init__(self, *campaigns: Campaign, **options: Any) -> None:
        self.records: list[tuple[Campaign, Record]] = []
        self.engine = Engine(lambda of, record: self.records.append((of, record)), **options)
        self.refused = self.set(*campaigns, at=0)

    def set(self, *campaigns: Campaign, at: float) -> dict[str, str]:
        """Replace the campaigns."""
        prepared = [prepare(each, TYPES.get) for each in campaigns]
        return self.engine.configure(prepared, time_us(at))

    def feed(self, at: float, **samples: Any) -> None:
        """Samples by the last part of their path."""
        self.engine.feed(time_us(at), _rooted(samples))

    def tick(self, *at: float) -> None:
        """Let time pass."""
        for each in at:
            self.engine.tick(time_us(each))

    @property
    def events(self) -> list[float]:
        """Seconds from activation of each event, in the order in which they were sent."""
        return [seconds(record) for _, record in self.records]

    def counters(self, name: str = "c") -> Any:
        """The counters of a campaign."""
        return self.engine.counters[name]


def _rooted(samples: Mapping[str, Any]) -> dict[str, Any]:
    return {f"Vehicle.{name}": value for name, value in samples.items()}


def time_us(at: float) -> int:
    """Microseconds since 1970 of seconds since activation."""
    return START_US + round(at * 1e6)


def seconds(record: Record) -> float:
    """When the trigger of a record was."""
    return (record.time_us - START_US) / 1e6
