"""`carcloud decode gbt32960`: one line of hexadecimal text in, one JSON object out."""

from typing import Any

from carcloud.codecs.gbt32960.control import UpgradeOrder
from carcloud.codecs.gbt32960.decode import decode
from carcloud.codecs.gbt32960.errors import FrameError
from carcloud.codecs.gbt32960.frame import parse
from carcloud.codecs.gbt32960.signals import signals
from carcloud.codecs.hex_lines import from_hex


def decode_line(
    line: str, *, signature_covers_mark: bool = False, upgrade_order: UpgradeOrder = "B.15"
) -> dict[str, Any]:
    """The decoded frame with its VSS signals, or `{"error": {code, offset, clause, detail}}`.

    Spaces between bytes are allowed. Never raises, whatever the line holds.
    """
    try:
        raw = from_hex(line, "one frame, from 2323,")
        message = decode(
            parse(raw), signature_covers_mark=signature_covers_mark, upgrade_order=upgrade_order
        )
    except FrameError as error:
        return _error(error)
    return message.to_json() | {"signals": signals(message)}


def _error(error: FrameError) -> dict[str, Any]:
    return {
        "error": {
            "code": error.code,
            "offset": error.offset,
            "clause": error.clause,
            "detail": error.detail,
        }
    }
