"""The small frames that a vehicle sends besides its reports."""

from functools import lru_cache

from carcloud.codecs.gbt32960 import encode, times
from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.frame import build
from carcloud.model.time import SECOND, from_us

EDITION_2016, EDITION_2025 = 2016, 2025
_COMMAND_AT = 2  # offset of the command byte in a frame


@lru_cache(maxsize=4096)
def time6(seconds: int) -> bytes:
    """UTC seconds since 1970 as the six bytes of 6.4."""
    return times.write_us(seconds * SECOND)


def login(edition: int, vin: str, seconds: int, serial: int, iccid: str) -> bytes:
    """Login 0x01 of a car with one battery system of one pack."""
    code = "PACK" + vin[-4:] if edition == EDITION_2016 else "001P" + vin[-7:].rjust(20, "0")
    unit = encode.encode_login(edition, from_us(seconds * SECOND), serial, iccid, [code])
    return build(edition, Command.LOGIN, Flag.COMMAND, vin, unit)


def logout(edition: int, vin: str, seconds: int, serial: int) -> bytes:
    """Logout 0x04 with the serial number of the login it ends."""
    unit = encode.encode_logout(from_us(seconds * SECOND), serial)
    return build(edition, Command.LOGOUT, Flag.COMMAND, vin, unit)


def heartbeat(edition: int, vin: str) -> bytes:
    """Heartbeat 0x07, no data unit."""
    return build(edition, Command.HEARTBEAT, Flag.COMMAND, vin)


def as_reissue(report: bytes) -> bytes:
    """The realtime report as a reissued one: another command, the same data unit."""
    check = report[-1] ^ report[_COMMAND_AT] ^ Command.REISSUE
    head, tail = report[:_COMMAND_AT], report[_COMMAND_AT + 1 : -1]
    return head + bytes((Command.REISSUE,)) + tail + bytes((check,))
