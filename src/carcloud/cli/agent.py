"""`carcloud agent`: the vehicle's side."""

import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from carcloud.agent.run import STATUS_FILE, Agent
from carcloud.agent.settings import AgentSettings, load_settings
from carcloud.agent.sources import NoLog
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.failure import Failure
from carcloud.codecs.campaign.fields import DocumentError

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(
    "agent",
    cls=ExampleGroup,
    examples=("carcloud agent run --config agent.toml", "carcloud agent status"),
)
def command() -> None:
    """The vehicle's side: reads CAN, runs campaigns, sends, obeys."""


@command.command(
    "run",
    cls=ExampleCommand,
    examples=(
        "carcloud agent run --config /etc/carcloud-agent.toml",
        "carcloud agent run --vehicle truck-7 --can can0 --model truck.json",
        "carcloud agent run --vehicle car-1 --replay drive.log --speed 10 --loop --model car.json",
    ),
)
@click.option("--config", type=_FILE, help="TOML file of the agent's settings.")
@click.option("--vehicle", help="Id of the vehicle in the cloud.")
@click.option("--folder", help="Where documents, spool and state are kept.")
@click.option("--host", help="Address of the cloud's MQTT gateway.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Its port.")
@click.option("--tls", is_flag=True, help="Use TLS with the system's certificate authorities.")
@click.option("--ca", help="Certificate authority to trust; turns TLS on.")
@click.option("--cert", help="Certificate of the vehicle; turns TLS on.")
@click.option("--key", help="Private key of that certificate.")
@click.option("--token-file", help="File with the vehicle's token.")
@click.option("--can", "interfaces", multiple=True, help="CAN interface; may be repeated.")
@click.option("--replay", help="Candump log to play instead.")
@click.option("--speed", type=float, help="Pace of the replay; 1 is that of the log.")
@click.option("--loop", is_flag=True, help="Play the log again and again.")
@click.option("--model", help="Model document, until the cloud sends one.")
@click.option("--campaign", "campaigns", multiple=True, help="Campaign document; may be repeated.")
@click.option("--report-ms", type=click.IntRange(0), help="Between two reports; 0 = none.")
@click.option("--log-level", default="info", show_default=True, help="Level of log lines.")
def run(config: Path | None, log_level: str, **given: Any) -> None:
    """Run the agent until Ctrl-C, or to the end of a log that is not looped."""
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)-7s %(message)s")
    try:
        settings = load_settings(config, _flags(given))
        restart = asyncio.run(_run(settings))
    except (DocumentError, NoLog, OSError) as error:
        raise Failure(str(error), "see `carcloud agent run --help`") from error
    if restart:
        os.execv(sys.executable, [sys.executable, "-m", "carcloud", *sys.argv[1:]])  # noqa: S606


async def _run(settings: AgentSettings) -> bool:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    return await Agent(settings).run(stop)


_NAMES = {
    "host": "server.host", "port": "server.port", "tls": "server.tls", "ca": "server.ca",
    "cert": "server.certificate", "key": "server.key", "token_file": "server.token_file",
    "report_ms": "report_interval_ms",
}  # fmt: skip


def _flags(given: dict[str, Any]) -> dict[str, Any]:
    """Flags that were given, by the names that the TOML file has."""
    return {
        _NAMES.get(name, name): list(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value not in (None, (), False)
    }


@command.command(
    "status",
    cls=ExampleCommand,
    examples=("carcloud agent status", "carcloud agent status --folder /var/lib/agent --json"),
)
@click.option("--folder", default="carcloud-agent", show_default=True, help="The agent's folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the state as one JSON object.")
def status(folder: str, as_json: bool) -> None:
    """Show what the agent of a folder is doing, from the file it writes every two seconds."""
    try:
        state = json.loads((Path(folder) / STATUS_FILE).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Failure(f"no state in {folder}: {error}", "is an agent running there?") from error
    click.echo(json.dumps(state) if as_json else _shown(state))


def _shown(state: dict[str, Any]) -> str:
    link = "connected" if state["connected"] else f"not connected: {state['reason'] or 'trying'}"
    frames, spool, records = state["frames"], state["spool"], state["records"]
    lines = [
        f"{'vehicle':>12}  {state['vehicle']} ({link})",
        f"{'model':>12}  {state['model'] or 'none yet'}",
        f"{'frames':>12}  {frames['seen']:,} seen, {frames['wanted']:,} wanted,"
        f" {frames['dropped']:,} dropped",
        f"{'records':>12}  {records['kept']:,} kept, {records['sent']:,} sent,"
        f" {spool['waiting']:,} waiting, {spool['dropped'] + records['dropped']:,} dropped",
        f"{'on disk':>12}  {spool['bytes']:,} bytes",
    ]
    for name, counters in state["campaigns"].items():
        lines.append(
            f"{'campaign':>12}  {name}: {counters['triggers']:,} triggers,"
            f" {counters['evaluations']:,} evaluations, {counters['suppressed']:,} suppressed"
        )
    refused = [each for each in state["documents"] if each["result"] == "refused"]
    lines += [f"{'refused':>12}  {each['id']}: {each['reason']}" for each in refused]
    return "\n".join(lines)
