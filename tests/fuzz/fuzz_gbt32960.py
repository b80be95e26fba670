"""Coverage-guided fuzzing of the GB/T 32960.3 codec: `python tests/fuzz/fuzz_gbt32960.py`.

The input is a byte stream. It is cut as one piece and byte by byte; both must give the same
frames and lose no byte. Every frame is decoded, and its JSON written.
"""

import json
import sys

import atheris

with atheris.instrument_imports(include=["carcloud.codecs"]):
    from carcloud.codecs.gbt32960.decode import decode
    from carcloud.codecs.gbt32960.digest import content, digest
    from carcloud.codecs.gbt32960.frame import Frame, Garbage, Splitter, build, reply
    from carcloud.codecs.gbt32960.signals import signals

_HEAD = 3  # bytes that shape a frame around the rest


def one_input(data: bytes) -> None:
    """One run of the fuzzer."""
    _stream(data)
    if len(data) > _HEAD:
        edition = 2025 if data[0] & 1 else 2016
        _frame(build(edition, data[1], data[2], "LTESTVNA4A0000101", data[_HEAD : _HEAD + 65_000]))


def _stream(data: bytes) -> None:
    whole, single = Splitter(), Splitter()
    found: list[Frame | Garbage] = [*whole.feed(data), *whole.finish()]
    pieces = [part for byte in data for part in single.feed(bytes((byte,)))]
    pieces += single.finish()
    if b"".join(part.raw for part in found) != data:
        raise AssertionError("a byte was lost")
    frames = [part for part in found if isinstance(part, Frame)]
    if frames != [part for part in pieces if isinstance(part, Frame)]:
        raise AssertionError("single bytes give other frames")
    for frame in frames:
        _read(frame)


def _frame(raw: bytes) -> None:
    (frame,) = Splitter().feed(raw)
    if not isinstance(frame, Frame):
        raise AssertionError("a built frame was not found")
    _read(frame)


def _read(frame: Frame) -> None:
    message = decode(frame)
    json.dumps(message.to_json() | {"signals": signals(message)})
    digest(content(frame))
    reply(frame, 1, "time", bytes(6))


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
