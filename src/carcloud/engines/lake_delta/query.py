"""SQL for people: one SELECT in a process of its own that can open the tenant's files alone."""

import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, NoReturn

import pyarrow as pa

from carcloud.engines.lake_delta.files import Files
from carcloud.engines.lake_delta.known import Known
from carcloud.engines.lake_delta.parquet import Footers
from carcloud.engines.lake_delta.passed import Among
from carcloud.engines.lake_delta.read import Filter
from carcloud.engines.lake_delta.schema import KEYS, PARTITION, TIME
from carcloud.engines.lake_delta.settings import MB
from carcloud.engines.lake_delta.snapshot import DataFile, Snapshot
from carcloud.engines.lake_delta.worker import Message, receive, send, sql_list
from carcloud.ports.errors import QueryCancelled, QueryLimit, QueryRefused, Unavailable
from carcloud.ports.lake import Cancel, QueryLimits, QueryResult

_MODULE = "carcloud.engines.lake_delta.worker"
_SMALL = 8 * MB  # of files that one thread reads in less time than two need to agree
_GRACE = 1.0  # s that a worker has to stop by itself when time is up
_LEAVES = {
    pa.string(): "VARCHAR",
    pa.binary(): "BLOB",
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.date32(): "DATE",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A table that a query may name."""

    name: str
    seen: Snapshot
    files: Files
    known: Known

    def showing(self, named: Collection[str]) -> "Source":
        """The same with the columns that the query names, also where no row has them yet."""
        return replace(self, seen=self.known.shown(self.name, self.seen, named))


class Desk:
    """Runs queries, a few at a time, in worker processes that it keeps for the next one."""

    def __init__(self, workers: int, threads: int) -> None:
        self._threads = threads
        self._free = workers
        self._changed = threading.Condition()  # one more is free, or a query was cancelled
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()

    def run(
        self,
        tables: Mapping[str, Source],
        footers: Footers,
        sql: str,
        limits: QueryLimits,
        cancel: Cancel,
        only: Among | None = None,
    ) -> QueryResult:
        """Run one SELECT within `limits`; raises `QueryRefused`, `QueryLimit`, `QueryCancelled`."""
        started = time.monotonic()
        with self._worker(limits, cancel) as worker, cancel.calls(worker.process.kill):
            ask = _Question(worker, started + limits.seconds, limits, cancel)
            admitted = ask({"sql": sql, "tables": list(tables)}).head
            plan = _Plan.of(tables, footers, admitted, only)
            question = {
                "sql": admitted["sql"],
                "paths": plan.paths,
                "folders": sorted({source.files.here for source in tables.values()}),
                "rows": limits.rows,
                "threads": self._threads if plan.size > _SMALL else 1,
                "passed": only is not None,
            }
            body = b"" if only is None else only.arrow()
            named = None if admitted["whole"] else frozenset(admitted["columns"])
            try:
                reply = ask(question | {"views": plan.views(named)}, body)
            except _Unbound:
                if named is None or only is not None:
                    raise
                # A name is wrong: with all columns the answer tells which there are.
                reply = ask(question | {"views": plan.views(None)}, body)
        rows = _zoned(pa.ipc.open_stream(reply.body).read_all())
        return QueryResult(rows, reply.head["truncated"], time.monotonic() - started, plan.size)

    def close(self) -> None:
        """End the idle workers."""
        with self._lock:
            while self._idle:
                self._idle.pop().end()

    @contextmanager
    def _worker(self, limits: QueryLimits, cancel: Cancel) -> Iterator["_Worker"]:
        """A worker of one's own; it is kept for the next query unless it had to be ended."""
        self._wait(limits, cancel)
        try:
            worker = self._take()
            try:
                yield worker
            except (QueryRefused, QueryLimit):
                raise  # it has answered, or was ended
            except BaseException:
                worker.end()  # its answer may still come, and must not reach the next query
                raise
            finally:
                if cancel.asked:  # the signal may be on its way
                    worker.end()
                elif worker.alive():
                    self._idle.append(worker)
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()

    def _wait(self, limits: QueryLimits, cancel: Cancel) -> None:
        """Wait for a place among those that run, and take it."""
        with cancel.calls(self._look_again), self._changed:
            free = self._changed.wait_for(lambda: self._free or cancel.asked, limits.seconds)
            if cancel.asked:
                raise QueryCancelled
            if not free:
                raise QueryLimit(f"other queries took all of the {limits.seconds:g} s (seconds)")
            self._free -= 1

    def _look_again(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _take(self) -> "_Worker":
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.alive():
                    return worker
        return _Worker.start()


@dataclass(frozen=True, slots=True)
class _Scan:
    """One table of a query, the files it may need, and the vehicles it asks for if it says so."""

    source: Source
    files: list[DataFile]
    vehicles: list[str] | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What an admitted query reads."""

    scans: dict[str, _Scan]
    footers: Footers
    passed: bool  # rows of some vehicles alone

    @classmethod
    def of(
        cls,
        tables: Mapping[str, Source],
        footers: Footers,
        admitted: Mapping[str, Any],
        only: Among | None,
    ) -> "_Plan":
        """The plan; fetches the files. Raises `QueryRefused`, `Unavailable`."""
        scans, named = {}, frozenset(admitted["columns"])
        for name, needs in admitted["needs"].items():
            source = tables[name].showing(named)
            if only is not None:
                _check_vehicles(source)
            chosen = _needed(source, needs, only)
            source.files.fetch(file.path for file in chosen)
            scans[name] = _Scan(source, chosen, None if only is None else only.within(needs))
        return cls(scans, footers, only is not None)

    @property
    def paths(self) -> list[str]:
        """All files, where they lie on this machine."""
        return [s.source.files.local(file.path) for s in self.scans.values() for file in s.files]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for scan in self.scans.values() for file in scan.files)

    def views(self, named: Collection[str] | None) -> dict[str, str]:
        """Each table as a SELECT on its files; of `named` columns (lower case), None = all."""
        found = {}
        for name, scan in self.scans.items():
            view = _view(scan.source, self.footers, scan.files, named)
            passed = _passing(scan.source, view, named, scan.vehicles) if self.passed else view
            found[name] = passed
        return found


@dataclass(frozen=True, slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    requests: BinaryIO
    replies: BinaryIO

    @classmethod
    def start(cls) -> "_Worker":
        """A new process; it ends when we do, as its stdin does."""
        process = subprocess.Popen(
            [sys.executable, "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is for us
        )
        if process.stdin is None or process.stdout is None:
            raise Unavailable("lake: no pipe to the query worker")
        return cls(process, process.stdin, process.stdout)  # type: ignore[arg-type]

    def alive(self) -> bool:
        """False once the process has ended."""
        return self.process.poll() is None

    def end(self) -> None:
        """Kill the process and wait for it."""
        self.process.kill()
        self.process.wait()
        with suppress(BrokenPipeError):  # a question that it has not read
            self.requests.close()
        self.replies.close()


class _Unbound(QueryRefused):
    """A name in the SQL stands for nothing."""


@dataclass(frozen=True, slots=True)
class _Question:
    """Asks a worker within the time that is left."""

    worker: _Worker
    deadline: float  # monotonic s
    limits: QueryLimits
    cancel: Cancel

    def __call__(self, head: dict[str, Any], body: bytes = b"") -> Message:
        left = self.deadline - time.monotonic()
        limits = {"seconds": left, "memory_mb": self.limits.memory_mb}
        try:
            send(self.worker.requests, Message(head | limits, body))
        except BrokenPipeError:
            self._gone()
        if not select.select([self.worker.replies], [], [], max(0.0, left) + _GRACE)[0]:
            self.worker.end()
            raise self._too_long()
        reply = receive(self.worker.replies)
        if reply is None:
            self._gone()
        return self._checked(reply)

    def _checked(self, reply: Message) -> Message:
        if reply.head.get("broken") or "memory" in reply.head:
            self.worker.end()  # what is left of it is not to be trusted
        if "time" in reply.head:
            raise self._too_long()
        if "memory" in reply.head:
            raise self._too_much()
        if "unavailable" in reply.head:
            raise Unavailable(f"lake: {reply.head['unavailable']}")
        if "refused" in reply.head:
            kind = _Unbound if reply.head.get("unbound") else QueryRefused
            raise kind(reply.head["refused"])
        return reply

    def _gone(self) -> NoReturn:
        """The worker died in the middle: by its alarm, or of memory where a signal ended it."""
        self.worker.replies.close()
        code = self.worker.process.wait()
        if self.cancel.asked:
            raise QueryCancelled
        if code == -signal.SIGALRM:
            raise self._too_long()
        if code < 0:
            raise self._too_much()
        raise Unavailable(f"lake: the query worker ended with code {code}")

    def _too_long(self) -> QueryLimit:
        return QueryLimit(f"the query ran longer than {self.limits.seconds:g} s (seconds)")

    def _too_much(self) -> QueryLimit:
        return QueryLimit(f"the query needs more than {self.limits.memory_mb} MB (memory_mb)")


def _zoned(rows: pa.Table) -> pa.Table:
    """Rows whose times say that they are UTC."""
    for at, column in enumerate(rows.schema):
        if column.type == pa.timestamp("us"):
            rows = rows.set_column(at, column.name, rows.column(at).cast(TIME))
    return rows


def _needed(source: Source, needs: list[list[Any]], only: Among | None) -> list[DataFile]:
    """The files that hold rows the query can need."""
    wanted = [
        Filter((first, last), None if vehicles is None else frozenset(vehicles))
        for first, last, vehicles in needs
    ]
    chosen = [f for f in source.seen.files.values() if any(w.may_hold(f) for w in wanted)]
    return chosen if only is None else [f for f in chosen if only.may_lie_in(f)]


def _check_vehicles(source: Source) -> None:
    """Raises `QueryRefused` for a table that does not tell whose its rows are."""
    at = source.seen.schema.get_field_index("vehicle")
    if at < 0 or source.seen.schema.field(at).type != pa.string():
        why = "so only who may query on all vehicles can read it"
        raise QueryRefused(f"the table {source.name} has no text column vehicle, {why}")


def _passing(
    source: Source, view: str, named: Collection[str] | None, vehicles: list[str] | None
) -> str:
    """The rows of a view that may be passed on; `named` columns (lower case), None = all.

    `vehicles`: those of the allowed ones that the query asks for, where it names them.
    """
    schema = source.seen.schema
    names = [*schema.names, PARTITION]
    kept = [n for n in names if named is None or n.lower() in named] or [PARTITION]
    asked = "" if vehicles is None else f" AND list_contains({sql_list(vehicles)}, vehicle)"
    columns = ", ".join(map(_quoted, kept))
    return f"SELECT {columns} FROM ({view}) WHERE vehicle IN (FROM allowed){asked}"  # noqa: S608


def _view(
    source: Source, footers: Footers, chosen: list[DataFile], named: Collection[str] | None
) -> str:
    """All rows of the files; files with the same columns are scanned together.

    Columns that older files lack are null, without opening each file to find that out. `named`:
    the columns that are asked for (lower case), None = all; DuckDB looks at each for a while.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for file in chosen:
        path = source.files.local(file.path)
        names: tuple[str, ...] = tuple(source.seen.schema.names[: file.columns])
        if file.columns is None:  # written by somebody else
            names = tuple(sorted(footers.get(path).names))
        groups.setdefault(names, []).append(path)
    kept = None if named is None else {*named, *KEYS}
    schema = [f for f in source.seen.schema if kept is None or f.name.lower() in kept]
    if not groups:
        return f"SELECT {_columns(schema, ())}, NULL::DATE AS date WHERE false"
    return " UNION ALL ".join(
        f"SELECT {_columns(schema, names)}, {PARTITION} FROM read_parquet({sql_list(paths)}, "  # noqa: S608
        f"hive_partitioning = true, hive_types = {{'{PARTITION}': DATE}})"
        for names, paths in groups.items()
    )


def _columns(schema: Sequence["pa.Field[Any]"], present: tuple[str, ...]) -> str:
    have = frozenset(present)
    return ", ".join(
        f"{_stored(f) if f.name in have else f'NULL::{sql_type(f.type)}'} AS {_quoted(f.name)}"
        for f in schema
    )


def _stored(column: "pa.Field[Any]") -> str:
    """A column as SQL sees it: times lose their zone, which is UTC.

    DuckDB sends every `date_trunc`, `time_bucket` or `hour` of a time with a zone through its
    calendar library, which takes 10 times as long.
    """
    name = _quoted(column.name)
    return f"make_timestamp(epoch_us({name}))" if pa.types.is_timestamp(column.type) else name


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def sql_type(kind: pa.DataType) -> str:
    """DuckDB's name of a column type."""
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP"
    if pa.types.is_list(kind):
        return f"{sql_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        inner = ", ".join(f"{_quoted(f.name)} {sql_type(f.type)}" for f in kind)
        return f"STRUCT({inner})"
    return _LEAVES[kind]
