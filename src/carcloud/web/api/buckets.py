"""Routes for buckets: what the S3 interface does, for the console and for programs without S3."""

import asyncio
from typing import Annotated

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.datastructures import ResponseHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, JSONBody, PathParameter

from carcloud.codecs.s3.documents import Rule
from carcloud.codecs.s3.errors import S3Error
from carcloud.codecs.s3.headers import checked_tags
from carcloud.model.limits import UNLIMITED
from carcloud.model.time import iso
from carcloud.services.storage.api import (
    Bucket,
    BucketFull,
    BucketTaken,
    BucketThere,
    Invalid,
    IsMarker,
    NoBucket,
    NoKey,
    NoVersion,
    Storage,
    StorageRefusal,
)
from carcloud.web.api.vehicles import IfMatch
from carcloud.web.callers import Caller, allows
from carcloud.web.describe import errors
from carcloud.web.given import TheCaller, TheS3Address, TheStorage, TheTenancy
from carcloud.web.paging import Page
from carcloud.web.problems import Refused, Translate
from carcloud.web.tags import etag, wanted_revision

TRANSLATIONS: dict[type[Exception], Translate] = {
    Invalid: lambda e: Refused(400, str(e), field=e.field),
    NoBucket: lambda e: Refused(404, str(e)),
    NoKey: lambda e: Refused(404, str(e)),
    NoVersion: lambda e: Refused(404, str(e)),
    IsMarker: lambda e: Refused(404, str(e)),
    BucketTaken: lambda e: Refused(409, str(e), field="name"),
    BucketThere: lambda e: Refused(409, str(e), field="name"),
    BucketFull: lambda e: Refused(409, str(e)),
    StorageRefusal: lambda e: Refused(409, str(e)),
    S3Error: lambda e: Refused(400 if e.status >= 500 else e.status, e.message),
}

_TAGGED = [ResponseHeader(name="ETag", documentation_only=True, description="The revision")]
_NAME = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
BucketPath = Annotated[str, PathParameter(pattern=f"^{_NAME}$", description="Name of a bucket")]
_MOST_TAGS = 50
_Days = Annotated[int, msgspec.Meta(ge=0, le=36_500)]
_Size = Annotated[int, msgspec.Meta(ge=0, le=2**50)]


