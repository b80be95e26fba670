"""`carcloud role`: one role in this process; the supervisor calls it."""

from pathlib import Path

import click

from carcloud import logs
from carcloud.rundir import RunDir


@click.command(name="role")
@click.argument("role", type=click.Choice(["gateway", "ingest", "web", "jobs"]))
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The data folder.")
def command(role: str, data: Path) -> None:
    """Run one role until SIGTERM, with the settings that the supervisor left in DATA/run."""
    from carcloud.app.roles import run_role

    settings = RunDir(data).settings()
    logs.set_up(role, settings.text("log.level"), settings.text("log.format"))
    run_role(role, settings)
