"""Operations on objects."""

from collections.abc import Mapping
from typing import Any

from carcloud.codecs.s3 import documents
from carcloud.codecs.s3.checksums import ALGORITHMS
from carcloud.codecs.s3.conditions import (
    Conditions,
    Span,
    conditions_of,
    http_date,
    iso_date,
    span_of,
)
from carcloud.codecs.s3.errors import S3Error
from carcloud.codecs.s3.headers import metadata_of, overrides_of, source_of, tags_of
from carcloud.services.storage.api import (
    ALWAYS,
    Body,
    Bucket,
    ObjectFacts,
    ObjectInfo,
    StorageRefusal,
    StoredBody,
    WriteConditions,
)
from carcloud.web.s3.exchange import Answer, Exchange, answered, pieces
from carcloud.web.s3.incoming import document_of, keep

_MOST_COPY = 5 << 30  # bytes, S3: of one CopyObject


async def put(exchange: Exchange) -> Answer:
    """PutObject."""
    headers = exchange.headers
    refuse_unknown(headers)
    facts = ObjectFacts(metadata_of(headers), tags_of(headers.get("x-amz-tagging")))
    when = write_conditions(headers)

    def open_body(algorithm: Any) -> tuple[Bucket, Body]:
        bucket = exchange.bucket()
        exchange.storage.check_room(bucket.tenant, announced_size(headers))
        return bucket, exchange.storage.objects.body(bucket, algorithm)

    def then(bucket: Bucket, body: StoredBody) -> tuple[Bucket, ObjectInfo]:
        return bucket, exchange.storage.objects.put(bucket, exchange.key, body, facts, when)

    bucket, info = await keep(exchange, open_body, then)
    return Answer(200, {"etag": f'"{info.etag}"', **_version(bucket, info), **_checksum(info)})


async def get(exchange: Exchange) -> Answer:
    """GetObject and HeadObject."""
    overrides = overrides_of(exchange.query)
    head = exchange.method == "HEAD"

    def find() -> tuple[Bucket, ObjectInfo, Span | None, Any]:
        bucket = exchange.bucket()
        objects = exchange.storage.objects
        info = objects.find(bucket, exchange.key, exchange.query.get("versionId"))
        conditions_of(exchange.headers).check_read(info.etag, info.modified)
        span = _span(exchange, info)
        if head:
            return bucket, info, span, None
        file = objects.file(bucket, info) if span is None else None
        if file is not None and info.size:
            if not file.is_file() or file.stat().st_size != info.size:
                raise S3Error("InternalError", "the bytes of this object are damaged")
            return bucket, info, span, file
        start, end = (0, info.size) if span is None else (span.start, span.end)
        return bucket, info, span, objects.read(bucket, info, start, end)

    bucket, info, span, source = await exchange.run(find)
    headers = _object_headers(exchange, bucket, info, span) | overrides
    size = info.size if span is None else span.size
    status = 200 if span is None else 206
    if head:
        return Answer(status, headers, b"", size)
    if not size:
        return Answer(status, headers, b"")
    if hasattr(source, "is_file"):
        return Answer(status, headers, source, size)
    first = await exchange.run(next, source, b"")  # what fails, fails before the answer begins
    if not first:
        raise S3Error("InternalError", "the bytes of this object are damaged")
    if len(first) == size:
        return Answer(status, headers, first)

    async def rest() -> Any:
        yield first
        async for piece in pieces(exchange.pool, source):
            yield piece

    return Answer(status, headers, rest(), size)


async def copy(exchange: Exchange) -> Answer:
    """CopyObject."""
    headers = exchange.headers
    refuse_unknown(headers)
    wanted = source_of(headers["x-amz-copy-source"])
    replace = _directive(headers, "x-amz-metadata-directive")
    retag = _directive(headers, "x-amz-tagging-directive")
    when = write_conditions(headers)

    def work() -> tuple[Bucket, ObjectInfo, ObjectInfo]:
        target = exchange.bucket()
        source, info = find_source(exchange, wanted)
        if info.size > _MOST_COPY:
            raise S3Error("InvalidRequest", "copy objects above 5 GiB in parts")
        same = (source.id, info.key) == (target.id, exchange.key) and wanted.version is None
        if same and not replace:
            raise S3Error("InvalidRequest", "a copy onto itself must change the metadata")
        exchange.storage.check_room(target.tenant, info.size)
        kept = metadata_of(headers) if replace else info.headers
        tags = tags_of(headers.get("x-amz-tagging")) if retag else info.tags
        facts = ObjectFacts(kept, tags)
        made = exchange.storage.objects.copy(source, info, target, exchange.key, facts, when)
        return target, info, made

    target, info, made = await exchange.run(work)
    told = {"x-amz-copy-source-version-id": info.version} if info.version != "null" else {}
    content = {"LastModified": iso_date(made.modified), "ETag": f'"{made.etag}"', **element(made)}
    answer = answered("CopyObjectResult", content)
    return Answer(200, {**answer.headers, **_version(target, made), **told}, answer.body)


