"""`carcloud vehicles`: the registry of vehicles from a terminal."""

import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.failure import Failure
from carcloud.cli.tables import show, text

IMPORT_ROWS = 1_000  # rows of a CSV file that go into one request

_LIFECYCLES = click.Choice(["registered", "active", "suspended", "retired"])
_COLUMNS = (
    "id",
    "model",
    "lifecycle",
    "online",
    "last_seen",
    "speed_kmh",
    "soc_pct",
    "alarm_level",
    "labels",
)


def _labels(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    labels = {}
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{pair!r} is not KEY=VALUE, as in depot=north")
        labels[key] = value
    return labels


_label_option = click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_labels,
    help="May be repeated.",
)


@click.group(
    "vehicles",
    cls=ExampleGroup,
    examples=("carcloud vehicles list --online", "carcloud vehicles import fleet.csv"),
)
def command() -> None:
    """List, add, import and change vehicles."""


@command.command(
    "list",
    cls=ExampleCommand,
    examples=(
        "carcloud vehicles list",
        "carcloud vehicles list --online --alarm-min 2",
        "carcloud vehicles list LTEST --label depot=north --json",
    ),
)
@click.argument("search", required=False)
@click.option("--model", help="Only vehicles of this model.")
@click.option("--label", metavar="KEY[=VALUE]", help="Only vehicles with this label.")
@click.option("--lifecycle", type=_LIFECYCLES, help="Only vehicles in this state.")
@click.option("--online/--offline", default=None, help="Only vehicles with or without a session.")
@click.option("--alarm-min", type=click.IntRange(0, 4), help="Least alarm level.")
@click.option(
    "--sort",
    type=click.Choice(["id", "last_seen", "soc", "speed", "alarm"]),
    default="id",
    show_default=True,
    help="Order of the rows.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Most rows."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_vehicles(
    *,
    search: str | None,
    label: str | None,
    online: bool | None,
    limit: int,
    as_json: bool,
    client: Client,
    **filters: Any,
) -> None:
    """List vehicles; SEARCH is part of an id or a label."""
    found = client.items(
        "/v1/vehicles",
        limit,
        q=search,
        online=None if online is None else str(online).lower(),
        label=label and label.replace("=", ":", 1),
        **filters,
    )
    if as_json:
        for vehicle in found:
            click.echo(json.dumps(vehicle, ensure_ascii=False))
    else:
        show(_COLUMNS, ([vehicle.get(name) for name in _COLUMNS] for vehicle in found))


@command.command(
    "show",
    cls=ExampleCommand,
    examples=(
        "carcloud vehicles show LTESTVNA4A0000101",
        "carcloud vehicles show LTESTVNA4A0000101 --json",
    ),
)
@click.argument("vehicle")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_client
def show_vehicle(vehicle: str, as_json: bool, client: Client) -> None:
    """Show a vehicle and the latest value of each of its signals."""
    known = client.get(_path(vehicle))
    twin = client.get(_path(vehicle) + "/twin")
    if as_json:
        click.echo(json.dumps({**known, "twin": twin}, ensure_ascii=False))
        return
    show(("field", "value"), ((name, text(value)) for name, value in known.items()))
    click.echo()
    show(
        ("signal", "value", "unit", "time"),
        (
            (path, text(now["value"]), now["unit"], now["time"])
            for path, now in twin["signals"].items()
        ),
    )


@command.command(
    "add",
    cls=ExampleCommand,
    examples=("carcloud vehicles add LTESTVNA4A0000101 --model ev-one --label depot=north",),
)
@click.argument("vehicle")
@click.option("--model", help="A model that exists.")
@_label_option
@click.option("--lifecycle", type=_LIFECYCLES, help="State it starts in.")
@with_client
def add(vehicle: str, labels: dict[str, str], client: Client, **given: str | None) -> None:
    """Register one vehicle by its VIN or other unique id."""
    wanted = {name: value for name, value in given.items() if value is not None}
    client.send("POST", "/v1/vehicles", json={"id": vehicle, "labels": labels, **wanted})
    click.echo(f"{vehicle} is registered")


@command.command(
    "set",
    cls=ExampleCommand,
    examples=(
        "carcloud vehicles set LTESTVNA4A0000101 --lifecycle suspended",
        "carcloud vehicles set LTESTVNA4A0000101 --label depot=south --label old=",
    ),
)
@click.argument("vehicle")
@click.option("--model", help="A model that exists.")
@_label_option
@click.option("--lifecycle", type=_LIFECYCLES, help="New state.")
@with_client
def set_vehicle(vehicle: str, labels: dict[str, str], client: Client, **given: str | None) -> None:
    """Change a vehicle; a label with an empty value is taken off."""
    wanted: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if labels:
        wanted["labels"] = {key: value or None for key, value in labels.items()}
    if not wanted:
        raise click.UsageError("nothing to change: give --model, --label or --lifecycle")
    _change(client, "PATCH", vehicle, json=wanted)
    click.echo(f"{vehicle} is changed")


@command.command(
    "retire", cls=ExampleCommand, examples=("carcloud vehicles retire LTESTVNA4A0000101 --yes",)
)
@click.argument("vehicle")
@click.confirmation_option(
    prompt="It will not be able to log in any more. Go on?", help="Do not ask."
)
@with_client
def retire(vehicle: str, client: Client) -> None:
    """Take a vehicle out of service; its history stays."""
    _change(client, "DELETE", vehicle)
    click.echo(f"{vehicle} is retired")


@command.command(
    "token",
    cls=ExampleCommand,
    examples=(
        "carcloud vehicles token LTESTVNA4A0000101",
        "carcloud vehicles token LTESTVNA4A0000101 --revoke",
    ),
)
@click.argument("vehicle")
@click.option("--revoke", is_flag=True, help="Take its token away instead.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_client
def token(vehicle: str, revoke: bool, as_json: bool, client: Client) -> None:
    """Make the token with which a vehicle signs in over MQTT, in place of any it has.

    It is printed alone on standard output, this once.
    """
    where = _path(vehicle) + "/token"
    if revoke:
        client.send("DELETE", where)
        click.echo(f"{vehicle} has no token any more")
        return
    made = client.send("POST", where).json()
    click.echo(json.dumps(made) if as_json else made["token"])


@command.command(
    "import",
    cls=ExampleCommand,
    examples=("carcloud vehicles import fleet.csv", "carcloud vehicles import fleet.csv --json"),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object with counts and errors.")
@with_client
def import_vehicles(file: Path, as_json: bool, client: Client) -> None:
    """Add or update the vehicles of a CSV file.

    Columns: id, model, iccid, and label:KEY for each label. Rows that are not valid are reported
    by line and left out; the others are taken. Exit code 1 if there was one.
    """
    done: dict[str, Any] = {"created": 0, "updated": 0, "errors": []}
    header, rows = _read_csv(file)
    for first, body in _with_progress(_batches(header, rows), len(rows)):
        answer = client.send(
            "POST", "/v1/vehicles/import", content=body, headers={"content-type": "text/csv"}
        ).json()
        done["created"] += answer["created"]
        done["updated"] += answer["updated"]
        done["errors"] += [{**bad, "line": bad["line"] + first} for bad in answer["errors"]]
    _report(done, as_json)
    if done["errors"]:
        raise click.exceptions.Exit(1)


def _report(done: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(done, ensure_ascii=False))
        return
    click.echo(
        f"{done['created']} created, {done['updated']} updated, {len(done['errors'])} refused"
    )
    if done["errors"]:
        show(
            ("line", "field", "what is wrong"),
            ((e["line"], e["field"], e["detail"]) for e in done["errors"]),
        )


def _read_csv(file: Path) -> tuple[list[str], list[list[str]]]:
    try:
        rows = list(csv.reader(io.StringIO(file.read_text("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Failure(
            f"{file} is not a CSV file: {error}", "save it as UTF-8 with commas"
        ) from error
    if not rows or "id" not in rows[0]:
        raise Failure(f"{file} has no column id", "its first line must name the columns")
    return rows[0], rows[1:]


def _batches(header: list[str], rows: list[list[str]]) -> Iterator[tuple[int, int, bytes]]:
    """Parts of a CSV file: rows before it, rows in it, its text with the header."""
    for first in range(0, len(rows), IMPORT_ROWS):
        part = rows[first : first + IMPORT_ROWS]
        sink = io.StringIO()
        csv.writer(sink).writerows([header, *part])
        yield first, len(part), sink.getvalue().encode()


def _with_progress(
    batches: Iterator[tuple[int, int, bytes]], total: int
) -> Iterator[tuple[int, bytes]]:
    with click.progressbar(length=total, label="importing", file=sys.stderr) as bar:
        for first, rows, body in batches:
            yield first, body
            bar.update(rows)


def _change(client: Client, method: str, vehicle: str, **options: Any) -> None:
    """A change of what we have just seen: If-Match refuses it if somebody was quicker."""
    seen = client.send("GET", _path(vehicle))
    headers = {"if-match": seen.headers["etag"]} if "etag" in seen.headers else {}
    client.send(method, _path(vehicle), headers=headers, **options)


def _path(vehicle: str) -> str:
    return f"/v1/vehicles/{quote(vehicle, safe='')}"
