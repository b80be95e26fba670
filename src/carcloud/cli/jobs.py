"""`carcloud jobs`: submit, watch and cancel jobs from a terminal."""

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from carcloud.cli.client import Client, failures, told, with_client
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.failure import Failure
from carcloud.cli.schedules import group as schedules
from carcloud.cli.tables import show, text
from carcloud.client import JobDetail, JobFailed, LogText

_COLUMNS = ("id", "kind", "name", "state", "attempt", "progress", "seconds", "user", "error")
_STATES = click.Choice(["queued", "running", "succeeded", "failed", "cancelled", "timed-out"])


@click.group(
    "jobs",
    cls=ExampleGroup,
    examples=(
        "carcloud jobs submit query-export --param sql='SELECT count(*) FROM signals' --wait",
        "carcloud jobs list --state running",
    ),
)
def command() -> None:
    """Have work done in the background, and see how it goes."""


command.add_command(schedules)


def job_options(function: Any) -> Any:
    """Options that say how a job is to be done."""
    options = (
        click.option("--param", "params", multiple=True, metavar="NAME=VALUE",
                     help="A parameter; JSON values are taken as such, @FILE reads a file."),
        click.option("--params", "params_file", type=click.File("rb"),
                     help="JSON file of all parameters, - for standard input."),
        click.option("--name", default="", help="What lists call it."),
        click.option("--queue", default="default", show_default=True, help="Which queue."),
        click.option("--priority", type=click.IntRange(0, 9), default=5, show_default=True,
                     help="9 goes first."),
        click.option("--retries", type=click.IntRange(0, 20), default=0, show_default=True,
                     help="How often it is tried again."),
        click.option("--timeout", type=click.FloatRange(min=0.1), default=3600.0,
                     show_default=True, help="Seconds that one try may take."),
        click.option("--cpus", type=click.FloatRange(min=0.01), default=1.0, show_default=True,
                     help="Processors that are set aside."),
        click.option("--memory", type=click.IntRange(min=64), default=512, show_default=True,
                     help="MB of memory that it may take."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def job_of(kind: str, params: tuple[str, ...], params_file: Any, **given: Any) -> dict[str, Any]:
    """The body of a job as the API takes it."""
    known = {"timeout": "timeout_s", "memory": "memory_mb"}
    body = {known.get(name, name): value for name, value in given.items()}
    return {"kind": kind, "params": {**_from_file(params_file), **_pairs(params)}, **body}


def _from_file(file: Any) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        found = json.load(file)
    except ValueError as error:
        raise Failure(f"the parameters are not JSON: {error}", "see --help") from error
    if not isinstance(found, dict):
        raise Failure("the parameters are not a JSON object", "see --help")
    return found


def _pairs(given: tuple[str, ...]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE")
        params[name] = _value(value)
    return params


def _value(value: str) -> Any:
    if value.startswith("@"):
        try:
            return Path(value[1:]).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise Failure(f"{value[1:]} cannot be read: {error}", "") from error
    try:
        return json.loads(value)
    except ValueError:
        return value


@command.command(
    "submit",
    cls=ExampleCommand,
    examples=(
        "carcloud jobs submit query-export --param sql='SELECT count(*) FROM signals' --wait",
        "carcloud jobs submit query-export --param sql=@speeds.sql --param format=csv",
    ),
)
@click.argument("kind")
@job_options
@click.option("--after", multiple=True, metavar="JOB", help="A job that must succeed first.")
@click.option("--wait", is_flag=True, help="Show its log until it has ended.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_client
def submit(
    *, kind: str, after: tuple[str, ...], wait: bool, as_json: bool, client: Client, **given: Any
) -> None:
    """Submit a job of KIND; `carcloud jobs kinds` lists the kinds and their parameters."""
    body = job_of(kind, **given) | {"after": list(after)}
    made = client.send("POST", "/v1/jobs", json=body).json()
    if wait:
        click.echo(f"job {made['id']}", err=True)
        _follow(client, made["id"])
    elif as_json:
        click.echo(json.dumps(made, ensure_ascii=False))
    else:
        click.echo(made["id"])


@command.command(
    "kinds", cls=ExampleCommand, examples=("carcloud jobs kinds", "carcloud jobs kinds --json")
)
@click.option("--json", "as_json", is_flag=True, help="With the JSON Schema of the parameters.")
@with_client
def kinds(as_json: bool, client: Client) -> None:
    """List the kinds of jobs."""
    found = client.get("/v1/job-kinds")["items"]
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        show(("kind", "what it does"), ((one["name"], one["help"]) for one in found))


@command.command(
    "list",
    cls=ExampleCommand,
    examples=("carcloud jobs list", "carcloud jobs list --state failed --kind query-export --json"),
)
@click.option("--state", type=_STATES, help="Only jobs in this state.")
@click.option("--kind", help="Only jobs of this kind.")
@click.option("--queue", help="Only jobs of this queue.")
@click.option("--schedule", help="Only jobs of this schedule.")
@click.option("--search", "q", help="Part of a name or id.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_jobs(*, limit: int, as_json: bool, client: Client, **filters: Any) -> None:
    """List jobs, newest first."""
    found = client.items("/v1/jobs", limit, **filters)
    if as_json:
        for job in found:
            click.echo(json.dumps(job, ensure_ascii=False))
    else:
        show(_COLUMNS, ([job.get(name) for name in _COLUMNS] for job in found))


@command.command(
    "show", cls=ExampleCommand, examples=("carcloud jobs show 0651c3a1b2c3d4e5f60718293a4b",)
)
@click.argument("job")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_client
def show_job(job: str, as_json: bool, client: Client) -> None:
    """Show a job and its attempts."""
    found = client.get(_path(job))
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    attempts, metrics = found.pop("attempts"), found.pop("metrics")
    show(("field", "value"), ((name, text(value)) for name, value in found.items()))
    latest = [(name, points[-1][1]) for name, points in metrics.items() if points]
    if latest:
        click.echo()
        show(("metric", "latest value"), latest)
    if attempts:
        click.echo()
        names = ("number", "started", "ended", "outcome", "limit", "error")
        show(names, ([one[name] for name in names] for one in attempts))


@command.command(
    "logs",
    cls=ExampleCommand,
    examples=(
        "carcloud jobs logs 0651c3a1b2c3d4e5f60718293a4b",
        "carcloud jobs logs 0651c3a1b2c3d4e5f60718293a4b --follow",
    ),
)
@click.argument("job")
@click.option("--attempt", type=click.IntRange(min=1), help="Which try; else the last one.")
@click.option("--follow", is_flag=True, help="Go on until the job has ended.")
@with_client
def logs(job: str, attempt: int | None, follow: bool, client: Client) -> None:
    """Print the log of a job. With --follow the exit code is 1 unless the job succeeds."""
    if follow:
        _follow(client, job, attempt or 0)
        return
    start = 0
    while True:
        part = client.get(_path(job) + "/log", start=start, attempt=attempt)
        click.echo(part["text"], nl=False)
        start = part["end"]
        if start >= part["size"]:
            return


@command.command(
    "cancel", cls=ExampleCommand, examples=("carcloud jobs cancel 0651c3a1b2c3d4e5f60718293a4b",)
)
@click.argument("job")
@with_client
def cancel(job: str, client: Client) -> None:
    """End a job."""
    answer = client.send("POST", _path(job) + "/cancel").json()
    ends = "is cancelled" if answer["state"] == "cancelled" else "is being ended"
    click.echo(f"{job} {ends}")


@command.group(
    "artifacts",
    cls=ExampleGroup,
    examples=("carcloud jobs artifacts list 0651c3a1b2c3d4e5f60718293a4b",),
)
def artifacts() -> None:
    """Files that jobs made."""


@artifacts.command(
    "list",
    cls=ExampleCommand,
    examples=("carcloud jobs artifacts list 0651c3a1b2c3d4e5f60718293a4b",),
)
@click.argument("job")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_artifacts(job: str, as_json: bool, client: Client) -> None:
    """List the files of a job."""
    found = client.get(_path(job) + "/artifacts")["items"]
    if as_json:
        for one in found:
            click.echo(json.dumps(one, ensure_ascii=False))
        return
    names = ("name", "bytes", "media", "created", "sha256")
    show(names, ([one[name] for name in names] for one in found))


@artifacts.command(
    "get",
    cls=ExampleCommand,
    examples=(
        "carcloud jobs artifacts get 0651c3a1b2c3d4e5f60718293a4b rows.parquet",
        "carcloud jobs artifacts get 0651c3a1b2c3d4e5f60718293a4b rows.csv --out speeds.csv",
    ),
)
@click.argument("job")
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="File to write; else the last part of its name, here. - for standard output.",
)
@with_client
def get_artifact(job: str, name: str, out: Path | None, client: Client) -> None:
    """Fetch a file of a job."""
    target = out or Path(name.rpartition("/")[2])
    pieces = told(client.api.jobs.download(job, name))
    if str(target) == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        return
    first = next(pieces, b"")  # a refusal comes before the file is made
    with target.open("wb") as file:
        file.write(first)
        for piece in pieces:
            file.write(piece)
    click.echo(f"{target}: {target.stat().st_size} bytes", err=True)


def _follow(client: Client, job: str, attempt: int = 0) -> None:
    """Print the log until the job has ended; exit code 1 unless it succeeds."""
    last: JobDetail | None = None
    for news in told(client.api.jobs.follow(job, attempt=attempt)):
        if isinstance(news, LogText):
            click.echo(news.text, nl=False)
        else:
            last = news
    if last is not None and last.state != "succeeded":
        with failures():
            raise JobFailed(last)


def _path(job: str) -> str:
    return f"/v1/jobs/{quote(job, safe='')}"
