"""Coverage-guided fuzzing of the MQTT codec: `python tests/fuzz/fuzz_mqtt.py`.

The first byte chooses the version. Whatever comes, the decoder gives packets that encode to
themselves, or raises `MqttError`; whole and byte by byte the same.
"""

import sys

import atheris

with atheris.instrument_imports(include=["carcloud.codecs.mqtt"]):
    from carcloud.codecs.mqtt.decode import decode
    from carcloud.codecs.mqtt.encode import encode
    from carcloud.codecs.mqtt.errors import MqttError
    from carcloud.codecs.mqtt.packets import V5, V311, Connect
    from carcloud.codecs.mqtt.splitter import Splitter


def one_input(data: bytes) -> None:
    """One run of the fuzzer."""
    if not data:
        return
    version = V5 if data[0] & 1 else V311
    whole = _read([data[1:]], version)
    if whole != _read([bytes((byte,)) for byte in data[1:]], version):
        raise AssertionError("single bytes give other packets")
    for packet in whole:
        if isinstance(packet, Exception | str):
            continue
        own = packet.version if isinstance(packet, Connect) else version
        if _read([encode(packet, own)], version) != [packet]:
            raise AssertionError(f"{packet} does not come back")


def _read(pieces: list[bytes], version: int) -> list[object]:
    """The packets, and the clause of what ended them."""
    splitter, found = Splitter(100_000), []
    for piece in pieces:
        try:
            for first, body in splitter.feed(piece):
                found.append(decode(first, body, version))
        except MqttError as error:
            return [*found, error.clause]
    return [*found, splitter.failed.clause] if splitter.failed else found


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
