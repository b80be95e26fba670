"""Every method of the Python client asks for what the OpenAPI document has, and all of it."""

import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from carcloud.client.access_types import Scope
from carcloud.client.arrow import SeriesSet
from carcloud.client.audit import _Audit
from carcloud.client.buckets import _Buckets
from carcloud.client.campaigns import Target, _Campaigns
from carcloud.client.cloud import Cloud
from carcloud.client.commands import _Commands
from carcloud.client.cost_types import Price, Tier
from carcloud.client.costs import _Budgets, _Costs, _Usage
from carcloud.client.dead_letters import _DeadLetters
from carcloud.client.exchange import Call, Listing
from carcloud.client.jobs import _Jobs, _Schedules
from carcloud.client.keys import _Keys
from carcloud.client.mappings import _Mappings
from carcloud.client.methods import call, many
from carcloud.client.people import _LoginProviders, _People, _Roles
from carcloud.client.signals import _Signals
from carcloud.client.tenants import Owner, _Tenants
from carcloud.client.types import LifecycleRule, LogText, NewJob, Schedule, Tagged
from carcloud.client.vehicles import CredentialsChange, _Models, _Vehicles

LINKS = "administration: by the console, `carcloud forwarding`, `platforms`, or `client.send`"
SESSION = "a session in a browser; programs have a token"
OPERATION = "for load balancers and Prometheus, which ask themselves"
LEFT_OUT = {  # parts of the document by the beginning of their path, and why no method asks
    "/v1/session": SESSION,
    "/v1/sessions": SESSION,
    "/v1/registration": SESSION,
    "/v1/forwarding": LINKS,
    "/v1/platforms": LINKS,
    "/v1/live": "events for the map of the console; a program asks for the twin",
    "/v1/ui": "facts for the console",
    "/v1/cron": "for the form of a schedule in the console",
    "/v1/system": "for the page of the operator; programs ask `/v1/status` and `/metrics`",
    "/healthz": OPERATION,
    "/readyz": OPERATION,
    "/metrics": OPERATION,
}
UNASKED = {  # query arguments that a method does not give, and why
    (_DeadLetters, "reasons"): {"reason", "vehicle"},  # counts all that wait
    (_Buckets, "objects"): {"delimiter"},  # a list of all; `page` has the folders
    (_Buckets, "read"): {"show"},  # for browsers
    (_Buckets, "download"): {"show"},
}
PAGED = {"cursor", "limit"}
JOB = NewJob("script", {"a": 1}, "n", "k", ("j",), "q", 6, 1, 2.0, 3.0, 2.0, 600, "p")
ARGUMENTS: dict[str, Any] = {  # one for each name of an argument of a method
    "url": "s3://own", "options": {"region": "x"}, "sealed": True, "asked": True,
    "id": "x1", "vehicle": "x1", "job": "abcdef0123456789", "letter": "x1", "model": "m1",
    "name": "n1", "schedule": "daily", "etag": '"1"', "q": "part", "label": "depot:north",
    "lifecycle": "active", "online": True, "alarm_min": 1, "sort": "id", "limit": 7, "vin": None,
    "labels": {"depot": "north"}, "protocol": "gbt32960",
    "credentials": CredentialsChange("a", "b", "c", "d"), "text": "id\nx1\n",
    "before": "2026-05-01T00:00:00Z", "paths": ["Vehicle.Speed"], "start": "2026-05-01T00:00:00Z",
    "end": "2026-05-02T00:00:00Z", "points": 9, "maker": "m", "datum": "GCJ02",
    "datatype": "float", "unit": "V", "origin": "vss", "reported": True,
    "deprecated": False, "partition": "slow", "path": "Vehicle.Speed", "overlay": "{}",
    "until": datetime.fromisoformat("2026-05-01T00:00:00Z"),
    "current_sign": "charge", "kind": "script", "params": {"a": 1}, "after": ["j"], "queue": "q",
    "priority": 6, "retries": 1, "backoff_s": 2.0, "timeout_s": 3.0, "cpus": 2.0,
    "memory_mb": 600, "project": "p", "jobs": [JOB], "state": "failed", "attempt": 1, "offset": 2,
    "cron": "0 1 * * *", "timezone": "Asia/Shanghai", "enabled": False, "overlap": True,
    "reason": "r", "force": True, "sql": "SELECT 1", "rows": 3,
    "bucket": "recordings", "prefix": "2026/", "delimiter": "/", "versions": True,
    "cursor": "c", "key": "a/b", "version": "v", "data": b"x", "media": "text/plain", "size": 1,
    "tags": {"a": "b"}, "versioning": "Enabled",
    "password": "correct horse", "role": "viewer", "scope": Scope("lab", {"depot": "north"}),
    "note": "ann", "user": "ann", "disabled": True, "invitation": "0" * 16, "days": 3.0,
    "actions": ["jobs:read"], "grant": "0" * 16, "action": "jobs:read", "provider": "p1",
    "issuer": "https://login.example", "client_id": "c", "client_secret": "s",
    "domains": ["example.com"], "creates": True, "claim": "groups", "roles": {"a": "viewer"},
    "installation": True, "mine": True, "minutes": 5.0, "owner": Owner("ann", "correct horse"),
    "tenant": "t1", "confirm": "t1", "export": "0" * 16, "actor": "ann", "subject": "x",
    "denied": True,
    "by": "day", "quota": "jobs", "value": 5, "period": "2026-05", "currency": "CNY",
    "first_month": "2026-05", "last_month": "2026-06", "decimals": 2, "book": "0" * 16,
    "prices": {"messages": Price((Tier(Decimal(1), Decimal(5)),), Decimal(2))},
    "budget": "0" * 16, "amount": Decimal("10.5"), "thresholds": [50], "meter": "messages",
    "on_forecast": False,
    "campaign": "c1", "document": {"id": "c1"}, "target": Target(("x1",), ("m1",), ("a",), 5.0),
    "hours": 2.0, "compatibility": True, "percent": 10.0, "expression": "true",
    "command": "06512f0a", "dbc": {"a.dbc": "x"}, "arguments": {"text": "hi"}, "desired": {"a": 1},
    "logs": ["a.mf4"], "mapping": "map.yaml", "zone": "+08:00", "transports": ["j1939"],
}  # fmt: skip
OTHER = {  # where the same name means something else
    (_Jobs, "log", "start"): 5,
    (_Vehicles, "import_can_logs", "dbc"): ["car.dbc"],
    (_Signals, "list", "kind"): "sensor",
    (_Signals, "version", "version"): 1,
    (_Mappings, "version", "version"): 1,
    (_Mappings, "dbc", "version"): 1,
    (_Schedules, "create", "job"): JOB,
    (_Schedules, "replace", "schedule"): Schedule(
        "daily", "0 1 * * *", "UTC", JOB, True, True, None, (), None, None, "u",
        datetime.fromisoformat("2026-05-01T00:00:00Z"), etag='"1"',
    ),
    (_Campaigns, "list", "state"): "running",
    (_Campaigns, "approve", "version"): 2,
    (_Campaigns, "start", "version"): 2,
    (Cloud, "query_file", "kind"): "csv",
    (_Buckets, "change", "lifecycle"): [LifecycleRule(days=1)],
    (_Buckets, "change", "versioning"): "Enabled",
    (_Tenants, "change", "state"): "suspended",
}  # fmt: skip
BY_PATH = {"send", "items", "stream"}  # ask for any route
GROUPS = (
    Cloud, _Vehicles, _Models, _Jobs, _Schedules, _DeadLetters, _Buckets, _People, _Roles,
    _LoginProviders, _Keys, _Tenants, _Commands, _Campaigns, _Mappings, _Signals, _Audit, _Usage,
    _Costs,
    _Budgets,
)  # fmt: skip
OWN = {(_Usage, "quotas")} | {  # ask another route for the tenant that one works in
    (_Tenants, f"{verb}export{many}")
    for verb, many in (("", "s"), ("", ""), ("get_", ""), ("download_", ""), ("remove_", ""))
}


