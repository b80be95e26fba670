"""`carcloud costs`: costs, budgets, statements and prices from a terminal."""

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.failure import Failure
from carcloud.cli.tables import show_items

_LINES = ("meter", "month", "kind", "units", "unit", "amount", "forecast")
_BUDGETS = ("id", "name", "spent", "amount", "currency", "forecast", "project", "meter", "reached")
_STATEMENTS = ("period", "total", "currency", "closed", "digest")
_BOOKS = ("id", "name", "currency", "tenant", "first_month", "last_month", "meters")


@click.group(
    "costs",
    cls=ExampleGroup,
    examples=(
        "carcloud costs show",
        "carcloud costs budget Fleet 5000 --at 80 --at 100",
        "carcloud costs statement 2026-03 --pdf march.pdf",
        "carcloud costs prices-add prices.json",
    ),
)
def command() -> None:
    """See what the tenant costs; budgets, statements, prices."""


@command.command(
    "show",
    cls=ExampleCommand,
    examples=("carcloud costs show", "carcloud costs show --month 2026-03 --json"),
)
@click.option("--month", help="YYYY-MM; this month by default.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@with_client
def show(month: str | None, as_json: bool, client: Client) -> None:
    """Show a month's costs by meter, with a forecast of this month."""
    told = client.get("/v1/costs", period=month)
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    ahead = told["forecast"] or {"by_meter": {}}
    show_items(_LINES, [_line(one, ahead) for one in told["statement"]["lines"]], as_json=False)
    currency = told["statement"]["currency"]
    click.echo(f"total {told['statement']['total']} {currency}")
    if told["forecast"]:
        click.echo(f"forecast {ahead['total']} {currency}: {ahead['method']}")


def _line(line: dict[str, Any], ahead: dict[str, Any]) -> dict[str, Any]:
    kind = "adjustment" if line["adjustment"] else "usage"
    forecast = None if line["adjustment"] else ahead["by_meter"].get(line["meter"])
    return {**line, "kind": kind, "forecast": forecast}


@command.command("budgets", cls=ExampleCommand, examples=("carcloud costs budgets",))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def budgets(as_json: bool, client: Client) -> None:
    """List budgets and what this month has of them."""
    found = client.get("/v1/budgets")["items"]
    for one in found:
        alerts = (f"{alert['threshold']} % {alert['kind']}" for alert in one["alerts"])
        one["reached"] = ", ".join(alerts)
    show_items(_BUDGETS, found, as_json=as_json)


@command.command(
    "budget",
    cls=ExampleCommand,
    examples=(
        "carcloud costs budget Fleet 5000 --at 80 --at 100",
        "carcloud costs budget Lab 200 --project lab",
    ),
)
@click.argument("name")
@click.argument("amount")
@click.option("--at", "thresholds", multiple=True, type=int, help="Percent; may be repeated.")
@click.option("--project", help="Of this project only.")
@click.option("--meter", help="Of this meter only.")
@with_client
def budget(
    name: str,
    amount: str,
    thresholds: tuple[int, ...],
    project: str | None,
    meter: str | None,
    client: Client,
) -> None:
    """Add a budget of AMOUNT a month; it tells when a threshold is reached."""
    body = {"name": name, "amount": amount, "project": project, "meter": meter}
    if thresholds:
        body["thresholds"] = sorted(thresholds)  # type: ignore[assignment]
    made = client.send("POST", "/v1/budgets", json=body).json()
    click.echo(f"budget {made['id']}")


@command.command(
    "budget-remove",
    cls=ExampleCommand,
    examples=("carcloud costs budget-remove 0a1b2c3d4e5f6071",),
)
@click.argument("id")
@with_client
def budget_remove(id: str, client: Client) -> None:
    """Remove a budget."""
    client.send("DELETE", f"/v1/budgets/{quote(id, safe='')}")
    click.echo(f"budget {id} is gone")


@command.command("statements", cls=ExampleCommand, examples=("carcloud costs statements",))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def statements(as_json: bool, client: Client) -> None:
    """List closed statements."""
    show_items(_STATEMENTS, client.get("/v1/statements")["items"], as_json=as_json)


@command.command(
    "statement",
    cls=ExampleCommand,
    examples=(
        "carcloud costs statement 2026-03",
        "carcloud costs statement 2026-03 --pdf march.pdf",
    ),
)
@click.argument("month")
@click.option("--pdf", type=click.Path(dir_okay=False, path_type=Path), help="Write a PDF file.")
@with_client
def statement(month: str, pdf: Path | None, client: Client) -> None:
    """Print the statement of MONTH (YYYY-MM) as CSV, or write it as PDF."""
    path = f"/v1/statements/{quote(month, safe='')}"
    if pdf is None:
        sys.stdout.write(client.send("GET", f"{path}/csv").text)
        return
    pdf.write_bytes(client.send("GET", f"{path}/pdf").content)
    click.echo(f"wrote {pdf}")


@command.command(
    "close", cls=ExampleCommand, examples=("carcloud costs close north-fleet 2026-03 --yes",)
)
@click.argument("tenant")
@click.argument("month")
@click.confirmation_option(prompt="A closed statement never changes. Go on?", help="Do not ask.")
@with_client
def close(tenant: str, month: str, client: Client) -> None:
    """Close MONTH of TENANT for good; months close by themselves too."""
    where = f"/v1/tenants/{quote(tenant, safe='')}/statements/{quote(month, safe='')}/close"
    made = client.send("POST", where).json()
    click.echo(f"{tenant} {month}: {made['total']} {made['currency']}")


@command.command("prices", cls=ExampleCommand, examples=("carcloud costs prices",))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def prices(as_json: bool, client: Client) -> None:
    """List the price books that concern the tenant."""
    found = client.get("/v1/prices")["items"]
    for one in found:
        one["meters"] = sorted(one["prices"])
    show_items(_BOOKS, found, as_json=as_json)


@command.command(
    "prices-add", cls=ExampleCommand, examples=("carcloud costs prices-add prices.json",)
)
@click.argument("file", type=click.File())
@with_client
def prices_add(file: Any, client: Client) -> None:
    """Add the price book of a JSON FILE, as POST /v1/price-books takes it."""
    try:
        body = json.load(file)
    except ValueError as error:
        raise Failure(f"{file.name} is not JSON: {error}", "see docs/metering.md") from error
    made = client.send("POST", "/v1/price-books", json=body).json()
    click.echo(f"price book {made['id']} from {made['first_month']}")


@command.command(
    "prices-end",
    cls=ExampleCommand,
    examples=("carcloud costs prices-end 0a1b2c3d4e5f6071 2026-12",),
)
@click.argument("id")
@click.argument("month")
@with_client
def prices_end(id: str, month: str, client: Client) -> None:
    """Let MONTH be the last of a price book."""
    client.send("PUT", f"/v1/price-books/{quote(id, safe='')}/end", json={"last_month": month})
    click.echo(f"price book {id} ends with {month}")
