"""`carcloud invitations`: links for new people from a terminal."""

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.scopes import scope_of, scope_options
from carcloud.cli.tables import show_items

_COLUMNS = ("id", "note", "role", "by", "expires")


@click.group(
    "invitations",
    cls=ExampleGroup,
    examples=(
        "carcloud invitations create ann@example.com --role operator",
        "carcloud invitations list",
    ),
)
def command() -> None:
    """Invite people by a link that works once."""


@command.command("list", cls=ExampleCommand, examples=("carcloud invitations list --json",))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_invitations(as_json: bool, client: Client) -> None:
    """List invitations that can still be accepted."""
    show_items(_COLUMNS, client.get("/v1/invitations")["items"], as_json=as_json)


@command.command(
    "create",
    cls=ExampleCommand,
    examples=(
        "carcloud invitations create ann@example.com --role operator",
        "carcloud invitations create 'Nora, night shift' --role operator --label depot=north",
    ),
)
@click.argument("note")
@click.option("--role", required=True, help="As `carcloud roles list` tells them.")
@scope_options
@click.option("--days", type=float, default=7, show_default=True, help="How long it is good.")
@with_client
def create(
    note: str,
    role: str,
    project: str | None,
    labels: tuple[str, ...],
    days: float,
    client: Client,
) -> None:
    """Print a link for whom NOTE names. It is shown once; carcloud sends no mail."""
    body = {"note": note, "role": role, "scope": scope_of(project, labels), "days": days}
    made = client.send("POST", "/v1/invitations", json=body).json()
    click.echo(made["link"])


@command.command(
    "revoke", cls=ExampleCommand, examples=("carcloud invitations revoke 0a1b2c3d4e5f6071",)
)
@click.argument("invitation")
@with_client
def revoke(invitation: str, client: Client) -> None:
    """Take an invitation back."""
    client.send("DELETE", f"/v1/invitations/{invitation}")
    click.echo("the link works no more")