async def delete(exchange: Exchange) -> Answer:
    """DeleteObject."""
    version, etag = exchange.query.get("versionId"), _etag(exchange.headers.get("if-match"))

    def work() -> Any:
        bucket = exchange.bucket()
        return exchange.storage.objects.delete(bucket, exchange.key, version, etag=etag)

    done = await exchange.run(work)
    headers = {}
    if done.version is not None:
        headers["x-amz-version-id"] = done.version
    if done.marker:
        headers["x-amz-delete-marker"] = "true"
    return Answer(204, headers)


async def delete_many(exchange: Exchange) -> Answer:
    """DeleteObjects."""
    wanted = documents.delete(await document_of(exchange))

    def work() -> Any:
        return exchange.storage.objects.delete_many(exchange.bucket(), wanted.objects)

    deleted, errors = [], []
    for one, done in zip(wanted.objects, await exchange.run(work), strict=True):
        named = {"Key": one.key, "VersionId": one.version}
        if isinstance(done, StorageRefusal):
            errors.append({**named, "Code": done.code, "Message": str(done)})
        elif not wanted.quiet:
            marker = {"DeleteMarker": True, "DeleteMarkerVersionId": done.version}
            deleted.append({**named, **(marker if done.marker else {})})
    return answered("DeleteResult", {"Deleted": deleted, "Error": errors})


async def tagging(exchange: Exchange) -> Answer:
    """GetObjectTagging, PutObjectTagging and DeleteObjectTagging."""
    version = exchange.query.get("versionId")
    name = exchange.operation.name
    tags = documents.tagging(await document_of(exchange)) if name == "PutObjectTagging" else {}

    def work() -> tuple[Bucket, str, Mapping[str, str]]:
        bucket = exchange.bucket()
        objects = exchange.storage.objects
        if name == "GetObjectTagging":
            info = objects.find(bucket, exchange.key, version)
            return bucket, info.version, info.tags
        return bucket, objects.set_tags(bucket, exchange.key, tags, version), tags

    bucket, told, found = await exchange.run(work)
    headers = {"x-amz-version-id": told} if bucket.versioning else {}
    if name == "GetObjectTagging":
        answer = answered("Tagging", tag_set(found))
        return Answer(200, {**answer.headers, **headers}, answer.body)
    return Answer(204 if name == "DeleteObjectTagging" else 200, headers)


async def attributes(exchange: Exchange) -> Answer:
    """GetObjectAttributes."""
    wanted = {one.strip() for one in exchange.headers.get("x-amz-object-attributes", "").split(",")}

    def work() -> tuple[Bucket, ObjectInfo]:
        bucket = exchange.bucket()
        version = exchange.query.get("versionId")
        info = exchange.storage.objects.find(bucket, exchange.key, version)
        return bucket, info

    bucket, info = await exchange.run(work)
    content: dict[str, Any] = {
        "ETag": info.etag,
        "Checksum": element(info) or None,
        "ObjectParts": {"TotalPartsCount": info.parts} if info.parts else None,
        "StorageClass": "STANDARD",
        "ObjectSize": info.size,
    }
    if not wanted & content.keys():
        raise S3Error("InvalidArgument", "name the attributes in x-amz-object-attributes")
    shown = {name: value for name, value in content.items() if name in wanted}
    answer = answered("GetObjectAttributesResponse", shown)
    more = {"last-modified": http_date(info.modified), **_version(bucket, info)}
    return Answer(200, {**answer.headers, **more}, answer.body)


