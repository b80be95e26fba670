"""The data types of MQTT (5: 1.5, 3.1.1: 1.5): integers, strings, binary data."""

from typing import Final

from carcloud.codecs.mqtt.errors import malformed

MOST: Final = 268_435_455  # 1.5.5: the largest variable byte integer
_MORE: Final = 0x80


def string(text: str) -> bytes:
    """1.5.4 UTF-8 encoded string; raises `ValueError` for one that MQTT cannot carry."""
    if "\0" in text:
        raise ValueError("[MQTT-1.5.4-2]: no U+0000 in a string")
    return binary(text.encode())  # lone surrogates: UnicodeEncodeError, a ValueError


def binary(data: bytes) -> bytes:
    """1.5.6 binary data; raises `ValueError` above 65535 bytes."""
    if len(data) > 0xFFFF:
        raise ValueError("1.5.6: at most 65535 bytes")
    return len(data).to_bytes(2, "big") + data


def variable(value: int) -> bytes:
    """1.5.5 variable byte integer; raises `ValueError` outside 0 to 268,435,455."""
    if not 0 <= value <= MOST:
        raise ValueError(f"1.5.5: {value} is no variable byte integer")
    out = bytearray()
    while value >= _MORE:
        out.append(value & 0x7F | _MORE)
        value >>= 7
    out.append(value)
    return bytes(out)


def length_at(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """(value, offset behind it) of a variable byte integer; None when bytes are missing."""
    value = shift = 0
    for here in range(at, min(at + 4, len(data))):
        byte = data[here]
        value |= (byte & 0x7F) << shift
        if byte < _MORE:
            if byte == 0 and here > at:
                raise malformed("[MQTT-1.5.5-1]", "a length in more bytes than it needs")
            return value, here + 1
        shift += 7
    if len(data) - at >= 4:
        raise malformed("1.5.5", "a length of more than 4 bytes")
    return None


class Reader:
    """Reads one packet's body; running over its end is malformed."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return self.end - self.at

    def take(self, size: int) -> bytes:
        """The next bytes."""
        start, self.at = self.at, self.at + size
        if self.at > self.end:
            raise malformed("2.1.4", "the packet ends too early")
        return self.data[start : self.at]

    def number(self, size: int) -> int:
        """1.5.1 to 1.5.3: a big-endian integer of `size` bytes."""
        return int.from_bytes(self.take(size), "big")

    def variable(self) -> int:
        """1.5.5 variable byte integer."""
        found = length_at(self.data, self.at)
        if found is None or found[1] > self.end:
            raise malformed("2.1.4", "the packet ends too early")
        value, self.at = found
        return value

    def binary(self) -> bytes:
        """1.5.6 binary data."""
        return self.take(self.number(2))

    def string(self) -> str:
        """1.5.4 UTF-8 encoded string."""
        raw = self.binary()
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise malformed("[MQTT-1.5.4-1]", "a string is not UTF-8") from None
        if "\0" in text:
            raise malformed("[MQTT-1.5.4-2]", "U+0000 in a string")
        return text

    def finish(self) -> None:
        """Nothing may follow."""
        if self.left:
            raise malformed("2.1.4", f"{self.left} bytes too many")
