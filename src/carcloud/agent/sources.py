"""A CAN log, and how it is replayed."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path

from carcloud.codecs.campaign.frames import EXTENDED

Frame = tuple[int, int, bytes]  # time in us, key, payload

_LINE = re.compile(
    r"\((\d+)\.(\d{1,9})\)\s+(\S+)\s+([0-9A-Fa-f]{1,8})#(#[0-9A-Fa-f])?([0-9A-Fa-f.]*)"
)
_ERROR_FLAG = 0x2000_0000  # of a SocketCAN id
_LATE_US = 1_000_000  # that a replay may be behind


class NoLog(ValueError):
    """A log without a frame, or a line that is none."""


def candump_lines(text: str) -> Iterator[tuple[str, Frame]]:
    """Bus and frame of each line of a candump log; remote and error frames are passed over.

    Raises `NoLog` with the number of a line that cannot be read.
    """
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith(("*", "#")):
            continue
        match = _LINE.match(stripped)
        if match is None:
            raise NoLog(f"line {number} is no line of a candump log")
        seconds, fraction, bus, name, _, digits = match.groups()
        can_id = int(name, 16)
        rest = stripped[match.end() :]
        if rest.startswith("R") or can_id & _ERROR_FLAG:
            continue
        payload = digits.replace(".", "")
        if len(payload) % 2:
            raise NoLog(f"line {number} has half a byte")
        key = can_id | EXTENDED if len(name) > 3 else can_id
        time_us = int(seconds) * 1_000_000 + int(fraction.ljust(6, "0")[:6])
        yield bus, (time_us, key, bytes.fromhex(payload))


Log = Sequence[tuple[str, Frame]]
"""Bus and frame, in the order of their time; several agents of one process may share it."""


def read_log(file: Path) -> Log:
    """A candump log in memory; raises `NoLog`."""
    frames = sorted(candump_lines(file.read_text("ascii", "replace")), key=lambda each: each[1][0])
    if not frames:
        raise NoLog(f"{file} has no frame")
    return frames


class Replay:
    """A log, played at `speed` times its pace from now on, again and again if asked.

    It begins `skip_us` of the log's time after its first frame. Times of frames are those of the
    clock that is passed in, not those of the log. What falls behind that clock by more than a
    second, or is ahead of one that was set back, goes on from there.
    """

    def __init__(
        self, frames: Log, *, speed: float = 1.0, loop: bool = False, skip_us: int = 0
    ) -> None:
        self._frames = frames
        self._speed = speed
        self._loop = loop
        self._first_us = frames[0][1][0]
        span = frames[-1][1][0] - self._first_us
        gap = span // max(len(frames) - 1, 1)  # between the last frame and the first of a loop
        self._span_us = span + max(gap, 1)
        self._skip_us = skip_us % self._span_us
        begin = self._first_us + self._skip_us
        self._at = bisect_left(frames, begin, key=lambda each: each[1][0]) % len(frames)
        self._start_us: int | None = None
        self._last_us = 0

    def end(self) -> None:
        """Play no more."""
        self._at = len(self._frames)

    @property
    def done(self) -> bool:
        """Whether all frames were given."""
        return self._at >= len(self._frames)

    def _due_us(self, start: int) -> int:
        log_us = self._frames[self._at][1][0] - self._first_us
        return start + int(log_us / self._speed)

    def wait_us(self, now: int) -> int:
        """How long until the next frame is due."""
        if self.done or self._start_us is None:
            return 0
        return max(self._due_us(self._start_us) - now, 0)

    def take(self, now: int, most: int = 4096) -> list[tuple[str, list[Frame]]]:
        """The frames that are due at `now`, at most so many, in runs of one bus."""
        if self._start_us is None:
            self._start_us = now - int(self._skip_us / self._speed)
        if now < self._last_us - _LATE_US:
            self._start_us += now - self._last_us
        self._last_us = now
        if not self.done:
            self._start_us += max(now - self._due_us(self._start_us) - _LATE_US, 0)
        runs: list[tuple[str, list[Frame]]] = []
        for _ in range(most):
            if self._at == len(self._frames) or (due := self._due_us(self._start_us)) > now:
                break
            bus, (_, key, payload) = self._frames[self._at]
            if not runs or runs[-1][0] != bus:
                runs.append((bus, []))
            runs[-1][1].append((due, key, payload))
            self._at += 1
            if self._at == len(self._frames) and self._loop:
                self._at = 0
                self._start_us += int(self._span_us / self._speed)
        return runs
