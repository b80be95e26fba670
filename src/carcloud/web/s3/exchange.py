"""One request and its answer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from litestar.types import Receive, Send

from carcloud.codecs.s3.errors import S3Error
from carcloud.codecs.s3.operations import Operation
from carcloud.codecs.s3.xmlwrite import Content, document
from carcloud.services.storage.api import Bucket, Storage
from carcloud.web.s3.access import Door, Visitor

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: bytes, pieces of bytes, or a whole file."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | AsyncIterator[bytes] | Path = b""
    size: int | None = None  # of pieces or file, or of what a HEAD would have sent


@dataclass(slots=True)
class Exchange:
    """A request that was let in."""

    method: str
    operation: Operation
    bucket_name: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    visitor: Visitor
    receive: Receive
    storage: Storage
    door: Door
    pool: Executor
    project: str = "main"  # of the bucket, once it is known
    began: bool = False  # the body is being read
    ended: bool = False  # it has come whole, or the client is gone
    taken: int = 0  # bytes of the body that came

    @property
    def subject(self) -> str:
        """What the request is about."""
        return f"{self.bucket_name}/{self.key}" if self.key else self.bucket_name

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do blocking work in the pool."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, work, *arguments)

    def allowed(self, name: str, action: str, *, fresh: bool = False) -> Bucket:
        """The tenant's bucket, if the visitor may do `action` in it. Blocks.

        Raises `NoBucket`, `S3Error` AccessDenied.
        """
        tenant = self.visitor.identity.tenant
        bucket = self.storage.buckets.find(tenant, name, fresh=fresh)
        if not self.visitor.identity.may(action, project=bucket.project):
            raise S3Error("AccessDenied", f"this needs the permission {action}")
        if name == self.bucket_name:
            self.project = bucket.project
        return bucket

    def bucket(self, *, fresh: bool = False) -> Bucket:
        """The bucket of the request, if the operation is allowed. Blocks."""
        return self.allowed(self.bucket_name, self.operation.action, fresh=fresh)

    def whole(self, name: str, default: int, most: int) -> int:
        """A whole number of the query; raises `S3Error` InvalidArgument."""
        text = self.query.get(name, "")
        if not text:
            return default
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise S3Error("InvalidArgument", f"{name} must be a whole number")
        return min(int(text), most)


def answered(root: str, content: Mapping[str, Content], status: int = 200) -> Answer:
    """An answer with a document."""
    return Answer(status, {"content-type": "application/xml"}, document(root, content))


async def pieces(pool: Executor, source: Iterator[bytes]) -> AsyncIterator[bytes]:
    """What a blocking iterator gives, each piece taken in the pool."""
    loop = asyncio.get_running_loop()
    while (piece := await loop.run_in_executor(pool, next, source, None)) is not None:
        yield piece


async def send_answer(answer: Answer, method: str, receive: Receive, send: Send) -> int:
    """Send an answer; returns the bytes of its body that went out."""
    headers = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
    size = len(answer.body) if isinstance(answer.body, bytes) else answer.size
    if answer.size is not None:
        size = answer.size
    if answer.status not in (204, 304):
        headers.append((b"content-length", str(size).encode()))
    start: Any = {"type": "http.response.start", "status": answer.status, "headers": headers}
    await send(start)
    if method == "HEAD" or isinstance(answer.body, bytes):
        body = b"" if method == "HEAD" or not isinstance(answer.body, bytes) else answer.body
        await send({"type": "http.response.body", "body": body, "more_body": False})
        return len(body)
    if isinstance(answer.body, Path):
        path: Any = {"type": "http.response.pathsend", "path": str(answer.body)}
        await send(path)
        return size or 0
    return await _send_pieces(answer.body, receive, send)


async def _send_pieces(body: AsyncIterator[bytes], receive: Receive, send: Send) -> int:
    """Send pieces while the client is there; the server waits for a slow one."""
    leaving = asyncio.create_task(_left(receive))
    sent = 0
    try:
        async for piece in body:
            if leaving.done():
                return sent
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            sent += len(piece)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
    return sent


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
