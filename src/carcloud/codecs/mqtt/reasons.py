"""Reason codes of MQTT 5 (2.4), where each may stand, and the return codes of 3.1.1."""

from enum import IntEnum
from typing import Final


class Reason(IntEnum):
    """MQTT 5 table 2-6. Values below 0x80 say that all is well."""

    SUCCESS = 0x00  # also: normal disconnection, granted QoS 0
    GRANTED_QOS_1 = 0x01
    GRANTED_QOS_2 = 0x02
    DISCONNECT_WITH_WILL = 0x04
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    CONTINUE_AUTHENTICATION = 0x18
    REAUTHENTICATE = 0x19
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_ERROR = 0x83
    UNSUPPORTED_VERSION = 0x84
    BAD_CLIENT_ID = 0x85
    BAD_USER_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BANNED = 0x8A
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_ID_IN_USE = 0x91
    PACKET_ID_NOT_FOUND = 0x92
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    MESSAGE_RATE_TOO_HIGH = 0x96
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    PAYLOAD_FORMAT_INVALID = 0x99
    RETAIN_NOT_SUPPORTED = 0x9A
    QOS_NOT_SUPPORTED = 0x9B
    USE_ANOTHER_SERVER = 0x9C
    SERVER_MOVED = 0x9D
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E
    CONNECTION_RATE_EXCEEDED = 0x9F
    MAXIMUM_CONNECT_TIME = 0xA0
    SUBSCRIPTION_IDS_NOT_SUPPORTED = 0xA1
    WILDCARDS_NOT_SUPPORTED = 0xA2


def _set(*codes: int | range) -> frozenset[int]:
    flat = [code for one in codes for code in (one if isinstance(one, range) else (one,))]
    return frozenset(flat)


# MQTT 5, the table of each packet
CONNACK: Final = _set(0, range(0x80, 0x8B), 0x8C, 0x90, 0x95, 0x97, range(0x99, 0x9E), 0x9F)
PUBACK: Final = _set(0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)  # and PUBREC
PUBREL: Final = _set(0, 0x92)  # and PUBCOMP
SUBACK: Final = _set(0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2)
UNSUBACK: Final = _set(0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91)
DISCONNECT: Final = _set(
    0, 4, range(0x80, 0x84), 0x87, 0x89, 0x8B, range(0x8D, 0x91), range(0x93, 0xA3)
)
AUTH: Final = _set(0, 0x18, 0x19)
SUBACK_311: Final = _set(0, 1, 2, 0x80)  # 3.1.1 3.9.3
CONNACK_311: Final = _set(range(6))  # 3.1.1 3.2.2.3

_RETURN_CODES: Final = {
    Reason.SUCCESS: 0,
    Reason.UNSUPPORTED_VERSION: 1,
    Reason.BAD_CLIENT_ID: 2,
    Reason.SERVER_UNAVAILABLE: 3,
    Reason.SERVER_BUSY: 3,
    Reason.BAD_USER_OR_PASSWORD: 4,
}


def return_code(reason: int) -> int:
    """The CONNACK return code of 3.1.1 that comes next to a reason of version 5."""
    return _RETURN_CODES.get(Reason(reason), 5)
