"""Prices, statements, adjustments, forecasts and budgets."""

from dataclasses import replace
from decimal import Decimal as D
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carcloud.model.usage import Usage
from carcloud.services.metering import periods, prices
from carcloud.services.metering.api import (
    Budget,
    Changed,
    Exists,
    Invalid,
    NotYet,
    Price,
    PriceBook,
    Tier,
    Unknown,
)
from carcloud.services.tenancy import audit
from carcloud.services.tenancy.api import AuditFilter
from tests.services.metering.conftest import HOUR, A, B, moment

MESSAGES = Price([Tier(D("0.01"), up_to=D(1000)), Tier(D("0.004"))], free=D(100))
HOURS = Price([Tier(D("0.3"))])
BOOK = PriceBook("", "Standard", "CNY", {"messages": MESSAGES, "vehicle_hours": HOURS}, 202601)


def use(id, quantity, *, meter="messages", at=moment(2026, 3, 10, 9), project="main", tenant=A):
    return Usage(id, tenant, meter, quantity, at, project=project)


# prices


def test_free_units_then_graduated_tiers():
    told = [prices.cost("messages", MESSAGES, n) for n in (0, 100, 101, 1100, 1101, 2100)]
    assert told == [0, 0, Fraction(1, 100), 10, Fraction(10004, 1000), 14]
    assert prices.cost("messages", None, 10**9) == 0
    assert prices.cost("vehicle_hours", HOURS, 1) == Fraction(3, 36_000)  # one second, exactly


@given(
    free=st.integers(0, 50),
    widths=st.lists(st.integers(1, 40), max_size=4),
    cents=st.lists(st.integers(0, 500), min_size=5, max_size=5),
    quantity=st.integers(0, 300),
)
def test_tiers_cost_what_pricing_every_unit_alone_costs(free, widths, cents, quantity):
    bounds = [sum(widths[: n + 1]) for n in range(len(widths))]
    tiers = [
        Tier(D(cent) / 100, D(bound) if bound else None)
        for cent, bound in zip(cents, [*bounds, None], strict=False)
    ]
    price = prices.checked("messages", Price(tiers, D(free)))
    plain = Fraction(0)
    for unit in range(1, quantity - free + 1):  # the unit's number beyond the free ones
        tier = next(tier for tier in tiers if tier.up_to is None or unit <= tier.up_to)
        plain += Fraction(tier.price)
    assert prices.cost("messages", price, quantity) == plain


def test_rounding_is_half_away_from_zero():
    told = [(1, 200, "0.01"), (-1, 200, "-0.01"), (1, 201, "0.00"), (1, 3, "0.33"), (2, 3, "0.67")]
    for over, under, text in told:
        assert prices.rounded(Fraction(over, under), 2) == D(text)


@given(st.integers(0, 10**8), st.dictionaries(st.text(max_size=3), st.integers(1, 10**9)))
def test_shares_add_up(cents, weights):
    total = D(cents) / 100
    if weights:
        assert sum(prices.shares(total, weights, 2).values()) == total


@pytest.mark.parametrize(
    "price",
    [
        Price([]),
        Price([Tier(D(1), up_to=D(5))]),
        Price([Tier(D(1)), Tier(D(2))]),
        Price([Tier(D(1), D(5)), Tier(D(1), D(5)), Tier(D(1))]),
        Price([Tier(D(-1))]),
        Price([Tier(D("nan"))]),
        Price([Tier(D(1))], free=D("-1")),
    ],
)
def test_prices_that_make_no_sense_are_refused(price):
    with pytest.raises(Invalid):
        prices.checked("messages", price)


# price books


def test_a_book_is_valid_for_its_months_and_a_tenants_own_comes_first(metering):
    first = metering.create_book(replace(BOOK, last_period=202602), actor="root")
    second = metering.create_book(replace(BOOK, name="New", first_period=202603), actor="root")
    own = replace(BOOK, name="Own", tenant=A, currency="EUR")
    own = metering.create_book(own, actor="root")
    assert [book.id for book in metering.books(B)] == [second.id, first.id]
    assert metering.statement(A, 202603).price_book == own.id
    assert metering.statement(B, 202603).price_book == second.id
    assert metering.statement(B, 202602).price_book == first.id
    assert metering.book(own.id).prices["messages"] == MESSAGES
    with pytest.raises(Exists):
        metering.create_book(replace(BOOK, first_period=202512), actor="root")
    with pytest.raises(Unknown):
        metering.statement(B, 202512)


