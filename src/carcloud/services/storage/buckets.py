"""Buckets: made, changed, removed. Names are unique over the installation, as S3 wants it."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from carcloud.codecs.s3.documents import Rule
from carcloud.codecs.s3.uri import is_bucket_name
from carcloud.model import limits
from carcloud.model.ids import Tenant
from carcloud.ports.errors import Conflict
from carcloud.ports.records import Records
from carcloud.services.storage.bodies import new_id
from carcloud.services.storage.errors import (
    BucketFull,
    BucketTaken,
    BucketThere,
    Invalid,
    NoBucket,
)
from carcloud.services.storage.store import buckets, objects, uploads
from carcloud.services.storage.types import Bucket
from carcloud.services.tenancy.api import AuditEntry, record_changes

REMEMBER_S = 1.0  # a bucket that another process changed is seen so after so long
_REMEMBERED = 10_000
Limit = Callable[[Tenant, str], int]  # the value of a tenant's limit
_VERSIONING = ("Enabled", "Suspended")
_MEDIA = "media-"
_KEPT = (_MEDIA, "can-logs-")  # names that begin so are kept for the tenants they name


def media_bucket(tenant: Tenant) -> str:
    """The name of the bucket that media of a tenant's vehicles go to: nobody else may have it."""
    return f"{_MEDIA}{tenant}"


class Buckets:
    """The registry of buckets."""

    def __init__(self, records: Records, now: Callable[[], int], limit: Limit) -> None:
        self._records = records
        self._now = now
        self._limit = limit
        self._known: dict[str, tuple[float, Bucket]] = {}
        self._guard = threading.Lock()

    def create(self, tenant: Tenant, name: str, *, project: str, actor: str) -> Bucket:
        """A new bucket; raises `Invalid`, `BucketThere`, `BucketTaken`, `OverLimit`."""
        if not is_bucket_name(name):
            raise Invalid(
                "name", "3 to 63 lower-case letters, digits, dots and hyphens, as S3 allows them"
            )
        for kept in _KEPT:
            if name.startswith(kept) and name != f"{kept}{tenant}":
                raise BucketTaken(
                    f"names that begin with {kept!r} are kept for what vehicles bring: "
                    f"choose another one, or your own '{kept}{tenant}'"
                )
        made = Bucket(new_id(), name, tenant, project, self._now(), actor)
        try:
            with self._records.transaction() as db:
                self._check_limit(db, tenant)
                db.execute(insert(buckets).values(_row(made)))
                note(db, actor, "bucket.create", made, None, facts(made))
        except Conflict as error:
            with self._records.reading() as db:
                owner = select(buckets.c.tenant).where(buckets.c.name == name)
                mine = db.execute(owner).scalar() == tenant
            if mine:
                raise BucketThere(f"you have the bucket {name!r} already") from error
            raise BucketTaken(f"the name {name!r} is taken") from error
        return made

    def all(self, tenant: Tenant) -> list[Bucket]:
        """The buckets of a tenant, in order of name."""
        query = select(buckets).where(buckets.c.tenant == tenant).order_by(buckets.c.name)
        with self._records.reading() as db:
            return [bucket_of(row) for row in db.execute(query).mappings()]

    def everywhere(self) -> list[Bucket]:
        """The buckets of all tenants, for care and metering."""
        with self._records.reading() as db:
            return [bucket_of(row) for row in db.execute(select(buckets)).mappings()]

    def find(self, tenant: Tenant, name: str, *, fresh: bool = False) -> Bucket:
        """A bucket of the tenant; raises `NoBucket`, also for one of another tenant."""
        asked, known = self._known.get(name, (0.0, None))
        if fresh or known is None or time.monotonic() - asked > REMEMBER_S:
            with self._records.reading() as db:
                known = get(db, tenant, name)
            if len(self._known) > _REMEMBERED:
                self._known.clear()
            self._known[name] = (time.monotonic(), known)
        if known.tenant != tenant:
            raise NoBucket(f"there is no bucket {name!r}")
        return known

    def change(
        self,
        tenant: Tenant,
        name: str,
        *,
        actor: str,
        versioning: str | None = None,
        tags: Mapping[str, str] | None = None,
        lifecycle: Sequence[Rule] | None = None,
        revision: int | None = None,
    ) -> Bucket:
        """Change what is given; raises `NoBucket`, `Invalid`, `Conflict` (wrong `revision`)."""
        if versioning is not None and versioning not in _VERSIONING:
            raise Invalid("versioning", "Enabled or Suspended")
        values: dict[str, Any] = {"revision": buckets.c.revision + 1}
        if versioning is not None:
            values["versioning"] = versioning
        if tags is not None:
            values["tags"] = json.dumps(dict(tags))
        if lifecycle is not None:
            values["lifecycle"] = msgspec.json.encode(list(lifecycle)).decode()
        with self._records.transaction() as db:
            old = get(db, tenant, name)
            if revision is not None and revision != old.revision:
                raise Conflict(f"the bucket {name!r} was changed meanwhile")
            db.execute(update(buckets).where(buckets.c.id == old.id).values(values))
            new = get(db, tenant, name)
            note(db, actor, "bucket.change", new, facts(old), facts(new))
        self._known.pop(name, None)
        return new

    def delete(self, tenant: Tenant, name: str, *, actor: str) -> None:
        """Remove an empty bucket; raises `NoBucket`, `BucketFull`."""
        with self._records.transaction() as db:
            old = get(db, tenant, name)
            # locks the row, so that nothing is put into the bucket meanwhile
            db.execute(update(buckets).where(buckets.c.id == old.id).values(revision=-1))
            for table in (objects, uploads):
                held = select(table.c.id).where(table.c.bucket == old.id).limit(1)
                if db.execute(held).first() is not None:
                    raise BucketFull(f"the bucket {name!r} is not empty")
            db.execute(delete(buckets).where(buckets.c.id == old.id))
            note(db, actor, "bucket.delete", old, facts(old), None)
        self._known.pop(name, None)

    def _check_limit(self, db: Connection, tenant: Tenant) -> None:
        query = select(func.count()).select_from(buckets).where(buckets.c.tenant == tenant)
        limits.check("buckets", self._limit(tenant, "buckets"), db.execute(query).scalar_one())


