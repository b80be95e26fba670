"""ISO 15765-2 (ISO-TP): messages of diagnostics over frames of CAN and CAN FD.

The upper four bits of the first byte say what a frame is: 0 a whole message, 1 the first frame
of one, 2 a further frame, 3 flow control, which a listener does not need.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carcloud.codecs.can.assembly import Parts
from carcloud.codecs.can.frames import ERROR, FD, REMOTE, CanFrames

SINGLE, FIRST, FURTHER = 0, 1, 2
N_CR = 10**9  # ns between frames of a message
Id = tuple[int, bool]  # (identifier, extended)


def is_diagnostic(frames: CanFrames) -> NDArray[np.bool_]:
    """Identifiers that are usual for diagnostics.

    11 bits: 0x700 to 0x7FF. 29 bits: normal fixed addressing of ISO 15765-2, 0x18DAxxxx.
    """
    fixed = frames.extended & ((frames.can_id >> 16) == 0x18DA)
    return np.asarray(fixed | (~frames.extended & (frames.can_id >= 0x700)))


def is_diagnostic_id(can_id: int, extended: bool) -> bool:
    """`is_diagnostic` of one identifier."""
    return can_id >> 16 == 0x18DA if extended else can_id >= 0x700


@dataclass(frozen=True)
class IsoTp:
    """Messages of some identifiers; of all usual ones where `ids` is None.

    extended_addressing: the first byte of each frame is an address (it cannot be told from the
        frames)
    length_byte: messages begin with the low byte of their length, as DBC files for diagnostics
        of CSS Electronics have it: their byte 0 is byte 1 of the first frame
    """

    ids: frozenset[Id] | None = None
    extended_addressing: bool = False
    length_byte: bool = False

    @classmethod
    def of(cls, ids: Iterable[Id], *, length_byte: bool = False) -> "IsoTp":
        return cls(frozenset(ids), length_byte=length_byte)

    def claims(self, frames: CanFrames) -> NDArray[np.bool_]:
        """All frames of these identifiers, flow control among them."""
        if self.ids is None:
            return is_diagnostic(frames)
        known = np.array([can_id | extended << 31 for can_id, extended in self.ids], np.int64)
        wide = frames.can_id.astype(np.int64) | frames.extended.astype(np.int64) << 31
        return np.isin(wide, known)

    def mine(self, frames: CanFrames) -> NDArray[np.bool_]:
        """Data frames of these identifiers that are no flow control."""
        chosen = self.claims(frames)
        at = int(self.extended_addressing)
        kind = frames.matrix(at + 1)[:, at] >> 4
        chosen &= (kind <= FURTHER) & (frames.length > at + 1)
        return np.asarray(chosen & ((frames.flags & (ERROR | REMOTE)) == 0))

    def parts(self, frames: CanFrames) -> Parts:
        """See `Transport`; keys are (bus, identifier, address)."""
        at = int(self.extended_addressing)
        rows = frames.matrix(8).astype(np.int64)
        kind = rows[:, at] >> 4
        low = rows[:, at] & 15
        short = (kind == SINGLE) & (low > 0)
        # FD: four zero bits, then the length in a byte of its own
        long_single = (kind == SINGLE) & (low == 0) & ((frames.flags & FD) != 0)
        first = kind == FIRST
        twelve = low << 8 | rows[:, at + 1]
        wide = first & (twelve == 0)  # the length stands in the next four bytes
        word = (rows[:, at + 2 : at + 6] << np.array([24, 16, 8, 0])).sum(axis=1)
        size = np.where(short, low, np.where(wide, word, np.where(first, twelve, rows[:, at + 1])))
        skip = at + np.where(short, 1, np.where(wide, 6, np.where(first | long_single, 2, 1)))
        # a frame may end within the four bytes of the length
        opens = (short | long_single | first) & (size > 0) & (frames.length >= skip)
        further = (kind == FURTHER) | (first & (size == 0))
        keep = opens | further
        more = opens & self.length_byte
        key = frames.bus.astype(np.int64) << 40 | frames.extended.astype(np.int64) << 39
        key |= frames.can_id.astype(np.int64) << 8
        parts = Parts(
            _with_length(frames, more, size, skip) if self.length_byte else frames,
            key | (rows[:, 0] if at else 0),
            opens,
            np.zeros(len(frames), np.bool_),
            np.where(opens, 0, low),
            16,
            skip - more,
            size + more,
            np.full(len(frames), N_CR, np.int64),
            frames.can_id,
        )
        return parts if keep.all() else _only(parts, keep)


def _with_length(
    frames: CanFrames,
    more: NDArray[np.bool_],
    size: NDArray[np.int64],
    skip: NDArray[np.int64],
) -> CanFrames:
    """Frames whose byte before the data is the low byte of the length.

    It stands there already in a first frame; a single frame has it with four zero bits above.
    """
    packed = frames.compact()
    payload = packed.payload.copy()
    rows = np.flatnonzero(more)
    payload[packed.start[rows] + skip[rows] - 1] = size[rows] & 0xFF
    return CanFrames(
        packed.time, packed.bus, packed.can_id, packed.extended, packed.flags, packed.length,
        packed.start, payload, packed.clock,
    )  # fmt: skip


def _only(parts: Parts, keep: NDArray[np.bool_]) -> Parts:
    columns = {
        name: getattr(parts, name)[keep]
        for name in ("key", "opens", "closes", "number", "skip", "total", "gap", "can_id")
    }
    return Parts(frames=parts.frames.select(keep), modulus=parts.modulus, **columns)
