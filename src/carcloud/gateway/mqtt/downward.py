"""What a vehicle is brought: subscriptions, and the messages that wait for it, in order."""

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
    Unsuback,
    Unsubscribe,
)
from carcloud.codecs.mqtt.properties import NONE, Properties
from carcloud.codecs.mqtt.reasons import Reason
from carcloud.codecs.mqtt.topics import is_shared, matches, may_subscribe
from carcloud.codecs.mqtt.wire import MOST
from carcloud.gateway.mqtt.downlink import Delivered, Found, Look, Message
from carcloud.gateway.mqtt.rules import TOPIC
from carcloud.model.time import SECOND, now_us

if TYPE_CHECKING:
    from carcloud.gateway.mqtt.link import VehicleLink

_QOS = 1  # the best that is granted to a vehicle
_FRESH_S = 2  # for which what waits to be sent is not looked up again


class Downward:
    """The subscribing half of a link."""

    __slots__ = (
        "_again", "_doubted", "_fresh", "_largest", "_link", "_looked", "_looking", "_resuming",
        "_stale", "_window", "live",
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
        self._looked = 0.0  # s of the loop's clock, when what waits was last known to be wanted
        self._stale = True  # something may have been withdrawn since
        self._doubted = False  # an answer was, by what came while it was looked up
        self._resuming = False
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
        return min(one.qos, _QOS)

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
        would have it: it must not reach the vehicle. Its packet identifier is free, as a receiver
        keeps nothing under an identifier of QoS 1 (4.3.2).
        """
        state = self._link.state
        if state.held() and self._link.session.gateway.downlink is not None:
            self._resuming = True
            self._ask(tuple(state.subscriptions))
        elif state.subscriptions:
            self.look()

    def _send_again(self) -> None:
        state = self._link.state
        again = list(state.sent.items())
        for number, message in reversed(again[self._window :]):
            del state.sent[number]
            state.queue.appendleft((message, False))
        for number, message in again[: self._window]:
            self._write(message, 1, number, retain=False, dup=True)

    def look(self) -> None:
        """Something was put or withdrawn for the vehicle: ask for it; once at a time."""
        if self._link.session.gateway.downlink is None or not self.live:
            return
        self._stale = True
        self._again = self._looking or bool(self._link.state.queue)
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
        held = state.held() if self._resuming else state.queued()
        question = Look(link.tenant, link.vehicle, filters, state.known(), held)
        downlink.looks.ask(question, lambda found: self._found(found, fresh))

    def _found(self, found: Found, fresh: dict[str, bool]) -> None:
        self._looking = False
        if not self.live:
            return
        self._looked = self._link.session.gateway.clock()
        self._forget(found.gone)
        if self._resuming:
            self._resuming = False
            self._send_again()
        known = self._link.state.known()
        for message in found.messages:
            if message.id not in known:
                self._queue(message, fresh)
        if found.more:
            self._again = True
            self._fresh = fresh | self._fresh
        # What is queued was wanted when the lookup began. Where something was announced meanwhile
        # it is looked up once more, but not for ever: it would never be sent.
        self._doubted = self._stale and bool(self._link.state.queue) and not self._doubted
        self.pump(confirmed=not self._doubted)

    def _forget(self, gone: frozenset[int]) -> None:
        """Messages that are not wanted any more; of those sent only before a new connection goes
        on with them: on this one their PUBACK may be on its way."""
        state, dropped = self._link.state, self._link.session.gateway.mqtt.dropped
        for pair in [pair for pair in state.queue if pair[0].id in gone]:
            dropped["withdrawn"] += 1
            state.queue.remove(pair)
        if not self._resuming:
            return
        for number, message in list(state.sent.items()):
            if _is_over(message):
                dropped["expired"] += 1
                self._done(state.sent.pop(number))
            elif message.id in gone:
                dropped["withdrawn"] += 1
                del state.sent[number]

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
        state, session = self._link.state, self._link.session
        if self._resuming:
            return
        while self.live and state.queue and len(state.sent) < self._window and not session.deaf:
            if not confirmed and self._is_stale():
                if not self._looking:
                    self._ask(())
                return
            message, retain = state.queue.popleft()
            self._send(message, retain=retain)
        if self._again and not state.queue and not self._looking:
            self.look()

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
        qos = min(message.qos, max(levels), _QOS)
        number = state.packet_id() if qos else 0
        if not self._write(message, qos, number, retain=retain, dup=False):
            figures.dropped["too large"] += 1
            self._done(message)
        elif qos:
            state.sent[number] = message
        else:
            figures.delivered += 1
            self._done(message)

    def _write(self, message: Message, qos: int, number: int, *, retain: bool, dup: bool) -> bool:
        """False for a message that the client takes no packet for."""
        properties = NONE
        if message.expires is not None:  # [MQTT-3.3.2-6]
            left = max(0, message.expires - now_us()) // SECOND
            properties = Properties(message_expiry=min(left, 0xFFFFFFFF))
        packet = Publish(message.topic, message.payload, qos, number, retain, dup, properties)
        data = encode(packet, self._link.session.version)
        if not self.fits(len(data)):
            return False
        self._link.session.send_down(data)
        return True

    def acknowledged(self, packet: Ack) -> None:
        """3.4: the vehicle has a message, or does not want it."""
        message = self._link.state.sent.pop(packet.packet_id, None)
        if message is None:
            return
        figures = self._link.session.gateway.mqtt
        if packet.reason < 0x80:
            figures.delivered += 1
        else:
            figures.dropped["refused by the vehicle"] += 1
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
