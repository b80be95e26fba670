"""`carcloud restore`: an installation made of a backup."""

import asyncio
from pathlib import Path

import click
from rich.console import Console

from carcloud.cli.examples import ExampleCommand
from carcloud.cli.failure import Failure
from carcloud.cli.moving import moving, set_aside, stream_server
from carcloud.config import Settings

out = Console(highlight=False)


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
    it. A database, bucket or NATS cluster of your own you empty yourself.
    """
    from carcloud.app.backup.folder import BrokenBackup, Reader
    from carcloud.app.backup.load import NotEmpty, load, require_empty
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
        if force:
            set_aside(settings, out.print)
        with stream_server(settings, alone=True) as running:
            asyncio.run(require_empty(running))
            with moving(source.size) as tell:
                asyncio.run(load(running, source, tell))
    except InUse as error:
        raise Failure(str(error), "stop it first") from error
    except NotEmpty as error:
        raise Failure(f"the target is not empty: {error}", "see --force in --help") from error
    except (BrokenBackup, EngineError, InvalidSetting, OSError) as error:
        raise Failure(str(error), "nothing was started") from error
    out.print(f"Restored the backup of {source.manifest.begun}. Start it with `carcloud up`.")
