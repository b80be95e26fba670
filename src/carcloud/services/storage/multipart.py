"""Objects that come in parts. A part is a blob; completing names them in order, and copies none."""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select

from carcloud.codecs.s3.checksums import ALGORITHMS, composite, joined
from carcloud.codecs.s3.documents import PartClaim
from carcloud.ports.records import Records
from carcloud.services.storage import rows
from carcloud.services.storage.bodies import COMPOSITE, FULL, new_id
from carcloud.services.storage.commits import GroupCommit
from carcloud.services.storage.errors import (
    Invalid,
    NoUpload,
    SmallPart,
    TooLarge,
    WrongChecksum,
    WrongPart,
)
from carcloud.services.storage.places import Places
from carcloud.services.storage.store import extents, parts, uploads
from carcloud.services.storage.types import (
    ALWAYS,
    MIN_PART,
    MOST_OBJECT,
    Bucket,
    Checksum,
    ObjectFacts,
    ObjectInfo,
    Part,
    PartPage,
    StoredBody,
    Upload,
    WriteConditions,
)


class Multipart:
    """Uploads in parts."""

    def __init__(
        self, records: Records, commits: GroupCommit, places: Places, now: Callable[[], int]
    ) -> None:
        self._records = records
        self._commits = commits
        self._places = places
        self._now = now

    def begin(
        self,
        bucket: Bucket,
        key: str,
        facts: ObjectFacts,
        *,
        actor: str,
        algorithm: str = "",
        kind: str = "",
    ) -> Upload:
        """A new upload; raises `NoBucket`, `Invalid` for a checksum that cannot be."""
        kind = _kind(algorithm, kind)
        made = Upload(new_id(), key, self._now(), actor, facts.headers, facts.tags, algorithm, kind)
        row = {
            "id": made.id,
            "bucket": bucket.id,
            "key": key.encode(),
            "created": made.created,
            "by": actor,
            "headers": json.dumps(dict(facts.headers)),
            "tags": json.dumps(dict(facts.tags)),
            "algorithm": algorithm,
            "kind": kind,
        }

        def change(db: Connection) -> Upload:
            with rows.holding(db, bucket):
                db.execute(insert(uploads).values(row))
            return made

        return self._commits.run(change)

    def find(self, bucket: Bucket, key: str, upload: str) -> Upload:
        """An upload of the bucket and key; raises `NoUpload`."""
        with self._records.reading() as db:
            return upload_of(_row(db, bucket, key, upload))

    def put_part(
        self, bucket: Bucket, key: str, upload: str, number: int, body: StoredBody
    ) -> Part:
        """Durable bytes as a part, in place of one of the same number; raises `NoUpload`."""
        checksum = body.checksum
        row = {
            "upload": upload,
            "number": number,
            "size": body.size,
            "md5": body.md5.hex(),
            "checksum": None if checksum is None else msgspec.json.encode(checksum).decode(),
            "modified": self._now(),
            "blob": body.blob,
            "sealed_by": body.key,
            "salt": body.salt,
        }

        def change(db: Connection) -> Part:
            with rows.holding(db, bucket, size=body.size) as held:
                self._places.check(db, bucket.tenant, body.place)
                _row(db, bucket, key, upload)
                mine = (parts.c.upload == upload) & (parts.c.number == number)
                old = db.execute(select(parts).where(mine)).mappings().first()
                if old is not None:
                    db.execute(delete(parts).where(mine))
                    rows.discard(db, bucket.tenant, [old["blob"]], self._now())
                    held.bytes -= old["size"]
                db.execute(insert(parts).values(row))
            return _part(row)

        return self._commits.run(change)

    def parts(
        self, bucket: Bucket, key: str, upload: str, after: int, most: int
    ) -> tuple[Upload, PartPage]:
        """The parts with numbers above `after`; raises `NoUpload`."""
        query = select(parts).where(parts.c.upload == upload, parts.c.number > after)
        with self._records.reading() as db:
            known = upload_of(_row(db, bucket, key, upload))
            found = db.execute(query.order_by(parts.c.number).limit(most + 1)).mappings().all()
        shown = [_part(row) for row in found[:most]]
        more = len(found) > most and bool(shown)
        return known, PartPage(shown, shown[-1].number if more else None)

    def complete(
        self,
        bucket: Bucket,
        key: str,
        upload: str,
        claims: Sequence[PartClaim],
        when: WriteConditions = ALWAYS,
        *,
        checksum: str | None = None,
        size: int | None = None,
    ) -> ObjectInfo:
        """Make the object of the parts that are named. `checksum` and `size` are what the whole
        must have, if given.

        Raises `NoUpload`, `WrongPart`, `SmallPart`, `TooLarge`, `WrongChecksum`, `Invalid`,
        `ConditionFailed`, `NoKey`; the upload is then still there.
        """

        def change(db: Connection) -> ObjectInfo:
            with rows.holding(db, bucket) as held:
                known = upload_of(_row(db, bucket, key, upload))
                have = _all_parts(db, upload)
                chosen = _chosen(claims, have)
                whole = _checksum(known, chosen)
                if checksum is not None and whole is not None and _plain(whole.value) != checksum:
                    raise WrongChecksum("the checksum of the whole is another one")
                total = sum(row["size"] for row in chosen)
                if size is not None and size != total:
                    raise Invalid("size", f"the parts have {total} bytes together, not {size}")
                return self._finish(db, held, known, chosen, have, whole, when)

        return self._commits.run(change)

    def abort(self, bucket: Bucket, key: str, upload: str) -> None:
        """Give an upload up; raises `NoUpload`."""

        def change(db: Connection) -> None:
            _row(db, bucket, key, upload)
            self.drop(db, bucket, upload)

        self._commits.run(change)

    def drop(self, db: Connection, bucket: Bucket, upload: str) -> None:
        """Remove an upload and its parts in an open transaction."""
        with rows.holding(db, bucket) as held:
            have = _all_parts(db, upload)
            held.bytes -= sum(row["size"] for row in have.values())
            rows.discard(db, bucket.tenant, [row["blob"] for row in have.values()], self._now())
            _remove(db, upload)

    def _finish(
        self,
        db: Connection,
        held: rows.Held,
        known: Upload,
        chosen: Sequence[Any],
        have: dict[int, Any],
        whole: Checksum | None,
        when: WriteConditions,
    ) -> ObjectInfo:
        digests = b"".join(bytes.fromhex(row["md5"]) for row in chosen)
        etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(chosen)}"
        values = rows.object_values(known.headers, known.tags, self._now(), etag, len(chosen))
        single = chosen[0] if len(chosen) == 1 else None
        values |= {
            "size": sum(row["size"] for row in chosen),
            "checksum": None if whole is None else msgspec.json.encode(whole).decode(),
            "blob": None if single is None else single["blob"],
            "sealed_by": None if single is None else single["sealed_by"],
            "salt": None if single is None else single["salt"],
        }
        made = rows.place(db, held, known.key, values, when)
        if single is None:
            _extend(db, made["id"], chosen)
        kept = {row["number"] for row in chosen}
        left = [row for number, row in have.items() if number not in kept]
        rows.discard(db, held.tenant, [row["blob"] for row in left], self._now())
        held.bytes -= sum(row["size"] for row in left)
        _remove(db, known.id)
        return rows.info_of(made)


