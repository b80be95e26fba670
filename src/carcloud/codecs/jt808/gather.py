"""Packets of a capture put together, in whatever order and on whatever lines they come (4.4.3.4).

The gateway's `packets` asks terminals for what is missing; here the end of the input says so.
"""

import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from carcloud.codecs.jt808.frame import Frame
from carcloud.codecs.jt808.packets import joined

MOST_HELD: Final = 64_000_000  # bytes of incomplete messages; above it the oldest is given up
_OVERHEAD: Final = 400  # bytes that a held packet costs besides its own
_REMEMBERED: Final = 256  # complete messages whose packets are known when they come again
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
        self._done: OrderedDict[_Key, tuple[int, ...]] = OrderedDict()  # CRC-32 of each body

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
        self._done[key] = tuple(zlib.crc32(frame.body) for frame in frames)
        self._done.move_to_end(key)
        if len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)
        return joined(frames)

    def _give_up(self, key: _Key, because: str = "") -> Iterator[Lone]:
        group = self._groups.pop(key)
        self._held -= sum(map(_size, group.values()))
        why = _missing([number for number in range(1, key[-1] + 1) if number not in group])
        for number in sorted(group):
            yield Lone(group[number], "packet", f"{why}; {because}" if because else why)


def _size(frame: Frame) -> int:
    return len(frame.raw) + len(frame.body) + _OVERHEAD


def _missing(numbers: Sequence[int]) -> str:
    named = ", ".join(map(str, numbers[:_NAMED]))
    more = len(numbers) - _NAMED
    return f"{named}{f' and {more} more' if more > 0 else ''} did not come"
