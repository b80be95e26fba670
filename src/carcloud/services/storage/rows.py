"""Objects as rows: how one takes the place of another, and what becomes of its bytes."""

import json
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

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

PLAIN = "null"  # the version of what was written without versioning


@dataclass(frozen=True, slots=True)
class Held:
    """A bucket whose row is locked until the transaction ends."""

    id: str
    tenant: Tenant
    versioning: str


def hold(db: Connection, bucket: Bucket, *, size: int = 0) -> Held:
    """Lock the bucket and count bytes that come or go; raises `NoBucket` if it was removed.

    The lock makes writes of one bucket wait for each other, so that conditions hold.
    """
    mine = buckets.c.id == bucket.id
    if not db.execute(update(buckets).where(mine).values(bytes=buckets.c.bytes + size)).rowcount:
        raise NoBucket(f"there is no bucket {bucket.name!r}")
    versioning = db.execute(select(buckets.c.versioning).where(mine)).scalar_one()
    return Held(bucket.id, bucket.tenant, versioning)


def latest(db: Connection, bucket: str, key: bytes) -> Any:
    """The current row of a key, a delete marker too; None = there is none."""
    query = select(objects).where(objects.c.bucket == bucket, objects.c.key == key, LATEST)
    return db.execute(query).mappings().first()


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
) -> str:
    """Make a new current row from `values` and return its id. Its bytes are counted already."""
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
            count(db, held, 0 if before["marker"] else -1, 0)
    if plain and held.versioning and (before is None or not before["plain"]):
        _remove_plain(db, held, raw)
    name = _next_id(before)
    db.execute(
        insert(objects).values(id=name, bucket=held.id, key=raw, latest=1, plain=plain, **values)
    )
    if not values["marker"]:
        count(db, held, 1, 0)
    return name


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
    count(db, held, -1 if row["latest"] and not row["marker"] else 0, -row["size"])


def promote(db: Connection, held: Held, key: bytes) -> None:
    """The newest version that is left becomes the current one."""
    query = select(objects.c.id, objects.c.marker)
    query = query.where(objects.c.bucket == held.id, objects.c.key == key)
    row = db.execute(query.order_by(objects.c.id.desc()).limit(1)).first()
    if row is not None:
        db.execute(update(objects).where(objects.c.id == row.id).values(latest=1))
        count(db, held, 0 if row.marker else 1, 0)


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


def count(db: Connection, held: Held, number: int, size: int) -> None:
    """Objects and bytes that the bucket has more, or less, than before."""
    if number or size:
        values = {"objects": buckets.c.objects + number, "bytes": buckets.c.bytes + size}
        db.execute(update(buckets).where(buckets.c.id == held.id).values(values))
