"""Which format a file has, and reading it."""

import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from carcloud.codecs.can.candump import Candump
from carcloud.codecs.can.errors import BadLog
from carcloud.codecs.can.frames import CanFrames
from carcloud.engines.canlog_files.errors import LogFileError
from carcloud.engines.canlog_files.zones import Zone, parse_zone

BLOCK_BYTES = 4 * 1024 * 1024
HEAD_BYTES = 4096
FORMATS = "candump, ASC, BLF, TRC and MF4"
ZONELESS = ("ASC", "BLF", "TRC")

Progress = Callable[[int], None]  # bytes of the file that were read so far

_CANDUMP = re.compile(rb"^\s*(\([^)]*\)\s+)?\S{1,16}\s+([RT]X\s.*)?[0-9A-Fa-f]{3,8}(#|\s+\[)", re.M)
_ASC = re.compile(rb"^\s*(date\s+\S+\s+\S+|base\s+(hex|dec)\b|begin\s+triggerblock\b)", re.I | re.M)
_TRC = re.compile(rb"^\s*;\s*(\$FILEVERSION|\$STARTTIME|#{20})", re.M)
_TRC_LINE = re.compile(rb"^\s*\d+\)\s+\d+(\.\d+)?\s+([RT]x\s+)?[0-9A-F]{4,8}\s+\d", re.M)


@dataclass
class LogFile:
    """One log. `remarks` tells, after reading, what was left out or cut off.

    format: candump, ASC, BLF, TRC or MF4
    zone: for formats whose times have none
    """

    path: Path
    format: str
    packed: bool  # gzip
    zone: Zone | None
    remarks: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of the file, the measure of `progress`."""
        return self.path.stat().st_size

    def blocks(self, progress: Progress | None = None) -> Iterator[CanFrames]:
        """The frames in blocks of some MB, in the order of the log. Raises LogFileError."""
        report = progress or (lambda _done: None)
        try:
            if self.format == "MF4":
                from carcloud.engines.canlog_files.mdf import read_mdf

                yield from read_mdf(self.path, self.zone, self.remarks, report)
                return
            with self.path.open("rb") as raw, _unpacked(raw, self) as stream:
                yield from self._streamed(stream, lambda: report(raw.tell()))
        except BadLog as error:
            raise LogFileError(self.path, error.place, error.reason) from error
        except (OSError, EOFError, zlib.error) as error:
            raise LogFileError(self.path, "", str(error)) from error

    def _streamed(self, stream: BinaryIO, step: Callable[[], None]) -> Iterator[CanFrames]:
        if self.format == "candump":
            blocks = _candump(stream, self.remarks)
        else:
            from carcloud.engines.canlog_files import messages

            reader = {"ASC": messages.read_asc, "BLF": messages.read_blf, "TRC": messages.read_trc}
            blocks = reader[self.format](stream, self.zone, self.remarks)
        for block in blocks:
            yield block
            step()


def open_log(path: Path, zone: str | None = None) -> LogFile:
    """Recognise a log by what it holds, or by its name where that is not enough.

    Raises LogFileError for a file that is no log, and for one without a time zone where `zone`
    gives none; ValueError for a zone that does not exist.
    """
    parsed = parse_zone(zone) if zone else None
    try:
        with path.open("rb") as raw:
            head = raw.read(HEAD_BYTES)
        packed = head[:2] == b"\x1f\x8b"
        if packed:
            with path.open("rb") as raw:
                head = io.BufferedReader(_Packed(raw, []), HEAD_BYTES).read(HEAD_BYTES)
            if not head:
                raise LogFileError(path, "", "a gzip file that is empty, or cut off at its start")
    except (OSError, EOFError, zlib.error) as error:
        raise LogFileError(path, "", getattr(error, "strerror", None) or str(error)) from error
    kind = _recognise(head, path)
    if packed and kind == "MF4":
        raise LogFileError(path, "", "MF4 inside gzip; unpack it first")
    if kind in ZONELESS and parsed is None and not _tells_no_time(kind, head):
        raise LogFileError(
            path,
            "",
            f"{kind} tells local times without a zone; say which with --zone "
            "(Asia/Shanghai, +08:00 …), or --zone relative for times since its start",
        )
    return LogFile(path, kind, packed, parsed)


def read_log(path: Path, zone: str | None = None) -> CanFrames:
    """All frames of a log at once; see `open_log`."""
    return CanFrames.concat(open_log(path, zone).blocks())


class _Packed(io.RawIOBase):
    """What a gzip file holds, up to where it was cut off."""

    def __init__(self, raw: BinaryIO, remarks: list[str]) -> None:
        self._stream = gzip.GzipFile(fileobj=raw)
        self._remarks = remarks
        self._ended = False
        self._at = 0  # bytes of what it holds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            found = b"" if self._ended else self._stream.read1(len(buffer))
        except EOFError:
            self._ended, found = True, b""
            self._remarks.append("the gzip file is cut off; what lies before is kept")
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Tells where it is, and goes nowhere."""
        if (offset, whence) != (0, io.SEEK_CUR):
            raise io.UnsupportedOperation("seek")
        return self._at


@contextmanager
def _unpacked(raw: BinaryIO, file: LogFile) -> Iterator[BinaryIO]:
    if file.packed:
        yield io.BufferedReader(_Packed(raw, file.remarks), BLOCK_BYTES)
    else:
        yield raw


def _recognise(head: bytes, path: Path) -> str:
    if head.startswith((b"MDF     ", b"UnFinMF ")):
        if head[8:9] != b"4":
            version = head[8:12].decode("ascii", "replace")
            raise LogFileError(path, "", f"MDF {version} holds no bus log; version 4 does")
        if head[64:68] != b"##HD":  # ASAM MDF 4.1: the header block follows the identification
            raise LogFileError(path, "offset 64", "no header block of MF4")
        return "MF4"
    if head.startswith(b"LOGG"):
        return "BLF"
    text = head.removeprefix(b"\xef\xbb\xbf")
    if _TRC.search(text) or _TRC_LINE.search(text):
        return "TRC"
    if _ASC.search(text):
        return "ASC"
    if _CANDUMP.search(text):
        return "candump"
    by_name = {".asc": "ASC", ".trc": "TRC", ".log": "candump"}
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    kind = by_name.get(suffixes[-1] if suffixes else "")
    if kind is None or b"\0" in head:
        raise LogFileError(path, "", f"is no log of a kind that can be read: {FORMATS}")
    return kind


def _tells_no_time(kind: str, head: bytes) -> bool:
    """TRC 1.0 has no start time: nothing is guessed where its times are taken as relative."""
    return kind == "TRC" and b"$STARTTIME" not in head


def _candump(stream: BinaryIO, remarks: list[str]) -> Iterator[CanFrames]:
    parser = Candump()
    while block := stream.read(BLOCK_BYTES):
        yield parser.feed(block)
    yield parser.finish()
    remarks.extend(parser.remarks)