def get(db: Connection, tenant: Tenant, name: str) -> Bucket:
    """The bucket now; raises `NoBucket`."""
    mine = (buckets.c.name == name) & (buckets.c.tenant == tenant)
    row = db.execute(select(buckets).where(mine)).mappings().first()
    if row is None:
        raise NoBucket(f"there is no bucket {name!r}")
    return bucket_of(row)


def bucket_of(row: Any) -> Bucket:
    """A row of `buckets`."""
    return Bucket(
        id=row["id"],
        name=row["name"],
        tenant=Tenant(row["tenant"]),
        project=row["project"],
        created=row["created"],
        created_by=row["created_by"],
        versioning=row["versioning"],
        tags=json.loads(row["tags"]),
        lifecycle=msgspec.json.decode(row["lifecycle"], type=list[Rule]),
        objects=row["objects"],
        bytes=row["bytes"],
        revision=row["revision"],
    )


def note(
    db: Connection,
    actor: str,
    action: str,
    bucket: Bucket,
    before: Mapping[str, object] | None,
    after: Mapping[str, object] | None,
) -> None:
    """Write a change of a bucket into the record of changes."""
    record_changes(db, [AuditEntry(bucket.tenant, actor, action, bucket.name, before, after)])


def facts(bucket: Bucket) -> dict[str, object]:
    """What the record of changes says of a bucket."""
    return {
        "project": bucket.project,
        "versioning": bucket.versioning,
        "tags": dict(bucket.tags),
        "lifecycle": msgspec.to_builtins(list(bucket.lifecycle)),
    }


def _row(bucket: Bucket) -> dict[str, Any]:
    return {
        "id": bucket.id,
        "name": bucket.name,
        "tenant": bucket.tenant,
        "project": bucket.project,
        "created": bucket.created,
        "created_by": bucket.created_by,
        "versioning": bucket.versioning,
        "tags": json.dumps(dict(bucket.tags)),
        "lifecycle": msgspec.json.encode(list(bucket.lifecycle)).decode(),
        "objects": 0,
        "bytes": 0,
        "revision": 0,
    }
