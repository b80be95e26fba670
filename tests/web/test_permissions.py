"""Every route declares what its callers must be allowed to do, and the declaration holds."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from tests.web.conftest import PASSWORD, PATIENCE_S, until

from carcloud.model.actions import ANYONE, BY_NAME
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.services.tenancy.api import SYSTEM, AuditFilter, Identity, Scope
from carcloud.web import live
from carcloud.web.refusals import OF_ONE_USER, Refusals

CONSOLE = Path(__file__).parents[2] / "frontend" / "src"
OPEN = {
    ("POST", "/v1/registration"), ("POST", "/v1/session"),
    ("GET", "/v1/session/openid"), ("POST", "/v1/session/openid"),
    ("GET", "/v1/session/openid/callback"), ("POST", "/v1/session/invitation"),
    ("POST", "/v1/session/invitation/accept"), ("GET", "/v1/ui"),
    ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"),
}  # fmt: skip


def routes(app: Litestar) -> list[tuple[str, str, dict[str, Any]]]:
    found = []
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                methods = handler.http_methods - {"OPTIONS", "HEAD"}
                found += [(method, route.path_format, handler.opt) for method in methods]
    return found


def test_every_route_declares_its_action(cloud: Any) -> None:
    api = [one for one in routes(cloud.app) if one[1].startswith("/v1")]
    assert len(api) > 30
    for method, path, opt in api:
        if (method, path) in OPEN or path.startswith("/v1/openapi.json"):
            continue
        action = opt.get("action")
        assert action == ANYONE or action in BY_NAME, (
            f"{method} {path} declares {action!r}: give the route opt=allows(…) with a row of "
            "src/carcloud/model/actions.py"
        )


def test_the_console_has_words_for_every_action() -> None:
    for language in ("en", "zh"):
        texts = (CONSOLE / "i18n" / language / "permissions.ts").read_text()
        for name in BY_NAME:
            key = f"'action.{name.replace(':', '.')}':"
            assert key in texts, f"tell what {name} allows in i18n/{language}/permissions.ts"


def test_a_route_without_a_session_is_refused(cloud: Any, anybody: httpx.Client) -> None:
    for method, path, _ in routes(cloud.app):
        if path.startswith("/v1") and (method, path) not in OPEN and "openapi" not in path:
            where = path.replace("{version}", "1").replace("{", "").replace("}", "")
            answer = anybody.request(method, where)
            assert answer.status_code == 401, (method, path, answer.text)


def test_a_role_decides_what_a_caller_may(cloud: Any) -> None:
    with cloud.client("viewer") as viewer:
        assert viewer.get("/v1/vehicles").status_code == 200
        refused = viewer.post("/v1/vehicles", json={"id": "LTESTP0A0PA000001"})
        assert refused.status_code == 403
        assert refused.json()["type"] == "urn:carcloud:problem:denied"
        assert "vehicles:write" in refused.json()["detail"]


def test_refusals_are_in_the_audit(cloud: Any) -> None:
    with cloud.client("viewer") as viewer:
        for _ in range(3):
            viewer.post("/v1/models", json={"id": "x", "name": "X"})
    wanted = AuditFilter(denied=True, action="models:write", actor="viewer")
    until(lambda: cloud.tenancy.trail.page(DEFAULT_TENANT, wanted).items)
    found = cloud.tenancy.trail.page(DEFAULT_TENANT, wanted).items
    entry = found[0]
    assert entry.subject == "/v1/models"
    assert entry.address == "127.0.0.1"
    assert sum(dict(one.after or {})["attempts"] for one in found) <= 3  # type: ignore[misc]


def test_a_caller_limited_to_labels_sees_those_vehicles_only(cloud: Any) -> None:
    cloud.register("LTESTP0A0PA000011", labels={"depot": "pole"})
    cloud.register("LTESTP0A0PA000012", labels={"depot": "equator"})
    scope = Scope(labels={"depot": "pole"})
    cloud.tenancy.people.create(DEFAULT_TENANT, "pola", PASSWORD, "operator", scope, by=SYSTEM)
    with cloud.client("pola") as pola:
        listed = pola.get("/v1/vehicles").json()
        assert [one["id"] for one in listed["items"]] == ["LTESTP0A0PA000011"]
        by_state = pola.get("/v1/vehicles", params={"online": False}).json()
        assert [one["id"] for one in by_state["items"]] == ["LTESTP0A0PA000011"]
        assert pola.get("/v1/vehicles/LTESTP0A0PA000011").status_code == 200
        other = pola.get("/v1/vehicles/LTESTP0A0PA000012")
        missing = pola.get("/v1/vehicles/LTESTP0A0PA000099")
        assert (other.status_code, missing.status_code) == (404, 404)
        assert other.json()["detail"] == missing.json()["detail"].replace("99", "12")
        assert pola.get("/v1/vehicles/LTESTP0A0PA000012/twin").status_code == 404
        assert pola.get("/v1/dead-letters").status_code == 403
        assert pola.get("/v1/audit").status_code == 403


def test_a_revoked_key_is_refused_within_a_second(cloud: Any) -> None:
    robot = cloud.tenancy.people.create_service(DEFAULT_TENANT, "quick", "viewer", by=SYSTEM)
    made = cloud.tenancy.keys.create(DEFAULT_TENANT, robot.name, "k", by=SYSTEM)
    headers = {"Authorization": f"Bearer {made.secret}"}
    with httpx.Client(base_url=cloud.url, headers=headers) as client:
        assert client.get("/v1/vehicles").status_code == 200
        cloud.tenancy.keys.revoke(DEFAULT_TENANT, made.key.id, by=SYSTEM)
        time.sleep(1)
        assert client.get("/v1/vehicles").status_code == 401


def test_the_session_tells_what_one_may(cloud: Any) -> None:
    with cloud.client("viewer") as viewer:
        told = viewer.get("/v1/session").json()
        assert told["tenant"] == "default"
        assert "vehicles:read" in told["actions"]
        assert told["tenants"] == [{"id": "default", "name": "default"}]
        assert viewer.put("/v1/session/tenant", json={"tenant": "other"}).status_code == 404
        assert viewer.put("/v1/session/tenant", json={"tenant": "default"}).status_code == 200


def test_a_limited_caller_moves_no_vehicle(cloud: Any) -> None:
    cloud.register("LTESTP0A0PA000021", labels={"depot": "tropic"})
    scope = Scope(labels={"depot": "tropic"})
    cloud.tenancy.people.create(DEFAULT_TENANT, "tom", PASSWORD, "operator", scope, by=SYSTEM)
    with cloud.client("tom") as tom:
        path, any_tag = "/v1/vehicles/LTESTP0A0PA000021", {"If-Match": "*"}
        moved = tom.patch(path, json={"labels": {"depot": "pole"}}, headers=any_tag)
        assert moved.status_code == 403
        assert tom.patch(path, json={"protocol": "x"}, headers=any_tag).status_code == 200


def test_credentials_come_in_by_no_side_door(cloud: Any) -> None:
    cloud.tenancy.people.create(DEFAULT_TENANT, "oscar", PASSWORD, "operator", by=SYSTEM)
    with cloud.client("oscar") as oscar:
        headers = {"Content-Type": "text/csv"}
        rows = "id,iccid\nLTESTP0A0PA000031,89860000000000000001\n"
        assert oscar.post("/v1/vehicles/import", content=rows, headers=headers).status_code == 403
        plain = "id,model\nLTESTP0A0PA000031,\n"
        assert oscar.post("/v1/vehicles/import", content=plain, headers=headers).status_code == 200


def test_refusals_deeper_down_are_in_the_audit(cloud: Any) -> None:
    cloud.tenancy.people.create(DEFAULT_TENANT, "flo", PASSWORD, "viewer", by=SYSTEM)
    with cloud.client("flo") as flo:
        assert flo.post("/v1/keys", json={"name": "k", "user": "tester"}).status_code == 403
        assert flo.get("/v1/tenants/%00").status_code == 403
    wanted = AuditFilter(denied=True, actor="flo")

    def found() -> Any:
        return cloud.tenancy.trail.page(DEFAULT_TENANT, wanted).items

    until(lambda: len(found()) == 2)
    assert "keys:write" in {one.action for one in found()}


def test_varying_paths_cannot_flood_the_audit(cloud: Any) -> None:
    refusals = Refusals(cloud.tenancy)
    user = SimpleNamespace(identity=Identity("max", DEFAULT_TENANT))
    for number in range(60):
        scope = {"user": user, "path": f"/v1/tenants/t{number}"}
        refusals.note(SimpleNamespace(scope=scope, client=None), "tenants:read")
    cloud.run(refusals.flush())
    wanted = AuditFilter(denied=True, actor="max")
    found = cloud.tenancy.trail.page(DEFAULT_TENANT, wanted, limit=200).items
    attempts = {one.subject: dict(one.after)["attempts"] for one in found}
    assert len(attempts) == len(found) == OF_ONE_USER + 1
    assert attempts["(and others)"] == 60 - OF_ONE_USER


def test_a_live_stream_ends_with_the_grant(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "CHECK_S", 0.0)
    cloud.tenancy.people.create(DEFAULT_TENANT, "liv", PASSWORD, "viewer", by=SYSTEM)
    with cloud.client("liv") as liv, liv.stream("GET", "/v1/live") as events:
        lines = events.iter_lines()
        assert next(lines).startswith("retry")
        [grant] = cloud.tenancy.grants.all(DEFAULT_TENANT, "liv")
        cloud.tenancy.grants.revoke(DEFAULT_TENANT, grant.id, by=SYSTEM)
        deadline = time.monotonic() + PATIENCE_S
        for _ in lines:
            assert time.monotonic() < deadline
