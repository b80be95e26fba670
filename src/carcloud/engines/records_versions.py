"""A number that grows when versioned tables change, so that what was read can be kept in memory.

It lies in a table of one row and grows in the transaction that makes the change: whoever reads it
and then the tables has the tables at that number or later.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Delete,
    Engine,
    Insert,
    Integer,
    MetaData,
    Table,
    Update,
    case,
    event,
    inspect,
    select,
    text,
    update,
)

metadata = MetaData()
versions = Table(
    "record_versions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
)
FRESH_S = 0.05  # s; on PostgreSQL the number is asked again after so long
_SQLITE_FRESH_S = 0.002
_ASK = "SELECT version FROM record_versions WHERE id = 1"
_CHANGED = "carcloud_changed"


def prepare(db: Connection) -> None:
    """Make the table and its row, if they are not there."""
    metadata.create_all(db)
    db.execute(text("INSERT INTO record_versions VALUES (1, 0) ON CONFLICT DO NOTHING"))


@contextlib.contextmanager
def count_changes(db: Connection) -> Iterator[list[str]]:
    """Let the number grow at the end of a transaction's block if it changed a versioned table;
    gives the names of those, as they come to be changed."""
    changed: list[str] = []
    db.info[_CHANGED] = changed
    yield changed
    del db.info[_CHANGED]
    if changed:
        db.execute(update(versions).values(version=versions.c.version + 1))


def jump(db: Connection) -> None:
    """Let the number be one that nobody can have seen, after tables were changed or put back.

    That is the time in microseconds: counting never comes so far.
    """
    if inspect(db).has_table(versions.name):
        count, now = versions.c.version, time.time_ns() // 1000
        db.execute(update(versions).values(version=case((count < now, now), else_=count + 1)))


@event.listens_for(Engine, "before_execute")
def _note(db: Connection, statement: Any, *_: Any) -> None:
    if isinstance(statement, Insert | Update | Delete):
        table: Any = statement.table
        changed = db.info.get(_CHANGED)
        if changed is not None and getattr(table, "info", {}).get("versioned"):
            changed.append(str(table.name))


class SqliteVersion:
    """Of an SQLite database: its `data_version`, a look at shared memory, tells whether anybody
    has committed anything; only then is the table read. Neither waits for a writer."""

    waits = False

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._connection: Any = None
        self._seen = -1
        self._version = 0
        self._changes = 0
        self._asked = float("-inf")

    def fresh(self) -> int | None:
        """The number as it was 2 ms ago or later; None = not asked since."""
        return self._version if time.monotonic() - self._asked < _SQLITE_FRESH_S else None

    def ask(self) -> int:
        """The number as it is now."""
        asked, changes = time.monotonic(), self._changes
        with self._lock:
            if self._connection is None:
                # One connection for good: `data_version` tells what others than itself commit.
                own = self._engine.raw_connection()
                self._connection = own.dbapi_connection
                own.detach()
            cursor = self._connection.cursor()
            seen = cursor.execute("PRAGMA data_version").fetchone()[0]
            if seen != self._seen:
                self._version = int(cursor.execute(_ASK).fetchone()[0])
                self._seen = seen
            if changes == self._changes:  # else what was changed meanwhile may not be in it
                self._asked = asked
            return self._version

    def forget(self) -> None:
        """This process has changed something: look again."""
        self._changes += 1
        self._asked = float("-inf")

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
                self._seen = -1


class PostgresVersion:
    """Of a PostgreSQL database: asked again after `FRESH_S`, or when this process made a change."""

    waits = True  # for the server's answer

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._asked = float("-inf")
        self._changes = 0
        self._version = 0

    def fresh(self) -> int | None:
        """The number, if it was asked a moment ago; None = it was not."""
        return self._version if time.monotonic() - self._asked < FRESH_S else None

    def ask(self) -> int:
        """The number as it is now."""
        asked, changes = time.monotonic(), self._changes
        with self._engine.connect() as db:
            version = int(db.execute(select(versions.c.version)).scalar_one())
        if changes == self._changes:  # else what was changed meanwhile may not be in it
            self._version, self._asked = version, asked
        return version

    def forget(self) -> None:
        """This process has changed something: ask again."""
        self._changes += 1
        self._asked = float("-inf")

    def close(self) -> None:
        """Nothing is held."""
