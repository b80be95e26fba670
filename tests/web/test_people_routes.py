"""People, roles, grants, keys, tokens, sessions, tenants and the audit over HTTP."""

import time
from typing import Any

import httpx
from tests.web.conftest import PASSWORD

from carcloud.services.tenancy.api import INSTALLATION, SYSTEM


def _add(client: httpx.Client, name: str, role: str = "viewer", **more: Any) -> httpx.Response:
    body = {"name": name, "password": PASSWORD, "role": role, **more}
    return client.post("/v1/users", json=body)


def test_a_person_is_added_kept_out_and_removed(client: httpx.Client, cloud: Any) -> None:
    assert _add(client, "pat", note="night shift").status_code == 201
    assert _add(client, "pat").status_code == 409
    users = {one["name"]: one for one in client.get("/v1/users").json()["items"]}
    assert users["pat"]["note"] == "night shift"
    with cloud.client("pat") as pat:
        assert pat.get("/v1/users").status_code == 403
        changed = client.patch("/v1/users/pat", json={"disabled": True})
        assert changed.json()["disabled"] is True
        other = {"password": PASSWORD + "2"}
        assert client.put("/v1/users/pat/password", json=other).status_code == 204
    assert client.delete("/v1/users/pat").status_code == 204
    assert client.delete("/v1/users/pat").status_code == 404
    assert client.patch("/v1/users/a%00b", json={"disabled": True}).status_code in (400, 404)


def test_wrong_values_name_their_field(client: httpx.Client) -> None:
    short = {"name": "sam", "password": "short", "role": "viewer"}
    answer = client.post("/v1/users", json=short)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "password"
    answer = _add(client, "sam", role="emperor")
    assert answer.json()["errors"][0]["field"] == "role"
    answer = _add(client, "sam", scope={"project": "p", "labels": {"a": "b"}})
    assert answer.json()["errors"][0]["field"] == "scope"
    assert client.get("/v1/permissions").json()["errors"][0]["field"] == "user"


def test_roles_and_grants(client: httpx.Client, cloud: Any) -> None:
    role = {"id": "look", "name": "Look", "actions": ["vehicles:read"]}
    made = client.post("/v1/roles", json=role)
    assert made.status_code == 201
    tag = made.headers["etag"]
    assert _add(client, "lou", role="look").status_code == 201
    with cloud.client("lou") as lou:
        assert lou.get("/v1/session").json()["actions"] == ["vehicles:read"]
        wider = {"name": "Look", "actions": ["vehicles:read", "audit:read"]}
        assert client.put("/v1/roles/look", json=wider).status_code == 428
        answer = client.put("/v1/roles/look", json=wider, headers={"If-Match": tag})
        assert answer.status_code == 200
        stale = client.put("/v1/roles/look", json=wider, headers={"If-Match": tag})
        assert stale.status_code == 412
    why = client.get("/v1/permissions", params={"user": "lou"}).json()["items"]
    assert {one["action"] for one in why} == {"vehicles:read", "audit:read"}
    assert {one["grant"]["by"] for one in why} == {"tester"}
    who = client.get("/v1/permissions", params={"action": "audit:read"}).json()["items"]
    assert "lou" in {one["user"] for one in who}
    assert client.delete("/v1/roles/look").status_code == 409
    [grant] = client.get("/v1/grants", params={"user": "lou"}).json()["items"]
    assert client.delete(f"/v1/grants/{grant['id']}").status_code == 204
    assert client.delete("/v1/roles/look").status_code == 204
    given = {"user": "lou", "role": "analyst", "scope": {"labels": {"depot": "north"}}}
    assert client.post("/v1/grants", json=given).json()["scope"]["labels"] == {"depot": "north"}
    assert client.get("/v1/roles/owner").json()["built_in"] is True
    listed = client.get("/v1/actions").json()["items"]
    assert "owner" in listed[0]["roles"]


def test_keys_are_told_once_and_revoked(client: httpx.Client, cloud: Any) -> None:
    made = client.post("/v1/keys", json={"name": "laptop", "actions": ["vehicles:read"]}).json()
    assert made["s3_access_key_id"] == made["key"]["id"]
    headers = {"Authorization": f"Bearer {made['secret']}"}
    with httpx.Client(base_url=cloud.url, headers=headers) as program:
        assert program.get("/v1/vehicles").status_code == 200
        assert program.get("/v1/models").status_code == 403
        assert program.put("/v1/session/tenant", json={"tenant": "other"}).status_code == 403
    listed = client.get("/v1/keys", params={"mine": True}).json()["items"]
    assert [one["name"] for one in listed] == ["laptop"]
    assert made["secret"] not in str(listed)
    with cloud.client("viewer") as viewer:
        assert viewer.get("/v1/keys").status_code == 403
        assert viewer.get("/v1/keys", params={"mine": True}).json()["items"] == []
        assert viewer.delete(f"/v1/keys/{made['key']['id']}").status_code == 404
        wanted = {"name": "more", "actions": ["vehicles:write"]}
        assert viewer.post("/v1/keys", json=wanted).status_code == 403
    assert client.delete(f"/v1/keys/{made['key']['id']}").status_code == 204


