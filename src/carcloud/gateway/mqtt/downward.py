"""What a vehicle is brought: subscriptions, and the messages that wait for it, in order."""

from math import inf
from typing import TYPE_CHECKING

from carcloud.codecs.mqtt.encode import encode
from carcloud.codecs.mqtt.errors import MqttError
from carcloud.codecs.mqtt.packets import (
    V5,
    Ack,
    Connect,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Type,
    Unsuback,
    Unsubscribe,
)
from carcloud.codecs.mqtt.properties import NONE, Properties
from carcloud.codecs.mqtt.reasons import Reason
from carcloud.codecs.mqtt.topics import is_shared, matches, may_subscribe
from carcloud.codecs.mqtt.wire import MOST
from carcloud.gateway.mqtt.downlink import Delivered, Found, Look, Message
from carcloud.gateway.mqtt.inflight import Sent
from carcloud.gateway.mqtt.rules import TOPIC
from carcloud.model.time import SECOND, now_us

if TYPE_CHECKING:
    from carcloud.gateway.mqtt.link import VehicleLink

_REFUSED = 0x80  # reasons from here on
_FRESH_S = 2  # for which what waits to be sent is not looked up again


class Downward:
    """The subscribing half of a link."""

    __slots__ = (
        "_again", "_doubted", "_fresh", "_largest", "_link", "_looked", "_looking", "_stale",
        "_unsent", "_window", "live",
    )  # fmt: skip

    def __init__(self, link: "VehicleLink", connect: Connect) -> None:
        properties = connect.properties
        self._link = link
        self._largest = properties.maximum_packet_size or MOST + 5
        most = link.session.gateway.rules.window
        self._window = min(properties.receive_maximum or most, most)
        self._fresh: dict[str, bool] = {}  # new filters; whether retained messages are wanted
        self._looking = False
        self._again = False
        self._looked = -inf  # s of the loop's clock, when what waits was last known to be wanted
        self._stale = True  # something may have been withdrawn since
        self._doubted = False  # an answer was, by what came while it was looked up
        self._unsent: dict[int, None] = {}  # to be sent again, by packet identifier, in order
        self.live = True  # the state is this link's

    def fits(self, size: int) -> bool:
        """Whether the client takes packets of so many bytes ([MQTT-3.1.2-24])."""
        return size <= self._largest

    # subscriptions

    def subscribe(self, packet: Subscribe) -> None:
        """3.8; raises `MqttError`."""
        link, state = self._link, self._link.state
        if packet.properties.subscription_ids:
            detail = "subscription identifiers are not available"
            raise MqttError(Reason.SUBSCRIPTION_IDS_NOT_SUPPORTED, "3.2.2.3.12", detail)
        for one in packet.subscriptions:
            if is_shared(one.filter) or not may_subscribe(link.vehicle, one.filter):
                raise link.forbid("subscribe", one.filter)
        reasons = tuple(self._grant(one) for one in packet.subscriptions)
        link.session.write(Suback(packet.packet_id, reasons))
        if state.subscriptions:
            self.look()

    def _grant(self, one: Subscription) -> int:
        state, rules = self._link.state, self._link.session.gateway.rules
        v5 = self._link.session.version >= V5
        if len(one.filter) > TOPIC:
            return Reason.TOPIC_FILTER_INVALID if v5 else 0x80
        new = one.filter not in state.subscriptions
        if new and len(state.subscriptions) >= rules.subscriptions:
            self._link.session.gateway.mqtt.subscriptions_refused += 1
            return Reason.QUOTA_EXCEEDED if v5 else 0x80
        state.subscriptions[one.filter] = one
        wanted = one.retain_handling == 0 or (one.retain_handling == 1 and new)
        self._fresh[one.filter] = wanted
        if wanted:  # [MQTT-3.3.1-9]: also what the vehicle has had already
            for topic in [name for name in state.retained if matches(one.filter, name)]:
                del state.retained[topic]
        return one.qos

    def unsubscribe(self, packet: Unsubscribe) -> None:
        """3.10: messages on their way go on."""
        state = self._link.state
        reasons = tuple(
            Reason.SUCCESS
            if state.subscriptions.pop(name, None) is not None
            else Reason.NO_SUBSCRIPTION_EXISTED
            for name in packet.filters
        )
        self._link.session.write(Unsuback(packet.packet_id, reasons))

    # messages

    def resume(self) -> None:
        """[MQTT-4.4.0-1]: send again what was not acknowledged, then look for more.

        What was withdrawn, replaced or is past its time is not sent again, though the standard
        would have it: it must not reach the vehicle. Its packet identifier stays in use.
        """
        state = self._link.state
        for number in state.inflight.released:  # [MQTT-4.6.0-4]
            self._release(number)
        self._unsent = dict.fromkeys(state.inflight.sent)
        if self._waiting:
            self._ask(tuple(state.subscriptions))
        elif state.subscriptions:
            self.look()

    @property
    def _waiting(self) -> bool:
        """Whether something waits to be sent over this connection."""
        return bool(self._unsent or self._link.state.queue)

    def look(self) -> None:
        """Something was put or withdrawn for the vehicle: ask for it; once at a time."""
        if self._link.session.gateway.downlink is None or not self.live:
            return
        self._stale = True
        self._again = self._looking or self._waiting
        if not self._again:
            self._ask(tuple(self._link.state.subscriptions))

    def _ask(self, filters: tuple[str, ...]) -> None:
        """What waits on these topics; in any case, which of those held are still wanted."""
        link, state = self._link, self._link.state
        downlink = link.session.gateway.downlink
        if downlink is None:
            return
        self._looking, self._stale = True, False
        fresh: dict[str, bool] = {}
        if filters:
            fresh, self._fresh = self._fresh, {}
        held = [message.id for message, _ in state.queue]
        held += [state.inflight.sent[number].message.id for number in self._unsent]
        question = Look(link.tenant, link.vehicle, filters, state.known(), frozenset(held))
        downlink.looks.ask(question, lambda found: self._found(found, fresh))

    def _found(self, found: Found, fresh: dict[str, bool]) -> None:
        self._looking = False
        if not self.live:
            return
        self._looked = self._link.session.gateway.clock()
        self._forget(found.gone)
        known = self._link.state.known()
        for message in found.messages:
            if message.id not in known:
                self._queue(message, fresh)
        if found.more:
            self._again = True
            self._fresh = fresh | self._fresh
        # What waits was wanted when the lookup began. Where something was announced meanwhile it
        # is looked up once more, but not for ever: it would never be sent.
        self._doubted = self._stale and self._waiting and not self._doubted
        self.pump(confirmed=not self._doubted)

    def _forget(self, gone: frozenset[int]) -> None:
        """Messages that are not wanted any more; not those that were sent over this connection:
        their acknowledgement may be on its way."""
        state, dropped = self._link.state, self._link.session.gateway.mqtt.dropped
        for pair in [pair for pair in state.queue if pair[0].id in gone]:
            dropped["withdrawn"] += 1
            state.queue.remove(pair)
        for number in list(self._unsent):
            if state.inflight.sent[number].message.id in gone:
                dropped["withdrawn"] += 1
                self._withdraw(number)

    def _withdraw(self, number: int) -> Message:
        """What was sent over an earlier connection is not sent again."""
        del self._unsent[number]
        return self._link.state.inflight.withdraw(number)

    def _queue(self, message: Message, fresh: dict[str, bool]) -> None:
        state = self._link.state
        covering = [
            one for one in state.subscriptions.values() if matches(one.filter, message.topic)
        ]
        if not covering:
            return
        if not message.retained:
            state.queue.append((message, False))
            return
        state.retained[message.topic] = message.id
        answers = [fresh[one.filter] for one in covering if one.filter in fresh]
        if answers and len(answers) == len(covering) and not any(answers):
            return  # [MQTT-3.3.1-11]: it was there before the subscription, and is not wanted
        retain = any(answers) or any(one.retain_as_published for one in covering)
        state.queue.append((message, retain))

    def pump(self, *, confirmed: bool = False) -> None:
        """Send what the vehicle has room for (4.9); `confirmed`: without a lookup before."""
        session = self._link.session
        while self.live and self._waiting and self._has_room() and not session.deaf:
            if not confirmed and self._is_stale():
                if not self._looking:
                    self._ask(())
                return
            if self._unsent:
                self._send_again(next(iter(self._unsent)))
            else:
                message, retain = self._link.state.queue.popleft()
                self._send(message, retain=retain)
        if self._again and not self._waiting and not self._looking:
            self.look()

    def _has_room(self) -> bool:
        """[MQTT-3.3.4-9], counting also what earlier connections have left to be released."""
        return len(self._link.state.inflight) - len(self._unsent) < self._window

    def _is_stale(self) -> bool:
        """Whether what is queued may have been withdrawn meanwhile."""
        if self._link.session.gateway.downlink is None:
            return False
        return self._stale or self._link.session.gateway.clock() - self._looked > _FRESH_S

    def _send(self, message: Message, *, retain: bool) -> None:
        state, figures = self._link.state, self._link.session.gateway.mqtt
        levels = [
            one.qos for one in state.subscriptions.values() if matches(one.filter, message.topic)
        ]
        if _is_over(message):
            figures.dropped["expired"] += 1
            self._done(message)
            return
        if not levels:
            return  # unsubscribed meanwhile: it stays in the store
        one = Sent(message, min(message.qos, max(levels)), retain)
        number = state.inflight.packet_id() if one.qos else 0
        if not self._write(one, number, dup=False):
            figures.dropped["too large"] += 1
            self._done(message)
        elif one.qos:
            state.inflight.sent[number] = one
        else:
            figures.delivered += 1
            self._done(message)

    def _send_again(self, number: int) -> None:
        """[MQTT-4.6.0-1]: the next of what an earlier connection has left."""
        one = self._link.state.inflight.sent[number]
        dropped = self._link.session.gateway.mqtt.dropped
        if _is_over(one.message):
            dropped["expired"] += 1
            self._done(self._withdraw(number))
        elif not self._write(one, number, dup=True):
            dropped["too large"] += 1
            self._done(self._withdraw(number))
        else:
            del self._unsent[number]

    def _write(self, one: Sent, number: int, *, dup: bool) -> bool:
        """False for a message that the client takes no packet for."""
        message = one.message
        properties = NONE
        if message.expires is not None:  # [MQTT-3.3.2-6]
            left = max(0, message.expires - now_us()) // SECOND
            properties = Properties(message_expiry=min(left, 0xFFFFFFFF))
        packet = Publish(
            message.topic, message.payload, one.qos, number, one.retain, dup, properties
        )
        data = encode(packet, self._link.session.version)
        if not self.fits(len(data)):
            return False
        self._link.session.send_down(data)
        return True

    def acknowledged(self, packet: Ack) -> None:
        """3.4, 3.7: PUBACK or PUBCOMP: the vehicle has a message, or does not want it."""
        inflight = self._link.state.inflight
        if packet.type == Type.PUBACK:
            self._end(packet, inflight.puback(packet.packet_id), refused=packet.reason >= _REFUSED)
        else:
            self._end(packet, inflight.pubcomp(packet.packet_id), refused=False)

    def received(self, packet: Ack) -> None:
        """3.5: PUBREC: the vehicle has a message of QoS 2 and keeps in mind that it has it, or does
        not want it. Until its PUBCOMP the store keeps the message too: a session that is lost
        meanwhile is lost on both sides."""
        inflight = self._link.state.inflight
        if packet.reason >= _REFUSED:
            self._end(packet, inflight.refuse(packet.packet_id), refused=True)
            return
        known = inflight.pubrec(packet.packet_id)
        self._unsent.pop(packet.packet_id, None)
        self._release(packet.packet_id, 0 if known else Reason.PACKET_ID_NOT_FOUND)

    def _release(self, number: int, reason: int = 0) -> None:
        self._link.session.write(Ack(Type.PUBREL, number, reason))

    def _end(self, packet: Ack, message: Message | None, *, refused: bool) -> None:
        """The packet identifier is free."""
        figures = self._link.session.gateway.mqtt
        self._unsent.pop(packet.packet_id, None)
        if message is not None:
            if refused:
                figures.dropped["refused by the vehicle"] += 1
            else:
                figures.delivered += 1
            self._done(message)
        self.pump()

    def _done(self, message: Message) -> None:
        link, state = self._link, self._link.state
        downlink = link.session.gateway.downlink
        if message.retained or downlink is None:
            return
        state.removing.add(message.id)
        gone = Delivered(link.tenant, link.vehicle, message.id)
        downlink.deliveries.ask(gone, lambda _: state.removing.discard(message.id))


def _is_over(message: Message) -> bool:
    """Past its time: it must not reach the vehicle any more."""
    return message.expires is not None and message.expires <= now_us()
