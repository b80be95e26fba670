"""Messages that travel in several packets (4.4.3.4): put together, and told which are missing.

The packets of a message carry consecutive serial numbers, so a message is known by its id and the
serial number of its first packet. What is held is bounded in bytes, messages and time.

Some terminals repeat a packet they were asked for under a new serial number. Such a packet is
taken for the message that lacks it, unless it may be of another one: a first packet may, one that
goes on with what was no repetition, and one before which a frame is missing.

A message that was complete is remembered for a minute by its number and a checksum of each packet:
what is sent again is recognised, and another message under the same number is not taken for it.
"""

import zlib
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

import msgspec

from carcloud.codecs.errors import FrameError
from carcloud.codecs.jt808.frame import Frame, Garbage, Splitter

_OVERHEAD = 200  # bytes that a held packet costs besides its own
_REMEMBERED = 16  # completed messages whose packets may come again
_REMEMBERED_PACKETS = 20_000  # of all these together
_REMEMBERED_S = 60.0
_OWN = 64  # serial numbers that are known not to repeat packets of another message


@dataclass(frozen=True, slots=True)
class PacketLimits:
    """Bounds of what one terminal may leave incomplete."""

    message_bytes: int = 8_000_000  # largest message, as on the wire
    messages: int = 4  # incomplete at the same time
    ask_after_s: float = 5.0  # of silence; then the missing packets are asked for
    asks: int = 3  # times, each with as long a wait; then the message is given up


@dataclass(slots=True)
class Room:
    """Bytes that all terminals together may leave incomplete."""

    most: int = 256_000_000
    used: int = 0

    def take(self, size: int) -> bool:
        """Use so much more; False when there is not so much."""
        if self.used + size > self.most:
            return False
        self.used += size
        return True


class Progress(Enum):
    """What became of a packet that did not complete its message."""

    WAITING = "waiting"
    REPEATED = "repeated"  # it is here already; nothing is to be answered yet
    COMPLETE = "complete"  # its message was complete before


class Missing(msgspec.Struct, frozen=True):
    """A message has waited for packets: ask for them, or it is given up."""

    first: Frame  # the packet with the lowest number that is here
    serial: int  # serial number of the message's first packet
    numbers: tuple[int, ...]  # packets that are missing, in order
    frames: tuple[Frame, ...]  # packets that are here, in order
    given_up: bool


@dataclass(slots=True)
class _Group:
    edition: int
    packets: int
    changed: float  # s, when a packet came or was asked for
    frames: dict[int, Frame] = field(default_factory=dict)
    size: int = 0
    asked: int = 0


@dataclass(slots=True)
class _Done:
    edition: int
    serial: int  # of the joined message
    checks: "array[int]"  # CRC-32 of each packet's body
    since: float  # s, when it was complete
    held: Frame | None = None  # the joined message, while it cannot be answered


Key = tuple[int, int]  # message id, serial number of the first packet


