"""Turns: work that one process of an installation does at a time."""

import fcntl
from pathlib import Path
from typing import IO

from sqlalchemy import Connection, Engine, exc, text

from carcloud.ports.errors import Unavailable

_TRY = text("SELECT pg_try_advisory_lock(hashtextextended(current_schema() || :name, 0))")
_GONE_S = 5  # after which PostgreSQL takes a silent machine for dead


class FileTurn:
    """A locked file: the system frees it when the process ends."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    @classmethod
    def take(cls, path: Path) -> "FileTurn | None":
        """The turn, or None; raises `Unavailable`."""
        try:
            file = path.open("w")
        except OSError as error:
            raise Unavailable(f"records: {error}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return cls(file)

    def held(self) -> bool:
        """As long as the file is open."""
        return not self._file.closed

    def end(self) -> None:
        """Give it back."""
        self._file.close()


class ConnectionTurn:
    """An advisory lock that lives as long as its connection to PostgreSQL."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    @classmethod
    def take(cls, engine: Engine, name: str) -> "ConnectionTurn | None":
        """The turn, or None; errors are those of SQLAlchemy."""
        db = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            if db.execute(_TRY, {"name": f".{name}"}).scalar_one():
                for setting in ("tcp_keepalives_idle", "tcp_keepalives_interval"):
                    db.exec_driver_sql(f"SET {setting} = 1")
                db.exec_driver_sql(f"SET tcp_keepalives_count = {_GONE_S}")
                return cls(db)
        except BaseException:
            db.invalidate()
            db.close()
            raise
        db.close()
        return None

    def held(self) -> bool:
        """Asks the database over the very connection that holds the lock."""
        try:
            self._db.execute(text("SELECT 1"))
        except exc.SQLAlchemyError:
            return False
        return True

    def end(self) -> None:
        """The connection ends, and the lock with it."""
        self._db.invalidate()
        self._db.close()