def test_a_book_ends_and_what_a_statement_uses_stays(local, clock, sqlite):
    book = local.create_book(BOOK, actor="root")
    local.count([use("x", 200)])
    clock.now = moment(2026, 4, 2)
    local.close(A, 202603, actor="root")
    with pytest.raises(Exists):
        local.remove_book(book.id, actor="root")
    with pytest.raises(Invalid, match="statement of 2026-03"):
        local.end_book(book.id, 202602, actor="root")
    assert local.end_book(book.id, 202603, actor="root").last_period == 202603
    other = local.create_book(replace(BOOK, first_period=202604), actor="root")
    local.remove_book(other.id, actor="root")
    with sqlite.reading() as db:
        entries = audit.page(db, "default", AuditFilter(), before=None, limit=10).items
    assert [entry.action for entry in entries] == [
        "price-book.remove", "price-book.create", "price-book.end", "price-book.create",
    ]  # fmt: skip


# statements


def test_a_statement_has_exact_quantities_and_rounded_lines(metering):
    metering.create_book(BOOK, actor="root")
    metering.count([
        use("1", 900), use("2", 300, project="lab"), use("3", 3_601, meter="vehicle_hours"),
        use("4", 77, meter="api_requests"), use("5", 5, tenant=B),
    ])  # fmt: skip
    told = metering.statement(A, 202603)
    lines = {line.meter: line for line in told.lines}
    assert (lines["messages"].quantity, lines["messages"].amount) == (1200, D("10.40"))
    assert lines["messages"].by_project == {"main": D("7.80"), "lab": D("2.60")}
    assert (lines["vehicle_hours"].units, lines["vehicle_hours"].amount) == (
        D("1.000278"),
        D("0.30"),
    )
    assert lines["api_requests"].amount == 0  # not in the book
    assert (told.total, told.currency, told.closed_us) == (D("10.70"), "CNY", None)


def test_a_closed_statement_never_changes_and_late_usage_is_an_adjustment(metering, clock, records):
    metering.create_book(BOOK, actor="root")
    metering.count([use("1", 1000)])
    with pytest.raises(NotYet):
        metering.close(A, 202603, actor="root")
    clock.now = moment(2026, 4, 2)
    closed = metering.close(A, 202603, actor="root")
    assert closed.total == D("9.00")
    metering.count([use("late", 400), use("new", 600, at=moment(2026, 4, 1, 3))])
    assert metering.statement(A, 202603) == closed
    with pytest.raises(Exists):
        metering.close(A, 202603, actor="root")
    april = metering.statement(A, 202604)
    assert [(x.month, x.adjustment, x.quantity, x.amount) for x in april.lines] == [
        ("2026-04", False, 600, D("5.00")),
        ("2026-03", True, 400, D("2.20")),  # 200 at 0.01 are left of the first tier of March
    ]
    clock.now = moment(2026, 5, 2)
    metering.close(A, 202604, actor="root")
    metering.count([use("later", 10)])
    (line,) = metering.statement(A, 202605).lines
    assert (line.month, line.adjustment, line.amount) == ("2026-03", True, D("0.04"))
    assert [s.period for s in metering.statements(A)] == ["2026-04", "2026-03"]
    usage = metering.usage(A, moment(2026, 3, 1), moment(2026, 4, 1), by="month")
    assert [each.quantity for each in usage] == [1410]  # usage is by when it was used
    with records.reading() as db:
        entry = audit.page(db, A, AuditFilter(subject="2026-03"), before=None, limit=5).items[0]
    assert (entry.action, entry.after["digest"]) == ("statement.close", closed.digest)


def test_months_close_by_themselves_in_order(local, clock):
    def closed():
        return [(each.tenant, each.period) for each in local.close_due(3)]

    local.create_book(BOOK, actor="root")
    local.count([use("1", 1, at=moment(2026, 1, 5)), use("2", 1, at=moment(2026, 3, 5), tenant=B)])
    assert closed() == [("a", "2026-01"), ("a", "2026-02")]
    clock.now = moment(2026, 4, 3, 23)
    assert closed() == []
    with pytest.raises(NotYet, match="2026-03 is still open"):
        clock.now = moment(2026, 5, 1)
        local.close(A, 202604, actor="root")
    clock.now = moment(2026, 4, 4, 1)
    assert closed() == [("a", "2026-03"), ("b", "2026-03")]
    assert closed() == []


# costs and forecast


def test_days_add_up_to_the_month_through_the_tiers(local):
    local.create_book(BOOK, actor="root")
    local.count([
        use("1", 600, at=moment(2026, 3, 8)), use("2", 600, at=moment(2026, 3, 9)),
        use("3", 600, at=moment(2026, 3, 10)),
    ])  # fmt: skip
    costs = local.costs(A)
    assert [(day.day, day.amount) for day in costs.by_day] == [
        ("2026-03-08", D(5)), ("2026-03-09", D("5.4")), ("2026-03-10", D("2.4")),
    ]  # fmt: skip
    assert costs.statement.total == sum(day.amount for day in costs.by_day)
    assert local.costs(A, 202602).forecast is None


