"""The packets of MQTT 3.1.1 and 5 (chapter 3), as values. Times in s, sizes in bytes."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from carcloud.codecs.mqtt.properties import NONE, Properties

V311: Final = 4
V5: Final = 5


class Type(IntEnum):
    """2.1.2: the upper four bits of the first byte."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


@dataclass(frozen=True, slots=True)
class Will:
    """3.1.2.5: what the server publishes when the client is lost."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = NONE


@dataclass(frozen=True, slots=True)
class Connect:
    """3.1. `version` 4 is 3.1.1, 5 is 5; `clean_start` is "clean session" of 3.1.1."""

    client_id: str
    version: int = V5
    clean_start: bool = True
    keep_alive: int = 0
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None
    properties: Properties = NONE


@dataclass(frozen=True, slots=True)
class Connack:
    """3.2. `reason`: a reason code of 5, or a return code of 3.1.1."""

    session_present: bool = False
    reason: int = 0
    properties: Properties = NONE


@dataclass(frozen=True, slots=True)
class Publish:
    """3.3. `packet_id` is 0 at QoS 0."""

    topic: str
    payload: bytes
    qos: int = 0
    packet_id: int = 0
    retain: bool = False
    dup: bool = False
    properties: Properties = NONE


@dataclass(frozen=True, slots=True)
class Ack:
    """3.4 to 3.7: `type` is PUBACK, PUBREC, PUBREL or PUBCOMP."""

    type: Type
    packet_id: int
    reason: int = 0
    properties: Properties = NONE


@dataclass(frozen=True, slots=True)
class Subscription:
    """One filter of a SUBSCRIBE with its options (3.8.3.1)."""

    filter: str
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0  # 0 send retained, 1 only if new, 2 do not send


@dataclass(frozen=True, slots=True)
class Subscribe:
    """3.8."""

    packet_id: int
    subscriptions: tuple[Subscription, ...]
    properties: Properties = NONE


@dataclass(frozen=True, slots=True)
class Suback:
    """3.9: one reason a filter."""

    packet_id: int
    reasons: tuple[int, ...]
    properties: Properties = NONE


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """3.10."""

    packet_id: int
    filters: tuple[str, ...]
    properties: Properties = NONE


@dataclass(frozen=True, slots=True)
class Unsuback:
    """3.11; 3.1.1 has no reasons."""

    packet_id: int
    reasons: tuple[int, ...] = ()
    properties: Properties = NONE


@dataclass(frozen=True, slots=True)
class Ping:
    """3.12, 3.13: PINGREQ, or PINGRESP when it is the answer."""

    is_answer: bool = False


@dataclass(frozen=True, slots=True)
class Disconnect:
    """3.14."""

    reason: int = 0
    properties: Properties = NONE


@dataclass(frozen=True, slots=True)
class Auth:
    """3.15, version 5 only."""

    reason: int = 0
    properties: Properties = NONE


Packet = (
    Connect | Connack | Publish | Ack | Subscribe | Suback | Unsubscribe | Unsuback | Ping
    | Disconnect | Auth
)  # fmt: skip
