"""What a vehicle publishes: into the outbox, answered when it is durable."""

from typing import TYPE_CHECKING

from carcloud.codecs.errors import FrameError
from carcloud.codecs.mqtt.encode import encode
from carcloud.codecs.mqtt.errors import MqttError
from carcloud.codecs.mqtt.message import pack_message
from carcloud.codecs.mqtt.packets import V5, Ack, Publish, Type
from carcloud.codecs.mqtt.properties import NONE, Properties, write
from carcloud.codecs.mqtt.reasons import Reason
from carcloud.codecs.mqtt.topics import is_up, prefix
from carcloud.gateway.faults import fault_text
from carcloud.gateway.mqtt.content import contradiction, only_says
from carcloud.gateway.mqtt.downlink import Told
from carcloud.gateway.mqtt.rules import NAMES, TOPIC
from carcloud.model.time import now_us

if TYPE_CHECKING:
    from carcloud.gateway.mqtt.link import VehicleLink

_QOS_1 = Type.PUBLISH << 4 | 2  # first byte of a PUBLISH at QoS 1, neither sent again nor retained
_LAKE = frozenset({"signals", "collected"})  # topics below the prefix that ingest alone reads
_TOLD = 80  # bytes of a reason: `answered` knows lengths of one byte
_NO_ID = b"\0\0"
_PUBACK, _PUBREC = b"\x40\x02", b"\x50\x02"


