"""Plain reads are answered past the framework, and nobody can tell by the answer."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.web.test_isolation import FIXED, NOTHING, VARYING

from carcloud.model.time import now_us

FRAMEWORK = {"seen": "yes"}  # a query that no route knows: the framework answers
OWN = {"x-request-id", "ratelimit", "date", "content-length"}  # of each answer
MOVING = re.compile(r'"[0-9-]{10}T[0-9:.]+Z"|(?<=_bytes":)[0-9]+')  # times, sizes on the disk
VEHICLE = "LTESTQUICK0000001"
THERE = {"vehicle": VEHICLE, "model": "quick", "bucket": "quick-box"}


@pytest.fixture
def left(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were left to the framework since; who is known now stays so."""
    paths: list[str] = []
    reads = cloud.app.asgi_handler
    reads._callers._known.clear()
    monkeypatch.setattr("carcloud.web.callers.REMEMBER_S", 60.0)
    otherwise = reads._otherwise

    async def noted(scope: Any, receive: Any, send: Any) -> None:
        paths.append(scope["path"])
        await otherwise(scope, receive, send)

    monkeypatch.setattr(reads, "_otherwise", noted)
    return paths


@pytest.fixture(scope="module")
def reader(cloud: Any, make_frame: Any) -> Iterator[httpx.Client]:
    """An owner of a tenant in which nothing else goes on."""
    cloud.settle("quick", "quick-owner")
    with cloud.client("quick-owner") as client:
        assert client.post("/v1/models", json={"id": "quick", "name": "Quick"}).is_success
        body = {"id": VEHICLE, "model": "quick", "labels": {"depot": "north"}}
        assert client.post("/v1/vehicles", json=body).is_success
        assert client.post("/v1/buckets", json={"name": "quick-box"}).is_success
        cloud.send(VEHICLE, make_frame(now_us() - 1_000_000, speed=12.5), tenant="quick")
        yield client


def paths(cloud: Any) -> Iterator[str]:
    """Each plan with what is there, and with what is not."""
    for plan in cloud.app.asgi_handler.plans():
        names = re.findall(r"{(\w+)}", plan.template)
        for ids in ({**NOTHING, **FIXED, **THERE}, {**NOTHING, **FIXED}):
            yield plan.template.format(**{name: ids[name] for name in names})


def told(answer: httpx.Response) -> tuple[int, dict[str, str], str]:
    headers = {name: text for name, text in answer.headers.items() if name not in OWN}
    return answer.status_code, headers, MOVING.sub("…", VARYING.sub(r'"\1":…', answer.text))


def compared(client: httpx.Client, path: str, left: list[str]) -> int:
    """The status of both ways; 403 goes one way only."""
    left.clear()
    quick = client.get(path)
    if quick.status_code == 403:
        assert left == [path]
        return 403
    assert left == [], path
    slow = client.get(path, params=FRAMEWORK)
    assert left == [path]
    assert told(quick) == told(slow), path
    return quick.status_code


def test_every_plan_answers_as_the_framework_does(cloud, reader, left):
    tried = sorted(set(paths(cloud)))
    assert len(tried) > 60
    reader.get("/v1/session")  # whoever asks is known
    found = {path: compared(reader, path, left) for path in tried}
    refused = [path for path, status in found.items() if status == 403]
    assert {200, 404} <= set(found.values())
    assert len(refused) < len(tried) / 3
    with cloud.administering(), cloud.client() as administrator:
        administrator.get("/v1/session")
        assert 403 not in {compared(administrator, path, left) for path in refused}


def test_reads_that_matter_have_a_plan(cloud):
    plans = {plan.template for plan in cloud.app.asgi_handler.plans()}
    assert plans >= {
        "/v1/vehicles", "/v1/vehicles/{vehicle}", "/v1/vehicles/{vehicle}/twin", "/v1/status",
        "/v1/models", "/v1/jobs", "/v1/jobs/{job_id}", "/v1/tables", "/v1/usage",
    }  # fmt: skip
    assert not plans & {"/v1/live", "/v1/ui", "/v1/audit/export", "/healthz"}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/vehicles/-no-name", {}, 400),
        (f"/v1/vehicles/{VEHICLE}", {"content-length": "3"}, 200),
        (f"/v1/vehicles/{VEHICLE}", {"authorization": "Basic YTpi"}, 401),
        (f"/v1/vehicles/{VEHICLE}/", {}, 200),
        (f"/v1//vehicles/{VEHICLE}", {}, 200),
        ("/v1/vehicles/import", {}, 405),
    ],
)
def test_what_is_not_plain_is_left_to_the_framework(reader, left, path, headers, status):
    reader.get("/v1/session")
    left.clear()
    content = b"abc" if "content-length" in headers else None
    answer = reader.request("GET", path, headers=headers, content=content)
    assert (answer.status_code, len(left)) == (status, 1)


def test_a_caller_who_is_not_known_goes_the_frameworks_way_first(cloud, reader, left):
    with cloud.client("quick-owner") as fresh:
        left.clear()
        assert fresh.get("/v1/tables").is_success
        assert fresh.get("/v1/tables").is_success
    assert len(left) <= 1
    left.clear()
    with httpx.Client(base_url=cloud.url) as nobody:
        for token in ("wrong", "cck_0000000000000000_wrong", "\xe9"):
            head = {"authorization": b"Bearer " + token.encode("latin-1")}
            assert nobody.get(f"/v1/vehicles/{VEHICLE}", headers=head).status_code == 401
        assert nobody.get(f"/v1/vehicles/{VEHICLE}").status_code == 401
    assert len(left) == 4


def test_nobody_gets_further_than_the_framework_lets_them(cloud, reader, left):
    with cloud.client("stranger") as viewer:
        viewer.get("/v1/session")
        left.clear()
        assert viewer.get("/v1/tenants").status_code == 403
        assert left == ["/v1/tenants"]
        assert viewer.get(f"/v1/vehicles/{VEHICLE}").status_code == 404  # another tenant's


def test_an_error_of_a_handler_is_a_problem_with_an_id(reader, left):
    reader.get("/v1/session")
    left.clear()
    answer = reader.get("/v1/vehicles/LTESTNOSUCHCAR001")
    assert (answer.status_code, left) == (404, [])
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"]
    assert answer.json()["instance"] == "/v1/vehicles/LTESTNOSUCHCAR001"


def test_above_the_rate_both_ways_refuse_alike(
    cloud: Any, reader: httpx.Client, left: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/v1/models/quick"
    assert reader.get(path).is_success
    left.clear()
    monkeypatch.setattr(cloud.app.asgi_handler._rates, "_allowed", lambda _tenant: 0.0)
    quick = reader.get(path)
    assert left == []
    otherwise = reader.get(path, params=FRAMEWORK)
    assert left == [path]
    assert quick.status_code == 429
    assert quick.headers["retry-after"] == "60"
    assert quick.headers["ratelimit"] == otherwise.headers["ratelimit"] == '"requests";r=0;t=1'
    assert told(quick) == told(otherwise)
