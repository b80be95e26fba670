"""Operations on buckets."""

from collections.abc import Mapping
from typing import Any

from carcloud.codecs.s3 import documents
from carcloud.codecs.s3.documents import Rule
from carcloud.codecs.s3.errors import S3Error
from carcloud.codecs.s3.uri import is_bucket_name
from carcloud.services.storage.api import Bucket
from carcloud.web.s3.exchange import Answer, Exchange, answered
from carcloud.web.s3.incoming import document_of
from carcloud.web.s3.objects import tag_set

REGION = "us-east-1"  # there is one, under the name that clients have by default
_MOST_TAGS = 50
_PROJECT = "x-carcloud-project"  # a header of ours: the project of a new bucket


async def create(exchange: Exchange) -> Answer:
    """CreateBucket."""
    headers = exchange.headers
    if headers.get("x-amz-acl", "private") != "private":
        raise S3Error("AccessControlListNotSupported")
    if headers.get("x-amz-bucket-object-lock-enabled", "false").lower() == "true":
        raise S3Error("NotImplemented", "object lock is not implemented")
    documents.location(await document_of(exchange))
    if not is_bucket_name(exchange.bucket_name):
        raise S3Error("InvalidBucketName")
    project = headers.get(_PROJECT, "main")
    who = exchange.visitor.identity
    if not who.may("buckets:write", project=project):
        raise S3Error("AccessDenied", "this needs the permission buckets:write")

    def work() -> Bucket:
        buckets = exchange.storage.buckets
        return buckets.create(who.tenant, exchange.bucket_name, project=project, actor=who.user)

    await exchange.run(work)
    return Answer(200, {"location": f"/{exchange.bucket_name}"})


async def head(exchange: Exchange) -> Answer:
    """HeadBucket."""
    await exchange.run(exchange.bucket)
    return Answer(200, {"x-amz-bucket-region": REGION})


async def delete(exchange: Exchange) -> Answer:
    """DeleteBucket."""

    def work() -> None:
        bucket = exchange.bucket(fresh=True)
        actor = exchange.visitor.identity.user
        exchange.storage.buckets.delete(bucket.tenant, bucket.name, actor=actor)

    await exchange.run(work)
    return Answer(204)


async def location(exchange: Exchange) -> Answer:
    """GetBucketLocation: empty, which stands for `REGION`."""
    await exchange.run(exchange.bucket)
    return answered("LocationConstraint", {})


async def get_versioning(exchange: Exchange) -> Answer:
    """GetBucketVersioning."""
    bucket = await exchange.run(_fresh, exchange)
    return answered("VersioningConfiguration", {"Status": bucket.versioning or None})


async def put_versioning(exchange: Exchange) -> Answer:
    """PutBucketVersioning."""
    status = documents.versioning(await document_of(exchange))
    await exchange.run(lambda: _change(exchange, versioning=status))
    return Answer(200)


async def get_tagging(exchange: Exchange) -> Answer:
    """GetBucketTagging."""
    bucket = await exchange.run(_fresh, exchange)
    if not bucket.tags:
        raise S3Error("NoSuchTagSet")
    return answered("Tagging", tag_set(bucket.tags))


async def put_tagging(exchange: Exchange) -> Answer:
    """PutBucketTagging."""
    tags = documents.tagging(await document_of(exchange), _MOST_TAGS)
    await exchange.run(lambda: _change(exchange, tags=tags))
    return Answer(204)


async def delete_tagging(exchange: Exchange) -> Answer:
    """DeleteBucketTagging."""
    await exchange.run(lambda: _change(exchange, tags={}))
    return Answer(204)


async def get_lifecycle(exchange: Exchange) -> Answer:
    """GetBucketLifecycleConfiguration."""
    bucket = await exchange.run(_fresh, exchange)
    if not bucket.lifecycle:
        raise S3Error("NoSuchLifecycleConfiguration")
    return answered("LifecycleConfiguration", {"Rule": [_rule(one) for one in bucket.lifecycle]})


async def put_lifecycle(exchange: Exchange) -> Answer:
    """PutBucketLifecycleConfiguration."""
    rules = documents.lifecycle(await document_of(exchange))
    await exchange.run(lambda: _change(exchange, lifecycle=rules))
    return Answer(200)


async def delete_lifecycle(exchange: Exchange) -> Answer:
    """DeleteBucketLifecycle."""
    await exchange.run(lambda: _change(exchange, lifecycle=()))
    return Answer(204)


def _fresh(exchange: Exchange) -> Bucket:
    return exchange.bucket(fresh=True)


def _change(exchange: Exchange, **values: Any) -> None:
    bucket = exchange.bucket(fresh=True)
    actor = exchange.visitor.identity.user
    exchange.storage.buckets.change(bucket.tenant, bucket.name, actor=actor, **values)


def _rule(rule: Rule) -> Mapping[str, Any]:
    expiration = {
        "Days": rule.days or None,
        "Date": f"{rule.date}T00:00:00.000Z" if rule.date else None,
        "ExpiredObjectDeleteMarker": True if rule.expired_marker else None,
    }
    old, uploads = rule.old_versions_days, rule.uploads_days
    return {
        "ID": rule.id or None,
        "Filter": _filter(rule),
        "Status": "Enabled" if rule.enabled else "Disabled",
        "Expiration": expiration if any(expiration.values()) else None,
        "NoncurrentVersionExpiration": {"NoncurrentDays": old} if old else None,
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": uploads} if uploads else None,
    }


def _filter(rule: Rule) -> Mapping[str, Any]:
    tags = [{"Key": key, "Value": value} for key, value in rule.tags]
    parts: dict[str, Any] = {
        "Prefix": rule.prefix or None,
        "Tag": tags or None,
        "ObjectSizeGreaterThan": rule.larger_than,
        "ObjectSizeLessThan": rule.smaller_than,
    }
    given = {name: value for name, value in parts.items() if value is not None}
    if len(given) > 1 or len(tags) > 1:
        return {"And": given}
    return given or {"Prefix": ""}
