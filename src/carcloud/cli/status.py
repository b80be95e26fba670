"""`carcloud status`: what a running cloud is doing, once or every second."""

import contextlib
import json
import time
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand
from carcloud.cli.failure import Failure
from carcloud.cli.tables import console, table


@click.command(
    "status",
    cls=ExampleCommand,
    examples=(
        "carcloud status",
        "carcloud status --watch",
        "carcloud status --json --url https://cloud.example.com --token TOKEN",
    ),
)
@click.option("--watch", is_flag=True, help="Show it anew every second until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print the status document as it is.")
@with_client
def command(watch: bool, as_json: bool, client: Client) -> None:
    """Show connections, rates, freshness, disk, problems and processes."""
    status = client.get("/v1/status")
    if as_json:
        click.echo(json.dumps(status))
    elif not watch:
        console().print(_page(status))
    else:
        _watch(client, status)


def _watch(client: Client, status: Mapping[str, Any]) -> None:
    with (
        contextlib.suppress(KeyboardInterrupt),
        Live(_page(status), console=console(), screen=False) as live,
    ):
        while True:
            time.sleep(1)
            try:
                live.update(_page(client.get("/v1/status")))
            except Failure as error:  # a web process that is starting anew is back soon
                live.update(Text(error.format_message(), style="bold red"))


def _page(status: Mapping[str, Any]) -> RenderableType:
    parts: list[RenderableType] = [table(("figure", "value"), _figures(status)), Text()]
    for problem in status["problems"]:
        line = f"{problem['code']} since {problem['since']}: {problem['detail']}"
        parts += [Text(line, style="bold red"), Text()]
    roles = (
        (
            role["role"],
            role["instance"],
            role["pid"],
            "alive" if role["alive"] else "down",
            f"{role['uptime_s']:.0f} s",
            _size(role["memory_bytes"]),
        )
        for role in status["roles"]
    )
    parts.append(table(("role", "instance", "pid", "state", "up for", "memory"), roles))
    return Group(*parts)


def _figures(status: Mapping[str, Any]) -> list[tuple[str, str]]:
    freshness = status["freshness_ms"]
    return [
        ("time", status["time"]),
        ("connected", f"{status['connected']} of {status['vehicles']} vehicles"),
        ("platforms", str(status["platforms"])),
        ("frames received", f"{status['frames_per_second']:.0f}/s"),
        ("frames stored", f"{status['stored_per_second']:.0f}/s"),
        ("freshness", "nothing stored yet" if freshness is None else f"{freshness:.0f} ms"),
        ("frames waiting", str(status["lag_frames"])),
        ("dead letters", str(status["dead_letters"])),
        ("disk used", _size(status["disk"]["used_bytes"])),
        ("disk free", _size(status["disk"]["free_bytes"])),
    ]


def _size(size_bytes: float) -> str:
    """Bytes in the unit that a person would choose."""
    for unit in ("B", "KB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} TB"
