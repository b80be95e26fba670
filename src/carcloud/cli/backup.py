"""`carcloud backup`: a copy of the whole installation in a folder."""

import asyncio
from pathlib import Path

import click
from rich.console import Console

from carcloud.cli.examples import ExampleCommand
from carcloud.cli.failure import Failure
from carcloud.cli.moving import moving, stream_server
from carcloud.config import Settings

out = Console(highlight=False)


@click.command(
    name="backup",
    cls=ExampleCommand,
    examples=(
        "carcloud backup /backup/2026-03-01",
        "carcloud --config cluster.toml backup /backup/2026-03-01",
    ),
)
@click.argument("dest", type=click.Path(file_okay=False, path_type=Path))
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="The data folder.")
@click.pass_obj
def command(settings: Settings, dest: Path, data: Path | None) -> None:
    """Copy records, lake, blobs, streams and secrets to the new folder DEST.

    The cloud may run meanwhile. All that was acknowledged before the command began is in the copy.
    Keep it safe: it holds the secret that opens sealed keys.
    """
    from carcloud.app.backup.folder import BrokenBackup
    from carcloud.app.backup.save import save
    from carcloud.config import InvalidSetting
    from carcloud.ports.errors import EngineError
    from carcloud.rundir import HalfRestored

    if data is not None:
        settings = settings.with_values({"data": str(data)})
    try:
        with stream_server(settings) as running, moving() as tell:
            made = asyncio.run(save(running, dest, tell))
    except HalfRestored as error:
        raise Failure(str(error), "") from error
    except (BrokenBackup, EngineError, InvalidSetting, OSError) as error:
        raise Failure(str(error), "the folder is no whole backup") from error
    size = sum(kept.bytes for kept in made.files.values())
    out.print(f"Backup of {size / 1e6:,.1f} MB in {dest}: records at revision {made.revision},")
    out.print(
        f"{sum(made.lake.values()):,} rows of {len(made.lake)} lake tables, {made.blobs} blobs."
    )
