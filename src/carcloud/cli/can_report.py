"""What `carcloud can` tells about logs and about what it decoded."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from carcloud.cli.tables import show
from carcloud.codecs.can.frames import Clock
from carcloud.codecs.canlog.decoding import Tally
from carcloud.codecs.dbc import Finding
from carcloud.engines.canlog_files import LogFile

MOST = 20  # lines of a list; the rest is counted


def findings_told(path: Path, findings: Sequence[Finding]) -> None:
    """What is odd in a DBC file, on standard error, with lines."""
    odd = [one for one in findings if one.level != "info"]
    for one in odd[:MOST]:
        click.echo(f"{path}, line {one.line}: {one.level}: {one.text}; {one.action}", err=True)
    if len(odd) > MOST:
        click.echo(f"{path}: {len(odd) - MOST} more findings", err=True)


def time_text(ns: int | None, clock: Clock) -> str:
    """UTC with microseconds, or seconds since the log's start."""
    if ns is None:
        return "none"
    if clock == "relative":
        return f"{ns / 1e9:.6f} s"
    at = datetime.fromtimestamp(ns // 10**9, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ns % 10**9 // 1000:06d}Z"


def id_text(can_id: int, extended: bool) -> str:
    return f"0x{can_id:08X}" if extended else f"0x{can_id:03X}"


def info_document(
    files: Sequence[LogFile],
    tally: Tally,
    ids: Counter[tuple[int, bool, int]],
    clock: Clock,
) -> dict[str, Any]:
    """What `can info --json` prints."""
    seconds = (tally.last or 0) / 1e9 - (tally.first or 0) / 1e9
    return {
        "formats": sorted({file.format for file in files}),
        "clock": clock,
        "first": time_text(tally.first, clock),
        "last": time_text(tally.last, clock),
        "seconds": round(seconds, 6),
        "frames": tally.frames,
        "backwards": tally.backwards,
        "identifiers": [
            {"bus": bus, "id": id_text(can_id, extended), "frames": count}
            for (bus, extended, can_id), count in sorted(ids.items())
        ],
        "remarks": [f"{file.path.name}: {remark}" for file in files for remark in file.remarks],
    }


def show_info(document: dict[str, Any]) -> None:
    """The same for people."""
    click.echo(f"format  {', '.join(document['formats'])}")
    click.echo(f"clock   {document['clock']}")
    click.echo(f"first   {document['first']}")
    click.echo(f"last    {document['last']}")
    click.echo(f"frames  {document['frames']}")
    if document["backwards"]:
        click.echo(f"times go back {document['backwards']} times")
    for remark in document["remarks"]:
        click.echo(remark)
    rows = [(one["bus"], one["id"], one["frames"]) for one in document["identifiers"]]
    show(("bus", "id", "frames"), rows)


def show_summary(tally: Tally, out: Path, clock: Clock, remarks: Sequence[str]) -> None:
    """What was decoded, what was not, and why."""
    click.echo(f"{tally.frames} frames, {tally.values} values -> {out}")
    first, last = time_text(tally.first, clock), time_text(tally.last, clock)
    click.echo(f"from {first} to {last}, clock {clock}")
    for name, count in sorted(tally.assembled.items()):
        if count:
            click.echo(f"{name}: {count} messages of several frames")
    for (name, reason), count in sorted(tally.dropped.items()):
        click.echo(f"{name}: {count} dropped ({reason})")
    if tally.backwards:
        click.echo(f"times go back {tally.backwards} times")
    for remark in remarks:
        click.echo(remark)
    if tally.by_message:
        show(("message", "values"), sorted(tally.by_message.items()))
    if tally.unknown:
        total = sum(tally.unknown.values())
        click.echo(f"no message for {len(tally.unknown)} identifiers, {total} frames:")
        most = sorted(tally.unknown.items(), key=lambda item: (-item[1], item[0]))
        show(
            ("bus", "id", "frames"),
            [(bus, id_text(can_id, ext), n) for (bus, ext, can_id), n in most[:MOST]],
        )
        if len(most) > MOST:
            click.echo(f"and {len(most) - MOST} more")
