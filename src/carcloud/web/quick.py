"""Where Litestar's general way costs a request more than its answer does.

A guard is called with a copy of its route, and what a route names is given by tasks that run side
by side.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

AsyncGuard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]


def one_guard(guards: Sequence[AsyncGuard]) -> Guard:
    """One guard that is all of these, in their order."""

    async def all_of_them(
        connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        for guard in guards:
            await guard(connection, handler)

    return all_of_them


def give_in_turn(app: Litestar) -> None:
    """Give what routes name one after the other: none of it waits for anything."""
    for route in app.routes:
        for _, model in getattr(route, "route_handler_map", {}).values():
            model.dependency_batches = [
                {one} for batch in model.dependency_batches for one in batch
            ]
