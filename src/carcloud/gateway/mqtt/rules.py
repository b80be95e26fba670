"""What an MQTT session may take and for how long it lasts."""

from dataclasses import dataclass
from typing import Final

from carcloud.codecs.mqtt.message import PROTOCOL
from carcloud.codecs.mqtt.reasons import Reason

__all__ = ["FIRST_PACKET", "NAMES", "PROTOCOL", "REASONS", "TOPIC", "Rules"]

FIRST_PACKET: Final = 16_384  # bytes a CONNECT may have, with its will
TOPIC: Final = 1_024  # characters of a topic or filter, which are kept; ours have below 200
NAMES: Final = 64  # topics of a session that take the short way


@dataclass(frozen=True, slots=True)
class Rules:
    """Bounds of a session; see the `gateway.mqtt.*` settings of the same names."""

    max_packet_bytes: int = 256 * 1024
    receive_maximum: int = 1_000  # QoS 1 and 2 messages from a vehicle that are not answered yet
    topic_aliases: int = 16
    keep_alive_s: int = 300  # longest of a version 5 client
    session_s: int = 7 * 86_400  # longest life of a session without a connection
    sessions: int = 100_000  # that wait for their vehicle
    subscriptions: int = 20  # of a session
    window: int = 20  # messages to a vehicle that it has not acknowledged


REASONS: Final = {
    "silent": Reason.KEEP_ALIVE_TIMEOUT,
    "replaced by a new connection": Reason.SESSION_TAKEN_OVER,
    "replaced by a connection to another gateway": Reason.SESSION_TAKEN_OVER,
    "shutdown": Reason.SERVER_SHUTTING_DOWN,
    "the tenant is suspended": Reason.ADMINISTRATIVE_ACTION,
    "its credentials were taken back": Reason.NOT_AUTHORIZED,
    "the vehicle is suspended or retired": Reason.ADMINISTRATIVE_ACTION,
    "not a topic of the vehicle": Reason.NOT_AUTHORIZED,
    "disconnected": None,  # by the vehicle: nobody listens any more
}
"""What version 5 is told when a connection ends, by the reason that is counted."""
