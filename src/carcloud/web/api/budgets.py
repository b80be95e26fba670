"""Routes of budgets."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Annotated

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.datastructures import ResponseHeader
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, JSONBody
from msgspec import UNSET, UnsetType

from carcloud.model.time import iso
from carcloud.services.metering.api import Budget, BudgetState
from carcloud.web.api.vehicles import IfMatch
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheMetering
from carcloud.web.paging import Page
from carcloud.web.tags import etag, wanted_revision

_TAGGED = [ResponseHeader(name="ETag", documentation_only=True, description="The revision")]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
_Percents = Annotated[list[int], msgspec.Meta(min_length=1, max_length=10)]
_Amount = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,15}(\.[0-9]{1,6})?$")]
_Part = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]


class NewBudget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a month may cost, of one project or meter if given; `thresholds` in percent."""

    name: _Name
    amount: _Amount
    thresholds: _Percents = msgspec.field(default_factory=lambda: [50, 80, 100])
    project: _Part | None = None
    meter: _Part | None = None
    on_forecast: bool = True


class BudgetPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A merge patch (RFC 7396): absent stays."""

    name: _Name | UnsetType = UNSET
    amount: _Amount | UnsetType = UNSET
    thresholds: _Percents | UnsetType = UNSET
    project: _Part | UnsetType | None = UNSET
    meter: _Part | UnsetType | None = UNSET
    on_forecast: bool | UnsetType = UNSET


class AlertView(msgspec.Struct, frozen=True):
    """A threshold that was reached this month: by what is spent, or by the forecast."""

    kind: str
    threshold: int
    amount: Decimal
    time: str


class BudgetView(msgspec.Struct, frozen=True):
    """A budget and what this month has of it; `currency` empty = there is no price book."""

    id: str
    name: str
    amount: Decimal
    thresholds: list[int]
    project: str | None
    meter: str | None
    on_forecast: bool
    spent: Decimal
    forecast: Decimal | None
    currency: str
    alerts: list[AlertView]


@get("/budgets", summary="Budgets", opt=allows("costs:read"), responses=errors(401, 403, 503))
async def list_budgets(caller: TheCaller, metering: TheMetering) -> Page[BudgetView]:
    """All budgets of the tenant."""
    found = await asyncio.to_thread(metering.budget_states, caller.tenant)
    return Page([_view(one) for one in found], None, len(found))


_NEW = Example(summary="A month's budget", value={"name": "Fleet", "amount": "5000"})


@post(
    "/budgets",
    summary="Add a budget",
    opt=allows("budgets:write"),
    response_headers=_TAGGED,
    responses=errors(400, 401, 403, 413, 503, 507),
)
async def create_budget(
    data: Annotated[NewBudget, Body(examples=[_NEW])], caller: TheCaller, metering: TheMetering
) -> Response[BudgetView]:
    """Add a budget."""
    new = Budget(
        "", data.name, Decimal(data.amount), tuple(data.thresholds), data.project, data.meter,
        data.on_forecast,
    )  # fmt: skip
    made = await asyncio.to_thread(
        lambda: metering.create_budget(caller.tenant, new, actor=caller.user)
    )
    return Response(_bare(made), status_code=201, headers=etag(made.revision))


@get(
    "/budgets/{budget:str}",
    summary="One budget",
    opt=allows("costs:read"),
    response_headers=_TAGGED,
    responses=errors(400, 401, 403, 404, 503),
)
async def read_budget(
    budget: FromPath[str], caller: TheCaller, metering: TheMetering
) -> Response[BudgetView]:
    """One budget."""
    found = await asyncio.to_thread(metering.budget, caller.tenant, budget)
    states = await asyncio.to_thread(metering.budget_states, caller.tenant)
    state = next((one for one in states if one.budget.id == found.id), None)
    view = _bare(found) if state is None else _view(state)
    return Response(view, headers=etag(found.revision))


@patch(
    "/budgets/{budget:str}",
    summary="Change a budget",
    description="A merge patch (RFC 7396). `If-Match` must name the revision that you saw.",
    opt=allows("budgets:write"),
    response_headers=_TAGGED,
    responses=errors(400, 401, 403, 404, 412, 413, 428, 503, 507),
)
async def change_budget(
    budget: FromPath[str],
    data: JSONBody[BudgetPatch],
    caller: TheCaller,
    metering: TheMetering,
    if_match: IfMatch = None,
) -> Response[BudgetView]:
    """Change a budget."""
    revision = wanted_revision(if_match, needed=True)
    old = await asyncio.to_thread(metering.budget, caller.tenant, budget)
    given = {name: getattr(data, name) for name in data.__struct_fields__}
    values = {name: value for name, value in given.items() if value is not UNSET}
    if "amount" in values:
        values["amount"] = Decimal(values["amount"])
    if "thresholds" in values:
        values["thresholds"] = tuple(values["thresholds"])
    new = replace(old, **values)
    made = await asyncio.to_thread(
        lambda: metering.change_budget(
            caller.tenant, new, actor=caller.user, if_revision=revision or old.revision
        )
    )
    return Response(_bare(made), headers=etag(made.revision))


@delete(
    "/budgets/{budget:str}",
    status_code=204,
    summary="Remove a budget",
    opt=allows("budgets:write"),
    responses=errors(400, 401, 403, 404, 503, 507),
)
async def remove_budget(budget: FromPath[str], caller: TheCaller, metering: TheMetering) -> None:
    """Remove a budget and its alerts."""
    await asyncio.to_thread(
        lambda: metering.remove_budget(caller.tenant, budget, actor=caller.user)
    )


def _bare(budget: Budget) -> BudgetView:
    return _view(BudgetState(budget, Decimal(0), None, ""))


def _view(state: BudgetState) -> BudgetView:
    one = state.budget
    alerts = [AlertView(a.kind, a.threshold, a.amount, iso(a.time)) for a in state.alerts]
    return BudgetView(
        one.id, one.name, one.amount, list(one.thresholds), one.project, one.meter,
        one.on_forecast, state.spent, state.forecast, state.currency, alerts,
    )  # fmt: skip


router = Router(
    "/",
    tags=["metering"],
    route_handlers=[list_budgets, create_budget, read_budget, change_budget, remove_budget],
)
