"""The kind `query-export`: SQL on the tenant's tables into files."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from carcloud.model.time import SECOND, from_us, parse_iso
from carcloud.ports.errors import QueryLimit, QueryRefused
from carcloud.ports.lake import QueryLimits
from carcloud.services.compute.buckets import WRITE, Into
from carcloud.services.compute.context import Context
from carcloud.services.compute.errors import JobFailed
from carcloud.services.compute.kinds import Kind
from carcloud.services.compute.tables import IntoTable, NewRows

MOST_ROWS = 50_000_000
_PLACE = re.compile(r"\{(from|to)\}")
_MEDIA = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
}


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"start": "from", "end": "to"}):  # fmt: skip  # noqa: E501
    """A SELECT and the form of its rows.

    With `from` and `to` it runs once for each `step_hours` of that time, and `{from}` and `{to}` in
    the SQL stand for the ends of the step: so an export of any size goes piece by piece. With
    `table` the rows go there; files are made besides only where `into` asks for them.
    """

    sql: Annotated[str, msgspec.Meta(min_length=1, max_length=100_000)]
    format: Literal["parquet", "csv", "arrow"] = "parquet"
    file: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,60}$")] = "rows"
    start: str | None = None
    end: str | None = None
    step_hours: Annotated[float, msgspec.Meta(gt=0, le=24 * 366)] = 24.0
    into: Into | None = None
    table: IntoTable | None = None


def run(context: Context[Params]) -> dict[str, Any]:
    """Write `<file>.<format>`, or `<file>-0000.<format>` and so on, as artifacts; or a table."""
    params = context.params
    steps = list(_steps(params))
    if params.table is not None and params.table.mode == "replace" and len(steps) > 1:
        detail = "a table is replaced in one step: leave out `from` and `to`, or append"
        raise JobFailed(detail, again=False)
    in_files = params.table is None or params.into is not None
    rows = written = 0
    for number, (sql, span) in enumerate(steps):
        found = _ask(context, sql)
        rows += found.num_rows
        if params.table is not None:
            _into_table(context, params.table, found, number + 1, span)
        if in_files:
            suffix = f"-{number:04d}" if len(steps) > 1 else ""
            written += _into_file(context, f"{params.file}{suffix}.{params.format}", found, span)
        context.metric("rows", rows)
        context.progress((number + 1) / len(steps), f"{rows} rows")
    result = {"rows": rows, "bytes": written, "files": len(steps) * in_files}
    if params.table is None:
        return result
    return {**result, "tables": [{**msgspec.structs.asdict(params.table), "rows": rows}]}


def _into_file(context: Context[Params], name: str, found: pa.Table, span: str) -> int:
    """One artifact; returns its bytes."""
    params = context.params
    data, media = _bytes(found, params.format), _MEDIA[params.format]
    made = context.artifact(name, data, media, params.into)
    context.log(f"{name}: {found.num_rows} rows, {made.bytes} bytes{span}")
    return made.bytes


def _into_table(
    context: Context[Params], table: IntoTable, found: pa.Table, part: int, span: str
) -> None:
    (written,) = context.tables.write([NewRows(table.name, found, table.mode)], part)
    told = f"{written.rows} rows{span}"
    context.log(f"table {table.name}: {'in there already' if written.rows is None else told}")


def _steps(params: Params) -> Iterator[tuple[str, str]]:
    """SQL of each step, and what the log says of it."""
    if params.start is None and params.end is None:
        if _PLACE.search(params.sql):
            raise JobFailed("the SQL has {from} or {to}: give `from` and `to`", again=False)
        yield params.sql, ""
        return
    start, end = _moment(params.start, "from"), _moment(params.end, "to")
    if not {"from", "to"} <= set(_PLACE.findall(params.sql)):
        raise JobFailed("with `from` and `to` the SQL needs {from} and {to}", again=False)
    step = int(params.step_hours * 3600 * SECOND)
    if not 0 < end - start <= step * 10_000:
        raise JobFailed("`to` must be after `from`, with at most 10000 steps", again=False)
    for begin in range(start, end, step):
        ends = {"from": _literal(begin), "to": _literal(min(end, begin + step))}
        sql = _PLACE.sub(lambda at, ends=ends: ends[at[1]], params.sql)  # type: ignore[misc]
        yield sql, f", from {from_us(begin):%Y-%m-%d %H:%M}"


def _moment(text: str | None, field: str) -> int:
    try:
        return parse_iso(text or "")
    except ValueError as error:
        detail = f"`{field}` is not an RFC 3339 time such as 2026-05-01T00:00:00Z"
        raise JobFailed(detail, again=False) from error


def _literal(us: int) -> str:
    return f"TIMESTAMP '{from_us(us):%Y-%m-%d %H:%M:%S.%f}'"


def _ask(context: Context[Params], sql: str) -> pa.Table:
    limits = QueryLimits(MOST_ROWS, context.timeout_s, context.memory_mb)
    try:
        result = context.lake.query(context.tenant, sql, limits)
    except QueryRefused as error:
        raise JobFailed(f"the SQL was refused: {error}", again=False) from error
    except QueryLimit as error:
        limit = "memory_mb" if "memory_mb" in str(error) else "timeout_s"
        raise JobFailed(str(error), limit=limit) from error
    if result.truncated:
        detail = (
            "the rows of one query are too many: export by time, with `from`, `to`, `step_hours`"
        )
        raise JobFailed(detail, limit="rows", again=False)
    return result.table


def _bytes(table: pa.Table, form: str) -> bytes:
    sink = pa.BufferOutputStream()
    if form == "parquet":
        pq.write_table(table, sink, compression="zstd")
    elif form == "csv":
        pyarrow.csv.write_csv(_flat(table), sink)
    else:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    return bytes(sink.getvalue())


def _flat(table: pa.Table) -> pa.Table:
    """CSV has no lists, structs and bytes: the first two as JSON text, the last as hexadecimal."""
    for index, field in enumerate(table.schema):
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
            values = table.column(index).to_pylist()
            column = pa.array([_text(value) for value in values], pa.string())
            table = table.set_column(index, field.name, column)
    return table


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    return msgspec.json.encode(value).decode()


KIND = Kind(
    "query-export",
    "SQL on the tenant's tables into Parquet, CSV or Arrow files, or a table",
    Params,
    run,
    ("queries:run",),
    lambda params: [] if params.into is None else [WRITE],
)
