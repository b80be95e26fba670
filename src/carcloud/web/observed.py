"""Every request gets an id, a log line and a place in the figures of the process."""

import logging
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from litestar.types import Receive, Send

from carcloud import logs
from carcloud.model.figures import Histogram, labelled
from carcloud.model.ids import Tenant
from carcloud.services.tenancy.api import AuditOrigin
from carcloud.web.callers import Caller

log = logging.getLogger(__name__)

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)  # s
_GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_QUIET = ("GET", "HEAD", "OPTIONS")


Use = Callable[[Tenant, str, int], None]


@dataclass(slots=True)
class WebFigures:
    """Counters of one web process since its start."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)  # by route and status
    seconds: dict[str, Histogram] = field(default_factory=dict)  # to the first byte, by route
    live_clients: int = 0
    live_refused: int = 0
    use: Use = lambda _tenant, _meter, _quantity: None

    def count(self, route: str, status: int, seconds: float) -> None:
        """One request has been answered."""
        self.requests[route, str(status)] += 1
        histogram = self.seconds.get(route)
        if histogram is None:
            histogram = self.seconds[route] = Histogram(_BOUNDS)
        histogram.observe(seconds)

    def counters(self) -> dict[str, float]:
        """As the process reports them."""
        told: dict[str, float] = {"live_refused_total": self.live_refused}
        for (route, status), count in self.requests.items():
            told[labelled("http_requests_total", route=route, status=status)] = count
        for route, seconds in self.seconds.items():
            told |= seconds.figures("http_seconds", route=route)
        return told


class Observed:
    """An ASGI application around another one."""

    def __init__(self, app: Any, figures: WebFigures) -> None:
        self._app = app
        self._figures = figures

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        began = time.perf_counter()

        async def told(message: Any) -> None:
            self._meter(scope, message)
            if message["type"] == "http.response.start":
                header = (b"x-request-id", request_id.encode())
                message["headers"] = [*message.get("headers", []), header]
                self._note(scope, message["status"], time.perf_counter() - began)
            await send(message)

        client = scope.get("client")
        address = client[0] if client else ""
        with logs.Bound(request_id=request_id), AuditOrigin(address, request_id):
            await self._app(scope, receive, told)

    def _meter(self, scope: Any, message: Any) -> None:
        """Requests and bytes of those who are signed in; refusals of ours cost nothing."""
        caller = scope.get("user")
        if not isinstance(caller, Caller):
            return
        if message["type"] == "http.response.start":
            free = message["status"] == 429 or message["status"] >= 500
            self._figures.use(caller.tenant, "api_requests", 0 if free else 1)
        elif message["type"] == "http.response.body":
            self._figures.use(caller.tenant, "api_bytes_out", len(message.get("body", b"")))

    def _note(self, scope: Any, status: int, seconds: float) -> None:
        route = route_class(scope.get("path_template"), scope["path"])
        self._figures.count(route, status, seconds)
        level = logging.DEBUG if scope["method"] in _QUIET else logging.INFO
        if status >= 500:
            level = logging.WARNING
        if log.isEnabledFor(level):  # the query string stays out: it is the caller's business
            ms = seconds * 1000
            log.log(level, "%s %s %d %.1f ms", scope["method"], scope["path"], status, ms)


@lru_cache(1024)
def _below(template: str) -> str:
    return "/".join(template.split("/")[:3])


def route_class(template: str | None, path: str) -> str:
    """A name of few possible values: `/v1/vehicles` for all that is below it, `pages` for the
    console, `unknown` for what no route serves."""
    if not path.startswith("/v1/"):
        return template if template in ("/healthz", "/readyz", "/metrics") else "pages"
    if template is None:
        return "unknown"
    return _below(template)


def _request_id(scope: Any) -> str:
    """The one that a proxy gave, if it is harmless, or a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _GIVEN_ID.fullmatch(value):
            return str(value.decode())
    return secrets.token_hex(8)
