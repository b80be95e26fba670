"""A query's process is told of the columns that the SQL names, and of all where that is wrong."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from carcloud.engines.lake_delta import DeltaLake, query
from carcloud.engines.lake_delta.schema import TIME
from carcloud.model.ids import Tenant
from carcloud.ports.errors import QueryRefused
from carcloud.ports.lake import QueryLimits, TableRef

TENANT = Tenant("fleet-a")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeltaLake]:
    lake = DeltaLake(tmp_path_factory.mktemp("lake"))
    keys = {"vehicle": ["a", "b"], "time": pa.array([0, 1], TIME), "seq": [1, 1]}
    values = {"Vehicle.Speed": [1.0, 2.0], "Vehicle.TraveledDistance": [3, 4]}
    lake.append(TableRef(TENANT, "signals"), pa.table({**keys, **values}), writer="w", seq=1)
    yield lake
    lake.close()


@pytest.fixture
def views(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The view of `signals` in each question that a query's process is asked."""
    told: list[str] = []

    def noted(pipe: Any, message: query.Message) -> None:
        told.extend(message.head.get("views", {}).values())
        real(pipe, message)

    real = query.send
    monkeypatch.setattr(query, "send", noted)
    return told


def rows(lake: DeltaLake, sql: str) -> list[dict[str, object]]:
    return lake.query(TENANT, sql, QueryLimits()).table.to_pylist()


@pytest.mark.parametrize(
    ("sql", "answer", "columns"),
    [
        ('SELECT sum("vehicle.speed") s FROM signals', {"s": 3.0}, {"Vehicle.Speed"}),
        ("SELECT count(*) n FROM signals", {"n": 2}, set()),
        (
            'SELECT s."Vehicle.TraveledDistance" d FROM signals s WHERE "Vehicle.Speed" > 1',
            {"d": 4},
            {"Vehicle.Speed", "Vehicle.TraveledDistance"},
        ),
        (
            "SELECT max(COLUMNS('.*Distance')) d FROM signals",
            {"d": 4},
            {"Vehicle.Speed", "Vehicle.TraveledDistance"},
        ),
    ],
)
def test_only_columns_that_are_named_are_looked_at(
    lake: DeltaLake, views: list[str], sql: str, answer: dict[str, object], columns: set[str]
) -> None:
    assert rows(lake, sql) == [answer]
    assert len(views) == 1
    named = {name for name in ("Vehicle.Speed", "Vehicle.TraveledDistance") if name in views[0]}
    assert named == columns


def test_a_name_that_is_wrong_is_told_with_those_there_are(
    lake: DeltaLake, views: list[str]
) -> None:
    with pytest.raises(QueryRefused, match=r"Vehicle\.TraveledDistance"):
        rows(lake, 'SELECT "Vehicle.TraveledDist" FROM signals')
    assert len(views) == 2


@pytest.mark.parametrize("sql", ["SELECT vehicle::INT FROM signals", "SELECT error('no')"])
def test_what_fails_for_another_reason_runs_once(
    lake: DeltaLake, views: list[str], sql: str
) -> None:
    with pytest.raises(QueryRefused):
        rows(lake, sql)
    assert len(views) <= 1
