"""Operations on multipart uploads."""

import base64
import binascii
from typing import Any

from carcloud.codecs.s3 import documents
from carcloud.codecs.s3.checksums import ALGORITHMS
from carcloud.codecs.s3.conditions import copy_span_of, iso_date
from carcloud.codecs.s3.errors import S3Error
from carcloud.codecs.s3.headers import metadata_of, source_of, tags_of
from carcloud.codecs.s3.uri import encoded
from carcloud.services.storage.api import (
    MOST_PUT,
    Body,
    Bucket,
    ObjectFacts,
    ObjectInfo,
    Part,
    StoredBody,
)
from carcloud.web.s3.exchange import Answer, Exchange, answered
from carcloud.web.s3.incoming import document_of, keep
from carcloud.web.s3.objects import (
    announced_size,
    element,
    find_source,
    refuse_unknown,
    write_conditions,
)

_MOST_PARTS = 10_000


async def create(exchange: Exchange) -> Answer:
    """CreateMultipartUpload."""
    headers = exchange.headers
    refuse_unknown(headers)
    facts = ObjectFacts(metadata_of(headers), tags_of(headers.get("x-amz-tagging")))
    algorithm = headers.get("x-amz-checksum-algorithm", "").lower()
    if algorithm and algorithm not in ALGORITHMS:
        raise S3Error("InvalidRequest", "the checksum algorithm is not known")
    kind = headers.get("x-amz-checksum-type", "")

    def work() -> Any:
        return exchange.storage.uploads.begin(
            exchange.bucket(),
            exchange.key,
            facts,
            actor=exchange.visitor.identity.user,
            algorithm=algorithm,
            kind=kind,
        )

    made = await exchange.run(work)
    content = {"Bucket": exchange.bucket_name, "Key": exchange.key, "UploadId": made.id}
    answer = answered("InitiateMultipartUploadResult", content)
    told = {}
    if made.algorithm:
        told["x-amz-checksum-algorithm"] = made.algorithm.upper()
        told["x-amz-checksum-type"] = made.kind
    return Answer(200, {**answer.headers, **told}, answer.body)


async def put_part(exchange: Exchange) -> Answer:
    """UploadPart."""
    number, upload = _number(exchange), exchange.query["uploadId"]
    uploads = exchange.storage.uploads

    def open_body(algorithm: Any) -> tuple[Bucket, Body]:
        bucket = exchange.bucket()
        known = uploads.find(bucket, exchange.key, upload)
        exchange.storage.check_room(bucket.tenant, announced_size(exchange.headers))
        # a part is summed as its upload wants, also for a client that sends no checksum
        if algorithm is None and known.algorithm:
            algorithm = ALGORITHMS[known.algorithm]
        return bucket, exchange.storage.objects.body(bucket, algorithm)

    def then(bucket: Bucket, body: StoredBody) -> Part:
        return uploads.put_part(bucket, exchange.key, upload, number, body)

    part = await keep(exchange, open_body, then)
    headers = {"etag": f'"{part.etag}"'}
    if part.checksum is not None:
        headers[f"x-amz-checksum-{part.checksum.algorithm}"] = part.checksum.value
    return Answer(200, headers)


async def copy_part(exchange: Exchange) -> Answer:
    """UploadPartCopy."""
    number, upload = _number(exchange), exchange.query["uploadId"]
    wanted = source_of(exchange.headers["x-amz-copy-source"])
    ranged = exchange.headers.get("x-amz-copy-source-range")

    def work() -> Part:
        target = exchange.bucket()
        known = exchange.storage.uploads.find(target, exchange.key, upload)
        source, info = find_source(exchange, wanted)
        span = None if ranged is None else copy_span_of(ranged, info.size)
        size = info.size if span is None else span.size
        if size > MOST_PUT:
            raise S3Error("EntityTooLarge", MaxSizeAllowed=str(MOST_PUT))
        exchange.storage.check_room(target.tenant, size)
        algorithm = ALGORITHMS.get(known.algorithm)
        body = exchange.storage.objects.copied(source, info, target, span, algorithm)
        try:
            kept = body.finish()
            return exchange.storage.uploads.put_part(target, exchange.key, upload, number, kept)
        except BaseException:
            body.abort()
            raise

    part = await exchange.run(work)
    content = {"LastModified": iso_date(part.modified), "ETag": f'"{part.etag}"'}
    return answered("CopyPartResult", content | _part_checksum(part))


