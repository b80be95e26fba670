"""SAE J1939: parts of 29-bit identifiers, and messages of 9 to 1785 bytes (J1939-21, TP).

A BAM (to all) or an RTS (to one) announces a message in PGN 0xEC00; packets of seven bytes follow
in PGN 0xEB00.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from carcloud.codecs.can.assembly import Parts
from carcloud.codecs.can.frames import ERROR, REMOTE, CanFrames

CONNECTION: Final = 0xEC00  # TP.CM
DATA: Final = 0xEB00  # TP.DT
TO_ALL: Final = 255
RTS, CTS, END, BAM, ABORT = 16, 17, 19, 32, 255  # control byte of TP.CM
PRIORITY: Final = 6  # of the identifiers that messages get
SMALLEST, LARGEST = 9, 1785  # bytes
GAP_TO_ALL = 750 * 10**6  # ns, T1
GAP_TO_ONE = 1250 * 10**6  # ns, T2 and T3

Ids = NDArray[np.uint32]


def pgn_of(can_id: Ids) -> NDArray[np.int64]:
    """Parameter group numbers; the destination of PF < 240 is no part of them."""
    pgn = (can_id.astype(np.int64) >> 8) & 0x3FFFF
    return np.where((pgn & 0xFF00) < 0xF000, pgn & 0x3FF00, pgn)


def source_of(can_id: Ids) -> NDArray[np.int64]:
    """Addresses of the senders."""
    return can_id.astype(np.int64) & 0xFF


def destination_of(can_id: Ids) -> NDArray[np.int64]:
    """Addresses of the receivers; TO_ALL for groups that are broadcast."""
    field = can_id.astype(np.int64) >> 8
    return np.where((field & 0xFF00) < 0xF000, field & 0xFF, TO_ALL)


class TransportProtocol:
    """BAM and RTS/CTS. Lost packets that are sent again are taken from the second sending.

    A message gets the identifier that a single frame of its group would have, priority 6.
    """

    def mine(self, frames: CanFrames) -> NDArray[np.bool_]:
        """TP.CM and TP.DT frames of eight bytes."""
        kind = (frames.can_id >> 16) & 0x3FF
        chosen = (kind == CONNECTION >> 8) | (kind == DATA >> 8)
        chosen &= frames.extended & (frames.length == 8)
        return np.asarray(chosen & ((frames.flags & (ERROR | REMOTE)) == 0))

    def parts(self, frames: CanFrames) -> Parts:
        """See `Transport`; keys are (bus, sender, receiver)."""
        frames, rows = _announced(frames)
        source, to = source_of(frames.can_id), destination_of(frames.can_id)
        bus = frames.bus.astype(np.int64)
        connection = pgn_of(frames.can_id) == CONNECTION
        control = np.where(connection, rows[:, 0], 0)
        opens = (control == BAM) | (control == RTS)
        closes = control == ABORT
        key = np.where(closes & _backwards(frames, connection, control, source, to),
                       bus << 16 | to << 8 | source, bus << 16 | source << 8 | to)  # fmt: skip
        pgn = rows[:, 5] | rows[:, 6] << 8 | (rows[:, 7] & 3) << 16
        receiver = np.where((pgn & 0xFF00) < 0xF000, to << 8, 0)
        can_id = PRIORITY << 26 | pgn << 8 | receiver | source
        parts = Parts(
            frames,
            key,
            opens,
            closes,
            np.where(opens | closes, 0, rows[:, 0]),
            1 << 16,
            np.where(opens | closes, 8, 1).astype(np.int64),
            rows[:, 1] | rows[:, 2] << 8,
            np.where(to == TO_ALL, GAP_TO_ALL, GAP_TO_ONE).astype(np.int64),
            can_id.astype(np.uint32),
        )
        return _sent_again(parts)


def _announced(frames: CanFrames) -> tuple[CanFrames, NDArray[np.int64]]:
    """Without CTS, END and announcements of impossible sizes, which carry nothing; and bytes."""
    rows = frames.matrix(8).astype(np.int64)
    connection = pgn_of(frames.can_id) == CONNECTION
    size = rows[:, 1] | rows[:, 2] << 8
    begins = ((rows[:, 0] == BAM) | (rows[:, 0] == RTS)) & (size >= SMALLEST) & (size <= LARGEST)
    kept = ~connection | begins | (rows[:, 0] == ABORT)
    return frames.select(kept), rows[kept]


def _backwards(
    frames: CanFrames,
    connection: NDArray[np.bool_],
    control: NDArray[np.int64],
    source: NDArray[np.int64],
    to: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Aborts that the receiver of a message sent: only the other direction has an RTS."""
    bus = frames.bus.astype(np.int64)
    forth = bus << 16 | source << 8 | to
    back = bus << 16 | to << 8 | source
    asked = np.unique(forth[connection & (control == RTS)])
    return np.asarray(np.isin(back, asked) & ~np.isin(forth, asked))


def _sent_again(parts: Parts) -> Parts:
    """Of packets to one receiver that were sent twice only the last, put in order of number."""
    single = parts.gap == GAP_TO_ONE
    if not single.any():
        return parts
    order = np.argsort(parts.key, kind="stable")
    key = parts.key[order]
    edge = np.r_[True, key[1:] != key[:-1]] | parts.opens[order] | parts.closes[order]
    session = np.empty(len(key), np.int64)
    session[order] = np.cumsum(edge)
    place = np.arange(len(key))
    by_number = np.lexsort((place, parts.number, session))
    ranked = np.c_[session, parts.number][by_number]
    again = np.r_[(ranked[1:] == ranked[:-1]).all(axis=1), False] & single[by_number]
    mixed = np.lexsort((place, np.where(single, parts.number, 0), session))
    chosen = mixed[~np.isin(mixed, by_number[again])]
    columns = {
        name: getattr(parts, name)[chosen]
        for name in ("key", "opens", "closes", "number", "skip", "total", "gap", "can_id")
    }
    return Parts(frames=parts.frames.select(chosen), modulus=parts.modulus, **columns)
