"""Care: what a lifecycle lets go, uploads nobody finishes, and bytes that nothing names."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, delete, select

from carcloud.codecs.s3.documents import Rule
from carcloud.model.ids import Tenant
from carcloud.model.time import DAY, to_us
from carcloud.ports.errors import EngineError
from carcloud.ports.records import Records
from carcloud.services.storage import rows
from carcloud.services.storage.bodies import id_time_us
from carcloud.services.storage.buckets import note
from carcloud.services.storage.commits import GroupCommit
from carcloud.services.storage.errors import NoBucket, StorageRefusal
from carcloud.services.storage.multipart import Multipart
from carcloud.services.storage.places import Places
from carcloud.services.storage.store import extents, garbage, objects, parts, uploads
from carcloud.services.storage.types import Bucket, Care

log = logging.getLogger(__name__)

GRACE_US = 600 * 1_000_000  # a reader that has begun may still be at the bytes
ORPHAN_US = DAY  # a body that came so long ago and belongs to nothing never will
_PAGE = 500


class Upkeep:
    """One round of care after the other, by the jobs role. `now` is a clock in us."""

    def __init__(
        self,
        records: Records,
        commits: GroupCommit,
        places: Places,
        multipart: Multipart,
        now: Callable[[], int],
    ) -> None:
        self._records = records
        self._commits = commits
        self._places = places
        self._multipart = multipart
        self._now = now

    def expire(self, bucket: Bucket) -> int:
        """Do what the bucket's lifecycle says; returns the number of objects that went."""
        gone = 0
        for rule in bucket.lifecycle:
            if rule.enabled:
                gone += self._current(bucket, rule)
                gone += self._old_versions(bucket, rule)
                gone += self._markers(bucket, rule)
        if gone:
            with self._records.transaction() as db:
                note(db, "storage", "bucket.expire", bucket, None, {"objects": gone})
        return gone

    def end_uploads(self, bucket: Bucket, days: float) -> int:
        """Give up uploads older than `days`, or than a rule of the bucket says."""
        query = select(uploads).where(uploads.c.bucket == bucket.id)
        with self._records.reading() as db:
            found = db.execute(query).mappings().all()
        ended = 0
        for row in found:
            limits = [days, *_upload_days(bucket, row["key"].decode())]
            if row["created"] <= self._now() - min(limits) * DAY:
                ended += self._end(bucket, row)
        return ended

    def sweep(self, tenant: Tenant) -> int:
        """Remove bytes that nothing names any more; returns the number of blobs."""
        removed = 0
        old = garbage.c.since <= self._now() - GRACE_US
        query = select(garbage.c.blob).where(garbage.c.tenant == tenant, old).limit(_PAGE)
        blobs = self._places.blobs(tenant)
        while True:
            with self._records.reading() as db:
                found = list(db.execute(query).scalars())
            for blob in found:
                blobs.delete(blob)
            self._forget(found)
            removed += len(found)
            if len(found) < _PAGE:
                return removed

    def find_orphans(self, tenant: Tenant) -> int:
        """Remove blobs that came with a put that never ended, as after `kill -9`."""
        removed = 0
        blobs = self._places.blobs(tenant)
        for folder in range(256):
            listed = [blob.key for blob in blobs.list(f"{tenant}/objects/{folder:02x}/")]
            old = [key for key in listed if self._is_old(key)]
            for start in range(0, len(old), _PAGE):
                for key in self._unnamed(old[start : start + _PAGE]):
                    blobs.delete(key)
                    removed += 1
        return removed

    def _current(self, bucket: Bucket, rule: Rule) -> int:
        if not rule.days and not rule.date:
            return 0
        cutoff = self._now() - rule.days * DAY
        if rule.date:
            day = datetime.fromisoformat(rule.date).replace(tzinfo=UTC)
            cutoff = self._now() if to_us(day) <= self._now() else -1
        gone = 0
        for row in self._rows(bucket, rule):
            due = row["latest"] and not row["marker"] and row["modified"] <= cutoff
            if due and _matches(rule, row):
                gone += self._remove(bucket, row, mark=True)
        return gone

    def _old_versions(self, bucket: Bucket, rule: Rule) -> int:
        if not rule.old_versions_days:
            return 0
        cutoff = self._now() - rule.old_versions_days * DAY
        gone = 0
        newer: Any = None
        for row in self._rows(bucket, rule):
            replaced = newer["modified"] if newer and newer["key"] == row["key"] else None
            if not row["latest"] and replaced is not None and replaced <= cutoff:
                gone += _matches(rule, row) and self._remove(bucket, row, mark=False)
            newer = row
        return gone

    def _markers(self, bucket: Bucket, rule: Rule) -> int:
        if not rule.expired_marker:
            return 0
        gone = 0
        for _, versions in groupby(self._rows(bucket, rule), key=lambda row: row["key"]):
            first, *others = versions
            if first["marker"] and not others:
                gone += self._remove(bucket, first, mark=False)
        return gone

    def _rows(self, bucket: Bucket, rule: Rule) -> Iterator[Any]:
        """All versions under the rule's prefix, by key, newest first, in pages."""
        query = select(objects).where(objects.c.bucket == bucket.id)
        query = query.order_by(objects.c.key, objects.c.id.desc()).limit(_PAGE)
        prefix = rule.prefix.encode()
        query = query.where(objects.c.key >= prefix)
        last = None
        while True:
            page = query
            if last is not None:
                behind = (objects.c.key > last["key"]) | (objects.c.id < last["id"])
                page = query.where((objects.c.key >= last["key"]) & behind)
            with self._records.reading() as db:
                found = db.execute(page).mappings().all()
            for row in found:
                if not row["key"].startswith(prefix):
                    return
                yield row
            if len(found) < _PAGE:
                return
            last = found[-1]

    def _remove(self, bucket: Bucket, row: Any, *, mark: bool) -> int:
        """Remove a row that is still as it was seen; with versioning, a marker takes its place."""

        def change(db: Connection) -> int:
            with rows.holding(db, bucket) as held:
                mine = (objects.c.id == row["id"]) & (objects.c.latest == row["latest"])
                now = db.execute(select(objects).where(mine)).mappings().first()
                if now is None:
                    return 0
                if mark and held.versioning:
                    rows.place(db, held, row["key"].decode(), rows.marker_values(self._now()))
                    return 1
                rows.remove(db, held, now)
                if now["latest"]:
                    rows.promote(db, held, row["key"])
                return 1

        try:
            return self._commits.run(change)
        except NoBucket:
            return 0

    def _end(self, bucket: Bucket, row: Any) -> int:
        try:
            self._multipart.abort(bucket, row["key"].decode(), row["id"])
        except StorageRefusal:  # somebody else was faster
            return 0
        return 1

    def _forget(self, blobs: list[str]) -> None:
        if blobs:
            with self._records.transaction() as db:
                db.execute(delete(garbage).where(garbage.c.blob.in_(blobs)))

    def _is_old(self, key: str) -> bool:
        made = id_time_us(key.rpartition("/")[2])
        return 0 < made <= self._now() - ORPHAN_US

    def _unnamed(self, blobs: list[str]) -> list[str]:
        with self._records.reading() as db:
            for table in (objects, extents, parts, garbage):
                query = select(table.c.blob).where(table.c.blob.in_(blobs))
                named = set(db.execute(query).scalars())
                blobs = [blob for blob in blobs if blob not in named]
        return blobs


