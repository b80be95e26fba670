"""The form in which a message from a vehicle is kept: its topic and its payload, nothing else.

This is what the gateway puts into the stream under the protocol `mqtt`, and what a raw frame in
the lake holds: u16 big-endian length of the topic in bytes, the topic in UTF-8, the payload.
"""

import struct
from typing import Final

PROTOCOL: Final = "mqtt"
_LENGTH: Final = struct.Struct(">H")


def pack_message(topic: str, payload: bytes) -> bytes:
    """A message as it is kept; raises `ValueError` for a topic over 65535 bytes."""
    name = topic.encode()
    if len(name) > 0xFFFF:
        raise ValueError(f"a topic of {len(name)} bytes: 65535 at most")
    return _LENGTH.pack(len(name)) + name + payload


def unpack_message(frame: bytes) -> tuple[str, bytes]:
    """(topic, payload) of a kept message; raises `ValueError` when it is not one."""
    if len(frame) < _LENGTH.size:
        raise ValueError("a kept message has 2 bytes at least")
    (size,) = _LENGTH.unpack_from(frame)
    end = _LENGTH.size + size
    if len(frame) < end:
        raise ValueError(f"the topic has {size} bytes, only {len(frame) - _LENGTH.size} are there")
    return frame[_LENGTH.size : end].decode(), frame[end:]
