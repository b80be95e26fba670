"""Which engine stands behind each port, by the settings.

Engines are opened when they are first used: a gateway never loads the lake's libraries.
"""

import asyncio
import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from carcloud.config import Settings
from carcloud.engines.stream_nats import NatsStream
from carcloud.ports.blobs import Blobs
from carcloud.ports.lake import Lake
from carcloud.ports.records import Records
from carcloud.ports.stream import Stream
from carcloud.rundir import RunDir
from carcloud.services.telemetry.tables import TABLES as TELEMETRY

if TYPE_CHECKING:
    from carcloud.engines.lake_delta import DeltaLake

LAKE_TABLES = (*TELEMETRY,)
"""The tables that every tenant has, of all services."""

# That a role waits for the stream, and tries again then. Servers of a cluster take ten seconds and
# more to agree anew on who leads.
_CONNECT_S, _CALL_S = 40.0, 5.0
_PATIENCE_S = 60.0  # that a tool waits, which would fail then


class Engines:
    """The engines of one process; make it with `open_engines`."""

    def __init__(self, settings: Settings, stream: Stream) -> None:
        self._settings = settings
        self.stream = stream

    @cached_property
    def lake(self) -> Lake:
        """Tables of history."""
        return open_lake(self._settings)

    @cached_property
    def records(self) -> Records:
        """Small transactional data."""
        return open_records(self._settings)

    @cached_property
    def blobs(self) -> Blobs:
        """Named byte strings."""
        return open_blobs(self._settings)

    async def close(self) -> None:
        """Give connections back, and end what works for the lake."""
        await self.stream.close()
        if "lake" in self.__dict__:
            await asyncio.to_thread(self.lake.close)
        if "records" in self.__dict__:
            self.records.close()


async def open_engines(settings: Settings, *, patient: bool = False) -> Engines:
    """Connect to the stream; raises `Unavailable`.

    `patient` is for who does something once and cannot go on later: a disk may be busy for a while.
    """
    access = RunDir(Path(settings.text("data"))).stream()
    stream = await NatsStream.connect(
        access.url,
        user=access.user,
        password=access.password,
        max_bytes=int(settings.number("stream.max_gb") * 1e9),
        replicas=settings.whole("stream.replicas") if settings.text("stream.url") else 1,
        timeout_s=_PATIENCE_S if patient else _CONNECT_S,
        call_s=_PATIENCE_S if patient else _CALL_S,
    )
    return Engines(settings, stream)


def open_lake(settings: Settings) -> "DeltaLake":
    """The lake alone, for tools that need nothing else."""
    from carcloud.engines.lake_delta import Cache, Care, DeltaLake, S3Place

    data, url = Path(settings.text("data")), settings.text("lake.url")
    care = Care(query_workers=settings.whole("query.concurrent"))
    reserve = settings.whole("disk.reserve_mb") * 1_000_000

    def room() -> bool:
        return shutil.disk_usage(data).free > reserve

    if not url:
        return DeltaLake(data / "tenants", care, LAKE_TABLES, room)
    cache = Cache(data / "cache" / "lake", settings.whole("lake.cache_gb") * 10**9)
    return DeltaLake(S3Place(url, s3_options(settings), cache), care, LAKE_TABLES, room)


def s3_options(settings: Settings) -> dict[str, str]:
    """How to reach the bucket of `lake.url` and `blobs.url`; raises `InvalidSetting`."""
    options = {
        "region": settings.text("s3.region"),
        "virtual_hosted_style_request": str(not settings.flag("s3.path_style")).lower(),
    }
    if endpoint := settings.text("s3.endpoint"):
        options["endpoint"] = endpoint
    if key := settings.text("s3.access_key"):
        secret = settings.secret("s3.secret_key_file")
        options |= {"access_key_id": key, "secret_access_key": secret}
    return options


def open_records(settings: Settings) -> Records:
    """The records alone; raises `WrongSchema` where their tables are older or newer."""
    from carcloud.app.records import open_any_records
    from carcloud.app.schema.revision import require

    records = open_any_records(settings)
    require(records)
    return records


def open_blobs(settings: Settings) -> Blobs:
    """The blobs alone."""
    from carcloud.engines.blobs_object import ObjectBlobs

    data = Path(settings.text("data")).absolute()
    url = settings.text("blobs.url")
    return ObjectBlobs(url, s3_options(settings)) if url else ObjectBlobs(str(data / "blobs"))


def open_own_blobs(url: str, options: Mapping[str, str]) -> Blobs:
    """A bucket of a tenant's own; `options` as obstore takes them (endpoint, keys, region)."""
    from carcloud.engines.blobs_object import ObjectBlobs

    return ObjectBlobs(url, options)
