"""Routes of prices, and what the administrator of the installation sets for tenants."""

import asyncio
from decimal import Decimal
from typing import Annotated

import msgspec
from litestar import Router, delete, get, post, put
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, JSONBody, PathParameter

from carcloud.model.ids import Tenant
from carcloud.model.ids import tenant as tenant_id
from carcloud.model.limits import LIMIT
from carcloud.model.time import iso
from carcloud.services.metering.api import (
    Price,
    PriceBook,
    Statement,
    Tier,
    parse_period,
    period_text,
)
from carcloud.web.api.usage import Period, QuotaView, quota_view, taken_of, used_of
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

_Number = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,15}(\.[0-9]{1,12})?$")]
_Month = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
LimitPath = Annotated[
    str, PathParameter(pattern=f"^({'|'.join(LIMIT)})$", description="A limit of the table")
]


class TierBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price of one unit, up to so many units beyond the free ones; the last has no `up_to`."""

    price: _Number
    up_to: _Number | None = None


class PriceBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Units that are free each month, then tiers: each price is for the units of its tier."""

    tiers: Annotated[list[TierBody], msgspec.Meta(min_length=1, max_length=20)]
    free: _Number = "0"


class NewBook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prices by meter, from a month on; `tenant` null = for all that have none of their own."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
    first_month: _Month
    prices: dict[str, PriceBody]
    last_month: _Month | None = None
    tenant: Annotated[str, msgspec.Meta(min_length=1, max_length=40)] | None = None
    decimals: Annotated[int, msgspec.Meta(ge=0, le=6)] = 2


class BookEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last month of a price book."""

    last_month: _Month


class BookView(msgspec.Struct, frozen=True):
    """A price book; `last_month` null = until further notice."""

    id: str
    name: str
    currency: str
    decimals: int
    tenant: str | None
    first_month: str
    last_month: str | None
    prices: dict[str, Price]
    created: str


class QuotaValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tenant's own value of a limit; null = the default again."""

    value: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None


@get("/prices", summary="Prices", opt=allows("costs:read"), responses=errors(401, 403, 503))
async def read_prices(caller: TheCaller, metering: TheMetering) -> Page[BookView]:
    """Price books that concern the tenant, newest months first."""
    found = await asyncio.to_thread(metering.books, caller.tenant)
    return Page([_book(one) for one in found], None, len(found))


@get(
    "/price-books",
    summary="Price books of the installation",
    opt=allows("prices:write"),
    responses=errors(401, 403, 503),
)
async def list_books(metering: TheMetering) -> Page[BookView]:
    """All price books."""
    found = await asyncio.to_thread(metering.books)
    return Page([_book(one) for one in found], None, len(found))


_EXAMPLE = Example(
    summary="Ten thousand messages free, then cheaper above a million",
    value={
        "name": "Standard 2026",
        "currency": "CNY",
        "first_month": "2026-01",
        "prices": {
            "messages": {
                "free": "10000",
                "tiers": [{"price": "0.0002", "up_to": "1000000"}, {"price": "0.0001"}],
            }
        },
    },
)


@post(
    "/price-books",
    summary="Add a price book",
    opt=allows("prices:write"),
    responses=errors(400, 401, 403, 409, 413, 503, 507),
)
async def create_book(
    data: Annotated[NewBook, Body(examples=[_EXAMPLE])], caller: TheCaller, metering: TheMetering
) -> BookView:
    """Add a price book."""
    last = None if data.last_month is None else parse_period(data.last_month, "last_month")
    book = PriceBook(
        id="",
        name=data.name,
        currency=data.currency,
        prices={meter: _price(price) for meter, price in data.prices.items()},
        first_period=parse_period(data.first_month, "first_month"),
        last_period=last,
        tenant=None if data.tenant is None else tenant_id(data.tenant),
        decimals=data.decimals,
    )
    return _book(await asyncio.to_thread(lambda: metering.create_book(book, actor=caller.user)))


