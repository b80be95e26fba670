"""Which message of the platform a command becomes, and its fields by edition.

A command that has no row here may name a message of `codecs.jt808.tables` itself, with its fields
as arguments: that reaches whatever a terminal can do.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from carcloud.codecs.jt808.errors import EncodeError
from carcloud.codecs.jt808.parameters import PARAMETERS
from carcloud.codecs.jt808.tables import MESSAGES
from carcloud.codecs.jt808.tables_position import ALARM_CODES
from carcloud.gateway.jt808.rules import Down
from carcloud.gateway.orders import Order

Fields = dict[str, Any]
Message = tuple[int, Fields]
Given = Mapping[str, Any]

CONTROL: Final = 0x8500
_RESET, _FACTORY_SETTINGS = 4, 5  # of 0x8105
_REPLACE, _ADD = 0, 1  # of areas
_OURS = frozenset((*Down, 0x8A00))  # sent by the gateway itself, never ordered
_BY_NAME: Final = {
    kind.name: number
    for number, kind in MESSAGES.items()
    if kind.sender == "platform" and number not in _OURS
}
_PARAMETERS: Final = {one.name: number for number, one in PARAMETERS.items()}
_SET_AREAS: Final = {"circle": 0x8600, "rectangle": 0x8602, "polygon": 0x8604, "route": 0x8606}
_ALARMS: Final = {f"jt_{name}": 1 << bit for bit, name in enumerate(ALARM_CODES)}
_URGENT, _DISPLAY, _SPEAK = 1, 1 << 2, 1 << 3  # flags of a text; in 2019 urgent is 2, notice 3
_PHOTO: Final = {"save": 0, "resolution": 2, "quality": 5, "brightness": 128, "contrast": 64,
                 "saturation": 64, "chroma": 128}  # fmt: skip


def message_of(order: Order, edition: int) -> Message | None:
    """(message id, fields) for `edition` 2011, 2013 or 2019; None: there is no such command.

    Raises `EncodeError` for arguments that cannot be met.
    """
    make = _COMMANDS.get(order.name)
    if make is not None:
        return make(order.arguments, edition)
    number = _BY_NAME.get(order.name)
    return None if number is None else (number, dict(order.arguments))


def wants_locked(order: Order) -> bool | None:
    """How the doors should be after the command; None: it is not about doors."""
    return {"lock": True, "unlock": False}.get(order.name)


def _locate(_given: Given, _edition: int) -> Message:
    return 0x8201, {}


def _track(given: Given, _edition: int) -> Message:
    return 0x8202, {"interval_s": given["interval_s"], "validity_s": given["duration_s"]}


def _text(given: Given, edition: int) -> Message:
    show = given.get("show")
    flags = {"display": _DISPLAY, "speak": _SPEAK}.get(str(show), _DISPLAY | _SPEAK)
    urgent = show == "emergency"
    if edition == 2019:
        return 0x8300, {"flags": flags | (2 if urgent else 3), "kind": 1, "text": given["text"]}
    return 0x8300, {"flags": flags | (_URGENT if urgent else 0), "text": given["text"]}


def _read_parameters(given: Given, _edition: int) -> Message:
    names = given.get("names") or []
    return (0x8106, {"ids": [_parameter(name) for name in names]}) if names else (0x8104, {})


def _set_parameters(given: Given, _edition: int) -> Message:
    if "items" in given:
        return 0x8103, {"items": given["items"]}
    items = [
        {"parameter": _parameter(name), "value": value}
        for name, value in given["parameters"].items()
    ]
    return 0x8103, {"items": items}


def _parameter(name: object) -> int:
    """A parameter's number, from its number or name."""
    if isinstance(name, int):
        return name
    text = str(name)
    if text in _PARAMETERS:
        return _PARAMETERS[text]
    try:
        return int(text, 0)
    except ValueError:
        raise EncodeError("parameters", f"there is no parameter {text!r}") from None


def _restart(_given: Given, _edition: int) -> Message:
    return 0x8105, {"command": _RESET, "argument": ""}


def _factory_reset(_given: Given, _edition: int) -> Message:
    return 0x8105, {"command": _FACTORY_SETTINGS, "argument": ""}


def _doors(*, lock: bool) -> Callable[[Given, int], Message]:
    """6.10: the sense of 2019 is the opposite of the older editions'."""

    def make(_given: Given, edition: int) -> Message:
        if edition == 2019:
            return CONTROL, {"controls": [{"id": 1, "value": 0 if lock else 1}]}
        return CONTROL, {"flags": 1 if lock else 0}

    return make


def _photo(given: Given, _edition: int) -> Message:
    own = {
        "channel": given.get("channel", 1),
        "command": given.get("count", 1),
        "interval_s": given.get("interval_s", 0),
    }
    return 0x8801, own | _PHOTO


def _set_areas(given: Given, _edition: int) -> Message:
    number, areas, replace = _SET_AREAS[given["shape"]], given["areas"], given.get("replace")
    if given["shape"] in ("circle", "rectangle"):
        return number, {"action": _REPLACE if replace else _ADD, "areas": areas}
    if len(areas) != 1 or replace:
        raise EncodeError("areas", f"a command carries one {given['shape']}, added to the others")
    return number, dict(areas[0])


def _remove_areas(given: Given, _edition: int) -> Message:
    return _SET_AREAS[given["shape"]] + 1, {"ids": given.get("ids") or []}


def _confirm_alarm(given: Given, _edition: int) -> Message:
    bits = 0
    for name in given["kinds"]:
        full = name if str(name).startswith("jt_") else f"jt_{name}"
        if full not in _ALARMS:
            raise EncodeError("kinds", f"there is no alarm {name!r}")
        bits |= _ALARMS[full]
    return 0x8203, {"alarm_serial": given.get("serial", 0), "kinds": bits}


_COMMANDS: Final[Mapping[str, Callable[[Given, int], Message]]] = {
    "locate": _locate,
    "track": _track,
    "message": _text,
    "read-parameters": _read_parameters,
    "set-parameters": _set_parameters,
    "restart": _restart,
    "factory-reset": _factory_reset,
    "lock": _doors(lock=True),
    "unlock": _doors(lock=False),
    "photo": _photo,
    "set-areas": _set_areas,
    "remove-areas": _remove_areas,
    "confirm-alarm": _confirm_alarm,
}
