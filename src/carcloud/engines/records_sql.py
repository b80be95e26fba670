"""The records port on SQLAlchemy Core: SQLite in WAL mode, or PostgreSQL through psycopg."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    MetaData,
    create_engine,
    event,
    exc,
    inspect,
    make_url,
    text,
)

from carcloud.engines.records_turns import ConnectionTurn, FileTurn
from carcloud.engines.records_versions import (
    PostgresVersion,
    SqliteVersion,
    count_changes,
    jump,
    prepare,
)
from carcloud.ports.errors import Conflict, EngineError, Full, Unavailable
from carcloud.ports.records import Turn

_BUSY_MS = 10_000  # a writer waits so long for another one
_CREATE_LOCK = 7_246_015_318_206_931  # any number; only one process at a time makes tables
REVISIONS = "alembic_version"
"""The table that tells the revision of all others."""
_PG_FULL = frozenset({"53100"})  # disk full
_PG_LINK = {  # of libpq; a machine without power is noticed after 11 s, as it says no word
    "connect_timeout": 5,  # s
    "keepalives_idle": 5,  # s
    "keepalives_interval": 2,  # s
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # ms, for what was sent
}
_PG_RETRY = frozenset({"40001", "40P01"})  # serialisation, deadlock


class SqlRecords:
    """`ports.records.Records` on the database of a SQLAlchemy URL."""

    def __init__(self, url: str) -> None:
        """`sqlite:////data/records.db` or `postgresql://user@host/name`; raises `Unavailable`."""
        where = make_url(url)
        self._revised = False
        self._version: SqliteVersion | PostgresVersion
        if where.get_backend_name() == "sqlite":
            self._engine = _sqlite(url, where.database)
            self._version = SqliteVersion(self._engine)
        elif where.get_backend_name() == "postgresql":
            self._engine = _postgresql(where.set(drivername="postgresql+psycopg"))
            self._version = PostgresVersion(self._engine)
        else:
            raise ValueError(f"records need SQLite or PostgreSQL, not {where.drivername}")

    def create(self, metadata: MetaData) -> None:
        """Make the tables that do not exist yet; many processes may do so at once.

        Nothing happens in a database whose tables are made by revisions (`migrating`).
        """
        if self._under_revisions():
            return
        with self.transaction() as db:
            self._one_at_a_time(db)
            metadata.create_all(db)
            prepare(db)

    def _under_revisions(self) -> bool:
        if not self._revised:
            with self.reading() as db:
                self._revised = inspect(db).has_table(REVISIONS)
        return self._revised

    def _one_at_a_time(self, db: Connection) -> None:
        if self.kind == "postgresql":
            db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CREATE_LOCK})

    @property
    def kind(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """A transaction that may change tables; one at a time, and all of it or nothing.

        Afterwards `version` is above whatever any process has seen.

        SQLite changes a table by making it anew, so its foreign keys rest meanwhile; they are
        checked before the end. Raises `Conflict` when rows were left without what they refer to.
        """
        with _port_errors(), self._engine.connect() as db:
            if self.kind == "sqlite":
                _pragma(db, "foreign_keys=OFF")
            try:
                with db.begin():
                    self._one_at_a_time(db)
                    yield db
                    jump(db)
                    if (
                        self.kind == "sqlite"
                        and db.exec_driver_sql("PRAGMA foreign_key_check").first()
                    ):
                        raise Conflict("records: rows refer to others that are gone")
            finally:
                self._version.forget()
                if self.kind == "sqlite":
                    _pragma(db, "foreign_keys=ON")

    def copy_to(self, file: Path) -> None:
        """A copy of an SQLite database as it is now, private to the owner; others go on writing.

        Raises `Unavailable`.
        """
        _private_file(file)
        with _port_errors(), self._engine.connect() as db:
            source = db.connection.driver_connection
            assert isinstance(source, sqlite3.Connection)  # noqa: S101 - only asked of SQLite
            with closing(sqlite3.connect(file)) as target:
                source.backup(target)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection whose changes are kept, all or none, when the block ends well.

        Raises `Conflict` (unique or foreign key), `Full`, `Unavailable`.
        """
        with _port_errors(), self._engine.connect() as db:
            with db.begin(), count_changes(db) as changed:
                yield db
            if changed:
                self._version.forget()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state and changes nothing; it never waits for writers."""
        with _port_errors(), self._engine.connect() as db:
            quiet = db.execution_options(carcloud_reading=True)
            with quiet.begin() as block:
                yield quiet
                block.rollback()

    def version_at_hand(self) -> int | None:
        """A number that grows with every change of a versioned table, by this process or another;
        None = it takes `version`, which may wait. Raises `Unavailable`."""
        known = self._version.fresh()
        if known is not None or self._version.waits:
            return known
        with _port_errors():
            return self._version.ask()

    def version(self) -> int:
        """The number as it is now; raises `Unavailable`."""
        with _port_errors():
            return self._version.ask()

    def turn(self, name: str) -> Turn | None:
        """The turn `name`, None while another process has it; raises `Unavailable`.

        On PostgreSQL an advisory lock of a connection of its own; beside SQLite a locked file.
        """
        if self.kind == "sqlite":
            return FileTurn.take(Path(f"{self._engine.url.database}.{name}-turn"))
        with _port_errors():
            return ConnectionTurn.take(self._engine, name)

    def scrub(self) -> None:
        """Write an SQLite file anew, without what was deleted, and empty its log; raises
        `Unavailable` where readers or writers do not let go. On PostgreSQL, `VACUUM`."""
        with _port_errors(), self._engine.connect() as db:
            if self.kind == "postgresql":
                db.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM")
                return
            driver = db.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)  # noqa: S101
            driver.execute("VACUUM")
            busy, *_ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise Unavailable("records: somebody reads the log, so that it cannot be emptied yet")

    def close(self) -> None:
        """Give all connections back."""
        self._version.close()
        self._engine.dispose()


def _pragma(db: Connection, what: str) -> None:
    """Outside a transaction, where alone it has an effect."""
    driver = db.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101
    driver.execute(f"PRAGMA {what}")


def _sqlite(url: str, database: str | None) -> Engine:
    if database and database != ":memory:":
        _private_file(Path(database))
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin where `begin` below says
        connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
        _keep_a_log(connection)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("carcloud_reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _keep_a_log(connection: sqlite3.Connection) -> None:
    """Switch a file to WAL mode. SQLite does not wait here for another process that switches or
    writes at the same time, whatever `busy_timeout` says."""
    patience = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > patience:
                raise
            time.sleep(0.01)
        else:
            return


def _private_file(file: Path) -> None:
    """The database holds password hashes and keys: for its owner alone."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise Unavailable(f"records: {error}") from error


def _postgresql(url: Any) -> Engine:
    given = {name: value for name, value in _PG_LINK.items() if name not in url.query}
    engine = create_engine(url, pool_pre_ping=True, connect_args=given)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("carcloud_reading", False):
            mode = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
            connection.exec_driver_sql(mode)

    return engine


@contextmanager
def _port_errors() -> Iterator[None]:
    try:
        yield
    except exc.IntegrityError as error:
        raise Conflict(f"records: {error.orig}") from error
    except (exc.OperationalError, exc.InterfaceError, exc.InternalError) as error:
        raise _translated(error) from error
    except exc.TimeoutError as error:
        raise Unavailable(f"records: {error}") from error


def _translated(error: exc.DBAPIError) -> EngineError:
    """What an operational error of the driver means: full, or try again."""
    state = getattr(error.orig, "sqlstate", None)
    words = str(error.orig)
    if state in _PG_FULL or "disk is full" in words:
        return Full(f"records: {words}")
    if state in _PG_RETRY:
        return Conflict(f"records: {words}")
    return Unavailable(f"records: {words}")
