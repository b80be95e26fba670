"""Routes for tables and SQL."""

import asyncio
from functools import partial
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, delete, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, PathParameter

from carcloud.services.telemetry.api import Asker, QueryResult, TableInfo
from carcloud.services.vehicles.api import Filter
from carcloud.web import exports
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheTelemetry, TheVehicles
from carcloud.web.problems import Refused

TablePath = Annotated[
    str, PathParameter(pattern="^[a-z][a-z0-9_]{0,62}$", description="Name of the table")
]
MOST_ROWS = 1_000_000  # of a file; JSON answers keep to the setting `query.rows`


class ColumnView(msgspec.Struct, frozen=True):
    """A column and its Arrow type."""

    name: str
    type: str


class TableView(msgspec.Struct, frozen=True):
    """One of the tenant's tables; sizes are null for callers held to some vehicles.

    `built_in`: every tenant has it, and it cannot be dropped.
    """

    name: str
    rows: int | None
    bytes: int | None
    files: int | None
    built_in: bool
    columns: list[ColumnView]


class Tables(msgspec.Struct, frozen=True):
    """The tenant's tables."""

    items: list[TableView]


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One read-only SELECT; `rows` = most rows of the answer, `id` = to cancel it by."""

    sql: Annotated[str, msgspec.Meta(min_length=1, max_length=100_000)]
    rows: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)] | None = None
    id: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{1,64}$")] | None = None


class Answer(msgspec.Struct, frozen=True):
    """Rows of a query; `truncated` when there were more."""

    columns: list[ColumnView]
    rows: list[list[Any]]
    truncated: bool
    seconds: float


@get(
    "/tables",
    summary="Tables",
    description="The tables that SQL can read, with their columns.",
    responses=errors(401, 503),
    opt=allows("tables:read", narrowed=True),
)
async def read_tables(caller: TheCaller, telemetry: TheTelemetry) -> Tables:
    """The tenant's tables."""
    whole = caller.identity.scopes("tables:read") is None
    return Tables([_table(info, whole) for info in await telemetry.tables(caller.tenant)])


def _table(info: TableInfo, whole: bool) -> TableView:
    columns = [ColumnView(name, kind) for name, kind in info.columns]
    if not whole:
        return TableView(info.name, None, None, None, info.known, columns)
    return TableView(info.name, info.rows, info.bytes, info.files, info.known, columns)


@delete(
    "/tables/{table:str}",
    summary="Drop a table",
    description="With all its rows, for good. Only tables that jobs made; built-in ones stay.",
    responses=errors(400, 401, 403, 404, 409, 503, 507),
    opt=allows("tables:write"),
)
async def drop_table(table: TablePath, caller: TheCaller, telemetry: TheTelemetry) -> None:
    """Take away a table that a job made."""
    await telemetry.drop_table(caller.tenant, table, actor=caller.user)


_EXAMPLE = Example(
    summary="Fastest vehicles of the last hour",
    value={
        "sql": 'SELECT vehicle, max("Vehicle.Speed") AS km_h FROM signals '
        "WHERE time > now() - INTERVAL 1 HOUR GROUP BY vehicle ORDER BY km_h DESC",
        "rows": 10,
    },
)
_FILE = "the rows as a file, when the request accepts "


@post(
    "/query",
    status_code=200,
    summary="SQL",
    description=(
        "Runs one read-only SELECT; it sees the rows of the vehicles on which the caller may "
        "query. The answer is JSON, or with `Accept: text/csv`, "
        "`application/vnd.apache.parquet` or `application/vnd.apache.arrow.stream` a file; its "
        "header `X-Truncated` says whether there were more rows. The query ends when the client "
        "closes the connection, or by `DELETE /v1/queries/{id}` with the `id` that it chose."
    ),
    responses={
        200: ResponseSpec(Answer, description="Rows"),
        **errors(400, 401, 403, 409, 413, 429, 503),
    },
    opt=allows("queries:run", narrowed=True),
)
async def run_query(
    request: Request[Any, Any, Any],
    caller: TheCaller,
    telemetry: TheTelemetry,
    vehicles: TheVehicles,
    data: Annotated[Question, Body(examples=[_EXAMPLE])],
) -> Response[Any]:
    """One SQL query."""
    asker = Asker(caller.user, data.id)
    within = caller.identity.scopes("queries:run")
    only = None
    if within is not None:
        only = partial(vehicles.matching_ids, caller.tenant, Filter(within=within))
    query = telemetry.query(caller.tenant, data.sql, data.rows, asker, only=only)
    work = asyncio.ensure_future(query)
    result = await _unless_gone(request, work)
    kind = exports.wanted_format(request.headers.get("accept", ""))
    if kind is None:
        return Response(await asyncio.to_thread(_answer, result))
    content = await asyncio.to_thread(exports.FORMATS[kind], result.table)
    headers = {"X-Truncated": str(result.truncated).lower()}
    return Response(content, media_type=kind, headers=headers)


@delete(
    "/queries/{query_id:str}",
    summary="Cancel a query",
    description=(
        "Ends a query of one's own that runs, by the `id` it was given. It stops at once, and "
        "`POST /v1/query` answers 409. Asked of the process that runs the query."
    ),
    responses=errors(400, 401, 403, 404),
    opt=allows("queries:run", narrowed=True),
)
async def cancel_query(query_id: FromPath[str], caller: TheCaller, telemetry: TheTelemetry) -> None:
    """Cancel a query of one's own."""
    telemetry.cancel_query(caller.tenant, Asker(caller.user, query_id))


async def _unless_gone(
    request: Request[Any, Any, Any], work: asyncio.Future[QueryResult]
) -> QueryResult:
    """The result, unless the client closes the connection first."""
    leaving = asyncio.ensure_future(_left(request))
    try:
        first: list[asyncio.Future[Any]] = [work, leaving]
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise Refused(400, "the client left", code="client-left")
        return work.result()
    finally:
        work.cancel()
        leaving.cancel()


async def _left(request: Request[Any, Any, Any]) -> None:
    """Returns when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _answer(result: QueryResult) -> Answer:
    columns = [ColumnView(field.name, str(field.type)) for field in result.table.schema]
    seconds = round(result.seconds, 4)
    return Answer(columns, exports.rows(result.table), result.truncated, seconds)


router = Router(
    "/", tags=["query"], route_handlers=[read_tables, drop_table, run_query, cancel_query]
)
