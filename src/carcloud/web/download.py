"""A file as an answer, in pieces, whole or a range of it (RFC 9110, 14)."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from litestar.types import Receive, Scope, Send

from carcloud.web.problems import Refused

PIECE = 4_000_000  # bytes that are in memory at a time

Read = Callable[[int, int], Awaitable[bytes]]  # (start, length)
_RANGE = re.compile(r"bytes=(\d{1,18})?-(\d{1,18})?")


def wanted_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Start and end (exclusive) that a Range header asks for; None = all of it.

    Several ranges, and what is no range of bytes, count as no header. Raises `Refused` 416.
    """
    at = _RANGE.fullmatch(header.strip()) if header else None
    if at is None or at.groups() == (None, None):
        return None
    first, last = (None if text is None else int(text) for text in at.groups())
    if first is None:
        start, end = max(0, size - (last or 0)), size
    else:
        start, end = first, size if last is None else min(size, last + 1)
    if start >= end:
        headers = {"Content-Range": f"bytes */{size}"}
        raise Refused(416, f"the file has {size} bytes", field="Range", headers=headers)
    return start, end


class Download:
    """An ASGI response that reads and sends piece by piece."""

    def __init__(
        self, read: Read, size: int, span: tuple[int, int] | None, headers: Mapping[str, str]
    ) -> None:
        self._read = read
        self._size = size
        self._span = span
        self._headers = headers

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a client that leaves ends the reading."""
        work = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait([work, leaving], return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            for task in (work, leaving):
                task.cancel()
            await asyncio.gather(work, leaving, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        start, end = self._span or (0, self._size)
        headers = {
            **self._headers,
            "content-length": str(end - start),
            "accept-ranges": "bytes",
        }
        if self._span is not None:
            headers["content-range"] = f"bytes {start}-{end - 1}/{self._size}"
        piece = await self._read(start, min(PIECE, end - start))  # an error is still an answer
        begin: Any = {
            "type": "http.response.start",
            "status": 200 if self._span is None else 206,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        await send(begin)
        while True:
            start += len(piece)
            more = start < end and bool(piece)
            body: Any = {"type": "http.response.body", "body": piece, "more_body": more}
            await send(body)
            if not more:
                return
            piece = await self._read(start, min(PIECE, end - start))


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
