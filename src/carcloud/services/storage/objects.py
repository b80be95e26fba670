"""Objects: put, found, copied, tagged, deleted."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select, update

from carcloud.codecs.s3.checksums import Algorithm
from carcloud.codecs.s3.conditions import Span
from carcloud.codecs.s3.documents import ToDelete
from carcloud.ports.records import Records
from carcloud.services.storage import rows
from carcloud.services.storage.bodies import Body, Reader, blob_key, new_id
from carcloud.services.storage.commits import GroupCommit
from carcloud.services.storage.errors import IsMarker, NoKey, NoVersion, StorageRefusal, WrongPart
from carcloud.services.storage.places import Places
from carcloud.services.storage.store import objects
from carcloud.services.storage.types import (
    ALWAYS,
    Bucket,
    Deleted,
    ObjectFacts,
    ObjectInfo,
    StoredBody,
    WriteConditions,
)


class Objects:
    """What buckets hold."""

    def __init__(
        self, records: Records, commits: GroupCommit, places: Places, now: Callable[[], int]
    ) -> None:
        self._records = records
        self._commits = commits
        self._places = places
        self._reader = Reader(places)
        self._now = now

    def body(self, bucket: Bucket, algorithm: Algorithm | None = None) -> Body:
        """Where the bytes of a new object or part go first."""
        tenant = bucket.tenant
        sealing = self._places.sealing(tenant)
        mark = self._places.mark(tenant)  # before the blobs: never newer than they
        check, blobs = self._places.check_writable, self._places.blobs(tenant)
        return Body(blobs, tenant, sealing, algorithm, check=check, place=mark)

    def put(
        self,
        bucket: Bucket,
        key: str,
        body: StoredBody,
        facts: ObjectFacts,
        when: WriteConditions = ALWAYS,
        *,
        etag: str | None = None,
    ) -> ObjectInfo:
        """Make durable bytes the object of a key; readers see the old or the new one, whole.

        Raises `NoBucket`, `ConditionFailed`, `NoKey`; the bytes then belong to nobody: abort them.
        """
        made = body.md5.hex() if etag is None else etag

        def change(db: Connection) -> ObjectInfo:
            values = rows.object_values(facts.headers, facts.tags, self._now(), made, 0)
            with rows.holding(db, bucket, size=body.size) as held:
                self._places.check(db, bucket.tenant, body.place)
                row = rows.place(db, held, key, values | rows.body_values(body), when)
            return rows.info_of(row)

        return self._commits.run(change)

    def find(self, bucket: Bucket, key: str, version: str | None = None) -> ObjectInfo:
        """The current object, or a version of it; raises `NoKey`, `NoVersion`, `IsMarker`."""
        with self._records.reading() as db:
            row = _row(db, bucket, key, version)
        if row["marker"]:
            if version is None:
                raise NoKey(key, marker=rows.version_of(row))
            raise IsMarker("this version is a delete marker")
        return rows.info_of(row)

    def read(
        self, bucket: Bucket, info: ObjectInfo, start: int = 0, end: int | None = None
    ) -> Iterator[bytes]:
        """The bytes from `start` to `end` in pieces; raises `NotFound`, `Unreadable`."""
        with self._records.reading() as db:
            extents = rows.extents_of(db, info)
        stop = info.size if end is None else end
        return self._reader.pieces(bucket.tenant, extents, start, stop)

    def file(self, bucket: Bucket, info: ObjectInfo) -> Path | None:
        """The local file that holds exactly the object, if there is one."""
        if info.body is None or info.body.key is not None:
            return None
        return self._places.blobs(bucket.tenant).file(info.body.blob)

    def copied(
        self,
        source: Bucket,
        info: ObjectInfo,
        target: Bucket,
        span: Span | None = None,
        algorithm: Algorithm | None = None,
    ) -> Body:
        """A body with the bytes of an object (or of `span` of it) read and written again."""
        body = self.body(target, algorithm)
        start, end = (0, info.size) if span is None else (span.start, span.end)
        try:
            for piece in self.read(source, info, start, end):
                body.write(piece)
        except BaseException:
            body.abort()
            raise
        return body

    def copy(
        self,
        source: Bucket,
        info: ObjectInfo,
        target: Bucket,
        key: str,
        facts: ObjectFacts,
        when: WriteConditions = ALWAYS,
    ) -> ObjectInfo:
        """The same bytes under another key; within a tenant the blob is not read, if it is one."""
        if source.tenant == target.tenant and info.body is not None:
            body = self._linked(target, info.body)
            etag: str | None = info.etag
        else:
            written = self.copied(source, info, target)
            body, etag = written.finish(), None
        try:
            return self.put(target, key, body, facts, when, etag=etag)
        except BaseException:
            self._places.blobs(target.tenant).delete(body.blob)
            raise

    def set_tags(
        self, bucket: Bucket, key: str, tags: Mapping[str, str], version: str | None = None
    ) -> str:
        """Replace the tags; returns the version. Raises `NoKey`, `NoVersion`, `IsMarker`."""

        def change(db: Connection) -> str:
            with rows.holding(db, bucket):
                row = _row(db, bucket, key, version)
                if row["marker"]:
                    raise IsMarker("a delete marker has no tags")
                values = {"tags": json.dumps(dict(tags))}
                db.execute(update(objects).where(objects.c.id == row["id"]).values(values))
            return rows.version_of(row)

        return self._commits.run(change)

    def delete(
        self,
        bucket: Bucket,
        key: str,
        version: str | None = None,
        *,
        etag: str | None = None,
    ) -> Deleted:
        """Remove an object or a version; nothing happens if it is not there.

        With versioning, a delete without a version puts a marker. Raises `NoBucket`,
        `ConditionFailed`, `NoKey` (only with `etag`).
        """

        def change(db: Connection) -> Deleted:
            with rows.holding(db, bucket) as held:
                return self._delete(db, held, key, version, etag)

        return self._commits.run(change)

    def delete_many(
        self, bucket: Bucket, wanted: Sequence[ToDelete]
    ) -> list[Deleted | StorageRefusal]:
        """As `delete` for each, all in one transaction; a refusal stands in place of its result.

        Raises `NoBucket`.
        """

        def change(db: Connection) -> list[Deleted | StorageRefusal]:
            done: list[Deleted | StorageRefusal] = []
            with rows.holding(db, bucket) as held:
                for one in wanted:
                    try:  # what is refused is refused before anything is changed
                        done.append(self._delete(db, held, one.key, one.version, one.etag))
                    except StorageRefusal as error:
                        done.append(error)
            return done

        return self._commits.run(change)

    def part(self, info: ObjectInfo, number: int) -> Span:
        """The bytes of a part of a multipart upload; raises `WrongPart`."""
        if info.body is not None and number == 1:
            return Span(0, info.size)
        with self._records.reading() as db:
            extents = rows.extents_of(db, info)
        if not 1 <= number <= len(extents):
            raise WrongPart(f"the object has no part {number}")
        start = sum(extent.size for extent in extents[: number - 1])
        return Span(start, start + extents[number - 1].size)

    def _delete(
        self, db: Connection, held: rows.Held, key: str, version: str | None, etag: str | None
    ) -> Deleted:
        if version is not None:
            return self._delete_version(db, held, key, version)
        row = rows.latest(db, held.id, key.encode())
        rows.check(row, key, WriteConditions(etag=etag))
        if held.versioning:
            row = rows.place(db, held, key, rows.marker_values(self._now()))
            return Deleted(rows.version_of(row), marker=True)
        if row is not None:
            rows.remove(db, held, row)
        return Deleted()

    def _delete_version(self, db: Connection, held: rows.Held, key: str, version: str) -> Deleted:
        row = _version(db, held.id, key, version)
        if row is None:
            return Deleted(version)
        rows.remove(db, held, row)
        if row["latest"]:
            rows.promote(db, held, key.encode())
        return Deleted(version, marker=row["marker"])

    def _linked(self, target: Bucket, body: StoredBody) -> StoredBody:
        """The same sealed or plain bytes under a blob of their own."""
        mark, blobs = self._places.mark(target.tenant), self._places.blobs(target.tenant)
        self._places.check_writable(target.tenant)
        fresh = blob_key(target.tenant, new_id())
        blobs.copy(body.blob, fresh)
        return StoredBody(fresh, body.size, b"", body.checksum, body.key, body.salt, mark)


def _row(db: Connection, bucket: Bucket, key: str, version: str | None) -> Any:
    """The row asked for; raises `NoKey`, `NoVersion`."""
    if version is None:
        row = rows.latest(db, bucket.id, key.encode())
        if row is None:
            raise NoKey(key)
        return row
    row = _version(db, bucket.id, key, version)
    if row is None:
        raise NoVersion(f"there is no version {version[:40]!r} of {key[:200]!r}")
    return row


def _version(db: Connection, bucket: str, key: str, version: str) -> Any:
    query = select(objects).where(objects.c.bucket == bucket, objects.c.key == key.encode())
    if version == rows.PLAIN:
        query = query.where(objects.c.plain.is_(True))
    else:
        query = query.where(objects.c.id == version, objects.c.plain.is_(False))
    return db.execute(query).mappings().first()
