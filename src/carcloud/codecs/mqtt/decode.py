"""Bytes to packets: every byte is looked at, and what MQTT does not allow raises `MqttError`."""

from collections.abc import Callable
from typing import Final, cast

from carcloud.codecs.mqtt import properties as props
from carcloud.codecs.mqtt import reasons
from carcloud.codecs.mqtt.errors import MqttError, malformed, wrong
from carcloud.codecs.mqtt.packets import (
    V5,
    V311,
    Ack,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Ping,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Type,
    Unsuback,
    Unsubscribe,
    Will,
)
from carcloud.codecs.mqtt.properties import NONE, Properties
from carcloud.codecs.mqtt.reasons import Reason
from carcloud.codecs.mqtt.topics import check_filter, check_topic
from carcloud.codecs.mqtt.wire import Reader


def decode(first: int, body: bytes, version: int) -> Packet:
    """One packet: its first byte, what its remaining length covers, the connection's version.

    A CONNECT brings its own version. Raises `MqttError`.
    """
    kind = first >> 4
    if kind == 0 or (kind == Type.AUTH and version < V5):
        raise malformed("2.1.2", f"packet type {kind} is reserved")
    if kind != Type.PUBLISH and first & 0x0F != _FLAGS.get(kind, 0):
        raise malformed("[MQTT-2.1.3-1]", f"flags 0x{first & 0x0F:x} of packet type {kind}")
    reader = Reader(body)
    if kind == Type.PUBLISH:
        return _publish(first, reader, version)
    packet = _READERS[Type(kind)](reader, version, Type(kind))
    reader.finish()
    return packet


def _connect(reader: Reader, _: int, __: Type) -> Connect:
    if reader.string() != "MQTT":
        raise MqttError(Reason.UNSUPPORTED_VERSION, "[MQTT-3.1.2-1]", "the protocol is not MQTT")
    version, flags, keep_alive = reader.number(1), reader.number(1), reader.number(2)
    if version not in (V311, V5):
        raise MqttError(Reason.UNSUPPORTED_VERSION, "[MQTT-3.1.2-2]", f"version {version}")
    if flags & 1:
        raise malformed("[MQTT-3.1.2-3]", "the reserved flag is set")
    properties = _properties(reader, Type.CONNECT, version)
    _check_authentication(properties)
    client_id = reader.string()
    will = _will(reader, flags, version)
    username = reader.string() if flags & 0x80 else None
    if flags & 0x40 and username is None and version < V5:
        raise malformed("3.1.1 [MQTT-3.1.2-22]", "a password without a user name")
    password = reader.binary() if flags & 0x40 else None
    clean = bool(flags & 2)
    return Connect(client_id, version, clean, keep_alive, username, password, will, properties)


def _check_authentication(properties: Properties) -> None:
    if properties.authentication_data is not None and properties.authentication_method is None:
        raise wrong("3.1.2.11.10", "authentication data without a method")


def _will(reader: Reader, flags: int, version: int) -> Will | None:
    qos, retain = flags >> 3 & 3, bool(flags & 0x20)
    if not flags & 4:
        if qos or retain:
            raise malformed("[MQTT-3.1.2-11]", "QoS or retain of a will that is not there")
        return None
    if qos == 3:
        raise malformed("[MQTT-3.1.2-12]", "a will of QoS 3")
    properties = _properties(reader, props.WILL, version)
    topic = reader.string()
    check_topic(topic)
    return Will(topic, reader.binary(), qos, retain, properties)


def _connack(reader: Reader, version: int, _: Type) -> Connack:
    flags, reason = reader.number(1), reader.number(1)
    if flags > 1:
        raise malformed("[MQTT-3.2.2-1]", "reserved flags are set")
    known = reasons.CONNACK if version >= V5 else reasons.CONNACK_311
    _check(reason, known, "3.2.2.2")
    if flags and reason:
        raise wrong("[MQTT-3.2.2-6]", "a session is present, but the connection is refused")
    return Connack(bool(flags), reason, _properties(reader, Type.CONNACK, version))


def _publish(first: int, reader: Reader, version: int) -> Publish:
    qos, dup = first >> 1 & 3, bool(first & 8)
    if qos == 3:
        raise malformed("[MQTT-3.3.1-4]", "QoS 3")
    if dup and not qos:
        raise malformed("[MQTT-3.3.1-2]", "DUP at QoS 0")
    topic = reader.string()
    packet_id = _id(reader) if qos else 0
    properties = _properties(reader, Type.PUBLISH, version)
    if properties.topic_alias == 0:
        raise MqttError(Reason.TOPIC_ALIAS_INVALID, "[MQTT-3.3.2-8]", "topic alias 0")
    if properties.response_topic is not None:
        check_topic(properties.response_topic)
    if topic or properties.topic_alias is None:
        check_topic(topic)
    payload = reader.take(reader.left)
    return Publish(topic, payload, qos, packet_id, bool(first & 1), dup, properties)