class Assembler:
    """The incomplete messages of one terminal. Times are seconds of any steady clock."""

    def __init__(self, limits: PacketLimits | None = None, room: Room | None = None) -> None:
        self._limits = limits or PacketLimits()
        self._room = room or Room()
        self._groups: dict[Key, _Group] = {}
        self._done: OrderedDict[Key, _Done] = OrderedDict()
        self._own: OrderedDict[Key, None] = OrderedDict()  # serial numbers of messages of their own
        self._replaced: list[tuple[Key, _Group]] = []  # see `replaced`

    def __len__(self) -> int:
        return len(self._groups)

    def add(self, frame: Frame, now: float, *, follows: bool = True) -> Frame | Progress:
        """Take one packet; returns the whole message once all are here. See `replaced` as well.

        `follows`: its serial number is the next one after that of the terminal's last frame.

        Raises `FrameError`: "packet" for one that contradicts an earlier packet, "too-large" for
        one of a message above the limits.
        """
        key = self._key(frame, follows)
        group = self._groups.get(key)
        if group is None:
            done = self._sent_again(key, frame, now)
            if done is not None:
                return Progress.COMPLETE if done.held is None else Progress.REPEATED
            group = self._open(key, frame, now)
        elif (group.edition, group.packets) != (frame.edition, frame.packets):
            detail = f"of {frame.packets} ({frame.edition}), earlier ones of {group.packets}"
            raise FrameError("packet", 1, "4.4.3.4", f"{detail} ({group.edition})")
        held = group.frames.get(frame.packet)
        if held is not None and held.body == frame.body:
            return Progress.REPEATED
        if held is not None:
            self._replaced.append((key, self._groups.pop(key)))
            group = self._open(key, frame, now)
        self._hold(key, group, frame)
        group.changed = now
        if len(group.frames) < group.packets:
            return Progress.WAITING
        self._drop(key)
        frames = [group.frames[number] for number in range(1, group.packets + 1)]
        self._drop_parts(frames)
        self._remember(key, frames, now)
        return joined(frames)

    def replaced(self) -> Iterator[Missing]:
        """Messages in whose place another has come under the same serial numbers: given up.

        To be asked after each `add`: no bound but the shared room is on what waits to be told.
        """
        while self._replaced:
            key, group = self._replaced.pop()
            self._room.used -= group.size
            yield _missing(key, group, True)

    def hold(self, whole: Frame) -> None:
        """A joined message cannot be answered yet, nor its packets that come again."""
        for key, done in self._done.items():
            if (key[0], done.serial) == (whole.message, whole.serial):
                done.held = whole

    def settle(self, whole: Frame, *, kept: bool) -> None:
        """What was held can be answered; what is not kept is forgotten and may come anew."""
        for key, done in list(self._done.items()):
            if done.held is whole:
                done.held = None
                if not kept:
                    del self._done[key]

    def forget(self, whole: Frame) -> None:
        """A joined message was refused: its packets may come anew."""
        for key, done in list(self._done.items()):
            if (key[0], done.serial) == (whole.message, whole.serial):
                del self._done[key]

    def due(self, now: float) -> Iterator[Missing]:
        """Messages that have waited: to ask for what is missing, or given up and forgotten."""
        self._expire(now)
        for key, group in list(self._groups.items()):
            if now - group.changed < self._limits.ask_after_s:
                continue
            group.changed = now
            group.asked += 1
            given_up = group.asked > self._limits.asks
            if given_up:
                self._drop(key)
            yield _missing(key, group, given_up)

    def rest(self, now: float) -> None:
        """Nobody listened until now: that was no silence of the terminal."""
        for group in self._groups.values():
            group.changed = now

    def clear(self) -> Iterator[Missing]:
        """The terminal has gone: all that is incomplete is given up, the rest forgotten."""
        self._done.clear()
        for key in list(self._groups):
            yield _missing(key, self._drop(key), True)

    def _key(self, frame: Frame, follows: bool) -> Key:
        key = frame.message, (frame.serial - frame.packet + 1) & 0xFFFF
        if key in self._groups:
            return key
        if frame.packet > 1 and follows and key not in self._own:
            for other, group in self._groups.items():
                same = (other[0], group.packets) == (frame.message, frame.packets)
                if same and group.asked and frame.packet not in group.frames:
                    return other
        self._own[key] = None
        self._own.move_to_end(key)
        if len(self._own) > _OWN:
            self._own.popitem(last=False)
        return key

    def _drop_parts(self, frames: list[Frame]) -> None:
        """What is incomplete of a message that has come anew, whole, is no loss."""
        first = frames[0]
        for key, group in list(self._groups.items()):
            if (key[0], group.packets) == (first.message, first.packets) and all(
                frames[number - 1].body == here.body for number, here in group.frames.items()
            ):
                self._drop(key)

    def _open(self, key: Key, frame: Frame, now: float) -> _Group:
        limits = self._limits
        if frame.packets * (len(frame.raw) if frame.packet == 1 else 1) > limits.message_bytes:
            detail = f"{frame.packets} packets of about {len(frame.raw)} bytes"
            raise FrameError("too-large", 1, "4.4.3.4", detail)
        if len(self._groups) >= limits.messages:
            detail = f"{len(self._groups)} messages are incomplete already"
            raise FrameError("too-large", 1, "4.4.3.4", detail)
        group = self._groups[key] = _Group(frame.edition, frame.packets, now)
        return group

    def _hold(self, key: Key, group: _Group, frame: Frame) -> None:
        size = len(frame.raw) + _OVERHEAD
        too_large = group.size + size > self._limits.message_bytes
        if too_large or not self._room.take(size):
            if too_large or not group.frames:
                self._drop(key)
            detail = "the message is too long" if too_large else "no room for incomplete messages"
            raise FrameError("too-large", 1, "4.4.3.4", detail)
        group.frames[frame.packet] = frame
        group.size += size

    def _drop(self, key: Key) -> _Group:
        group = self._groups.pop(key)
        self._room.used -= group.size
        return group

    def _remember(self, key: Key, frames: list[Frame], now: float) -> None:
        checks = array("I", (zlib.crc32(frame.body) for frame in frames))
        self._done[key] = _Done(frames[0].edition, frames[0].serial, checks, now)
        self._done.move_to_end(key)
        while (
            len(self._done) > _REMEMBERED
            or sum(len(done.checks) for done in self._done.values()) > _REMEMBERED_PACKETS
        ):
            self._done.popitem(last=False)

    def _sent_again(self, key: Key, frame: Frame, now: float) -> _Done | None:
        """The complete message of which this is a packet; one of another message replaces it."""
        done = self._done.get(key)
        if done is None:
            return None
        if (
            (done.held is not None or now - done.since < _REMEMBERED_S)
            and (done.edition, len(done.checks)) == (frame.edition, frame.packets)
            and done.checks[frame.packet - 1] == zlib.crc32(frame.body)
        ):
            return done
        del self._done[key]
        return None

    def _expire(self, now: float) -> None:
        for key, done in list(self._done.items()):
            if done.held is None and now - done.since >= _REMEMBERED_S:
                del self._done[key]


