"""What a restore asks of its target; all of it is asked before anything is changed."""

from contextlib import closing
from pathlib import Path

from carcloud.app.backup.folder import BrokenBackup, Reader
from carcloud.app.engines import open_blobs, open_engines, open_lake
from carcloud.app.records import open_any_records, records_file
from carcloud.app.schema.revision import is_empty, known
from carcloud.app.secret import sealing_secret
from carcloud.config import Settings
from carcloud.model.streams import EVENTS, FRAMES, USAGE

_FILES = (
    "secret_file",
    "records.password_file",
    "stream.password_file",
    "s3.secret_key_file",
    "gateway.gbt32960.tls_cert",
    "gateway.gbt32960.tls_key",
    "gateway.gbt32960.tls_client_ca",
    "gateway.jt808.tls_cert",
    "gateway.jt808.tls_key",
    "gateway.jt808.tls_client_ca",
)
"""Settings that name files which a restore needs, or leaves alone."""


class NotEmpty(Exception):
    """The installation has something already; the message says what."""


def check(settings: Settings, source: Reader, *, aside: bool) -> None:
    """Return if the backup can be restored here; raises `BrokenBackup`, `NotEmpty`, `EngineError`.

    `aside` tells that the contents of the data folder will be moved away first. Blocks; nothing
    is made or changed. The streams are looked at by `require_empty_streams`.
    """
    _check_backup(settings, source)
    data = Path(settings.text("data")).absolute()
    if aside:
        _check_paths(settings, source, data)
    _check_records(settings, data, aside=aside)
    if settings.text("lake.url") or (not aside and (data / "tenants").exists()):
        with closing(open_lake(settings)) as lake:
            if not lake.is_empty():
                raise NotEmpty("the lake has tables")
    blobs_stay = settings.text("blobs.url") or (not aside and (data / "blobs").exists())
    if blobs_stay and next(open_blobs(settings).list(""), None) is not None:
        raise NotEmpty("there are blobs")
    if not aside and (data / "secret").exists():
        raise NotEmpty("the data folder has a secret")


async def require_empty_streams(settings: Settings) -> None:
    """Return if no stream has had a message; raises `NotEmpty`. The stream server must run."""
    engines = await open_engines(settings, patient=True)
    try:
        for name in (FRAMES.name, USAGE.name, EVENTS.name):
            if (await engines.stream.info(name)).last_seq:
                raise NotEmpty(f"the stream {name} has messages")
    finally:
        await engines.close()


def _check_backup(settings: Settings, source: Reader) -> None:
    made = source.manifest
    if made.revision not in known():
        raise BrokenBackup(
            f"its records are at revision {made.revision}, and this carcloud knows "
            f"{known()[0]} to {known()[-1]}: restore it with carcloud {made.version}"
        )
    if settings.text("secret_file") and sealing_secret(settings) != source.read("secret"):
        raise NotEmpty("secret_file holds another secret than the backup")


def _check_paths(settings: Settings, source: Reader, data: Path) -> None:
    """What the restore reads may not be moved away by it."""
    needed = {"the backup": source.root}
    needed |= {name: Path(settings.text(name)) for name in _FILES if settings.text(name)}
    for what, path in needed.items():
        if path.resolve().is_relative_to(data.resolve()):
            raise NotEmpty(f"{what} is in the data folder, which is moved away: move {path} out")


def _check_records(settings: Settings, data: Path, *, aside: bool) -> None:
    file = records_file(settings)
    if file is not None and (not file.exists() or (aside and file.is_relative_to(data))):
        return
    database = open_any_records(settings)
    try:
        if not is_empty(database):
            raise NotEmpty("the records have tables")
    finally:
        database.close()
