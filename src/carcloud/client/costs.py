"""Methods of usage and quotas, of costs and budgets."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from carcloud.client.cost_types import (
    Budget,
    Costs,
    Price,
    PriceBook,
    Quota,
    Statement,
    StatementHead,
    Stretch,
    Usage,
)
from carcloud.client.exchange import Call, Moment, content, get, nothing, send, whole
from carcloud.client.methods import AsyncGroup, Group, call

_QUOTAS = "/v1/tenants/{tenant}/quotas"
_STATEMENT = "/v1/statements/{period}"
_BOOK = "/v1/price-books/{book}"
_BUDGET = "/v1/budgets/{budget}"


class QuotaValue(msgspec.Struct, frozen=True):
    """The body of a quota."""

    value: int | None


class NewBook(msgspec.Struct, frozen=True):
    """The body of a new price book."""

    name: str
    currency: str
    first_month: str
    prices: Mapping[str, Price]
    last_month: str | None
    tenant: str | None
    decimals: int


class BookEnd(msgspec.Struct, frozen=True):
    """The body of the end of a price book."""

    last_month: str


class NewBudget(msgspec.Struct, frozen=True):
    """The body of a new budget."""

    name: str
    amount: Decimal
    thresholds: Sequence[int]
    project: str | None
    meter: str | None
    on_forecast: bool


class BudgetChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a changed budget."""

    name: str | UnsetType = UNSET
    amount: Decimal | UnsetType = UNSET
    thresholds: Sequence[int] | UnsetType = UNSET
    project: str | UnsetType | None = UNSET
    meter: str | UnsetType | None = UNSET
    on_forecast: bool | UnsetType = UNSET


class _Usage:
    @call
    def get(
        self, *, start: Moment | None = None, end: Moment | None = None, by: Stretch = "hour"
    ) -> Call[Usage]:
        """What was used by hour, day or month; of the last week unless told otherwise."""
        span: dict[str, Any] = {"from": start, "to": end}
        return get("/v1/usage", Usage, by=by, **span)

    @call
    def quotas(self, *, tenant: str | None = None) -> Call[tuple[Quota, ...]]:
        """The limits of the tenant that one works in, or, for administrators, of another."""
        if tenant is None:
            return whole("/v1/quotas", Quota)
        return whole(_QUOTAS, Quota, place={"tenant": tenant})

    @call
    def set_quota(self, tenant: str, quota: str, value: int | None) -> Call[Quota]:
        """Give a tenant a limit of its own; None = the default again. For administrators."""
        place = {"tenant": tenant, "limit": quota}
        return send("PUT", f"{_QUOTAS}/{{limit}}", Quota, place=place, body=QuotaValue(value))


class _Costs:
    @call
    def get(self, *, period: str | None = None) -> Call[Costs]:
        """What a month, `YYYY-MM`, has cost so far and is expected to; None = this month."""
        return get("/v1/costs", Costs, period=period)

    @call
    def statements(self) -> Call[tuple[StatementHead, ...]]:
        """Closed statements."""
        return whole("/v1/statements", StatementHead)

    @call
    def statement(self, period: str) -> Call[Statement]:
        """The statement of a month, `YYYY-MM`, as it is closed or stands now."""
        return get(_STATEMENT, Statement, place={"period": period})

    @call
    def statement_csv(self, period: str) -> Call[bytes]:
        """The statement of a month as CSV."""
        return content(f"{_STATEMENT}/csv", place={"period": period})

    @call
    def statement_pdf(self, period: str) -> Call[bytes]:
        """The statement of a month as PDF."""
        return content(f"{_STATEMENT}/pdf", place={"period": period})

    @call
    def close(self, tenant: str, period: str) -> Call[Statement]:
        """Close a month of a tenant that has ended. For administrators."""
        place = {"tenant": tenant, "period": period}
        route = "/v1/tenants/{tenant}/statements/{period}/close"
        return send("POST", route, Statement, place=place)

    @call
    def prices(self) -> Call[tuple[PriceBook, ...]]:
        """The price books that hold for the tenant."""
        return whole("/v1/prices", PriceBook)

    @call
    def books(self) -> Call[tuple[PriceBook, ...]]:
        """All price books of the installation. For administrators."""
        return whole("/v1/price-books", PriceBook)

    @call
    def add_book(
        self,
        name: str,
        currency: str,
        first_month: str,
        prices: Mapping[str, Price],
        *,
        last_month: str | None = None,
        tenant: str | None = None,
        decimals: int = 2,
    ) -> Call[PriceBook]:
        """Prices by meter, from a month on. For administrators."""
        body = NewBook(name, currency, first_month, prices, last_month, tenant, decimals)
        return send("POST", "/v1/price-books", PriceBook, body=body)

    @call
    def end_book(self, book: str, last_month: str) -> Call[PriceBook]:
        """End a price book with a month. For administrators."""
        return send(
            "PUT", f"{_BOOK}/end", PriceBook, place={"book": book}, body=BookEnd(last_month)
        )

    @call
    def remove_book(self, book: str) -> Call[None]:
        """Take back a price book that no statement was made with. For administrators."""
        return nothing("DELETE", _BOOK, place={"book": book})


class _Budgets:
    @call
    def list(self) -> Call[tuple[Budget, ...]]:
        """The tenant's budgets and what this month has of them."""
        return whole("/v1/budgets", Budget)

    @call
    def get(self, budget: str) -> Call[Budget]:
        """One budget, with its ETag."""
        return get(_BUDGET, Budget, place={"budget": budget})

    @call
    def create(
        self,
        name: str,
        amount: Decimal,
        *,
        thresholds: Sequence[int] = (50, 80, 100),
        project: str | None = None,
        meter: str | None = None,
        on_forecast: bool = True,
    ) -> Call[Budget]:
        """What a month may cost, of one project or meter if given; `thresholds` in percent."""
        body = NewBudget(name, amount, thresholds, project, meter, on_forecast)
        return send("POST", "/v1/budgets", Budget, body=body)

    @call
    def change(
        self,
        budget: str,
        etag: str,
        *,
        name: str | UnsetType = UNSET,
        amount: Decimal | UnsetType = UNSET,
        thresholds: Sequence[int] | UnsetType = UNSET,
        project: str | UnsetType | None = UNSET,
        meter: str | UnsetType | None = UNSET,
        on_forecast: bool | UnsetType = UNSET,
    ) -> Call[Budget]:
        """Change what is given. Raises `Changed` if it has changed since `etag`."""
        body = BudgetChange(name, amount, thresholds, project, meter, on_forecast)
        return send("PATCH", _BUDGET, Budget, place={"budget": budget}, body=body, etag=etag)

    @call
    def remove(self, budget: str) -> Call[None]:
        """Remove a budget and its alerts."""
        return nothing("DELETE", _BUDGET, place={"budget": budget})


class UsageGroup(Group, _Usage):
    """`client.usage`"""


class AsyncUsageGroup(AsyncGroup, _Usage):
    """`client.usage`"""


class CostGroup(Group, _Costs):
    """`client.costs`"""


class AsyncCostGroup(AsyncGroup, _Costs):
    """`client.costs`"""


class BudgetGroup(Group, _Budgets):
    """`client.budgets`"""


class AsyncBudgetGroup(AsyncGroup, _Budgets):
    """`client.budgets`"""
