"""One suite for the records port, run on SQLite and PostgreSQL."""

import contextlib
import os
import socket
import socketserver
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    column,
    func,
    insert,
    make_url,
    select,
    table,
)
from tests.ports.engines_sql import DATABASES, fresh_url, postgresql_server

from carcloud.engines.records_sql import SqlRecords
from carcloud.ports.errors import Conflict, Unavailable

metadata = MetaData()
parents = Table(
    "parents",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("n", String(9), unique=True),
)
children = Table(
    "children",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("parent", ForeignKey("parents.id"), nullable=False),
)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Any]:
    with postgresql_server() as server:
        yield server


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return fresh_url(request.param, tmp_path, request)


@pytest.fixture
def records(url: str) -> Iterator[SqlRecords]:
    opened = SqlRecords(url)
    opened.create(metadata)
    yield opened
    opened.close()


def add(records: SqlRecords, number: int) -> None:
    with records.transaction() as db:
        db.execute(insert(parents).values(id=number, n=str(number)))


def count(records: SqlRecords) -> int:
    with records.reading() as db:
        return int(db.execute(select(func.count()).select_from(parents)).scalar_one())


def test_a_statement_on_a_table_that_is_only_named_is_no_versioned_change(
    records: SqlRecords,
) -> None:
    named = table("parents", column("id"), column("n"))  # without metadata, as revisions write
    before = records.version()
    with records.transaction() as db:
        db.execute(insert(named).values(id=1, n="1"))
    assert count(records) == 1
    assert records.version() == before


def test_changes_are_kept_when_the_block_ends_well(records: SqlRecords, url: str) -> None:
    add(records, 1)
    other = SqlRecords(url)
    other.create(metadata)
    assert count(other) == 1
    other.close()


def test_nothing_is_kept_when_the_block_fails(records: SqlRecords) -> None:
    with pytest.raises(KeyError), records.transaction() as db:
        db.execute(insert(parents).values(id=1, n="1"))
        raise KeyError("not ours")
    assert count(records) == 0


def test_unique_and_foreign_key_violations_are_conflicts(records: SqlRecords) -> None:
    add(records, 1)
    with pytest.raises(Conflict):
        add(records, 1)
    with pytest.raises(Conflict), records.transaction() as db:
        db.execute(insert(children).values(id=1, parent=99))
    add(records, 2)
    assert count(records) == 2


def test_reading_sees_one_state_while_another_writes(records: SqlRecords) -> None:
    add(records, 1)
    query = select(func.count()).select_from(parents)
    with records.reading() as db:
        assert db.execute(query).scalar_one() == 1
        add(records, 2)
        assert db.execute(query).scalar_one() == 1
    assert count(records) == 2


def test_reading_does_not_wait_for_a_writer(records: SqlRecords) -> None:
    with records.transaction() as db:
        db.execute(insert(parents).values(id=1, n="1"))
        assert count(records) == 0


def test_a_turn_is_one_process_at_a_time(records: SqlRecords, url: str) -> None:
    other = SqlRecords(url)
    turn = records.turn("ingest")
    assert turn is not None
    assert turn.held()
    assert other.turn("ingest") is None
    chores = other.turn("chores")
    assert chores is not None
    turn.end()
    taken = _soon(other, "ingest")
    assert records.turn("ingest") is None
    taken.end()
    chores.end()
    other.close()


def _soon(records: SqlRecords, name: str) -> Any:
    """The turn, as soon as the database has heard that the connection that had it is gone."""
    deadline = time.monotonic() + 60
    while (turn := records.turn(name)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return turn


def test_a_turn_that_the_database_took_away_is_not_held(records: SqlRecords) -> None:
    if records.kind != "postgresql":
        pytest.skip("a locked file cannot be taken away")
    turn = records.turn("ingest")
    assert turn is not None
    with records.transaction() as db:
        db.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_locks"
            " WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()"
        )
    assert not turn.held()
    turn.end()


def test_writers_wait_for_each_other(records: SqlRecords) -> None:
    def work(first: int) -> None:
        for number in range(first, first + 25):
            add(records, number)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(records) == 100


