"""The S3 interface alone in a process, for its benchmark: real records, blobs and server."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.storage import ACCESS, BUCKET, SECRET
from carcloud.engines.blobs_object import ObjectBlobs
from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import DEFAULT_TENANT, Tenant
from carcloud.services.storage.api import Storage
from carcloud.services.tenancy.api import Tenancy
from carcloud.web.s3.application import S3Application
from carcloud.web.serve import serve_plain


@dataclass(frozen=True)
class _Who:
    user: str = "bench"
    tenant: Tenant = DEFAULT_TENANT

    def may(self, _action: str, project: str | None = None) -> bool:
        return project == "main"


@dataclass(frozen=True)
class _Key:
    id: str = ACCESS
    secret: str = SECRET
    identity: _Who = _Who()


async def _serve(port: int, data: Path) -> None:
    records = SqlRecords(f"sqlite:///{data / 'records.sqlite'}")
    Tenancy(records)
    storage = Storage(records, ObjectBlobs(data / "blobs"))
    storage.buckets.create(DEFAULT_TENANT, BUCKET, project="main", actor="bench")
    application = S3Application(storage, {ACCESS: _Key()}.get)
    async with serve_plain(application, "127.0.0.1", port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))