def methods() -> Iterator[tuple[type, str, Call[Any]]]:
    for group in GROUPS:
        for name, method in vars(group).items():
            if isinstance(method, call | many) and name not in BY_PATH:
                yield group, name, _asked(group, name, method)
                if (group, name) == (_Commands, "list"):
                    yield group, name, _asked(group, name, method, vehicle=None)
                if (group, name) in OWN:
                    yield group, name, _asked(group, name, method, tenant=None)


def _asked(
    group: type, name: str, method: call[Any, Any] | many[Any, Any], **other: Any
) -> Call[Any]:
    """The call of a method with all its arguments given."""
    given = {}
    for argument in list(inspect.signature(method.build).parameters)[1:]:
        key = (group, name, argument)
        assert key in OTHER or argument in ARGUMENTS, f"give {argument} a value in ARGUMENTS"
        given[argument] = OTHER.get(key, ARGUMENTS.get(argument))
    given |= other
    made = method.build(None, **given)
    if isinstance(made, Call):
        return made
    first = made.begin() if isinstance(made, Listing) else made.ask()
    assert first is not None
    return first


METHODS = list(methods())
NAMES = [f"{group.__name__.strip('_')}.{name}" for group, name, _ in METHODS]


@pytest.fixture(scope="module")
def document(cloud: Any) -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(cloud.app.openapi_schema.to_schema()))  # type: ignore[no-any-return]


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return dict(schema)


