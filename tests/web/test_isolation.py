"""Whoever belongs to another tenant learns nothing of this one: by id, by guess or by listing.

Made from the OpenAPI document, so that a new route is tried by itself; a parameter or a body that
this file does not know fails the test.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pyarrow as pa
import pytest

from carcloud.engines.lake_delta import DeltaLake
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.ports.lake import TableRef
from carcloud.services.compute.table_rows import as_rows

MARK = "zqxowned"  # in every name that the owner chooses
SIGNAL = "Vehicle.Speed"
NOTHING = {  # as an id of the kind that a parameter takes, of a thing that never was
    "vehicle": "ZQXNONE0000000001", "user": "zqxnone", "grant": "1" * 16, "role": "zqxnone",
    "invitation": "1" * 16, "key": "1" * 16, "session": "1" * 16, "project": "zqxnone",
    "tenant": "zqxnone", "model": "zqxnone", "letter": "1-1-1-1", "link": "zqxnone",
    "platform_id": "ZQXNONE0000000001", "job_id": "1" * 32, "schedule": "zqxnone",
    "budget": "1" * 32, "bucket": "zqxnone", "query_id": "1" * 32,
    "provider": "1" * 16, "command": "1" * 24, "path": "Vehicle.Zqxnone",
    "export": "1" * 16, "table": "zqxnone", "campaign": "zqxnone",
}  # fmt: skip
FIXED = {"name": "answer.parquet", "limit": "jobs", "period": "2026-01", "book": "1" * 32,
    "version": "1"}  # fmt: skip
JOB = {"kind": "query-export", "params": {"sql": "SELECT 1 AS answer"}}
CAMPAIGN = {"trigger": {"every_ms": 1000}, "signals": [{"path": SIGNAL}]}
QUERIES = {"paths": SIGNAL, "key": f"{MARK}/a.txt", "line": "0 3 * * *"}
BODIES: dict[tuple[str, str], Any] = {
    ("PATCH", "/v1/users/{user}"): {"disabled": True},
    ("PUT", "/v1/users/{user}/password"): {"password": "another horse battery"},
    ("PUT", "/v1/roles/{role}"): {"name": "Mine", "actions": ["vehicles:read"]},
    ("PATCH", "/v1/tenants/{tenant}"): {"name": "Mine"},
    ("PATCH", "/v1/tenants/{tenant}/storage"): {"sealed": True},
    ("PATCH", "/v1/vehicles/{vehicle}"): {"labels": {"mine": "yes"}},
    ("PATCH", "/v1/models/{model}"): {"name": "Mine"},
    ("PUT", "/v1/models/{model}/mapping"): {"text": "signals: {Vehicle.Speed: {obd: 0D}}"},
    ("POST", "/v1/models/{model}/mapping/suggest"): {"dbc": {}},
    ("POST", "/v1/models/{model}/redecode"): {
        "from": "2026-05-01T00:00:00Z",
        "to": "2026-05-02T00:00:00Z",
    },
    ("POST", "/v1/vehicles/{vehicle}/can-logs"): {"bucket": "zqxnone", "logs": ["a.log"]},
    ("PATCH", "/v1/vehicles/{vehicle}/state/desired"): {"mine": True},
    ("POST", "/v1/vehicles/{vehicle}/commands"): {"name": "locate"},
    ("POST", "/v1/vehicles/{vehicle}/commands/{command}/cancel"): None,
    ("PUT", "/v1/campaigns/{campaign}"): {"document": CAMPAIGN},
    ("POST", "/v1/campaigns/{campaign}/approve"): {"version": 1},
    ("POST", "/v1/campaigns/{campaign}/start"): {"percent": 50},
    ("POST", "/v1/campaigns/{campaign}/forward"): {},
    ("POST", "/v1/dead-letters/{letter}/reprocess"): None,
    ("PATCH", "/v1/forwarding/{link}"): {"enabled": False},
    ("PUT", "/v1/platforms/{platform_id}"): {"user": "mine", "password": "mine and only mine"},
    ("PATCH", "/v1/buckets/{bucket}"): {"tags": {"mine": "yes"}},
    ("PUT", "/v1/buckets/{bucket}/object/tags"): {"mine": "yes"},
    ("PUT", "/v1/schedules/{schedule}"): {"cron": "0 4 * * *", "job": JOB},
    ("PATCH", "/v1/budgets/{budget}"): {"amount": "1"},
    ("PUT", "/v1/price-books/{book}/end"): {"last_month": "2026-12"},
    ("PUT", "/v1/tenants/{tenant}/quotas/{limit}"): {"value": 1},
    ("POST", "/v1/tenants/{tenant}/deletion"): {"confirm": "mine"},
    ("PUT", "/v1/login-providers/{provider}"): {},  # a tenant has its own: the name takes nothing
}
TAKEN = {  # a name that is unique over all tenants: whoever tries to take it must be told
    ("PUT", "/v1/platforms/{platform_id}"): 409,
}
VARYING = re.compile(r'"(last_\w+|used|next|upcoming)":("[^"]*"|null|\[[^]]*\])')
ENDLESS = {"/v1/live"}


@dataclass(frozen=True)
class Owned:
    """What the owner has."""

    client: httpx.Client
    ids: Mapping[str, str]  # by parameter


@pytest.fixture(scope="module")
def owned(cloud: Any, make_frame: Any) -> Iterator[Owned]:
    tenant, vehicle = f"{MARK}-tenant", "ZQXWNED0000000001"
    cloud.settle(tenant, f"{MARK}-owner")
    with cloud.client(f"{MARK}-owner") as client:

        def made(path: str, body: Any) -> dict[str, Any]:
            answer = client.post(path, json=body)
            assert answer.status_code == 201, (path, answer.text)
            return dict(answer.json())

        made("/v1/models", {"id": f"{MARK}-model", "name": MARK})
        mapping = {"text": "signals: {Vehicle.Speed: {obd: 0D}}", "note": MARK}
        place = f"/v1/models/{MARK}-model/mapping"
        assert client.put(place, json=mapping, headers={"If-Match": "*"}).status_code == 200
        made("/v1/vehicles", {"id": vehicle, "labels": {"fleet": MARK}})
        cloud.send(vehicle, make_frame(now_us() - 1_000_000, speed=71.25), tenant=tenant)
        told = made(f"/v1/vehicles/{vehicle}/commands", {"name": "locate"})
        named = {"id": f"{MARK}-campaign", **CAMPAIGN}
        made("/v1/campaigns", {"document": named, "note": MARK})
        cloud.send(vehicle, f"no JSON {MARK}".encode(), tenant=tenant)
        own = f"Vehicle.ZqxMine: {{type: sensor, datatype: float, description: {MARK}}}"
        match = {"If-Match": "*"}
        saved = client.put("/v1/signals/overlay", json={"text": own}, headers=match)
        assert saved.status_code == 200, saved.text
        letters = client.get("/v1/dead-letters").json()["items"]
        project = made("/v1/projects", {"id": f"{MARK}-lab", "name": MARK})
        role = {"id": f"{MARK}-role", "name": MARK, "actions": ["vehicles:read"]}
        made("/v1/roles", role)
        user = made("/v1/service-accounts", {"name": MARK, "role": "viewer", "note": MARK})
        grant = made("/v1/grants", {"user": user["name"], "role": role["id"]})
        key = made("/v1/keys", {"user": user["name"], "name": MARK})
        asked = {"note": MARK, "role": "viewer"}
        invitation = made("/v1/invitations", asked)
        link = {
            "name": f"{MARK}-link", "host": "127.0.0.1", "port": 9,
            "platform_id": "ZQXLINK0000000001", "user": MARK,
            "password": "kept between us", "enabled": False,
        }  # fmt: skip
        made("/v1/forwarding", link)
        account = {"user": MARK, "password": "kept between us"}
        platform = "ZQXPLATFORM000001"
        assert client.put(f"/v1/platforms/{platform}", json=account).status_code in (200, 201)
        job = made("/v1/jobs", {**JOB, "name": MARK})
        schedule = {"name": f"{MARK}-nightly", "cron": "0 3 * * *", "job": JOB}
        made("/v1/schedules", schedule)
        budget = made("/v1/budgets", {"name": MARK, "amount": "10", "thresholds": [50]})
        bucket = f"{MARK}-box"
        made("/v1/buckets", {"name": bucket})
        where = f"/v1/buckets/{bucket}/object"
        put = client.put(where, params={"key": QUERIES["key"]}, content=MARK.encode())
        assert put.status_code == 200, put.text
        session = client.get("/v1/sessions").json()["items"][0]
        ids = {
            "vehicle": vehicle, "user": user["name"], "grant": grant["id"], "role": role["id"],
            "invitation": invitation["invitation"]["id"], "key": key["key"]["id"],
            "session": session["id"],
            "project": project["id"], "tenant": tenant, "model": f"{MARK}-model",
            "letter": letters[0]["id"], "link": link["name"], "platform_id": platform,
            "job_id": job["id"], "schedule": schedule["name"], "budget": budget["id"],
            "bucket": bucket, "query_id": "2" * 32, "provider": "2" * 16, "export": "2" * 16,
            "table": made_table(cloud, tenant), "command": told["id"],
            "path": "Vehicle.ZqxMine", "campaign": named["id"],
        }  # fmt: skip
        yield Owned(client, ids)


def made_table(cloud: Any, tenant: str) -> str:
    """A table as a job of the owner makes it."""
    rows = as_rows(pa.table({"vehicle": [MARK]}))
    lake = DeltaLake(cloud.data / "tenants")
    lake.append(TableRef(Tenant(tenant), f"{MARK}_stats"), rows, writer="job-1", seq=1)
    return f"{MARK}_stats"


@pytest.fixture(scope="module")
def operations(cloud: Any) -> list[tuple[str, str, dict[str, Any]]]:
    paths = httpx.get(f"{cloud.url}/v1/openapi.json", timeout=60).json()["paths"]
    return [
        (method.upper(), path, operation)
        for path, methods in paths.items()
        for method, operation in methods.items()
    ]


def asked(
    client: httpx.Client,
    method: str,
    path: str,
    operation: Mapping[str, Any],
    ids: Mapping[str, str],
) -> tuple[int, str, list[str]]:
    """What is answered, without the ids that were asked for and without what always differs."""
    known = {**ids, **FIXED}
    where = re.sub(r"{(\w+)}", lambda found: known[found[1]], path)
    needed = [p["name"] for p in operation.get("parameters", []) if p["in"] == "query"]
    query = {name: QUERIES[name] for name in needed if name in QUERIES}
    headers = {"If-Match": '"1"'} if method in ("PATCH", "PUT", "DELETE") else {}
    body = BODIES.get((method, path))
    if "requestBody" in operation and body is None:
        assert (method, path) in BODIES, f"what does {method} {path} take?"
    answer = client.request(method, where, params=query, headers=headers, json=body)
    text = answer.text
    for value in sorted(ids.values(), key=len, reverse=True):
        text = text.replace(value, "…")
    # the server closes where it had not taken in the whole body yet: that tells nothing
    told = sorted(set(answer.headers) - {"content-length", "connection"})
    return answer.status_code, text, told


def test_by_id_all_is_as_if_it_were_not_there(
    cloud: Any, owned: Owned, operations: list[tuple[str, str, dict[str, Any]]]
) -> None:
    before = seen_by_its_owner(owned)
    tried = 0
    with cloud.client("stranger") as stranger:
        for method, path, operation in operations:
            wanted = set(re.findall(r"{(\w+)}", path)) - FIXED.keys()
            if not wanted:
                continue
            assert wanted <= NOTHING.keys(), f"{path}: what is the id of a {wanted}?"
            tried += 1
            theirs = asked(stranger, method, path, operation, owned.ids)
            if (method, path) in TAKEN:
                assert theirs[0] == TAKEN[method, path]
                continue
            nothing = asked(stranger, method, path, operation, NOTHING)
            assert theirs == nothing, (method, path)
            assert theirs[0] in (400, 403, 404), (method, path, theirs)
    assert tried >= 55
    assert seen_by_its_owner(owned) == before


def test_in_lists_and_searches_there_is_nothing(
    cloud: Any, owned: Owned, operations: list[tuple[str, str, dict[str, Any]]]
) -> None:
    tried = []
    with cloud.client("stranger") as stranger:
        for method, path, operation in operations:
            if method != "GET" or "{" in path or path in ENDLESS:
                continue
            named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "query"}
            searches: list[dict[str, str]] = [{n: QUERIES[n] for n in named & QUERIES.keys()}]
            for name, value in (
                ("q", MARK), ("vehicle", owned.ids["vehicle"]), ("user", owned.ids["user"]),
                ("project", owned.ids["project"]), ("tenant", owned.ids["tenant"]),
                ("label", f"fleet={MARK}"), ("actor", f"{MARK}-owner"), ("object", MARK),
            ):  # fmt: skip
                if name in named:
                    searches.append({**searches[0], name: value})
            for search in searches:
                answer = stranger.get(path, params=search)
                assert answer.status_code in (200, 400, 403, 404, 503), (path, answer.text)
                text = told_by_others(path, answer.text)
                for value in search.values():  # what was asked for may be told again
                    text = text.replace(json.dumps(value)[1:-1], "")
                leaked = [value for value in (MARK, *owned.ids.values()) if value in text]
                assert leaked == [], (path, search, text)
                tried.append(path)
    assert len(set(tried)) >= 35


def told_by_others(path: str, text: str) -> str:
    """Without what the audit keeps of the stranger's own attempts: the ids they asked for."""
    if not path.startswith("/v1/audit"):
        return text
    entries = json.loads(text).get("items", []) if path == "/v1/audit" else text.splitlines()
    lines = [one if isinstance(one, str) else json.dumps(one) for one in entries]
    return "\n".join(line for line in lines if "stranger" not in line)


