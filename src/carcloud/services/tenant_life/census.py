"""What there is of a tenant, counted everywhere: before a deletion, and after it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from carcloud.model.ids import Tenant
from carcloud.model.streams import subjects_of
from carcloud.ports.blobs import Blobs
from carcloud.ports.lake import Lake
from carcloud.ports.records import Records
from carcloud.ports.stream import Stream
from carcloud.services.tenant_life.reach import Reach

KEPT = "tenants"  # the table in which the id stays


@dataclass(frozen=True, slots=True)
class Census:
    """Counts; the hashes are of names, sizes and ETags, not of contents."""

    records: Records
    lake: Lake
    stream: Stream
    reach: Reach

    def of_records(self, tenant: Tenant) -> dict[str, int]:
        """Rows by table, those that have any."""
        found: dict[str, int] = {}
        with self.records.reading() as db:
            for name in self.reach.names():
                if name == KEPT:
                    continue
                mine = self.reach.all(name, tenant)
                query = select(func.count()).select_from(self.reach.tables[name]).where(mine)
                if rows := int(db.execute(query).scalar_one()):
                    found[name] = rows
        return found

    def chain(self, tenant: Tenant) -> dict[str, Any]:
        """Where the tenant's own audit ended."""
        heads = self.reach.tables["audit_heads"]
        with self.records.reading() as db:
            row = db.execute(select(heads).where(heads.c.tenant == tenant)).first()
        if row is None:
            return {"entries": 0, "hash": ""}
        return {"entries": row.number, "hash": row.hash}

    def of_lake(self, tenant: Tenant) -> dict[str, Any]:
        """Rows and files by table, and the hash of the files' names and sizes."""
        digest, tables = hashlib.sha256(), {}
        for copy in self.lake.copies(tenant):
            size = sum(size for _, size in copy.files)
            tables[copy.name] = {"rows": copy.rows, "files": len(copy.files), "bytes": size}
            for path, size in sorted(copy.files):
                digest.update(f"{copy.name}/{path}\t{size}\n".encode())
        return {"tables": tables, "sha256": digest.hexdigest()}

    def of_blobs(self, tenant: Tenant, places: Sequence[Blobs]) -> dict[str, Any]:
        """Blobs by kind, their bytes, and the hash of keys, sizes and ETags."""
        digest, kinds, size = hashlib.sha256(), dict[str, int](), 0
        for blobs in places:
            for blob in blobs.list(f"{tenant}/"):
                kind = blob.key.split("/")[1]
                kinds[kind] = kinds.get(kind, 0) + 1
                size += blob.size
                digest.update(f"{blob.key}\t{blob.size}\t{blob.etag}\n".encode())
        return {"kinds": kinds, "bytes": size, "sha256": digest.hexdigest()}

    async def of_streams(self, tenant: Tenant) -> dict[str, int]:
        """Messages by stream, those that hold any."""
        found = {
            stream: await self.stream.holds(stream, subject)
            for stream, subject in subjects_of(tenant).items()
        }
        return {stream: count for stream, count in found.items() if count}