def _ack(reader: Reader, version: int, kind: Type) -> Ack:
    packet_id, reason, properties = _id(reader), 0, NONE
    if version >= V5 and reader.left:
        reason = reader.number(1)
        first_half = kind in (Type.PUBACK, Type.PUBREC)
        _check(reason, reasons.PUBACK if first_half else reasons.PUBREL, "3.4.2.1")
        if reader.left:
            properties = props.read(reader, kind)
    return Ack(kind, packet_id, reason, properties)


def _subscribe(reader: Reader, version: int, kind: Type) -> Subscribe:
    packet_id, properties = _id(reader), _properties(reader, kind, version)
    found = []
    while reader.left:
        found.append(_subscription(reader, version))
    if not found:
        raise wrong("[MQTT-3.8.3-2]", "no filter")
    return Subscribe(packet_id, tuple(found), properties)


def _subscription(reader: Reader, version: int) -> Subscription:
    pattern, options = reader.string(), reader.number(1)
    check_filter(pattern)
    if options & 3 == 3:
        raise malformed("3.8.3.1", "QoS 3")
    if options & (0xFC if version < V5 else 0xC0):
        raise malformed("[MQTT-3.8.3-5]", "reserved options are set")
    handling = options >> 4 & 3
    if handling == 3:
        raise wrong("3.8.3.1", "retain handling 3")
    no_local = bool(options & 4)
    if no_local and pattern.startswith("$share/"):
        raise wrong("[MQTT-3.8.3-4]", "no local on a shared subscription")
    return Subscription(pattern, options & 3, no_local, bool(options & 8), handling)


def _suback(reader: Reader, version: int, kind: Type) -> Suback:
    packet_id, properties = _id(reader), _properties(reader, kind, version)
    codes = tuple(reader.take(reader.left))
    for code in codes:
        _check(code, reasons.SUBACK if version >= V5 else reasons.SUBACK_311, "3.9.3")
    if not codes:
        raise malformed("3.9.3", "no reason code")
    return Suback(packet_id, codes, properties)


def _unsubscribe(reader: Reader, version: int, kind: Type) -> Unsubscribe:
    packet_id, properties = _id(reader), _properties(reader, kind, version)
    filters = []
    while reader.left:
        filters.append(reader.string())
        check_filter(filters[-1])
    if not filters:
        raise wrong("[MQTT-3.10.3-2]", "no filter")
    return Unsubscribe(packet_id, tuple(filters), properties)


def _unsuback(reader: Reader, version: int, kind: Type) -> Unsuback:
    packet_id, properties = _id(reader), _properties(reader, kind, version)
    if version < V5:
        return Unsuback(packet_id)
    codes = tuple(reader.take(reader.left))
    for code in codes:
        _check(code, reasons.UNSUBACK, "3.11.3")
    if not codes:
        raise malformed("3.11.3", "no reason code")
    return Unsuback(packet_id, codes, properties)


def _ping(_: Reader, __: int, kind: Type) -> Ping:
    return Ping(kind == Type.PINGRESP)


def _disconnect(reader: Reader, version: int, kind: Type) -> Disconnect:
    if version < V5 or not reader.left:
        return Disconnect()
    reason = reader.number(1)
    _check(reason, reasons.DISCONNECT, "[MQTT-3.14.2-1]")
    return Disconnect(reason, props.read(reader, kind) if reader.left else NONE)


def _auth(reader: Reader, _: int, kind: Type) -> Auth:
    if not reader.left:
        return Auth()
    reason = reader.number(1)
    _check(reason, reasons.AUTH, "[MQTT-3.15.2-1]")
    properties = props.read(reader, kind) if reader.left else NONE
    _check_authentication(properties)
    return Auth(reason, properties)


def _id(reader: Reader) -> int:
    packet_id = reader.number(2)
    if packet_id == 0:
        raise wrong("[MQTT-2.2.1-3]", "packet identifier 0")
    return packet_id


def _check(reason: int, known: frozenset[int], clause: str) -> None:
    if reason not in known:
        raise malformed(clause, f"reason 0x{reason:02x} may not stand here")


def _properties(reader: Reader, kind: int, version: int) -> Properties:
    return props.read(reader, kind) if version >= V5 else NONE


_FLAGS: Final[dict[int, int]] = {Type.PUBREL: 2, Type.SUBSCRIBE: 2, Type.UNSUBSCRIBE: 2}  # 2.1.3
_READERS: Final = cast(
    "dict[Type, Callable[[Reader, int, Type], Packet]]",
    {
        Type.CONNECT: _connect,
        Type.CONNACK: _connack,
        Type.PUBACK: _ack,
        Type.PUBREC: _ack,
        Type.PUBREL: _ack,
        Type.PUBCOMP: _ack,
        Type.SUBSCRIBE: _subscribe,
        Type.SUBACK: _suback,
        Type.UNSUBSCRIBE: _unsubscribe,
        Type.UNSUBACK: _unsuback,
        Type.PINGREQ: _ping,
        Type.PINGRESP: _ping,
        Type.DISCONNECT: _disconnect,
        Type.AUTH: _auth,
    },
)
