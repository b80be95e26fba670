"""`carcloud tables`: the tables of the lake from a terminal."""

import json

import click

from carcloud.cli.client import Client, failures, with_client
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.tables import show


@click.group(
    "tables",
    cls=ExampleGroup,
    examples=("carcloud tables list", "carcloud tables drop trip_stats"),
)
def command() -> None:
    """List the tables that SQL can read, and drop those that jobs made."""


@command.command("list", cls=ExampleCommand, examples=("carcloud tables list --json",))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_tables(as_json: bool, client: Client) -> None:
    """List the tables, with what they hold."""
    with failures():
        found = client.api.tables()
    if as_json:
        for one in found:
            columns = {column.name: column.type for column in one.columns}
            told = {"name": one.name, "built_in": one.built_in, "rows": one.rows}
            click.echo(json.dumps({**told, "bytes": one.bytes, "columns": columns}))
        return
    rows = ([t.name, t.built_in, t.rows, t.bytes, len(t.columns)] for t in found)
    show(["name", "built in", "rows", "bytes", "columns"], rows)


@command.command("drop", cls=ExampleCommand, examples=("carcloud tables drop trip_stats --yes",))
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_client
def drop(name: str, yes: bool, client: Client) -> None:
    """Drop the table NAME with all its rows; only one that a job made."""
    if not yes:
        click.confirm(f"drop {name} with all its rows, for good?", abort=True)
    with failures():
        client.api.drop_table(name)
    click.echo(f"{name} is dropped")
