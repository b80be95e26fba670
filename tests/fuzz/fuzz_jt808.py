"""Coverage-guided fuzzing of the JT/T 808 codec: `python tests/fuzz/fuzz_jt808.py`.

The input is a byte stream. It is cut as one piece and byte by byte; both must give the same
frames and lose no byte. Every message is decoded, its JSON written, and what was read whole is
written and read again. The input is also the body of a message of any id.
"""

import json
import sys

import atheris

with atheris.instrument_imports(include=["carcloud.codecs"]):
    from carcloud.codecs.errors import FrameError
    from carcloud.codecs.jt808.decode import decode, decode_body
    from carcloud.codecs.jt808.describe import decode_bytes
    from carcloud.codecs.jt808.encode import encode
    from carcloud.codecs.jt808.frame import Frame, Splitter
    from carcloud.codecs.jt808.tables import EDITIONS, MESSAGES, otherwise

_IDS = sorted(MESSAGES)
_SPECIAL = (0x0608, 0x0901)  # what they hold is read further, and not written


def one_input(data: bytes) -> None:
    """One run of the fuzzer."""
    _stream(data)
    if len(data) > 1:
        _body(_IDS[data[0] % len(_IDS)], EDITIONS[data[1] % len(EDITIONS)], data[2:])


def _stream(data: bytes) -> None:
    whole, single = Splitter(), Splitter()
    found = [*whole.feed(data), *whole.finish()]
    pieces = [part for byte in data for part in single.feed(bytes((byte,)))]
    pieces += single.finish()
    if [part.raw for part in found] != [part.raw for part in pieces]:
        raise AssertionError("single bytes give other pieces")
    for frame in found:
        if isinstance(frame, Frame):
            _read(frame)
    json.dumps(decode_bytes(data))


def _read(frame: Frame) -> None:
    try:
        json.dumps(decode(frame).to_json())
    except FrameError as error:
        if error.code != "overrun":
            raise


def _body(number: int, edition: int, body: bytes) -> None:
    try:
        fields, notes = decode_body(number, edition, body)
    except FrameError:
        return
    if notes or number in _SPECIAL:
        return
    again, _ = decode_body(number, edition, encode(number, edition, fields))
    if again != fields and otherwise(number, edition) is not None:
        # a body that ends with either layout is read as the first one, and stays so
        fields = again
        again, _ = decode_body(number, edition, encode(number, edition, fields))
    if again != fields:
        raise AssertionError("written fields read otherwise")


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
