"""Routes of usage, quotas, costs and statements of the tenant."""

import asyncio
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from litestar import Response, Router, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, PathParameter, QueryParameter

from carcloud.model.ids import Tenant
from carcloud.model.limits import LIMIT, UNLIMITED, Bound
from carcloud.model.meters import METERS, Adds
from carcloud.model.time import DAY, iso, now_us
from carcloud.services.compute.api import Jobs, State
from carcloud.services.metering.api import (
    Changed,
    Costs,
    Exists,
    Invalid,
    Line,
    Metering,
    NotYet,
    Statement,
    Unknown,
    as_csv,
    as_pdf,
    parse_period,
)
from carcloud.services.storage.api import Storage
from carcloud.services.telemetry.api import Telemetry
from carcloud.services.tenancy.api import Quota
from carcloud.services.vehicles.api import Filter, Lifecycle, Vehicles
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.given import (
    TheCaller,
    TheJobs,
    TheMetering,
    TheStorage,
    TheTelemetry,
    TheTenancy,
    TheVehicles,
)
from carcloud.web.paging import Page
from carcloud.web.problems import Refused, Translate
from carcloud.web.times import optional_iso, span

TRANSLATIONS: dict[type[Exception], Translate] = {
    Invalid: lambda e: Refused(400, e.detail, field=e.field),
    Unknown: lambda e: Refused(404, str(e)),
    Exists: lambda e: Refused(409, str(e)),
    NotYet: lambda e: Refused(409, str(e)),
    Changed: lambda e: Refused(412, str(e), field="If-Match"),
}

Period = Annotated[str, PathParameter(pattern=r"^\d{4}-\d\d$", description="A month, YYYY-MM")]
Month = Annotated[str | None, QueryParameter(description="YYYY-MM; this month by default")]
From = Annotated[str | None, QueryParameter(name="from", description="Start, RFC 3339; inclusive")]
To = Annotated[str | None, QueryParameter(name="to", description="End, RFC 3339; exclusive")]


class MeterView(msgspec.Struct, frozen=True):
    """What is counted: `quantity / per_unit` is in `unit`."""

    name: str
    unit: str
    counted_in: str
    per_unit: int
    adds: Adds
    help: str


class UsageView(msgspec.Struct, frozen=True):
    """What was used from `start` on, for an hour, a day or a month."""

    start: str
    project: str
    meter: str
    quantity: int


class UsageList(msgspec.Struct, frozen=True):
    """Usage in order of time, and the meters that it is counted by."""

    items: list[UsageView]
    meters: list[MeterView]


class QuotaView(msgspec.Struct, frozen=True):
    """A limit of the tenant. `value` null = no limit; `used` null = it cannot be said."""

    name: str
    unit: str
    bound: Bound
    help: str
    value: int | None
    used: int | None
    own: bool
    changed: str | None


class DayView(msgspec.Struct, frozen=True):
    """By how much a day made the month dearer."""

    day: str
    meter: str
    amount: Decimal


class ForecastView(msgspec.Struct, frozen=True):
    """What the month is expected to cost, and how that is worked out."""

    total: Decimal
    by_meter: dict[str, Decimal]
    method: str
    hours_seen: int


class CostsView(msgspec.Struct, frozen=True):
    """A month: the statement as it stands, by day, and where it leads."""

    statement: Statement
    by_project: dict[str, Decimal]
    by_day: list[DayView]
    forecast: ForecastView | None


class StatementHead(msgspec.Struct, frozen=True):
    """A closed statement in the list."""

    period: str
    currency: str
    total: Decimal
    closed: str | None
    digest: str


@get(
    "/usage",
    summary="Usage",
    description="By hour, day or month (UTC), of the last week by default.",
    opt=allows("usage:read"),
    responses=errors(400, 401, 403, 503),
)
async def read_usage(
    caller: TheCaller,
    metering: TheMetering,
    from_: From = None,
    to: To = None,
    by: FromQuery[Literal["hour", "day", "month"]] = "day",
) -> UsageList:
    """What the tenant used."""
    asked = span(from_, to, 7 * DAY)
    found = await asyncio.to_thread(
        lambda: metering.usage(caller.tenant, asked.start_us, asked.end_us, by=by)
    )
    items = [UsageView(iso(u.start_us), u.project, u.meter, u.quantity) for u in found]
    return UsageList(items, _METERS)


_METERS = [MeterView(m.name, m.unit, m.counted_in, m.per_unit, m.adds, m.help) for m in METERS]


@get("/quotas", summary="Quotas", opt=allows("quotas:read"), responses=errors(401, 403, 503))
async def read_quotas(
    caller: TheCaller,
    tenancy: TheTenancy,
    metering: TheMetering,
    vehicles: TheVehicles,
    telemetry: TheTelemetry,
    storage: TheStorage,
    jobs: TheJobs,
) -> Page[QuotaView]:
    """The limits of the tenant and what is used of them."""
    found = await asyncio.to_thread(tenancy.limits.quotas, caller.tenant)
    used = await used_of(caller.tenant, metering, vehicles, telemetry)
    used |= await taken_of(caller.tenant, storage, jobs)
    tables = await telemetry.tables(caller.tenant)
    used["tables"] = sum(not table.known for table in tables)
    return Page([quota_view(quota, used) for quota in found], None, len(found))


