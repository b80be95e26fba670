"""Packets: vectors written by hand from the OASIS texts, round trips, and every cut of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.codecs.mqtt.strategies import packets

from carcloud.codecs.mqtt.decode import decode
from carcloud.codecs.mqtt.encode import encode
from carcloud.codecs.mqtt.errors import MqttError
from carcloud.codecs.mqtt.packets import (
    V5,
    V311,
    Ack,
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
from carcloud.codecs.mqtt.properties import Properties
from carcloud.codecs.mqtt.reasons import Reason, return_code
from carcloud.codecs.mqtt.splitter import Splitter

VECTORS: list[tuple[int, str, Packet]] = [
    (4, "10 0d 0004 4d515454 04 02 003c 0001 61", Connect("a", V311, keep_alive=60)),
    (
        4,
        "10 1b 0004 4d515454 04 f6 000a 0001 61 0001 77 0002 0102 0001 75 0002 7077",
        Connect("a", V311, True, 10, "u", b"pw", Will("w", b"\1\2", 2, True)),
    ),
    (
        5,
        "10 17 0004 4d515454 05 00 0000 08 11 0000000a 21 0014 0002 6964",
        Connect("id", V5, False, properties=Properties(session_expiry=10, receive_maximum=20)),
    ),
    (4, "20 02 01 00", Connack(True)),
    (5, "20 06 00 00 03 13 003c", Connack(properties=Properties(server_keep_alive=60))),
    (4, "30 05 0001 74 6869", Publish("t", b"hi")),
    (4, "3b 07 0001 74 000a 6869", Publish("t", b"hi", 1, 10, retain=True, dup=True)),
    (
        5,
        "34 09 0001 74 000a 03 23 0001",
        Publish("t", b"", 2, 10, properties=Properties(topic_alias=1)),
    ),
    (4, "40 02 000a", Ack(Type.PUBACK, 10)),
    (5, "50 03 000a 97", Ack(Type.PUBREC, 10, Reason.QUOTA_EXCEEDED)),
    (
        5,
        "62 0b 000a 92 07 26 0001 61 0001 62",
        Ack(Type.PUBREL, 10, 0x92, Properties(user=(("a", "b"),))),
    ),
    (4, "70 02 000a", Ack(Type.PUBCOMP, 10)),
    (4, "82 08 000a 0003 612f23 01", Subscribe(10, (Subscription("a/#", 1),))),
    (
        5,
        "82 09 000a 02 0b 05 0001 61 2d",
        Subscribe(
            10, (Subscription("a", 1, True, True, 2),), Properties(subscription_ids=(5,))
        ),
    ),
    (4, "90 03 000a 80", Suback(10, (0x80,))),
    (5, "90 05 000a 00 01 87", Suback(10, (1, 0x87))),
    (4, "a2 05 000a 0001 61", Unsubscribe(10, ("a",))),
    (4, "b0 02 000a", Unsuback(10)),
    (5, "b0 04 000a 00 11", Unsuback(10, (0x11,))),
    (4, "c0 00", Ping()),
    (4, "d0 00", Ping(is_answer=True)),
    (4, "e0 00", Disconnect()),
    (5, "e0 02 8e 00", Disconnect(Reason.SESSION_TAKEN_OVER)),
]  # fmt: skip


def bytes_of(text: str) -> bytes:
    return bytes.fromhex(text)


def only(data: bytes, version: int) -> Packet:
    ((first, body),) = Splitter().feed(data)
    return decode(first, body, version)


@pytest.mark.parametrize(("version", "text", "packet"), VECTORS)
def test_packets_written_by_hand(version: int, text: str, packet: Packet) -> None:
    assert only(bytes_of(text), version) == packet
    written = encode(packet, version)
    assert only(written, version) == packet
    if not text.endswith("8e 00"):  # the empty list of properties may be left out
        assert written == bytes_of(text)


@pytest.mark.parametrize("version", [V311, V5])
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_what_is_encoded_comes_back_whole_and_byte_by_byte(
    version: int, data: st.DataObject
) -> None:
    packet = data.draw(packets(version))
    raw = encode(packet, version)
    assert only(raw, version) == packet
    splitter, found = Splitter(), []
    for byte in raw + b"\xc0":
        found += splitter.feed(bytes((byte,)))
    assert [decode(*one, version) for one in found] == [packet]
    assert splitter.pending == 1


@pytest.mark.parametrize("version", [V311, V5])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_cut_of_a_packet_is_another_packet_or_an_error(
    version: int, data: st.DataObject
) -> None:
    """A body that ends early: refused, unless it is a good packet (a shorter payload, say)."""
    ((first, body),) = Splitter().feed(encode(data.draw(packets(version)), version))
    for end in range(len(body)):
        try:
            packet = decode(first, body[:end], version)
        except MqttError as error:
            assert error.clause
        else:
            again = encode(packet, version)
            assert only(again, version) == packet


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_changed_byte_is_another_packet_or_an_error(data: st.DataObject) -> None:
    ((first, body),) = Splitter().feed(encode(data.draw(packets(V5)), V5))
    for at in range(len(body)):
        changed = bytearray(body)
        changed[at] = data.draw(st.integers(0, 255))
        try:
            packet = decode(first, bytes(changed), V5)
        except MqttError as error:
            assert error.reason >= 0x80
            assert error.clause
        else:
            version = packet.version if isinstance(packet, Connect) else V5
            assert only(encode(packet, version), V5) == packet


MALFORMED = [
    (4, "00 00", "2.1.2"),  # type 0
    (4, "f0 00", "2.1.2"),  # AUTH in 3.1.1
    (4, "11 0d 0004 4d515454 04 02 003c 0001 61", "[MQTT-2.1.3-1]"),  # flags of CONNECT
    (4, "80 08 000a 0003 612f23 01", "[MQTT-2.1.3-1]"),  # SUBSCRIBE without its flags
    (4, "60 02 000a", "[MQTT-2.1.3-1]"),  # PUBREL without its flags
    (4, "10 0d 0004 4d515455 04 02 003c 0001 61", "[MQTT-3.1.2-1]"),
    (4, "10 0d 0004 4d515454 03 02 003c 0001 61", "[MQTT-3.1.2-2]"),
    (4, "10 0d 0004 4d515454 04 03 003c 0001 61", "[MQTT-3.1.2-3]"),
    (4, "10 0d 0004 4d515454 04 0a 003c 0001 61", "[MQTT-3.1.2-11]"),  # QoS of no will
    (4, "10 11 0004 4d515454 04 1e 003c 0001 61 0001 77 0000", "[MQTT-3.1.2-12]"),
    (4, "10 0f 0004 4d515454 04 42 003c 0001 61 0000", "3.1.1 [MQTT-3.1.2-22]"),
    (4, "10 0e 0004 4d515454 04 02 003c 0001 61 00", "2.1.4"),  # a byte too many
    (4, "20 02 02 00", "[MQTT-3.2.2-1]"),
    (4, "20 02 00 06", "3.2.2.2"),
    (4, "20 02 01 05", "[MQTT-3.2.2-6]"),
    (4, "36 05 0001 74 0001", "[MQTT-3.3.1-4]"),
    (4, "38 03 0001 74", "[MQTT-3.3.1-2]"),
    (4, "32 05 0001 74 0000", "[MQTT-2.2.1-3]"),
    (4, "30 02 0000", "[MQTT-4.7.3-1]"),
    (4, "30 03 0001 2b", "[MQTT-3.3.2-2]"),
    (4, "30 03 0001 00", "[MQTT-1.5.4-2]"),
    (4, "30 03 0001 ff", "[MQTT-1.5.4-1]"),
    (4, "30 05 0003 eda080", "[MQTT-1.5.4-1]"),  # a surrogate
    (5, "30 06 0001 74 02 24 01", "2.2.2.2"),  # maximum QoS in a PUBLISH
    (5, "30 07 0001 74 03 23 0000", "[MQTT-3.3.2-8]"),
    (5, "30 08 0001 74 04 01 00 01 00", "2.2.2.2"),  # a property twice
    (5, "30 06 0001 74 02 01 02", "2.2.2.2"),  # payload format 2
    (5, "30 05 0001 74 80 00", "[MQTT-1.5.5-1]"),
    (5, "30 04 0001 74 05", "2.1.4"),
    (5, "40 03 000a 01", "3.4.2.1"),
    (4, "82 02 000a", "[MQTT-3.8.3-2]"),
    (4, "82 06 000a 0001 61 03", "3.8.3.1"),
    (4, "82 06 000a 0001 61 04", "[MQTT-3.8.3-5]"),
    (5, "82 07 000a 00 0001 61 30", "3.8.3.1"),
    (5, "82 0b 000a 04 0b 01 0b 02 0001 61 00", "2.2.2.2"),  # two subscription identifiers
    (5, "82 10 000a 00 000a 2473686172652f672f61 04", "[MQTT-3.8.3-4]"),
    (4, "82 08 000a 0003 612362 00", "[MQTT-4.7.1-1]"),
    (4, "82 07 000a 0002 612b 00", "[MQTT-4.7.1-2]"),
    (4, "82 0b 000a 0006 247368617265 00", "[MQTT-4.8.2-1]"),
    (4, "a2 02 000a", "[MQTT-3.10.3-2]"),
    (4, "90 03 000a 03", "3.9.3"),
    (4, "c0 01 00", "2.1.4"),
    (5, "e0 01 01", "[MQTT-3.14.2-1]"),
    (5, "f0 03 18 00 00", "2.1.4"),  # a byte too many
    (5, "f0 03 18 01 00", "2.2.2.2"),
]  # fmt: skip


@pytest.mark.parametrize(("version", "text", "clause"), MALFORMED)
def test_what_is_not_allowed_is_refused_with_its_clause(
    version: int, text: str, clause: str
) -> None:
    with pytest.raises(MqttError) as refused:
        only(bytes_of(text), version)
    assert refused.value.clause == clause


def test_lengths_are_bounded() -> None:
    with pytest.raises(MqttError) as refused:
        Splitter(100).feed(b"\x30\x63")
    assert refused.value.reason == Reason.PACKET_TOO_LARGE
    for bad in ("30 ffffffff", "30 8080808001", "30 8000"):
        with pytest.raises(MqttError):
            Splitter().feed(bytes_of(bad))
    assert Splitter().feed(b"\x30\xff\xff\xff") == []


def test_what_came_before_a_bad_length_is_told_first() -> None:
    splitter = Splitter()
    assert splitter.feed(b"\xc0\x00\x30\xff\xff\xff\xff") == [(0xC0, b"")]
    assert splitter.failed is not None
    with pytest.raises(MqttError):
        splitter.feed(b"")


def test_what_nobody_may_send_is_not_encoded() -> None:
    for packet in (
        Publish("t", b"", 1, 0), Publish("t", b"", 3, 1), Publish("t\0", b""),
        Publish("t", b"", dup=True), Subscribe(1, ()), Publish("t" * 65536, b""),
        Publish("t", b"", properties=Properties(maximum_qos=1)),
    ):  # fmt: skip
        with pytest.raises(ValueError):
            encode(packet, V5)
    with pytest.raises(ValueError):
        encode(Connect("a", V311, password=b"p"), V311)


def test_reasons_as_return_codes_of_3_1_1() -> None:
    assert return_code(Reason.BAD_USER_OR_PASSWORD) == 4
    assert return_code(Reason.QUOTA_EXCEEDED) == 5
