"""Arguments of the terminal control command 0x82 (S16 tables B.15, B.16; S25 B.11, B.12)."""

from typing import Final, Literal

from carcloud.codecs.gbt32960.errors import EncodeError
from carcloud.codecs.gbt32960.layout import INVALID, Fields, Value

UpgradeOrder = Literal["B.15", "B.16"]
"""The two tables order the fields differently; B.15 also shows the literal command string."""

UPGRADE: Final = 0x01
SHUTDOWN: Final = 0x02
RESET: Final = 0x03
FACTORY_SETTINGS: Final = 0x04
DISCONNECT: Final = 0x05
ALARM: Final = 0x06
OPEN_SAMPLING: Final = 0x07

_NO_LEVEL: Final = 0xFF
_KEYS: Final[dict[UpgradeOrder, tuple[str, ...]]] = {
    "B.15": (
        *("url", "apn", "user", "password", "address", "port", "manufacturer"),
        *("hardware_version", "firmware_version", "time_limit_min"),
    ),
    "B.16": (
        *("apn", "user", "password", "address", "port", "manufacturer"),
        *("hardware_version", "firmware_version", "url", "time_limit_min"),
    ),
}
_BINARY: Final = {"address": 6, "port": 2, "time_limit_min": 2}  # bytes, in order B.16
_IPV4_PAD: Final = b"\x00\x00"


def read_argument(fields: Fields, order: UpgradeOrder) -> Fields:
    """The parts of a control argument that have a layout; {} where there are none."""
    argument = fields["argument"]
    if not isinstance(argument, bytes) or not argument:
        return {}
    if fields["command"] == ALARM:
        level: Value = INVALID if argument[0] == _NO_LEVEL else argument[0]
        return {"level": level, "text": argument[1:].decode("gb18030", "replace")}
    if fields["command"] == UPGRADE:
        return {"upgrade": read_upgrade(argument, order)}
    return {}


def write_alarm(level: int | None, text: str = "") -> bytes:
    """Argument of control command 0x06; None = no valid level."""
    if level is not None and not 0 <= level <= 4:
        raise EncodeError("level", f"{level} is outside 0 to 4")
    return bytes((_NO_LEVEL if level is None else level,)) + text.encode("gb18030")


def read_upgrade(argument: bytes, order: UpgradeOrder) -> Fields:
    """Argument of control command 0x01: fields joined by `;`, empty when absent."""
    fields: Fields = {}
    at = 0
    for key in _KEYS[order]:
        size = _BINARY.get(key, 0) if order == "B.16" else 0
        end = argument.find(b";", at + size if at < len(argument) and argument[at] != 0x3B else at)
        end = len(argument) if end < 0 else end
        part = argument[at:end]
        at = end + 1
        if part:
            fields[key] = _read_binary(key, part) if size else part.decode("gb18030", "replace")
    return fields


def write_upgrade(order: UpgradeOrder, **fields: str | int) -> bytes:
    """Argument of control command 0x01: decimal text in B.15, binary numbers in B.16.

    Fields: url, apn, user, password, address (IPv4), port, manufacturer, hardware_version,
    firmware_version, time_limit_min (0..60000). Raises `EncodeError`.
    """
    unknown = sorted(set(fields) - set(_KEYS[order]))
    if unknown:
        raise EncodeError(unknown[0], "no field of an upgrade command")
    return b";".join(_write_part(order, key, fields.get(key, "")) for key in _KEYS[order])


def _read_binary(key: str, part: bytes) -> Value:
    if key != "address":
        return int.from_bytes(part, "big")
    return ".".join(str(byte) for byte in part[-4:])


def _write_part(order: UpgradeOrder, key: str, value: str | int) -> bytes:
    if value == "":
        return b""
    if order == "B.16" and key == "address":
        return _IPV4_PAD + bytes(int(byte) for byte in str(value).split("."))
    if order == "B.16" and key in _BINARY:
        return int(value).to_bytes(2, "big")
    text = str(value).encode("gb18030")
    if b";" in text:
        raise EncodeError(key, "holds the separator ;")
    return text
