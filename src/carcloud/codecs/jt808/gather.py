"""Packets of a capture put together, in whatever order and on whatever lines they come (4.4.3.4).

The gateway's `packets` asks terminals for what is missing; here the end of the input says so.
"""

import zlib
from array import array
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from carcloud.codecs.jt808.frame import Frame
from carcloud.codecs.jt808.packets import joined

MOST_HELD: Final = 64_000_000  # bytes of incomplete messages; above it the oldest is given up
_OVERHEAD: Final = 400  # bytes that a held packet costs besides its own
_REMEMBERED: Final = 256  # complete messages whose packets are known when they come again
_REMEMBERED_PACKETS: Final = 1_000_000  # of all these together, 4 bytes each
_NAMED: Final = 20  # packet numbers in a text

# terminal, layout of the header, message id, serial number of the first packet, packets
_Key = tuple[str, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Lone:
    """A packet without its message: `code` and `why` say what it lacks."""

    frame: Frame
    code: str  # packet: others are missing; repeated: it was here before
    why: str


class Gatherer:
    """The incomplete messages of one input, `most_held` bytes of them."""

    def __init__(self, most_held: int = MOST_HELD) -> None:
        self._most_held = most_held
        self._held = 0
        self._groups: OrderedDict[_Key, dict[int, Frame]] = OrderedDict()
        self._done: OrderedDict[_Key, array[int]] = OrderedDict()  # CRC-32 of each body
        self._done_packets = 0

    def add(self, frame: Frame) -> Iterator[Frame | Lone]:
        """Take one packet; gives its message once all are here, and what is given up."""
        first = (frame.serial - frame.packet + 1) & 0xFFFF
        key = frame.phone, frame.edition, frame.message, first, frame.packets
        held = self._groups.get(key, {}).get(frame.packet)
        done = self._done.get(key)
        check = zlib.crc32(frame.body)
        if held is not None and held.body == frame.body:
            yield Lone(frame, "repeated", "it is here already")
            return
        if held is not None:  # another message under the same serial numbers
            yield from self._give_up(key, "another message came under its serial numbers")
        elif done is not None and done[frame.packet - 1] == check:
            yield Lone(frame, "repeated", "its message was complete before")
            return
        group = self._groups.setdefault(key, {})
        group[frame.packet] = frame
        self._held += _size(frame)
        if len(group) == frame.packets:
            yield self._whole(key)
        while self._held > self._most_held:
            yield from self._give_up(next(iter(self._groups)), "too much is incomplete")

    def finish(self) -> Iterator[Lone]:
        """The input has ended: the packets of what is incomplete."""
        while self._groups:
            yield from self._give_up(next(iter(self._groups)))

    def _whole(self, key: _Key) -> Frame:
        group = self._groups.pop(key)
        frames = [group[number] for number in sorted(group)]
        self._held -= sum(map(_size, frames))
        self._remember(key, frames)
        return joined(frames)

    def _remember(self, key: _Key, frames: Iterable[Frame]) -> None:
        checks = array("I", (zlib.crc32(frame.body) for frame in frames))
        self._done_packets += len(checks) - len(self._done.pop(key, ()))
        self._done[key] = checks
        while len(self._done) > _REMEMBERED or self._done_packets > _REMEMBERED_PACKETS:
            _, oldest = self._done.popitem(last=False)
            self._done_packets -= len(oldest)

    def _give_up(self, key: _Key, because: str = "") -> Iterator[Lone]:
        group = self._groups.pop(key)
        self._held -= sum(map(_size, group.values()))
        why = _missing(group, key[-1])
        for number in sorted(group):
            yield Lone(group[number], "packet", f"{why}; {because}" if because else why)


def _size(frame: Frame) -> int:
    return len(frame.raw) + len(frame.body) + _OVERHEAD


def _missing(here: Collection[int], packets: int) -> str:
    lacking = (number for number in range(1, packets + 1) if number not in here)
    named = ", ".join(map(str, islice(lacking, _NAMED)))
    more = packets - len(here) - _NAMED
    return f"{named}{f' and {more} more' if more > 0 else ''} did not come"
