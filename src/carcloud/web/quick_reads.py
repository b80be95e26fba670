"""Reads whose caller is at hand, answered past the framework.

A framework that can do anything looks at each request for everything it might be. Of a plain read
all that is known when the application starts: what its handler is given, what it needs for
permission, how its answer is written. Here a `GET` without a query is answered from that; whatever
is not at hand, or not plain, or not permitted, goes the framework's way, which does the same
checks. Above the rate both ways refuse alike.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin

import msgspec
from litestar import Litestar, Response
from litestar.connection import ASGIConnection, Request
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import Guard, Receive, Send

from carcloud.model.actions import ANYONE
from carcloud.web.callers import COOKIE, Caller, Callers
from carcloud.web.rates import RequestRates

_JSON = (b"content-type", b"application/json")
_BODIES = (b"content-length", b"transfer-encoding")
_ANY = ""  # stands for a parameter in the tree of paths

Handlers = Mapping[Any, Callable[[Request[Any, Any, Any], Any], Response[bytes]]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a route is answered."""

    template: str
    action: str
    unproved: bool
    call: Callable[..., Awaitable[Any]]
    given: Mapping[str, Any]
    with_caller: bool
    names: tuple[str, ...]  # of the parameters of the path
    bounds: type[msgspec.Struct]  # what they may be
    status: int


@dataclass(slots=True)
class _Node:
    """Routes below a path; a route without a plan hides none that has one."""

    below: dict[str, "_Node"] = field(default_factory=dict)
    plan: Plan | None = None


class QuickReads:
    """In front of the application's own handler."""

    def __init__(
        self,
        app: Litestar,
        callers: Callers,
        rates: RequestRates,
        guard: Guard,
        given: Mapping[str, Any],
    ) -> None:
        """`guard`: what guards the routes that may be answered here, and is done here.
        `given`: what handlers may name besides the caller, the same for all requests."""
        self._otherwise = app.asgi_handler
        self._handlers: Handlers = app.exception_handlers
        self._callers = callers
        self._rates = rates
        self._root = _Node()
        for route in app.routes:
            if isinstance(route, HTTPRoute):
                self._add(route, guard, given)

    def plans(self) -> list[Plan]:
        """All of them."""
        found, nodes = list[Plan](), [self._root]
        while nodes:
            node = nodes.pop()
            found += [node.plan] if node.plan else []
            nodes += node.below.values()
        return found

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["method"] == "GET" and not scope["query_string"]:
            plan, values = self._find(scope["path"])
            if plan is not None and (caller := self._admitted(scope, plan)) is not None:
                path = _parsed(plan, values)
                if path is not None:
                    await self._answer(plan, caller, path, scope, send)
                    return
        await self._otherwise(scope, receive, send)

    def _add(self, route: HTTPRoute, guard: Guard, given: Mapping[str, Any]) -> None:
        node = self._root
        for part in route.path_components:
            node = node.below.setdefault(part if isinstance(part, str) else _ANY, _Node())
        handler, _ = route.route_handler_map.get("GET", (None, None))
        if handler is not None and list(handler.resolve_guards()) == [guard]:
            node.plan = _plan(route, handler, given)

    def _find(self, path: str) -> tuple[Plan | None, list[str]]:
        node, values = self._root, list[str]()
        for part in path.split("/")[1:]:
            below = node.below.get(part)
            if below is None:
                below = node.below.get(_ANY)
                values.append(part)
            if below is None or not part:
                return None, values
            node = below
        return node.plan, values

    def _admitted(self, scope: Any, plan: Plan) -> Caller | None:
        """The caller, if it is known and surely may."""
        token = _token(scope)
        caller = self._callers.at_hand(token) if token else None
        if caller is None:
            return None
        who = caller.identity
        if who.unproved and not plan.unproved:
            return None
        return caller if plan.action == ANYONE or plan.action in who.everywhere else None

    async def _answer(
        self, plan: Plan, caller: Caller, path: Mapping[str, str], scope: Any, send: Send
    ) -> None:
        scope["user"], scope["path_template"] = caller, plan.template
        more = {"caller": caller} if plan.with_caller else {}
        try:
            await self._rates.take_for(caller.tenant, scope)
            told = await plan.call(**plan.given, **more, **path)
        except Exception as error:  # noqa: BLE001 - as the framework: a handler makes a problem of it
            told = self._handlers[Exception](Request(scope), error)
        await _send(told, plan, send)


def _plan(route: HTTPRoute, handler: HTTPRouteHandler, given: Mapping[str, Any]) -> Plan | None:
    """None = the framework must answer it."""
    model = route.route_handler_map["GET"][1]
    parameters = handler.parsed_fn_signature.parameters
    asked = {one.field_name: one for one in model.expected_query_params}
    known = {"caller", *given, *route.path_parameters, *asked}
    plain = (
        "action" in handler.opt
        and not handler.has_sync_callable
        and not model.expected_header_params
        and not model.expected_cookie_params
        and all(one.type is str for one in route.path_parameters.values())
        and all(name in known for name in parameters)
        and all(name in parameters for name in route.path_parameters)
        and not any(one.is_required for one in asked.values())
        and _is_document(handler.parsed_fn_signature.return_type.annotation)
    )
    if not plain:
        return None
    names = tuple(route.path_parameters)
    bounds = [(name, handler.signature_model.__annotations__.get(name, str)) for name in names]
    return Plan(
        template=route.path_format,
        action=str(handler.opt["action"]),
        unproved=bool(handler.opt["unproved"]),
        call=handler.fn,
        given={name: given[name] for name in parameters if name in given},
        with_caller="caller" in parameters,
        names=names,
        bounds=msgspec.defstruct("Bounds", bounds),
        status=handler.status_code,
    )


def _is_document(annotation: Any) -> bool:
    """A struct, or an answer that holds one."""
    kind = get_origin(annotation) or annotation
    if kind is Response:
        return any(_is_document(inner) for inner in get_args(annotation))
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _parsed(plan: Plan, values: list[str]) -> dict[str, str] | None:
    """The parameters of a path; None = one is out of bounds."""
    given = dict(zip(plan.names, values, strict=True))
    try:
        msgspec.convert(given, plan.bounds)
    except msgspec.ValidationError:
        return None
    return given


def _token(scope: Any) -> str | None:
    """The token of a request that has one, and no body."""
    cookie, header = False, b""
    for name, value in scope["headers"]:
        if name == b"authorization":
            if header:
                return None
            header = value
        elif name == b"cookie":
            cookie = True
        elif name in _BODIES:
            return None
    if header:
        return header[7:].decode("latin-1") if header[:7].lower() == b"bearer " else None
    return ASGIConnection[Any, Any, Any, Any](scope).cookies.get(COOKIE) if cookie else None


async def _send(told: Any, plan: Plan, send: Send) -> None:
    """An answer as the framework writes it."""
    status, headers, content = plan.status, [_JSON], told
    if isinstance(told, Response):
        status, content = told.status_code or plan.status, told.content
        if told.media_type:
            headers = [(b"content-type", str(told.media_type).encode())]
        for name, value in told.headers.items():
            headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))
        headers += [cookie.to_encoded_header() for cookie in told.cookies]
    body = content if isinstance(content, bytes) else msgspec.json.encode(content)
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