def care_round(
    upkeep: Upkeep, all_buckets: list[Bucket], tenants: list[Tenant], *, days: float, orphans: bool
) -> tuple[Care, list[tuple[Tenant, str]]]:
    """One round over everything; (what was done, troubles by tenant)."""
    expired = ended = removed = 0
    troubles: list[tuple[Tenant, str]] = []
    for bucket in all_buckets:
        try:
            expired += upkeep.expire(bucket)
            ended += upkeep.end_uploads(bucket, days)
        except (EngineError, StorageRefusal) as error:
            troubles.append((bucket.tenant, f"bucket {bucket.name}: {error}"))
    for tenant in tenants:
        try:
            removed += upkeep.sweep(tenant)
            if orphans:
                removed += upkeep.find_orphans(tenant)
        except (EngineError, StorageRefusal) as error:
            troubles.append((tenant, f"bytes of {tenant}: {error}"))
    return Care(expired, ended, removed), troubles


def _matches(rule: Rule, row: Any) -> bool:
    info = rows.info_of(row)
    return (
        all(info.tags.get(key) == value for key, value in rule.tags)
        and (rule.larger_than is None or info.size > rule.larger_than)
        and (rule.smaller_than is None or info.size < rule.smaller_than)
    )


def _upload_days(bucket: Bucket, key: str) -> list[int]:
    return [
        rule.uploads_days
        for rule in bucket.lifecycle
        if rule.enabled and rule.uploads_days and key.startswith(rule.prefix)
    ]