def test_service_accounts_and_tokens(client: httpx.Client, cloud: Any) -> None:
    body = {"name": "exporter", "role": "analyst", "note": "exports"}
    robot = client.post("/v1/service-accounts", json=body).json()
    assert robot["name"] == "exporter@default"
    made = client.post("/v1/keys", json={"name": "k", "user": robot["name"]}).json()
    headers = {"Authorization": f"Bearer {made['secret']}"}
    with httpx.Client(base_url=cloud.url, headers=headers) as program:
        asked = {"minutes": 5, "actions": ["tables:read"]}
        token = program.post("/v1/tokens", json=asked).json()
        assert token["actions"] == ["tables:read"]
        program.headers["Authorization"] = f"Bearer {token['token']}"
        assert program.get("/v1/tables").status_code == 200
        assert program.get("/v1/vehicles").status_code == 403


def test_sessions_are_seen_and_ended(client: httpx.Client, cloud: Any) -> None:
    with cloud.client("viewer") as viewer:
        [mine] = viewer.get("/v1/sessions", params={"mine": True}).json()["items"][:1]
        assert mine["address"] == "127.0.0.1"
        assert viewer.get("/v1/sessions").status_code == 403
        everybody = client.get("/v1/sessions").json()["items"]
        assert sum(one["current"] for one in everybody) == 1
        current = next(one["id"] for one in everybody if one["current"])
        assert viewer.delete(f"/v1/sessions/{current}").status_code == 404
        assert client.delete(f"/v1/sessions/{mine['id']}").status_code == 204


def test_the_audit_is_searched_exported_and_checked(client: httpx.Client) -> None:
    client.post("/v1/projects", json={"id": "searched", "name": "Lab"})
    search = {"action": "project.*", "subject": "searched", "limit": 1}
    found = client.get("/v1/audit", params=search).json()
    [entry] = found["items"]
    assert entry["subject"] == "searched"
    assert (entry["actor"], entry["address"]) == ("tester", "127.0.0.1")
    assert len(entry["request"]) == 16
    lines = client.get("/v1/audit/export", params={"subject": "searched"}).text.splitlines()
    assert len(lines) == 1
    checked = client.get("/v1/audit/verify").json()
    assert checked["faults"] == []
    assert checked["entries"] >= entry["number"]
    assert client.get("/v1/audit", params={"subject": "a\x00b"}).json()["items"] == []
    assert client.delete("/v1/projects/searched").status_code == 204
    assert client.delete("/v1/projects/main").status_code == 400


def test_tenants_are_for_administrators_of_the_installation(cloud: Any) -> None:
    new = {"id": "south", "name": "South", "owner": {"name": "sue", "password": PASSWORD}}
    cloud.tenancy.people.create("default", "oona", PASSWORD, "owner", by=SYSTEM)
    with cloud.client("oona") as owner:
        assert owner.post("/v1/tenants", json=new).status_code == 403
        assert owner.get("/v1/tenants").status_code == 403
    cloud.tenancy.people.create("default", "root", PASSWORD, "viewer", by=SYSTEM)
    cloud.tenancy.grants.grant(INSTALLATION, "root", "administrator", by=SYSTEM)
    with cloud.client("root") as root:
        assert root.post("/v1/tenants", json=new).status_code == 201
        assert root.post("/v1/tenants", json=new).status_code == 409
        assert root.get("/v1/users").status_code == 403  # not of the tenant's people
        with cloud.client("sue") as sue:
            assert sue.get("/v1/tenant").json()["name"] == "South"
            assert sue.get("/v1/tenants").status_code == 403
            suspended = root.patch("/v1/tenants/south", json={"state": "suspended"})
            assert suspended.json()["state"] == "suspended"
        lost = root.patch("/v1/tenants/default", json={"state": "suspended"})
        assert lost.status_code == 400
        with httpx.Client(base_url=cloud.url) as anybody:
            body = {"user": "sue", "password": PASSWORD}
            assert anybody.post("/v1/session", json=body).status_code == 401
        assert root.patch("/v1/tenants/south", json={"state": "active"}).status_code == 200
        with cloud.client("sue") as sue:
            assert sue.get("/v1/vehicles").json()["items"] == []


def test_a_person_changes_their_own_password(client: httpx.Client, cloud: Any) -> None:
    assert _add(client, "olly").status_code == 201
    better = PASSWORD + " again"
    with cloud.client("olly") as here, cloud.client("olly") as elsewhere:
        wrong = here.put("/v1/session/password", json={"current": "x", "password": better})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (400, "current")
        short = here.put("/v1/session/password", json={"current": PASSWORD, "password": "x"})
        assert short.json()["errors"][0]["field"] == "password"
        key = here.post("/v1/keys", json={"name": "k"}).json()["secret"]
        body = {"current": PASSWORD, "password": better}
        with httpx.Client(base_url=cloud.url, headers={"Authorization": f"Bearer {key}"}) as stolen:
            assert stolen.put("/v1/session/password", json=body).status_code == 403
        assert here.put("/v1/session/password", json=body).status_code == 204
        assert here.get("/v1/session").status_code == 200
        time.sleep(1)  # longer than callers are remembered
        assert elsewhere.get("/v1/session").status_code == 401
    sign_in = {"user": "olly", "password": better}
    with httpx.Client(base_url=cloud.url) as anybody:
        assert anybody.post("/v1/session", json=sign_in).status_code == 200
    assert client.delete("/v1/users/olly").status_code == 204


def test_guessing_the_present_password_is_stopped(client: httpx.Client, cloud: Any) -> None:
    assert _add(client, "gus").status_code == 201
    with cloud.client("gus") as gus:
        body = {"current": "guess", "password": PASSWORD + "2"}
        tries = [gus.put("/v1/session/password", json=body).status_code for _ in range(6)]
    assert tries == [400] * 5 + [429]
    assert client.delete("/v1/users/gus").status_code == 204
