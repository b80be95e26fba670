"""ASC and BLF of Vector, TRC of PEAK: python-can reads the frames, this adds their clock.

python-can takes local times for UTC or for the zone of the machine. So it is given no start at
all, its times are kept as offsets, and the start is added here in the zone that was asked for.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, TextIO, cast

from carcloud.codecs.can.errors import BadLog
from carcloud.codecs.can.frames import (
    BRS,
    ERROR,
    ESI,
    EXTENDED_IDS,
    FD,
    REMOTE,
    STANDARD_IDS,
    TRANSMITTED,
    CanFrames,
    Clock,
    FrameList,
)
from carcloud.engines.canlog_files.zones import RELATIVE, Zone, to_ns

BLOCK_FRAMES = 100_000
# what python-can raises on lines and objects that are not as they should be
_CORRUPT = (ValueError, LookupError, TypeError, ArithmeticError, NotImplementedError)
LAST_BUS = 255

_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan", "feb", "mar mär mrz", "apr", "may mai", "jun", "jul", "aug", "sep", "oct okt",
         "nov", "dec dez"), 1,
    )
    for name in names.split()
}  # fmt: skip
_DATE = re.compile(
    r"(?:date|begin\s+triggerblock)\s+\S+\s+(\w+)\.?\s+(\d+)\s+(\d+):(\d+):(\d+)(?:\.(\d+))?"
    r"\s*([ap]m)?\s+(\d{4})",
    re.IGNORECASE,
)
_DATED = re.compile(r"date\s|begin\s+triggerblock\s+\S", re.IGNORECASE)
_BODY = re.compile(r"\s*(?:\d+\.\d+\s|begin\s+triggerblock)", re.IGNORECASE)  # of ASC
_BASE = re.compile(r"base\s+(?:hex|dec)\s+timestamps\s+(absolute|relative)", re.IGNORECASE)
_STAMP = re.compile(r"\s*(\d+\.\d+)(\s.*)", re.DOTALL)
_OLE_START = datetime(1899, 12, 30)  # noqa: DTZ001 - local time of the PC, as the file has it


class _Lines:
    """The lines of a text log as python-can wants a file, counted and seen on their way."""

    def __init__(self, stream: BinaryIO, see: Callable[[str], str]) -> None:
        self.number = 0
        self.whole = True  # the last line had a line end
        self._stream = stream
        self._see = see
        self._in_body = False
        self._lines = self._each()

    def __iter__(self) -> Iterator[str]:
        """Goes on where the last loop over it broke off, as a file does."""
        return self._lines

    def _each(self) -> Iterator[str]:
        for raw in self._stream:
            self.number += 1
            self.whole = raw.endswith(b"\n")
            line = self._see(_text(raw))
            if not self._in_body and _BODY.match(line):
                self._in_body = True
                yield "\n"  # python-can drops the line behind a header that is not complete
            yield line

    def read(self, _size: int = -1) -> str:
        """python-can takes what has `read` for a file, and reads the lines."""
        raise NotImplementedError

    def close(self) -> None:
        """The stream belongs to the caller."""


class _Kept:
    """A binary stream that python-can does not close at its end."""

    def __init__(self, stream: BinaryIO) -> None:
        self.read = stream.read

    def close(self) -> None:
        """The stream belongs to the caller."""


class _AscClock:
    """The start of the trigger block at hand (ns), and stamps that count from the line before."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.start: int | None = None  # ns
        self.first: int | None = None  # ns, the start that times since the log's start count from
        self._relative_stamps = False
        self._stamp = 0.0  # s

    def see(self, line: str) -> str:
        if _DATED.match(line.lstrip()):
            zone = UTC if self.zone == RELATIVE else self.zone
            self.start = to_ns(_asc_date(line), zone)
            self._stamp = 0.0
        elif match := _BASE.match(line.lstrip()):
            self._relative_stamps = match[1].lower() == "relative"
        elif self._relative_stamps and (match := _STAMP.match(line)):
            self._stamp += float(match[1])
            return f"{self._stamp:.9f}{match[2]}"
        return line

    def base(self) -> int:
        if self.zone != RELATIVE:
            return self.start or 0
        if self.first is None:
            self.first = self.start or 0
        return (self.start or 0) - self.first


def read_asc(stream: BinaryIO, zone: Zone | None, remarks: list[str]) -> Iterator[CanFrames]:
    """Vector ASCII. Raises BadLog with the line."""
    from can.io.asc import ASCReader

    clock = _AscClock(zone or RELATIVE)
    lines = _Lines(stream, clock.see)
    reader = ASCReader(cast(TextIO, lines))
    yield from _text_blocks(
        reader, lines, remarks, clock.base, lambda: _quality(clock.zone, clock.start)
    )


