"""`carcloud tenants delete, deletion, approve-deletion, cancel-deletion, deletions`."""

import json
from typing import Any

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand
from carcloud.cli.tables import show, show_items

_COLUMNS = (
    "tenant",
    "state",
    "step",
    "asked_by",
    "asked",
    "due",
    "approved_by",
    "ended",
    "problem",
)
_FACTS = (*_COLUMNS, "began", "cancelled_by", "entry", "entry_hash")


@click.command(
    "delete",
    cls=ExampleCommand,
    examples=("carcloud tenants delete old-fleet --confirm old-fleet",),
)
@click.argument("tenant")
@click.option("--confirm", help="The tenant's id again; without it, it is asked for.")
@with_client
def delete_tenant(tenant: str, confirm: str | None, client: Client) -> None:
    """Ask for the deletion of a suspended tenant and of all it has.

    It begins after `tenants.deletion_days`; until then `cancel-deletion` takes it back.
    """
    typed = confirm or click.prompt(f"All that {tenant} has will be deleted. Type its id")
    asked = client.send("POST", _where(tenant), json={"confirm": typed}).json()
    click.echo(f"{tenant} will be deleted, not before {asked['due']}")
    if asked["approved_by"] is None:
        click.echo(f"somebody else must approve: carcloud tenants approve-deletion {tenant}")


@click.command(
    "deletion",
    cls=ExampleCommand,
    examples=("carcloud tenants deletion old-fleet", "carcloud tenants deletion old-fleet --json"),
)
@click.argument("tenant")
@click.option("--json", "as_json", is_flag=True, help="Everything, with the certificate.")
@with_client
def deletion(tenant: str, as_json: bool, client: Client) -> None:
    """Show how far the deletion of a tenant is, and its certificate."""
    found = dict(client.get(_where(tenant)))
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    show(("fact", ""), [(name, found[name]) for name in _FACTS if found[name] is not None])
    if found["certificate"] is not None:
        _show_certificate(found["certificate"])


@click.command("deletions", cls=ExampleCommand, examples=("carcloud tenants deletions --json",))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_deletions(as_json: bool, client: Client) -> None:
    """List deletions of tenants, also of those that are gone."""
    show_items(_COLUMNS, client.get("/v1/tenant-deletions")["items"], as_json=as_json)


@click.command(
    "cancel-deletion",
    cls=ExampleCommand,
    examples=("carcloud tenants cancel-deletion old-fleet",),
)
@click.argument("tenant")
@with_client
def cancel_deletion(tenant: str, client: Client) -> None:
    """Cancel a deletion that has not begun; the tenant stays suspended."""
    client.send("DELETE", _where(tenant))
    click.echo(f"{tenant} is not deleted; it is suspended")


@click.command(
    "approve-deletion",
    cls=ExampleCommand,
    examples=("carcloud tenants approve-deletion east-fleet",),
)
@click.argument("tenant")
@with_client
def approve_deletion(tenant: str, client: Client) -> None:
    """Approve a deletion that somebody else has asked for."""
    client.send("POST", f"{_where(tenant)}/approval")
    click.echo(f"the deletion of {tenant} is approved")


def _show_certificate(told: dict[str, Any]) -> None:
    before, after = told["before"], told["after"]
    rows = [("rows", sum(before["records"].values()), sum(after["records"].values()))]
    rows += [
        (f"table {name}", one["rows"], after["lake"]["tables"].get(name, {"rows": 0})["rows"])
        for name, one in before["lake"]["tables"].items()
    ]
    rows += [
        (f"blobs: {kind}", count, after["blobs"]["kinds"].get(kind, 0))
        for kind, count in before["blobs"]["kinds"].items()
    ]
    rows += [
        (f"messages: {name}", count, after["streams"].get(name, 0))
        for name, count in before["streams"].items()
    ]
    click.echo()
    show(("what", "before", "after"), rows)


def _where(tenant: str) -> str:
    return f"/v1/tenants/{tenant}/deletion"
