"""Packets that may be sent, for hypothesis."""

from hypothesis import strategies as st

from carcloud.codecs.mqtt import reasons
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
    Will,
)
from carcloud.codecs.mqtt.properties import NONE, Properties

text = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
topics = text.filter(lambda name: name and "+" not in name and "#" not in name)
filters = st.lists(st.sampled_from(("a", "é", "+", "")), min_size=1, max_size=4).map("/".join)
filters = filters.filter(bool) | st.just("a/#") | st.just("#") | st.just("$share/g/a/+")
ids = st.integers(1, 0xFFFF)
flags = st.integers(0, 1)
twos = st.integers(0, 0xFFFF)
fours = st.integers(0, 0xFFFFFFFF)
users = st.lists(st.tuples(text, text), max_size=2).map(tuple)


def _properties(version: int, **known: st.SearchStrategy) -> st.SearchStrategy[Properties]:
    if version < V5:
        return st.just(NONE)
    maybe = {name: st.none() | value for name, value in known.items()}
    return st.builds(Properties, user=users, **maybe)


def _message(version: int, **more: st.SearchStrategy) -> st.SearchStrategy[Properties]:
    return _properties(
        version, payload_is_text=flags, message_expiry=fours, content_type=text,
        response_topic=topics, correlation=st.binary(max_size=5), **more,
    )  # fmt: skip


def _codes(known: frozenset[int]) -> st.SearchStrategy[int]:
    return st.sampled_from(sorted(known))


@st.composite
def _connects(draw: st.DrawFn, version: int) -> Connect:
    will = st.builds(
        Will, topics, st.binary(max_size=9), st.integers(0, 2), st.booleans(),
        _message(version, will_delay=fours),
    )  # fmt: skip
    name = draw(st.none() | text)
    password = (
        draw(st.none() | st.binary(max_size=9)) if name is not None or version == V5 else None
    )
    properties = _properties(
        version, session_expiry=fours, receive_maximum=ids, maximum_packet_size=ids,
        topic_alias_maximum=twos, request_response=flags, request_problem=flags,
        authentication_method=text,
    )  # fmt: skip
    return Connect(
        draw(text), version, draw(st.booleans()), draw(twos), name, password,
        draw(st.none() | will), draw(properties),
    )  # fmt: skip


@st.composite
def _publishes(draw: st.DrawFn, version: int) -> Publish:
    qos = draw(st.integers(0, 2))
    properties = draw(_message(version, topic_alias=ids))
    return Publish(
        draw(topics), draw(st.binary(max_size=200)), qos, draw(ids) if qos else 0,
        draw(st.booleans()), draw(st.booleans()) and qos > 0, properties,
    )  # fmt: skip


def packets(version: int) -> st.SearchStrategy[Packet]:
    """Any packet of either side."""
    five, plain = version == V5, _properties(version, reason_string=text)
    firsts, seconds = (reasons.PUBACK, reasons.PUBREL) if five else (frozenset({0}),) * 2
    subscriptions = st.builds(Subscription, filters, st.integers(0, 2))
    if five:
        more = (st.booleans(), st.integers(0, 2))
        subscriptions |= st.builds(Subscription, filters, st.just(1), st.just(False), *more)
    connacks = reasons.CONNACK if five else reasons.CONNACK_311
    granted = st.lists(
        _codes(reasons.SUBACK if five else reasons.SUBACK_311), min_size=1, max_size=4
    )
    gone = st.lists(_codes(reasons.UNSUBACK), min_size=1, max_size=4) if five else st.just(())
    requests = st.lists(subscriptions, min_size=1, max_size=4).map(tuple)
    known = [
        _connects(version), _publishes(version),
        st.builds(Connack, st.just(False), _codes(connacks), _properties(
            version, maximum_qos=flags, server_keep_alive=twos, assigned_client_id=text)),
        st.builds(Ack, st.sampled_from((Type.PUBACK, Type.PUBREC)), ids, _codes(firsts), plain),
        st.builds(Ack, st.sampled_from((Type.PUBREL, Type.PUBCOMP)), ids, _codes(seconds), plain),
        st.builds(Subscribe, ids, requests, _properties(version)),
        st.builds(Suback, ids, granted.map(tuple), plain),
        st.builds(Unsubscribe, ids, st.lists(filters, min_size=1, max_size=4).map(tuple)),
        st.builds(Unsuback, ids, gone.map(tuple), plain),
        st.builds(Ping, st.booleans()),
    ]  # fmt: skip
    if five:
        known += [
            st.builds(Disconnect, _codes(reasons.DISCONNECT), plain),
            st.builds(Auth, _codes(reasons.AUTH), plain),
        ]
    else:
        known.append(st.just(Disconnect()))
    return st.one_of(known)