def test_many_processes_may_create_at_once(url: str) -> None:
    opened = [SqlRecords(url) for _ in range(4)]
    failures: list[Exception] = []

    def create(records: SqlRecords) -> None:
        try:
            records.create(metadata)
        except Exception as error:  # noqa: BLE001 - a thread's error is told below
            failures.append(error)

    threads = [threading.Thread(target=create, args=(records,)) for records in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for records in opened:
        records.close()
    assert failures == []


def test_a_file_that_is_written_while_its_log_is_switched_on_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "records.db"
    with contextlib.closing(
        sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    ) as writer:
        writer.execute("CREATE TABLE before (n)")
        writer.execute("BEGIN IMMEDIATE")  # SQLite refuses the switch at once, without waiting
        writing = threading.Timer(0.3, writer.execute, ["COMMIT"])
        writing.start()
        records = SqlRecords(f"sqlite:///{file}")
        records.create(metadata)
        writing.join()
    with records.reading() as db:
        assert db.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
    records.close()


def test_absent_database_is_unavailable(tmp_path: Path) -> None:
    absent = SqlRecords(f"postgresql://nobody@/none?host={tmp_path}")
    with pytest.raises(Unavailable):
        absent.create(metadata)
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(Unavailable):
        SqlRecords(f"sqlite:///{blocked}/records.db")


def test_other_databases_are_refused() -> None:
    with pytest.raises(ValueError, match="SQLite or PostgreSQL"):
        SqlRecords("mysql://localhost/x")


def test_sqlite_file_is_private_and_synced(tmp_path: Path) -> None:
    records = SqlRecords(f"sqlite:///{tmp_path / 'deep' / 'records.db'}")
    assert (tmp_path / "deep" / "records.db").stat().st_mode & 0o077 == 0
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}
    with records.transaction() as db:
        found = {name: db.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in wanted}
    assert found == wanted
    records.close()


def test_what_was_deleted_is_in_no_file_after_scrubbing(tmp_path: Path) -> None:
    file, mark = tmp_path / "records.db", "zqx-once-there"
    records = SqlRecords(f"sqlite:///{file}")
    records.create(metadata)

    def found() -> bool:
        return any(mark.encode() in one.read_bytes() for one in tmp_path.iterdir())

    with records.transaction() as db:
        rows = [{"id": number, "n": f"{mark} {number} " * 20} for number in range(200)]
        db.execute(parents.insert(), rows)
    with records.transaction() as db:
        db.execute(parents.delete())
    assert found()
    records.scrub()
    assert not found()
    records.close()


def test_scrubbing_leaves_what_is_there(records: SqlRecords) -> None:
    add(records, 1)
    records.scrub()
    assert count(records) == 1


@contextmanager
def over_tcp(path: str) -> Iterator[int]:
    """A port of this machine that leads to a Unix socket."""

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as there:
                there.connect(path)
                back = threading.Thread(target=pump, args=(there, self.request), daemon=True)
                back.start()
                pump(self.request, there)
                back.join()

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay) as server:
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def test_a_connection_notices_that_its_server_is_gone(postgresql: Any) -> None:
    """Of a machine without power comes no word: the system must ask, and give up in time."""
    folder = make_url(postgresql.get_uri()).query["host"]
    with over_tcp(f"{folder}/.s.PGSQL.5432") as port:
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        for given, wanted in (("", 10_000), ("?tcp_user_timeout=3000", 3_000)):
            records = SqlRecords(url + given)
            with records.reading() as db:
                driver: Any = db.connection.driver_connection
                with socket.socket(fileno=os.dup(driver.fileno())) as opened:
                    found = [
                        opened.getsockopt(socket.IPPROTO_TCP, option)
                        for option in (
                            socket.TCP_KEEPIDLE,
                            socket.TCP_KEEPINTVL,
                            socket.TCP_KEEPCNT,
                            socket.TCP_USER_TIMEOUT,
                        )
                    ]
            assert found == [5, 2, 3, wanted]
            records.close()
