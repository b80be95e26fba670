"""`carcloud demo`: the whole cloud with a simulated fleet, on this machine alone."""

import json
import shutil
from pathlib import Path

import click
from rich.console import Console

from carcloud import lean, logs
from carcloud.cli.examples import ExampleCommand
from carcloud.cli.failure import Failure
from carcloud.config import Settings

_MARK = "made-by-carcloud-demo"


@click.command(
    name="demo",
    cls=ExampleCommand,
    examples=(
        "carcloud demo",
        "carcloud demo --for 30 --vehicles 300 --json",
        "carcloud demo --vehicles 2000 --loss 20",
    ),
)
@click.option(
    "--for", "seconds", type=click.FloatRange(min=1), help="Seconds to run; else until Ctrl-C."
)
@click.option(
    "--vehicles",
    default=300,
    show_default=True,
    type=click.IntRange(1, 50_000),
    help="Size of the fleet.",
)
@click.option(
    "--period",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=1.0),
    help="Seconds between two reports of a vehicle.",
)
@click.option(
    "--loss",
    default=6.0,
    show_default=True,
    type=click.FloatRange(min=0.0),
    help="Connections a vehicle loses an hour, on average.",
)
@click.option("--seed", default=1, show_default=True, help="The same seed drives the same cars.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".carcloud/demo"),
    show_default=True,
    help="Folder of the demo; made anew each time.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
@click.pass_obj
def command(
    settings: Settings,
    seconds: float | None,
    vehicles: int,
    period: float,
    loss: float,
    seed: int,
    data: Path,
    as_json: bool,
) -> None:
    """Start the whole cloud on loopback and connect a simulated fleet over real sockets.

    Half of the cars speak GB/T 32960-2016, half 2025. Some lose their connection and send again
    what they missed; some have a fault and raise alarms.
    """
    lean.role()  # which this process forks into
    from carcloud.demo.run import Demo, DemoOptions
    from carcloud.simulator.options import SimulateOptions
    from carcloud.supervisor import StartFailed

    logs.set_up("demo", "warning", "text")
    _clear(data)
    faults = {"weak_cell": 2, "insulation_fault": 2, "hot_probe": 2} if vehicles >= 10 else {}
    fleet = SimulateOptions(
        vehicles=vehicles, period_s=period, seconds=seconds, seed=seed,
        losses_per_hour=loss, faults=faults,
    )  # fmt: skip
    console = Console(stderr=as_json, highlight=False)
    demo = Demo(DemoOptions(settings, data, fleet), console)
    try:
        report = demo.run()
    except StartFailed as error:
        raise Failure(str(error), f"logs are in {data / 'logs'}") from error
    finally:
        demo.close()
    if as_json:
        click.echo(json.dumps(report))
    if report["missing"] or report["duplicates"]:
        raise Failure("the lake does not hold exactly what was acknowledged", "see the report")


def _clear(data: Path) -> None:
    if data.exists():
        if any(data.iterdir()) and not (data / _MARK).exists():
            raise Failure(f"{data} is not a demo's folder", "give another --data")
        shutil.rmtree(data)
    data.mkdir(parents=True)
    (data / _MARK).touch()
