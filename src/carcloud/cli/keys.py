"""`carcloud keys`: API keys from a terminal."""

import json

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.tables import show_items

_COLUMNS = ("id", "name", "user", "actions", "project", "expires", "used")


@click.group(
    "keys",
    cls=ExampleGroup,
    examples=(
        "carcloud keys create dashboard --action vehicles:read --days 30",
        "carcloud keys list",
        "carcloud keys revoke 0a1b2c3d4e5f6071",
    ),
)
def command() -> None:
    """Make and revoke API keys."""


@command.command("list", cls=ExampleCommand, examples=("carcloud keys list --mine",))
@click.option("--mine", is_flag=True, help="Only one's own.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_keys(mine: bool, as_json: bool, client: Client) -> None:
    """List keys, with their last use."""
    found = client.get("/v1/keys", mine="true" if mine else None)["items"]
    show_items(_COLUMNS, found, as_json=as_json)


@command.command(
    "create",
    cls=ExampleCommand,
    examples=(
        "carcloud keys create dashboard --action vehicles:read --days 30",
        "carcloud keys create export --user nightly@default --json",
    ),
)
@click.argument("name")
@click.option("--user", help="A service account; one's own key without it.")
@click.option(
    "--action", "allowed", multiple=True,
    help="Only this; may be repeated. Without: all that its user may.",
)  # fmt: skip
@click.option("--project", help="Only inside this project.")
@click.option(
    "--days", type=click.FloatRange(0, 3650, min_open=True), help="It ends after so long."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@with_client
def create(
    name: str,
    user: str | None,
    allowed: tuple[str, ...],
    project: str | None,
    days: float | None,
    as_json: bool,
    client: Client,
) -> None:
    """Make a key; it is shown this once."""
    body = {
        "name": name,
        "user": user,
        "actions": list(allowed) or None,
        "project": project,
        "days": days,
    }
    made = client.send("POST", "/v1/keys", json=body).json()
    if as_json:
        click.echo(json.dumps(made, ensure_ascii=False))
        return
    click.echo(f"key                   {made['secret']}")
    click.echo(f"S3 access key id      {made['s3_access_key_id']}")
    click.echo(f"S3 secret access key  {made['s3_secret_access_key']}")
    click.echo("Keep them now: they are not shown again.", err=True)


@command.command("revoke", cls=ExampleCommand, examples=("carcloud keys revoke 0a1b2c3d4e5f6071",))
@click.argument("key_id")
@with_client
def revoke(key_id: str, client: Client) -> None:
    """Take a key back: it is refused everywhere within a second."""
    client.send("DELETE", f"/v1/keys/{key_id}")
    click.echo("revoked")