def test_sql_finds_nothing(cloud: Any, owned: Owned) -> None:
    assert owned.client.post("/v1/query", json={"sql": "SELECT * FROM signals"}).json()["rows"]
    with cloud.client("stranger") as stranger:
        tables = [one["name"] for one in stranger.get("/v1/tables").json()["items"]]
        assert "signals" in tables
        for table in tables:
            answer = stranger.post("/v1/query", json={"sql": f"FROM {table}"})
            assert answer.status_code == 200, answer.text
            assert MARK not in answer.text and owned.ids["vehicle"] not in answer.text
        for table in (f'"{MARK}-tenant".signals', f"'../{MARK}-tenant/lake/signals'"):
            answer = stranger.post("/v1/query", json={"sql": f"FROM {table}"})
            assert answer.status_code == 400, answer.text


def seen_by_its_owner(owned: Owned) -> dict[str, Any]:
    """What must not change: the things themselves, without when they were last used."""
    i = owned.ids
    places = (
        f"/v1/vehicles/{i['vehicle']}", f"/v1/models/{i['model']}",
        f"/v1/models/{i['model']}/mapping", "/v1/users", "/v1/grants",
        f"/v1/roles/{i['role']}", "/v1/keys", "/v1/invitations", "/v1/projects", "/v1/tenant",
        f"/v1/forwarding/{i['link']}", "/v1/platforms", f"/v1/schedules/{i['schedule']}",
        f"/v1/budgets/{i['budget']}", f"/v1/buckets/{i['bucket']}",
        f"/v1/campaigns/{i['campaign']}", f"/v1/campaigns/{i['campaign']}/versions",
        f"/v1/buckets/{i['bucket']}/objects", f"/v1/dead-letters/{i['letter']}", "/v1/sessions",
    )  # fmt: skip
    seen: dict[str, Any] = {}
    for place in places:
        answer = owned.client.get(place)
        assert answer.status_code == 200, (place, answer.text)
        seen[place] = re.sub(
            r'"(last_\w+|used|next|upcoming)":("[^"]*"|null|\[[^]]*\])', "", answer.text
        )
    job = owned.client.get(f"/v1/jobs/{i['job_id']}").json()
    return {**seen, "job": job["state"] != "cancelled"}
