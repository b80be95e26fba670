"""`carcloud can import`: logs into the history of a vehicle of a running carcloud."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress

import carcloud.client as api
from carcloud.cli.client import Client, failures, with_client
from carcloud.cli.examples import ExampleCommand
from carcloud.cli.failure import Failure
from carcloud.cli.progress import bar, share
from carcloud.codecs.canlog.layers import NAMES

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_PIECE = 1 << 20  # bytes


@click.command(
    "import",
    cls=ExampleCommand,
    examples=(
        "carcloud can import drive.mf4 --vehicle TRUCK-7",
        "carcloud can import drive.log --vehicle CAR-1 --mapping car.yaml --dbc car.dbc",
    ),
)
@click.argument("logs", metavar="LOG…", nargs=-1, required=True, type=_FILE)
@click.option("--vehicle", required=True, help="The vehicle that the logs are of.")
@click.option("--mapping", type=_FILE, help="YAML; without it that of the vehicle's model holds.")
@click.option("--dbc", "dbcs", multiple=True, type=_FILE, help="DBC file that --mapping names.")
@click.option("--zone", help="Zone of ASC, BLF and TRC, which tell local times without one.")
@click.option(
    "--transport",
    "transports",
    multiple=True,
    type=click.Choice(["auto", "none", *NAMES]),
    default=("auto",),
    show_default=True,
    help="Layers that put messages of several frames together; may be repeated.",
)
@click.option(
    "--bucket", help="Bucket that holds the logs meanwhile; without it one for imports is used."
)
@click.option("--keep", is_flag=True, help="Leave the logs in the bucket.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_client
def command(client: Client, logs: tuple[Path, ...], **options: Any) -> None:
    """Import logs into the history of a vehicle.

    They are put into a bucket, and a job of the cloud decodes them, maps them to signals of the
    catalogue and stores a row for each moment. What is there already is recognised.
    """
    layers = _layers(options["transports"])
    vehicle = options["vehicle"]
    with failures():
        client.api.vehicles.get(vehicle)
        bucket = _bucket(client.api, options["bucket"])
    given = [*logs, *options["dbcs"], *([options["mapping"]] if options["mapping"] else [])]
    _distinct(given)
    put: dict[Path, str] = {}
    try:
        for path in given:
            put[path] = _put(client.api, bucket, vehicle, path)
        mapping = options["mapping"]
        with failures():
            job = client.api.vehicles.import_can_logs(
                vehicle, bucket, [put[path] for path in logs],
                mapping=put[mapping] if mapping else None,
                dbc=[put[path] for path in options["dbcs"]],
                zone=options["zone"], transports=layers,
            )  # fmt: skip
            result = _followed(client.api, job.id)
    finally:
        if not options["keep"]:
            _remove(client.api, bucket, put)
    if options["as_json"]:
        click.echo(json.dumps(result, ensure_ascii=False))
    else:
        _show(result)


def _layers(chosen: tuple[str, ...]) -> list[str] | None:
    if "auto" in chosen:
        return None
    if "none" in chosen and len(chosen) > 1:
        raise Failure("--transport none stands alone", "")
    return [one for one in chosen if one != "none"]


def _distinct(paths: list[Path]) -> None:
    """Names tell the files of a mapping apart."""
    names = [path.name for path in paths]
    for name in names:
        if names.count(name) > 1:
            raise Failure(f"two files are called {name}", "rename one of them")


def _bucket(client: api.Client, given: str | None) -> str:
    """The bucket named, or one of the tenant's for imports, made when it is first needed."""
    if given:
        return client.buckets.get(given).name
    name = f"can-logs-{client.tenants.mine().id}"
    try:
        return client.buckets.get(name).name
    except api.NotFound:
        return client.buckets.create(name).name


def _put(client: api.Client, bucket: str, vehicle: str, path: Path) -> str:
    size = path.stat().st_size
    key = f"{vehicle}/{path.name}"
    with bar() as progress, failures():
        task = progress.add_task(f"uploading {path.name}", total=size)
        client.buckets.put(bucket, key, _pieces(path, progress, task), size=size)
    return key


def _pieces(path: Path, progress: Progress, task: Any) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
            progress.advance(task, len(piece))


def _followed(client: api.Client, job: str) -> dict[str, Any]:
    with share() as progress:
        task = progress.add_task("importing", total=1.0)

        def told(found: api.JobDetail) -> None:
            progress.update(task, completed=found.progress or 0.0)

        done = client.jobs.wait(job, on_progress=told)
    return dict(done.result)


def _remove(client: api.Client, bucket: str, put: dict[Path, str]) -> None:
    for key in put.values():
        with suppress(api.CarcloudError):  # what is left is seen in the bucket
            client.buckets.delete(bucket, key)


def _show(result: dict[str, Any]) -> None:
    rows, known = result["rows"], result["known_rows"]
    click.echo(f"{result['frames']} frames: {rows} rows with {result['values']} values")
    if known:
        click.echo(f"{known} of the rows were there already")
    for path, count in result["signals"].items():
        click.echo(f"  {path}: {count}")
    if result["unmapped_signals"]:
        click.echo(f"{result['unmapped_signals']} signals of the DBC files are not mapped")
    if result["unknown_frames"]:
        click.echo(f"{result['unknown_frames']} frames are of no message of the DBC files")
    if result["out_of_range_rows"]:
        click.echo(f"{result['out_of_range_rows']} rows have values out of range, and are flagged")
    for remark in result["remarks"]:
        click.echo(remark)
