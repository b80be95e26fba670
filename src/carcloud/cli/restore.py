"""`carcloud restore`: an installation made of a backup."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from carcloud.cli.examples import ExampleCommand
from carcloud.cli.failure import Failure
from carcloud.cli.moving import data_folder, moving, stream_of
from carcloud.config import Settings

if TYPE_CHECKING:
    from carcloud.app.backup.folder import Reader

out = Console(highlight=False)

_OUTSIDE = ("records", "stream", "lake", "blobs")  # engines that may lie outside the data folder


@click.command(
    name="restore",
    cls=ExampleCommand,
    examples=(
        "carcloud restore /backup/2026-03-01",
        "carcloud restore /backup/2026-03-01 --data /srv/carcloud --force",
        "carcloud restore /backup/2026-03-01 --check",
    ),
)
@click.argument("src", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="The data folder.")
@click.option("--check", is_flag=True, help="Compare the backup with its checksums, and stop.")
@click.option("--force", is_flag=True, help="Move what the data folder has aside first.")
@click.pass_obj
def command(settings: Settings, src: Path, data: Path | None, check: bool, force: bool) -> None:
    """Make an installation of the backup in SRC, after all its checksums were compared.

    Nothing may be there yet: `--force` moves the contents of the data folder into a folder inside
    it, and brings them back if the restore fails. A database, bucket or NATS cluster of your own
    you empty yourself.
    """
    from carcloud.app.backup.folder import BrokenBackup, Reader
    from carcloud.app.backup.target import NotEmpty
    from carcloud.config import InvalidSetting
    from carcloud.ports.errors import EngineError
    from carcloud.rundir import InUse

    if data is not None:
        settings = settings.with_values({"data": str(data)})
    try:
        source = Reader.open(src)
        with moving(source.size) as tell:
            source.verify(tell)
        if check:
            out.print(f"The backup is whole: {len(source.manifest.files)} files.")
            return
        with moving(source.size) as tell:
            restore(settings, source, tell, force=force, say=out.print)
    except InUse as error:
        raise Failure(str(error), "stop it first") from error
    except NotEmpty as error:
        raise Failure(f"the target is not empty: {error}", "see --force in --help") from error
    except (BrokenBackup, EngineError, InvalidSetting, OSError) as error:
        raise Failure(str(error), "nothing was started") from error
    out.print(f"Restored the backup of {source.manifest.begun}. Start it with `carcloud up`.")


def restore(
    settings: Settings,
    source: "Reader",
    tell: Callable[[str, int], None],
    *,
    force: bool,
    say: Callable[[str], None],
) -> None:
    """Check everything, then move aside what is there, then fill; or leave all as it was.

    What a restore that was killed has left is moved aside, too.
    """
    from carcloud.app.backup import target
    from carcloud.app.backup.aside import restoring
    from carcloud.app.backup.load import load

    with data_folder(settings) as supervisor:
        aside = force or supervisor.run.mark.exists()
        target.check(settings, source, aside=aside)
        if settings.text("stream.url") or (not aside and (supervisor.run.data / "stream").exists()):
            with stream_of(supervisor):
                asyncio.run(target.require_empty_streams(settings))
        outside = any(settings.text(f"{name}.url") for name in _OUTSIDE)
        marked = restoring(supervisor.run, aside=aside, outside=outside, tell=say)
        with marked, stream_of(supervisor):
            asyncio.run(load(settings, source, tell))
