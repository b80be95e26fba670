"""`carcloud buckets`: make, list, change and remove buckets."""

import json
from typing import Any
from urllib.parse import quote

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.failure import Failure
from carcloud.cli.places import sealing
from carcloud.cli.tables import show

_COLUMNS = ("name", "project", "objects", "bytes", "versioning", "created")


@click.group(
    "buckets",
    cls=ExampleGroup,
    examples=("carcloud buckets create recordings", "carcloud buckets list"),
)
def command() -> None:
    """Make, list, change and remove buckets."""


command.add_command(sealing)


@command.command("list", cls=ExampleCommand, examples=("carcloud buckets list --json",))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_buckets(as_json: bool, client: Client) -> None:
    """List the buckets and what they hold."""
    found = client.get("/v1/buckets")["items"]
    if as_json:
        for one in found:
            click.echo(json.dumps(one, ensure_ascii=False))
        return
    show(_COLUMNS, ([one[name] for name in _COLUMNS] for one in found))


@command.command(
    "create",
    cls=ExampleCommand,
    examples=(
        "carcloud buckets create recordings",
        "carcloud buckets create parts-pictures --project shop --versioning",
    ),
)
@click.argument("name")
@click.option("--project", default="main", show_default=True, help="Project that it belongs to.")
@click.option("--versioning", is_flag=True, help="Keep old versions of objects.")
@with_client
def create(name: str, project: str, versioning: bool, client: Client) -> None:
    """Make the bucket NAME."""
    client.send("POST", "/v1/buckets", json={"name": name, "project": project})
    if versioning:
        _change(client, name, {"versioning": "Enabled"})
    click.echo(f"{name} is made")


@command.command(
    "set",
    cls=ExampleCommand,
    examples=(
        "carcloud buckets set recordings --versioning on",
        "carcloud buckets set recordings --expire tmp/=7 --expire raw/=90",
        "carcloud buckets set recordings --tag team=perception",
    ),
)
@click.argument("name")
@click.option("--versioning", type=click.Choice(["on", "off"]), help="Keep old versions or not.")
@click.option(
    "--expire",
    multiple=True,
    metavar="PREFIX=DAYS",
    help="Objects below PREFIX go after DAYS; replaces the lifecycle.",
)
@click.option("--keep", is_flag=True, help="No lifecycle: nothing goes by itself.")
@click.option("--tag", multiple=True, metavar="KEY=VALUE", help="A tag; replaces all tags.")
@with_client
def set_bucket(
    name: str,
    versioning: str | None,
    expire: tuple[str, ...],
    keep: bool,
    tag: tuple[str, ...],
    client: Client,
) -> None:
    """Change the bucket NAME."""
    change: dict[str, Any] = {}
    if versioning is not None:
        change["versioning"] = "Enabled" if versioning == "on" else "Suspended"
    if expire or keep:
        change["lifecycle"] = [_rule(text) for text in expire]
    if tag:
        change["tags"] = dict(_pair(text, "KEY=VALUE") for text in tag)
    if not change:
        raise Failure("there is nothing to change", "see `carcloud buckets set --help`")
    _change(client, name, change)
    click.echo(f"{name} is changed")


@command.command("remove", cls=ExampleCommand, examples=("carcloud buckets remove old --yes",))
@click.argument("name")
@click.confirmation_option(prompt="Remove this bucket?", help="Do not ask.")
@with_client
def remove(name: str, client: Client) -> None:
    """Remove the bucket NAME, which must be empty."""
    client.send("DELETE", path(name))
    click.echo(f"{name} is removed")


def path(name: str) -> str:
    """The route of a bucket."""
    return f"/v1/buckets/{quote(name, safe='')}"


def _change(client: Client, name: str, change: dict[str, Any]) -> None:
    seen = client.send("GET", path(name))
    client.send("PATCH", path(name), json=change, headers={"if-match": seen.headers["etag"]})


def _rule(text: str) -> dict[str, Any]:
    prefix, days = _pair(text, "PREFIX=DAYS")
    if not days.isdigit() or int(days) < 1:
        raise click.BadParameter(f"{text!r}: DAYS must be 1 or more")
    return {"id": f"expire {prefix}"[:255], "prefix": prefix, "days": int(days)}


def _pair(text: str, form: str) -> tuple[str, str]:
    name, equals, value = text.rpartition("=") if form.startswith("P") else text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not {form}")
    return name, value
