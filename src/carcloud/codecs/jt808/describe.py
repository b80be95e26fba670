"""`carcloud decode jt808`: one line of hexadecimal text in, one JSON object a frame out."""

from typing import Any

from carcloud.codecs.errors import FrameError
from carcloud.codecs.jt808.decode import decode
from carcloud.codecs.jt808.frame import FLAG, Frame, Garbage, Splitter, escape
from carcloud.codecs.jt808.packets import joined
from carcloud.codecs.jt808.signals import report_signals, signals


def decode_line(line: str, *, unescaped: bool = False) -> list[dict[str, Any]]:
    """The decoded frames of a line with their VSS signals, or `{"error": {code, offset, …}}`.

    All packets of one message on one line are one message. Spaces between bytes are allowed.
    `unescaped`: the line is one frame whose bytes between the flags are plain. Never raises,
    whatever the line holds.
    """
    try:
        raw = bytes.fromhex(line)
    except ValueError as error:
        return [_error(FrameError("hex", 0, "two hexadecimal digits per byte", str(error)))]
    if unescaped:
        raw = FLAG + escape(raw.removeprefix(FLAG).removesuffix(FLAG)) + FLAG
    return decode_bytes(raw)


def decode_bytes(raw: bytes) -> list[dict[str, Any]]:
    """The same for bytes as on the wire."""
    splitter = Splitter()
    pieces = [*splitter.feed(raw), *splitter.finish()]
    if not pieces:
        return [_error(FrameError("truncated", len(raw), "4.4.1", "no frame"))]
    frames = [piece for piece in pieces if isinstance(piece, Frame)]
    if len(frames) == len(pieces) and _one_message(frames):
        return [_described(joined(frames))]
    return [
        _error(piece.error) if isinstance(piece, Garbage) else _described(piece) for piece in pieces
    ]


def _one_message(frames: list[Frame]) -> bool:
    first = frames[0]
    wanted = [(first.message, first.packets, number) for number in range(1, first.packets + 1)]
    return first.packets > 1 and wanted == [
        (frame.message, frame.packets, frame.packet) for frame in frames
    ]


def _described(frame: Frame) -> dict[str, Any]:
    try:
        message = decode(frame)
    except FrameError as error:
        return _error(error)
    document = message.to_json()
    records = message.fields.get("positions")
    if isinstance(records, list):
        shown = document["fields"]["positions"]
        for record, place in zip(records, shown, strict=True):
            report = record.get("position") if isinstance(record, dict) else None
            if isinstance(report, dict):
                place["signals"] = report_signals(report, message.edition)
    return document | {"signals": signals(message)}


def _error(error: FrameError) -> dict[str, Any]:
    return {
        "error": {
            "code": error.code,
            "offset": error.offset,
            "clause": error.clause,
            "detail": error.detail,
        }
    }
