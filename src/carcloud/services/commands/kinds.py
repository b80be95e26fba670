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

GBT32960, JT808, MQTT = "gbt32960", "jt808", "mqtt"


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: `kind` is text, whole, number, flag, object, list or value (any JSON)."""

    name: str
    kind: str
    help: str
    needed: bool = False
    least: float | None = None  # of a number; of a text or list its length
    most: float | None = None
    choices: tuple[str, ...] = ()


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
            Argument("shape", "text", "Which", True,
                     choices=("circle", "rectangle", "polygon", "route")),
            Argument("areas", "list", "The areas, by the fields of the protocol", True, 1, 100),
            Argument("replace", "flag", "Instead of those it has"),
        ),
    ),
    Kind(
        "remove-areas", "Forget areas or routes", (JT808,), CONTROL,
        arguments=(
            Argument("shape", "text", "Which", True,
                     choices=("circle", "rectangle", "polygon", "route")),
            Argument("ids", "list", "Their numbers; all without it", most=125),
        ),
    ),
    Kind(
        "confirm-alarm", "Confirm an alarm so that the terminal clears it", (JT808,),
        arguments=(
            Argument("serial", "whole", "Serial number of the report", least=0, most=65_535),
            Argument("kinds", "list", "Names of alarms", True, 1, 32),
        ),
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
        raise InvalidCommand("name", f"there is no command {name!r}; see GET /v1/command-kinds")
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
