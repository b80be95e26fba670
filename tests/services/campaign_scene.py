"""A campaign and its clock, for the tests of campaigns and of their way to vehicles."""

import json
from typing import Any

from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.services.campaigns.api import Campaigns, Target
from carcloud.services.vehicles.api import Outgoing

A, B = Tenant("a"), Tenant("b")
SECOND = 1_000_000
START = 1_700_000_000 * SECOND
SPEEDING = {
    "id": "speeding",
    "trigger": {"when": "Vehicle.Speed > 120", "mode": "RISING_EDGE"},
    "signals": [{"path": "Vehicle.Speed", "max_samples": 10}],
}


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


def running(service: Campaigns, target: Target = Target(), **more: Any) -> None:
    service.create(A, {**SPEEDING, **more}, target, note="", actor="ann")
    service.approve(A, "speeding", 1, actor="eve")
    service.start(A, "speeding", actor="ann")


def kept(records: SqlRecords, vehicle: str) -> dict[str, Any]:
    """What is retained for a vehicle, by topic below its documents."""
    start = f"v1/{vehicle}/documents"
    return {
        one.topic.removeprefix(start).lstrip("/"): json.loads(one.payload)
        for one in Outgoing(records).waiting(A, vehicle)
        if one.retained and one.topic.startswith(start)
    }
