"""What can go wrong with a call, as exceptions that carry what the server said."""

import httpx
import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field of a request."""

    field: str
    detail: str


class Quota(msgspec.Struct, frozen=True):
    """The limit in the way of a request, what is used of it, and how to have it raised."""

    limit: str
    value: int
    used: int
    unit: str
    how: str


class Problem(msgspec.Struct, frozen=True):
    """A problem document (RFC 9457); `errors` names the fields at fault."""

    title: str = ""
    status: int = 0
    detail: str = ""
    type: str = "about:blank"
    instance: str = ""
    errors: tuple[FieldError, ...] = ()
    quota: Quota | None = None


class CarcloudError(Exception):
    """Base of all that the client raises about a call."""


class NoCarcloud(CarcloudError):
    """No address was given, and no carcloud runs here."""


class UnreadableAccess(NoCarcloud):
    """A carcloud runs here, but the file that tells how to reach it cannot be read."""


class Unreachable(CarcloudError):
    """Nobody answered at `url`, or the connection broke."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"cannot reach {url}: {reason}")
        self.url = url
        self.reason = reason


class NotCarcloud(CarcloudError):
    """What answered does not speak this API; `url` is what was asked."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url} {reason}")
        self.url = url


class Refused(CarcloudError):
    """The server refused: `status`, `detail`, `errors` by field, `problem` as a whole."""

    def __init__(self, problem: Problem, retry_after_s: float | None = None) -> None:
        super().__init__(problem.detail or problem.title)
        self.problem = problem
        self.status = problem.status
        self.detail = problem.detail or problem.title
        self.errors = problem.errors
        self.quota = problem.quota
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        fields = (f"; {e.field}: {e.detail}" for e in self.errors if e.detail not in self.detail)
        return self.detail + "".join(fields)


class Invalid(Refused):
    """400, 413, 415, 428: the request itself is wrong."""


class NotSignedIn(Refused):
    """401: there is no token, or it is not valid any more."""


class Forbidden(Refused):
    """403: a permission is missing, or an amount is used up: see `quota`."""


class NotFound(Refused):
    """404: there is no such thing, or not for this token."""


class Conflict(Refused):
    """409: it exists already, or its state does not allow this."""


class Changed(Refused):
    """412: somebody changed it since it was seen; read it again, then repeat."""


class TooMany(Refused):
    """429: a rate or a quota is reached; `retry_after_s` says when to ask again."""


class ServerFailed(Refused):
    """500 and above: an engine is down, has no room, or the server has a defect."""


_BY_STATUS: dict[int, type[Refused]] = {
    401: NotSignedIn,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Changed,
    429: TooMany,
}


def refusal(answer: httpx.Response) -> Refused:
    """The exception for an answer of 400 and above, whether or not it has a document."""
    status = answer.status_code
    kind = _BY_STATUS.get(status, ServerFailed if status >= 500 else Invalid)
    try:
        problem = msgspec.json.decode(answer.content, type=Problem)
    except msgspec.MsgspecError:
        problem = Problem()
    if not (problem.detail or problem.title):
        said = f"{answer.request.url} answered {status} {answer.reason_phrase}"
        problem = Problem(title=answer.reason_phrase, detail=said)
    problem = msgspec.structs.replace(problem, status=status)
    return kind(problem, seconds(answer.headers.get("retry-after")))


def seconds(retry_after: str | None) -> float | None:
    """The seconds of a Retry-After header; None for none, or for a date."""
    return float(retry_after) if retry_after and retry_after.strip().isdecimal() else None