class RuleView(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A lifecycle rule; days of 0 = never. `date` is a day, as 2030-01-31."""

    id: Annotated[str, msgspec.Meta(max_length=255)] = ""
    enabled: bool = True
    prefix: Annotated[str, msgspec.Meta(max_length=1024)] = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    larger_than: _Size | None = None
    smaller_than: _Size | None = None
    days: _Days = 0
    date: Annotated[str, msgspec.Meta(pattern=r"^(\d{4}-(0[1-9]|1[0-2])-([01]\d|2[0-8]))?$")] = ""
    old_versions_days: _Days = 0
    uploads_days: _Days = 0
    expired_marker: bool = False


class BucketView(msgspec.Struct, frozen=True):
    """A bucket. `bytes` counts old versions and unfinished uploads too."""

    name: str
    project: str
    created: str
    created_by: str
    versioning: str
    tags: dict[str, str]
    lifecycle: list[RuleView]
    objects: int
    bytes: int
    revision: int


class NewBucket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bucket to make; its name must be new in the whole installation."""

    name: Annotated[str, msgspec.Meta(min_length=3, max_length=63)]
    project: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")] = "main"


class BucketChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; what is left out stays."""

    versioning: Annotated[str, msgspec.Meta(pattern=r"^(Enabled|Suspended)$")] | None = None
    tags: dict[str, str] | None = None
    lifecycle: Annotated[list[RuleView], msgspec.Meta(max_length=1000)] | None = None


class StorageView(msgspec.Struct, frozen=True):
    """What the tenant keeps, and how; `limit` null = no limit. `endpoint` is for S3 clients."""

    bytes: int
    limit: int | None
    buckets: int
    sealed: bool
    own_place: bool
    endpoint: str


_NEW = NewBucket("recordings")


@get(
    "/storage",
    summary="What the tenant keeps in buckets",
    opt=allows("buckets:read"),
    responses=errors(401, 403, 503),
)
async def read_storage(
    caller: TheCaller, storage: TheStorage, tenancy: TheTenancy, s3: TheS3Address
) -> StorageView:
    """Totals, the limit, and how new bytes are kept."""

    def work() -> StorageView:
        told = storage.places.told(caller.tenant)
        most = tenancy.limit(caller.tenant, "stored_bytes")
        return StorageView(
            storage.stored_bytes(caller.tenant),
            None if most >= UNLIMITED else most,
            len(storage.buckets.all(caller.tenant)),
            told.sealed,
            bool(told.url),
            s3.url,
        )

    return await asyncio.to_thread(work)


@get(
    "/buckets",
    summary="List buckets",
    opt=allows("buckets:read", narrowed=True),
    responses=errors(401, 403, 503),
)
async def list_buckets(caller: TheCaller, storage: TheStorage) -> Page[BucketView]:
    """The buckets that the caller may see."""
    found = await asyncio.to_thread(storage.buckets.all, caller.tenant)
    mine = [b for b in found if caller.identity.may("buckets:read", project=b.project)]
    return Page([view(bucket) for bucket in mine], None, len(mine))


@post(
    "/buckets",
    summary="Make a bucket",
    opt=allows("buckets:write", narrowed=True),
    responses={
        201: ResponseSpec(BucketView, description="Made", generate_examples=False),
        **errors(400, 401, 403, 409, 503),
    },
)
async def create_bucket(
    data: Annotated[JSONBody[NewBucket], Body(examples=[Example(value=_NEW)])],
    caller: TheCaller,
    storage: TheStorage,
) -> BucketView:
    """A new, empty bucket."""
    if not caller.identity.may("buckets:write", project=data.project):
        raise Refused(403, "this needs the permission buckets:write", code="permission")

    def work() -> Bucket:
        return storage.buckets.create(
            caller.tenant, data.name, project=data.project, actor=caller.user
        )

    return view(await asyncio.to_thread(work))


@get(
    "/buckets/{bucket:str}",
    summary="Read a bucket",
    opt=allows("buckets:read", narrowed=True),
    response_headers=_TAGGED,
    responses=errors(400, 401, 403, 404, 503),
)
async def read_bucket(
    bucket: BucketPath, caller: TheCaller, storage: TheStorage
) -> Response[BucketView]:
    """One bucket."""
    found = await asyncio.to_thread(mine, storage, caller, bucket, "buckets:read")
    return Response(view(found), headers=etag(found.revision))


@patch(
    "/buckets/{bucket:str}",
    summary="Change a bucket",
    opt=allows("buckets:write", narrowed=True),
    response_headers=_TAGGED,
    responses=errors(400, 401, 403, 404, 409, 412, 428, 503),
)
async def change_bucket(
    bucket: BucketPath,
    data: JSONBody[BucketChange],
    caller: TheCaller,
    storage: TheStorage,
    if_match: IfMatch = None,
) -> Response[BucketView]:
    """Change versioning, tags or lifecycle."""
    revision = wanted_revision(if_match, needed=True)
    tags = None if data.tags is None else checked_tags(data.tags, _MOST_TAGS)
    rules = None if data.lifecycle is None else [_rule(one) for one in data.lifecycle]

    def work() -> Bucket:
        old = mine(storage, caller, bucket, "buckets:write")
        if revision is not None and revision != old.revision:
            raise Refused(412, "the bucket was changed meanwhile", field="If-Match")
        return storage.buckets.change(
            caller.tenant,
            bucket,
            actor=caller.user,
            versioning=data.versioning,
            tags=tags,
            lifecycle=rules,
            revision=revision,
        )

    changed = await asyncio.to_thread(work)
    return Response(view(changed), headers=etag(changed.revision))


@delete(
    "/buckets/{bucket:str}",
    summary="Remove an empty bucket",
    opt=allows("buckets:write", narrowed=True),
    responses=errors(400, 401, 403, 404, 409, 503),
)
async def remove_bucket(bucket: BucketPath, caller: TheCaller, storage: TheStorage) -> None:
    """Remove a bucket that holds nothing."""

    def work() -> None:
        mine(storage, caller, bucket, "buckets:write")
        storage.buckets.delete(caller.tenant, bucket, actor=caller.user)

    await asyncio.to_thread(work)


def mine(storage: Storage, caller: Caller, name: str, action: str) -> Bucket:
    """A bucket in which the caller may do `action`; any other is answered as one that does not
    exist. Blocks; raises `NoBucket`."""
    found = storage.buckets.find(caller.tenant, name, fresh=True)
    if not caller.identity.may(action, project=found.project):
        raise NoBucket(f"there is no bucket {name!r}")
    return found


def view(bucket: Bucket) -> BucketView:
    """A bucket as routes show it."""
    return BucketView(
        bucket.name,
        bucket.project,
        iso(bucket.created),
        bucket.created_by,
        bucket.versioning or "Off",
        dict(bucket.tags),
        [_shown(rule) for rule in bucket.lifecycle],
        bucket.objects,
        bucket.bytes,
        bucket.revision,
    )


def _shown(rule: Rule) -> RuleView:
    facts = {name: getattr(rule, name) for name in Rule.__slots__ if name != "tags"}
    return RuleView(**facts, tags=dict(rule.tags))


def _rule(given: RuleView) -> Rule:
    facts = msgspec.structs.asdict(given)
    facts["tags"] = tuple(checked_tags(given.tags).items())
    rule = Rule(**facts)
    does = (rule.days, rule.date, rule.old_versions_days, rule.uploads_days, rule.expired_marker)
    if not any(does):
        raise Refused(400, "a rule must say what it does", field="lifecycle")
    return rule


router = Router(
    "/",
    tags=["buckets"],
    route_handlers=[
        read_storage,
        list_buckets,
        create_bucket,
        read_bucket,
        change_bucket,
        remove_bucket,
    ],
)
