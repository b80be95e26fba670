"""Make a backup of an installation, running or not."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from carcloud import __version__
from carcloud.app.backup import records, streams
from carcloud.app.backup.folder import BrokenBackup, Manifest, StreamKept, Tell, Writer
from carcloud.app.engines import Engines, open_engines, open_lake
from carcloud.app.records import open_any_records, records_file
from carcloud.app.schema import revision
from carcloud.app.secret import sealing_secret
from carcloud.config import Settings
from carcloud.engines.lake_delta import DeltaLake
from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.model.streams import EVENTS, FRAMES, USAGE
from carcloud.model.time import iso, now_us
from carcloud.ports.blobs import Blobs
from carcloud.ports.errors import NotFound, Unavailable

_TRIES = 5  # at a table that is tidied up while it is copied


async def save(settings: Settings, into: Path, tell: Tell) -> Manifest:
    """Copy everything into a new folder; raises `BrokenBackup`, `EngineError`.

    The records may be at any revision that this carcloud knows: a backup is what one makes before
    they are brought forward.
    """
    writer = Writer(into, tell)
    await asyncio.to_thread(_check_records, settings)
    await asyncio.to_thread(writer.begin)
    begun = iso(now_us())
    engines = await open_engines(settings, patient=True)
    try:
        kept = {
            name: await streams.save(engines.stream, name, writer)
            for name in (FRAMES.name, USAGE.name, EVENTS.name)
        }
        manifest = await asyncio.to_thread(_save_rest, settings, engines, writer, (begun, kept))
    finally:
        await engines.close()
    return manifest


def _save_rest(
    settings: Settings,
    engines: Engines,
    writer: Writer,
    before: tuple[str, dict[str, StreamKept]],
) -> Manifest:
    begun, kept = before
    seen: set[str] = set()
    _save_blobs(engines.blobs, writer, seen)
    database = open_any_records(settings)
    lake = open_lake(settings)
    try:
        tables_at = revision.at(database)
        rows = records.save(database, writer)
        tables = _save_lake(lake, _tenants(database), writer)
    finally:
        database.close()
        lake.close()
    _save_blobs(engines.blobs, writer, seen)
    writer.write("secret", [sealing_secret(settings)])
    manifest = Manifest(
        __version__, tables_at, begun, iso(now_us()), kept, rows, tables, len(seen), writer.files
    )
    writer.end(manifest)
    return manifest


def _check_records(settings: Settings) -> None:
    file = records_file(settings)
    if file is not None and not file.exists():
        raise BrokenBackup(f"{file} is not there: there is no installation to copy")
    database = open_any_records(settings)
    try:
        at = revision.at(database)
    finally:
        database.close()
    if at not in revision.known():
        raise revision.WrongSchema(
            f"the records are at revision {at}, and this carcloud knows {revision.known()[0]} to "
            f"{revision.known()[-1]}: make the backup with the carcloud that runs on them"
        )


def _tenants(database: SqlRecords) -> list[Tenant]:
    """By the one column that all revisions have."""
    with database.reading() as db:
        return [Tenant(row.id) for row in db.execute(sa.text("SELECT id FROM tenants"))]


def _save_blobs(blobs: Blobs, writer: Writer, seen: set[str]) -> None:
    """Copy the blobs that are not there yet. One that goes away meanwhile is not needed."""
    for blob in blobs.list(""):
        if blob.key in seen:
            continue
        try:
            writer.write(f"blobs/{blob.key}", blobs.read(blob.key))
        except NotFound:
            writer.forget(f"blobs/{blob.key}")
        else:
            seen.add(blob.key)


def _save_lake(lake: DeltaLake, tenants: list[Tenant], writer: Writer) -> dict[str, int]:
    rows: dict[str, int] = {}
    for tenant in tenants:
        names = [copy.name for copy in lake.copies(tenant)]
        for name in names:
            if (count := _save_table(lake, tenant, name, writer)) is not None:
                rows[f"{tenant}/{name}"] = count
    return rows


def _save_table(lake: DeltaLake, tenant: Tenant, name: str, writer: Writer) -> int | None:
    """Copy one table and return its rows; begin anew where upkeep takes a file away first. None =
    the table went with its tenant meanwhile."""
    for _ in range(_TRIES):
        copy = next((copy for copy in lake.copies(tenant) if copy.name == name), None)
        if copy is None:
            return None
        place = f"lake/{tenant}/{name}"
        written: list[str] = []
        for path, _size in copy.files:
            data = copy.read(path)
            if data is None:
                break
            written.append(f"{place}/files/{path}")
            writer.write(written[-1], _pieces(data))
        else:
            writer.write(f"{place}/commit.json", [copy.commit])
            return copy.rows
        for file in written:
            writer.forget(file)
    raise Unavailable(f"lake: {tenant}/{name} is tidied up faster than it can be copied")


def _pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, max(1, len(data)), 1 << 20):
        yield data[start : start + (1 << 20)]
