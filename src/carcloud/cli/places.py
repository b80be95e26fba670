"""`carcloud tenants storage` and `carcloud buckets sealing`: where objects lie, what seals them."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand
from carcloud.cli.tables import show_items

_COLUMNS = ("tenant", "url", "sealed")


@click.command(
    "storage",
    cls=ExampleCommand,
    examples=(
        "carcloud tenants storage north-fleet",
        "carcloud tenants storage north-fleet --sealed",
    ),
)
@click.argument("tenant")
@click.option(
    "--bucket", "place", help="s3://bucket/prefix, or '' for the installation's own place."
)
@click.option(
    "--options-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON object with endpoint, region, access_key_id, secret_access_key.",
)
@click.option("--sealed/--plain", default=None, help="Seal new objects with the tenant's key.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def tenant_storage(
    tenant: str,
    place: str | None,
    options_file: Path | None,
    sealed: bool | None,
    as_json: bool,
    client: Client,
) -> None:
    """Show or change where the objects of TENANT lie. The place can change while it keeps none."""
    change: dict[str, Any] = {"url": place, "sealed": sealed}
    if options_file is not None:
        change["options"] = _options(options_file)
    change = {name: value for name, value in change.items() if value is not None}
    path = f"/v1/tenants/{quote(tenant, safe='')}/storage"
    told = client.send("PATCH", path, json=change).json() if change else client.get(path)
    show_items(_COLUMNS, [told], as_json=as_json)


@click.command(
    "sealing",
    cls=ExampleCommand,
    examples=("carcloud buckets sealing on", "carcloud buckets sealing new-key"),
)
@click.argument("what", type=click.Choice(["on", "off", "new-key"]))
@with_client
def sealing(what: str, client: Client) -> None:
    """Seal new objects with a key of the tenant's own, no more, or with a new key."""
    if what == "new-key":
        made = client.send("POST", "/v1/storage/keys").json()
        click.echo(f"new objects are sealed with the key {made['id']}")
        return
    client.send("PATCH", "/v1/storage", json={"sealed": what == "on"})
    click.echo(f"new objects are {'sealed' if what == 'on' else 'not sealed'}")


def _options(file: Path) -> dict[str, str]:
    try:
        found = json.loads(file.read_text())
    except ValueError as error:
        raise click.BadParameter(f"{file}: {error}", param_hint="--options-file") from error
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise click.BadParameter(f"{file}: an object of texts", param_hint="--options-file")
    return found
