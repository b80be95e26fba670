"""The OpenAPI document, at /v1/openapi.json: built in a thread when it is first asked for.

It takes about a second of one processor, in which nobody else would be answered.
"""

import asyncio
from typing import Any

from litestar import Litestar, Request, Response, Router
from litestar.enums import MediaType
from litestar.serialization import encode_json

PATH = "/v1/openapi.json"


class Document:
    """The document of one application."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._bytes: bytes | None = None

    def router(self) -> Router:
        """Takes the place of Litestar's own answer, which is built on the event loop."""
        return Router(PATH, route_handlers=[], include_in_schema=False, before_request=self._answer)

    async def _answer(self, request: Request[Any, Any, Any]) -> Response[bytes] | None:
        if request.url.path.rstrip("/") != PATH:
            return None  # nothing lies below it
        async with self._turn:
            if self._bytes is None:
                self._bytes = await asyncio.to_thread(_built, request.app)
        return Response(self._bytes, media_type=MediaType.JSON)


def _built(app: Litestar) -> bytes:
    return encode_json(app.openapi_schema.to_schema())
