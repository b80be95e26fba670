"""`carcloud role`: one role in this process; the supervisor calls it."""

import logging
from pathlib import Path

import click

from carcloud import lean, logs
from carcloud.config import InvalidSetting
from carcloud.ports.errors import EngineError
from carcloud.rundir import RunDir

log = logging.getLogger(__name__)


@click.command(name="role")
@click.argument("role", type=click.Choice(["gateway", "ingest", "web", "jobs"]))
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The data folder.")
@click.option(
    "--listener", multiple=True, type=(str, int), help="A listening socket: name, descriptor."
)
def command(role: str, data: Path, listener: tuple[tuple[str, int], ...]) -> None:
    """Run one role until SIGTERM, with the settings that the supervisor left in DATA/run."""
    lean.without_pandas()
    lean.without_pydantic()
    lean.without_gc_at_start()
    from carcloud.app.roles import instance_name, run_role

    settings, instance = RunDir(data).settings(), instance_name(role)
    logs.set_up(role, settings.text("log.level"), settings.text("log.format"), instance)
    try:
        run_role(role, settings, instance, dict(listener))
    except (OSError, EngineError, InvalidSetting) as error:
        log.error("%s", error)
        raise SystemExit(1) from error
