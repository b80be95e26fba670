"""`carcloud jobs schedules`: jobs that are submitted again and again."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.failure import Failure
from carcloud.cli.tables import show

_COLUMNS = ("name", "cron", "timezone", "kind", "enabled", "next", "last", "last_job")


@click.group("schedules", cls=ExampleGroup, examples=("carcloud jobs schedules list",))
def group() -> None:
    """Jobs that are submitted again and again."""


@group.command(
    "list",
    cls=ExampleCommand,
    examples=("carcloud jobs schedules list", "carcloud jobs schedules list --json"),
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_schedules(as_json: bool, client: Client) -> None:
    """List schedules."""
    found = client.get("/v1/schedules")["items"]
    if as_json:
        for one in found:
            click.echo(json.dumps(one, ensure_ascii=False))
        return
    rows = ({**one, "kind": one["job"]["kind"]} for one in found)
    show(_COLUMNS, ([one[name] for name in _COLUMNS] for one in rows))


@group.command(
    "add",
    cls=ExampleCommand,
    examples=(
        "carcloud jobs schedules add nightly '30 2 * * *' report.json --timezone Asia/Shanghai",
    ),
)
@click.argument("name")
@click.argument("cron")
@click.argument("job", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--timezone", default="UTC", show_default=True, help="IANA name of a time zone.")
@click.option("--overlap", is_flag=True, help="Also begin while the run before has not ended.")
@with_client
def add(*, name: str, cron: str, job: Path, client: Client, **given: Any) -> None:
    """Add a schedule NAME that submits a job at the times of the cron line CRON.

    JOB is a JSON file with the job: kind, params and so on, as `POST /v1/jobs` takes it.
    """
    try:
        body = json.loads(job.read_text())
    except (OSError, ValueError) as error:
        raise Failure(f"{job} is not JSON: {error}", "") from error
    made = client.send(
        "POST", "/v1/schedules", json={"name": name, "cron": cron, "job": body, **given}
    ).json()
    click.echo(f"{name} comes next at {made['next']}")


@group.command("enable", cls=ExampleCommand, examples=("carcloud jobs schedules enable nightly",))
@click.argument("name")
@with_client
def enable(name: str, client: Client) -> None:
    """Let a schedule go on, from its next time."""
    _switch(client, name, on=True)
    click.echo(f"{name} is enabled")


@group.command("disable", cls=ExampleCommand, examples=("carcloud jobs schedules disable nightly",))
@click.argument("name")
@with_client
def disable(name: str, client: Client) -> None:
    """Stop a schedule; jobs that it has submitted go on."""
    _switch(client, name, on=False)
    click.echo(f"{name} is disabled")


@group.command(
    "remove", cls=ExampleCommand, examples=("carcloud jobs schedules remove nightly --yes",)
)
@click.argument("name")
@click.confirmation_option(prompt="Its jobs stay. Go on?", help="Do not ask.")
@with_client
def remove(name: str, client: Client) -> None:
    """Remove a schedule."""
    client.send("DELETE", _path(name))
    click.echo(f"{name} is removed")


def _switch(client: Client, name: str, *, on: bool) -> None:
    seen = client.send("GET", _path(name))
    old = seen.json()
    kept = {field: old[field] for field in ("cron", "job", "timezone", "overlap")}
    headers = {"if-match": seen.headers["etag"]}
    client.send("PUT", _path(name), json={**kept, "enabled": on}, headers=headers)


def _path(name: str) -> str:
    return f"/v1/schedules/{quote(name, safe='')}"
