"""Topics: 4.7 of the OASIS text, and the topics of one vehicle."""

import pytest

from carcloud.codecs.mqtt.errors import MqttError
from carcloud.codecs.mqtt.topics import (
    check_filter,
    check_topic,
    is_down,
    is_shared,
    is_up,
    matches,
    may_subscribe,
)


@pytest.mark.parametrize(
    ("pattern", "topic", "covered"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/tennis/+", "sport/tennis/player1", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/a", False),
        ("+/monitor", "$SYS/monitor", False),
        ("$SYS/#", "$SYS/a", True),
        ("a", "A", False),
    ],
)
def test_which_topics_a_filter_covers(pattern: str, topic: str, *, covered: bool) -> None:
    assert matches(pattern, topic) is covered


@pytest.mark.parametrize("pattern", ["", "a#", "#/a", "a+", "+a/b", "$share/g", "$share//a"])
def test_bad_filters_are_refused(pattern: str) -> None:
    with pytest.raises(MqttError):
        check_filter(pattern)


@pytest.mark.parametrize("topic", ["", "a/+", "#", "x" * 65536])
def test_bad_topics_are_refused(topic: str) -> None:
    with pytest.raises(MqttError):
        check_topic(topic)


def test_a_vehicle_has_topics_of_its_own() -> None:
    assert is_up("V1", "v1/V1/signals")
    assert is_up("V1", "v1/V1/commands/c-1/result")
    for other in ("v1/V2/signals", "v1/V1/commands", "v1/V1/signals/", "v1/V1", "signals"):
        assert not is_up("V1", other)
    assert is_down("V1", "v1/V1/documents/x")
    assert not is_down("V1", "v1/V1/signals")
    assert may_subscribe("V1", "v1/V1/#")
    for other in ("v1/V2/#", "v1/+/commands", "#", "v1/V11/commands", "$share/g/v1/V1/#"):
        assert not may_subscribe("V1", other)
    assert is_shared("$share/g/v1/V1/#")
