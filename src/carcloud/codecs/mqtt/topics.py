"""Topic names and filters (MQTT 5: 4.7), and the topics of one vehicle."""

from functools import lru_cache
from typing import Final

from carcloud.codecs.mqtt.errors import MqttError
from carcloud.codecs.mqtt.reasons import Reason

_MOST: Final = 65_535  # bytes
_KNOWN: Final = 200  # characters of a topic that is remembered

UP: Final = ("signals", "collected", "checkin", "commands/+/result", "state/reported")
"""What a vehicle may publish, below `v1/{vehicle}/`."""
DOWN: Final = ("commands", "documents", "documents/+", "state/desired", "state/delta")
"""What it may subscribe to."""


def check_topic(topic: str) -> None:
    """4.7: a topic name to publish on; raises `MqttError`."""
    if not topic:
        raise MqttError(Reason.TOPIC_NAME_INVALID, "[MQTT-4.7.3-1]", "an empty topic")
    if "+" in topic or "#" in topic:
        raise MqttError(Reason.TOPIC_NAME_INVALID, "[MQTT-3.3.2-2]", "wildcards in a topic name")
    if len(topic.encode()) > _MOST:
        raise MqttError(Reason.TOPIC_NAME_INVALID, "[MQTT-4.7.3-3]", "a topic that is too long")


def check_filter(pattern: str) -> None:
    """4.7, 4.8.2: a topic filter; raises `MqttError`."""
    if not pattern:
        raise MqttError(Reason.TOPIC_FILTER_INVALID, "[MQTT-4.7.3-1]", "an empty filter")
    levels = pattern.split("/")
    for index, level in enumerate(levels):
        if "#" in level and (level != "#" or index != len(levels) - 1):
            raise MqttError(Reason.TOPIC_FILTER_INVALID, "[MQTT-4.7.1-1]", "# in the wrong place")
        if "+" in level and level != "+":
            raise MqttError(Reason.TOPIC_FILTER_INVALID, "[MQTT-4.7.1-2]", "+ beside other text")
    if levels[0] == "$share" and (
        len(levels) < 3 or not levels[1] or levels[1] in "+#" or not "/".join(levels[2:])
    ):
        raise MqttError(Reason.TOPIC_FILTER_INVALID, "[MQTT-4.8.2-1]", "a bad share name")


def is_shared(pattern: str) -> bool:
    """Whether a filter is a shared subscription (4.8.2)."""
    return pattern.startswith("$share/")


def matches(pattern: str, topic: str) -> bool:
    """4.7: whether a valid filter covers a topic name."""
    wanted, there = pattern.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):  # [MQTT-4.7.2-1]
        return False
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(there) or level not in ("+", there[index]):
            return False
    return len(wanted) == len(there)


def prefix(vehicle: str) -> str:
    """What all topics of a vehicle begin with."""
    return f"v1/{vehicle}/"


def is_up(vehicle: str, topic: str) -> bool:
    """Whether the vehicle may publish on this topic."""
    return _is_up(vehicle, topic) if len(topic) <= _KNOWN else _looks_up(vehicle, topic)


@lru_cache(4096)
def _is_up(vehicle: str, topic: str) -> bool:
    return _looks_up(vehicle, topic)


def _looks_up(vehicle: str, topic: str) -> bool:
    start = prefix(vehicle)
    return topic.startswith(start) and any(matches(one, topic[len(start) :]) for one in UP)


def is_down(vehicle: str, topic: str) -> bool:
    """Whether a message to the vehicle may have this topic."""
    start = prefix(vehicle)
    return topic.startswith(start) and any(matches(one, topic[len(start) :]) for one in DOWN)


def may_subscribe(vehicle: str, pattern: str) -> bool:
    """Whether all that the filter can cover below the prefix is the vehicle's own."""
    return pattern.startswith(prefix(vehicle)) and "/" not in vehicle
