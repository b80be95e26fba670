"""The process in which people's SQL runs: `python -m carcloud.engines.lake_delta.worker`.

DuckDB's memory limit does not cover what functions allocate for themselves (`repeat`, `range` as a
list), and such a function does not look at an interrupt. Here the kernel enforces both limits.
Messages on stdin and stdout: a JSON head and a body of bytes, each with its length before it.
"""

import json
import os
import re
import resource
import signal
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa

from carcloud import lean
from carcloud.engines.lake_delta.passed import Passed, Passing
from carcloud.engines.lake_delta.settings import MB
from carcloud.engines.lake_delta.sql import admit
from carcloud.ports.errors import QueryRefused

_LENGTHS = struct.Struct("<II")  # bytes of head and body
_BATCH = 8192  # rows
_MOST_BYTES = 64 * MB  # of one answer as Arrow data
_GRACE = 2  # s after its time is up until a query that cannot be interrupted ends the process
_OPTIONS: dict[str, str | bool | int | float | list[str]] = {
    "temp_directory": "",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_unsigned_extensions": False,
    "enable_external_file_cache": False,  # the kernel has the files in memory already
}


@dataclass(frozen=True, slots=True)
class Message:
    """One message between the lake and its worker."""

    head: dict[str, Any]
    body: bytes = b""


def send(pipe: BinaryIO, message: Message) -> None:
    """Write a message."""
    head = json.dumps(message.head).encode()
    pipe.write(_LENGTHS.pack(len(head), len(message.body)) + head)
    pipe.write(message.body)
    pipe.flush()


