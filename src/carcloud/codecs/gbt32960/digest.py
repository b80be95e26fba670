"""What makes two reports the same report: the content of the data unit, and a number for it."""

from typing import Final

from carcloud.codecs.gbt32960.decode import decode
from carcloud.codecs.gbt32960.frame import Frame

_SEED: Final = 0x9E3779B97F4A7C15
_FACTOR: Final = 0xFF51AFD7ED558CCD
_WORD: Final = (1 << 64) - 1


def content(frame: Frame) -> bytes:
    """The data unit up to the mark of its signature, or all of it where none is reached.

    A report sent again carries the same content, whatever its command or signature.
    """
    return frame.data[: decode(frame).mark]


def digest(content: bytes) -> int:
    """A 64-bit digest as signed integer; equal content gives equal digests."""
    mixed = _SEED ^ len(content)
    for at in range(0, len(content), 8):
        word = int.from_bytes(content[at : at + 8], "little")
        mixed = (mixed ^ word) * _FACTOR & _WORD
        mixed ^= mixed >> 32
    return mixed - (1 << 64) if mixed >> 63 else mixed
