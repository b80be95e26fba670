"""`carcloud platforms`: accounts of lower platforms from a terminal."""

import json
from pathlib import Path
from urllib.parse import quote

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.forwarding import read_password
from carcloud.cli.tables import show

_COLUMNS = ("platform_id", "user", "created", "updated")


@click.group(
    "platforms",
    cls=ExampleGroup,
    examples=(
        "carcloud platforms list",
        "carcloud platforms grant LOWERPLATFORM0001 --user maker",
    ),
)
def command() -> None:
    """Let lower GB/T 32960 platforms log in and bring their vehicles."""


@command.command(
    "list",
    cls=ExampleCommand,
    examples=("carcloud platforms list", "carcloud platforms list --json"),
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_platforms(as_json: bool, client: Client) -> None:
    """List the platforms that may log in."""
    accounts = client.get("/v1/platforms")["items"]
    if as_json:
        for account in accounts:
            click.echo(json.dumps(account, ensure_ascii=False))
    else:
        show(_COLUMNS, ([account[name] for name in _COLUMNS] for account in accounts))


@command.command(
    "grant",
    cls=ExampleCommand,
    examples=(
        "carcloud platforms grant LOWERPLATFORM0001 --user maker",
        "carcloud platforms grant LOWERPLATFORM0001 --user maker --password-file maker.txt",
    ),
)
@click.argument("platform_id")
@click.option("--user", required=True, help="User name, up to 12 characters.")
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="First line = the password, up to 20 characters; without it, it is asked for.",
)
@with_client
def grant(platform_id: str, user: str, password_file: Path | None, client: Client) -> None:
    """Let the platform PLATFORM_ID log in; replaces its user and password if it may already."""
    body = {"user": user, "password": read_password(password_file)}
    client.send("PUT", _path(platform_id), json=body)
    click.echo(f"{platform_id} may log in")


@command.command(
    "revoke", cls=ExampleCommand, examples=("carcloud platforms revoke LOWERPLATFORM0001 --yes",)
)
@click.argument("platform_id")
@click.confirmation_option(
    prompt="It will not be able to log in any more. Go on?", help="Do not ask."
)
@with_client
def revoke(platform_id: str, client: Client) -> None:
    """Take the account of a platform back; its vehicles and their history stay."""
    client.send("DELETE", _path(platform_id))
    click.echo(f"{platform_id} may not log in any more")


def _path(platform_id: str) -> str:
    return f"/v1/platforms/{quote(platform_id, safe='')}"
