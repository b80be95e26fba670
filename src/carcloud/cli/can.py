"""`carcloud can`: what bus logs hold, and their signals as Parquet or CSV."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from carcloud.cli.can_import import command as import_logs
from carcloud.cli.can_report import findings_told, info_document, show_info, show_summary
from carcloud.cli.can_writing import Writer, suffix_of
from carcloud.cli.examples import ExampleCommand, ExampleGroup
from carcloud.cli.failure import Failure
from carcloud.cli.progress import bar
from carcloud.codecs.can.frames import CanFrames, Clock
from carcloud.codecs.canlog.decoding import LogDecoding, Tally, Values
from carcloud.codecs.canlog.layers import NAMES, Layer, layers_for
from carcloud.codecs.dbc import Database, DbcError, parse, told_apart
from carcloud.engines.canlog_files import LogFile, LogFileError, open_log
from carcloud.engines.canlog_files.joining import joined

SLICE = 50_000  # frames that are decoded at a time

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_ZONE = click.option(
    "--zone",
    help="Zone of ASC, BLF and TRC, which tell local times without one: a name such as "
    "Asia/Shanghai, an offset such as +08:00, or `relative` for times since the log's start.",
)


@click.group(
    "can",
    cls=ExampleGroup,
    examples=(
        "carcloud can info drive.log",
        "carcloud can decode drive.log --dbc car.dbc --out drive.parquet",
    ),
)
def command() -> None:
    """Read logs of CAN buses: candump, ASC, BLF, TRC and MF4."""


@command.command(
    "info",
    cls=ExampleCommand,
    examples=(
        "carcloud can info drive.log",
        "carcloud can info trip.asc --zone Asia/Shanghai --json",
    ),
)
@click.argument("logs", metavar="LOG…", nargs=-1, required=True, type=_FILE)
@_ZONE
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def info(logs: tuple[Path, ...], zone: str | None, as_json: bool) -> None:
    """Show the frames, identifiers and times of logs.

    Several LOGs are joined in order of time, as parts of one session are.
    """
    files = _open(logs, zone)
    tally, ids = Tally(), Counter[tuple[int, bool, int]]()
    clock: Clock = "relative"
    with _reading(files) as blocks:
        for frames in blocks:
            tally.see(frames)
            clock = frames.clock if len(frames) else clock
            for bus, extended, can_id, rows in frames.groups():
                ids[bus, extended, can_id] += len(rows)
    document = info_document(files, tally, ids, clock)
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        show_info(document)


@command.command(
    "decode",
    cls=ExampleCommand,
    examples=(
        "carcloud can decode drive.log --dbc car.dbc --out drive.parquet",
        "carcloud can decode drive.log --dbc car.dbc --out drive.csv --wide",
        "carcloud can decode trip.asc --zone +08:00 --dbc car.dbc --bus 0 --out trip.parquet",
        "carcloud can decode drive.log --obd --out obd.csv",
    ),
)
@click.argument("logs", metavar="LOG…", nargs=-1, required=True, type=_FILE)
@click.option("--dbc", "dbcs", multiple=True, type=_FILE, help="DBC file; may be repeated.")
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write, .parquet or .csv.",
)
@_ZONE
@click.option("--bus", "buses", multiple=True, type=int, help="Read these buses alone.")
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
    "--payload",
    type=click.Choice(["length", "service"]),
    default="length",
    show_default=True,
    help="What messages of ISO-TP begin with in the DBC files: the byte of their length, or the "
    "service.",
)
@click.option("--j1939", is_flag=True, help="Find all extended messages by parameter group.")
@click.option("--obd", is_flag=True, help="Decode answers of OBD-II, which need no DBC file.")
@click.option("--wide", is_flag=True, help="A row for each frame, a column for each signal.")
@click.option("--strict", is_flag=True, help="Refuse a DBC file that is not as it should be.")
def decode(
    logs: tuple[Path, ...],
    dbcs: tuple[Path, ...],
    out: Path,
    zone: str | None,
    buses: tuple[int, ...],
    transports: tuple[str, ...],
    payload: str,
    j1939: bool,
    obd: bool,
    wide: bool,
    strict: bool,
) -> None:
    """Write the signals of logs to a Parquet or CSV file.

    A row has time, message, signal, value, unit, label, bus and can_id, in order of time. LOGs are
    read in pieces and may be larger than memory. What was decoded, and which identifiers no
    message was known for, is told at the end.
    """
    if not dbcs and not obd:
        raise Failure("there is nothing to decode with", "give --dbc FILE, or --obd")
    suffix_of(out)
    files = _open(logs, zone)
    databases = told_apart([_database(path, strict) for path in dbcs])
    layers = _layers(databases, transports, length_byte=payload == "length")

    def decoding() -> LogDecoding:
        chosen = frozenset(buses) if buses else None
        return LogDecoding(databases, layers, j1939=j1939, obd=obd, buses=chosen)

    tally, clock = _write(files, decoding, out, wide)
    remarks = [f"{file.path.name}: {remark}" for file in files for remark in file.remarks]
    show_summary(tally, out, clock, remarks)


def _write(
    files: list[LogFile], decoding: Callable[[], LogDecoding], out: Path, wide: bool
) -> tuple[Tally, Clock]:
    """Wide tables take two readings: the first tells which columns there are."""
    names: set[str] | None = None
    if wide:
        names = set()
        with _reading(files) as blocks:
            for values, _ in _values(decoding(), blocks):
                names |= {f"{each.message}.{each.signal}" for each in values}
        for file in files:
            file.remarks.clear()
    work = decoding()
    clock: Clock = "relative"
    with Writer(out, names) as writer, _reading(files) as blocks:
        for values, clock in _values(work, blocks):
            writer.write(values, clock)
    return work.tally, clock


def _values(
    decoding: LogDecoding, blocks: Iterator[CanFrames]
) -> Iterator[tuple[list[Values], Clock]]:
    for block in blocks:
        for at in range(0, len(block), SLICE):
            yield decoding.feed(block.select(slice(at, at + SLICE))), block.clock
    decoding.finish()


def _open(logs: tuple[Path, ...], zone: str | None) -> list[LogFile]:
    try:
        return [open_log(path, zone) for path in logs]
    except (LogFileError, ValueError) as error:
        raise Failure(str(error), "") from error


@contextmanager
def _reading(files: list[LogFile]) -> Iterator[Iterator[CanFrames]]:
    """The blocks of all logs, with a bar; what goes wrong ends the command."""
    with bar() as progress:
        task = progress.add_task("reading", total=sum(file.size for file in files))

        def told(done: int) -> None:
            progress.update(task, completed=done)

        try:
            yield joined(files, told)
        except LogFileError as error:
            raise Failure(str(error), "") from error
        except ValueError as error:  # relative times beside dates
            raise Failure(str(error), "decode such logs one by one") from error


def _database(path: Path, strict: bool) -> Database:
    try:
        database, findings = parse(path.read_bytes(), strict=strict)
    except (DbcError, OSError) as error:
        raise Failure(f"{path}: {error}", "") from error
    findings_told(path, findings)
    return database


def _layers(databases: list[Database], chosen: tuple[Any, ...], **how: bool) -> tuple[Layer, ...]:
    names = set(chosen)
    if "none" in names:
        if len(names) > 1:
            raise Failure("--transport none stands alone", "")
        return ()
    return layers_for(databases, None if "auto" in names else names, **how)


command.add_command(import_logs)
