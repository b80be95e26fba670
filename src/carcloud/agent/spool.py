"""Records on disk until they are acknowledged: safe against kill and power cut.

Each stream is a folder of segments that are only appended to. A record is length, CRC-32, time and
bytes; a torn one at the end is cut off when the stream is opened. `position` names the first record
that is not acknowledged; it is written after the acknowledgement, so a record may be sent twice,
but never not at all. When the spool is full, its oldest segment goes, and its records are counted.

A full or broken disk ends nothing: what cannot be written is lost and counted, what is there can
be read and sent, which makes room.
"""

import errno
import json
import logging
import os
import shutil
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

log = logging.getLogger(__name__)

_HEADER = struct.Struct(">IIQ")  # bytes of the payload, CRC-32 of time and payload, time in us
_SEGMENT_BYTES = 1 << 20
_SAVE_EVERY = 32  # acknowledgements
_RECENT = 256  # records that are not read back from disk
_RECENT_BYTES = 4096  # of each of them
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # what dropping the oldest may mend


@dataclass(frozen=True, slots=True)
class Kept:
    """One record: its number in the stream, when it came (microseconds), its bytes."""

    number: int
    time_us: int
    payload: bytes


@dataclass(slots=True)
class _Segment:
    path: Path
    first: int
    count: int
    bytes: int
    oldest_us: int
    newest_us: int


def _records(path: Path, first: int) -> tuple[list[Kept], int]:
    """The whole records of a segment, and how many bytes they take."""
    data = path.read_bytes()
    found: list[Kept] = []
    at = 0
    while len(data) - at >= _HEADER.size:
        size, checksum, time_us = _HEADER.unpack_from(data, at)
        end = at + _HEADER.size + size
        if end > len(data) or zlib.crc32(data[at + 8 : end]) != checksum:
            break
        found.append(Kept(first + len(found), time_us, data[at + _HEADER.size : end]))
        at = end
    return found, at


