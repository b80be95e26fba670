"""`carcloud tenants`: the tenants of an installation from a terminal."""

from pathlib import Path

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.forwarding import read_password
from carcloud.cli.places import tenant_storage
from carcloud.cli.tables import show_items
from carcloud.cli.tenant_deletions import (
    approve_deletion,
    cancel_deletion,
    delete_tenant,
    deletion,
    list_deletions,
)
from carcloud.cli.tenant_exports import export_tenant, list_exports, remove_export

_COLUMNS = ("id", "name", "state", "created")


@click.group(
    "tenants",
    cls=ExampleGroup,
    examples=(
        "carcloud tenants list",
        "carcloud tenants create north-fleet --name 'North Fleet' --owner olga",
    ),
)
def command() -> None:
    """Make, suspend, resume, export and delete tenants, and divide one's own into projects."""


for _more in (
    tenant_storage, export_tenant, list_exports, remove_export, delete_tenant, deletion,
    list_deletions, cancel_deletion, approve_deletion,
):  # fmt: skip
    command.add_command(_more)


@command.command("list", cls=ExampleCommand, examples=("carcloud tenants list --json",))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_tenants(as_json: bool, client: Client) -> None:
    """List all tenants of the installation."""
    show_items(_COLUMNS, client.get("/v1/tenants")["items"], as_json=as_json)


@command.command(
    "create",
    cls=ExampleCommand,
    examples=("carcloud tenants create north-fleet --name 'North Fleet' --owner olga",),
)
@click.argument("tenant")
@click.option("--name", required=True, help="For people to read.")
@click.option("--owner", required=True, help="Name under which its first owner signs in.")
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="First line = the owner's password; without it, it is asked for.",
)
@with_client
def create(tenant: str, name: str, owner: str, password_file: Path | None, client: Client) -> None:
    """Make a tenant and its first owner."""
    person = {"name": owner, "password": read_password(password_file)}
    client.send("POST", "/v1/tenants", json={"id": tenant, "name": name, "owner": person})
    click.echo(f"there is a tenant {tenant}, and {owner} owns it")


@command.command("suspend", cls=ExampleCommand, examples=("carcloud tenants suspend north-fleet",))
@click.argument("tenant")
@with_client
def suspend(tenant: str, client: Client) -> None:
    """Keep a tenant's people, keys and vehicles out; its data stays."""
    client.send("PATCH", f"/v1/tenants/{tenant}", json={"state": "suspended"})
    click.echo(f"{tenant} is suspended")


@command.command("resume", cls=ExampleCommand, examples=("carcloud tenants resume north-fleet",))
@click.argument("tenant")
@with_client
def resume(tenant: str, client: Client) -> None:
    """Let a suspended tenant work again."""
    client.send("PATCH", f"/v1/tenants/{tenant}", json={"state": "active"})
    click.echo(f"{tenant} is active")


@command.command(
    "second-factor", cls=ExampleCommand, examples=("carcloud tenants second-factor off",)
)
@click.argument("asked", type=click.Choice(["on", "off"]))
@with_client
def ask_second_factor(asked: str, client: Client) -> None:
    """Ask a second factor of the people of one's own tenant, or no longer."""
    client.send("PATCH", "/v1/tenant", json={"second_factor": asked == "on"})
    click.echo(f"a second factor is {'asked' if asked == 'on' else 'not asked'} of people")


@command.command("projects", cls=ExampleCommand, examples=("carcloud tenants projects",))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def projects(as_json: bool, client: Client) -> None:
    """List the projects of one's own tenant."""
    columns = ("id", "name", "created")
    show_items(columns, client.get("/v1/projects")["items"], as_json=as_json)


@command.command(
    "add-project", cls=ExampleCommand, examples=("carcloud tenants add-project lab --name Lab",)
)
@click.argument("project")
@click.option("--name", required=True, help="For people to read.")
@with_client
def add_project(project: str, name: str, client: Client) -> None:
    """Add a project to one's own tenant."""
    client.send("POST", "/v1/projects", json={"id": project, "name": name})
    click.echo(f"there is a project {project}")
