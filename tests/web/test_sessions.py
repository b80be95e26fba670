"""Signing in and out, who may do what, and what a browser is protected from."""

from typing import Any

import httpx
import pytest

PROBLEM = "application/problem+json"
OPENID = {"/v1/registration", "/v1/session/openid", "/v1/session/openid/callback"}
INVITED = {"/v1/session/invitation", "/v1/session/invitation/accept"}
PUBLIC = {"/v1/ui", "/healthz", "/readyz", "/metrics"}


def fields(answer: httpx.Response) -> list[str]:
    assert answer.headers["content-type"] == PROBLEM, answer.text
    document = answer.json()
    assert document["status"] == answer.status_code
    assert {"type", "title", "status", "detail", "instance", "errors"} <= set(document)
    return [error["field"] for error in document["errors"]]


def test_sign_in_and_out(cloud: Any, anybody: httpx.Client) -> None:
    answer = anybody.post(
        "/v1/session", json={"user": "tester", "password": "correct horse battery"}
    )
    assert answer.status_code == 200
    assert answer.json()["tenant"] == "default"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert anybody.get("/v1/session").json()["user"] == "tester"
    assert anybody.delete("/v1/session").status_code == 204
    assert anybody.get("/v1/session").status_code == 401


def test_a_bearer_token_of_the_session_works(cloud: Any) -> None:
    with cloud.client() as client:
        token = client.cookies["carcloud_session"]
    with httpx.Client(base_url=cloud.url, headers={"Authorization": f"Bearer {token}"}) as machine:
        assert machine.get("/v1/session").json()["user"] == "tester"
        assert machine.post("/v1/query", json={"sql": "SELECT 1"}).status_code == 200


@pytest.mark.parametrize("header", ["Bearer", "Bearer x", "Basic dTpw", "cookie"])
def test_a_bad_token_is_refused(anybody: httpx.Client, header: str) -> None:
    answer = anybody.get("/v1/status", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_every_route_but_the_public_ones_needs_a_session(anybody: httpx.Client) -> None:
    document = anybody.get("/v1/openapi.json").json()
    asked = 0
    for path, methods in document["paths"].items():
        for method in methods:
            if (
                path in PUBLIC
                or path in INVITED | OPENID
                or (path, method) == ("/v1/session", "post")
            ):
                continue
            address = path
            address = address.replace("{version}", "1")
            for name in ("vehicle", "model", "letter"):
                address = address.replace("{" + name + "}", "x1")
            answer = anybody.request(method.upper(), address, json={"sql": "SELECT 1"})
            assert answer.status_code == 401, (method, path, answer.text)
            assert answer.headers["content-type"] == PROBLEM
            asked += 1
    assert asked >= 25


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"user": "tester"}, "password"),
        ({"user": 5, "password": "x"}, "user"),
        ({"user": "tester", "password": "x", "extra": 1}, "extra"),
        ({"user": "", "password": "x"}, "user"),
        ([], "body"),
    ],
)
def test_bad_credentials_name_the_field(anybody: httpx.Client, body: Any, field: str) -> None:
    answer = anybody.post("/v1/session", json=body)
    assert answer.status_code == 400
    assert fields(answer) == [field]


def test_a_wrong_password_is_refused(anybody: httpx.Client) -> None:
    answer = anybody.post("/v1/session", json={"user": "nobody", "password": "guess guess"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.test"},
    ],
)
def test_another_site_cannot_change_anything(client: httpx.Client, headers: dict[str, str]) -> None:
    body = {"id": "LTESTFORGED000001"}
    assert client.post("/v1/vehicles", json=body, headers=headers).status_code == 403
    assert client.get("/v1/vehicles", headers=headers).status_code == 200


def test_the_own_page_may(client: httpx.Client, cloud: Any) -> None:
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": cloud.url}
    answer = client.post("/v1/query", json={"sql": "SELECT 1"}, headers=headers)
    assert answer.status_code == 200


def test_a_viewer_looks_and_changes_nothing(cloud: Any) -> None:
    with cloud.client("viewer") as viewer:
        assert viewer.get("/v1/vehicles").status_code == 200
        assert viewer.post("/v1/query", json={"sql": "SELECT 1"}).status_code == 403
        assert viewer.post("/v1/vehicles", json={"id": "LTESTV"}).status_code == 403
        assert viewer.post("/v1/models", json={"id": "m", "name": "M"}).status_code == 403
        assert viewer.post("/v1/dead-letters/reprocess", json={}).status_code == 403


@pytest.mark.parametrize("path", ["/", "/v1/ui", "/v1/nothing", "/docs", "/v1/status"])
def test_every_answer_has_the_security_headers(anybody: httpx.Client, path: str) -> None:
    headers = anybody.get(path).headers
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "worker-src 'self' blob:" in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_what_does_not_exist(client: httpx.Client) -> None:
    assert fields(client.get("/v1/nothing")) == []
    answer = client.put("/v1/status")
    assert answer.status_code == 405
    assert fields(answer) == []
    assert "GET" in answer.headers["allow"]


def test_a_body_too_large(client: httpx.Client) -> None:
    answer = client.post("/v1/query", json={"sql": "x" * 1_200_000})
    assert answer.status_code == 413
    assert fields(answer) == ["body"]


def test_health_and_facts_need_nobody(anybody: httpx.Client) -> None:
    assert anybody.get("/healthz").json()["status"] == "ok"
    ready = anybody.get("/readyz")
    assert (ready.status_code, ready.json()["engines"]["stream"]) == (200, "ok")
    facts = anybody.get("/v1/ui").json()
    assert set(facts) == {"tiles", "tiles_credit", "version", "demo", "url", "registration"}
    assert facts["url"] == str(anybody.base_url).rstrip("/")
    assert facts["registration"] is False
