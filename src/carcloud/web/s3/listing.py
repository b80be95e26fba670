"""Operations that list."""

import base64
import binascii
from collections.abc import Callable
from typing import Any

from carcloud.codecs.s3.conditions import iso_date
from carcloud.codecs.s3.errors import S3Error
from carcloud.codecs.s3.uri import encoded
from carcloud.services.storage.api import Entry, Listing
from carcloud.web.s3.exchange import Answer, Exchange, answered
from carcloud.web.s3.objects import element

_MOST = 1000


async def buckets(exchange: Exchange) -> Answer:
    """ListBuckets: those the visitor may see."""
    who = exchange.visitor.identity
    most = exchange.whole("max-buckets", 10_000, 10_000)
    prefix = exchange.query.get("prefix", "")
    after = _opened(exchange.query.get("continuation-token"))
    found = await exchange.run(exchange.storage.buckets.all, who.tenant)
    mine = [
        bucket
        for bucket in found
        if who.may("buckets:read", project=bucket.project)
        and bucket.name.startswith(prefix)
        and bucket.name > after
    ]
    more = len(mine) > most and most
    shown = [
        {"Name": bucket.name, "CreationDate": iso_date(bucket.created)} for bucket in mine[:most]
    ]
    content: dict[str, Any] = {
        "Owner": {"ID": who.tenant, "DisplayName": who.tenant},
        "Buckets": {"Bucket": shown},
        "ContinuationToken": _closed(mine[most - 1].name) if more else None,
        "Prefix": prefix or None,
    }
    return answered("ListAllMyBucketsResult", content)


async def objects_v2(exchange: Exchange) -> Answer:
    """ListObjectsV2."""
    if exchange.query["list-type"] != "2":
        raise S3Error("InvalidArgument", "list-type must be 2")
    query, show = exchange.query, _shown(exchange)
    token, start = query.get("continuation-token"), query.get("start-after", "")
    if token == "":
        raise S3Error("InvalidArgument", "the continuation token is empty")
    most = exchange.whole("max-keys", _MOST, _MOST)
    page = await _page(exchange, _opened(token) if token else start, most)
    owner = query.get("fetch-owner") == "true"
    content = {
        **_head(exchange, show, most),
        "StartAfter": show(start) if start else None,
        "ContinuationToken": token,
        "NextContinuationToken": _closed(page.next_key) if page.next_key else None,
        "IsTruncated": page.next_key is not None,
        "KeyCount": len(page.entries) + len(page.prefixes),
        "Contents": [_entry(exchange, show, one, owner=owner) for one in page.entries],
        "CommonPrefixes": [{"Prefix": show(one)} for one in page.prefixes],
    }
    return answered("ListBucketResult", content)


async def objects(exchange: Exchange) -> Answer:
    """ListObjects, the first version."""
    show = _shown(exchange)
    most = exchange.whole("max-keys", _MOST, _MOST)
    marker = exchange.query.get("marker", "")
    page = await _page(exchange, marker, most)
    content = {
        **_head(exchange, show, most),
        "Marker": show(marker),
        "NextMarker": show(page.next_key) if page.next_key else None,
        "IsTruncated": page.next_key is not None,
        "Contents": [_entry(exchange, show, one, owner=True) for one in page.entries],
        "CommonPrefixes": [{"Prefix": show(one)} for one in page.prefixes],
    }
    return answered("ListBucketResult", content)


async def versions(exchange: Exchange) -> Answer:
    """ListObjectVersions."""
    query, show = exchange.query, _shown(exchange)
    most = exchange.whole("max-keys", _MOST, _MOST)
    after, version = query.get("key-marker", ""), query.get("version-id-marker", "")
    if version and not after:
        raise S3Error("InvalidArgument", "a version-id-marker needs a key-marker")

    def work() -> Listing:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        bucket = exchange.bucket()
        return exchange.storage.lists.versions(bucket, prefix, delimiter, after, version, most)

    page = await exchange.run(work) if most else Listing([], [], None)
    # markers and versions stand in one order, each under its own name
    mixed = [
        ("DeleteMarker" if one.marker else "Version", _version(exchange, show, one))
        for one in page.entries
    ]
    content = {
        **_head(exchange, show, most),
        "KeyMarker": show(after),
        "VersionIdMarker": version,
        "NextKeyMarker": show(page.next_key) if page.next_key else None,
        "NextVersionIdMarker": page.next_version,
        "IsTruncated": page.next_key is not None,
        "Version": [one for name, one in mixed if name == "Version"],
        "DeleteMarker": [one for name, one in mixed if name == "DeleteMarker"],
        "CommonPrefixes": [{"Prefix": show(one)} for one in page.prefixes],
    }
    return answered("ListVersionsResult", content)


