"""The kind `script`: a tenant's own Python, shut in a sandbox."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pyarrow.parquet as pq

from carcloud.ports.errors import QueryLimit, QueryRefused
from carcloud.ports.lake import QueryLimits
from carcloud.ports.sandbox import Limits, NoPackages, NoSandbox, Sandbox, Script, ScriptEnd
from carcloud.services.compute.buckets import READ, WRITE, BucketName, Into, too_much
from carcloud.services.compute.context import Context
from carcloud.services.compute.errors import JobFailed
from carcloud.services.compute.kinds import Kind
from carcloud.services.compute.table_files import read_files, reading_limits
from carcloud.services.compute.tables import (
    MOST_TABLES,
    NewRows,
    TableFile,
    TableName,
    Written,
)

MOST_SOURCE = 256_000  # characters
_NAME = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,60}$"
_MOST_ROWS = 50_000_000
_CALL_S = 2.0  # kept back from the job's time, so that the sandbox says what ended the script
_OPEN_FILES = 256
_NEEDS = {"sql": "queries:run", "bucket": READ, "job": "telemetry:read"}
_WAYS = ("sql", "bucket", "key", "job", "artifact")  # where an input is from
_LIMITS = {"seconds": "timeout_s"}  # what a limit of the sandbox is called in a job


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file that the script finds as `/job/in/<name>`: of SQL, a bucket, or another job.

    With `sql`, `<name>.parquet` has the rows of a SELECT; with `bucket` and `key` the file is a
    copy of that object, with `job` and `artifact` of that artifact.
    """

    name: Annotated[str, msgspec.Meta(pattern=_NAME)]
    sql: Annotated[str, msgspec.Meta(max_length=100_000)] | None = None
    job: str | None = None
    artifact: str | None = None
    bucket: BucketName | None = None
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)] | None = None


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A script and what it needs; what it leaves goes `into` a bucket too.

    `tables` says which of its files become rows of which table: the name of a Parquet or Arrow
    file below /job/out, or with `mode` whether it is added or stands instead of all others.

    `requirements` are wheels such as `numpy==2.1.0`, if the operator allows any. `disk_mb` bounds
    what it writes, `processes` counts threads too, `cpu_seconds` null = its time on all its `cpus`.
    """

    source: Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_SOURCE)]
    arguments: dict[str, Any] = {}
    inputs: Annotated[list[Input], msgspec.Meta(max_length=50)] = []
    requirements: Annotated[list[str], msgspec.Meta(max_length=100)] = []
    disk_mb: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 256
    processes: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 32
    cpu_seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None
    into: Into | None = None
    tables: Annotated[dict[TableName, str | TableFile], msgspec.Meta(max_length=MOST_TABLES)] = {}


def run(context: Context[Params]) -> Any:
    """Run the script; what it leaves in /job/out becomes artifacts, and rows of tables."""
    began = time.monotonic()
    sandbox = _sandbox(context)
    try:
        sandbox.check()
        packages = None
        if context.params.requirements:
            packages = sandbox.packages(context.params.requirements, context.log)
        with tempfile.TemporaryDirectory(prefix="carcloud-job-") as name:
            inputs, outputs = Path(name, "in"), Path(name, "out")
            inputs.mkdir()
            outputs.mkdir()
            left = context.script_limits["disk_mb"] * 1_000_000
            for given in context.params.inputs:
                left -= _fetch(context, given, inputs, left)
            limits = _limits(context, context.timeout_s - (time.monotonic() - began) - _CALL_S)
            params = context.params
            script = Script(params.source, params.arguments, inputs, outputs, limits, packages)
            end = sandbox.run(script, context.write, lambda told: _told(context, told))
            _keep(context, outputs, end)
            left_s = context.timeout_s - (time.monotonic() - began) - _CALL_S
            tables = _tables(
                context,
                sandbox,
                Path(name),
                end,
                reading_limits(limits, left_s, context.most_table_bytes),
            )
    except (NoSandbox, NoPackages) as error:
        raise JobFailed(str(error), again=False) from error
    result = _judged(context, end)
    return {**result, "tables": tables} if tables else result


def _tables(
    context: Context[Params], sandbox: Sandbox, folder: Path, end: ScriptEnd, limits: Limits
) -> list[Written]:
    """Write the tables of a script that ended well; files that it did not leave are its error."""
    wanted = {
        name: TableFile(given) if isinstance(given, str) else given
        for name, given in context.params.tables.items()
    }
    if end.error is not None or not wanted:
        return []
    for name, given in wanted.items():
        if given.file not in end.files:
            raise JobFailed(f"table {name}: the script left no file {given.file}", again=False)
    context.progress(1.0, "writing tables")
    files = {name: folder / "out" / given.file for name, given in wanted.items()}
    most = context.most_table_bytes
    with read_files(sandbox, folder / "tables", files, limits, most) as rows:
        batch = [NewRows(name, rows[name], given.mode) for name, given in wanted.items()]
        written = context.tables.write(batch)
    for one in written:
        told = "an attempt before wrote it" if one.rows is None else f"{one.rows} rows, {one.mode}"
        context.log(f"[table {one.name}: {told}]")
    return written


def _sandbox(context: Context[Params]) -> Sandbox:
    if context.sandbox is None:
        raise NoSandbox("scripts cannot run here: no sandbox is set up")
    most = context.script_limits
    for name in ("disk_mb", "processes"):
        if getattr(context.params, name) > most[name]:
            detail = f"params.{name}: at most {most[name]} (compute.script_{name})"
            raise JobFailed(detail, again=False)
    return context.sandbox


def _limits(context: Context[Params], seconds: float) -> Limits:
    params = context.params
    return Limits(
        seconds=max(1.0, seconds),
        memory_mb=context.memory_mb,
        cpu_seconds=params.cpu_seconds or max(1.0, seconds * max(1.0, context.cpus)),
        disk_mb=params.disk_mb,
        processes=params.processes,
        open_files=_OPEN_FILES,
    )


def _fetch(context: Context[Params], given: Input, folder: Path, left: int) -> int:
    """Put an input where the script finds it; returns its bytes, at most `left`."""
    named = {name for name in _WAYS if getattr(given, name) is not None}
    path = folder / given.name
    if named == {"sql"}:
        table = _rows(context, given)
        path = folder / f"{given.name}.parquet"
        pq.write_table(table, path, compression="zstd")
        size, told = path.stat().st_size, f"{table.num_rows} rows"
    elif named == {"job", "artifact"}:
        size = path.write_bytes(context.read_artifact(given.job or "", given.artifact or ""))
        told = f"{size} bytes"
    elif named == {"bucket", "key"}:
        size = context.objects.fetch(given.bucket or "", given.key or "", path, left)
        told = f"{size} bytes"
    else:
        detail = f"input {given.name}: give `sql`, or `bucket` and `key`, or `job` and `artifact`"
        raise JobFailed(detail, again=False)
    if size > left:
        raise too_much(f"input {given.name}", size, left)
    context.log(f"[input {path.name}: {told}]")
    return size


def _rows(context: Context[Params], given: Input) -> Any:
    limits = QueryLimits(_MOST_ROWS, context.timeout_s, context.memory_mb)
    try:
        result = context.lake.query(context.tenant, given.sql or "", limits)
    except QueryRefused as error:
        raise JobFailed(f"input {given.name}: {error}", again=False) from error
    except QueryLimit as error:
        raise JobFailed(f"input {given.name}: {error}", limit="memory_mb") from error
    if result.truncated:
        raise JobFailed(f"input {given.name}: too many rows", limit="rows", again=False)
    return result.table


def _told(context: Context[Params], told: Mapping[str, Any]) -> None:
    """A message of the script's, which may be anything."""
    done, message = told.get("progress"), told.get("message")
    name, value = told.get("metric"), told.get("value")
    if isinstance(done, int | float):
        context.progress(float(done), str(message) if message is not None else None)
    if isinstance(name, str) and isinstance(value, int | float):
        context.metric(name, float(value))


def _keep(context: Context[Params], outputs: Path, end: ScriptEnd) -> None:
    for name in end.files:
        made = context.artifact(name, outputs / name, into=context.params.into)
        context.log(f"[output {name}: {made.bytes} bytes]")


def _judged(context: Context[Params], end: ScriptEnd) -> dict[str, Any]:
    context.used(end.cpu_seconds)
    if end.error is None:
        return {"files": len(end.files), "cpu_seconds": round(end.cpu_seconds, 3)}
    limit = None if end.limit is None else _LIMITS.get(end.limit, end.limit)
    raise JobFailed(end.error, limit=limit)


HELP = "A Python script of your own, in a sandbox: no network, no files but its own"


def _also(params: Params) -> list[str]:
    needs = [_NEEDS[name] for given in params.inputs for name in _NEEDS if getattr(given, name)]
    return needs + [WRITE] * (params.into is not None)


KIND = Kind("script", HELP, Params, run, also=_also)
