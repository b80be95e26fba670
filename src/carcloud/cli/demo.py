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
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_REPLAY_HELP = "--can-log goes with --dbc and --mapping"
_SLOWER = 5  # times the period of the cars


@click.command(
    name="demo",
    cls=ExampleCommand,
    examples=(
        "carcloud demo",
        "carcloud demo --for 30 --vehicles 300 --json",
        "carcloud demo --vehicles 2000 --loss 20",
        "carcloud demo --agents 20 --can-log drive.MF4 --dbc drive.dbc --mapping car.yaml",
    ),
)
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(min=1),
    help="Seconds to run from when all are connected; else until Ctrl-C.",
)
@click.option(
    "--vehicles",
    default=300,
    show_default=True,
    type=click.IntRange(1, 50_000),
    help="Cars over GB/T 32960.",
)
@click.option(
    "--trucks",
    default=100,
    show_default=True,
    type=click.IntRange(0, 50_000),
    help="Trucks over JT/T 808.",
)
@click.option(
    "--agents",
    default=100,
    show_default=True,
    type=click.IntRange(0, 5_000),
    help="Cars over MQTT, each with an agent that replays a CAN log.",
)
@click.option("--can-log", type=_FILE, help="Log that the agents replay; else simulated ones.")
@click.option("--dbc", "dbc", type=_FILE, multiple=True, help="DBC file of that log.")
@click.option("--mapping", type=_FILE, help="Which of its signals is which of the catalogue.")
@click.option(
    "--period",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=1.0),
    help="Seconds between two reports of a car; trucks and agents take five times as long.",
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
    trucks: int,
    agents: int,
    can_log: Path | None,
    dbc: tuple[Path, ...],
    mapping: Path | None,
    period: float,
    loss: float,
    seed: int,
    data: Path,
    as_json: bool,
) -> None:
    """Start the whole cloud on loopback and connect simulated fleets over real sockets.

    Half of the cars speak GB/T 32960-2016, half 2025; trucks speak JT/T 808-2013 and 2019; cars
    with an agent speak MQTT and run a campaign. Some lose their connection and send again what
    they missed; some have a fault and raise alarms.
    """
    lean.role()  # which this process forks into
    from carcloud.demo.agents import AgentOptions
    from carcloud.demo.registry import CannotReplay, given_model
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
    slow = max(period * _SLOWER, 1.0)
    try:
        model = None if can_log is None else given_model(dbc, mapping)
    except CannotReplay as error:
        raise Failure(str(error), _REPLAY_HELP) from error
    driving = SimulateOptions(
        protocol="jt808", vehicles=max(trucks, 1), period_s=slow, seconds=seconds, seed=seed,
        losses_per_hour=loss,
    )  # fmt: skip
    replaying = AgentOptions(agents, slow, loss, seed, can_log, model)
    console = Console(stderr=as_json, highlight=False)
    options = DemoOptions(
        settings, data, fleet, driving if trucks else None, replaying if agents else None
    )
    demo = Demo(options, console)
    try:
        report = demo.run()
    except StartFailed as error:
        raise Failure(str(error), f"logs are in {data / 'logs'}") from error
    except CannotReplay as error:
        raise Failure(str(error), _REPLAY_HELP) from error
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
