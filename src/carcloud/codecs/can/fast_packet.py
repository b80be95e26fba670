"""NMEA 2000 fast packets: messages of up to 223 bytes in the frames of one identifier.

Byte 0 has the number of the message (3 bits) and of the frame in it (5 bits). Frame 0 tells the
length in byte 1 and carries six bytes, each further frame seven.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from carcloud.codecs.can.assembly import Parts
from carcloud.codecs.can.frames import ERROR, REMOTE, CanFrames
from carcloud.codecs.can.j1939 import pgn_of

GAP = 750 * 10**6  # ns between frames of a message
LARGEST = 223  # bytes

# Nothing on the bus says which groups are sent so. NMEA 2000 names these, and the ranges for all.
NAMED = frozenset(
    (
        126208, 126464, 126720, 126983, 126984, 126985, 126986, 126987, 126988, 126996, 126998,
        127233, 127237, 127489, 127490, 127491, 127494, 127495, 127496, 127497, 127498, 127500,
        127503, 127504, 127506, 127507, 127509, 127510, 127511, 127512, 127513, 127514,
        128275, 128520, 129029, 129038, 129039, 129040, 129041, 129044, 129045, 129284, 129285,
        129301, 129302, 129538, 129540, 129541, 129542, 129545, 129547, 129549, 129550, 129551,
        129556, 129792, 129793, 129794, 129795, 129796, 129797, 129798, 129799, 129800, 129801,
        129802, 129803, 129804, 129805, 129806, 129807, 129808, 129809, 129810, 130052, 130053,
        130054, 130060, 130061, 130064, 130065, 130066, 130067, 130068, 130069, 130070, 130071,
        130072, 130073, 130074, 130320, 130321, 130322, 130323, 130324, 130567, 130569, 130570,
        130571, 130572, 130573, 130574, 130575, 130577, 130578, 130579, 130580, 130581, 130582,
        130583, 130584, 130585, 130586,
    )
)  # fmt: skip
PROPRIETARY = range(130816, 131072)  # of a maker, fast packet by definition


def is_fast(pgn: int) -> bool:
    """Whether NMEA 2000 sends a parameter group as fast packets."""
    return pgn in NAMED or pgn in PROPRIETARY


@dataclass(frozen=True)
class FastPacket:
    """Messages of some parameter groups, by default of all that NMEA 2000 sends so."""

    pgns: frozenset[int] = field(default=NAMED | frozenset(PROPRIETARY))

    def mine(self, frames: CanFrames) -> NDArray[np.bool_]:
        """Frames of these groups."""
        wanted = np.array(sorted(self.pgns), np.int64)
        chosen = frames.extended & np.isin(pgn_of(frames.can_id), wanted) & (frames.length > 1)
        return np.asarray(chosen & ((frames.flags & (ERROR | REMOTE)) == 0))

    def parts(self, frames: CanFrames) -> Parts:
        """See `Transport`; keys are (bus, identifier, number of the message)."""
        rows = frames.matrix(2).astype(np.int64)
        number = rows[:, 0] & 31
        opens = (number == 0) & (rows[:, 1] > 0) & (rows[:, 1] <= LARGEST)
        key = frames.bus.astype(np.int64) << 40 | frames.can_id.astype(np.int64) << 3
        return Parts(
            frames,
            key | rows[:, 0] >> 5,
            opens,
            np.zeros(len(frames), np.bool_),
            number,
            32,
            np.where(opens, 2, 1).astype(np.int64),
            rows[:, 1],
            np.full(len(frames), GAP, np.int64),
            frames.can_id,
        )