def upload_of(row: Any) -> Upload:
    """A row of `uploads`."""
    return Upload(
        id=row["id"],
        key=row["key"].decode(),
        created=row["created"],
        by=row["by"],
        headers=json.loads(row["headers"]),
        tags=json.loads(row["tags"]),
        algorithm=row["algorithm"],
        kind=row["kind"],
    )


def _kind(algorithm: str, kind: str) -> str:
    """How the checksum of the whole is made; S3's defaults."""
    if not algorithm:
        return ""
    row = ALGORITHMS[algorithm]
    kind = kind or (FULL if algorithm == "crc64nvme" else COMPOSITE)
    if kind not in (FULL, COMPOSITE):
        raise Invalid("checksum type", "FULL_OBJECT or COMPOSITE")
    if (kind == FULL and not row.polynomial) or (kind == COMPOSITE and algorithm == "crc64nvme"):
        raise Invalid("checksum type", f"{kind} cannot be used with {algorithm}")
    return kind


def _row(db: Connection, bucket: Bucket, key: str, upload: str) -> Any:
    mine = (uploads.c.id == upload) & (uploads.c.bucket == bucket.id)
    row = db.execute(select(uploads).where(mine)).mappings().first()
    if row is None or row["key"] != key.encode():
        raise NoUpload("there is no such upload")
    return row


def _all_parts(db: Connection, upload: str) -> dict[int, Any]:
    found = db.execute(select(parts).where(parts.c.upload == upload)).mappings()
    return {row["number"]: row for row in found}


def _chosen(claims: Sequence[PartClaim], have: dict[int, Any]) -> list[Any]:
    chosen = []
    for claim in claims:
        row = have.get(claim.number)
        if row is None or row["md5"] != claim.etag:
            raise WrongPart(f"part {claim.number} is not there, or has another ETag")
        known = rows.checksum_of(row["checksum"])
        for algorithm, value in claim.checksums.items():
            if known is not None and known.algorithm == algorithm and known.value != value:
                raise WrongPart(f"part {claim.number} has another checksum")
        chosen.append(row)
    for row in chosen[:-1]:
        if row["size"] < MIN_PART:
            raise SmallPart(f"part {row['number']} is smaller than 5 MiB")
    if sum(row["size"] for row in chosen) > MOST_OBJECT:
        raise TooLarge("the object would be larger than 5 TiB")
    return chosen


def _checksum(known: Upload, chosen: Sequence[Any]) -> Checksum | None:
    """The checksum of the whole, if every part has one of the upload's algorithm."""
    if not known.algorithm:
        return None
    row = ALGORITHMS[known.algorithm]
    values = [rows.checksum_of(part["checksum"]) for part in chosen]
    if any(one is None or one.algorithm != known.algorithm for one in values):
        raise WrongPart(f"every part needs its checksum {known.algorithm}")
    raw = [base64.b64decode(one.value) for one in values if one is not None]
    if known.kind == COMPOSITE:
        return Checksum(row.name, composite(row, raw), COMPOSITE)
    sizes = [part["size"] for part in chosen]
    return Checksum(row.name, joined(row, list(zip(raw, sizes, strict=True))), FULL)


def _plain(value: str) -> str:
    return value.partition("-")[0] if "-" in value else value


def _extend(db: Connection, name: str, chosen: Sequence[Any]) -> None:
    made, start = [], 0
    for number, row in enumerate(chosen, 1):
        columns = {column: row[column] for column in ("size", "blob", "sealed_by", "salt")}
        made.append({"object": name, "number": number, "start": start, **columns})
        start += row["size"]
    db.execute(insert(extents), made)


def _remove(db: Connection, upload: str) -> None:
    db.execute(delete(parts).where(parts.c.upload == upload))
    db.execute(delete(uploads).where(uploads.c.id == upload))


def _part(row: Any) -> Part:
    checksum = rows.checksum_of(row["checksum"])
    return Part(row["number"], row["size"], row["md5"], row["modified"], checksum)
