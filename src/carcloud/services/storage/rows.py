"""Objects as rows: how one takes the place of another, and what becomes of its bytes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from carcloud.model.ids import Tenant
from carcloud.services.storage.bodies import Extent, id_time_us, new_id
from carcloud.services.storage.errors import ConditionFailed, NoBucket, NoKey
from carcloud.services.storage.store import LATEST, buckets, extents, garbage, objects
from carcloud.services.storage.types import (
    ALWAYS,
    Bucket,
    Checksum,
    ObjectInfo,
    StoredBody,
    WriteConditions,
)

_BARE = {"checksum": None, "blob": None, "sealed_by": None, "salt": None}
PLAIN = "null"  # the version of what was written without versioning


# Statements that every put needs are built once.
_LOCK = select(buckets.c.versioning).where(buckets.c.id == bindparam("id")).with_for_update()
_LATEST = select(objects).where(
    objects.c.bucket == bindparam("in_bucket"), objects.c.key == bindparam("of_key"), LATEST
)
_INSERT = insert(objects)
_COUNT = (
    update(buckets)
    .where(buckets.c.id == bindparam("counted"))
    .values(
        objects=buckets.c.objects + bindparam("more_objects"),
        bytes=buckets.c.bytes + bindparam("more_bytes"),
    )
)


@dataclass(slots=True)
class Held:
    """A bucket whose row is locked until the transaction ends, and what it has more by then."""

    id: str
    tenant: Tenant
    versioning: str
    objects: int = 0
    bytes: int = 0


@contextmanager
def holding(db: Connection, bucket: Bucket, *, size: int = 0) -> Iterator[Held]:
    """Lock the bucket; at the end of the block its counts are changed, `size` bytes included.

    The lock makes writes of one bucket wait for each other, so that conditions hold. (SQLite has
    one writer at a time anyhow.) Raises `NoBucket` if the bucket was removed.
    """
    row = db.execute(_LOCK, {"id": bucket.id}).first()
    if row is None:
        raise NoBucket(f"there is no bucket {bucket.name!r}")
    held = Held(bucket.id, bucket.tenant, row.versioning, 0, size)
    yield held
    if held.objects or held.bytes:
        more = {"more_objects": held.objects, "more_bytes": held.bytes}
        db.execute(_COUNT, {"counted": held.id, **more})


def latest(db: Connection, bucket: str, key: bytes) -> Any:
    """The current row of a key, a delete marker too; None = there is none."""
    return db.execute(_LATEST, {"in_bucket": bucket, "of_key": key}).mappings().first()


def check(row: Any, key: str, when: WriteConditions) -> None:
    """Raises `ConditionFailed`, or `NoKey` where If-Match names an object that is not there."""
    there = row is not None and not row["marker"]
    if when.absent and there:
        raise ConditionFailed(f"{key[:200]!r} exists")
    if when.etag is not None:
        if not there:
            raise NoKey(key)
        if when.etag not in ("*", row["etag"]):
            raise ConditionFailed(f"{key[:200]!r} has another ETag")


def place(
    db: Connection, held: Held, key: str, values: dict[str, Any], when: WriteConditions = ALWAYS
) -> dict[str, Any]:
    """Make a new current row from `values` and return it. Its bytes are counted already."""
    raw = key.encode()
    before = latest(db, held.id, raw)
    check(before, key, when)
    plain = held.versioning != "Enabled"
    if before is not None:
        if plain and before["plain"]:
            remove(db, held, before)
        else:
            mine = objects.c.id == before["id"]
            db.execute(update(objects).where(mine).values(latest=0))
            held.objects -= not before["marker"]
    if plain and held.versioning and (before is None or not before["plain"]):
        _remove_plain(db, held, raw)
    name = _next_id(before)
    row = {**_BARE, **values, "id": name, "bucket": held.id, "key": raw}
    row |= {"latest": 1, "plain": plain}
    db.execute(_INSERT, row)
    held.objects += not values["marker"]
    return row


def remove(db: Connection, held: Held, row: Any) -> None:
    """Take a row away; its bytes become garbage."""
    now = id_time_us(new_id())
    if row["blob"] is not None:
        discard(db, held.tenant, [row["blob"]], now)
    elif row["parts"]:
        several = select(extents.c.blob).where(extents.c.object == row["id"])
        discard(db, held.tenant, list(db.execute(several).scalars()), now)
        db.execute(delete(extents).where(extents.c.object == row["id"]))
    db.execute(delete(objects).where(objects.c.id == row["id"]))
    held.objects -= bool(row["latest"]) and not row["marker"]
    held.bytes -= row["size"]


def promote(db: Connection, held: Held, key: bytes) -> None:
    """The newest version that is left becomes the current one."""
    query = select(objects.c.id, objects.c.marker)
    query = query.where(objects.c.bucket == held.id, objects.c.key == key)
    row = db.execute(query.order_by(objects.c.id.desc()).limit(1)).first()
    if row is not None:
        db.execute(update(objects).where(objects.c.id == row.id).values(latest=1))
        held.objects += not row.marker


def discard(db: Connection, tenant: Tenant, blobs: list[str], now_us: int) -> None:
    """Blobs that nothing names any more."""
    if blobs:
        rows = [{"blob": blob, "tenant": tenant, "since": now_us} for blob in blobs]
        db.execute(insert(garbage), rows)


def body_values(body: StoredBody) -> dict[str, Any]:
    """The columns of bytes in one blob."""
    return {
        "size": body.size,
        "checksum": None if body.checksum is None else msgspec.json.encode(body.checksum).decode(),
        "blob": body.blob,
        "sealed_by": body.key,
        "salt": body.salt,
    }


def object_values(headers: Any, tags: Any, modified: int, etag: str, parts: int) -> dict[str, Any]:
    """The columns of a current object besides those of its bytes."""
    return {
        "marker": False,
        "modified": modified,
        "etag": etag,
        "headers": json.dumps(dict(headers)),
        "tags": json.dumps(dict(tags)),
        "parts": parts,
    }


def marker_values(modified: int) -> dict[str, Any]:
    """The columns of a delete marker."""
    return {
        "marker": True, "modified": modified, "size": 0, "etag": "", "headers": "{}",
        "tags": "{}", "parts": 0,
    }  # fmt: skip


def info_of(row: Any) -> ObjectInfo:
    """An object from its row."""
    checksum = checksum_of(row["checksum"])
    body = None
    if row["blob"] is not None:
        body = StoredBody(row["blob"], row["size"], b"", checksum, row["sealed_by"], row["salt"])
    return ObjectInfo(
        bucket=row["bucket"],
        key=row["key"].decode(),
        version=version_of(row),
        size=row["size"],
        etag=row["etag"],
        modified=row["modified"],
        headers=json.loads(row["headers"]),
        tags=json.loads(row["tags"]),
        checksum=checksum,
        latest=bool(row["latest"]),
        parts=row["parts"],
        body=body,
        row=row["id"],
    )


def version_of(row: Any) -> str:
    """The version id as callers know it."""
    return PLAIN if row["plain"] else str(row["id"])


def checksum_of(text: str | None) -> Checksum | None:
    """A checksum from its column."""
    return None if text is None else msgspec.json.decode(text, type=Checksum)


def extents_of(db: Connection, info: ObjectInfo) -> list[Extent]:
    """The blobs of an object, in order."""
    if info.body is not None:
        return [Extent(info.body.blob, info.size, info.body.key, info.body.salt)]
    query = select(extents).where(extents.c.object == info.row).order_by(extents.c.number)
    return [
        Extent(row["blob"], row["size"], row["sealed_by"], row["salt"])
        for row in db.execute(query).mappings()
    ]


def _remove_plain(db: Connection, held: Held, key: bytes) -> None:
    """Versioning was on and is suspended: the one version `null` is replaced."""
    query = select(objects).where(objects.c.bucket == held.id, objects.c.key == key)
    for row in db.execute(query.where(objects.c.plain.is_(True))).mappings().all():
        remove(db, held, row)


def _next_id(before: Any) -> str:
    """Ids of one key grow, also where clocks differ."""
    name = new_id()
    if before is not None and name <= before["id"]:
        name = f"{int(before['id'][:12], 16) + 1:012x}{name[12:]}"
    return name