def joined(frames: list[Frame]) -> Frame:
    """One message from all its packets in order; its `raw` is theirs, one after the other."""
    first = frames[0]
    return msgspec.structs.replace(
        first,
        packet=0,
        body=b"".join(frame.body for frame in frames),
        raw=b"".join(frame.raw for frame in frames),
    )


def parse_message(raw: bytes) -> Frame:
    """A message as the gateway keeps it: one frame, or all packets of one in order.

    Raises `FrameError` for bytes that are not exactly that.
    """
    frames: list[Frame] = []
    splitter = Splitter()
    for piece in [*splitter.feed(raw), *splitter.finish()]:
        if isinstance(piece, Garbage):
            raise piece.error
        frames.append(piece)
    if not frames:
        raise FrameError("truncated", 0, "4.4.1", "no frame")
    first = frames[0]
    if len(frames) == 1 and first.packets == 1:
        return first
    wanted = [(first.message, first.packets, number) for number in range(1, first.packets + 1)]
    found = [(frame.message, frame.packets, frame.packet) for frame in frames]
    if found != wanted:
        detail = f"{len(frames)} frames are not all {first.packets} packets of one message"
        raise FrameError("packet", 0, "4.4.3.4", detail)
    return joined(frames)


def _missing(key: Key, group: _Group, given_up: bool) -> Missing:
    here = sorted(group.frames)
    numbers = tuple(n for n in range(1, group.packets + 1) if n not in group.frames)
    frames = tuple(group.frames[number] for number in here)
    return Missing(frames[0], key[1], numbers, frames, given_up)
