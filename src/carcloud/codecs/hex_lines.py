"""Lines of a capture: frames in hexadecimal digits."""

import re
from typing import Final

from carcloud.codecs.errors import FrameError

_NO_DIGIT: Final = re.compile(r"[^0-9A-Fa-f\s]")


def from_hex(line: str, frame: str) -> bytes:
    """The bytes of a line; spaces between bytes are allowed.

    Raises `FrameError` that says what stands there; `frame` says what a line should have.
    """
    try:
        return bytes.fromhex(line)
    except ValueError:
        wrong = _NO_DIGIT.search(line)
    found = (
        "a digit of a byte is missing"
        if wrong is None
        else f"character {wrong.start() + 1} is {wrong.group()!r}"
    )
    detail = f"{found}: a line has {frame} in hexadecimal digits, two for each byte"
    raise FrameError("hex", 0, "two hexadecimal digits per byte", detail) from None