@pytest.mark.parametrize(("group", "name", "asked"), METHODS, ids=NAMES)
def test_a_method_asks_for_a_route_with_all_that_it_takes(
    document: dict[str, Any], group: type, name: str, asked: Call[Any]
) -> None:
    operation = document["paths"].get(asked.route, {}).get(asked.method.lower())
    assert operation, f"there is no {asked.method} {asked.route}"
    told = {(one["in"], one["name"].lower()) for one in operation.get("parameters", [])}
    given = {("path", place.lower()) for place in asked.place}
    given |= {("query", argument) for argument, value in asked.query.items() if value is not None}
    given |= {("header", header) for header in asked.headers if header == "if-match"}
    left = {("query", argument) for argument in PAGED if ("query", "cursor") in told}
    left |= {("query", argument) for argument in UNASKED.get((group, name), ())}
    assert given <= told, f"the route does not take {given - told}"
    assert told - left <= given, f"the method does not give {told - left - given}"


@pytest.mark.parametrize(("group", "name", "asked"), METHODS, ids=NAMES)
def test_a_body_has_the_fields_that_the_route_takes(
    document: dict[str, Any], group: type, name: str, asked: Call[Any]
) -> None:
    content = document["paths"][asked.route][asked.method.lower()].get("requestBody", {})
    content = content.get("content", {})
    if not content:
        assert asked.body is None or (group, name) == (_Buckets, "put")  # any bytes
    elif "text/csv" in content:
        assert asked.headers["content-type"] == "text/csv"
        assert isinstance(asked.body, bytes)
    else:
        options = _options(document, content["application/json"]["schema"])
        (schema,) = (one for one in options if one.get("type") != "null")
        _same_fields(document, type(asked.body), schema, name)
        sent = msgspec.json.decode(msgspec.json.encode(asked.body))
        assert set(schema.get("required", ())) <= set(sent)


@pytest.mark.parametrize(("group", "name", "asked"), METHODS, ids=NAMES)
def test_a_result_has_the_fields_that_the_route_tells(
    document: dict[str, Any], group: type, name: str, asked: Call[Any]
) -> None:
    responses = document["paths"][asked.route][asked.method.lower()]["responses"]
    good = next(responses[status] for status in sorted(responses) if status.startswith("2"))
    content = good.get("content", {})
    if asked.kind is None:
        assert not content
    elif asked.kind not in (bytes, str):
        _same_fields(document, asked.kind, content["application/json"]["schema"], name)


def test_news_of_a_job_are_what_the_route_sends() -> None:
    assert LogText.__struct_fields__ == ("attempt", "offset", "text")


