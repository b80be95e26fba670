"""What a job's table may be called, and how many files it has at most."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest

from carcloud.engines.lake_delta import DeltaLake
from carcloud.model.ids import Tenant
from carcloud.services.compute import tables
from carcloud.services.compute.errors import JobFailed
from carcloud.services.compute.tables import NewRows, TenantTables, own_name

DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def rows(*days: int) -> pa.Table:
    return pa.table({"time": [DAY + dt.timedelta(days=day) for day in days]})


def test_a_table_has_so_many_files_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = DeltaLake(tmp_path)
    monkeypatch.setattr(tables, "MOST_FILES", 3)

    def write(job: str, new: NewRows) -> None:
        own = TenantTables(lake, Tenant("a"), job, room=lambda _: None, most=lambda: 9)
        own.write([new])

    write("1", NewRows("trip_stats", rows(0, 1)))
    with pytest.raises(JobFailed, match="more than 3 files"):
        write("2", NewRows("trip_stats", rows(2, 3)))
    write("3", NewRows("trip_stats", rows(2, 3, 4), "replace"))
    with pytest.raises(JobFailed, match="more than 3 files"):
        write("4", NewRows("trip_stats", rows(4)))
    assert [info.rows for info in lake.tables(Tenant("a"))] == [3]


@pytest.mark.parametrize("name", ["signals", "trips", "signals\n", "a-b", "größe"])
def test_names_that_a_job_cannot_write(name: str) -> None:
    assert own_name(name, {"signals"})


def test_a_name_of_ones_own() -> None:
    assert own_name("trip_stats", {"signals"}) is None