@put(
    "/price-books/{book:str}/end",
    summary="End a price book with a month",
    description="Books are not edited: end one, and add the next.",
    opt=allows("prices:write"),
    responses=errors(400, 401, 403, 404, 413, 503, 507),
)
async def end_book(
    book: FromPath[str], data: JSONBody[BookEnd], caller: TheCaller, metering: TheMetering
) -> BookView:
    """Set the last month of a price book."""
    last = parse_period(data.last_month, "last_month")
    return _book(await asyncio.to_thread(lambda: metering.end_book(book, last, actor=caller.user)))


@delete(
    "/price-books/{book:str}",
    status_code=204,
    summary="Take back a price book",
    description="Only while no closed statement uses it.",
    opt=allows("prices:write"),
    responses=errors(400, 401, 403, 404, 409, 503, 507),
)
async def remove_book(book: FromPath[str], caller: TheCaller, metering: TheMetering) -> None:
    """Remove a price book."""
    await asyncio.to_thread(lambda: metering.remove_book(book, actor=caller.user))


@get(
    "/tenants/{tenant:str}/quotas",
    summary="Quotas of a tenant",
    opt=allows("quotas:write"),
    responses=errors(400, 401, 403, 404, 503),
)
async def read_tenant_quotas(
    tenant: FromPath[str],
    tenancy: TheTenancy,
    metering: TheMetering,
    vehicles: TheVehicles,
    telemetry: TheTelemetry,
    storage: TheStorage,
    jobs: TheJobs,
) -> Page[QuotaView]:
    """The limits of any tenant and what is used of them."""
    whose = Tenant((await asyncio.to_thread(tenancy.tenants.get, tenant_id(tenant))).id)
    found = await asyncio.to_thread(tenancy.limits.quotas, whose)
    used = await used_of(whose, metering, vehicles, telemetry)
    used |= await taken_of(whose, storage, jobs)
    return Page([quota_view(quota, used) for quota in found], None, len(found))


@put(
    "/tenants/{tenant:str}/quotas/{limit:str}",
    summary="Give a tenant a quota of its own",
    description="It holds within a few seconds in every process.",
    opt=allows("quotas:write"),
    responses=errors(400, 401, 403, 404, 413, 503, 507),
)
async def set_quota(
    tenant: FromPath[str],
    limit: LimitPath,
    data: JSONBody[QuotaValue],
    caller: TheCaller,
    tenancy: TheTenancy,
) -> QuotaView:
    """Set or reset a limit of a tenant."""
    whose = tenant_id(tenant)
    made = await asyncio.to_thread(
        lambda: tenancy.limits.set_limit(whose, limit, data.value, actor=caller.user)
    )
    return quota_view(made, {})


@post(
    "/tenants/{tenant:str}/statements/{period:str}/close",
    status_code=200,
    summary="Close a month of a tenant",
    description="For good. Months close by themselves too, see `metering.close_days`.",
    opt=allows("statements:close"),
    responses=errors(400, 401, 403, 404, 409, 503, 507),
)
async def close_statement(
    tenant: FromPath[str],
    period: Period,
    caller: TheCaller,
    metering: TheMetering,
    tenancy: TheTenancy,
) -> Statement:
    """Close a month that has ended."""
    whose = Tenant((await asyncio.to_thread(tenancy.tenants.get, tenant_id(tenant))).id)
    month = parse_period(period)
    return await asyncio.to_thread(lambda: metering.close(whose, month, actor=caller.user))


def _price(body: PriceBody) -> Price:
    tiers = [
        Tier(Decimal(tier.price), None if tier.up_to is None else Decimal(tier.up_to))
        for tier in body.tiers
    ]
    return Price(tiers, Decimal(body.free))


def _book(book: PriceBook) -> BookView:
    return BookView(
        id=book.id,
        name=book.name,
        currency=book.currency,
        decimals=book.decimals,
        tenant=book.tenant,
        first_month=period_text(book.first_period),
        last_month=None if book.last_period is None else period_text(book.last_period),
        prices=dict(book.prices),
        created=iso(book.created),
    )


router = Router(
    "/",
    tags=["metering"],
    route_handlers=[
        read_prices,
        list_books,
        create_book,
        end_book,
        remove_book,
        read_tenant_quotas,
        set_quota,
        close_statement,
    ],
)
