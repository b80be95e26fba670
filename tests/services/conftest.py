"""Records for services: each test runs on every database that they may lie in."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carcloud.engines.records_sql import SqlRecords
from tests.ports.engines_sql import DATABASES, fresh_url, postgresql_server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Any]:
    with postgresql_server() as server:
        yield server


@pytest.fixture(params=DATABASES)
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlRecords]:
    """Empty records."""
    opened = SqlRecords(fresh_url(request.param, tmp_path, request))
    yield opened
    opened.close()
