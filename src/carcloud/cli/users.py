"""`carcloud users`: people and service accounts from a terminal."""

from pathlib import Path
from urllib.parse import quote

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.forwarding import read_password
from carcloud.cli.scopes import scope_of, scope_options
from carcloud.cli.tables import show_items

_COLUMNS = ("name", "note", "service", "guest", "disabled", "second_factor", "created")
_password_file = click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="First line = the password, 10 characters or more; without it, it is asked for.",
)


@click.group(
    "users",
    cls=ExampleGroup,
    examples=(
        "carcloud users list",
        "carcloud users add ann --role operator",
        "carcloud users add-service nightly --role analyst --note 'exports every night'",
    ),
)
def command() -> None:
    """Add and remove people and service accounts."""


@command.command("list", cls=ExampleCommand, examples=("carcloud users list --json",))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_users(as_json: bool, client: Client) -> None:
    """List who belongs to the tenant or has a role in it."""
    show_items(_COLUMNS, client.get("/v1/users")["items"], as_json=as_json)


@command.command(
    "add",
    cls=ExampleCommand,
    examples=(
        "carcloud users add ann --role operator",
        "carcloud users add nora --role operator --label depot=north",
    ),
)
@click.argument("name")
@click.option("--role", required=True, help="As `carcloud roles list` tells them.")
@scope_options
@click.option("--note", default="", help="For people to read, such as an e-mail address.")
@_password_file
@with_client
def add(
    name: str,
    role: str,
    project: str | None,
    labels: tuple[str, ...],
    note: str,
    password_file: Path | None,
    client: Client,
) -> None:
    """Add a person who signs in as NAME."""
    body = {"name": name, "role": role, "scope": scope_of(project, labels), "note": note}
    client.send("POST", "/v1/users", json={**body, "password": read_password(password_file)})
    click.echo(f"{name} may sign in")


@command.command(
    "add-service",
    cls=ExampleCommand,
    examples=("carcloud users add-service nightly --role analyst",),
)
@click.argument("name")
@click.option("--role", required=True, help="As `carcloud roles list` tells them.")
@scope_options
@click.option("--note", default="", help="What it is for.")
@with_client
def add_service(
    name: str,
    role: str,
    project: str | None,
    labels: tuple[str, ...],
    note: str,
    client: Client,
) -> None:
    """Add a service account NAME: a program's user, which has keys and no password."""
    body = {"name": name, "role": role, "scope": scope_of(project, labels), "note": note}
    made = client.send("POST", "/v1/service-accounts", json=body).json()
    click.echo(f"{made['name']}: make a key with `carcloud keys create NAME --user {made['name']}`")


@command.command("disable", cls=ExampleCommand, examples=("carcloud users disable ann",))
@click.argument("name")
@with_client
def disable(name: str, client: Client) -> None:
    """Keep a user out, keys included; nothing is lost."""
    client.send("PATCH", _path(name), json={"disabled": True})
    click.echo(f"{name} is kept out")


@command.command("enable", cls=ExampleCommand, examples=("carcloud users enable ann",))
@click.argument("name")
@with_client
def enable(name: str, client: Client) -> None:
    """Let a user in again."""
    client.send("PATCH", _path(name), json={"disabled": False})
    click.echo(f"{name} may sign in")


@command.command("password", cls=ExampleCommand, examples=("carcloud users password ann",))
@click.argument("name")
@_password_file
@with_client
def password(name: str, password_file: Path | None, client: Client) -> None:
    """Set somebody's password and end their sessions."""
    body = {"password": read_password(password_file)}
    client.send("PUT", f"{_path(name)}/password", json=body)
    click.echo(f"{name} has a new password")


@command.command(
    "reset-second-factor",
    cls=ExampleCommand,
    examples=("carcloud users reset-second-factor ann",),
)
@click.argument("name")
@with_client
def reset_second_factor(name: str, client: Client) -> None:
    """Take a lost second factor from somebody; they sign in with the password alone."""
    client.send("DELETE", f"{_path(name)}/second-factor")
    click.echo(f"{name} signs in with the password alone")


@command.command("remove", cls=ExampleCommand, examples=("carcloud users remove ann --yes",))
@click.argument("name")
@click.confirmation_option(prompt="Their sessions, keys and roles end. Go on?", help="Do not ask.")
@with_client
def remove(name: str, client: Client) -> None:
    """Remove a user with sessions, keys and roles."""
    client.send("DELETE", _path(name))
    click.echo(f"{name} is removed")


def _path(name: str) -> str:
    return f"/v1/users/{quote(name, safe='')}"
