"""`carcloud models redecode`: a model's history as model and mapping are now."""

import json

import click

import carcloud.client as api
from carcloud.cli.client import Client, failures, with_client
from carcloud.cli.examples import ExampleCommand
from carcloud.cli.progress import share


@click.command(
    "redecode",
    cls=ExampleCommand,
    examples=(
        "carcloud models redecode e-sedan --from 2026-05-01T00:00:00Z --to 2026-05-08T00:00:00Z",
    ),
)
@click.argument("model")
@click.option("--from", "start", required=True, help="First time of the frames, RFC 3339.")
@click.option("--to", "end", required=True, help="Frames from this time on are left alone.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_client
def redecode(client: Client, model: str, start: str, end: str, as_json: bool) -> None:
    """Decode the raw frames of the vehicles of MODEL anew.

    Rows of signals that these frames gave are replaced by what the model and its mapping say today.
    """
    with failures(), share() as progress:
        task = progress.add_task("decoding", total=1.0)

        def told(found: api.JobDetail) -> None:
            progress.update(task, completed=found.progress or 0.0)

        job = client.api.models.redecode(model, start, end)
        result = client.api.jobs.wait(job.id, on_progress=told).result
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False))
        return
    click.echo(
        f"{result['frames']} frames of {result['vehicles']} vehicles: "
        f"{result['changed_rows']} rows changed, {result['added_rows']} new, "
        f"{result['removed_rows']} gone, of {result['rows']}"
    )
    if result["unreadable_frames"]:
        click.echo(f"{result['unreadable_frames']} frames cannot be read; their rows stay")
    if result["letters_taken_in"]:
        click.echo(f"{result['letters_taken_in']} dead letters can be read now and are taken in")
