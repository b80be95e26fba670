"""What protects the browser and the session: response headers and the same-origin check."""

import asyncio
import contextlib
from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from carcloud.web.problems import Refused

DRAINED = 4  # bodies up to so many times the limit are taken in before they are refused
DRAIN_S = 10.0  # s
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "worker-src 'self' blob:",  # MapLibre GL starts its workers from blob URLs
        "child-src 'self' blob:",
        "style-src 'self' 'unsafe-inline'",  # MapLibre and charts set style attributes
        "img-src 'self' data: blob: {tiles}",
        "font-src 'self' data:",
        "connect-src 'self' {tiles}",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)


def response_headers(tiles: str) -> dict[str, str]:
    """Headers of every response; `tiles` is the base map's URL, empty = none."""
    return {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY.format(tiles=origin_of(tiles)).replace(
            " ;", ";"
        ),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "geolocation=(), camera=(), microphone=()",
    }


def origin_of(url: str) -> str:
    """`https://host:port` of a tile or PMTiles URL, empty when it has none."""
    plain = url.removeprefix("pmtiles://")
    if not plain.startswith(("http://", "https://")):
        return ""
    scheme, rest = plain.split("://", 1)
    host = rest.split("/", 1)[0].replace("{s}", "*")
    return f"{scheme}://{host}" if all(c.isalnum() or c in ".-:*" for c in host) else ""


def add_headers(tiles: str) -> Any:
    """A hook that adds the security headers, and `no-store` to answers of the API."""
    fixed = [
        (name.lower().encode(), value.encode()) for name, value in response_headers(tiles).items()
    ]
    names = frozenset(name for name, _ in fixed)
    no_store = (b"cache-control", b"no-store")

    async def before_send(message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        headers = list(message["headers"])
        there = {name.lower() for name, _ in headers}
        if names.isdisjoint(there):
            headers += fixed
        else:
            headers += (header for header in fixed if header[0] not in there)
        if no_store[0] not in there and scope["path"].startswith("/v1/"):
            headers.append(no_store)
        message["headers"] = headers

    return before_send


async def same_origin(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """Refuse a state-changing request that a page of another site made the browser send.

    Requests with a bearer token cannot be forged so and pass. A coroutine, though it waits for
    nothing: Litestar would run a plain function in a thread, for each request.
    """
    method = connection.scope.get("method", "GET")
    if method in SAFE_METHODS or "authorization" in connection.headers:
        return
    site = connection.headers.get("sec-fetch-site")
    if site not in (None, "same-origin", "none"):
        raise Refused(403, "this request comes from another site", code="cross-site")
    origin = connection.headers.get("origin")
    host = connection.headers.get("host", "")
    if origin is not None and origin.split("://", 1)[-1] != host:
        raise Refused(403, f"this request comes from {origin}", code="cross-site")


class BodyLimit(ASGIMiddleware):
    """Answers 413 to a body that says it is too large, after taking in what is on the way.

    A server that closes at once makes many clients report a broken connection instead.
    """

    scopes = (ScopeType.HTTP,)

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass on what is small enough."""
        handler: Any = scope.get("route_handler")
        if handler is not None and handler.opt.get("streamed"):
            await next_app(scope, receive, send)  # it bounds its body itself
            return
        length = Headers.from_scope(scope).get("content-length", "0")
        size = int(length) if length.isdigit() else 0
        if size > self._most:
            if size <= DRAINED * self._most:
                await _drain(receive)
            raise Refused(413, f"the body may have {self._most} bytes", field="body")
        await next_app(scope, receive, send)


async def _drain(receive: Receive) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            while True:
                message = await receive()
                if message["type"] != "http.request" or not message["more_body"]:
                    return