def quota_view(quota: Quota, used: dict[str, int]) -> QuotaView:
    """A limit as the API tells it."""
    row = LIMIT[quota.name]
    value = None if quota.value >= UNLIMITED else quota.value
    changed = optional_iso(quota.changed)
    return QuotaView(
        row.name, row.unit, row.bound, row.help, value, used.get(row.name), quota.own, changed
    )


async def used_of(
    tenant: Tenant, metering: Metering, vehicles: Vehicles, telemetry: Telemetry
) -> dict[str, int]:
    """What a tenant uses now of what can be counted."""
    presence = await telemetry.presence(tenant)
    today = now_us() // DAY * DAY

    def ask() -> dict[str, int]:
        retired = Filter(lifecycle=Lifecycle.RETIRED)
        spent = metering.total(tenant, "query_seconds", today, today + DAY)
        return {
            "vehicles": vehicles.count(tenant) - vehicles.count(tenant, retired),
            "connections": len(presence.online(tenant)),
            "stored_bytes": sum(metering.sizes().get(tenant, {}).values()),
            "query_seconds": spent // 1000,
        }

    return await asyncio.to_thread(ask)


async def taken_of(tenant: Tenant, storage: Storage, jobs: Jobs) -> dict[str, int]:
    """How many buckets a tenant has, and how many jobs run and wait."""
    found = await jobs.open_jobs(tenant)
    running = found.get(State.RUNNING, 0)
    return {
        "buckets": len(await asyncio.to_thread(storage.buckets.all, tenant)),
        "jobs": running,
        "jobs_queued": running + found.get(State.QUEUED, 0),
    }


@get(
    "/costs",
    summary="Costs of a month",
    description="With a breakdown and, of this month, a forecast. 404 without a price book.",
    opt=allows("costs:read"),
    responses=errors(400, 401, 403, 404, 503),
)
async def read_costs(caller: TheCaller, metering: TheMetering, period: Month = None) -> CostsView:
    """What the tenant's month costs."""
    month = None if period is None else parse_period(period)
    return _costs(await asyncio.to_thread(metering.costs, caller.tenant, month))


def _costs(costs: Costs) -> CostsView:
    ahead, by_project = costs.forecast, _by_project(costs.statement.lines)
    forecast = None
    if ahead is not None:
        by_meter = dict(ahead.by_meter)
        forecast = ForecastView(ahead.total, by_meter, ahead.method, ahead.hours_seen)
    days = [DayView(one.day, one.meter, one.amount) for one in costs.by_day]
    return CostsView(costs.statement, by_project, days, forecast)


def _by_project(lines: list[Line]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for line in lines:
        for project, amount in line.by_project.items():
            sums[project] = sums.get(project, Decimal(0)) + amount
    return sums


@get(
    "/statements",
    summary="Closed statements",
    opt=allows("costs:read"),
    responses=errors(401, 403, 503),
)
async def list_statements(caller: TheCaller, metering: TheMetering) -> Page[StatementHead]:
    """Statements of the tenant, newest first."""
    found = await asyncio.to_thread(metering.statements, caller.tenant)
    heads = [
        StatementHead(s.period, s.currency, s.total, optional_iso(s.closed_us), s.digest)
        for s in found
    ]
    return Page(heads, None, len(heads))


@get(
    "/statements/{period:str}",
    summary="The statement of a month",
    description="Of a month that is not closed as it stands.",
    opt=allows("costs:read"),
    responses=errors(400, 401, 403, 404, 503),
)
async def read_statement(period: Period, caller: TheCaller, metering: TheMetering) -> Statement:
    """One statement."""
    return await asyncio.to_thread(metering.statement, caller.tenant, parse_period(period))


def _file(kind: str) -> dict[int, ResponseSpec]:
    whole = ResponseSpec(bytes, description="The file", media_type=kind, generate_examples=False)
    return {200: whole, **errors(400, 401, 403, 404, 503)}


@get(
    "/statements/{period:str}/csv",
    summary="The statement as CSV",
    opt=allows("costs:read"),
    responses=_file("text/csv"),
)
async def read_statement_csv(
    period: Period, caller: TheCaller, metering: TheMetering
) -> Response[bytes]:
    """One statement for accounting."""
    found = await asyncio.to_thread(metering.statement, caller.tenant, parse_period(period))
    return _download(as_csv(found).encode(), "text/csv", found, "csv")


@get(
    "/statements/{period:str}/pdf",
    summary="The statement as PDF",
    opt=allows("costs:read"),
    responses=_file("application/pdf"),
)
async def read_statement_pdf(
    period: Period, caller: TheCaller, metering: TheMetering, tenancy: TheTenancy
) -> Response[bytes]:
    """One statement for people."""
    month = parse_period(period)

    def make() -> tuple[bytes, Statement]:
        found = metering.statement(caller.tenant, month)
        return as_pdf(found, tenancy.tenants.get(caller.tenant).name), found

    content, found = await asyncio.to_thread(make)
    return _download(content, "application/pdf", found, "pdf")


def _download(content: bytes, kind: str, what: Statement, ending: str) -> Response[bytes]:
    name = f"statement-{what.tenant}-{what.period}.{ending}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=kind, headers=headers)


router = Router(
    "/",
    tags=["metering"],
    route_handlers=[
        read_usage,
        read_quotas,
        read_costs,
        list_statements,
        read_statement,
        read_statement_csv,
        read_statement_pdf,
    ],
)
