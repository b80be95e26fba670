"""What `backup` and `restore` share: the stream server, progress, room in the data folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from carcloud.config import Settings
from carcloud.model.time import iso, now_us


@contextmanager
def stream_server(settings: Settings, *, alone: bool = False) -> Iterator[Settings]:
    """The settings in force, with a stream server that runs while the block does.

    That of a cloud that runs on the data folder, or one started now. Raises `InUse` where the
    block must be `alone` and is not.
    """
    from carcloud.ports.errors import Unavailable
    from carcloud.rundir import InUse, RunDir
    from carcloud.supervisor import StartFailed, Supervisor

    supervisor = Supervisor(settings, ())
    try:
        supervisor.run.claim()
    except InUse:
        if alone:
            raise
        yield RunDir(Path(settings.text("data"))).settings()
        return
    try:
        supervisor.start_stream()
        yield settings
    except StartFailed as error:
        raise Unavailable(str(error)) from error
    finally:
        supervisor.stop()


@contextmanager
def moving(total: int | None = None) -> Iterator[Callable[[str, int], None]]:
    """A bar of bytes on a terminal; the block's value hears of them."""
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)

        def tell(part: str, size: int) -> None:
            bar.update(task, description=part, advance=size)

        yield tell


def set_aside(settings: Settings, tell: Callable[[str], None]) -> None:
    """Move the contents of the data folder into a new folder inside it; raises `InUse`."""
    from carcloud.rundir import RunDir

    data = Path(settings.text("data")).absolute()
    stays = {"run", "logs", *(path.name for path in data.glob("before-restore-*"))}
    found = [path for path in data.glob("*") if path.name not in stays]
    if not found:
        return
    run = RunDir(data)
    run.claim()
    try:
        stamp = "".join(mark for mark in iso(now_us())[:19] if mark.isalnum())
        aside = data / f"before-restore-{stamp}"
        aside.mkdir(mode=0o700)
        for path in found:
            path.rename(aside / path.name)
    finally:
        run.release()
    tell(f"What was there is in {aside} now.")
