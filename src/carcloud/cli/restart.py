"""`carcloud restart`: new processes of a role in the place of those that run."""

import time
from pathlib import Path

import click
from rich.console import Console

from carcloud.cli.examples import ExampleCommand
from carcloud.cli.failure import Failure
from carcloud.config import Settings

out = Console(highlight=False)


@click.command(
    name="restart",
    cls=ExampleCommand,
    examples=("carcloud restart web", "carcloud restart gateway"),
)
@click.argument("role", type=click.Choice(["web", "gateway"]))
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="The data folder.")
@click.option("--wait", default=120.0, show_default=True, help="Seconds to wait for the end.")
@click.pass_obj
def command(settings: Settings, role: str, data: Path | None, wait: float) -> None:
    """Replace the processes of ROLE of the cloud on this machine, one by one.

    Each new process serves before the old one is told to go. The old one ends its requests, or
    makes durable what its vehicles have sent. SIGHUP to `carcloud up` does both roles.
    """
    from carcloud.rundir import HalfRestored, InUse, RunDir

    run = RunDir(data or Path(settings.text("data")))
    try:
        run.claim()
    except HalfRestored as error:
        raise Failure(str(error), "") from error
    except InUse:
        run.ask(role)
    else:
        run.release()
        raise Failure(f"no cloud runs on {run.data}", "start it with `carcloud up`")
    deadline = time.monotonic() + wait
    while (answer := run.answered(role)) is None:
        if time.monotonic() > deadline:
            raise Failure(f"not done after {wait:g} s", f"see {run.logs}")
        time.sleep(0.1)
    if answer:
        raise Failure(answer, f"see {run.logs}")
    out.print(f"All {role} processes are new.")
