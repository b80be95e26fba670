"""`carcloud decode`: captured frames in, one JSON object a line out."""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.config import Settings

if TYPE_CHECKING:
    from carcloud.codecs.jt808.describe import Capture

# The largest frame has 65,556 bytes (GB/T 32960.3 6.2), twice as many hex digits, and perhaps a
# space after each byte.
LINE_BYTES = 65_556 * 3 + 2
_NO_TEXT = re.compile(rb"[^\t\r\n\x20-\x7e]")


@click.group("decode", cls=ExampleGroup, examples=("carcloud decode gbt32960 capture.txt",))
def command() -> None:
    """Decode captured frames to JSON, one object a line."""


@command.command(
    "gbt32960",
    cls=ExampleCommand,
    examples=(
        "carcloud decode gbt32960 capture.txt",
        "echo 232307FE4C54455354564E41344130303030313031010000BE | carcloud decode gbt32960",
        "carcloud decode gbt32960 capture.txt --strict > decoded.jsonl",
    ),
)
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--strict", is_flag=True, help="Exit with code 1 if any line could not be decoded.")
@click.pass_obj
def gbt32960(settings: Settings, file: BinaryIO, strict: bool) -> None:
    """Decode GB/T 32960.3 frames, editions 2016 and 2025.

    FILE has one frame a line in hex digits, spaces allowed; without FILE, or with `-`, standard
    input is read. Each line gives one JSON object: every field by name in physical units with its
    VSS path, or an `error` with the byte offset and the clause that was broken. Empty lines and
    lines that start with # are passed over.
    """
    from carcloud.codecs.gbt32960.control import UpgradeOrder
    from carcloud.codecs.gbt32960.describe import decode_line

    covers_mark = settings.flag("gateway.gbt32960.signature_covers_mark")
    order: UpgradeOrder = (
        "B.16" if settings.text("gateway.gbt32960.upgrade_order") == "b16" else "B.15"
    )
    failed = 0
    for line in _lines(file):
        decoded = (
            _too_long()
            if line is None
            else decode_line(line, signature_covers_mark=covers_mark, upgrade_order=order)
        )
        failed += "error" in decoded
        click.echo(json.dumps(decoded, ensure_ascii=False, separators=(",", ":")))
    if failed and strict:
        lines = "1 line" if failed == 1 else f"{failed} lines"
        click.echo(f"{lines} could not be decoded", err=True)
        raise click.exceptions.Exit(1)


@command.command(
    "jt808",
    cls=ExampleCommand,
    examples=(
        "carcloud decode jt808 capture.txt",
        "echo 7E0002400001000000000139000001010003787E | carcloud decode jt808",
        "carcloud decode jt808 trace.txt --unescaped --strict > decoded.jsonl",
        "carcloud decode jt808 capture.txt --edition 2011",
    ),
)
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--unescaped", is_flag=True, help="Each line is one frame, already unescaped.")
@click.option(
    "--edition",
    type=click.Choice(["2011", "2013", "2019"]),
    help="Read every body in this edition; else as the header and earlier registrations tell it.",
)
@click.option("--strict", is_flag=True, help="Exit with code 1 if any frame could not be decoded.")
def jt808(file: BinaryIO, unescaped: bool, edition: str | None, strict: bool) -> None:
    """Decode JT/T 808 frames, editions 2011, 2013 and 2019.

    FILE has frames in hex digits as on the wire, spaces allowed, one or several a line, or it has
    the bytes themselves; without FILE, or with `-`, standard input is read. Each message gives one
    JSON object: every field by name in physical units with its VSS path, or an `error` with the
    byte offset and the clause that was broken. All packets of a message give one object, wherever
    they stand; those whose message is incomplete come at the end. Empty lines and lines that start
    with # are passed over.
    """
    from carcloud.codecs.jt808.describe import Capture

    failed = 0
    for decoded in _captured(file, Capture(None if edition is None else int(edition)), unescaped):
        failed += "error" in decoded
        click.echo(json.dumps(decoded, ensure_ascii=False, separators=(",", ":")))
    if failed and strict:
        frames = "1 frame" if failed == 1 else f"{failed} frames"
        click.echo(f"{frames} could not be decoded", err=True)
        raise click.exceptions.Exit(1)


def _captured(file: BinaryIO, capture: "Capture", unescaped: bool) -> Iterator[dict[str, Any]]:
    first = file.readline(LINE_BYTES + 1)
    if b"\x7e" in first and _NO_TEXT.search(first):
        if unescaped:
            raise click.UsageError("--unescaped needs frames in hex digits, one a line")
        while first:
            yield from capture.feed(first)
            first = file.read(LINE_BYTES)
    for line in _lines(file, first):
        yield from [_too_long()] if line is None else capture.line(line, unescaped=unescaped)
    yield from capture.finish()


def _lines(file: BinaryIO, first: bytes = b"") -> Iterator[str | None]:
    """The lines of a file, the `first` read before; None for one that is longer than any frame."""
    while line := first or file.readline(LINE_BYTES + 1):
        first = b""
        if len(line) > LINE_BYTES and not line.endswith(b"\n"):
            _skip_line(file)
            yield None
            continue
        text = line.decode("ascii", "replace").strip()
        if text and not text.startswith("#"):
            yield text


def _skip_line(file: BinaryIO) -> None:
    while (rest := file.readline(LINE_BYTES)) and not rest.endswith(b"\n"):
        pass


def _too_long() -> dict[str, Any]:
    return {
        "error": {
            "code": "line-too-long",
            "offset": LINE_BYTES,
            "clause": "GB/T 32960.3 6.2, JT/T 808 4.4",
            "detail": f"more than {LINE_BYTES} characters, which no frame needs",
        }
    }
