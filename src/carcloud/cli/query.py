"""`carcloud query`: one SELECT, asked of a running carcloud."""

import json
import secrets
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import httpx

from carcloud.cli.client import Client, with_client
from carcloud.cli.examples import ExampleCommand
from carcloud.cli.failure import Failure
from carcloud.cli.tables import show

_MEDIA = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}


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

    Tables: signals, frames, dead_letters. Column names with dots need double quotes. Ctrl-C
    cancels the query on the server too.
    """
    asked: dict[str, Any] = {"sql": sys.stdin.read() if sql == "-" else sql}
    asked["id"] = secrets.token_hex(8)
    if rows is not None:
        asked["rows"] = rows
    if kind in _MEDIA:
        _write_bytes(_ask(client, asked, {"accept": _MEDIA[kind]}).content, kind, out)
        return
    answer = _ask(client, asked, {}).json()
    if kind == "json":
        _write_text(_objects(answer), out)
    elif out is not None:
        raise click.UsageError("a table goes to the terminal; add --format csv, json or parquet")
    else:
        show([column["name"] for column in answer["columns"]], answer["rows"])
    if answer["truncated"]:
        click.echo(f"only the first {len(answer['rows'])} rows; --rows asks for more", err=True)


def _ask(client: Client, asked: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
    """The answer; a Ctrl-C meanwhile ends the query on the server before it ends this command."""
    try:
        return client.send("POST", "/v1/query", json=asked, headers=headers)
    except KeyboardInterrupt:
        with suppress(Failure):  # it has ended, or its server sees that the connection closed
            client.send("DELETE", f"/v1/queries/{asked['id']}")
        raise


def _objects(answer: dict[str, Any]) -> str:
    names = [column["name"] for column in answer["columns"]]
    lines = (
        json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in answer["rows"]
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
