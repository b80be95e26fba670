"""`carcloud objects`: list, put, get and remove objects."""

import json
import mimetypes
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import click
from rich.progress import Progress

from carcloud.cli.buckets import path
from carcloud.cli.client import Client, failures, with_client
from carcloud.cli.client import told as told_of
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.failure import Failure
from carcloud.cli.progress import bar
from carcloud.cli.tables import show

_PIECE = 1 << 20  # bytes
_PAGE = 1000
_COLUMNS = ("key", "size", "modified", "etag")


@click.group(
    "objects",
    cls=ExampleGroup,
    examples=(
        "carcloud objects ls recordings/2026/",
        "carcloud objects put drive.mcap recordings/2026/",
        "carcloud objects get recordings/2026/drive.mcap .",
    ),
)
def command() -> None:
    """List, put, get and remove objects in buckets."""


@command.command(
    "ls",
    cls=ExampleCommand,
    examples=("carcloud objects ls recordings", "carcloud objects ls recordings/2026/ -r --json"),
)
@click.argument("where", metavar="BUCKET[/PREFIX]")
@click.option("-r", "--recursive", is_flag=True, help="Also what lies in folders.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_client
def list_objects(where: str, recursive: bool, as_json: bool, client: Client) -> None:
    """List the objects and folders below BUCKET/PREFIX."""
    bucket, prefix = _split(where)
    rows = []
    for kind, one in _walk(client, bucket, prefix, "" if recursive else "/"):
        if as_json:
            click.echo(json.dumps(one if kind == "object" else {"folder": one}, ensure_ascii=False))
        elif kind == "folder":
            rows.append([one, None, None, None])
        else:
            rows.append([one[name] for name in _COLUMNS])
    if not as_json:
        show(_COLUMNS, rows)


@command.command(
    "put",
    cls=ExampleCommand,
    examples=(
        "carcloud objects put drive.mcap recordings/2026/",
        "carcloud objects put -r pictures/ shop/parts/",
        "tar c logs | carcloud objects put - recordings/logs.tar",
    ),
)
@click.argument("source", type=click.Path(path_type=Path, allow_dash=True))
@click.argument("target", metavar="BUCKET/KEY")
@click.option("-r", "--recursive", is_flag=True, help="A folder with all that is in it.")
@click.option("--type", "kind", help="Media type; else by the name of the file.")
@with_client
def put(source: Path, target: str, recursive: bool, kind: str | None, client: Client) -> None:
    """Put the file SOURCE (- for standard input) as BUCKET/KEY; KEY/ is a folder."""
    bucket, key = _split(target)
    with bar() as progress:
        for file, name in _sources(source, key, recursive):
            guessed = kind or mimetypes.guess_type(name)[0] or "application/octet-stream"
            _put(client, progress, bucket, name, file, guessed)


@command.command(
    "get",
    cls=ExampleCommand,
    examples=(
        "carcloud objects get recordings/2026/drive.mcap .",
        "carcloud objects get recordings/logs.tar - | tar x",
    ),
)
@click.argument("source", metavar="BUCKET/KEY")
@click.argument("target", type=click.Path(path_type=Path, allow_dash=True), default=Path())
@with_client
def get(source: str, target: Path, client: Client) -> None:
    """Get an object into the file or folder TARGET (- for standard output)."""
    bucket, key = _split(source)
    if not key:
        raise Failure("name an object", "as in BUCKET/KEY")
    size = client.get(f"{path(bucket)}/object/facts", key=key)["size"]
    with bar() as progress:
        task = progress.add_task(key, total=size)

        def told(piece: bytes) -> None:
            progress.advance(task, len(piece))

        pieces = told_of(client.api.buckets.download(bucket, key))
        _save(pieces, target, key.rpartition("/")[2], told)


@command.command(
    "rm",
    cls=ExampleCommand,
    examples=("carcloud objects rm recordings/old.mcap", "carcloud objects rm -r recordings/tmp/"),
)
@click.argument("where", metavar="BUCKET/KEY")
@click.option("-r", "--recursive", is_flag=True, help="All objects whose keys begin so.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_client
def remove(where: str, recursive: bool, yes: bool, client: Client) -> None:
    """Remove an object, or all below a prefix."""
    bucket, key = _split(where)
    keys = [key]
    if recursive:
        keys = [one["key"] for kind, one in _walk(client, bucket, key, "") if kind == "object"]
        if keys and not yes:
            click.confirm(f"Remove {len(keys)} objects?", abort=True)
    elif not key:
        raise Failure("name an object", "as in BUCKET/KEY")
    for one in keys:
        with failures():
            client.api.buckets.delete(bucket, one)
    click.echo(f"{len(keys)} removed")


def _walk(client: Client, bucket: str, prefix: str, delimiter: str) -> Iterator[tuple[str, Any]]:
    """("folder", prefix) and ("object", facts), page after page."""
    cursor = None
    while True:
        page = client.get(
            f"{path(bucket)}/objects",
            prefix=prefix,
            delimiter=delimiter,
            cursor=cursor,
            limit=_PAGE,
        )
        for folder in page["folders"]:
            yield "folder", folder
        for one in page["items"]:
            yield "object", one
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _sources(source: Path, key: str, recursive: bool) -> Iterator[tuple[Path, str]]:
    if str(source) == "-":
        if not key or key.endswith("/"):
            raise Failure("standard input needs a name", "give BUCKET/KEY")
        yield source, key
    elif source.is_dir():
        if not recursive:
            raise Failure(f"{source} is a folder", "give -r to put all that is in it")
        for file in sorted(source.rglob("*")):
            if file.is_file():
                yield file, f"{key}{file.relative_to(source).as_posix()}"
    elif source.is_file():
        yield source, f"{key}{source.name}" if not key or key.endswith("/") else key
    else:
        raise Failure(f"there is no file {source}", "check the path")


def _put(client: Client, progress: Progress, bucket: str, key: str, file: Path, kind: str) -> None:
    if str(file) == "-":
        task = progress.add_task(key, total=None)
        _send(client, progress, task, bucket, key, sys.stdin.buffer, kind, None)
        return
    size = file.stat().st_size
    task = progress.add_task(key, total=size)
    with file.open("rb") as opened:
        _send(client, progress, task, bucket, key, opened, kind, size)


def _send(
    client: Client,
    progress: Progress,
    task: Any,
    bucket: str,
    key: str,
    source: IO[bytes],
    kind: str,
    size: int | None,
) -> None:
    def pieces() -> Iterator[bytes]:
        while piece := source.read(_PIECE):
            progress.advance(task, len(piece))
            yield piece

    with failures():
        client.api.buckets.put(bucket, key, pieces(), media=kind, size=size)


def _save(pieces: Iterator[bytes], target: Path, name: str, told: Callable[[bytes], None]) -> None:
    if str(target) == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
            told(piece)
        sys.stdout.buffer.flush()
        return
    file = target / name if target.is_dir() else target
    draft = file.with_name(f".{file.name}.part")
    try:
        with draft.open("wb") as out:
            for piece in pieces:
                out.write(piece)
                told(piece)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def _split(where: str) -> tuple[str, str]:
    bucket, _, key = where.removeprefix("s3://").partition("/")
    if not bucket:
        raise Failure("name a bucket", "as in BUCKET/KEY")
    return bucket, key
