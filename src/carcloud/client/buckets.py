"""Methods of buckets and the objects in them."""

from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from carcloud.client.exchange import (
    Bytes,
    Call,
    Listing,
    Stream,
    content,
    get,
    nothing,
    send,
    whole,
)
from carcloud.client.methods import AsyncGroup, Group, call, many
from carcloud.client.types import (
    Bucket,
    LifecycleRule,
    Object,
    ObjectDetail,
    ObjectPage,
    Place,
    Preview,
    SealingKey,
    StoredBytes,
)

_ONE = "/v1/buckets/{bucket}"
_OBJECT = f"{_ONE}/object"

Content = bytes | Iterable[bytes] | AsyncIterable[bytes]


class NewBucket(msgspec.Struct, frozen=True):
    """The body of a new bucket."""

    name: str
    project: str


class BucketChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a change; None stays."""

    versioning: str | None = None
    tags: Mapping[str, str] | None = None
    lifecycle: tuple[LifecycleRule, ...] | None = None


class Sealing(msgspec.Struct, frozen=True):
    """The body of whether new objects are sealed."""

    sealed: bool


class _Buckets:
    @call
    def storage(self) -> Call[StoredBytes]:
        """What the tenant keeps in buckets, and its limit."""
        return get("/v1/storage", StoredBytes)

    @call
    def seal(self, sealed: bool) -> Call[Place]:
        """Seal new objects with a key of the tenant's own, or no more."""
        return send("PATCH", "/v1/storage", Place, body=Sealing(sealed))

    @call
    def new_sealing_key(self) -> Call[SealingKey]:
        """Seal new objects with a new key; older ones keep theirs."""
        return send("POST", "/v1/storage/keys", SealingKey)

    @call
    def list(self) -> Call[tuple[Bucket, ...]]:
        """The buckets that one may see."""
        return whole("/v1/buckets", Bucket)

    @call
    def get(self, bucket: str) -> Call[Bucket]:
        """One bucket, with its ETag."""
        return get(_ONE, Bucket, place={"bucket": bucket})

    @call
    def create(self, name: str, *, project: str = "main") -> Call[Bucket]:
        """Make a bucket; its name must be new in the whole installation. Raises `Conflict`."""
        return send("POST", "/v1/buckets", Bucket, body=NewBucket(name, project))

    @call
    def change(
        self,
        bucket: str,
        etag: str,
        *,
        versioning: str | None = None,
        tags: Mapping[str, str] | None = None,
        lifecycle: Sequence[LifecycleRule] | None = None,
    ) -> Call[Bucket]:
        """Change what is given; `versioning` is Enabled or Suspended."""
        rules = None if lifecycle is None else tuple(lifecycle)
        body = BucketChange(versioning, tags, rules)
        return send("PATCH", _ONE, Bucket, place={"bucket": bucket}, body=body, etag=etag)

    @call
    def remove(self, bucket: str) -> Call[None]:
        """Remove an empty bucket. Raises `Conflict` for one that holds something."""
        return nothing("DELETE", _ONE, place={"bucket": bucket})

    @many
    def objects(
        self, bucket: str, prefix: str = "", *, versions: bool = False, limit: int | None = None
    ) -> Listing[Object]:
        """Objects in order of key, old versions too if wanted; `limit` None = all."""
        asked = get(
            f"{_ONE}/objects", ObjectPage, place={"bucket": bucket}, prefix=prefix,
            versions=versions,
        )  # fmt: skip
        return Listing(asked, limit)

    @call
    def page(
        self,
        bucket: str,
        prefix: str = "",
        *,
        delimiter: str = "/",
        versions: bool = False,
        cursor: str | None = None,
        limit: int = 200,
    ) -> Call[ObjectPage]:
        """A page of objects and folders: keys up to the delimiter."""
        return get(
            f"{_ONE}/objects", ObjectPage, place={"bucket": bucket}, prefix=prefix,
            delimiter=delimiter, versions=versions, cursor=cursor, limit=limit,
        )  # fmt: skip

    @call
    def facts(self, bucket: str, key: str, *, version: str | None = None) -> Call[ObjectDetail]:
        """Metadata, tags and checksum of an object."""
        place = {"bucket": bucket}
        return get(f"{_OBJECT}/facts", ObjectDetail, place=place, key=key, version=version)

    @call
    def preview(self, bucket: str, key: str, *, version: str | None = None) -> Call[Preview]:
        """What is in a Parquet or MCAP object, without downloading it."""
        place = {"bucket": bucket}
        return get(f"{_OBJECT}/preview", Preview, place=place, key=key, version=version)

    @call
    def read(self, bucket: str, key: str, *, version: str | None = None) -> Call[bytes]:
        """An object, in memory."""
        return content(_OBJECT, place={"bucket": bucket}, key=key, version=version)

    @many
    def download(self, bucket: str, key: str, *, version: str | None = None) -> Stream[bytes]:
        """An object, piece by piece."""
        return Bytes(content(_OBJECT, place={"bucket": bucket}, key=key, version=version))

    @call
    def put(
        self,
        bucket: str,
        key: str,
        data: Content,
        *,
        media: str = "application/octet-stream",
        size: int | None = None,
    ) -> Call[ObjectDetail]:
        """Put an object; it is durable when this returns.

        `data` is bytes, or pieces of them (for an `AsyncClient` an asynchronous iterable), whose
        sum `size` tells if it is known.
        """
        headers = {"content-type": media}
        if size is not None:
            headers["content-length"] = str(size)
        asked = send("PUT", _OBJECT, ObjectDetail, place={"bucket": bucket}, body=data)
        return replace(asked, query={"key": key}, headers=headers)

    @call
    def put_tags(self, bucket: str, key: str, tags: Mapping[str, str]) -> Call[None]:
        """Replace the tags of an object, at most ten."""
        asked = nothing("PUT", f"{_OBJECT}/tags", place={"bucket": bucket})
        return replace(asked, query={"key": key}, body=dict(tags))

    @call
    def delete(self, bucket: str, key: str, *, version: str | None = None) -> Call[None]:
        """Delete an object or a version; nothing happens if it is not there."""
        asked = nothing("DELETE", _OBJECT, place={"bucket": bucket})
        return replace(asked, query={"key": key, "version": version})


class BucketGroup(Group, _Buckets):
    """`client.buckets`"""


class AsyncBucketGroup(AsyncGroup, _Buckets):
    """`client.buckets`"""
