"""Bodies of requests: received in pieces, checked, and kept."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from carcloud.codecs.s3.checksums import decoded
from carcloud.codecs.s3.chunked import ChunkedBody, ChunkSigner
from carcloud.codecs.s3.errors import S3Error
from carcloud.codecs.s3.headers import Digests, digests_of
from carcloud.codecs.s3.signature import STREAMING, UNSIGNED, signing_key
from carcloud.codecs.s3.xmlread import MOST_BYTES
from carcloud.services.storage.api import MOST_PUT, Body, Bucket, StoredBody
from carcloud.web.s3.exchange import Exchange

T = TypeVar("T")

BLOCK = 1 << 20  # bytes that are collected before a thread is asked to write them
IDLE_S = 60.0  # a client that sends nothing for so long is given up


class Checks:
    """What the body must turn out to be."""

    def __init__(self, exchange: Exchange) -> None:
        """Raises `S3Error` for headers that contradict each other."""
        payload = exchange.visitor.claim.payload
        self.digests: Digests = digests_of(exchange.headers)
        self.size = announced(exchange)
        self._sha256 = None if payload in (UNSIGNED, *STREAMING) else bytes.fromhex(payload)
        self._hash = hashlib.sha256()
        self.trailers: dict[str, str] = {}

    def update(self, data: bytes) -> None:
        """Take data in that will be kept."""
        if self._sha256 is not None:
            self._hash.update(data)

    def finish(self, size: int, md5: bytes, checksum: bytes | None) -> None:
        """Raises `S3Error` if the body is not what was announced."""
        if size != self.size:
            raise S3Error("IncompleteBody")
        digest = self._hash.digest()
        if self._sha256 is not None and not hmac.compare_digest(digest, self._sha256):
            raise S3Error("XAmzContentSHA256Mismatch")
        if self.digests.md5 is not None and self.digests.md5 != md5:
            raise S3Error("BadDigest", "the Content-MD5 is not that of the body")
        wanted, row = self.digests.value, self.digests.algorithm
        if self.digests.trailer is not None and row is not None:
            text = self.trailers.get(self.digests.trailer)
            if text is None:
                raise S3Error("InvalidRequest", "the checksum in the trailer is missing")
            wanted = decoded(row, text)
        if wanted is not None and wanted != checksum:
            raise S3Error("BadDigest", f"the checksum {row and row.name} is not that of the body")


def announced(exchange: Exchange) -> int:
    """The size of the data that a request says it carries; raises `S3Error`."""
    streaming = exchange.visitor.claim.payload in STREAMING
    name = "x-amz-decoded-content-length" if streaming else "content-length"
    text = exchange.headers.get(name)
    if text is None:
        raise S3Error("MissingContentLength")
    if not text.isascii() or not text.isdigit() or len(text) > 16:
        raise S3Error("InvalidArgument", f"{name} must be a whole number")
    return int(text)


async def received(exchange: Exchange, checks: Checks) -> AsyncIterator[bytes]:
    """The data of the body in pieces; raises `S3Error`."""
    claim = exchange.visitor.claim
    chunked = None
    if claim.payload in STREAMING:
        key = signing_key(exchange.visitor.secret, claim.time[:8], claim.region)
        chunked = ChunkedBody(claim.payload, ChunkSigner.of(claim, key))
    left = checks.size
    async for data in raw_body(exchange):
        for piece in (data,) if chunked is None else chunked.feed(data):
            left -= len(piece)
            if left < 0:
                raise S3Error("IncompleteBody", "the body is longer than announced")
            yield piece
    if chunked is not None:
        chunked.finish()
        checks.trailers = chunked.trailers


async def raw_body(exchange: Exchange) -> AsyncIterator[bytes]:
    """The bytes of the body as they come; raises `S3Error` when they stop coming."""
    exchange.began = True
    while True:
        try:
            async with asyncio.timeout(IDLE_S):
                message: Any = await exchange.receive()
        except TimeoutError as error:
            raise S3Error("RequestTimeout") from error
        more = message.get("more_body", False)
        if message["type"] == "http.disconnect":
            exchange.ended = True
            raise S3Error("IncompleteBody", "the connection ended")
        data = message.get("body", b"")
        exchange.taken += len(data)
        exchange.ended = not more
        if data:
            yield data
        if not more:
            return


async def document_of(exchange: Exchange) -> bytes:
    """The whole body of a request that carries a document; raises `S3Error`."""
    if exchange.headers.get("content-length", "0") == "0" and (
        "transfer-encoding" not in exchange.headers
    ):
        return b""
    checks = Checks(exchange)
    if checks.size > MOST_BYTES:
        raise S3Error("MaxMessageLengthExceeded")
    data = b"".join([piece async for piece in received(exchange, checks)])
    checks.update(data)
    row = checks.digests.algorithm
    running = None if row is None else row.begin()
    if running is not None:
        running.update(data)
    md5 = hashlib.md5(data, usedforsecurity=False).digest()
    checks.finish(len(data), md5, None if running is None else running.digest())
    return data


async def keep(
    exchange: Exchange,
    open_body: Callable[[Any], tuple[Bucket, Body]],
    then: Callable[[Bucket, StoredBody], T],
) -> T:
    """Keep the body and do `then` with it; what fails, a cut connection too, leaves nothing.

    `open_body` gets the checksum's algorithm. Both are called in the pool.
    """
    checks = Checks(exchange)
    if checks.size > MOST_PUT:
        raise S3Error("EntityTooLarge", MaxSizeAllowed=str(MOST_PUT))
    bucket, body = await exchange.run(open_body, checks.digests.algorithm)
    try:
        held: list[bytes] = []
        size = 0
        async for piece in received(exchange, checks):
            held.append(piece)
            size += len(piece)
            if size >= BLOCK and body.size + size < checks.size:
                await exchange.run(_write, body, checks, held)
                held, size = [], 0
        return await exchange.run(_finish, bucket, body, checks, held, then)
    except BaseException:
        await asyncio.shield(asyncio.ensure_future(exchange.run(body.abort)))
        raise


def _write(body: Body, checks: Checks, held: list[bytes]) -> None:
    for piece in held:
        checks.update(piece)
        body.write(piece)


def _finish(
    bucket: Bucket,
    body: Body,
    checks: Checks,
    held: list[bytes],
    then: Callable[[Bucket, StoredBody], T],
) -> T:
    _write(body, checks, held)
    checks.finish(body.size, body.md5, body.checksum)
    return then(bucket, body.finish())
