"""What goes into the archive of a tenant: its records, its lake, its buckets, its jobs' files."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from carcloud.model.ids import Tenant
from carcloud.ports.blobs import Blobs
from carcloud.ports.errors import NotFound
from carcloud.ports.lake import Lake
from carcloud.ports.records import Records
from carcloud.services.storage.api import Bucket, Entry, NoKey, NoVersion, ObjectInfo, Storage
from carcloud.services.tenant_life import left_out
from carcloud.services.tenant_life.archive import Archive
from carcloud.services.tenant_life.errors import Torn
from carcloud.services.tenant_life.reach import Reach
from carcloud.services.tenant_life.types import Tell

_ROWS = 500  # fetched at a time
_PAGE = 1000  # objects listed at a time
_TRIES = 5  # at a table that is tidied up while it is copied
_JOBS = ("artifacts", "job-logs")  # below `<tenant>/` in the blobs
_LOG = "_delta_log/00000000000000000000.json"


@dataclass(slots=True)
class Facts:
    """What the manifest tells besides the members."""

    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    lake: dict[str, dict[str, Any]] = field(default_factory=dict)
    buckets: dict[str, dict[str, Any]] = field(default_factory=dict)
    files_of_jobs: int = 0
    gone_meanwhile: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Contents:
    """Copies one tenant's data into archives."""

    records: Records
    lake: Lake
    blobs: Blobs
    storage: Storage
    reach: Reach

    def expected(self, tenant: Tenant) -> int:
        """Bytes that an archive will have, without the records."""
        tables = sum(table.bytes for table in self.lake.tables(tenant))
        return tables + self.storage.stored_bytes(tenant)

    def copy(self, tenant: Tenant, into: Archive, tell: Tell) -> Facts:
        """Everything; raises `Torn`, `Ended` of `tell`, `EngineError`."""
        facts = Facts()
        self._records(tenant, into, tell, facts)
        for copy in self.lake.copies(tenant):
            self._table(tenant, copy.name, into, tell, facts)
        for bucket in self.storage.buckets.all(tenant):
            self._bucket(bucket, into, tell, facts)
        for kind in _JOBS:
            self._files_of_jobs(tenant, kind, into, tell, facts)
        return facts

    def _records(self, tenant: Tenant, into: Archive, tell: Tell, facts: Facts) -> None:
        """All tables as they are at one moment, a member each."""
        with self.records.reading() as db:
            for name in sorted(self.reach.names()):
                if name in left_out.TABLES:
                    continue
                tell(f"records: {name}", 0)
                lines = self._rows(db, name, tenant, tell)
                rows = into.add_lines(f"records/{name}.jsonl", lines)
                without = list(left_out.COLUMNS.get(name, ()))
                facts.tables[name] = {"rows": rows, "columns_left_out": without}

    def _rows(self, db: Connection, name: str, tenant: Tenant, tell: Tell) -> Iterator[bytes]:
        table, without = self.reach.tables[name], left_out.COLUMNS.get(name, ())
        columns = [column for column in table.columns if column.name not in without]
        query = select(*columns).where(self.reach.own(name, tenant))
        if table.primary_key.columns:
            query = query.order_by(*table.primary_key.columns)
        encode = msgspec.json.Encoder().encode
        for row in db.execute(query).yield_per(_ROWS):
            line = encode(dict(row._mapping))  # bytes become base64
            tell(f"records: {name}", len(line))
            yield line

    def _table(self, tenant: Tenant, name: str, into: Archive, tell: Tell, facts: Facts) -> None:
        """A table at one version. The files never change: where upkeep takes one away before it is
        copied, those of the version after it are added, and the log names just that version's."""
        have: set[str] = set()
        for _ in range(_TRIES):
            copies = self.lake.copies(tenant)
            copy = next((copy for copy in copies if copy.name == name), None)
            if copy is None:
                raise Torn(f"the table {name} was removed while it was copied")
            for path, _size in copy.files:
                if path in have:
                    continue
                data = copy.read(path)
                if data is None:
                    break
                into.add(f"lake/{name}/{path}", len(data), [data])
                tell(f"lake: {name}", len(data))
                have.add(path)
            else:
                into.add(f"lake/{name}/{_LOG}", len(copy.commit), [copy.commit])
                facts.lake[name] = {"rows": copy.rows, "files": len(copy.files)}
                return
        raise Torn(f"the table {name} is tidied up faster than it can be copied")

    def _bucket(self, bucket: Bucket, into: Archive, tell: Tell, facts: Facts) -> None:
        """The bytes of all versions, then the list that says what each is."""
        count = [0]

        def lines() -> Iterator[bytes]:
            for entry in self._versions(bucket):
                line = self._entry(bucket, entry, count[0] + 1, into, tell, facts)
                if line is not None:
                    count[0] += 1
                    yield msgspec.json.encode(line)

        listed = into.add_lines(f"buckets/{bucket.name}/objects.jsonl", lines())
        facts.buckets[bucket.name] = {"versions": listed}

    def _versions(self, bucket: Bucket) -> Iterator[Entry]:
        after, version = "", ""
        while True:
            page = self.storage.lists.versions(bucket, "", "", after, version, _PAGE)
            yield from page.entries
            if page.next_key is None:
                return
            after, version = page.next_key, page.next_version or ""

    def _entry(
        self, bucket: Bucket, entry: Entry, number: int, into: Archive, tell: Tell, facts: Facts
    ) -> dict[str, Any] | None:
        told: dict[str, Any] = {
            "key": entry.key, "version": entry.version, "latest": entry.latest,
            "delete_marker": entry.marker, "modified_us": entry.modified,
        }  # fmt: skip
        if entry.marker:
            return told
        member = f"buckets/{bucket.name}/data/{number:012d}"
        try:
            info = self.storage.objects.find(bucket, entry.key, entry.version)
            pieces = _begun(self.storage.objects.read(bucket, info))
        except (NoKey, NoVersion, NotFound):
            facts.gone_meanwhile.append(f"{bucket.name}/{entry.key} {entry.version}")
            return None

        def heard() -> Iterator[bytes]:
            for piece in pieces:
                tell(f"bucket: {bucket.name}", len(piece))
                yield piece

        into.add(member, info.size, heard())
        return {**told, **_metadata(info), "member": member}

    def _files_of_jobs(
        self, tenant: Tenant, kind: str, into: Archive, tell: Tell, facts: Facts
    ) -> None:
        for blob in self.blobs.list(f"{tenant}/{kind}/"):
            name = f"jobs/{blob.key.partition('/')[2]}"
            try:
                pieces = _begun(self.blobs.read(blob.key))
            except NotFound:
                facts.gone_meanwhile.append(name)
                continue
            into.add(name, blob.size, pieces)
            tell("files of jobs", blob.size)
            facts.files_of_jobs += 1


def _begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same, with the first piece read: what is not there raises here and now."""
    first = next(pieces, b"")

    def rest() -> Iterator[bytes]:
        yield first
        yield from pieces

    return rest()


def _metadata(info: ObjectInfo) -> dict[str, Any]:
    return {
        "bytes": info.size,
        "etag": info.etag,
        "headers": dict(info.headers),
        "tags": dict(info.tags),
        "checksum": msgspec.to_builtins(info.checksum),
    }
