"""What a JT/T 808 terminal is told, apart from sockets: message ids, replies, codes.

Clauses are those of the 2019 edition.
"""

import hashlib
import hmac
from base64 import b32encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from carcloud.codecs.jt808.frame import Frame
from carcloud.codecs.jt808.packets import PacketLimits
from carcloud.model.time import from_us

PROTOCOL: Final = "jt808"
_MOST_ASKED: Final = 125  # packet numbers in one request


class Up(IntEnum):
    """Messages of terminals that the gateway looks at."""

    REPLY = 0x0001
    HEARTBEAT = 0x0002
    DEREGISTER = 0x0003
    TIME = 0x0004
    RESEND = 0x0005
    REGISTER = 0x0100
    AUTHENTICATE = 0x0102
    PARAMETERS = 0x0104
    ATTRIBUTES = 0x0107
    POSITION = 0x0200
    LOCATED = 0x0201
    CONTROLLED = 0x0500
    QUESTION_ANSWER = 0x0302
    AREAS = 0x0608
    RECORDER = 0x0700
    DRIVER = 0x0702
    BATCH = 0x0704
    CAN = 0x0705
    MEDIA = 0x0801
    STORED_MEDIA = 0x0802
    PICTURES = 0x0805


class Down(IntEnum):
    """Messages of the platform."""

    REPLY = 0x8001
    RESEND = 0x8003
    TIME = 0x8004
    REGISTERED = 0x8100
    MEDIA = 0x8800


class Result(IntEnum):
    """Of a general reply (table 5)."""

    SUCCESS = 0
    FAILURE = 1
    WRONG = 2
    UNSUPPORTED = 3


class Registered(IntEnum):
    """Of a registration (table 8)."""

    SUCCESS = 0
    VEHICLE_REGISTERED = 1
    NO_VEHICLE = 2
    TERMINAL_REGISTERED = 3
    NO_TERMINAL = 4


ANSWERS: Final = frozenset(
    (
        *(Up.REPLY, Up.PARAMETERS, Up.ATTRIBUTES, Up.LOCATED, Up.CONTROLLED, Up.AREAS),
        *(Up.RECORDER, Up.STORED_MEDIA, Up.PICTURES),
    )
)
"""They answer a command and need no reply."""

REPORTS: Final = frozenset(
    (
        *(
            0x0108,
            Up.POSITION,
            0x0301,
            Up.QUESTION_ANSWER,
            0x0303,
            0x0701,
            Up.DRIVER,
            Up.BATCH,
            Up.CAN,
        ),
        *(0x0800, Up.MEDIA, 0x0900, 0x0901),
    )
)
"""They are kept and answered."""

REPORTED_ANSWERS: Final = (Up.QUESTION_ANSWER, Up.DRIVER)
"""Reports that may answer a command too."""

SHORTEST: Final[dict[int, int]] = {
    Up.REPLY: 5,
    Up.PARAMETERS: 3,
    Up.POSITION: 28,
    Up.LOCATED: 2,
    Up.CONTROLLED: 2,
    Up.BATCH: 3,
    Up.CAN: 7,
    0x0800: 8,
    0x0900: 1,
    0x0901: 4,
}
"""Bytes of a body below which nothing can be read; those not named may be empty."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings `gateway.jt808.*` say, and the installation's secret."""

    secret: bytes = b""
    packets: PacketLimits = field(default_factory=PacketLimits)
    packets_bytes: int = 256_000_000  # incomplete messages of all terminals together


def is_vendor(frame: Frame) -> bool:
    """A message of the vendor's own (annex B): kept as it is."""
    return 0xE000 <= frame.message <= 0xEFFF or 0x0F00 <= frame.message <= 0x0FFF


def authentication_code(secret: bytes, vehicle: str) -> str:
    """The code that a registered terminal shows: any gateway can check it without asking."""
    digest = hmac.new(secret, b"jt808 " + vehicle.encode(), hashlib.sha256).digest()
    return b32encode(digest)[:16].decode()


def result_body(serial: int, message: int, result: int) -> bytes:
    """Body of a general reply."""
    return serial.to_bytes(2) + message.to_bytes(2) + bytes((result,))


def registered_body(serial: int, result: int, code: str = "") -> bytes:
    """Body of the answer to a registration."""
    return serial.to_bytes(2) + bytes((result,)) + code.encode()


def time_body(us: int) -> bytes:
    """Body of the answer to a time request: UTC, unlike every other time (8.5)."""
    return bytes.fromhex(from_us(us).strftime("%y%m%d%H%M%S"))


def resend_body(edition: int, serial: int, numbers: Sequence[int]) -> bytes:
    """Body of a request for packets; the count has two bytes in 2019."""
    asked = numbers[:_MOST_ASKED]
    count = len(asked).to_bytes(2 if edition == 2019 else 1)
    return serial.to_bytes(2) + count + b"".join(number.to_bytes(2) for number in asked)


def media_body(edition: int, serial: int, media_id: bytes, numbers: Sequence[int] = ()) -> bytes:
    """Body of the answer to a media upload: complete, or these packets again."""
    head = serial.to_bytes(2) if edition == 2011 else b""
    if not numbers:
        return head + media_id
    asked = numbers[:_MOST_ASKED]
    return head + media_id + bytes((len(asked),)) + b"".join(n.to_bytes(2) for n in asked)
