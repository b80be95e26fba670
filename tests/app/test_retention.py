"""The jobs role, as the supervisor starts it, drops rows that are older than the settings allow."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from carcloud.app.engines import open_lake, open_records
from carcloud.app.first_start import prepare
from carcloud.config import Settings
from carcloud.model.ids import DEFAULT_TENANT, Tenant
from carcloud.model.time import DAY, to_us
from carcloud.ports.lake import Lake, QueryLimits, Slice, TableRef
from carcloud.services.tenancy.api import Tenancy
from carcloud.supervisor import Supervisor

OTHER = Tenant("other")
AGES = (0, 3, 9, 40)  # days


def rows(now_us: int) -> pa.Table:
    """One row of each age."""
    times = [now_us - age * DAY for age in AGES]
    return pa.table(
        {
            "vehicle": [f"LTESTOLD{age:09d}" for age in AGES],
            "time": pa.array(times, pa.timestamp("us", "UTC")),
            "seq": pa.array(range(1, len(AGES) + 1), pa.int64()),
        }
    )


def ages(lake: Lake, tenant: Tenant, table: str, now_us: int) -> list[int]:
    """The ages in days of the rows that are there."""
    found = lake.read(TableRef(tenant, table), Slice(columns=["time"]))
    times = found["time"].cast(pa.int64()).to_pylist()
    return sorted((now_us - at) // DAY for at in times)


def until(true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_the_jobs_role_drops_what_is_too_old(tmp_path: Path) -> None:
    settings = Settings(
        {"data": str(tmp_path), "lake.frames_days": 7, "lake.signals_days": 30, "lake.upkeep_s": 1}
    )
    prepare(settings)
    records = open_records(settings)
    Tenancy(records).tenants.ensure(OTHER)
    records.close()
    lake, now_us = open_lake(settings), to_us(datetime.now(UTC))
    for tenant in (DEFAULT_TENANT, OTHER):
        for table in ("signals", "frames", "dead_letters"):
            lake.append(TableRef(tenant, table), rows(now_us), writer="test", seq=1)
    expected = {"signals": [0, 3, 9], "frames": [0, 3], "dead_letters": [0, 3]}

    def kept() -> list[dict[str, list[int]]]:
        tenants = (DEFAULT_TENANT, OTHER)
        return [{table: ages(lake, one, table, now_us) for table in expected} for one in tenants]

    supervisor = Supervisor(settings, roles=("jobs",))
    try:
        supervisor.start()
        until(lambda: kept() == [expected] * 2, 150)
    finally:
        supervisor.stop()
    assert kept() == [expected] * 2
    sql = "SELECT (SELECT count(*) FROM frames) AS f, (SELECT count(*) FROM signals) AS s"
    counted = lake.query(OTHER, sql, QueryLimits()).table.to_pylist()
    assert counted == [{"f": 2, "s": 3}]
    assert lake.position(TableRef(OTHER, "frames"), "test") == 1
