"""Logs of candump, the tool of Linux: bytes in, frames out.

Two forms, told apart line by line:

    (1700000000.001300) can0 123#0011AABB [R|T]        as `candump -L` and `-l` write
     (1700000000.001300)  can0  123   [4]  00 11 AA BB as `candump -t a` or `-t z` prints
"""

import re

import numpy as np
from numpy.typing import NDArray

from carcloud.codecs.can.errors import BadLog
from carcloud.codecs.can.frames import (
    BRS,
    ERROR,
    ESI,
    EXTENDED_IDS,
    FD,
    REMOTE,
    TRANSMITTED,
    CanFrames,
    Clock,
    FrameList,
)

ERROR_ID = 0x20000000  # bit of the identifier: an error frame
COMPILED_FROM = 1024 * 1024  # bytes; below, loading the compiled reader takes longer than reading
RELATIVE_BELOW = 100_000_000 * 10**9  # ns; a clock that stands before March 1973 is none
LONGEST_NAME = 16  # bytes of an interface name, IFNAMSIZ of Linux
CLASSIC_BYTES, FD_BYTES = 8, 64  # of payload, ISO 11898-1
LONGEST_LINE = 64 * 1024  # bytes
MOST_BUSES = 255

_COMPACT = re.compile(
    rb"\s*\((\d{1,10})\.(\d{1,9})\)\s+(\S{1,16})\s+([0-9A-Fa-f]{3,8})#"
    rb"(?:#([0-9A-Fa-f]))?(R[0-9A-Fa-f]?|(?:[0-9A-Fa-f]{2}\.?)*)(?:_[9A-Fa-f])?(?:\s+([RT]))?\s*"
)
_PRINTED = re.compile(
    rb"\s*\((\d{1,10})\.(\d{1,9})\)\s+(\S{1,16})\s+(?:([RT])X\s+\S\s+\S\s+)?"
    rb"([0-9A-Fa-f]{3,8})\s+\[(\d{1,2})\]((?:\s+[0-9A-Fa-f]{2})*)(\s+.*)?"
)


