"""`carcloud roles`: who may do what, from a terminal."""

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.scopes import scope_of, scope_options, scope_text
from carcloud.cli.tables import show, show_items


@click.group(
    "roles",
    cls=ExampleGroup,
    examples=(
        "carcloud roles list",
        "carcloud roles grant ann engineer --project lab",
        "carcloud roles why --action audit:read",
    ),
)
def command() -> None:
    """See and change who may do what."""


@command.command("list", cls=ExampleCommand, examples=("carcloud roles list",))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_roles(as_json: bool, client: Client) -> None:
    """List the roles and what they allow."""
    columns = ("id", "name", "built_in", "actions")
    show_items(columns, client.get("/v1/roles")["items"], as_json=as_json)


@command.command("actions", cls=ExampleCommand, examples=("carcloud roles actions",))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def actions(as_json: bool, client: Client) -> None:
    """List everything that a role can allow."""
    columns = ("name", "help", "roles")
    show_items(columns, client.get("/v1/actions")["items"], as_json=as_json)


@command.command(
    "create",
    cls=ExampleCommand,
    examples=("carcloud roles create look --name Look --action vehicles:read",),
)
@click.argument("role")
@click.option("--name", required=True, help="For people to read.")
@click.option(
    "--action", "allowed", multiple=True, required=True, help="What it allows; may be repeated."
)
@with_client
def create(role: str, name: str, allowed: tuple[str, ...], client: Client) -> None:
    """Make a role of the tenant's own."""
    client.send("POST", "/v1/roles", json={"id": role, "name": name, "actions": list(allowed)})
    click.echo(f"there is a role {role}")


@command.command("remove", cls=ExampleCommand, examples=("carcloud roles remove look",))
@click.argument("role")
@with_client
def remove(role: str, client: Client) -> None:
    """Remove a role that nobody has."""
    client.send("DELETE", f"/v1/roles/{role}")
    click.echo(f"the role {role} is removed")


@command.command("grants", cls=ExampleCommand, examples=("carcloud roles grants --user ann",))
@click.option("--user", help="Only of this user.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def grants(user: str | None, as_json: bool, client: Client) -> None:
    """List who has which role, where, by whom."""
    found = client.get("/v1/grants", user=user)["items"]
    if not as_json:
        found = [{**one, "scope": scope_text(one["scope"])} for one in found]
    show_items(("id", "user", "role", "scope", "by", "created"), found, as_json=as_json)


@command.command(
    "grant",
    cls=ExampleCommand,
    examples=(
        "carcloud roles grant ann engineer --project lab",
        "carcloud roles grant nora operator --label depot=north",
    ),
)
@click.argument("user")
@click.argument("role")
@scope_options
@with_client
def grant(
    user: str, role: str, project: str | None, labels: tuple[str, ...], client: Client
) -> None:
    """Give USER the ROLE, everywhere in the tenant or there where the options say."""
    body = {"user": user, "role": role, "scope": scope_of(project, labels)}
    made = client.send("POST", "/v1/grants", json=body).json()
    click.echo(f"{user} has the role {role} on {scope_text(made['scope'])} (grant {made['id']})")


@command.command("revoke", cls=ExampleCommand, examples=("carcloud roles revoke 0a1b2c3d4e5f6071",))
@click.argument("grant_id")
@with_client
def revoke(grant_id: str, client: Client) -> None:
    """Take a grant back, at once; `carcloud roles grants` tells its id."""
    client.send("DELETE", f"/v1/grants/{grant_id}")
    click.echo("revoked")


@command.command(
    "why",
    cls=ExampleCommand,
    examples=("carcloud roles why --user ann", "carcloud roles why --action audit:read"),
)
@click.option("--user", help="What this user may do.")
@click.option("--action", help="Who may do this.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def why(user: str | None, action: str | None, as_json: bool, client: Client) -> None:
    """Tell who may do what, and because of which grant."""
    found = client.get("/v1/permissions", user=user, action=action)["items"]
    if as_json:
        show_items((), found, as_json=True)
        return
    columns = ("user", "action", "role", "on", "granted by")
    rows = ((one["user"], one["action"], one["grant"]) for one in found)
    show(
        columns,
        ((who, what, at["role"], scope_text(at["scope"]), at["by"]) for who, what, at in rows),
    )
