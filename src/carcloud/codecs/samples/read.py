"""A payload of whichever form: the first byte tells which."""

from collections.abc import Callable
from typing import Final

from carcloud.codecs.samples import cbor_batch, json_batch, protobuf_batch
from carcloud.codecs.samples.batch import Batch, Form, InvalidBatch

CONTENT_TYPES: Final[dict[str, Form]] = {
    "application/json": "json",
    "application/cbor": "cbor",
    "application/x-protobuf": "protobuf",
    "application/protobuf": "protobuf",
}
"""Media types (content type of MQTT 5) by which a sender may name the form besides."""

_FIRST: Final[dict[int, Form]] = {
    **dict.fromkeys(b"{[ \t\r\n", "json"),
    **dict.fromkeys([*range(0x80, 0xC0)], "cbor"),  # arrays and maps
    **dict.fromkeys((0x12, 0x1A), "protobuf"),  # fields 2 and 3 of Batch
}
_READERS: Final[dict[Form, Callable[[bytes], Batch]]] = {
    "json": json_batch.read,
    "cbor": cbor_batch.read,
    "protobuf": protobuf_batch.read,
}


def form_of(payload: bytes) -> Form:
    """JSON, CBOR or protobuf; raises `InvalidBatch`."""
    if not payload:
        raise InvalidBatch("an empty payload", 0)
    found = _FIRST.get(payload[0])
    if found is None:
        raise InvalidBatch(f"no form begins with byte 0x{payload[0]:02X}", 0)
    return found


def read(payload: bytes) -> Batch:
    """What a payload says; raises `InvalidBatch`."""
    return _READERS[form_of(payload)](payload)
