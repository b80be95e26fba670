"""Coverage-guided fuzzing of the DBC codec: `python tests/fuzz/fuzz_dbc.py`.

The first byte says how much of the input is a frame; the rest is a file. Whatever the file holds,
reading it raises nothing, strict reading raises StrictError or gives the same database, the frame
decodes by every message, and a value that was decoded encodes to the same bits.
"""

import sys

import atheris

with atheris.instrument_imports(include=["carcloud.codecs.dbc"]):
    from carcloud.codecs.dbc import EncodingError, StrictError, parse
    from carcloud.codecs.dbc.scalar import MessageCodec

_MESSAGE = b'BO_ 1 A: 8 E\n SG_ B : 0|8@1+ (1,0) [0|0] "" E\n'


def one_input(data: bytes) -> None:
    """One run of the fuzzer."""
    if not data:
        return
    size = data[0] & 15
    payload, text = data[1 : 1 + size], data[1 + size :]
    if data[0] & 16:
        text = _MESSAGE + text
    database, findings = parse(text)
    for finding in findings:
        if finding.line < 1 or not finding.action:
            raise AssertionError(finding)
    try:
        if parse(text, strict=True)[0] != database:
            raise AssertionError("strict reading gives another database")
    except StrictError as error:
        if error.findings != findings:
            raise AssertionError("strict reading has other findings") from error
    for message in database.messages[:20]:
        _frame(MessageCodec(message), payload)


def _frame(codec: MessageCodec, payload: bytes) -> None:
    plain = codec.decode(payload)
    samples = codec.samples(payload)
    if plain.keys() != {one.signal.name for one in samples if not one.missing}:
        raise AssertionError("the quick way finds other signals")
    for one in samples:
        if one.signal.kind != "int" or abs(one.raw) > 2**50 or not one.signal.integral:
            continue
        try:
            again = codec.encode({one.signal.name: one.value})
        except EncodingError:  # beyond the message, or below a switch that another needs
            continue
        decoded = {each.signal.name: each.raw for each in codec.samples(again)}
        if decoded[one.signal.name] != one.raw:
            raise AssertionError(f"{one.signal.name} does not come back")


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
