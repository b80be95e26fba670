"""Packets to bytes. What the caller may not send raises `ValueError`."""

from carcloud.codecs.mqtt import properties as props
from carcloud.codecs.mqtt.packets import (
    V5,
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
)
from carcloud.codecs.mqtt.properties import NONE, Properties
from carcloud.codecs.mqtt.wire import binary, string, variable


def encode(packet: Packet, version: int) -> bytes:
    """The whole packet. For 3.1.1 (`version` 4) properties and reasons it lacks are left out."""
    first, body = _parts(packet, version)
    return bytes((first,)) + variable(len(body)) + body


def _parts(packet: Packet, version: int) -> tuple[int, bytes]:  # noqa: PLR0911 - a table
    match packet:
        case Publish():
            return _publish(packet, version)
        case Ack():
            return _ack(packet, version)
        case Ping():
            return (Type.PINGRESP if packet.is_answer else Type.PINGREQ) << 4, b""
        case Connect():
            return Type.CONNECT << 4, _connect(packet)
        case Connack():
            body = bytes((packet.session_present, packet.reason))
            return Type.CONNACK << 4, body + _properties(packet.properties, 2, version)
        case Subscribe() | Unsubscribe():
            return _request(packet, version)
        case Suback() | Unsuback():
            return _granted(packet, version)
        case Disconnect():
            return Type.DISCONNECT << 4, _ending(packet, Type.DISCONNECT, version)
        case Auth():
            if version < V5:
                raise ValueError("3.1.1 has no AUTH")
            return Type.AUTH << 4, _ending(packet, Type.AUTH, version)


def _properties(properties: Properties, packet: int, version: int) -> bytes:
    return props.write(properties, packet) if version >= V5 else b""


def _id(packet_id: int) -> bytes:
    if not 1 <= packet_id <= 0xFFFF:
        raise ValueError("[MQTT-2.2.1-3]: a packet identifier is 1 to 65535")
    return packet_id.to_bytes(2, "big")


def _connect(packet: Connect) -> bytes:
    version, will = packet.version, packet.will
    if packet.password is not None and packet.username is None and version < V5:
        raise ValueError("[MQTT-3.1.2-22]: 3.1.1 has no password without a user name")
    flags = packet.clean_start << 1
    if will is not None:
        flags |= 4 | will.qos << 3 | will.retain << 5
    flags |= (packet.password is not None) << 6 | (packet.username is not None) << 7
    parts = [
        string("MQTT"), bytes((version, flags)), packet.keep_alive.to_bytes(2, "big"),
        _properties(packet.properties, Type.CONNECT, version), string(packet.client_id),
    ]  # fmt: skip
    if will is not None:
        parts.append(_properties(will.properties, props.WILL, version))
        parts += [string(will.topic), binary(will.payload)]
    if packet.username is not None:
        parts.append(string(packet.username))
    if packet.password is not None:
        parts.append(binary(packet.password))
    return b"".join(parts)


def _publish(packet: Publish, version: int) -> tuple[int, bytes]:
    if not 0 <= packet.qos <= 2 or (packet.dup and not packet.qos):
        raise ValueError("[MQTT-3.3.1-2], [MQTT-3.3.1-4]: no such QoS, or DUP at QoS 0")
    first = Type.PUBLISH << 4 | packet.dup << 3 | packet.qos << 1 | packet.retain
    packet_id = _id(packet.packet_id) if packet.qos else b""
    start = string(packet.topic) + packet_id
    return first, start + _properties(packet.properties, 3, version) + packet.payload


def _ack(packet: Ack, version: int) -> tuple[int, bytes]:
    first = packet.type << 4 | (2 if packet.type == Type.PUBREL else 0)
    body = _id(packet.packet_id)
    plain = packet.properties == NONE
    if version < V5 or (plain and not packet.reason):  # 3.4.2.1: success goes without saying
        return first, body
    body += bytes((packet.reason,))
    return first, body if plain else body + props.write(packet.properties, packet.type)


def _request(packet: Subscribe | Unsubscribe, version: int) -> tuple[int, bytes]:
    kind = Type.SUBSCRIBE if isinstance(packet, Subscribe) else Type.UNSUBSCRIBE
    start = _id(packet.packet_id) + _properties(packet.properties, kind, version)
    if isinstance(packet, Subscribe):
        entries = [
            string(one.filter) + bytes((_options(one, version),)) for one in packet.subscriptions
        ]
    else:
        entries = [string(one) for one in packet.filters]
    if not entries:
        raise ValueError("[MQTT-3.8.3-2], [MQTT-3.10.3-2]: one filter at least")
    return kind << 4 | 2, start + b"".join(entries)


def _options(one: Subscription, version: int) -> int:
    if version < V5:
        return one.qos
    return one.qos | one.no_local << 2 | one.retain_as_published << 3 | one.retain_handling << 4


def _granted(packet: Suback | Unsuback, version: int) -> tuple[int, bytes]:
    kind = Type.SUBACK if isinstance(packet, Suback) else Type.UNSUBACK
    start = _id(packet.packet_id) + _properties(packet.properties, kind, version)
    if isinstance(packet, Unsuback) and version < V5:
        return kind << 4, start
    return kind << 4, start + bytes(packet.reasons)


def _ending(packet: Disconnect | Auth, kind: int, version: int) -> bytes:
    plain = packet.properties == NONE
    if version < V5 or (plain and not packet.reason):
        return b""
    body = bytes((packet.reason,))
    return body if plain else body + props.write(packet.properties, kind)