async def uploads(exchange: Exchange) -> Answer:
    """ListMultipartUploads."""
    query, show = exchange.query, _shown(exchange)
    most = exchange.whole("max-uploads", _MOST, _MOST)
    after, upload = query.get("key-marker", ""), query.get("upload-id-marker", "")

    def work() -> Any:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        bucket = exchange.bucket()
        return exchange.storage.lists.uploads(bucket, prefix, delimiter, after, upload, most)

    page = await exchange.run(work)
    shown = [
        {
            "Key": show(one.key),
            "UploadId": one.id,
            "Initiator": {"ID": one.by, "DisplayName": one.by},
            "Owner": {"ID": one.by, "DisplayName": one.by},
            "StorageClass": "STANDARD",
            "Initiated": iso_date(one.created),
            "ChecksumAlgorithm": one.algorithm.upper() or None,
            "ChecksumType": one.kind or None,
        }
        for one in page.uploads
    ]
    content = {
        "Bucket": exchange.bucket_name,
        "KeyMarker": show(after),
        "UploadIdMarker": upload,
        "NextKeyMarker": show(page.next_key) if page.next_key else None,
        "NextUploadIdMarker": page.next_upload,
        "Prefix": show(query.get("prefix", "")),
        "Delimiter": show(query["delimiter"]) if query.get("delimiter") else None,
        "EncodingType": query.get("encoding-type"),
        "MaxUploads": most,
        "IsTruncated": page.next_key is not None,
        "Upload": shown,
        "CommonPrefixes": [{"Prefix": show(one)} for one in page.prefixes],
    }
    return answered("ListMultipartUploadsResult", content)


async def _page(exchange: Exchange, after: str, most: int) -> Listing:
    def work() -> Listing:
        prefix, delimiter = exchange.query.get("prefix", ""), exchange.query.get("delimiter", "")
        bucket = exchange.bucket()
        if not most:
            return Listing([], [], None)
        return exchange.storage.lists.current(bucket, prefix, delimiter, after, most)

    return await exchange.run(work)


def _head(exchange: Exchange, show: Callable[[str], str], most: int) -> dict[str, Any]:
    query = exchange.query
    return {
        "Name": exchange.bucket_name,
        "Prefix": show(query.get("prefix", "")),
        "Delimiter": show(query["delimiter"]) if query.get("delimiter") else None,
        "EncodingType": query.get("encoding-type"),
        "MaxKeys": most,
    }


def _entry(
    exchange: Exchange, show: Callable[[str], str], one: Entry, *, owner: bool
) -> dict[str, Any]:
    tenant = exchange.visitor.identity.tenant
    checksum = element(one)
    return {
        "Key": show(one.key),
        "LastModified": iso_date(one.modified),
        "ETag": f'"{one.etag}"',
        "ChecksumAlgorithm": one.checksum.algorithm.upper() if one.checksum else None,
        "ChecksumType": checksum.get("ChecksumType"),
        "Size": one.size,
        "StorageClass": "STANDARD",
        "Owner": {"ID": tenant, "DisplayName": tenant} if owner else None,
    }


def _version(exchange: Exchange, show: Callable[[str], str], one: Entry) -> dict[str, Any]:
    entry = _entry(exchange, show, one, owner=True)
    kept = ("Key", "LastModified", "Owner") if one.marker else tuple(entry)
    shown = {name: entry[name] for name in kept}
    return {**shown, "VersionId": one.version, "IsLatest": one.latest}


def _shown(exchange: Exchange) -> Callable[[str], str]:
    kind = exchange.query.get("encoding-type")
    if kind not in (None, "url"):
        raise S3Error("InvalidArgument", "encoding-type must be url")
    return (lambda text: encoded(text, slash=True)) if kind else (lambda text: text)


def _closed(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _opened(token: str | None) -> str:
    if not token:
        return ""
    try:
        return base64.b64decode(token, b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise S3Error("InvalidArgument", "the continuation token is none of ours") from error
