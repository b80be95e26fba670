"""Properties of MQTT 5 (2.2.2): one table says what each is and where it may stand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from carcloud.codecs.mqtt.errors import wrong
from carcloud.codecs.mqtt.wire import Reader, binary, string, variable


@dataclass(frozen=True, slots=True)
class Properties:
    """All that can stand in a packet; None = it is not there. Times in s, sizes in bytes."""

    payload_is_text: int | None = None
    message_expiry: int | None = None
    content_type: str | None = None
    response_topic: str | None = None
    correlation: bytes | None = None
    subscription_ids: tuple[int, ...] = ()
    session_expiry: int | None = None
    assigned_client_id: str | None = None
    server_keep_alive: int | None = None
    authentication_method: str | None = None
    authentication_data: bytes | None = None
    request_problem: int | None = None
    will_delay: int | None = None
    request_response: int | None = None
    response_information: str | None = None
    server_reference: str | None = None
    reason_string: str | None = None
    receive_maximum: int | None = None
    topic_alias_maximum: int | None = None
    topic_alias: int | None = None
    maximum_qos: int | None = None
    retain_available: int | None = None
    user: tuple[tuple[str, str], ...] = ()
    maximum_packet_size: int | None = None
    wildcards_available: int | None = None
    subscription_ids_available: int | None = None
    shared_available: int | None = None


NONE: Final = Properties()


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a property's value is read, written and bounded."""

    read: Callable[[Reader], Any]
    write: Callable[[Any], bytes]
    least: int = 0
    most: int = 0  # 0 = as much as it can hold


def _pair(reader: Reader) -> tuple[str, str]:
    return reader.string(), reader.string()


def _whole(size: int, least: int = 0, most: int = 0) -> _Kind:
    return _Kind(
        lambda reader: reader.number(size), lambda value: value.to_bytes(size, "big"), least, most
    )


_FLAG: Final = _whole(1, 0, 1)
_TWO: Final = _whole(2)
_TWO_NOT_0: Final = _whole(2, 1)
_FOUR: Final = _whole(4)
_FOUR_NOT_0: Final = _whole(4, 1)
_VARIABLE: Final = _Kind(Reader.variable, variable, 1)
_TEXT: Final = _Kind(Reader.string, string)
_BYTES: Final = _Kind(Reader.binary, binary)
_PAIR: Final = _Kind(_pair, lambda pair: string(pair[0]) + string(pair[1]))

WILL: Final = 0  # packet type 0 is reserved: here it stands for the will of a CONNECT
_CONNECT, _CONNACK, _PUBLISH = 1, 2, 3
_PUBACK, _PUBREC, _PUBREL, _PUBCOMP = 4, 5, 6, 7
_SUBSCRIBE, _SUBACK, _UNSUBSCRIBE, _UNSUBACK, _DISCONNECT, _AUTH = 8, 9, 10, 11, 14, 15
_ACKS = (_PUBACK, _PUBREC, _PUBREL, _PUBCOMP, _SUBACK, _UNSUBACK)

# MQTT 5 table 2-4: identifier, name, type, packets
_TABLE: Final[tuple[tuple[int, str, _Kind, tuple[int, ...]], ...]] = (
    (0x01, "payload_is_text", _FLAG, (_PUBLISH, WILL)),
    (0x02, "message_expiry", _FOUR, (_PUBLISH, WILL)),
    (0x03, "content_type", _TEXT, (_PUBLISH, WILL)),
    (0x08, "response_topic", _TEXT, (_PUBLISH, WILL)),
    (0x09, "correlation", _BYTES, (_PUBLISH, WILL)),
    (0x0B, "subscription_ids", _VARIABLE, (_PUBLISH, _SUBSCRIBE)),
    (0x11, "session_expiry", _FOUR, (_CONNECT, _CONNACK, _DISCONNECT)),
    (0x12, "assigned_client_id", _TEXT, (_CONNACK,)),
    (0x13, "server_keep_alive", _TWO, (_CONNACK,)),
    (0x15, "authentication_method", _TEXT, (_CONNECT, _CONNACK, _AUTH)),
    (0x16, "authentication_data", _BYTES, (_CONNECT, _CONNACK, _AUTH)),
    (0x17, "request_problem", _FLAG, (_CONNECT,)),
    (0x18, "will_delay", _FOUR, (WILL,)),
    (0x19, "request_response", _FLAG, (_CONNECT,)),
    (0x1A, "response_information", _TEXT, (_CONNACK,)),
    (0x1C, "server_reference", _TEXT, (_CONNACK, _DISCONNECT)),
    (0x1F, "reason_string", _TEXT, (_CONNACK, *_ACKS, _DISCONNECT, _AUTH)),
    (0x21, "receive_maximum", _TWO_NOT_0, (_CONNECT, _CONNACK)),
    (0x22, "topic_alias_maximum", _TWO, (_CONNECT, _CONNACK)),
    (0x23, "topic_alias", _TWO, (_PUBLISH,)),  # 0: reason 0x94, see decode
    (0x24, "maximum_qos", _FLAG, (_CONNACK,)),
    (0x25, "retain_available", _FLAG, (_CONNACK,)),
    (0x26, "user", _PAIR, (*range(12), _DISCONNECT, _AUTH)),
    (0x27, "maximum_packet_size", _FOUR_NOT_0, (_CONNECT, _CONNACK)),
    (0x28, "wildcards_available", _FLAG, (_CONNACK,)),
    (0x29, "subscription_ids_available", _FLAG, (_CONNACK,)),
    (0x2A, "shared_available", _FLAG, (_CONNACK,)),
)
_BY_ID: Final = {row[0]: row for row in _TABLE}
_MANY: Final = frozenset(("user", "subscription_ids"))


def read(reader: Reader, packet: int) -> Properties:
    """The properties of a packet of this type (`WILL` for a will); moves the reader behind them."""
    size = reader.variable()
    if size == 0:
        return NONE
    inner = Reader(reader.data, reader.at, reader.at + size)
    reader.take(size)
    found: dict[str, Any] = {}
    while inner.left:
        _read_one(inner, packet, found)
    return Properties(**found)


def _read_one(reader: Reader, packet: int, found: dict[str, Any]) -> None:
    number = reader.variable()
    row = _BY_ID.get(number)
    if row is None or packet not in row[3]:
        raise wrong("2.2.2.2", f"property 0x{number:02x} may not stand here")
    _, name, kind, _ = row
    value = kind.read(reader)
    if isinstance(value, int) and (value < kind.least or (kind.most and value > kind.most)):
        raise wrong("2.2.2.2", f"{name} may not be {value}")
    if name in _MANY and (packet != _SUBSCRIBE or name == "user" or name not in found):
        found[name] = (*found.get(name, ()), value)
    elif name in found:
        raise wrong("2.2.2.2", f"{name} stands there twice")
    else:
        found[name] = value


def write(properties: Properties, packet: int) -> bytes:
    """Length and properties; raises `ValueError` for what may not stand in such a packet."""
    if properties is NONE or properties == NONE:
        return b"\0"
    out = []
    for number, name, kind, packets in _TABLE:
        value = getattr(properties, name)
        if value is None or value == ():
            continue
        if packet not in packets:
            raise ValueError(f"2.2.2.2: {name} may not stand in packet type {packet}")
        for one in value if name in _MANY else (value,):
            out.append(bytes((number,)) + kind.write(one))
    body = b"".join(out)
    return variable(len(body)) + body
