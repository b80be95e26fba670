"""Coverage-guided fuzzing of candump logs and transport layers: `python tests/fuzz/fuzz_canlog.py`.

Whatever the bytes, a log gives frames or BadLog, and its frames give the same messages whether they
come at once or one by one.
"""

import sys

import atheris

with atheris.instrument_imports(include=["carcloud.codecs.can"]):
    from carcloud.codecs.can.assembly import Assembler
    from carcloud.codecs.can.candump import Candump
    from carcloud.codecs.can.dm1 import trouble_codes
    from carcloud.codecs.can.errors import BadLog
    from carcloud.codecs.can.fast_packet import FastPacket
    from carcloud.codecs.can.frames import CanFrames, FrameList
    from carcloud.codecs.can.isotp import IsoTp
    from carcloud.codecs.can.j1939 import TransportProtocol
    from carcloud.codecs.can.obd import decode_obd

_IDS = (0x7E8, 0x7EC, 0x0DF80523, 0x1CECFF01, 0x1CEBFF01, 0x1CEC0201, 0x1CEB0201, 0x1CEC0102)
_LAYERS = (TransportProtocol(), IsoTp(), IsoTp(length_byte=True), FastPacket())


def one_input(data: bytes) -> None:
    """One run of the fuzzer."""
    log = Candump()
    try:
        frames = CanFrames.concat([log.feed(data), log.finish()])
    except BadLog:
        frames = CanFrames.empty()
    trouble_codes(frames)
    made = _frames(data)
    for layer in _LAYERS:
        whole = Assembler(layer).feed(made)
        single = Assembler(layer)
        pieces = [single.feed(made.select(slice(i, i + 1))) for i in range(len(made))]
        found = [_payloads(whole), _payloads(CanFrames.concat(pieces))]
        if sorted(found[0]) != sorted(found[1]):
            raise AssertionError(f"{layer}: other messages one by one")
        decode_obd(whole)
        trouble_codes(whole)


def _frames(data: bytes) -> CanFrames:
    """A frame for each nine bytes: an identifier, then its payload."""
    rows = FrameList()
    for time, at in enumerate(range(0, min(len(data), 900), 9)):
        can_id = _IDS[data[at] % len(_IDS)]
        rows.append(time, can_id, data[at + 1 : at + 9], extended=can_id > 0x7FF)
    return rows.frames()


def _payloads(frames: CanFrames) -> list[bytes]:
    return [frames.payload_of(index) for index in range(len(frames))]


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
