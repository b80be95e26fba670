"""Make an installation of a backup."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from carcloud.app.backup import records, streams
from carcloud.app.backup.folder import Reader, Tell, sync_folder
from carcloud.app.engines import open_blobs, open_engines, open_lake
from carcloud.app.records import open_any_records
from carcloud.config import Settings
from carcloud.model.ids import Tenant
from carcloud.model.streams import EVENTS, FRAMES, USAGE
from carcloud.ports.blobs import Blobs
from carcloud.ports.lake import TableRef
from carcloud.services.metering.api import Metering
from carcloud.services.telemetry.ingest_position import lake_position
from carcloud.services.tenancy.api import Tenancy


async def load(settings: Settings, source: Reader, tell: Tell) -> None:
    """Fill an installation that `target.check` has seen; its stream server runs, no role does.

    Raises `BrokenBackup`, `EngineError`.
    """
    reached, usage = await asyncio.to_thread(_load_rest, settings, source, tell)
    engines = await open_engines(settings, patient=True)
    try:
        await streams.load(engines.stream, FRAMES.name, source, reached)
        await streams.load(engines.stream, USAGE.name, source, usage, usage)
        await streams.load(engines.stream, EVENTS.name, source, 0)
    finally:
        await engines.close()


def _load_rest(settings: Settings, source: Reader, tell: Tell) -> tuple[int, int]:
    """Everything but the streams; returns what some table of the lake has of the frames, and up
    to where the records have counted all usage."""
    _load_secret(settings, source)
    _load_blobs(open_blobs(settings), source, tell)
    _load_lake(settings, source, tell)
    database = open_any_records(settings)
    try:
        records.load(database, source)
        usage = Metering(database).position(USAGE.name)
        with closing(open_lake(settings)) as lake:
            frames = lake_position(lake, Tenancy(database).tenants.ids())
    finally:
        database.close()
    return frames, usage


def _load_secret(settings: Settings, source: Reader) -> None:
    if settings.text("secret_file"):
        return
    file = Path(settings.text("data")) / "secret"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(source.read("secret"))
        out.flush()
        os.fsync(out.fileno())
    sync_folder(file.parent)


def _load_blobs(blobs: Blobs, source: Reader, tell: Tell) -> None:
    for name in source.names("blobs"):
        out = blobs.writer(name.removeprefix("blobs/"))
        for piece in source.pieces(name):
            out.write(piece)
            tell("blobs", len(piece))
        out.close()


def _load_lake(settings: Settings, source: Reader, tell: Tell) -> None:
    lake = open_lake(settings)
    try:
        for table in source.manifest.lake:
            tenant, name = table.split("/")
            place = f"lake/{tenant}/{name}"

            def files(place: str = place) -> Iterator[tuple[str, bytes]]:
                for file in source.names(f"{place}/files"):
                    data = source.read(file)
                    yield file.removeprefix(f"{place}/files/"), data
                    tell("lake", len(data))

            commit = source.read(f"{place}/commit.json")
            lake.restore(TableRef(Tenant(tenant), name), commit, files())
    finally:
        lake.close()
