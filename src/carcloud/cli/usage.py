"""`carcloud usage`: what the tenant used, from a terminal."""

from decimal import Decimal
from typing import Any

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand
from carcloud.cli.tables import show_items

_COLUMNS = ("start", "project", "meter", "used", "unit", "quantity")


@click.command(
    "usage",
    cls=ExampleCommand,
    examples=(
        "carcloud usage",
        "carcloud usage --by month --from 2026-01-01T00:00:00Z",
        "carcloud usage --by hour --meter messages --json",
    ),
)
@click.option("--by", type=click.Choice(["hour", "day", "month"]), default="day", help="UTC.")
@click.option("--from", "start", help="RFC 3339; a week ago by default.")
@click.option("--to", "end", help="RFC 3339; now by default.")
@click.option("--meter", help="Only this meter.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def command(
    by: str, start: str | None, end: str | None, meter: str | None, as_json: bool, client: Client
) -> None:
    """Show what the tenant used, by meter."""
    told = client.get("/v1/usage", by=by, to=end, **{"from": start})
    meters = {one["name"]: one for one in told["meters"]}
    items = [one for one in told["items"] if meter in (None, one["meter"])]
    show_items(_COLUMNS, [_row(one, meters[one["meter"]]) for one in items], as_json=as_json)


def _row(item: dict[str, Any], meter: dict[str, Any]) -> dict[str, Any]:
    used = Decimal(item["quantity"]) / Decimal(meter["per_unit"])
    return {**item, "used": f"{used:.6f}".rstrip("0").rstrip("."), "unit": meter["unit"]}
