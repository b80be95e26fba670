"""What jobs of telemetry work with: readers of logs, decoders, the stream for code that blocks."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from carcloud.app.engines import open_engines
from carcloud.app.ingest import make_decoders
from carcloud.app.secret import sealing_secret
from carcloud.codecs.can.frames import CanFrames
from carcloud.config import Settings
from carcloud.engines.canlog_files import LogFile, LogFileError, open_log
from carcloud.engines.canlog_files.joining import joined
from carcloud.model.ids import Tenant
from carcloud.ports.stream import Stream
from carcloud.services.compute.api import Stores
from carcloud.services.telemetry.work import BadLog, Work
from carcloud.services.vehicles.api import Filter, Vehicles
from carcloud.services.vocabulary.api import Mappings, Vocabulary
from carcloud.services.vocabulary.mapping_types import Mapping

T = TypeVar("T")


def telemetry_work(settings: Settings, stores: Stores) -> Work:
    """The work of an installation."""
    vehicles = Vehicles(stores.records, secret=sealing_secret(settings))
    vocabulary = Vocabulary(stores.records)
    mappings = Mappings(stores.records, vocabulary.catalogue)

    def mapping(tenant: Tenant, vehicle: str) -> Mapping | None:
        model = vehicles.get(tenant, vehicle).model
        return None if model is None else mappings.mapping(tenant, model)

    return Work(
        records=stores.records,
        catalogue=vocabulary.catalogue,
        mapping=mapping,
        vehicles=lambda tenant, model: vehicles.matching_ids(tenant, Filter(model=model)),
        decoders=make_decoders(settings, stores.records),
        streaming=lambda: streaming(settings),
        open_logs=OpenLogs,
        room=stores.storage.check_room,
        most_log_bytes=settings.whole("compute.script_disk_mb") * 1_000_000,
    )


class OpenLogs:
    """Logs of any format, joined in order of time; see `work.Logs`."""

    def __init__(self, paths: Sequence[Path], zone: str | None) -> None:
        try:
            self._files: list[LogFile] = [open_log(path, zone) for path in paths]
        except (LogFileError, ValueError) as error:
            raise BadLog(_plain(error)) from error

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self._files)

    def blocks(self, progress: Callable[[int], None]) -> Iterator[CanFrames]:
        """The frames of all."""
        try:
            yield from joined(self._files, progress)
        except (LogFileError, ValueError) as error:
            raise BadLog(_plain(error)) from error

    def remarks(self) -> list[str]:
        """What was left out or cut off."""
        return [f"{_name(file.path)}: {text}" for file in self._files for text in file.remarks]


def _plain(error: LogFileError | ValueError) -> str:
    """Without the folder where the job has its copy."""
    if not isinstance(error, LogFileError):
        return str(error)
    return str(error).replace(str(error.path), _name(error.path))


def _name(path: Path) -> str:
    return path.name.partition("-")[2]


class _Loop:
    """A loop in a thread of its own, so that the connection lives while the job works."""

    def __init__(self, stream: Stream, loop: asyncio.AbstractEventLoop) -> None:
        self._stream = stream
        self._loop = loop

    def do(self, work: Callable[[Stream], Awaitable[T]]) -> T:
        """Wait for what `work` awaits."""

        async def awaited() -> T:
            return await work(self._stream)

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result()


@contextmanager
def streaming(settings: Settings) -> Iterator[_Loop]:
    """The stream of an installation, for code that blocks."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="stream", daemon=True)
    thread.start()
    try:
        engines = asyncio.run_coroutine_threadsafe(open_engines(settings), loop).result()
        try:
            yield _Loop(engines.stream, loop)
        finally:
            asyncio.run_coroutine_threadsafe(engines.close(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
