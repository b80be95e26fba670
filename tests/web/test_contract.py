"""Schemathesis against the OpenAPI document: no route breaks on what the document allows or not."""

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CHECKS
from schemathesis.generation import GenerationMode
from tests.web.conftest import PATIENCE_S

EXAMPLES = 4  # of each route
TOO_LARGE = 413
LEFT_OUT = {
    ("GET", "/v1/live"),  # never ends
    ("GET", "/v1/jobs/{job_id}/events"),  # ends with the job
    ("DELETE", "/v1/session"),  # would sign the test out
    ("POST", "/v1/session"),  # would lock the test out, as would those that ask for a password
    ("PUT", "/v1/session/password"),
    ("POST", "/v1/session/openid/connect"),
    ("POST", "/v1/session/openid/disconnect"),
    ("POST", "/v1/session/second-factor"),
    ("PUT", "/v1/session/second-factor"),
    ("POST", "/v1/session/second-factor/off"),
    ("POST", "/v1/session/second-factor/recovery-codes"),
}
CHECKED = ("not_a_server_error", "status_code_conformance", "content_type_conformance",
           "response_schema_conformance", "negative_data_rejection")  # fmt: skip


@pytest.fixture(scope="module")
def owner(cloud: Any) -> Iterator[httpx.Client]:
    """Of a tenant of its own: other tests share this cloud."""
    cloud.settle("contract", "contract-owner")
    with cloud.client("contract-owner") as client:
        yield client


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_route_keeps_to_the_document(
    cloud: Any, owner: httpx.Client, mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_url(f"{cloud.url}/v1/openapi.json", timeout=PATIENCE_S)
    checks = CHECKS.get_by_names(CHECKED)
    headers = {"Authorization": f"Bearer {owner.cookies['carcloud_session']}"}
    tried, line = 0, requests.Session()  # one connection
    for result in schema.get_all_operations():
        operation = result.ok()
        if (operation.method.upper(), operation.path) not in LEFT_OUT:
            tried += 1
            _try(operation, mode, checks, headers, cloud.url, line)
    assert tried >= 25


def _try(
    operation: Any,
    mode: GenerationMode,
    checks: list[Any],
    headers: dict[str, str],
    url: str,
    line: requests.Session,
) -> None:
    strategy = operation.as_strategy(generation_mode=mode)

    @seed(32960)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def one(case: Any) -> None:
        line.cookies.clear()  # who asks is said by the headers
        answer = case.call(base_url=url, headers=headers, session=line, timeout=PATIENCE_S)
        if answer.status_code != TOO_LARGE:  # a refusal too, which the checks do not know
            case.validate_response(answer, checks=checks, headers=headers)

    with contextlib.suppress(Unsatisfiable):  # a route without arguments has no wrong ones
        one()