class Candump:
    """Reads a log block by block; blocks may end anywhere.

    clock: "host_utc", or "relative" where the first time stamp is small
    bus_names: the interface of each bus number
    remarks: what was noticed and left out
    """

    def __init__(self) -> None:
        self.clock: Clock | None = None
        self.bus_names: dict[int, str] = {}
        self.remarks: list[str] = []
        self._numbers: dict[bytes, int] = {}
        self._tail = b""
        self._lines = 0  # read before the block at hand
        self._latest = 0  # ns

    def feed(self, data: bytes) -> CanFrames:
        """The frames of all lines that end in this block. Raises BadLog with the line."""
        whole, newline, rest = data.rpartition(b"\n")
        if not newline:
            self._tail += data
            if len(self._tail) > LONGEST_LINE:
                raise BadLog(f"line {self._lines + 1}", "longer than any line of candump")
            return CanFrames.empty(self.clock or "host_utc")
        block, self._tail = self._tail + whole + newline, rest
        frames = self._frames(block)
        self._lines += block.count(b"\n")
        return frames

    def finish(self) -> CanFrames:
        """The frame of a last line that no line end follows; one that was cut off is told."""
        block, self._tail = self._tail, b""
        try:
            return self._frames(block)
        except BadLog as error:
            self.remarks.append(f"{error.place} is cut off and was left out")
            return CanFrames.empty(self.clock or "host_utc")

    def _frames(self, block: bytes) -> CanFrames:
        names: list[bytes] = []
        frames = None
        if len(block) >= COMPILED_FROM:
            from carcloud.codecs.can.candump_kernel import read_block

            frames = read_block(block, names)
        if frames is None:  # a short block, or one with a line that is out of the ordinary
            names.clear()
            frames = read_plainly(block, self._lines, names)
        if not len(frames):
            return frames
        if self.clock is None:
            self.clock = "relative" if frames.time[0] < RELATIVE_BELOW else "host_utc"
        self._check_times(frames.time)
        numbers = np.array([self._number(name) for name in names], np.uint8)
        return CanFrames(
            frames.time,
            numbers[frames.bus],
            frames.can_id,
            frames.extended,
            frames.flags,
            frames.length,
            frames.start,
            frames.payload,
            self.clock,
        )

    def _check_times(self, time: NDArray[np.int64]) -> None:
        before = np.concatenate([[self._latest], time[:-1]])
        self._latest = int(time[-1])
        back = np.flatnonzero(time < before)
        if self.clock == "relative" and len(back) > max(8, len(time) // 4):
            raise BadLog(
                f"line {self._lines + int(back[0]) + 1}",
                "times go back all the time: `candump -t d` writes differences, take -t a or -L",
            )

    def _number(self, name: bytes) -> int:
        """The digits at the end of the name, or the next number that is free."""
        if name not in self._numbers:
            digits = re.search(rb"\d{1,3}$", name)
            wanted = int(digits[0]) if digits else 0
            taken = set(self._numbers.values())
            if wanted in taken or wanted > MOST_BUSES:
                wanted = min(set(range(MOST_BUSES + 1)) - taken)
                self.remarks.append(f"{name.decode('ascii', 'replace')} is bus {wanted}")
            self._numbers[name] = wanted
            self.bus_names[wanted] = name.decode("ascii", "replace")
        return self._numbers[name]


def read_plainly(block: bytes, lines: int, names: list[bytes]) -> CanFrames:
    """The frames of whole lines, one by one: the reference of the compiled reader.

    `bus` is an index into names, which is filled. lines: how many were read before.
    Raises BadLog.
    """
    rows = FrameList()
    known: dict[bytes, int] = {}
    for number, line in enumerate(block.split(b"\n"), lines + 1):
        if not line.strip() or line.lstrip().startswith(b"#"):
            continue
        try:
            _one(line, rows, known)
        except ValueError as error:
            raise BadLog(f"line {number}", str(error)) from error
    names.extend(known)
    return rows.frames()


def _one(line: bytes, rows: FrameList, known: dict[bytes, int]) -> None:
    flags = 0
    if match := _COMPACT.fullmatch(line):
        seconds, fraction, name, identifier, fd, data, direction = match.groups()
        if fd:
            mark = int(fd, 16)
            flags = FD | (BRS if mark & 1 else 0) | (ESI if mark & 2 else 0)
        remote = data[:1] == b"R"
        payload = b"" if remote else bytes.fromhex(data.replace(b".", b"").decode())
    elif match := _PRINTED.fullmatch(line):
        seconds, fraction, name, direction, identifier, size, data, rest = match.groups()
        flags = FD if len(size) == 2 else 0
        payload = bytes.fromhex(data.decode())
        remote = not payload and bool(rest) and b"remote" in rest
        if not remote and len(payload) < int(size):
            raise ValueError(f"{len(payload)} bytes where {int(size)} are announced")
        payload = payload[: int(size)]
    else:
        raise ValueError("not a line of candump with a time, an interface and a frame")
    most = FD_BYTES if flags & FD else CLASSIC_BYTES
    if len(payload) > most:
        raise ValueError(f"{len(payload)} bytes in a frame that holds {most}")
    if remote:
        flags |= REMOTE
    if direction == b"T":
        flags |= TRANSMITTED
    extended = len(identifier) > 3
    can_id = int(identifier, 16)
    if extended and can_id & ERROR_ID:
        flags |= ERROR
        can_id &= EXTENDED_IDS
    time = int(seconds) * 10**9 + int(fraction.ljust(9, b"0"))
    bus = known.setdefault(name, len(known))
    rows.append(time, can_id, payload, bus=bus, extended=extended, flags=flags)