def _same_fields(
    document: Mapping[str, Any], kind: Any, schema: Mapping[str, Any], where: str
) -> None:
    """Fields and their kinds are the same, all the way down."""
    options = _options(document, schema)
    wanted = _members(kind)
    structs = [
        one
        for one in wanted
        if isinstance(_origin(one), type) and issubclass(_origin(one), msgspec.Struct)
    ]
    for struct in structs:
        shown = next((one for one in options if "properties" in one), None)
        assert shown is not None, f"{where}: the document has no object here"
        fields = {f.encode_name: f.type for f in msgspec.structs.fields(struct)}
        if issubclass(_origin(struct), Tagged):
            del fields["etag"]  # out of the header
        assert set(fields) == set(shown["properties"]), where
        for field, inner in fields.items():
            _same_fields(document, inner, shown["properties"][field], f"{where}.{field}")
    for one in wanted:
        if _origin(one) in (tuple, list) and typing.get_args(one)[-1] is Ellipsis:
            shown = next(found for found in options if found.get("type") == "array")
            _same_fields(document, typing.get_args(one)[0], shown["items"], where + "[]")
        elif _origin(one) is dict and typing.get_args(one)[1:] not in ((), (Any,)):
            shown = next(found for found in options if found.get("type") == "object")
            _same_fields(document, typing.get_args(one)[1], shown["additionalProperties"], where)
    _same_plain_kinds(wanted, options, where)


PLAIN = {str: "string", datetime: "string", Decimal: "string", bool: "boolean", int: "integer",
         float: "number", type(None): "null"}  # fmt: skip


def _same_plain_kinds(wanted: list[Any], options: list[dict[str, Any]], where: str) -> None:
    ours = {PLAIN[one] for one in wanted if one in PLAIN}
    theirs = {_plain(one) for one in options} & set(PLAIN.values())
    if Any not in wanted:
        assert ours == theirs, f"{where}: {ours} here, {theirs} in the document"


def _plain(option: Mapping[str, Any]) -> str:
    if "enum" in option or "const" in option:
        return "string"
    return str(option.get("type", ""))


def _options(document: Mapping[str, Any], schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    schema = _resolved(document, schema)
    if len(schema.get("allOf", ())) == 1:  # with examples beside it
        return _options(document, schema["allOf"][0])
    inner = schema.get("oneOf") or schema.get("anyOf")
    if inner:
        return [each for one in inner for each in _options(document, one)]
    if isinstance(schema.get("type"), list):
        return [{**schema, "type": one} for one in schema["type"]]
    return [schema]


def _origin(kind: Any) -> Any:
    return typing.get_origin(kind) or kind


def _members(kind: Any) -> list[Any]:
    """The kinds of a union; a literal is text, and what may be unset is as it is when set."""
    origin = _origin(kind)
    if origin in (typing.Union, types.UnionType):
        return [each for one in typing.get_args(kind) for each in _members(one)]
    if origin is typing.Literal:
        return [str]
    if isinstance(origin, type) and issubclass(origin, Mapping) and origin is not dict:
        return [dict[typing.get_args(kind)]]  # type: ignore[misc]
    return [] if kind is msgspec.UnsetType else [kind]


def test_every_route_is_asked_for_by_a_method_or_left_out_for_a_reason(
    document: dict[str, Any],
) -> None:
    verbs = {"get", "post", "put", "patch", "delete"}
    routes = {
        (v.upper(), path) for path, has in document["paths"].items() for v in has if v in verbs
    }
    asked = {(one.method, one.route) for _, _, one in METHODS}
    missing = {(verb, path) for verb, path in routes - asked if _part(path) not in LEFT_OUT}
    assert not missing, "give the client a method, or say in LEFT_OUT why not"
    parts = {_part(path) for _, path in routes}
    assert set(LEFT_OUT) <= parts, f"no routes any more: {set(LEFT_OUT) - parts}"
    assert not {_part(path) for _, path in asked} & set(LEFT_OUT)


def _part(path: str) -> str:
    pieces = path.split("/")
    return "/".join(pieces[:3] if pieces[1] == "v1" else pieces[:2])


def test_the_series_are_checked_too() -> None:
    assert any(one.kind is SeriesSet for _, _, one in METHODS)
