"""Every error leaves as a problem document (RFC 9457) that names the field to mend."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from msgspec import UNSET, UnsetType

from carcloud.model.ids import InvalidId
from carcloud.model.limits import LIMIT, Bound, OverLimit
from carcloud.ports.errors import (
    Conflict,
    EngineError,
    Full,
    NotFound,
    QueryCancelled,
    QueryLimit,
    QueryRefused,
    Unavailable,
)
from carcloud.services.telemetry.api import (
    BuiltInTable,
    InvalidArgument,
    TooBusy,
    UnknownDeadLetter,
    UnknownQuery,
    UnknownTable,
)
from carcloud.services.tenancy.api import Denied

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field of the request."""

    field: str
    detail: str


class QuotaReached(msgspec.Struct, frozen=True):
    """The limit in the way of a request, what is used of it, and how to have it raised."""

    limit: str
    value: int
    used: int
    unit: str
    how: str


class ProblemDetails(msgspec.Struct, frozen=True):
    """An error as RFC 9457 describes it; `errors` names the fields at fault."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldError] = []
    quota: QuotaReached | UnsetType = UNSET


class Refused(Exception):
    """The request cannot be served; carries the status and the fields at fault."""

    quota: QuotaReached | UnsetType = UNSET

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        field: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = [] if field is None else [FieldError(field, detail)]
        self.code = code
        self.headers = dict(headers or {})


Translate = Callable[[Any], Refused]
_RETRY = {"Retry-After": "2"}


def over_limit(error: OverLimit) -> Refused:
    """The refusal of what would go over a quota: 403 for amounts, 429 where time helps."""
    headers = {}
    if error.bound is not Bound.AMOUNT:
        headers["Retry-After"] = str(error.retry_after_s or 1)
    status = 403 if error.bound is Bound.AMOUNT else 429
    refused = Refused(status, str(error), code="quota", headers=headers)
    unit = LIMIT[error.limit].unit
    refused.quota = QuotaReached(error.limit, error.value, error.used, unit, error.how)
    return refused


TRANSLATIONS: dict[type[Exception], Translate] = {
    InvalidId: lambda e: Refused(400, str(e), field=e.field),
    OverLimit: over_limit,
    InvalidArgument: lambda e: Refused(400, str(e), field=e.field),
    UnknownDeadLetter: lambda e: Refused(404, f"there is no dead letter {e}"),
    UnknownTable: lambda e: Refused(404, f"there is no table {e}"),
    BuiltInTable: lambda e: Refused(409, f"{e} is a table of carcloud's own, and stays"),
    UnknownQuery: lambda e: Refused(404, f"you run no query {e}"),
    QueryCancelled: lambda e: Refused(409, str(e), code="query-cancelled"),
    QueryRefused: lambda e: Refused(400, str(e), field="sql", code="query-refused"),
    QueryLimit: lambda e: Refused(400, str(e), field="sql", code="query-limit"),
    TooBusy: lambda e: Refused(429, str(e), headers=_RETRY),
    NotFound: lambda e: Refused(404, str(e)),
    Conflict: lambda e: Refused(409, str(e)),
    Full: lambda e: Refused(507, f"the {e.engine} has no room: {e}", code="full"),
    Unavailable: lambda e: Refused(503, f"the {e.engine} does not answer", headers=_RETRY),
    EngineError: lambda e: Refused(503, f"the {e.engine} failed", headers=_RETRY),
}


def exception_handlers(
    more: Mapping[type[Exception], Translate],
    on_denied: Callable[[Request[Any, Any, Any], str], None] | None = None,
) -> dict[int | type[Exception], Callable[[Request[Any, Any, Any], Any], Response[bytes]]]:
    """Handlers for the application; `more` translates the errors of further services, and
    `on_denied(request, action)` is told of every refusal for want of a permission."""
    known = {**TRANSLATIONS, **more}

    def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        if isinstance(error, Denied) and on_denied is not None and "user" in request.scope:
            on_denied(request, error.action)
        return respond(request, _refused(error, known))

    return {Exception: handle}


def respond(request: Request[Any, Any, Any], refused: Refused) -> Response[bytes]:
    """The problem document of a refusal."""
    title = HTTPStatus(refused.status).phrase
    document = ProblemDetails(
        type=f"urn:carcloud:problem:{refused.code}" if refused.code else "about:blank",
        title=title,
        status=refused.status,
        detail=refused.detail or title,
        instance=request.url.path,
        errors=refused.errors,
        quota=refused.quota,
    )
    return Response(
        msgspec.json.encode(document),
        status_code=refused.status,
        media_type=MEDIA_TYPE,
        headers=refused.headers,
    )


def _refused(error: Exception, known: Mapping[type[Exception], Translate]) -> Refused:
    if isinstance(error, Refused):
        return error
    for kind in type(error).__mro__:
        if kind in known:
            if issubclass(kind, EngineError) and not issubclass(kind, (NotFound, Conflict)):
                log.warning("%s: %s", type(error).__name__, error)
            return known[kind](error)
    if isinstance(error, HTTPException) and error.status_code < 500:
        return _from_framework(error)
    log.error("a request failed", exc_info=error)
    return Refused(500, "the server could not deal with this request; its log says why")


def _from_framework(error: HTTPException) -> Refused:
    refused = Refused(error.status_code, error.detail, headers=error.headers)
    extra = error.extra if isinstance(error.extra, list) else []
    refused.errors = _field_errors(extra)
    if refused.errors:
        refused.detail = "; ".join(f"{e.field}: {e.detail}" for e in refused.errors)
    elif error.status_code == 400:
        refused.detail = refused.detail.split(" for path ", 1)[0]
        refused.errors = [FieldError(_field_at_fault(error.detail), refused.detail)]
    return refused


def _field_errors(extra: Sequence[Any]) -> list[FieldError]:
    return [_field_error(one) for one in extra if isinstance(one, dict)]


def _field_error(one: Mapping[str, Any]) -> FieldError:
    message = str(one.get("message", "is not valid"))
    field = _argument(str(one.get("key", "body")))
    member = _MEMBER.search(message)  # of an object: the field is the member, not the object
    if member is not None:
        field = member[1] if field == "body" else f"{field}.{member[1]}"
    return FieldError(field, message)


def _argument(key: str) -> str:
    """The name on the wire: `from_` stands for `from`, the body is called `body`."""
    plain = key.split("[", 1)[0].rstrip(".")
    return {"data": "body", "from_": "from"}.get(plain, plain)


def _field_at_fault(detail: str) -> str:
    """From messages such as `Missing required query parameter 'sql' for path …`."""
    parameter = _PARAMETER.search(detail)
    return _argument(parameter[1]) if parameter else "body"


_MEMBER = re.compile(r"(?:missing required|contains unknown) field `([^`]*)`")
_PARAMETER = re.compile(r"parameter '([^']*)'")
