"""What `backup` and `restore` share: the stream server, progress, room in the data folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from carcloud.config import Settings

if TYPE_CHECKING:
    from carcloud.supervisor import Supervisor


@contextmanager
def stream_server(settings: Settings) -> Iterator[Settings]:
    """The settings in force, with a stream server that runs while the block does.

    That of a cloud that runs on the data folder, or one started now. Raises `HalfRestored`.
    """
    from carcloud.rundir import InUse, RunDir
    from carcloud.supervisor import Supervisor

    supervisor = Supervisor(settings, ())
    try:
        supervisor.run.claim()
    except InUse:
        yield RunDir(Path(settings.text("data"))).settings()
        return
    try:
        with stream_of(supervisor):
            yield settings
    finally:
        supervisor.stop()


@contextmanager
def data_folder(settings: Settings) -> Iterator["Supervisor"]:
    """The data folder for this process alone, to restore into it; raises `InUse`."""
    from carcloud.supervisor import Supervisor

    supervisor = Supervisor(settings, ())
    supervisor.run.claim(restoring=True)
    try:
        yield supervisor
    finally:
        supervisor.stop()


@contextmanager
def stream_of(supervisor: "Supervisor") -> Iterator[None]:
    """The stream server of a data folder that was claimed; raises `Unavailable`."""
    from carcloud.ports.errors import Unavailable
    from carcloud.supervisor import StartFailed

    try:
        supervisor.start_stream()
    except StartFailed as error:
        raise Unavailable(str(error)) from error
    try:
        yield
    finally:
        supervisor.stop_stream()


@contextmanager
def moving(total: int | None = None) -> Iterator[Callable[[str, int], None]]:
    """A bar of bytes on a terminal; the block's value hears of them."""
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)

        def tell(part: str, size: int) -> None:
            bar.update(task, description=part, advance=size)

        yield tell
