"""`carcloud query`: one SELECT, asked of a running carcloud."""

import json
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import click

from carcloud.cli.client import Client, failures, with_client
from carcloud.cli.examples import ExampleCommand
from carcloud.cli.failure import Failure
from carcloud.cli.tables import show
from carcloud.client.arrow import FileFormat
from carcloud.client.types import Rows


@click.command(
    "query",
    cls=ExampleCommand,
    examples=(
        "carcloud query 'SELECT count(*) FROM signals'",
        "carcloud query 'SELECT vehicle, max(\"Vehicle.Speed\") FROM signals GROUP BY 1'",
        "carcloud query 'SELECT * FROM dead_letters' --format csv --out bad.csv",
        "carcloud query - --format json < question.sql",
    ),
)
@click.argument("sql")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["table", "csv", "json", "parquet", "arrow"]),
    default="table",
    show_default=True,
    help="How the answer is written.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="File to write instead of standard output.",
)
@click.option("--rows", type=click.IntRange(min=1), help="Most rows wanted.")
@with_client
def command(sql: str, kind: str, out: Path | None, rows: int | None, client: Client) -> None:
    """Ask the lake one read-only SELECT; SQL of `-` reads it from standard input.

    Tables: signals, frames, dead_letters, and those that jobs made. Column names with dots need
    double quotes. Ctrl-C cancels the query on the server too.
    """
    text = sys.stdin.read() if sql == "-" else sql
    query = secrets.token_hex(8)
    with _cancelled_by_ctrl_c(client, query):
        if kind in ("csv", "parquet", "arrow"):
            file = client.api.query_file(text, cast(FileFormat, kind), rows=rows, id=query)
            _write_bytes(file.content, kind, out)
            return
        answer = client.api.query_rows(text, rows=rows, id=query)
    if kind == "json":
        _write_text(_objects(answer), out)
    elif out is not None:
        raise click.UsageError("a table goes to the terminal; add --format csv, json or parquet")
    else:
        show([column.name for column in answer.columns], answer.rows)
    if answer.truncated:
        click.echo(f"only the first {len(answer.rows)} rows; --rows asks for more", err=True)


@contextmanager
def _cancelled_by_ctrl_c(client: Client, query: str) -> Iterator[None]:
    """A Ctrl-C meanwhile ends the query on the server before it ends this command."""
    try:
        with failures():
            yield
    except KeyboardInterrupt:
        # it has ended, or its server sees that the connection closed
        with suppress(Failure), failures():
            client.api.cancel_query(query)
        raise


def _objects(answer: Rows) -> str:
    names = [column.name for column in answer.columns]
    lines = (
        json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in answer.rows
    )
    return "[" + ",\n ".join(lines) + "]\n"


def _write_text(text: str, out: Path | None) -> None:
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text)


def _write_bytes(data: bytes, kind: str, out: Path | None) -> None:
    if out is not None:
        out.write_bytes(data)
        return
    if kind != "csv" and sys.stdout.isatty():
        raise click.UsageError(f"{kind} is not for a terminal; add --out FILE or pipe it")
    sys.stdout.buffer.write(data)
