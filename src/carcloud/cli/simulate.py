"""`carcloud simulate`: a fleet of simulated vehicles against any address."""

import asyncio
import json
import math
import signal
import sys
from pathlib import Path
from typing import Any, Literal, TextIO

import click
import uvloop

from carcloud.cli.examples import ExampleCommand
from carcloud.cli.failure import Failure
from carcloud.simulator import faults
from carcloud.simulator.faults import Truth, UnknownFault
from carcloud.simulator.options import Progress, SimulateOptions, SimulateResult
from carcloud.simulator.run import simulate

_EDITIONS = {
    "gbt32960": {"2016": 0.0, "2025": 1.0, "mix": 0.5},
    "jt808": {"2013": 0.0, "2019": 1.0, "mix": 0.5},
}
_PORTS = {"gbt32960": 32960, "jt808": 32961}
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _faults(_ctx: click.Context, _param: click.Parameter, text: str) -> dict[str, int]:
    try:
        return faults.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command(
    "simulate",
    cls=ExampleCommand,
    examples=(
        "carcloud simulate --vehicles 300",
        "carcloud simulate --host 192.0.2.10 --port 32960 --edition 2016 --period 10",
        "carcloud simulate --for 60 --loss 4 --json",
        "carcloud simulate --edition 2025 --vehicles 20 --sign sm2 --encrypt sm4",
        "carcloud simulate --protocol jt808 --vehicles 100 --period 10",
        "carcloud simulate --faults weak_cell=2,hot_probe=1 --truth faults.jsonl",
    ),
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of the server.")
@click.option(
    "--protocol",
    type=click.Choice(list(_EDITIONS)),
    default="gbt32960",
    show_default=True,
    help="gbt32960: electric cars; jt808: trucks.",
)
@click.option("--port", type=int, help="Its port for the protocol; 32960, or 32961 for jt808.")
@click.option(
    "--vehicles", type=click.IntRange(1), default=300, show_default=True, help="Size of the fleet."
)
@click.option(
    "--edition",
    type=click.Choice(["2016", "2025", "2013", "2019", "mix"]),
    default="mix",
    show_default=True,
    help="Edition that the vehicles speak, 2016 or 2025 of GB/T 32960.3, 2013 or 2019 of "
    "JT/T 808; mix: half of them each.",
)
@click.option(
    "--period",
    type=click.FloatRange(1.0),
    default=1.0,
    show_default=True,
    help="Seconds between two reports of a vehicle.",
)
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(0.0, min_open=True),
    help="Seconds to run; without it, until Ctrl-C.",
)
@click.option(
    "--seed", default=1, show_default=True, help="The same seed gives the same cars and trips."
)
@click.option(
    "--faults",
    "counts",
    default="",
    metavar="NAME=CARS,...",
    callback=_faults,
    help=f"Faults to inject: {', '.join(faults.known())}.",
)
@click.option(
    "--truth",
    type=click.File("w", lazy=False),
    help="Write the truth about the faults here, one JSON object a line.",
)
@click.option(
    "--loss",
    type=click.FloatRange(0.0),
    default=0.0,
    show_default=True,
    help="Connection losses per vehicle and hour.",
)
@click.option(
    "--confirm",
    type=click.Choice(["auto", "reply", "heartbeat"]),
    default="auto",
    show_default=True,
    help="What confirms a report: its own reply, or the reply to a later heartbeat.",
)
@click.option("--heartbeat", type=click.FloatRange(1.0, 240.0), default=30.0, show_default=True,
              help="Seconds between two heartbeats of a vehicle.")  # fmt: skip
@click.option("--ca", type=_FILE, help="Certificate authority to trust; turns TLS on.")
@click.option("--cert", type=_FILE, help="Certificate of the vehicles, for mutual TLS.")
@click.option("--key", type=_FILE, help="Private key of that certificate.")
@click.option("--sign", type=click.Choice(["sm2", "rsa", "ecc"]),
              help="2025 vehicles activate a security chip and sign their reports.")  # fmt: skip
