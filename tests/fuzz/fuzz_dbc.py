"""Coverage-guided fuzzing of the DBC codec: `python tests/fuzz/fuzz_dbc.py`.

The first byte says how much of the input is a frame; the rest is a file, or chooses the words of
one. Whatever the file holds, reading it raises nothing, strict reading raises StrictError or gives
the same database, the frame decodes by every message, and a value that was decoded encodes to the
same bits.
"""

import sys

import atheris

with atheris.instrument_imports(include=["carcloud.codecs.dbc"]):
    from carcloud.codecs.dbc import EncodingError, StrictError, parse
    from carcloud.codecs.dbc.scalar import MessageCodec

_MESSAGE = b'BO_ 1 A: 8 E\n SG_ B : 0|8@1+ (1,0) [0|0] "" E\n'
_WORDS = (
    b"\nBO_ ", b"\n SG_ ", b"\nCM_ ", b"\nVAL_ ", b"\nBA_ ", b"\nBA_DEF_ ", b"\nBA_DEF_DEF_ ",
    b"\nSG_MUL_VAL_ ", b"\nSIG_VALTYPE_ ", b"\nBO_TX_BU_ ", b"\nVAL_TABLE_ ", b"\nNS_ :", b"\nBU_:",
    b"BO_ ", b"SG_ ", b"BU_ ", b"1 ", b"2 ", b"2147483650 ", b"A ", b"B ", b"C ", b"M ", b"m1 ",
    b"m1M ", b"m ", b": ", b"8 ", b"0|8@1+ ", b"7|16@0- ", b"4|64@1- ", b"8|32@1- ", b"(1,0) ",
    b"(0,0) ", b"[0|0] ", b"[5|1] ", b'"" ', b'"x" ', b'"', b'\\"', b";", b"//", b"1-1 ",
    b"0-3, 5-9 ", b"(0.5,-2) ",
    b'"VFrameFormat" ', b'"SystemSignalLongSymbol" ', b'"J1939" ', b'"ProtocolType" ', b"ENUM ",
    b"INT ", b"3 ", b"-1 ", b"\n", b"X_Y ", b"E,F ",
)  # fmt: skip


def one_input(data: bytes) -> None:
    """One run of the fuzzer."""
    if not data:
        return
    size = data[0] & 15
    payload, text = data[1 : 1 + size], data[1 + size :]
    if data[0] & 32:
        text = b"".join(_WORDS[byte % len(_WORDS)] for byte in text)
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
