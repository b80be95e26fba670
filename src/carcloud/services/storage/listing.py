"""Lists in order of key bytes, with what lies below a delimiter shown once."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, select

from carcloud.ports.records import Records
from carcloud.services.storage import rows
from carcloud.services.storage.multipart import upload_of
from carcloud.services.storage.store import LATEST, objects, uploads
from carcloud.services.storage.types import Bucket, Entry, Listing, UploadPage

MOST = 1000  # entries of a page, S3
_PAGE = 1002  # rows asked for at once
_FEW = 20  # the same where most of them may lie below one delimiter; doubled while they do not


@dataclass(slots=True)
class _Page:
    """A page that is being filled."""

    prefix: bytes
    delimiter: bytes
    most: int
    rows: list[Any] = field(default_factory=list)
    prefixes: list[bytes] = field(default_factory=list)
    last: Any = None  # what was taken last: a row, or a common prefix

    @property
    def full(self) -> bool:
        return len(self.rows) + len(self.prefixes) >= self.most

    def common(self, key: bytes) -> bytes | None:
        """What stands for the key if it lies below a delimiter."""
        if not self.delimiter:
            return None
        at = key.find(self.delimiter, len(self.prefix))
        return None if at < 0 else key[: at + len(self.delimiter)]


class Lister:
    """Answers lists of one installation."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def current(
        self, bucket: Bucket, prefix: str, delimiter: str, after: str, most: int
    ) -> Listing:
        """Current objects whose keys are greater than `after`."""
        page = _Page(prefix.encode(), delimiter.encode(), most)
        with self._records.reading() as db:
            more = _fill(db, objects, bucket.id, page, after.encode(), None, current=True)
        return Listing(
            [_entry(row) for row in page.rows],
            [_text(one) for one in page.prefixes],
            _text(_key(page.last)) if more else None,
        )

    def versions(
        self, bucket: Bucket, prefix: str, delimiter: str, after: str, version: str, most: int
    ) -> Listing:
        """All versions, newest first, from behind `version` of the key `after`."""
        page = _Page(prefix.encode(), delimiter.encode(), most)
        with self._records.reading() as db:
            row = _marked(db, bucket.id, after, version) if version else None
            more = _fill(db, objects, bucket.id, page, after.encode(), row, current=False)
        last = page.last
        return Listing(
            [_entry(row) for row in page.rows],
            [_text(one) for one in page.prefixes],
            _text(_key(last)) if more else None,
            rows.version_of(last) if more and not isinstance(last, bytes) else None,
        )

    def uploads(
        self, bucket: Bucket, prefix: str, delimiter: str, after: str, upload: str, most: int
    ) -> UploadPage:
        """Unfinished uploads, from behind `upload` of the key `after`."""
        page = _Page(prefix.encode(), delimiter.encode(), most)
        with self._records.reading() as db:
            more = _fill(db, uploads, bucket.id, page, after.encode(), upload or None, False)
        last = page.last
        return UploadPage(
            [upload_of(row) for row in page.rows],
            [_text(one) for one in page.prefixes],
            _text(_key(last)) if more else None,
            last["id"] if more and not isinstance(last, bytes) else None,
        )


def _fill(
    db: Connection,
    table: Table,
    bucket: str,
    page: _Page,
    after: bytes,
    row_id: str | None,
    current: bool,
) -> bool:
    """Fill the page with what follows `after`; returns whether there is more behind it."""
    start: ColumnElement[bool] = table.c.key > after
    if row_id is not None:
        newer = table.c.id < row_id if table is objects else table.c.id > row_id
        start = (table.c.key >= after) & ((table.c.key > after) | newer)
    common = page.common(after) if after.startswith(page.prefix) else None
    if common is not None and common == after:  # the page before ended with this prefix
        start = table.c.key >= _behind(common)
    while True:
        skip = None
        for row in _rows(db, table, bucket, page.prefix, start, current, bool(page.delimiter)):
            common = page.common(row["key"])
            if page.full:
                return True
            if common is None:
                page.rows.append(row)
                page.last = row
                continue
            page.prefixes.append(common)
            page.last = skip = common
            break
        if skip is None:
            return False
        start = table.c.key >= _behind(skip)


def _rows(
    db: Connection,
    table: Table,
    bucket: str,
    prefix: bytes,
    start: ColumnElement[bool],
    current: bool,
    few: bool,
) -> Iterator[Any]:
    """Rows in order, page after page."""
    order = (table.c.key, table.c.id.desc() if table is objects else table.c.id)
    query = select(table).where(table.c.bucket == bucket)
    if prefix:
        query = query.where(table.c.key >= prefix)
        if behind := _behind(prefix):
            query = query.where(table.c.key < behind)
    if current:
        query = query.where(LATEST, table.c.marker.is_(False))
    size = _FEW if few else _PAGE
    while True:
        found = db.execute(query.where(start).order_by(*order).limit(size)).mappings().all()
        yield from found
        if len(found) < size:
            return
        size = min(_PAGE, size * 2)
        last = found[-1]
        if current:
            start = table.c.key > last["key"]
            continue
        newer = table.c.id < last["id"] if table is objects else table.c.id > last["id"]
        start = (table.c.key >= last["key"]) & ((table.c.key > last["key"]) | newer)


def _behind(prefix: bytes) -> bytes:
    """The least bytes greater than everything that begins with `prefix`; empty = there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else b""


def _marked(db: Connection, bucket: str, key: str, version: str) -> str | None:
    """The id inside storage of a version that a marker names."""
    if version != rows.PLAIN:
        return version
    query = select(objects.c.id).where(objects.c.bucket == bucket, objects.c.key == key.encode())
    return db.execute(query.where(objects.c.plain.is_(True))).scalar()


def _key(last: Any) -> bytes:
    return last if isinstance(last, bytes) else bytes(last["key"])


def _text(key: bytes) -> str:
    return key.decode()


def _entry(row: Any) -> Entry:
    return Entry(
        key=row["key"].decode(),
        version=rows.version_of(row),
        latest=bool(row["latest"]),
        marker=row["marker"],
        size=row["size"],
        etag=row["etag"],
        modified=row["modified"],
        checksum=rows.checksum_of(row["checksum"]),
    )