async def list_parts(exchange: Exchange) -> Answer:
    """ListParts."""
    most = exchange.whole("max-parts", 1000, 1000)
    after = exchange.whole("part-number-marker", 0, _MOST_PARTS)
    upload = exchange.query["uploadId"]

    def work() -> Any:
        bucket = exchange.bucket()
        return exchange.storage.uploads.parts(bucket, exchange.key, upload, after, most)

    known, page = await exchange.run(work)
    shown = [
        {
            "PartNumber": part.number,
            "LastModified": iso_date(part.modified),
            "ETag": f'"{part.etag}"',
            "Size": part.size,
            **_part_checksum(part),
        }
        for part in page.parts
    ]
    who = {"ID": known.by, "DisplayName": known.by}
    url = exchange.query.get("encoding-type") == "url"
    content = {
        "Bucket": exchange.bucket_name,
        "Key": encoded(exchange.key, slash=True) if url else exchange.key,
        "EncodingType": "url" if url else None,
        "UploadId": upload,
        "Initiator": who,
        "Owner": who,
        "StorageClass": "STANDARD",
        "PartNumberMarker": after,
        "NextPartNumberMarker": page.next_number,
        "MaxParts": most,
        "IsTruncated": page.next_number is not None,
        "ChecksumAlgorithm": known.algorithm.upper() or None,
        "ChecksumType": known.kind or None,
        "Part": shown,
    }
    return answered("ListPartsResult", content)


async def complete(exchange: Exchange) -> Answer:
    """CompleteMultipartUpload."""
    claims = documents.complete(await document_of(exchange))
    headers, upload = exchange.headers, exchange.query["uploadId"]
    when = write_conditions(headers)
    size = headers.get("x-amz-mp-object-size")
    if size is not None and (not size.isascii() or not size.isdigit() or len(size) > 16):
        raise S3Error("InvalidRequest", "x-amz-mp-object-size must be a whole number")

    def work() -> tuple[Bucket, ObjectInfo]:
        bucket = exchange.bucket()
        made = exchange.storage.uploads.complete(
            bucket,
            exchange.key,
            upload,
            claims,
            when,
            checksum=_stated(exchange),
            size=None if size is None else int(size),
        )
        return bucket, made

    bucket, made = await exchange.run(work)
    host = headers.get("host", "")
    content = {
        "Location": f"http://{host}/{exchange.bucket_name}/{encoded(exchange.key, slash=True)}",
        "Bucket": exchange.bucket_name,
        "Key": exchange.key,
        "ETag": f'"{made.etag}"',
        **element(made),
    }
    answer = answered("CompleteMultipartUploadResult", content)
    told = {"x-amz-version-id": made.version} if bucket.versioning else {}
    return Answer(200, {**answer.headers, **told}, answer.body)


async def abort(exchange: Exchange) -> Answer:
    """AbortMultipartUpload."""

    def work() -> None:
        upload = exchange.query["uploadId"]
        exchange.storage.uploads.abort(exchange.bucket(), exchange.key, upload)

    await exchange.run(work)
    return Answer(204)


def _number(exchange: Exchange) -> int:
    number = exchange.whole("partNumber", 0, _MOST_PARTS + 1)
    if not 1 <= number <= _MOST_PARTS:
        raise S3Error("InvalidArgument", f"partNumber must be 1 to {_MOST_PARTS}")
    return number


def _stated(exchange: Exchange) -> str | None:
    """The checksum of the whole that the request states, in base64."""
    for name in ALGORITHMS:
        text = exchange.headers.get(f"x-amz-checksum-{name}")
        if text is not None:
            plain = text.partition("-")[0]
            try:
                base64.b64decode(plain, validate=True)
            except (binascii.Error, ValueError) as error:
                raise S3Error("InvalidRequest", "the checksum is not well formed") from error
            return plain
    return None


def _part_checksum(part: Part) -> dict[str, Any]:
    if part.checksum is None:
        return {}
    return {ALGORITHMS[part.checksum.algorithm].element: part.checksum.value}
