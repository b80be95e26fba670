"""What the OpenAPI document says of every route."""

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Tag

from carcloud.web.problems import MEDIA_TYPE, ProblemDetails


def _problem(description: str) -> ResponseSpec:
    return ResponseSpec(
        ProblemDetails,
        description=description,
        media_type=MEDIA_TYPE,
        generate_examples=False,
    )


_ALL = {
    400: "The request is not valid; `errors` names the fields",
    401: "Not signed in",
    403: "Not allowed: a permission is missing, or the request comes from another site",
    404: "There is no such thing",
    409: "Somebody else changed it, or it exists already",
    412: "It has changed since the tag in `If-Match`",
    413: "The body is too large",
    415: "The body has the wrong media type",
    416: "The range lies beyond the end",
    428: "`If-Match` is needed",
    429: "Too many at the same time; try again later",
    503: "An engine does not answer; try again later",
    507: "An engine has no room",
}


def errors(*statuses: int) -> dict[int, ResponseSpec]:
    """The problem documents of a route, by status."""
    return {status: _problem(_ALL[status]) for status in statuses}


ERRORS = errors(400, 401, 404, 503)

TAGS = [
    Tag("session", "Signing in and out"),
    Tag("people", "People, service accounts, roles, grants, and who may do what"),
    Tag("keys", "API keys, short-lived tokens, open sessions"),
    Tag("tenants", "Tenants and their projects"),
    Tag("audit", "The record of changes and of refused attempts"),
    Tag("vehicles", "The registry of vehicles: lifecycle, labels, credentials, import"),
    Tag("models", "Vehicle models: what the vehicles of one kind have in common"),
    Tag("signals", "The catalogue of signals and the tenant's overlay on it"),
    Tag("telemetry", "What vehicles sent: latest state, frames, signals, positions, alarms"),
    Tag("commands", "Commands to vehicles, their desired and reported state"),
    Tag("campaigns", "Campaigns: what vehicles collect, when, and how far it has come"),
    Tag("query", "The tenant's tables and SQL on them"),
    Tag("dead-letters", "Frames that could not be read, and reading them again"),
    Tag("forwarding", "Links to further GB/T 32960 platforms, and lower platforms that log in"),
    Tag("jobs", "Work that is done in the background: jobs, their logs and artifacts, schedules"),
    Tag("metering", "Usage, quotas, costs, budgets, prices and statements"),
    Tag("buckets", "Buckets and objects; the S3 interface does more"),
    Tag("operation", "The state of the cloud, live events, health, metrics"),
]