def find_source(exchange: Exchange, wanted: Any) -> tuple[Bucket, ObjectInfo]:
    """What a copy is made from, if the visitor may read it. Blocks."""
    source = exchange.allowed(wanted.bucket, "objects:read")
    info = exchange.storage.objects.find(source, wanted.key, wanted.version)
    prefix = "x-amz-copy-source-"
    conditions_of(exchange.headers, prefix).check_copy(info.etag, info.modified)
    return source, info


def write_conditions(headers: Mapping[str, str]) -> WriteConditions:
    """The conditions of a write; raises `S3Error` NotImplemented for those S3 does not take."""
    given: Conditions = conditions_of(headers)
    if given.match is None and given.none_match is None:
        return ALWAYS
    if given.none_match not in (None, ("*",)) or (given.match and len(given.match) != 1):
        raise S3Error("NotImplemented", "a write takes If-None-Match: * or If-Match with one ETag")
    if given.match is not None and given.none_match is not None:
        raise S3Error("InvalidRequest", "If-Match and If-None-Match exclude each other")
    return WriteConditions(given.none_match is not None, given.match[0] if given.match else None)


def tag_set(tags: Mapping[str, str]) -> dict[str, Any]:
    """Tags as a document has them."""
    return {"TagSet": {"Tag": [{"Key": key, "Value": value} for key, value in tags.items()]}}


def element(info: Any) -> dict[str, Any]:
    """The checksum as a document has it."""
    checksum = info.checksum
    if checksum is None:
        return {}
    return {ALGORITHMS[checksum.algorithm].element: checksum.value, "ChecksumType": checksum.kind}


def _object_headers(
    exchange: Exchange, bucket: Bucket, info: ObjectInfo, span: Span | None
) -> dict[str, str]:
    headers = {
        **info.headers,
        "etag": f'"{info.etag}"',
        "last-modified": http_date(info.modified),
        "accept-ranges": "bytes",
        **_version(bucket, info),
    }
    if info.tags:
        headers["x-amz-tagging-count"] = str(len(info.tags))
    if span is not None:
        headers["content-range"] = f"bytes {span.start}-{span.end - 1}/{info.size}"
    elif exchange.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
        headers |= _checksum(info)
    if "partNumber" in exchange.query and info.parts:
        headers["x-amz-mp-parts-count"] = str(info.parts)
    return headers


def _span(exchange: Exchange, info: ObjectInfo) -> Span | None:
    if "partNumber" in exchange.query:
        number = exchange.whole("partNumber", 1, 10_000)
        return exchange.storage.objects.part(info, number) if info.size else None
    return span_of(exchange.headers.get("range"), info.size)


def _version(bucket: Bucket, info: ObjectInfo) -> dict[str, str]:
    return {"x-amz-version-id": info.version} if bucket.versioning else {}


def _checksum(info: ObjectInfo) -> dict[str, str]:
    if info.checksum is None:
        return {}
    return {
        f"x-amz-checksum-{info.checksum.algorithm}": info.checksum.value,
        "x-amz-checksum-type": info.checksum.kind,
    }


def _etag(header: str | None) -> str | None:
    return None if header is None else header.strip().strip('"')


def _directive(headers: Mapping[str, str], name: str) -> bool:
    value = headers.get(name, "COPY")
    if value not in ("COPY", "REPLACE"):
        raise S3Error("InvalidArgument", f"{name} must be COPY or REPLACE")
    return value == "REPLACE"


def announced_size(headers: Mapping[str, str]) -> int:
    """Bytes that a request says it brings; 0 where it does not say."""
    text = headers.get("x-amz-decoded-content-length") or headers.get("content-length", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 17 else 0


_OWN_ACL = ("private", "bucket-owner-full-control", "bucket-owner-read")


def refuse_unknown(headers: Mapping[str, str]) -> None:
    """What would be promised silently but not done."""
    if headers.get("x-amz-acl", "private") not in _OWN_ACL:
        raise S3Error("AccessControlListNotSupported")
    for name in headers:
        if name.startswith("x-amz-grant-"):
            raise S3Error("AccessControlListNotSupported")
        if name.startswith(("x-amz-server-side-encryption", "x-amz-object-lock-")):
            raise S3Error("NotImplemented", f"{name} is not implemented")
    if headers.get("x-amz-storage-class", "STANDARD") != "STANDARD":
        raise S3Error("NotImplemented", "there is one storage class only: STANDARD")
    if "x-amz-website-redirect-location" in headers:
        raise S3Error("NotImplemented", "redirects are not implemented")