def read_trc(stream: BinaryIO, zone: Zone | None, remarks: list[str]) -> Iterator[CanFrames]:
    """PEAK trace, versions 1.0 to 2.1. Raises BadLog with the line."""
    from can.io.trc import TRCReader

    wanted = zone or RELATIVE
    start: int | None = None

    def see(line: str) -> str:
        nonlocal start
        if not line.startswith(";$STARTTIME"):
            return line
        try:
            days = float(line.split("=")[1])
        except (IndexError, ValueError) as error:
            raise BadLog(f"line {lines.number}", "a start time that is no number") from error
        local = _OLE_START + timedelta(microseconds=round(days * 86_400e6))
        start = None if wanted == RELATIVE else to_ns(local, wanted)
        return ";\n"  # python-can would take it for UTC

    lines = _Lines(stream, see)
    reader = TRCReader(cast(TextIO, lines))
    yield from _text_blocks(
        reader, lines, remarks, lambda: start or 0, lambda: _quality(wanted, start)
    )


def read_blf(stream: BinaryIO, zone: Zone | None, remarks: list[str]) -> Iterator[CanFrames]:
    """Vector binary logging. Raises BadLog with the offset."""
    from can.io.blf import BLFParseError, BLFReader

    try:
        reader = BLFReader(cast(Any, _Kept(stream)))
    except (struct.error, BLFParseError) as error:
        raise BadLog("offset 0", "the header of a BLF file is cut off") from error
    start = None
    wanted = zone or RELATIVE
    if wanted != RELATIVE and reader.start_timestamp:
        utc = datetime.fromtimestamp(reader.start_timestamp, UTC).replace(tzinfo=None)
        start = to_ns(utc, wanted)
    elif wanted != RELATIVE:
        remarks.append("the header tells no start: times are those since the log's start")
    reader.start_timestamp = 0.0  # the times that come are offsets
    clock = _quality(wanted, start)
    rows = FrameList()
    cut = False
    try:
        for message in reader:
            _append(rows, message, start or 0)
            if len(rows) >= BLOCK_FRAMES:
                yield rows.frames(clock)
                rows = FrameList()
    except (struct.error, zlib.error) as error:
        if stream.read(1):
            raise BadLog(f"offset {stream.tell() - 1}", f"no object of BLF: {error}") from error
        cut = True
    except (BLFParseError, *_CORRUPT) as error:
        raise BadLog(f"offset {stream.tell()}", f"no object of BLF: {error}") from error
    yield rows.frames(clock)
    if cut or stream.tell() < int(reader.file_size):  # which is 0 where it was never closed
        remarks.append("the file is cut off; what lies before is kept")


def _text_blocks(
    reader: Any,
    lines: _Lines,
    remarks: list[str],
    base: Callable[[], int],
    quality: Callable[[], Clock],
) -> Iterator[CanFrames]:
    rows = FrameList()
    try:
        for message in reader:
            _append(rows, message, base())
            if len(rows) >= BLOCK_FRAMES:
                yield rows.frames(quality())
                rows = FrameList()
    except BadLog:
        raise
    except _CORRUPT as error:
        if lines.whole:
            raise BadLog(f"line {lines.number}", f"is no frame: {error}") from error
        remarks.append(f"line {lines.number} is cut off and was left out")
    yield rows.frames(quality())


def _append(rows: FrameList, message: Any, base: int) -> None:
    flags = (
        (FD if message.is_fd else 0)
        | (ERROR if message.is_error_frame else 0)
        | (REMOTE if message.is_remote_frame else 0)
        | (0 if message.is_rx else TRANSMITTED)
        | (BRS if message.bitrate_switch else 0)
        | (ESI if message.error_state_indicator else 0)
    )
    can_id = int(message.arbitration_id) & EXTENDED_IDS
    # some writers forget the mark of 29-bit identifiers
    extended = bool(message.is_extended_id) or can_id > STANDARD_IDS
    rows.append(
        base + round(message.timestamp * 1e9),
        can_id,
        bytes(message.data),
        bus=min(int(message.channel or 0), LAST_BUS),
        extended=extended,
        flags=flags,
    )


def _quality(zone: Zone, start: int | None) -> Clock:
    return "relative" if zone == RELATIVE or start is None else "local_assumed"


def _asc_date(line: str) -> datetime:
    match = _DATE.match(line.strip())
    month = _MONTHS.get(match[1].lower()) if match else None
    if match is None or month is None:
        raise ValueError(f"a date that cannot be read: {line.strip()!r}")
    _, day, hour, minute, second, fraction, half, year = match.groups()
    hours = int(hour)
    if half and hours <= 12:  # some writers put am behind a clock of 24 hours
        hours = hours % 12 + (12 if half.lower() == "pm" else 0)
    micro = int((fraction or "0").ljust(6, "0")[:6])
    return datetime(int(year), month, int(day), hours, int(minute), int(second), micro)  # noqa: DTZ001


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")
