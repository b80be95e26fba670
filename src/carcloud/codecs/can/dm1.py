"""Active trouble codes of J1939: DM1 (SAE J1939-73, PGN 65226).

Two bytes of lamps, then four bytes for each code. One code fits a frame; longer messages come by
the transport protocol (`j1939.TransportProtocol`).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from carcloud.codecs.can.frames import CanFrames
from carcloud.codecs.can.j1939 import pgn_of, source_of

PGN: Final = 65226
LAMPS = ("malfunction", "red_stop", "amber_warning", "protect")
OFF, ON, UNKNOWN = 0, 1, 3  # states of a lamp; 2 is reserved
NO_CODE = 0  # SPN and FMI 0: nothing to tell
NOT_AVAILABLE = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, eq=False)
class TroubleCodes:
    """k active codes, and the lamps of m messages, with or without codes.

    message: int64 (k,), index of the message that told the code
    spn, fmi, count: int64 (k,); count is 127 where it is not available
    conversion: int64 (k,), bit "SPN conversion method"; 1 is an older order of the SPN's bits
    time: int64 (m,) ns, source: int64 (m,), lamps: int64 (m, 4) in the order of LAMPS
    """

    message: NDArray[np.int64]
    spn: NDArray[np.int64]
    fmi: NDArray[np.int64]
    count: NDArray[np.int64]
    conversion: NDArray[np.int64]
    time: NDArray[np.int64]
    source: NDArray[np.int64]
    lamps: NDArray[np.int64]


def trouble_codes(frames: CanFrames) -> TroubleCodes:
    """The codes in single frames and in messages that were put together."""
    mine = frames.select(frames.extended & (pgn_of(frames.can_id) == PGN) & (frames.length >= 2))
    packed = mine.compact()
    room = np.maximum(packed.length.astype(np.int64) - 2, 0) // 4
    message = np.repeat(np.arange(len(packed)), room)
    ends = np.cumsum(room)
    within = np.arange(len(message)) - np.repeat(ends - room, room)
    at = packed.start[message] + 2 + 4 * within
    data = packed.payload.astype(np.int64)
    b0, b1, b2, b3 = (data[at + k] for k in range(4))
    word = b0 | b1 << 8 | b2 << 16 | b3 << 24
    spn, fmi = b0 | b1 << 8 | (b2 >> 5) << 16, b2 & 31
    told = ((spn != NO_CODE) | (fmi != NO_CODE)) & (word != NOT_AVAILABLE)
    lamp = packed.matrix(1)[:, 0].astype(np.int64)
    return TroubleCodes(
        message[told],
        spn[told],
        fmi[told],
        (b3 & 127)[told],
        (b3 >> 7)[told],
        packed.time,
        source_of(packed.can_id),
        np.stack([lamp >> shift & 3 for shift in (6, 4, 2, 0)], axis=1),
    )
