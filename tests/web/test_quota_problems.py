"""How a quota in the way is told over HTTP."""

import msgspec
from litestar import Litestar, get
from litestar.testing import TestClient

from carcloud.model.limits import OverLimit
from carcloud.web.problems import exception_handlers


def test_a_quota_in_the_way_is_a_problem_that_says_how_to_raise_it():
    @get("/{limit:str}", sync_to_thread=False)
    def take(limit: str) -> None:
        raise OverLimit(limit, 5, 5, retry_after_s=9)

    with TestClient(Litestar([take], exception_handlers=exception_handlers({}))) as client:
        amount, rate = client.get("/vehicles"), client.get("/requests_per_second")
    assert (amount.status_code, rate.status_code) == (403, 429)
    assert "retry-after" not in amount.headers
    assert rate.headers["retry-after"] == "9"
    problem = msgspec.json.decode(amount.content)
    assert problem["type"] == "urn:carcloud:problem:quota"
    assert {**problem["quota"], "how": ""} == {
        "limit": "vehicles",
        "value": 5,
        "used": 5,
        "unit": "vehicle",
        "how": "",
    }
    assert "carcloud quotas set" in problem["quota"]["how"]