def test_a_forecast_is_what_is_used_and_the_mean_hour_for_the_hours_left(local, clock):
    local.create_book(BOOK, actor="root")
    clock.now = moment(2026, 3, 10, 12)
    assert local.costs(A).forecast is None
    local.count([use(f"h{n}", 10, at=clock.now - n * HOUR) for n in range(1, 11)])
    ahead = local.costs(A).forecast
    left = 21 * 24 + 12  # hours from 10 March noon to 1 April
    quantity = 100 + 10 * left
    assert ahead.hours_seen == 10
    assert ahead.total == prices.rounded(prices.cost("messages", MESSAGES, quantity), 2)
    local.count([use("old", 10**6, at=clock.now - 400 * HOUR)])  # outside the week
    ahead = local.costs(A).forecast
    assert ahead.hours_seen == 168
    quantity = 100 * left // 168 + 100
    assert ahead.by_meter["messages"] == prices.rounded(
        prices.cost("messages", MESSAGES, quantity), 2
    )


# budgets


def test_a_budget_tells_each_threshold_once_a_month(metering, clock):
    metering.create_book(BOOK, actor="root")
    wanted = Budget("", "March", D(10), thresholds=(50, 100), on_forecast=False)
    budget = metering.create_budget(A, wanted, actor="ann")
    assert metering.check_budgets() == []
    metering.count([use("1", 700)])  # 6.00
    (alert,) = metering.check_budgets()
    assert (alert.threshold, alert.kind, alert.amount, alert.name) == (
        50,
        "actual",
        D("6.00"),
        "March",
    )
    assert metering.check_budgets() == [alert]  # until its event is in the stream
    metering.alert_told(alert)
    assert metering.check_budgets() == []
    metering.count([use("2", 700)])
    assert [alert.threshold for alert in metering.check_budgets()] == [100]
    (state,) = metering.budget_states(A)
    assert (state.spent, state.currency, len(state.alerts)) == (D("11.20"), "CNY", 2)
    clock.now = moment(2026, 4, 1, 1)
    assert metering.budget_states(A)[0].alerts == []
    metering.remove_budget(A, budget.id, actor="ann")
    assert metering.alerts(A, 202603) == []


def test_a_budget_of_a_project_and_meter_sees_its_part(local, clock):
    local.create_book(BOOK, actor="root")
    local.count([
        use("1", 300), use("2", 100, project="lab"), use("3", 36_000, meter="vehicle_hours"),
        use("4", 400, at=clock.now - 100 * HOUR),
    ])  # fmt: skip
    lab = Budget("", "Lab", D(1), project="lab")
    one = Budget("", "Messages", D(1), meter="messages")
    for budget in (lab, one):
        local.create_budget(A, budget, actor="ann")
    by_name = {state.budget.name: state for state in local.budget_states(A)}
    assert (by_name["Lab"].spent, by_name["Messages"].spent) == (D("0.88"), D("7.00"))
    kinds = {(alert.name, alert.kind) for alert in local.check_budgets()}
    assert ("Lab", "forecast") in kinds


def test_a_budget_is_changed_by_who_saw_it_and_by_its_tenant_alone(local):
    budget = local.create_budget(A, Budget("", "One", D(5)), actor="ann")
    new = local.change_budget(A, replace(budget, amount=D(7)), actor="ann", if_revision=1)
    assert (new.amount, new.revision) == (D(7), 2)
    with pytest.raises(Changed):
        local.change_budget(A, replace(budget, amount=D(8)), actor="ann", if_revision=1)
    for call in (local.budget, lambda *a: local.remove_budget(*a, actor="eve")):
        with pytest.raises(Unknown):
            call(B, budget.id)
    for bad in (
        replace(budget, amount=D(0)), replace(budget, thresholds=(100, 50)),
        replace(budget, thresholds=()), replace(budget, meter="wishes"), replace(budget, name=""),
    ):  # fmt: skip
        with pytest.raises(Invalid):
            local.change_budget(A, bad, actor="ann")


def test_months():
    assert [periods.following(202512), periods.preceding(202601)] == [202601, 202512]
    assert periods.period_of(periods.first_hour(202602)) == 202602
    assert periods.period_of(periods.first_hour(202602) - 1) == 202601
    assert periods.parse("2026-02") == 202602
    for bad in ("2026-13", "202602", "2026-2", "x", "0000-01"):
        with pytest.raises(Invalid):
            periods.parse(bad)
