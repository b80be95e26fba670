"""A campaign's way to its vehicles: how many a round of distribution serves in a second.

Records in an SQLite file of their own, with all its writes synced. Vehicles over MQTT are
registered, a campaign over all of them is started and a round brings it (the list and the document
to each, with what is kept of it), then a round that finds nothing to do, then the campaign is
paused and a round takes it away. Elapsed time of each round, a single run.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.row import Row
from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.model.time import now_us
from carcloud.services.campaigns.api import Campaigns, Distribution, Target
from carcloud.services.tenancy.api import Tenancy
from carcloud.services.vehicles import rows
from carcloud.services.vehicles.api import NewVehicle

_ACTOR = "bench"
_DOCUMENT = {
    "id": "hard-braking",
    "trigger": {"when": "Vehicle.Chassis.Brake.PedalPosition > 80", "mode": "RISING_EDGE"},
    "pre_trigger_ms": 60_000,
    "signals": [
        {"path": "Vehicle.Speed", "max_samples": 600},
        {"path": "Vehicle.Chassis.Brake.PedalPosition", "max_samples": 600},
    ],
}


def figures(small: bool = False) -> Iterator[Row]:
    """The figures one after the other; `small` has few vehicles, to see that it works."""
    for count in (50, 200) if small else (1_000, 10_000):
        with tempfile.TemporaryDirectory(prefix="carcloud-bench-") as folder:
            records = SqlRecords(f"sqlite:///{Path(folder) / 'records.db'}")
            try:
                yield from _rounds(records, count)
            finally:
                records.close()


def _rounds(records: SqlRecords, count: int) -> Iterator[Row]:
    Tenancy(records).tenants.ensure(DEFAULT_TENANT)
    campaigns, bring = Campaigns(records), Distribution(records)
    _register(records, count)
    name = campaigns.create(DEFAULT_TENANT, _DOCUMENT, Target(), note="", actor=_ACTOR).id
    campaigns.approve(DEFAULT_TENANT, name, 1, actor=_ACTOR)
    campaigns.start(DEFAULT_TENANT, name, actor=_ACTOR)
    rate = count / _seconds(bring, count)
    target = ">= 2,000" if count >= 10_000 else ""
    yield Row(f"a campaign brought to {count:,} vehicles", rate, "vehicles/s", target)
    milliseconds = 1000 * _seconds(bring, 0)
    yield Row(f"a round over {count:,} vehicles, nothing to do", milliseconds, "ms")
    campaigns.pause(DEFAULT_TENANT, name, actor=_ACTOR)
    rate = count / _seconds(bring, count)
    yield Row(f"a campaign paused on {count:,} vehicles", rate, "vehicles/s")


def _register(records: SqlRecords, count: int) -> None:
    """Rows as the registry has them, without an audit entry for each: that is not measured."""
    new = [NewVehicle(f"BENCH-{number:06d}", protocol="mqtt") for number in range(count)]
    with records.transaction() as db:
        rows.insert_vehicles(db, [rows.made(DEFAULT_TENANT, each, now_us()) for each in new])


def _seconds(bring: Distribution, expected: int) -> float:
    start = time.perf_counter()
    done, _ = bring.round(DEFAULT_TENANT)
    taken = time.perf_counter() - start
    assert done.vehicles == expected, done
    assert not done.problems, done
    return taken
