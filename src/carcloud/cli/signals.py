"""`carcloud signals`: the catalogue of signals and the tenant's overlay from a terminal."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.failure import Failure
from carcloud.cli.tables import show_items

_COLUMNS = ("path", "kind", "datatype", "unit", "range", "origin", "vehicles", "last_seen")
_OVERLAY = "/v1/signals/overlay"


@click.group(
    "signals",
    cls=ExampleGroup,
    examples=(
        "carcloud signals list tyre pressure",
        "carcloud signals show Vehicle.Speed",
        "carcloud signals overlay check coolers.vspec",
    ),
)
def command() -> None:
    """Look at the signals there are, and put an overlay of your own on them."""


@command.command(
    "list",
    cls=ExampleCommand,
    examples=(
        "carcloud signals list battery temperature",
        "carcloud signals list --prefix Vehicle.Chassis --unit kPa",
        "carcloud signals list --reported --limit 500 --json",
    ),
)
@click.argument("words", nargs=-1)
@click.option("--prefix", default="", help="Only paths that begin so.")
@click.option("--datatype", help="Only of this type, such as float or string[].")
@click.option("--unit", help="Only with this unit.")
@click.option("--kind", type=click.Choice(("sensor", "actuator", "attribute")), help="Only these.")
@click.option("--origin", type=click.Choice(("vss", "carcloud", "tenant")), help="Only from there.")
@click.option("--reported", is_flag=True, help="Only those that a vehicle reported.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500), help="Most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_signals(
    words: tuple[str, ...], reported: bool, as_json: bool, client: Client, **filters: Any
) -> None:
    """List signals whose path, description or unit has all WORDS."""
    asked = {**filters, "q": " ".join(words), "reported": True if reported else None}
    found = client.get("/v1/signals", **asked)["items"]
    if not as_json:
        found = [{**one, "range": _range(one)} for one in found]
    show_items(_COLUMNS, found, as_json=as_json)


@command.command("show", cls=ExampleCommand, examples=("carcloud signals show Vehicle.Speed",))
@click.argument("path")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@with_client
def show_signal(path: str, as_json: bool, client: Client) -> None:
    """Show the signal PATH, and which models report it."""
    found = client.get(f"/v1/signals/{quote(path, safe='')}")
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    one = found["signal"]
    for name in ("path", "kind", "datatype", "unit", "description", "origin"):
        click.echo(f"{name:12} {one[name] or '-'}")
    click.echo(f"{'range':12} {_range(one) or '-'}")
    if one["deprecated"]:
        click.echo(f"{'deprecated':12} yes")
    click.echo(f"{'vehicles':12} {one['vehicles']}, last {one['last_seen'] or 'never'}")
    for each in found["by_model"]:
        click.echo(f"{'':12} {each['vehicles']} of {each['model'] or 'no model'}")


@command.group(
    "overlay",
    cls=ExampleGroup,
    examples=("carcloud signals overlay show", "carcloud signals overlay save coolers.vspec"),
)
def overlay() -> None:
    """The tenant's own signals, and what it narrows or deprecates."""


@overlay.command(
    "show",
    cls=ExampleCommand,
    examples=("carcloud signals overlay show > mine.vspec", "carcloud signals overlay show 3"),
)
@click.argument("version", type=click.IntRange(1), required=False)
@with_client
def show_overlay(version: int | None, client: Client) -> None:
    """Print the overlay that holds, or an earlier VERSION."""
    path = _OVERLAY if version is None else f"/v1/signals/overlays/{version}"
    click.echo(client.get(path)["text"], nl=False)


@overlay.command("versions", cls=ExampleCommand, examples=("carcloud signals overlay versions",))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_versions(as_json: bool, client: Client) -> None:
    """List the versions, newest first."""
    columns = ("version", "created", "actor", "note", "active")
    show_items(columns, client.get("/v1/signals/overlays", limit=500)["items"], as_json=as_json)


@overlay.command(
    "check", cls=ExampleCommand, examples=("carcloud signals overlay check coolers.vspec",)
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_client
def check(file: Path, client: Client) -> None:
    """Say what the overlay in FILE would do, and what is wrong with it; save nothing."""
    _tell(file, _put(client, file, check=True))


@overlay.command(
    "save",
    cls=ExampleCommand,
    examples=("carcloud signals overlay save coolers.vspec --note 'Cooled bodies'",),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--note", default="", help="What it is for.")
@click.option("--if-version", type=click.IntRange(0), help="Only if this version holds still.")
@with_client
def save(file: Path, note: str, if_version: int | None, client: Client) -> None:
    """Save the overlay in FILE, which holds from now on."""
    _tell(file, _put(client, file, check=True))
    tag = "*" if if_version is None else f'"{if_version}"'
    done = _put(client, file, note=note, headers={"If-Match": tag})
    click.echo(f"version {done['version']} holds")


def _put(
    client: Client,
    file: Path,
    *,
    note: str = "",
    check: bool = False,
    headers: dict[str, str] | None = None,
) -> Any:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Failure(f"{file} is no UTF-8 text", "save it as UTF-8") from error
    body = {"text": text, "note": note}
    query = {"check": "true"} if check else {}
    return client.send("PUT", _OVERLAY, query=query, json=body, headers=headers or {}).json()


def _tell(file: Path, effect: Any) -> None:
    """What an overlay does; raises `Failure` where something is wrong with it."""
    for one in effect["findings"]:
        click.echo(f"{file}:{one['line']}: {one['node']}: {one['text']}", err=True)
    if effect["findings"]:
        count = len(effect["findings"])
        raise Failure(f"{count} findings, nothing was saved", "mend the lines named above")
    for name in ("added", "changed", "removed"):
        click.echo(f"{name:8} {len(effect[name])}")


def _range(one: Any) -> str:
    if one["allowed"]:
        return ", ".join(one["allowed"])
    low, high = ("" if end is None else f"{end:g}" for end in (one["min"], one["max"]))
    return f"{low} .. {high}".strip() if low or high else ""
