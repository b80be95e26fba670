"""Records for services: each test runs on every database that they may lie in."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from carcloud.engines.records_sql import SqlRecords
from tests.ports.engines_sql import DATABASES, fresh_url, postgresql_server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Any]:
    with postgresql_server() as server:
        yield server


@pytest.fixture(scope="session")
def kept_schema(postgresql: Any, request: pytest.FixtureRequest) -> str:
    """The URL of one schema of PostgreSQL, in which a test finds the tables of those before it."""
    return fresh_url("postgresql", Path(), request)


@pytest.fixture(params=DATABASES)
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlRecords]:
    """Records without a row."""
    if request.param == "sqlite":
        opened = SqlRecords(fresh_url("sqlite", tmp_path, request))
    else:
        opened = SqlRecords(request.getfixturevalue("kept_schema"))
        emptied(opened)
    yield opened
    opened.close()


def emptied(records: SqlRecords) -> None:
    """Take away all rows: making the tables anew takes ten times as long."""
    with records.transaction() as db:
        names = db.execute(
            text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        ).scalars()
        tables = ", ".join(f'"{name}"' for name in names)
        if tables:
            db.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
