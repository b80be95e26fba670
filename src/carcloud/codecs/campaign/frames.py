"""Raw CAN frames as campaigns name them."""

from carcloud.codecs.campaign.document import FrameItem

EXTENDED = 0x8000_0000  # bit of a frame's key: its id has 29 bits
FrameKey = tuple[str | None, int | None, bool, int | None, int]  # bus, id, extended, pgn, interval


def pgn_of(can_id: int) -> int:
    """The J1939 parameter group of a 29-bit id; a destination address is not part of it."""
    pgn = can_id >> 8 & 0x3FFFF
    return pgn if pgn >> 8 & 0xFF >= 240 else pgn & 0x3FF00


def frame_key(item: FrameItem) -> FrameKey:
    """Items of this key share what is kept."""
    return (item.bus, item.can_id, item.extended, item.pgn, item.interval_us)
