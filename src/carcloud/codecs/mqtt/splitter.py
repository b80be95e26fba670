"""A byte stream to packets: for either side of a connection."""

from carcloud.codecs.mqtt.errors import MqttError
from carcloud.codecs.mqtt.reasons import Reason
from carcloud.codecs.mqtt.wire import MOST, length_at


class Splitter:
    """Cuts (first byte, body) off the stream; `maximum`: bytes of a whole packet.

    `failed` tells why no more can be cut: the next `feed` raises it.
    """

    def __init__(self, maximum: int = MOST + 5) -> None:
        self.maximum = maximum
        self.failed: MqttError | None = None
        self._rest = b""

    @property
    def pending(self) -> int:
        """Bytes of a packet that is not whole yet."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The packets that `data` completes; raises `MqttError` once there are none before it."""
        data = self._rest + data if self._rest else data
        found: list[tuple[int, bytes]] = []
        try:
            at = self._cut(data, found)
        except MqttError as error:
            self.failed, self._rest = error, b""
        else:
            self._rest = data[at:]
        if self.failed is not None and not found:
            raise self.failed
        return found

    def _cut(self, data: bytes, found: list[tuple[int, bytes]]) -> int:
        """Append packets; returns where the rest begins."""
        if self.failed is not None:
            raise self.failed
        at = 0
        while len(data) - at >= 2:
            length = length_at(data, at + 1)
            if length is None:
                break
            size, start = length
            if start - at + size > self.maximum:
                detail = f"a packet of {start - at + size} bytes: {self.maximum} at most"
                raise MqttError(Reason.PACKET_TOO_LARGE, "[MQTT-3.2.2-15]", detail)
            if len(data) - start < size:
                break
            found.append((data[at], data[start : start + size]))
            at = start + size
        return at