def _write(file: BinaryIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _cut(path: Path, size: int) -> None:
    """Cut a torn end off. Where that fails it stays: nothing is added behind it."""
    try:
        os.truncate(path, size)
    except OSError as error:
        log.warning("%s cannot be cut: %s", path, error)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s cannot be removed: %s", path, error)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("%s cannot be made: %s", folder, error)  # appending tells and counts it


class Stream:
    """The records of one campaign's partition, first in, first out."""

    def __init__(self, folder: Path, segment_bytes: int = _SEGMENT_BYTES) -> None:
        self._folder = folder
        self.segment_bytes = segment_bytes
        self._segments: list[_Segment] = []
        self._file: BinaryIO | None = None
        self._acknowledged: set[int] = set()
        self._since_save = 0
        self._read: list[Kept] = []
        self._recent: dict[int, Kept] = {}
        self.dropped = 0
        self.damaged = 0
        _make(folder)
        for path in sorted(folder.glob("*.seg")):
            self._open(path)
        self.position = max(self._saved(), self._segments[0].first if self._segments else 0)
        self.next = max(self.position, self._end())
        self._forget()

    def _open(self, path: Path) -> None:
        first = int(path.stem)
        found, size = _records(path, first)
        over = path.stat().st_size - size
        if over:
            self.damaged += 1
            _cut(path, size)
        if not found:
            _remove(path)
            return
        times = [each.time_us for each in found]
        self._segments.append(_Segment(path, first, len(found), size, min(times), max(times)))

    def _saved(self) -> int:
        try:
            return int(json.loads((self._folder / "position").read_text())["next"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0  # all is sent once more

    def _end(self) -> int:
        return self._segments[-1].first + self._segments[-1].count if self._segments else 0

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(each.bytes for each in self._segments)

    @property
    def waiting(self) -> int:
        """Records that are not acknowledged."""
        return self.next - self.position - len(self._acknowledged)

    def waiting_from(self, number: int) -> int:
        """Records from `number` on that are not acknowledged."""
        first = max(number, self.position)
        return self.next - first - sum(each >= first for each in self._acknowledged)

    @property
    def oldest_us(self) -> int | None:
        """When the oldest record came, None where there is none."""
        return self._segments[0].oldest_us if self._segments else None

    def append(self, payload: bytes, time_us: int) -> int:
        """Add a record; it is safe after `sync`. Returns its number.

        Raises `OSError`, and then nothing of the record is kept.
        """
        if self._file is None or self._segments[-1].bytes >= self.segment_bytes:
            self._begin(time_us)
        assert self._file is not None  # noqa: S101 - begun above
        segment = self._segments[-1]
        stamp = struct.pack(">Q", time_us)
        checksum = zlib.crc32(payload, zlib.crc32(stamp))
        try:
            _write(self._file, _HEADER.pack(len(payload), checksum, time_us) + payload)
        except OSError:
            self._give_up(segment)
            raise
        segment.count += 1
        segment.bytes += _HEADER.size + len(payload)
        segment.newest_us = max(segment.newest_us, time_us)
        if len(payload) <= _RECENT_BYTES:
            self._recent[self.next] = Kept(self.next, time_us, payload)
            self._recent.pop(self.next - _RECENT, None)
        self.next += 1
        return self.next - 1

    def _give_up(self, segment: _Segment) -> None:
        """A record is half written: cut it off, and begin another segment with the next one."""
        if self._file is not None:
            self._file.close()
            self._file = None
        _cut(segment.path, segment.bytes)
        if not segment.count:
            self._segments.remove(segment)
            _remove(segment.path)

    def _begin(self, time_us: int) -> None:
        if self._file is not None:
            self.sync()
            self._file.close()
            self._file = None
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self.next:020d}.seg"
        # Unbuffered: what fails must not be written later, with the next record.
        self._file = path.open("wb", buffering=0)
        self._segments.append(_Segment(path, self.next, 0, 0, time_us, time_us))
        try:
            _sync_folder(self._folder)
        except OSError:
            self._give_up(self._segments[-1])
            raise

    def sync(self) -> None:
        """Wait until all that was added is on disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def peek(self, number: int) -> Kept | None:
        """The first record from `number` on that is not acknowledged, None at the end."""
        number = max(number, self.position)
        while number < self.next:
            if number in self._acknowledged:
                number += 1
                continue
            found = self._find(number)
            if found is not None:
                return found
            number += 1
        return None

    def _find(self, number: int) -> Kept | None:
        if (recent := self._recent.get(number)) is not None:
            return recent
        if not self._read or not self._read[0].number <= number <= self._read[-1].number:
            for segment in self._segments:
                if segment.first <= number < segment.first + segment.count:
                    self._read, _ = _records(segment.path, segment.first)
                    break
        if not self._read or not self._read[0].number <= number <= self._read[-1].number:
            # Damaged on disk since it was written: nothing can be sent of it.
            self.damaged += 1
            self.acknowledge(number)
            return None
        return self._read[number - self._read[0].number]

    def acknowledge(self, number: int) -> None:
        """A record has arrived: it need not be kept."""
        if number < self.position:
            return
        self._acknowledged.add(number)
        while self.position in self._acknowledged:
            self._acknowledged.remove(self.position)
            self.position += 1
        self._since_save += 1
        if self._since_save >= _SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Write the position down, and remove what is behind it."""
        if not self._since_save:
            return
        self._since_save = 0
        new = self._folder / "position.new"
        try:
            new.write_text(json.dumps({"next": self.position}))
            new.replace(self._folder / "position")
        except OSError as error:
            log.debug("the position of %s cannot be written: %s", self._folder, error)
        self._forget()  # in any case: it makes room

    def _forget(self) -> None:
        while self._segments and self._segments[0].first + self._segments[0].count <= self.position:
            if self._file is not None and len(self._segments) == 1:
                break  # still written to
            _remove(self._segments.pop(0).path)

    def drop_oldest(self) -> int:
        """Remove the oldest segment; returns how many records that were not sent are lost."""
        if not self._segments:
            return 0
        if self._file is not None and len(self._segments) == 1:
            self._file.close()
            self._file = None
        segment = self._segments.pop(0)
        end = segment.first + segment.count
        lost = sum(
            number not in self._acknowledged
            for number in range(max(segment.first, self.position), end)
        )
        self.dropped += lost
        self.position = max(self.position, end)
        self._acknowledged = {each for each in self._acknowledged if each >= self.position}
        _remove(segment.path)
        self._since_save += 1
        self.save()
        return lost

    def expire(self, before_us: int) -> int:
        """Remove segments whose newest record is older; returns how many records are lost."""
        lost = 0
        while self._segments and self._segments[0].newest_us < before_us:
            lost += self.drop_oldest()
        return lost

    def close(self) -> None:
        """Write down what is known."""
        self.save()
        try:
            self.sync()
        except OSError as error:
            log.warning("%s cannot be synced: %s", self._folder, error)
        if self._file is not None:
            self._file.close()
            self._file = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a stream may keep, and for how long; None = as the whole spool."""

    most_bytes: int | None = None
    keep_us: int | None = None


@dataclass(slots=True)
class Spool:
    """All streams below one folder, within `most_bytes` together."""

    folder: Path
    most_bytes: int
    streams: dict[str, Stream] = field(default_factory=dict)
    bounds: dict[str, Bounds] = field(default_factory=dict)
    _lost: int = 0  # records that went with their streams, or could not be written
    _failing: bool = False  # the last record could not be written

    def __post_init__(self) -> None:
        _make(self.folder)
        for found in sorted(self.folder.glob("*/")):
            self.stream(found.name)

    def stream(self, name: str) -> Stream:
        """The stream of a name, made if need be."""
        if name not in self.streams:
            self.streams[name] = Stream(self.folder / name, self._segment_bytes(None))
        return self.streams[name]

    def _segment_bytes(self, most: int | None) -> int:
        return max(min(_SEGMENT_BYTES, min(most or self.most_bytes, self.most_bytes) // 8), 512)

    def limit(self, name: str, bounds: Bounds) -> None:
        """Bound a stream from now on."""
        self.bounds[name] = bounds
        self.stream(name).segment_bytes = self._segment_bytes(bounds.most_bytes)

    def append(self, name: str, payload: bytes, time_us: int) -> int | None:
        """Add a record, and make room if that was too much.

        None: the disk does not take it, and it is lost. Where the disk is full, the oldest segment
        goes first; if that does not help, no other goes until the disk takes records again.
        """
        stream = self.stream(name)
        try:
            try:
                number = stream.append(payload, time_us)
            except OSError as error:
                if error.errno not in _FULL or self._failing or not self._drop_oldest():
                    raise
                number = stream.append(payload, time_us)
        except OSError as error:
            if not self._failing:
                log.warning("records cannot be kept: %s", error)
            self._failing = True
            self._lost += 1
            return None
        if self._failing:
            log.warning("records are kept again")
        self._failing = False
        self._make_room(name)
        return number

    def _make_room(self, name: str) -> None:
        stream, most = self.stream(name), self.bounds.get(name, Bounds()).most_bytes
        while most is not None and stream.size > most:
            stream.drop_oldest()
        while self.size > self.most_bytes:
            self._drop_oldest()

    def _drop_oldest(self) -> bool:
        """Remove the oldest segment of all; False where there is none."""
        oldest = min(
            (each for each in self.streams.values() if each.oldest_us is not None),
            key=lambda each: each.oldest_us or 0,
            default=None,
        )
        if oldest is None:
            return False
        oldest.drop_oldest()
        return True

    def sweep(self, now_us: int) -> int:
        """Remove what is older than its bounds allow; returns how many records are lost."""
        lost = 0
        for name, bounds in self.bounds.items():
            if bounds.keep_us is not None and name in self.streams:
                lost += self.streams[name].expire(now_us - bounds.keep_us)
        return lost

    def remove(self, name: str) -> None:
        """Forget a stream and its records."""
        stream = self.streams.pop(name, None)
        if stream is not None:
            self._lost += stream.dropped + stream.waiting
            stream.close()
            shutil.rmtree(self.folder / name, ignore_errors=True)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(each.size for each in self.streams.values())

    @property
    def waiting(self) -> int:
        """Records that are not acknowledged."""
        return sum(each.waiting for each in self.streams.values())

    @property
    def dropped(self) -> int:
        """Records lost for want of room, for age or with their campaign, since the start."""
        return self._lost + sum(each.dropped for each in self.streams.values())

    def close(self) -> None:
        """Write down what is known."""
        for each in self.streams.values():
            each.close()
