"""`carcloud migrate`: bring the tables of the records to another revision."""

from pathlib import Path

import click
from rich.console import Console

from carcloud.cli.examples import ExampleCommand
from carcloud.cli.failure import Failure
from carcloud.config import Settings

out = Console(highlight=False)


@click.command(
    name="migrate",
    cls=ExampleCommand,
    examples=(
        "carcloud migrate --check",
        "carcloud --config cluster.toml migrate",
        "carcloud migrate --to 0001",
    ),
)
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="The data folder.")
@click.option("--to", default="head", show_default=True, help="Revision to go to, also back.")
@click.option("--check", is_flag=True, help="Change nothing; exit 1 unless all is at its newest.")
@click.pass_obj
def command(settings: Settings, data: Path | None, to: str, check: bool) -> None:
    """Bring the tables of the records to a revision: all steps, or none.

    SQLite in the data folder is brought forward by `carcloud up` itself. On PostgreSQL stop the
    cloud, take a backup, run this once, and start again.
    """
    from carcloud.app.records import migrate_with_copy, open_any_records
    from carcloud.app.schema.steps import UnknownRevision, state
    from carcloud.ports.errors import EngineError
    from carcloud.rundir import HalfRestored, InUse, RunDir

    if data is not None:
        settings = settings.with_values({"data": str(data)})
    folder = Path(settings.text("data"))
    run = RunDir(folder)
    try:
        run.require_whole()
        if check:
            _tell(_found(settings))
            return
        records = open_any_records(settings)
        if records.kind == "sqlite":
            run.claim()
        done = migrate_with_copy(records, folder, to, out.print)
    except InUse as error:
        raise Failure(str(error), "stop it first") from error
    except HalfRestored as error:
        raise Failure(str(error), "") from error
    except (EngineError, UnknownRevision) as error:
        raise Failure(str(error), "`carcloud migrate --check` tells the revisions") from error
    finally:
        run.release()
    out.print(f"The records are at revision {state(records).at}; steps: {len(done)}.")


def _found(settings: Settings) -> object:
    """Where the records stand; a database that is not there is not made."""
    from carcloud.app.records import open_any_records, records_file
    from carcloud.app.schema.steps import nothing, state

    file = records_file(settings)
    if file is not None and not file.exists():
        return nothing()
    records = open_any_records(settings)
    try:
        return state(records)
    finally:
        records.close()


def _tell(found: object) -> None:
    from carcloud.app.schema.steps import State

    assert isinstance(found, State)  # noqa: S101
    out.print(f"The records are at revision {found.at}; the newest is {found.newest}.")
    for step in found.pending:
        out.print(f"  {step.revision}  {step.what}")
    if not found.current:
        raise SystemExit(1)
