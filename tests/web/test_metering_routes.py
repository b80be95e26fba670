"""Usage, quotas, costs, budgets, prices and statements over HTTP."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.web.conftest import within_a_month

from carcloud.model.ids import Tenant
from carcloud.model.limits import LIMITS
from carcloud.model.time import iso, now_us
from carcloud.model.usage import Usage
from carcloud.services.metering.api import Metering, period_text
from carcloud.services.metering.periods import first_hour, hour_of, period_of, preceding
from carcloud.services.vehicles.api import Filter, Lifecycle

T = Tenant("default")
HOUR = 3_600_000_000
PRICES = {
    "messages": {"free": "100", "tiers": [{"price": "0.01", "up_to": "1000"}, {"price": "0.005"}]}
}


@pytest.fixture(scope="module")
def metered(cloud: Any) -> Iterator[Metering]:
    """Some usage of this month and the last one, and an administrator of the installation."""
    within_a_month()
    now = now_us()
    last = first_hour(preceding(period_of(hour_of(now)))) * HOUR
    metering = cloud.app.dependencies["metering"].dependency()
    metering.count([
        Usage("m-1", T, "messages", 600, now), Usage("m-2", T, "messages", 2_000, last),
        Usage("m-3", T, "messages", 300, now, project="lab"),
        Usage("m-4", Tenant("other"), "messages", 77, now),
    ])  # fmt: skip
    with cloud.administering():
        yield metering


@pytest.fixture
def admin(client: httpx.Client, metered: Any) -> httpx.Client:
    return client


def month(back: int = 0) -> str:
    period = period_of(hour_of(now_us()))
    return period_text(preceding(period) if back else period)


def test_usage_by_day_and_its_meters(admin):
    told = admin.get("/v1/usage", params={"by": "month"}).json()
    mine = {one["project"]: one["quantity"] for one in told["items"] if one["meter"] == "messages"}
    assert mine == {"main": 600, "lab": 300}
    assert {"name": "messages", "unit": "message", "per_unit": 1}.items() <= {
        key: value for meter in told["meters"] if meter["name"] == "messages"
        for key, value in meter.items()
    }.items()  # fmt: skip
    ago = iso(now_us() - 40 * 24 * HOUR)
    assert len(admin.get("/v1/usage", params={"by": "day", "from": ago}).json()["items"]) >= 2
    assert admin.get("/v1/usage", params={"by": "week"}).status_code == 400


def test_quotas_say_what_is_used_and_an_administrator_changes_them(admin, cloud, metered):
    items = {one["name"]: one for one in admin.get("/v1/quotas").json()["items"]}
    retired = cloud.vehicles.count(T, Filter(lifecycle=Lifecycle.RETIRED))
    assert items["vehicles"]["used"] == cloud.vehicles.count(T) - retired
    assert list(items) == [limit.name for limit in LIMITS]
    assert items["frames_per_second"]["used"] is None
    buckets = len(admin.get("/v1/buckets").json()["items"])
    assert admin.post("/v1/buckets", json={"name": "counted-for-quotas"}).status_code == 201
    long = {"kind": "query-export", "params": {"sql": "SELECT count(*) FROM range(1000000000000)"}}
    job = admin.post("/v1/jobs", json=long).json()["id"]
    items = {one["name"]: one for one in admin.get("/v1/quotas").json()["items"]}
    admin.post(f"/v1/jobs/{job}/cancel")
    admin.delete("/v1/buckets/counted-for-quotas")
    assert items["buckets"]["used"] == buckets + 1
    assert items["jobs_queued"]["used"] >= 1
    changed = admin.put("/v1/tenants/other/quotas/jobs", json={"value": 7})
    assert (changed.status_code, changed.json()["value"], changed.json()["own"]) == (200, 7, True)
    other = admin.get("/v1/tenants/other/quotas").json()["items"]
    assert next(one for one in other if one["name"] == "jobs")["value"] == 7
    with cloud.client("stranger") as stranger:  # an owner, of one tenant alone
        seen = {one["name"]: one for one in stranger.get("/v1/quotas").json()["items"]}
        assert seen["jobs"]["value"] == 7
        refused = stranger.put("/v1/tenants/other/quotas/jobs", json={"value": 99})
        assert refused.status_code == 403
        assert stranger.get("/v1/tenants/default/quotas").status_code == 403
    reset = admin.put("/v1/tenants/other/quotas/jobs", json={"value": None}).json()
    assert reset["own"] is False
    assert admin.put("/v1/tenants/nobody/quotas/jobs", json={"value": 1}).status_code == 404
    assert admin.put("/v1/tenants/other/quotas/wishes", json={"value": 1}).status_code == 400


def test_prices_costs_budgets_and_statements(admin, cloud):
    if not admin.get("/v1/price-books").json()["items"]:
        assert admin.get("/v1/costs").status_code == 404
    book = {"name": "Standard", "currency": "CNY", "first_month": "2020-01", "prices": PRICES}
    made = admin.post("/v1/price-books", json=book)
    assert made.status_code == 201, made.text
    id = made.json()["id"]
    assert made.json()["prices"]["messages"]["tiers"][0] == {"price": "0.01", "up_to": "1000"}
    assert admin.post("/v1/price-books", json=book).status_code == 409
    bad = {**book, "tenant": "other", "prices": {"wishes": PRICES["messages"]}}
    assert admin.post("/v1/price-books", json=bad).json()["errors"][0]["field"] == "prices.wishes"
    costs = admin.get("/v1/costs").json()
    assert costs["statement"]["total"] == "8.00"
    assert costs["by_project"] == {"main": "5.33", "lab": "2.67"}
    assert [day["amount"] for day in costs["by_day"]] == ["8"]
    budget = admin.post("/v1/budgets", json={"name": "All", "amount": "10", "thresholds": [50]})
    assert (budget.status_code, budget.headers["etag"]) == (201, '"1"')
    where = f"/v1/budgets/{budget.json()['id']}"
    assert admin.patch(where, json={"amount": "16"}).status_code == 428
    tag = {"If-Match": budget.headers["etag"]}
    assert admin.patch(where, json={"amount": "16"}, headers=tag).json()["amount"] == "16"
    assert admin.patch(where, json={"amount": "17"}, headers=tag).status_code == 412
    state = admin.get(where).json()
    assert (state["spent"], state["currency"]) == ("8.00", "CNY")
    _statements(admin)
    with cloud.client("stranger") as stranger:
        assert stranger.get(where).status_code == 404
        assert stranger.get("/v1/statements").json()["items"] == []
        assert stranger.get("/v1/costs").json()["statement"]["total"] == "0.00"  # 77 are free
    assert admin.delete(where).status_code == 204
    assert admin.delete(f"/v1/price-books/{id}").status_code == 409  # a statement uses it
    end = admin.put(f"/v1/price-books/{id}/end", json={"last_month": "2021-01"})
    assert end.json()["errors"][0]["field"] == "last_period"


def _statements(admin: httpx.Client) -> None:
    closing = f"/v1/tenants/default/statements/{month()}/close"
    assert admin.post(closing).status_code == 409  # it has not ended
    closed = admin.post(closing.replace(month(), month(1)))
    assert (closed.status_code, closed.json()["total"]) == (200, "14.50")
    (head,) = admin.get("/v1/statements").json()["items"]
    assert (head["period"], head["digest"]) == (month(1), closed.json()["digest"])
    told = admin.get(f"/v1/statements/{month(1)}")
    assert told.json() == closed.json()
    sheet = admin.get(f"/v1/statements/{month(1)}/csv")
    assert sheet.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(sheet.text)))
    assert [(row["meter"], row["amount"]) for row in rows] == [("messages", "14.50")]
    pdf = admin.get(f"/v1/statements/{month(1)}/pdf")
    assert pdf.content.startswith(b"%PDF-")
    assert f"statement-default-{month(1)}.pdf" in pdf.headers["content-disposition"]
    assert admin.get("/v1/statements/2026-13").status_code == 400


def test_who_may_see_costs(cloud, metered):
    with cloud.client("viewer") as viewer:
        for path in ("/v1/usage", "/v1/costs", "/v1/budgets", "/v1/prices", "/v1/statements"):
            assert viewer.get(path).status_code == 403, path
        assert viewer.get("/v1/quotas").status_code == 200
        assert viewer.post("/v1/price-books", json={}).status_code in (400, 403)
