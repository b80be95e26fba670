"""The table of commands: what each is for, which protocols carry it, what it takes.

A gateway that gets a command its protocol does not carry refuses it by name, so a row may be
added before every gateway knows it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from carcloud.services.commands.errors import InvalidCommand

SEND: Final = "commands:send"
CONTROL: Final = "commands:control"  # what opens, stops or sets something
COLLECT: Final = "campaigns:write"  # what changes what is collected

GBT32960, JT808, MQTT = "gbt32960", "jt808", "mqtt"


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: `kind` is text, whole, number, flag, object, list or value (any JSON).

    What is `secret` is shown to nobody after it was given.
    """

    name: str
    kind: str
    help: str
    needed: bool = False
    least: float | None = None  # of a number; of a text or list its length
    most: float | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table. `parked`: only for a vehicle that is known to stand."""

    name: str
    help: str
    protocols: tuple[str, ...]
    action: str = SEND
    parked: bool = False
    arguments: tuple[Argument, ...] = ()


_ALL = (GBT32960, JT808, MQTT)
_AREAS = ("circle", "rectangle", "polygon", "route")
_SERVER = (
    Argument("apn", "text", "Access point of the mobile network", most=100),
    Argument("user", "text", "Its user name", most=100),
    Argument("password", "text", "Its password", most=100, secret=True),
    Argument("address", "text", "Host of the server", most=255),
    Argument("tcp_port", "whole", "Its TCP port", least=0, most=65_535),
    Argument("udp_port", "whole", "Its UDP port", least=0, most=65_535),
)
_MINUTES = Argument("minutes", "whole", "min until it gives up; 0 = never", least=0, most=65_535)
_STORED = (
    Argument("medium", "text", "What", True, choices=("picture", "audio", "video")),
    Argument("channel", "whole", "Camera or microphone; all without it", least=0, most=255),
    Argument("event", "text", "Why it was recorded",
             choices=("platform", "timer", "robbery", "collision", "door-opened", "door-closed",
                      "doors-closed", "distance")),
    Argument("after", "text", "Not before this time, such as 2026-05-01T08:00:00Z", most=40),
    Argument("before", "text", "Not after this time", most=40),
)  # fmt: skip
_DELETE = Argument("delete", "flag", "Then delete it in the terminal")
_CODE = Argument("code", "whole", "Command word of GB/T 19056", True, 0, 255)
_DATA = Argument("data", "text", "Bytes in hex digits", most=20_000)
_LIST_ACTIONS = ("delete-all", "replace", "add", "modify")
_ENTRIES = Argument("entries", "list", "The entries, by the fields of the protocol", most=255)

KINDS: Final[tuple[Kind, ...]] = (
    Kind("locate", "Report the position now", (JT808, MQTT)),
    Kind(
        "track", "Report the position more often for a while", (JT808, MQTT),
        arguments=(
            Argument("interval_s", "whole", "s between reports", True, 1, 3600),
            Argument("duration_s", "whole", "s until the usual interval again", True, 1, 86_400),
        ),
    ),
    Kind(
        "message", "Show or speak a text to the driver", (JT808, MQTT),
        arguments=(
            Argument("text", "text", "What to show", True, 1, 500),
            Argument("show", "text", "How", choices=("display", "speak", "emergency")),
        ),
    ),
    Kind(
        "read-parameters", "Read parameters of the terminal", _ALL,
        arguments=(Argument("names", "list", "Numbers or names; all without it", most=200),),
    ),
    Kind(
        "set-parameters", "Change parameters of the terminal", _ALL, CONTROL,
        arguments=(Argument("parameters", "object", "Value by number or name", True),),
    ),
    Kind("restart", "Restart the terminal", _ALL, CONTROL, parked=True),
    Kind("factory-reset", "Put the terminal back to its first settings", _ALL, CONTROL, True),
    Kind("lock", "Lock the doors", (JT808, MQTT), CONTROL),
    Kind("unlock", "Unlock the doors", (JT808, MQTT), CONTROL, parked=True),
    Kind(
        "photo", "Take pictures", (JT808,),
        arguments=(
            Argument("channel", "whole", "Camera", least=1, most=255),
            Argument("count", "whole", "Pictures", least=1, most=100),
            Argument("interval_s", "whole", "s between them", least=0, most=65_535),
        ),
    ),
    Kind(
        "set-areas", "Give circles, rectangles, polygons or routes to watch", (JT808,), CONTROL,
        arguments=(
            Argument("shape", "text", "Which", True, choices=_AREAS),
            Argument("areas", "list", "Each with id; latitude_deg, longitude_deg, radius_m of a "
                     "circle; top_deg, left_deg, bottom_deg, right_deg of a rectangle; vertices of "
                     "a polygon; points of a route; and flags, start, end, max_speed_kmh, "
                     "overspeed_s, night_max_speed_kmh, name", True, 1, 100),
            Argument("replace", "flag", "Instead of those it has"),
        ),
    ),
    Kind(
        "remove-areas", "Forget areas or routes", (JT808,), CONTROL,
        arguments=(
            Argument("shape", "text", "Which", True, choices=_AREAS),
            Argument("ids", "list", "Their numbers; all without it", most=125),
        ),
    ),
    Kind(
        "confirm-alarm", "Confirm an alarm so that the terminal clears it", (JT808,),
        arguments=(
            Argument("serial", "whole", "Serial number of the report", least=0, most=65_535),
            Argument("kinds", "list", "Of sos, danger, area, route, segment_time, "
                     "illegal_ignition, illegal_move", True, 1, 32),
        ),
    ),
    Kind("power-off", "Turn the terminal off", (JT808,), CONTROL, parked=True),
    Kind("close-data", "Close the terminal's data connections", (JT808,), CONTROL),
    Kind("close-radio", "Close all radio of the terminal", (JT808,), CONTROL),
    Kind(
        "change-server", "Have the terminal connect to another server, or to its own again",
        (JT808,), CONTROL,
        arguments=(
            Argument("back", "flag", "To its own again"),
            Argument("code", "text", "Authentication code of the other server", most=100,
                     secret=True),
            *_SERVER,
            _MINUTES,
        ),
    ),
    Kind(
        "update-terminal", "Have the terminal fetch and install its firmware", (JT808,),
        CONTROL, parked=True,
        arguments=(
            Argument("url", "text", "Where the firmware is", True, 1, 500),
            *_SERVER,
            Argument("maker", "text", "Maker code of the terminal", most=11),
            Argument("hardware", "text", "Hardware version it is for", most=100),
            Argument("firmware", "text", "Its version", most=100),
            _MINUTES,
        ),
    ),
    Kind("check-link", "Have the terminal answer, to see that it does", (JT808,)),
    Kind("read-attributes", "Read maker, model, card and versions of the terminal", (JT808,)),
    Kind("read-driver", "Read the driver's identity from the card", (JT808,)),
    Kind(
        "read-areas", "Read the areas or routes that the terminal watches", (JT808,),
        arguments=(
            Argument("shape", "text", "Which", True, choices=_AREAS),
            Argument("ids", "list", "Their numbers; all without it", most=125),
        ),
    ),
    Kind("read-recorder", "Read data of the driving recorder", (JT808,), arguments=(_CODE, _DATA)),
    Kind(
        "set-recorder", "Set parameters of the driving recorder", (JT808,), CONTROL,
        arguments=(_CODE, _DATA),
    ),
    Kind(
        "pass-through", "Pass bytes to a device behind the terminal", (JT808,), CONTROL,
        arguments=(
            Argument("code", "whole", "Kind of message; 240 to 255 are the user's", True, 0, 255),
            Argument("data", "text", "Bytes in hex digits", True, 0, 20_000),
        ),
    ),
    Kind(
        "record-video", "Record a video", (JT808,),
        arguments=(
            Argument("seconds", "whole", "s it lasts", True, 1, 65_535),
            Argument("channel", "whole", "Camera", least=1, most=255),
        ),
    ),
    Kind(
        "record-sound", "Record the sound in the cabin, or stop it", (JT808,), CONTROL,
        arguments=(
            Argument("stop", "flag", "Stop it"),
            Argument("seconds", "whole", "s it lasts; 0 = until stopped", least=0, most=65_535),
            Argument("store", "flag", "Keep it in the terminal, instead of uploading it"),
            Argument("rate_khz", "text", "Sampling, kHz", choices=("8", "11", "23", "32")),
        ),
    ),
    Kind(
        "find-media", "List pictures, sound or videos that the terminal keeps", (JT808,),
        arguments=_STORED,
    ),
    Kind(
        "upload-media", "Upload pictures, sound or videos that the terminal keeps", (JT808,),
        CONTROL,
        arguments=(*_STORED, _DELETE),
    ),
    Kind(
        "upload-media-item", "Upload one item that the terminal keeps", (JT808,), CONTROL,
        arguments=(
            Argument("media_id", "whole", "Its number", True, 1, 0xFFFFFFFF),
            _DELETE,
        ),
    ),
    Kind(
        "call-back", "Have the terminal call a telephone", (JT808,), CONTROL,
        arguments=(
            Argument("phone", "text", "Its number", True, 1, 20),
            Argument("listen", "flag", "Only listen to the cabin"),
        ),
    ),
    Kind(
        "question", "Ask the driver, who chooses an answer", (JT808,),
        arguments=(
            Argument("text", "text", "The question", True, 1, 120),
            Argument("answers", "list", "Answers to choose from, numbered from 1", True, 1, 20),
            Argument("speak", "flag", "Speak it too"),
        ),
    ),
    Kind(
        "information", "Tell the driver information of a kind in the menu", (JT808,),
        arguments=(
            Argument("code", "whole", "Kind of information", True, 0, 255),
            Argument("text", "text", "What to tell", True, 1, 500),
        ),
    ),
    Kind(
        "set-events", "Change the events that a driver can report", (JT808,), CONTROL,
        arguments=(
            Argument("action", "text", "How", True, choices=(*_LIST_ACTIONS, "delete")),
            _ENTRIES,
        ),
    ),
    Kind(
        "set-menu", "Change the menu of information", (JT808,), CONTROL,
        arguments=(Argument("action", "text", "How", True, choices=_LIST_ACTIONS), _ENTRIES),
    ),
    Kind(
        "set-phone-book", "Change the telephone book", (JT808,), CONTROL,
        arguments=(Argument("action", "text", "How", True, choices=_LIST_ACTIONS), _ENTRIES),
    ),
    Kind(
        "set-signal", "Write an actuator", (MQTT,), CONTROL, parked=True,
        arguments=(
            Argument("path", "text", "VSS path of an actuator", True, 1, 200),
            Argument("value", "value", "What to set it to", True),
        ),
    ),
    Kind(
        "run", "Run a hook of the vehicle's agent", (MQTT,), CONTROL,
        arguments=(
            Argument("hook", "text", "Its name in the agent's settings", True, 1, 64),
            Argument("arguments", "object", "What it takes"),
        ),
    ),
    Kind(
        "forward", "Send what a campaign keeps in the vehicle", (MQTT,), COLLECT,
        arguments=(
            Argument("campaign", "text", "Its id", True, 1, 100),
            Argument("partition", "text", "One of its partitions; all without it",
                     least=1, most=100),
            Argument("until", "text", "Kept up to this time, RFC 3339; now without it",
                     least=1, most=40),
        ),
    ),
)  # fmt: skip

BY_NAME: Final[Mapping[str, Kind]] = {kind.name: kind for kind in KINDS}

_IS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "text": lambda value: isinstance(value, str),
    "whole": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "flag": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "list": lambda value: isinstance(value, list),
    "value": lambda _: True,
}


def kind_of(name: str) -> Kind:
    """The row of a command; raises `InvalidCommand`."""
    kind = BY_NAME.get(name)
    if kind is None:
        listed = "`carcloud commands kinds` and GET /v1/command-kinds list them"
        raise InvalidCommand("name", f"there is no command {name!r}; {listed}")
    return kind


def check_arguments(kind: Kind, given: Mapping[str, Any]) -> None:
    """Raises `InvalidCommand` naming the argument."""
    known = {argument.name: argument for argument in kind.arguments}
    for name, value in given.items():
        if name not in known:
            takes = ", ".join(known) or "nothing"
            raise InvalidCommand(f"arguments.{name}", f"{kind.name} takes {takes}")
        _check(known[name], value)
    for argument in kind.arguments:
        if argument.needed and argument.name not in given:
            raise InvalidCommand(f"arguments.{argument.name}", f"is needed: {argument.help}")


def _check(argument: Argument, value: Any) -> None:
    field = f"arguments.{argument.name}"
    if not _IS[argument.kind](value):
        raise InvalidCommand(field, f"must be of kind {argument.kind}")
    if argument.choices and value not in argument.choices:
        raise InvalidCommand(field, f"must be one of {', '.join(argument.choices)}")
    if argument.least is None and argument.most is None:
        return
    size = len(value) if argument.kind in ("text", "list") else value
    unit = {"text": " characters", "list": " items"}.get(argument.kind, "")
    if argument.least is not None and size < argument.least:
        raise InvalidCommand(field, f"must be at least {argument.least:g}{unit}")
    if argument.most is not None and size > argument.most:
        raise InvalidCommand(field, f"must be at most {argument.most:g}{unit}")
