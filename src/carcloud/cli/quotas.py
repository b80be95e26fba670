"""`carcloud quotas`: limits of tenants from a terminal."""

from urllib.parse import quote

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.tables import show_items
from carcloud.model.limits import LIMIT

_COLUMNS = ("name", "value", "used", "unit", "own", "help")


@click.group(
    "quotas",
    cls=ExampleGroup,
    examples=(
        "carcloud quotas list",
        "carcloud quotas set north-fleet vehicles 5000",
        "carcloud quotas reset north-fleet vehicles",
    ),
)
def command() -> None:
    """See what a tenant may take, and change it."""


@command.command(
    "list",
    cls=ExampleCommand,
    examples=("carcloud quotas list", "carcloud quotas list --tenant north-fleet"),
)
@click.option("--tenant", help="Of another tenant; for administrators of the installation.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_quotas(tenant: str | None, as_json: bool, client: Client) -> None:
    """List the limits and what is used of them; no value = no limit."""
    path = "/v1/quotas" if tenant is None else f"{_tenant(tenant)}/quotas"
    show_items(_COLUMNS, client.get(path)["items"], as_json=as_json)


@command.command(
    "set", cls=ExampleCommand, examples=("carcloud quotas set north-fleet vehicles 5000",)
)
@click.argument("tenant")
@click.argument("limit", type=click.Choice(list(LIMIT)), metavar="LIMIT")
@click.argument("value", type=click.IntRange(0, 2**53))
@with_client
def set_quota(tenant: str, limit: str, value: int, client: Client) -> None:
    """Give TENANT its own VALUE of LIMIT; it holds everywhere within seconds."""
    client.send("PUT", f"{_tenant(tenant)}/quotas/{limit}", json={"value": value})
    click.echo(f"{tenant}: {limit} is {value} {LIMIT[limit].unit} now")


@command.command(
    "reset", cls=ExampleCommand, examples=("carcloud quotas reset north-fleet vehicles",)
)
@click.argument("tenant")
@click.argument("limit", type=click.Choice(list(LIMIT)), metavar="LIMIT")
@with_client
def reset(tenant: str, limit: str, client: Client) -> None:
    """Let the default of LIMIT hold for TENANT again."""
    client.send("PUT", f"{_tenant(tenant)}/quotas/{limit}", json={"value": None})
    click.echo(f"{tenant}: {limit} is {LIMIT[limit].default} {LIMIT[limit].unit} again")


def _tenant(tenant: str) -> str:
    return f"/v1/tenants/{quote(tenant, safe='')}"
