"""The ASGI application: a request is read, checked, done and answered."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from litestar.types import Receive, Send

from carcloud import logs
from carcloud.codecs.s3.errors import ERRORS, S3Error
from carcloud.codecs.s3.operations import operation_of
from carcloud.codecs.s3.signature import Signed
from carcloud.codecs.s3.uri import checked_key, decoded_path, parsed_query, split_path
from carcloud.codecs.s3.xmlwrite import error_document
from carcloud.model.limits import REQUESTS, OverLimit
from carcloud.ports.errors import Conflict, EngineError, Full, NotFound
from carcloud.services.storage.api import NoBucket, NoKey, Storage, StorageRefusal
from carcloud.web.rates import RequestRates
from carcloud.web.s3 import buckets, listing, multipart, objects
from carcloud.web.s3.access import Door, FindKey, TellDenial
from carcloud.web.s3.exchange import Answer, Exchange, send_answer
from carcloud.web.s3.figures import S3Figures

log = logging.getLogger(__name__)

THREADS = 32  # most of them wait for the disk
_DRAINED = 16_000_000  # bytes of a refused body that are taken in, so that clients see the answer
_DRAIN_S = 5.0

Handler = Callable[[Exchange], Awaitable[Answer]]

HANDLERS: Mapping[str, Handler] = {
    "ListBuckets": listing.buckets,
    "GetBucketLocation": buckets.location,
    "GetBucketVersioning": buckets.get_versioning,
    "GetBucketTagging": buckets.get_tagging,
    "GetBucketLifecycleConfiguration": buckets.get_lifecycle,
    "ListObjectVersions": listing.versions,
    "ListMultipartUploads": listing.uploads,
    "ListObjectsV2": listing.objects_v2,
    "ListObjects": listing.objects,
    "HeadBucket": buckets.head,
    "PutBucketVersioning": buckets.put_versioning,
    "PutBucketTagging": buckets.put_tagging,
    "PutBucketLifecycleConfiguration": buckets.put_lifecycle,
    "CreateBucket": buckets.create,
    "DeleteBucketTagging": buckets.delete_tagging,
    "DeleteBucketLifecycle": buckets.delete_lifecycle,
    "DeleteBucket": buckets.delete,
    "DeleteObjects": objects.delete_many,
    "GetObjectTagging": objects.tagging,
    "GetObjectAttributes": objects.attributes,
    "ListParts": multipart.list_parts,
    "GetObject": objects.get,
    "HeadObject": objects.get,
    "PutObjectTagging": objects.tagging,
    "UploadPartCopy": multipart.copy_part,
    "UploadPart": multipart.put_part,
    "CopyObject": objects.copy,
    "PutObject": objects.put,
    "CreateMultipartUpload": multipart.create,
    "CompleteMultipartUpload": multipart.complete,
    "DeleteObjectTagging": objects.tagging,
    "AbortMultipartUpload": multipart.abort,
    "DeleteObject": objects.delete,
}


class S3Application:
    """Serves buckets. `domain` is what virtual-host style names end in, empty = none."""

    def __init__(
        self,
        storage: Storage,
        find_key: FindKey,
        *,
        domain: str = "",
        tell_denial: TellDenial | None = None,
        figures: S3Figures | None = None,
        rates: RequestRates | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._storage = storage
        self._domain = domain.lower()
        self._pool = ThreadPoolExecutor(THREADS, "s3")
        self._door = Door(find_key, tell_denial, self._pool, now)
        self.figures = figures or S3Figures()
        self._rates = rates or RequestRates()

    def close(self) -> None:
        """Let open work end."""
        self._pool.shutdown()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request_id, began = secrets.token_hex(8), time.perf_counter()
        visit = _Visit(scope, receive)
        with logs.Bound(request_id=request_id):
            answer = await self._answer(visit)
        headers = {"x-amz-request-id": request_id, **answer.headers}
        shown = Answer(answer.status, headers, answer.body, answer.size)
        seconds = time.perf_counter() - began
        sent = await send_answer(shown, visit.method, receive, send)
        self._note(visit, answer.status, seconds, sent)

    async def _answer(self, visit: "_Visit") -> Answer:
        try:
            return await self._done(visit)
        except Exception as error:
            refused = _refusal(error)
            if refused.status >= 500:
                log.error("%s %s: %s", visit.method, visit.path, error, exc_info=error)
        await visit.drain()
        if refused.code == "NotModified":
            return Answer(304, {})
        marker = {}
        if isinstance(error_of := refused.__cause__, NoKey) and error_of.marker is not None:
            marker = {"x-amz-delete-marker": "true", "x-amz-version-id": error_of.marker}
        if visit.method == "HEAD":
            return Answer(refused.status, marker, b"", 0)
        facts = {"Resource": visit.path, **refused.facts}
        body = error_document(refused.code, refused.message, facts)
        return Answer(refused.status, {"content-type": "application/xml", **marker}, body)

    async def _done(self, visit: "_Visit") -> Answer:
        path, query = decoded_path(visit.path), parsed_query(visit.query)
        signed = Signed(visit.method, path, query, visit.headers)
        host = visit.headers.get("host", "")
        bucket, key = split_path(path, host, self._domain)
        visitor = await self._door.admit(signed, visit.address)
        visit.tenant = visitor.identity.tenant
        await self._rates.take(visitor.identity.tenant)
        operation = operation_of(visit.method, bucket, checked_key(key), query, visit.headers)
        visit.operation = operation.name
        exchange = Exchange(
            visit.method, operation, bucket, key, query, visit.headers, visitor, visit.receive,
            self._storage, self._door, self._pool,
        )  # fmt: skip
        visit.exchange = exchange
        try:
            return await HANDLERS[operation.name](exchange)
        except NoBucket:
            self._door.missed(visitor, operation.action, bucket)
            raise
        except S3Error as error:
            if error.code == "AccessDenied":
                self._door.denied(visitor, operation.action, exchange.subject, error.message)
            raise

    def _note(self, visit: "_Visit", status: int, seconds: float, sent: int) -> None:
        exchange = visit.exchange
        taken = exchange.taken if exchange is not None else 0
        self.figures.count(visit.operation, status, seconds, taken, sent)
        if visit.tenant is not None:
            project = "main" if exchange is None else exchange.project
            self.figures.used(visit.tenant, project, sent)
        level = logging.WARNING if status >= 500 else logging.DEBUG
        log.log(level, "%s %s %d %.1f ms", visit.method, visit.path, status, seconds * 1000)


class _Visit:
    """A request before it is known whose it is."""

    def __init__(self, scope: Any, receive: Receive) -> None:
        self.method: str = scope["method"]
        raw = scope.get("raw_path") or scope["path"].encode()
        self.path: str = raw.decode("latin-1").partition("?")[0]
        self.query: str = scope["query_string"].decode("latin-1")
        self.headers = _headers(scope["headers"])
        client = scope.get("client")
        self.address: str = client[0] if client else ""
        self.receive = receive
        self.exchange: Exchange | None = None
        self.operation = "unknown"
        self.tenant: str | None = None

    async def drain(self) -> None:
        """Take in what a client is sending, so that it reads the refusal."""
        began = self.exchange is not None and self.exchange.began
        size = self.headers.get("content-length", "0")
        waits = self.headers.get("expect", "").lower() == "100-continue" and not began
        ended = self.exchange is not None and self.exchange.ended
        if ended or waits or not size.isdigit() or not 0 < int(size) <= _DRAINED:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                while True:
                    message: Any = await self.receive()
                    if message["type"] != "http.request" or not message.get("more_body"):
                        return


def _headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]},{text}" if key in found else text
    return found


def _refusal(error: Exception) -> S3Error:
    if isinstance(error, S3Error):
        return error
    made = S3Error("InternalError")
    if isinstance(error, StorageRefusal):
        code = error.code if error.code in ERRORS else "InvalidRequest"
        made = S3Error(code, str(error) if code != "InternalError" else "")
    elif isinstance(error, OverLimit):
        code = "SlowDown" if error.limit == REQUESTS else "QuotaExceeded"
        made = S3Error(code, str(error), Limit=error.limit)
    elif isinstance(error, Full):
        made = S3Error("InsufficientStorage")
    elif isinstance(error, Conflict):
        made = S3Error("ConditionalRequestConflict")
    elif isinstance(error, NotFound):
        made = S3Error("InternalError", "the bytes of this object are missing")
    elif isinstance(error, EngineError):
        made = S3Error("ServiceUnavailable")
    made.__cause__ = error
    return made