def receive(pipe: BinaryIO) -> Message | None:
    """Read a message; None when the other side is gone."""
    lengths = pipe.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    head_size, body_size = _LENGTHS.unpack(lengths)
    head, body = pipe.read(head_size), pipe.read(body_size)
    if len(head) < head_size or len(body) < body_size:
        return None
    return Message(json.loads(head), body)


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer until the lake goes away."""
    parser = duckdb.connect(":memory:", config=_OPTIONS)
    _lock(parser)
    room = _Room()
    while (request := receive(requests)) is not None:
        with _limits(request.head["seconds"], request.head["memory_mb"]):
            reply = _answer(parser, room, request)
        send(replies, reply)


class _Room:
    """A DuckDB that reads a tenant's files, kept for the next query, as opening one takes 20 ms.

    Each query has a connection of its own, with its own views; nothing of them stays. For another
    tenant, another table or other limits a new DuckDB is opened.
    """

    def __init__(self) -> None:
        self._opened_for: tuple[object, ...] = ()
        self._database: duckdb.DuckDBPyConnection | None = None

    def enter(self, head: dict[str, Any]) -> duckdb.DuckDBPyConnection:
        """A connection that can open the files below `head["folders"]` and no others."""
        wanted = head["threads"], head["memory_mb"], *head["folders"]
        if self._database is None or wanted != self._opened_for:
            self.leave()
            self._database = _session(head)
            _lock(self._database, folders=head["folders"])
            self._opened_for = wanted
        return self._database.cursor()

    def leave(self) -> None:
        """Close it."""
        if self._database is not None:
            self._database.close()
            self._database = None


def _answer(parser: duckdb.DuckDBPyConnection, room: _Room, request: Message) -> Message:
    head = request.head
    try:
        if "tables" in head:
            with _interrupted(parser.interrupt, head["seconds"]):
                return _admit(parser, head)
        return _select_passed(head, request.body) if head["passed"] else _select(room, head)
    except QueryRefused as refused:
        return Message({"refused": _without_paths(str(refused))})
    except (duckdb.Error, OSError, pa.ArrowException, MemoryError) as error:
        room.leave()
        broken = isinstance(error, duckdb.FatalException | duckdb.InternalException)
        unbound = isinstance(error, duckdb.BinderException | duckdb.CatalogException)
        told = {_kind(error): _hinted(_without_paths(str(error)))}
        return Message(told | {"broken": broken, "unbound": unbound})


def _admit(parser: duckdb.DuckDBPyConnection, head: dict[str, Any]) -> Message:
    admitted = admit(parser, head["sql"], head["tables"])
    needs = {
        name: [[*f.span, None if f.vehicles is None else sorted(f.vehicles)] for f in filters]
        for name, filters in admitted.needs.items()
    }
    words = {"columns": sorted(admitted.columns), "whole": admitted.whole}
    return Message({"sql": admitted.sql, "needs": needs} | words)


def _select(room: _Room, head: dict[str, Any]) -> Message:
    with room.enter(head) as session, _interrupted(session.interrupt, head["seconds"]):
        for name, view in head["views"].items():
            session.execute(f'CREATE TEMP VIEW "{name}" AS {view}')
        return _first_rows(session, head["sql"], head["rows"])


def _select_passed(head: dict[str, Any], vehicles: bytes) -> Message:
    """As `_select`, on rows of some vehicles, in a session that can open no file."""
    with (
        closing(Passing(_session(head))) as passing,
        _session(head) as session,
        _interrupted(passing.interrupt, head["seconds"]),
        _interrupted(session.interrupt, head["seconds"]),
    ):
        passing.allow(vehicles)
        _lock(passing.reader, paths=head["paths"])
        for name, select in head["views"].items():
            session.register(name, Passed(passing, select))
        _lock(session)
        return _first_rows(session, head["sql"], head["rows"])


def _session(head: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    memory = f"{head['memory_mb']}MiB"
    options = _OPTIONS | {"threads": head["threads"], "memory_limit": memory}
    return duckdb.connect(":memory:", config=options)


def _lock(
    session: duckdb.DuckDBPyConnection, *, paths: Sequence[str] = (), folders: Sequence[str] = ()
) -> None:
    """Shut a DuckDB, with all its connections, in with these files and folders, for good."""
    session.execute("SET GLOBAL python_enable_replacements = false")
    session.execute("SET GLOBAL TimeZone = 'UTC'")
    session.execute(f"SET allowed_paths = {sql_list(paths)}")
    session.execute(f"SET allowed_directories = {sql_list(folders)}")
    session.execute("SET enable_external_access = false")
    session.execute("SET lock_configuration = true")


def _first_rows(session: duckdb.DuckDBPyConnection, sql: str, most: int) -> Message:
    """The first rows as an Arrow IPC stream, and whether there were more (or larger ones)."""
    reader = session.execute(sql).to_arrow_reader(_BATCH)
    sink, left, room, more = pa.BufferOutputStream(), most, _MOST_BYTES, False
    with pa.ipc.new_stream(sink, reader.schema) as stream:
        for batch in reader:
            kept = _fitting(batch.slice(0, left), room)
            stream.write_batch(kept)
            more = batch.num_rows > kept.num_rows
            left -= kept.num_rows
            room -= kept.nbytes
            if more:
                break
    return Message({"truncated": more}, sink.getvalue().to_pybytes())


def _fitting(batch: pa.RecordBatch, room: int) -> pa.RecordBatch:
    """The first rows of a batch, at most `room` bytes of them."""
    while batch.num_rows and batch.nbytes > room:
        batch = batch.slice(0, batch.num_rows // 2)
    return batch


@contextmanager
def _limits(seconds: float, memory_mb: int) -> Iterator[None]:
    """Let the kernel refuse memory beyond the limit, and end the process long after its time."""
    used = int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGESIZE")
    most = used + memory_mb * MB * 5 // 4 + 128 * MB
    resource.setrlimit(resource.RLIMIT_DATA, (most, resource.RLIM_INFINITY))
    signal.setitimer(signal.ITIMER_REAL, max(0.0, seconds) + _GRACE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@contextmanager
def _interrupted(interrupt: Callable[[], None], seconds: float) -> Iterator[None]:
    """Stop what runs in a session when time is up."""
    timer = threading.Timer(max(0.0, seconds), interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _kind(error: Exception) -> str:
    """Who is to blame: `refused` the SQL, `time` and `memory` the limits, `unavailable` us."""
    text = str(error)
    if isinstance(error, duckdb.InterruptException) or "INTERRUPT Error" in text:
        return "time"
    memory = isinstance(error, duckdb.OutOfMemoryException | MemoryError | pa.ArrowMemoryError)
    if memory or re.search(r"Out of Memory Error|bad_alloc|failed to allocate", text):
        return "memory"
    return "unavailable" if isinstance(error, duckdb.IOException) else "refused"


def _without_paths(text: str) -> str:
    return re.sub(r"(?:/[^/\s'\"]+)+/([^/\s'\"]*)", r"\1", text)


def _hinted(text: str) -> str:
    """Names of signals have dots, which SQL takes for table and column unless quoted."""
    if re.search(r"Referenced table .* not found|Cannot extract field", text):
        return f'{text}\nA column whose name has dots stands in double quotes: "Vehicle.Speed"'
    return text


def sql_list(texts: Sequence[str]) -> str:
    """An SQL list of strings."""
    return "[{}]".format(", ".join("'{}'".format(text.replace("'", "''")) for text in texts))


def own_replies() -> BinaryIO:
    """The pipe to the lake, for us alone: DuckDB writes a progress bar to stdout after 2 s."""
    replies = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return replies


if __name__ == "__main__":
    lean.without_pandas()
    lean.without_datasets()
    serve(sys.stdin.buffer, own_replies())
