"""`carcloud campaigns`: what vehicles collect, from a terminal."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.failure import Failure
from carcloud.cli.tables import show_items

_COLUMNS = (
    "id", "name", "state", "version", "running_version", "next_version", "next_percent", "updated"
)  # fmt: skip
_ALL = "/v1/campaigns"
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(
    "campaigns",
    cls=ExampleGroup,
    examples=(
        "carcloud campaigns check braking.json",
        "carcloud campaigns create braking.json --label depot:north --percent 10",
        "carcloud campaigns list",
    ),
)
def command() -> None:
    """Decide what vehicles collect, bring it to them, and follow it."""


def _with_target(given: Any) -> Any:
    """The options that say which vehicles."""
    for option in (
        click.option("--percent", default=100.0, show_default=True, help="Of those vehicles."),
        click.option("--label", "labels", multiple=True, help="With this: KEY or KEY:VALUE."),
        click.option("--model", "models", multiple=True, help="Of one of these models."),
        click.option("--vehicle", "vehicles", multiple=True, help="One of these."),
    ):
        given = option(given)
    return given


@command.command(
    "list",
    cls=ExampleCommand,
    examples=("carcloud campaigns list --state running", "carcloud campaigns list --json"),
)
@click.option("--state", help="Only those that stand so: draft, approved, running …")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500), help="Most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_campaigns(state: str | None, limit: int, as_json: bool, client: Client) -> None:
    """List campaigns."""
    found = client.get(_ALL, state=state, limit=limit)["items"]
    show_items(_COLUMNS, found, as_json=as_json)


@command.command("show", cls=ExampleCommand, examples=("carcloud campaigns show hard-braking",))
@click.argument("campaign")
@with_client
def show(campaign: str, client: Client) -> None:
    """Show a campaign with its newest version and the one that runs."""
    _tell(client.get(_path(campaign)))


@command.command(
    "check",
    cls=ExampleCommand,
    examples=(
        "carcloud campaigns check braking.json",
        "carcloud campaigns check --expression 'Vehicle.Speed > 120'",
    ),
)
@click.argument("file", type=_FILE, required=False)
@click.option("--expression", help="Check this condition instead.")
@with_client
def check(file: Path | None, expression: str | None, client: Client) -> None:
    """Say what is wrong with the document in FILE, or with an expression; keep nothing."""
    if (file is None) == (expression is None):
        raise Failure("give either FILE or --expression", "as in `carcloud campaigns check FILE`")
    body = {"expression": expression} if file is None else {"document": _read(file)}
    found = client.send("POST", f"{_ALL}/check", json=body).json()
    for one in found["remarks"]:
        click.echo(f"note: {_finding(one)}")
    for one in found["errors"]:
        click.echo(_finding(one), err=True)
    if not found["good"]:
        raise Failure("it cannot be used", "mend what stands above")
    used = ", ".join(one["path"] for one in found["signals"])
    click.echo(f"good; signals: {used or 'none'}")


@command.command(
    "dry-run",
    cls=ExampleCommand,
    examples=("carcloud campaigns dry-run braking.json --hours 24",),
)
@click.argument("file", type=_FILE)
@_with_target
@click.option("--hours", default=24.0, show_default=True, help="How far back; 168 at most.")
@with_client
def dry_run(
    file: Path,
    vehicles: tuple[str, ...],
    models: tuple[str, ...],
    labels: tuple[str, ...],
    percent: float,
    hours: float,
    client: Client,
) -> None:
    """Say what the document in FILE would have collected of what was reported lately."""
    target = _target(vehicles, models, labels, percent)
    body = {"document": _read(file), "target": target, "hours": hours}
    _tell(client.send("POST", f"{_ALL}/dry-run", json=body).json())


@command.command(
    "create",
    cls=ExampleCommand,
    examples=("carcloud campaigns create braking.json --label depot:north --percent 10",),
)
@click.argument("file", type=_FILE)
@_with_target
@click.option("--note", default="", help="What it is for.")
@with_client
def create(
    file: Path,
    vehicles: tuple[str, ...],
    models: tuple[str, ...],
    labels: tuple[str, ...],
    percent: float,
    note: str,
    client: Client,
) -> None:
    """Make a campaign of the document in FILE, as a draft."""
    target = _target(vehicles, models, labels, percent)
    body = {"document": _read(file), "target": target, "note": note}
    made = client.send("POST", _ALL, json=body).json()["campaign"]
    click.echo(f"{made['id']} is a draft: approve version {made['version']}, then start it")


@command.command(
    "save",
    cls=ExampleCommand,
    examples=("carcloud campaigns save braking.json --label depot:north --percent 20",),
)
@click.argument("file", type=_FILE)
@_with_target
@click.option("--note", default="", help="What has changed.")
@with_client
def save(
    file: Path,
    vehicles: tuple[str, ...],
    models: tuple[str, ...],
    labels: tuple[str, ...],
    percent: float,
    note: str,
    client: Client,
) -> None:
    """Write a new version of a campaign; what runs goes on until the version is started."""
    document = _read(file)
    target = _target(vehicles, models, labels, percent)
    body = {"document": document, "target": target, "note": note}
    path = _path(str(document.get("id", "")))
    made = client.send("PUT", path, json=body, headers={"If-Match": "*"}).json()["campaign"]
    click.echo(f"{made['id']} has a version {made['version']}, to be approved")


@command.command(
    "import",
    cls=ExampleCommand,
    examples=("carcloud campaigns import fleetwise.json > speeding.json",),
)
@click.argument("file", type=_FILE)
@click.option("--compatibility", is_flag=True, help="Behave as the FleetWise agent does.")
@with_client
def bring_over(file: Path, compatibility: bool, client: Client) -> None:
    """Print a campaign of AWS IoT FleetWise as a document; the report goes to stderr."""
    body = {"document": _read(file), "compatibility": compatibility}
    found = client.send("POST", f"{_ALL}/import", json=body).json()
    for one in found["remarks"]:
        click.echo(_finding(one), err=True)
    _tell(found["document"])


@command.command(
    "approve", cls=ExampleCommand, examples=("carcloud campaigns approve hard-braking 1",)
)
@click.argument("campaign")
@click.argument("version", type=click.IntRange(1))
@with_client
def approve(campaign: str, version: int, client: Client) -> None:
    """Allow VERSION to be started."""
    client.send("POST", f"{_path(campaign)}/approve", json={"version": version})
    click.echo(f"version {version} of {campaign} is approved")


@command.command(
    "start",
    cls=ExampleCommand,
    examples=(
        "carcloud campaigns start hard-braking",
        "carcloud campaigns start hard-braking --version 1 --percent 10",
    ),
)
@click.argument("campaign")
@click.option("--version", type=click.IntRange(1), help="Else the newest that is approved.")
@click.option("--percent", default=100.0, show_default=True, help="Of its vehicles, to begin.")
@with_client
def start(campaign: str, version: int | None, percent: float, client: Client) -> None:
    """Bring a version to the vehicles, or switch to it."""
    body = {"version": version, "percent": percent}
    _state(client.send("POST", f"{_path(campaign)}/start", json=body).json())


@command.command("pause", cls=ExampleCommand, examples=("carcloud campaigns pause hard-braking",))
@click.argument("campaign")
@with_client
def pause(campaign: str, client: Client) -> None:
    """Have vehicles collect nothing for a campaign for now; what they have is still sent."""
    _state(client.send("POST", f"{_path(campaign)}/pause").json())


@command.command("resume", cls=ExampleCommand, examples=("carcloud campaigns resume hard-braking",))
@click.argument("campaign")
@with_client
def resume(campaign: str, client: Client) -> None:
    """Have vehicles collect for a paused campaign again."""
    _state(client.send("POST", f"{_path(campaign)}/resume").json())


@command.command("end", cls=ExampleCommand, examples=("carcloud campaigns end hard-braking",))
@click.argument("campaign")
@with_client
def end(campaign: str, client: Client) -> None:
    """Take a campaign away from the vehicles for good, with what they have not sent."""
    _state(client.send("POST", f"{_path(campaign)}/end").json())


@command.command(
    "forward",
    cls=ExampleCommand,
    examples=(
        "carcloud campaigns forward hard-braking",
        "carcloud campaigns forward hard-braking --partition slow --until 2026-05-01T08:00:00Z",
    ),
)
@click.argument("campaign")
@click.option("--partition", help="One of its partitions; all without it.")
@click.option("--until", help="What was kept up to this time (RFC 3339); now without it.")
@click.option("--vehicle", help="Only of this one; else of all that hold it.")
@with_client
def forward(campaign: str, client: Client, **given: str | None) -> None:
    """Ask vehicles for what a campaign keeps in them; those that are away have a week."""
    asked = client.send("POST", f"{_path(campaign)}/forward", json=given).json()["vehicles"]
    click.echo(f"{asked} vehicles are asked; see `carcloud commands list`")


@command.command("remove", cls=ExampleCommand, examples=("carcloud campaigns remove hard-braking",))
@click.argument("campaign")
@with_client
def remove(campaign: str, client: Client) -> None:
    """Forget a campaign that does not run; what was collected stays."""
    client.send("DELETE", _path(campaign))
    click.echo(f"{campaign} is gone")


@command.command(
    "progress", cls=ExampleCommand, examples=("carcloud campaigns progress hard-braking",)
)
@click.argument("campaign")
@with_client
def progress(campaign: str, client: Client) -> None:
    """Show who holds a campaign, who refuses it and why, and what was collected."""
    found = client.get(f"{_path(campaign)}/progress")
    for name in ("target", "put", "holding", "waiting", "refused"):
        click.echo(f"{name:10} {found[name]}")
    for one in (*found["reasons"], *found["problems"]):
        click.echo(f"{'':10} {one['vehicles']}: {one['reason']}")
    told = found["collected"]
    for name in ("events", "samples", "bytes", "last"):
        click.echo(f"{name:10} {told[name] if told[name] is not None else '-'}")


@command.command(
    "vehicles",
    cls=ExampleCommand,
    examples=("carcloud campaigns vehicles hard-braking --json",),
)
@click.argument("campaign")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500), help="Most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_vehicles(campaign: str, limit: int, as_json: bool, client: Client) -> None:
    """List how vehicles stand to a campaign."""
    found = client.get(f"{_path(campaign)}/vehicles", limit=limit)["items"]
    if not as_json:
        found = [{**one, **one["collected"]} for one in found]
    columns = ("vehicle", "wanted", "put", "held", "result", "reason", "events", "last")
    show_items(columns, found, as_json=as_json)


@command.command(
    "events",
    cls=ExampleCommand,
    examples=(
        "carcloud campaigns events hard-braking",
        "carcloud campaigns events hard-braking --vehicle LTEST00000000A001 --json",
    ),
)
@click.argument("campaign")
@click.option("--vehicle", help="Only of this one.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500), help="Most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_events(
    campaign: str, vehicle: str | None, limit: int, as_json: bool, client: Client
) -> None:
    """List what was collected, newest first."""
    found = client.get(f"{_path(campaign)}/events", vehicle=vehicle, limit=limit)["items"]
    columns = ("time", "vehicle", "version", "samples", "bytes", "part", "parts", "dimensions")
    show_items(columns, found, as_json=as_json)


def _path(campaign: str) -> str:
    return f"{_ALL}/{quote(campaign, safe='')}"


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Failure(f"{file} cannot be read as JSON: {error}", "mend the file") from error
    if not isinstance(found, dict):
        raise Failure(f"{file} holds no JSON object", "a campaign is an object: see the docs")
    return found


def _target(
    vehicles: tuple[str, ...], models: tuple[str, ...], labels: tuple[str, ...], percent: float
) -> dict[str, Any]:
    return {
        "vehicles": list(vehicles), "models": list(models), "labels": list(labels),
        "percent": percent,
    }  # fmt: skip


def _finding(one: dict[str, Any]) -> str:
    at = "" if one["position"] is None else f" at {one['position'] + 1}"
    return f"{one['field']}{at}: {one['reason']}"


def _tell(found: Any) -> None:
    click.echo(json.dumps(found, ensure_ascii=False, indent=2))


def _state(found: dict[str, Any]) -> None:
    share = "" if found["next_version"] is None else f", {found['next_percent']:g} percent"
    version = found["next_version"] or found["running_version"] or found["version"]
    click.echo(f"{found['id']} is {found['state']}: version {version}{share}")