class Upward:
    """The publishing half of a link."""

    __slots__ = ("_aliases", "_link", "_names", "_said", "_unanswered", "_v5")

    def __init__(self, link: "VehicleLink") -> None:
        self._link = link
        self._v5 = link.session.version >= V5
        self._names: set[bytes] = set()  # topics that were looked at, with their length before
        self._said: dict[tuple[bytes, bytes], tuple[set[int], bool]] = {}
        # by such a topic and properties: first bytes of payloads, and whether they are text
        self._aliases: dict[int, str] = {}
        self._unanswered = 0  # messages of QoS 1; counted for version 5

    def take_usual(self, data: bytes) -> tuple[int, int]:
        """Keep messages of QoS 1 on known topics from the start of `data`; (offset, how many).

        As `publish` does, in place and in a fraction of its time; stops at all that is not usual.
        """
        link, names, v5 = self._link, self._names, self._v5
        session, tenant, vehicle = link.session, link.tenant, link.vehicle
        gateway = session.gateway
        most = gateway.rules.receive_maximum
        at, end = 0, len(data)
        frames: list[bytes] = []
        answers = b""
        while end - at >= 8 and data[at] == _QOS_1:
            size, start = data[at + 1], at + 2
            if size >= 0x80:
                more = data[start]
                if not 0 < more < 0x80:
                    break
                size, start = size & 0x7F | more << 7, start + 1
            stop = start + size
            behind = start + 2 + (data[start] << 8 | data[start + 1])
            body = behind + 2 + v5
            if stop > end or body > stop:
                break
            name, number = data[start:behind], data[behind : behind + 2]
            if name not in names or number == _NO_ID:
                break
            if v5 and data[body - 1]:
                said = data[body - 1 : body + data[body - 1]]
                body += len(said) - 1
                if body >= stop or not self._agrees(name, said, data[body:stop]):
                    break
            if v5:
                if self._unanswered + len(link.state.received) >= most:
                    break
                self._unanswered += 1
            frames.append(name + data[body:stop])
            answers += _PUBACK + number
            at = stop
        if frames:
            gateway.outbox.add_all(tenant, vehicle, now_us(), frames, session, answers)
            gateway.quotas.spend(tenant, len(frames))
            gateway.figures.frames["report"] += len(frames)
        return at, len(frames)

    def _agrees(self, name: bytes, said: bytes, payload: bytes) -> bool:
        """Whether what is said of a payload was said before of one that begins so."""
        known = self._said.get((name, said))
        return known is not None and payload[0] in known[0] and (not known[1] or payload.isascii())

    def answered(self, data: bytes) -> None:
        """The outbox sends answers: of version 5 those to QoS 1 make room for more."""
        if not self._v5 or not self._unanswered:
            return
        at, end = 0, len(data)
        while at < end:
            self._unanswered -= data[at] == _PUBACK[0]
            at += 2 + data[at + 1]

    def publish(self, packet: Publish) -> None:
        """3.3: keep a message; raises `MqttError`."""
        link, state = self._link, self._link.state
        session = link.session
        topic = self._topic(packet)
        if not is_up(link.vehicle, topic):
            raise link.forbid("publish", topic)
        if packet.properties.subscription_ids:  # [MQTT-3.3.4-6]
            raise MqttError(Reason.PROTOCOL_ERROR, "[MQTT-3.3.4-6]", "a subscription identifier")
        outbox = session.gateway.outbox
        number = packet.packet_id.to_bytes(2, "big")
        answer = (None, _PUBACK + number, _PUBREC + number)[packet.qos]
        if packet.qos == 2 and packet.packet_id in state.received:  # [MQTT-4.3.3-10]
            # It may have come over a connection before this one, and wait to be durable.
            outbox.after_all(link.tenant, session, _PUBREC + number)
            return
        if packet.qos:
            self._count(packet)
        frame = pack_message(topic, packet.payload)
        downlink, below = session.gateway.downlink, topic[len(prefix(link.vehicle)) :]
        amiss = contradiction(below, packet.payload, packet.properties)
        if amiss is not None:
            self._refuse(packet, frame, amiss)
            return
        session.gateway.figures.frames["report"] += 1
        if below in _LAKE or downlink is None or downlink.told is None:
            self._remember(topic, packet)
            self._received(packet)
            outbox.add(link.tenant, link.vehicle, now_us(), frame, session, answer)
            return

        def kept(wrong: str) -> None:
            error = FrameError("not-taken", 0, "topics, version 1", wrong)
            fault = fault_text(error) if wrong else None
            self._received(packet)
            outbox.add(link.tenant, link.vehicle, now_us(), frame, session, answer, fault)
            session.gateway.look([link.vehicle])  # what it says of its state may change the delta

        # Nothing more is taken until the records have it: answers keep their order [MQTT-4.6.0-2].
        session.ask(downlink.told, Told(link.tenant, link.vehicle, below, packet.payload), kept)

    def _refuse(self, packet: Publish, frame: bytes, error: FrameError) -> None:
        """3.4.2.1: a payload that is not what is said of it is kept as a dead letter."""
        link, answer = self._link, None
        session, figures = link.session, link.session.gateway.figures
        figures.frames["refused"] += 1
        figures.refused[error.code] += 1
        if packet.qos:
            kind = Type.PUBACK if packet.qos == 1 else Type.PUBREC
            text = error.detail.encode()[:_TOLD].decode(errors="ignore")
            told = Properties(reason_string=text) if link.may_say(text) else NONE
            reason = Reason.PAYLOAD_FORMAT_INVALID
            answer = encode(Ack(kind, packet.packet_id, reason, told), session.version)
        fault = fault_text(error)
        session.gateway.outbox.add(
            link.tenant, link.vehicle, now_us(), frame, session, answer, fault
        )

    def _count(self, packet: Publish) -> None:
        """[MQTT-3.3.4-7]: not more at once than we have said."""
        state, most = self._link.state, self._link.session.gateway.rules.receive_maximum
        if self._v5 and self._unanswered + len(state.received) >= most:
            clause = "[MQTT-3.3.4-7]"
            raise MqttError(Reason.RECEIVE_MAXIMUM_EXCEEDED, clause, f"more than {most} at once")
        if packet.qos == 1:
            self._unanswered += self._v5

    def _received(self, packet: Publish) -> None:
        """[MQTT-4.3.3-10]: the message is kept; it is known if it comes again."""
        if packet.qos == 2:
            self._link.state.received.add(packet.packet_id)

    def _topic(self, packet: Publish) -> str:
        """3.3.2.3.4: the topic, or what its alias stands for."""
        if len(packet.topic) > TOPIC:
            detail = f"a topic of {len(packet.topic)} characters, {TOPIC} at most"
            raise MqttError(Reason.TOPIC_NAME_INVALID, "3.3.2.1", detail)
        alias = packet.properties.topic_alias
        if alias is None:
            return packet.topic
        clause = "[MQTT-3.3.2-9]"
        if alias > self._link.session.gateway.rules.topic_aliases:
            raise MqttError(Reason.TOPIC_ALIAS_INVALID, clause, f"alias {alias}")
        if packet.topic:
            self._aliases[alias] = packet.topic
            return packet.topic
        if alias not in self._aliases:
            raise MqttError(Reason.PROTOCOL_ERROR, "3.3.2.3.4", f"alias {alias} has no topic")
        return self._aliases[alias]

    def _remember(self, topic: str, packet: Publish) -> None:
        raw = topic.encode()
        name = len(raw).to_bytes(2, "big") + raw
        if len(self._names) < NAMES:
            self._names.add(name)
        said = packet.properties
        if said is not NONE and packet.payload and only_says(said) and len(self._said) < NAMES:
            written = write(said, Type.PUBLISH)
            if written[0] < 0x80:  # `take_usual` knows lengths of one byte
                begins, _ = self._said.setdefault(
                    (name, written), (set(), bool(said.payload_is_text))
                )
                begins.add(packet.payload[0])

    def release(self, packet: Ack) -> None:
        """3.6: the vehicle knows that a QoS 2 message is kept, and may use its number again."""
        link, state = self._link, self._link.state
        known = packet.packet_id in state.received
        state.received.discard(packet.packet_id)
        reason = 0 if known else Reason.PACKET_ID_NOT_FOUND
        answer = encode(Ack(Type.PUBCOMP, packet.packet_id, reason), link.session.version)
        link.session.gateway.outbox.after_earlier(link.tenant, link.session, answer)
