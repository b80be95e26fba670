"""`carcloud audit`: the record of changes from a terminal."""

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.failure import Failure
from carcloud.cli.tables import show_items

_COLUMNS = ("number", "time", "actor", "action", "subject", "denied", "address")


@click.group(
    "audit",
    cls=ExampleGroup,
    examples=(
        "carcloud audit list --action 'user.*'",
        "carcloud audit verify",
        "carcloud audit export > audit.ndjson",
    ),
)
def command() -> None:
    """Search, export and check the record of changes."""


@command.command(
    "list",
    cls=ExampleCommand,
    examples=(
        "carcloud audit list --actor ann --limit 10",
        "carcloud audit list --denied",
        "carcloud audit list --from 2026-05-01T00:00:00Z --json",
    ),
)
@click.option("--actor", help="Only what this one did.")
@click.option("--action", help="Only this, as `user.create` or `user.*`.")
@click.option("--subject", help="Only what was done to this.")
@click.option("--denied/--done", default=None, help="Only what was refused, or what was done.")
@click.option("--from", "since", help="RFC 3339.")
@click.option("--to", "until", help="RFC 3339, exclusive.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Most entries."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_audit(
    *,
    denied: bool | None,
    since: str | None,
    until: str | None,
    limit: int,
    as_json: bool,
    client: Client,
    **filters: str | None,
) -> None:
    """List entries, newest first."""
    found = client.items(
        "/v1/audit",
        limit,
        denied=None if denied is None else str(denied).lower(),
        **{"from": since, "to": until},
        **filters,
    )
    show_items(_COLUMNS, found, as_json=as_json)


@command.command("export", cls=ExampleCommand, examples=("carcloud audit export > audit.ndjson",))
@with_client
def export(client: Client) -> None:
    """Print all entries as JSON lines, newest first."""
    click.echo(client.send("GET", "/v1/audit/export").text, nl=False)


@command.command("verify", cls=ExampleCommand, examples=("carcloud audit verify",))
@with_client
def verify(client: Client) -> None:
    """Recompute the chain: says whether an entry was altered or removed.

    Note the hash of the last entry elsewhere: a chain that was made anew shows against it.
    """
    found = client.get("/v1/audit/verify")
    if found["faults"]:
        raise Failure("; ".join(found["faults"]), "somebody changed the database by hand")
    click.echo(f"{found['entries']} entries, none altered or removed; the last is {found['head']}")
