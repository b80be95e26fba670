"""Messages on their way to a vehicle at QoS 1 and 2: what is waited for under which packet
identifier (MQTT 5: 4.3.2, 4.3.3). They are part of the session and outlive its connections.
"""

from dataclasses import dataclass

from carcloud.codecs.mqtt.errors import wrong
from carcloud.gateway.mqtt.downlink import Message


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as it was published: it comes again like that, with DUP set."""

    message: Message
    qos: int
    retain: bool


class Inflight:
    """`sent` waits for PUBACK or PUBREC, `released` for PUBCOMP, each in the order in which it was
    sent; both by packet identifier.

    `withdrawn` are identifiers of messages that are not sent again though the vehicle may have
    them: of QoS 2 it may remember them until a PUBREL which never comes, and it may answer late.
    So they stay in use.
    """

    __slots__ = ("_last_id", "released", "sent", "withdrawn")

    def __init__(self) -> None:
        self.sent: dict[int, Sent] = {}
        self.released: dict[int, Message | None] = {}  # None = it was withdrawn before
        self.withdrawn: set[int] = set()
        self._last_id = 0

    def __len__(self) -> int:
        """How many count against the client's receive maximum (4.9)."""
        return len(self.sent) + len(self.released)

    def packet_id(self) -> int:
        """2.2.1: a packet identifier that is not in use."""
        while True:
            self._last_id = self._last_id % 0xFFFF + 1
            used = (self.sent, self.released, self.withdrawn)
            if not any(self._last_id in one for one in used):
                return self._last_id

    def withdraw(self, number: int) -> Message:
        """What was sent must not be sent again."""
        self.withdrawn.add(number)
        return self.sent.pop(number).message

    def puback(self, number: int) -> Message | None:
        """4.3.2: the end of a message of QoS 1; None where there is none. Raises `MqttError`."""
        if number in self.released:
            raise wrong("[MQTT-4.3.3-5]", "PUBACK where PUBCOMP was to come")
        self.withdrawn.discard(number)
        if self._waits(number, 1, "[MQTT-4.3.3-3]", "PUBACK of a message of QoS 2"):
            return self.sent.pop(number).message
        return None

    def pubrec(self, number: int) -> bool:
        """[MQTT-4.3.3-4]: the vehicle has a message of QoS 2, and is to be told PUBREL from now
        on; False where no such message is known. Raises `MqttError`."""
        if number in self.released:
            return True
        if self._waits(number, 2, "[MQTT-4.3.2-3]", "PUBREC of a message of QoS 1"):
            self.released[number] = self.sent.pop(number).message
        elif number in self.withdrawn:
            self.withdrawn.discard(number)
            self.released[number] = None
        return number in self.released

    def refuse(self, number: int) -> Message | None:
        """[MQTT-4.4.0-2]: PUBREC of 0x80 and above ends a message of QoS 2; as `puback`."""
        self.withdrawn.discard(number)
        if self._waits(number, 2, "[MQTT-4.3.2-3]", "PUBREC of a message of QoS 1"):
            return self.sent.pop(number).message
        return self.released.pop(number, None)

    def pubcomp(self, number: int) -> Message | None:
        """4.3.3: the end of a message of QoS 2; None where there is none. Raises `MqttError`."""
        if number in self.sent:
            raise wrong("[MQTT-4.3.3-5]", "PUBCOMP of a message that was not released")
        return self.released.pop(number, None)

    def _waits(self, number: int, qos: int, clause: str, amiss: str) -> bool:
        one = self.sent.get(number)
        if one is not None and one.qos != qos:
            raise wrong(clause, amiss)
        return one is not None
