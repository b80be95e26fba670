"""`carcloud role`: one role in this process; the supervisor calls it."""

from pathlib import Path

import click

from carcloud import lean


@click.command(name="role")
@click.argument("role", type=click.Choice(["gateway", "ingest", "web", "jobs"]))
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The data folder.")
@click.option(
    "--listener", multiple=True, type=(str, int), help="A listening socket: name, descriptor."
)
@click.option("--gate", type=int, help="A descriptor; a byte from it says that all is there.")
def command(role: str, data: Path, listener: tuple[tuple[str, int], ...], gate: int | None) -> None:
    """Run one role until SIGTERM, with the settings that the supervisor left in DATA/run."""
    lean.role()
    from carcloud.app.roles import play

    play(role, data, dict(listener), gate)