@click.option("--encrypt", type=click.Choice(["aes", "sm4"]),
              help="2025 vehicles send a key and encrypt their reports.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def command(
    seconds: float | None,
    edition: str,
    protocol: Literal["gbt32960", "jt808"],
    truth: TextIO | None,
    counts: dict[str, int],
    as_json: bool,
    **given: Any,
) -> None:
    """Connect a simulated fleet over TCP and report until stopped.

    Over GB/T 32960 every vehicle logs in, reports, sends heartbeats, keeps what the server has not
    confirmed, and sends it again as reissue after a lost connection. Around an alarm of level 3 a
    vehicle with a longer period reports every second: the 30 s before as reissue, then 30 s (2016)
    or until the alarm is over (2025). Over JT/T 808 every truck registers once, authenticates,
    sends positions and heartbeats, sends in batches what it kept while it was cut off, and answers
    commands. Ctrl-C stops: outstanding acknowledgements are waited for, then the vehicles log out.
    """
    try:
        options = SimulateOptions(
            host=given["host"],
            port=given["port"] or _PORTS[protocol],
            protocol=protocol,
            vehicles=given["vehicles"],
            share_2025=_share(protocol, edition),
            period_s=given["period"],
            seconds=seconds,
            seed=given["seed"],
            losses_per_hour=given["loss"],
            faults=counts,
            confirmation=given["confirm"],
            heartbeat_s=given["heartbeat"],
            ca=given["ca"],
            cert=given["cert"],
            key=given["key"],
            sign=given["sign"],
            encrypt=given["encrypt"],
            record_acknowledged=False,
        )
        result = uvloop.run(_run(options, truth, quiet=as_json))
    except (UnknownFault, ValueError, OSError) as error:
        raise Failure(str(error), "see `carcloud simulate --help`") from error
    click.echo(json.dumps(figures(result)) if as_json else _summary(result))


def _share(protocol: str, edition: str) -> float:
    shares = _EDITIONS[protocol]
    if edition not in shares:
        raise ValueError(f"{protocol} has no edition {edition}: {', '.join(shares)}")
    return shares[edition]


async def _run(options: SimulateOptions, truth: TextIO | None, quiet: bool) -> SimulateResult:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)

    def tell(rows: tuple[Truth, ...]) -> None:
        if truth is not None:
            faults.write_truths(truth, rows)
            truth.flush()

    show = None if quiet or not sys.stderr.isatty() else _line(options.vehicles)
    result = await simulate(options, show, stop=stop, on_truth=tell)
    if show is not None:
        click.echo(err=True)
    return result


def _line(vehicles: int) -> Any:
    """Shows progress on one line that is written over and over."""
    before = Progress(0.0, 0, 0, 0, 0, 0, 0)

    def show(now: Progress) -> None:
        nonlocal before
        rate = (now.sent - before.sent) / max(now.elapsed_s - before.elapsed_s, 1e-3)
        before = now
        click.echo(
            f"\r\033[K{now.connected}/{vehicles} connected, {rate:,.0f} frames/s, "
            f"{now.acknowledged:,} acknowledged, {now.unconfirmed:,} outstanding, "
            f"{now.reissued:,} reissued",
            nl=False,
            err=True,
        )

    return show


def figures(result: SimulateResult) -> dict[str, Any]:
    """The numbers of a result as JSON values."""
    return {
        "vehicles": len(result.vehicles),
        "seconds": round(result.elapsed_s, 3),
        "sent": result.sent,
        "acknowledged": result.acknowledged,
        "reissued": result.reissued,
        "refused": result.refused,
        "unconfirmed": result.unconfirmed,
        "held_back": result.held_back,
        "lost_connections": result.lost_connections,
        "ack_p50_ms": _number(result.ack_p50_ms),
        "ack_p99_ms": _number(result.ack_p99_ms),
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 3)


def _summary(result: SimulateResult) -> str:
    return "\n".join(
        f"{name.replace('_', ' '):>18}  {'-' if value is None else f'{value:,}'}"
        for name, value in figures(result).items()
    )
