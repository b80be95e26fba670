"""What is wrong with a packet, and who may be told so how."""

from carcloud.codecs.mqtt.reasons import Reason


class MqttError(ValueError):
    """The peer sent what MQTT does not allow; `clause` is the rule of the OASIS text.

    `reason` is what version 5 would answer; 3.1.1 can only close the connection.
    """

    def __init__(self, reason: Reason, clause: str, detail: str) -> None:
        super().__init__(f"{detail} ({clause})")
        self.reason = reason
        self.clause = clause
        self.detail = detail


def malformed(clause: str, detail: str) -> MqttError:
    """The bytes are no packet."""
    return MqttError(Reason.MALFORMED_PACKET, clause, detail)


def wrong(clause: str, detail: str) -> MqttError:
    """The packet can be read, but may not be sent so."""
    return MqttError(Reason.PROTOCOL_ERROR, clause, detail)
