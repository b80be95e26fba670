"""`carcloud commands`: commands to vehicles and their desired state from a terminal."""

import json
import time
from typing import Any
from urllib.parse import quote

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.failure import Failure
from carcloud.cli.tables import show_items

_COLUMNS = ("id", "vehicle", "name", "state", "reason", "actor", "created", "ended")
_ARGUMENTS = ("name", "kind", "needed", "least", "most", "choices", "help")
_LOOK_S, _GRACE_S = 0.3, 10.0  # s between looks; after its time, until it is ended
_OPEN = ("created", "sent", "received")


@click.group(
    "commands",
    cls=ExampleGroup,
    examples=(
        "carcloud commands give LTEST00000000A001 locate --wait",
        "carcloud commands list --vehicle LTEST00000000A001",
        'carcloud commands desire LTEST00000000A001 \'{"reporting": {"interval_s": 30}}\'',
    ),
)
def command() -> None:
    """Give commands to vehicles, and say what state is desired of them."""


@command.command(
    "kinds",
    cls=ExampleCommand,
    examples=("carcloud commands kinds", "carcloud commands kinds set-areas"),
)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_kinds(name: str | None, as_json: bool, client: Client) -> None:
    """List the commands that can be given, and what each takes; of NAME, what it takes in full."""
    found = client.get("/v1/command-kinds")["items"]
    if name is not None:
        found = [one for one in found if one["name"] == name]
        if not found:
            raise Failure(f"there is no command {name!r}", "`carcloud commands kinds` lists them")
        if not as_json:
            show_items(_ARGUMENTS, found[0]["arguments"], as_json=False)
            return
    if not as_json:
        found = [{**one, "takes": ", ".join(map(_argument, one["arguments"]))} for one in found]
    columns = ("name", "help", "takes", "protocols", "action", "parked")
    show_items(columns, found, as_json=as_json)


@command.command(
    "list",
    cls=ExampleCommand,
    examples=(
        "carcloud commands list --state created",
        "carcloud commands list --vehicle LTEST00000000A001 --json",
    ),
)
@click.option("--vehicle", help="Only to this one.")
@click.option("--state", help="Only those that stand so: created, sent, executed …")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500), help="Most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_commands(
    vehicle: str | None, state: str | None, limit: int, as_json: bool, client: Client
) -> None:
    """List commands, newest first."""
    path = "/v1/commands" if vehicle is None else f"{_path(vehicle)}/commands"
    show_items(_COLUMNS, client.get(path, state=state, limit=limit)["items"], as_json=as_json)


@command.command(
    "give",
    cls=ExampleCommand,
    examples=(
        "carcloud commands give LTEST00000000A001 locate --wait",
        "carcloud commands give LTEST00000000A001 message --set text='Call the depot'",
        "carcloud commands give LTEST00000000A001 track --set interval_s=5 --set duration_s=600",
    ),
)
@click.argument("vehicle")
@click.argument("name")
@click.option(
    "--set", "given", multiple=True, metavar="NAME=VALUE",
    help="An argument; the value is JSON, or text where it is not.",
)  # fmt: skip
@click.option("--timeout", default=60.0, show_default=True, help="s until it is given up.")
@click.option("--key", help="The same key again tells of the same command, and gives no other.")
@click.option("--wait", is_flag=True, help="Until it has ended; exit code 1 if not executed.")
@with_client
def give(
    vehicle: str,
    name: str,
    given: tuple[str, ...],
    timeout: float,
    key: str | None,
    wait: bool,
    client: Client,
) -> None:
    """Give the command NAME to VEHICLE; it is kept until the vehicle is connected."""
    arguments = dict(map(_pair, given))
    body = {"name": name, "arguments": arguments, "timeout_s": timeout, "key": key}
    made = client.send("POST", f"{_path(vehicle)}/commands", json=body).json()
    until = time.monotonic() + timeout + _GRACE_S
    while wait and made["state"] in _OPEN and time.monotonic() < until:
        time.sleep(_LOOK_S)
        made = client.get(f"{_path(vehicle)}/commands/{made['id']}")
    click.echo(json.dumps(made, ensure_ascii=False, indent=2))
    if wait and made["state"] != "executed":
        raise Failure(
            f"{name} was not executed: {made['state']}, {made['reason'] or 'no reason told'}",
            f"look at it again with `carcloud commands list --vehicle {vehicle}`",
        )


@command.command(
    "cancel",
    cls=ExampleCommand,
    examples=("carcloud commands cancel LTEST00000000A001 06512f0a1b2c3d4e5f60718293",),
)
@click.argument("vehicle")
@click.argument("id")
@with_client
def cancel(vehicle: str, id: str, client: Client) -> None:
    """Call a command back; a vehicle that has it already may carry it out all the same."""
    client.send("POST", f"{_path(vehicle)}/commands/{quote(id, safe='')}/cancel")
    click.echo(f"{id} is cancelled")


@command.command(
    "state", cls=ExampleCommand, examples=("carcloud commands state LTEST00000000A001",)
)
@click.argument("vehicle")
@with_client
def state(vehicle: str, client: Client) -> None:
    """Show the desired and the reported state of a vehicle, and how they differ."""
    found = client.get(f"{_path(vehicle)}/state")
    click.echo(json.dumps(found, ensure_ascii=False, indent=2))


@command.command(
    "desire",
    cls=ExampleCommand,
    examples=(
        'carcloud commands desire LTEST00000000A001 \'{"reporting": {"interval_s": 30}}\'',
        "carcloud commands desire LTEST00000000A001 '{\"reporting\": null}'",
    ),
)
@click.argument("vehicle")
@click.argument("patch")
@with_client
def desire(vehicle: str, patch: str, client: Client) -> None:
    """Change what is desired of a vehicle by PATCH, a JSON object; null removes."""
    try:
        body = json.loads(patch)
    except ValueError as error:
        raise Failure(f"PATCH is not JSON: {error}", "quote it for the shell: '{…}'") from error
    made = client.send("PATCH", f"{_path(vehicle)}/state/desired", json=body).json()
    click.echo(json.dumps(made, ensure_ascii=False, indent=2))


def _path(vehicle: str) -> str:
    return f"/v1/vehicles/{quote(vehicle, safe='')}"


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise Failure(f"--set {text!r} is not NAME=VALUE", "as in --set interval_s=5")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _argument(told: dict[str, Any]) -> str:
    return told["name"] if told["needed"] else f"[{told['name']}]"
