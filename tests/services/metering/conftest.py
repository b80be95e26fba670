"""Metering on SQLite and PostgreSQL, with a clock that moves when told to."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.services.metering.api import Metering
from carcloud.services.tenancy.api import Tenancy

A, B = Tenant("a"), Tenant("b")
HOUR = 3_600_000_000  # us


def moment(year: int, month: int, day: int, hour: int = 0) -> int:
    """us since 1970."""
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) * 1_000_000


class Clock:
    """us since 1970."""

    def __init__(self) -> None:
        self.now = moment(2026, 3, 10, 12)

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def records(records: SqlRecords) -> SqlRecords:
    """Records that have tenants."""
    Tenancy(records)
    return records


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SqlRecords]:
    opened = SqlRecords(f"sqlite:///{tmp_path / 'records.sqlite'}")
    Tenancy(opened)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metering(records: SqlRecords, clock: Clock) -> Metering:
    return Metering(records, clock)


@pytest.fixture
def local(sqlite: SqlRecords, clock: Clock) -> Metering:
    """On SQLite alone, for what does not depend on the database."""
    return Metering(sqlite, clock)
