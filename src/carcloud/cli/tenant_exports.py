"""`carcloud tenants export, exports, remove-export`: all that a tenant has, as one file."""

import hashlib
import time
from pathlib import Path
from typing import Any

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand
from carcloud.cli.failure import Failure
from carcloud.cli.moving import moving
from carcloud.cli.tables import show_items

_PIECE = 8 << 20  # bytes asked for at a time
_LOOK_S = 0.5
_COLUMNS = ("id", "state", "progress", "part", "bytes", "created", "expires", "by", "error")


@click.command(
    "export",
    cls=ExampleCommand,
    examples=(
        "carcloud tenants export north-fleet --to north-fleet.tar",
        "carcloud tenants export --to mine.tar",
    ),
)
@click.argument("tenant", required=False)
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that the archive is written to.",
)
@click.option("--id", "export", help="Take the archive of this export; else one is made.")
@with_client
def export_tenant(tenant: str | None, target: Path, export: str | None, client: Client) -> None:
    """Write all that a tenant has, one's own without a name, into a tar.

    A download that broke off goes on with the same --to and --id.
    """
    where = exports_of(tenant)
    if export is None:
        export = str(client.send("POST", where).json()["id"])
        click.echo(f"the export {export} is being made", err=True)
    made = _wait(client, f"{where}/{export}")
    _fetch(client, f"{where}/{export}/archive", made, target)
    click.echo(f"{target} holds {made['members']} members, {made['bytes']} bytes, as its sum says")


@click.command(
    "exports", cls=ExampleCommand, examples=("carcloud tenants exports north-fleet --json",)
)
@click.argument("tenant", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_exports(tenant: str | None, as_json: bool, client: Client) -> None:
    """List the exports of a tenant, of one's own without a name."""
    show_items(_COLUMNS, client.get(exports_of(tenant))["items"], as_json=as_json)


@click.command(
    "remove-export",
    cls=ExampleCommand,
    examples=("carcloud tenants remove-export 0a1b2c3d4e5f6071 --tenant north-fleet",),
)
@click.argument("export")
@click.option("--tenant", help="Whose export it is; one's own tenant without.")
@with_client
def remove_export(export: str, tenant: str | None, client: Client) -> None:
    """Take an export back, or remove its archive."""
    client.send("DELETE", f"{exports_of(tenant)}/{export}")
    click.echo(f"the export {export} is removed")


def exports_of(tenant: str | None) -> str:
    """The path of a tenant's exports, of one's own without a name."""
    return "/v1/tenant/exports" if tenant is None else f"/v1/tenants/{tenant}/exports"


def _wait(client: Client, where: str) -> dict[str, Any]:
    with moving() as tell:
        seen = 0
        while True:
            found = dict(client.get(where))
            if found["state"] == "ready":
                return found
            if found["state"] == "failed":
                raise Failure(f"the export failed: {found['error']}", "look at `carcloud status`")
            done = int(found["progress"] * 100)
            tell(f"{found['part'] or 'waiting'} ({done} %)", max(0, done - seen))
            seen = done
            time.sleep(_LOOK_S)


def _fetch(client: Client, where: str, made: dict[str, Any], target: Path) -> None:
    """The archive in pieces, behind what an earlier call has got of this very export."""
    draft = target.with_name(f".{target.name}.{made['id']}.part")
    size, digest = int(made["bytes"]), hashlib.sha256()
    with draft.open("a+b") as out, moving(size) as tell:
        out.seek(0)
        while piece := out.read(_PIECE):
            digest.update(piece)
        tell("archive", out.tell())
        while (at := out.tell()) < size:
            headers = {"range": f"bytes={at}-{min(size, at + _PIECE) - 1}"}
            piece = client.send("GET", where, headers=headers).content
            out.write(piece)
            digest.update(piece)
            tell("archive", len(piece))
    if digest.hexdigest() != made["sha256"]:
        draft.unlink()
        raise Failure("the archive did not arrive as it was made", "get it again")
    draft.replace(target)
