"""Which message of the platform a command becomes, and its fields by edition."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from carcloud.codecs.jt808.errors import EncodeError
from carcloud.codecs.jt808.parameters import PARAMETERS
from carcloud.codecs.jt808.tables_position import ALARM_CODES
from carcloud.gateway.jt808.areas import area
from carcloud.gateway.jt808.moments import moment
from carcloud.gateway.orders import SAME_PARAMETERS, Order

Fields = dict[str, Any]
Message = tuple[int, Fields]
Given = Mapping[str, Any]

CONTROL: Final = 0x8500
_SINCE: Final = {
    0x8106: 2013, 0x8107: 2013, 0x8203: 2013, 0x8702: 2013, 0x8805: 2013,
    0x8204: 2019, 0x8608: 2019,
}  # fmt: skip
"""Editions that began a message; those not named are of all."""

_UPGRADE, _CONNECT, _OFF, _RESET, _FACTORY_SETTINGS, _CLOSE_DATA, _CLOSE_RADIO = range(1, 8)
_CONTROLS_2019: Final = (_CONNECT, _RESET, _FACTORY_SETTINGS)  # of 0x8105, all that is left
_REPLACE, _ADD = 0, 1  # of areas
_PARAMETERS: Final = {one.name: number for number, one in PARAMETERS.items()}
_SET_AREAS: Final = {"circle": 0x8600, "rectangle": 0x8602, "polygon": 0x8604, "route": 0x8606}
_AREA_KINDS: Final = {"circle": 1, "rectangle": 2, "polygon": 3, "route": 4}
_CONFIRMED: Final = (0, 3, 20, 21, 22, 27, 28)  # alarm bits that 0x8203 has
_ALARMS: Final = {ALARM_CODES[bit]: 1 << bit for bit in _CONFIRMED}
_URGENT, _DISPLAY, _SPEAK = 1, 1 << 2, 1 << 3  # flags of a text; in 2019 urgent is 2, notice 3
_EVENTS: Final = (
    "platform", "timer", "robbery", "collision", "door-opened", "door-closed", "doors-closed",
    "distance",
)  # fmt: skip
_PHOTO: Final = {"save": 0, "resolution": 2, "quality": 5, "brightness": 128, "contrast": 64,
                 "saturation": 64, "chroma": 128}  # fmt: skip


class Unmet(Exception):
    """No terminal, or none of this edition, has such a command; the text says which has."""


def message_of(order: Order, edition: int) -> Message:
    """(message id, fields) for `edition` 2011, 2013 or 2019.

    Raises `Unmet`, and `EncodeError` for arguments that cannot be met.
    """
    make = _COMMANDS.get(order.name)
    if make is None:
        raise Unmet(f"JT/T 808 has no command {order.name}")
    number, fields = make(order.arguments, edition)
    since = _SINCE.get(number, edition)
    if edition < since:
        raise Unmet(f"{order.name} needs JT/T 808-{since}, the terminal speaks that of {edition}")
    return number, fields


def asked_parameters(order: Order, edition: int) -> frozenset[int]:
    """Which parameters to tell of an answer that holds all; empty: all of them."""
    if order.name != "read-parameters" or edition != 2011:
        return frozenset()
    return frozenset(_parameter(name) for name in order.arguments.get("names") or ())


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


def _read_parameters(given: Given, edition: int) -> Message:
    ids = [_parameter(name) for name in given.get("names") or ()]
    return (0x8106, {"ids": ids}) if ids and edition != 2011 else (0x8104, {})


def _set_parameters(given: Given, _edition: int) -> Message:
    items = [
        {"parameter": _parameter(name), "value": value}
        for name, value in given["parameters"].items()
    ]
    return 0x8103, {"items": items}


def _parameter(name: object) -> int:
    """A parameter's number, from its number or its name in either protocol."""
    if isinstance(name, int):
        return name
    text = SAME_PARAMETERS.get(str(name), str(name))
    if text in _PARAMETERS:
        return _PARAMETERS[text]
    try:
        return int(text, 0)
    except ValueError:
        near = " or ".join(get_close_matches(text, _PARAMETERS)) or "a number such as 0x0001"
        raise EncodeError("parameters", f"there is no parameter {text!r}; try {near}") from None


def _control(command: int, *names: str) -> Callable[[Given, int], Message]:
    """0x8105; `names` are the arguments that become its fields, in order."""

    def make(given: Given, edition: int) -> Message:
        if edition == 2019 and command not in _CONTROLS_2019:
            raise Unmet(f"the terminal speaks JT/T 808-2019, which has no command {command}")
        return 0x8105, {"command": command, "argument": _listed(given, names)}

    return make


def _listed(given: Given, names: tuple[str, ...]) -> str:
    """6.5: separated by `;`, numbers in decimal, as terminals in the field have them."""
    for name in names:
        if ";" in str(given.get(name, "")):
            raise EncodeError(name, "may not hold ';', which separates the fields")
    return ";".join(str(given.get(name, "")) for name in names)


_SERVER: Final = ("apn", "user", "password", "address", "tcp_port", "udp_port")


def _change_server(given: Given, _edition: int) -> Message:
    if given.get("back"):
        return 0x8105, {"command": _CONNECT, "argument": "1"}
    if not given.get("address"):
        raise EncodeError("address", "is needed, unless the terminal is to go back to its own")
    numbers = {"tcp_port": 0, "udp_port": 0, "minutes": 0}
    argument = _listed(numbers | dict(given), ("code", *_SERVER, "minutes"))
    return 0x8105, {"command": _CONNECT, "argument": f"0;{argument}"}


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


def _video(given: Given, _edition: int) -> Message:
    own = {"channel": given.get("channel", 1), "command": 0xFFFF, "interval_s": given["seconds"]}
    return 0x8801, own | _PHOTO


def _sound(given: Given, _edition: int) -> Message:
    rate = {"8": 0, "11": 1, "23": 2, "32": 3}[given.get("rate_khz", "8")]
    start, save = int(not given.get("stop")), int(bool(given.get("store")))
    return 0x8804, {
        "command": start,
        "seconds": given.get("seconds", 0),
        "save": save,
        "rate": rate,
    }


def _stored(given: Given) -> Fields:
    return {
        "kind": ("picture", "audio", "video").index(given["medium"]),
        "channel": given.get("channel", 0),
        "event": _EVENTS.index(given.get("event", "platform")),
        "start": moment(given, "after"),
        "end": moment(given, "before"),
    }


def _find_media(given: Given, _edition: int) -> Message:
    return 0x8802, _stored(given)


def _upload_media(given: Given, _edition: int) -> Message:
    return 0x8803, _stored(given) | {"delete": int(bool(given.get("delete")))}


def _upload_one(given: Given, _edition: int) -> Message:
    return 0x8805, {"media_id": given["media_id"], "delete": int(bool(given.get("delete")))}


def _plain(number: int) -> Callable[[Given, int], Message]:
    return lambda _given, _edition: (number, {})


def _with_data(number: int, code: str) -> Callable[[Given, int], Message]:
    """A code, the argument `code`, and bytes in hex digits."""

    def make(given: Given, _edition: int) -> Message:
        try:
            data = bytes.fromhex(given.get("data", ""))
        except ValueError:
            raise EncodeError("data", "needs bytes in hex digits, such as 0a1b") from None
        return number, {code: given["code"], "data": data}

    return make


def _call_back(given: Given, _edition: int) -> Message:
    if len(given["phone"].encode("gbk", "replace")) > 20:
        raise EncodeError("phone", "at most 20 bytes")
    return 0x8400, {"flag": int(bool(given.get("listen"))), "phone": given["phone"]}


def _read_areas(given: Given, _edition: int) -> Message:
    return 0x8608, {"kind": _AREA_KINDS[given["shape"]], "ids": given.get("ids") or []}


def _question(given: Given, _edition: int) -> Message:
    answers = [{"id": at, "text": text} for at, text in enumerate(given["answers"], 1)]
    flags = _SPEAK if given.get("speak") else 0
    return 0x8302, {"flags": flags, "question": given["text"], "answers": answers}


def _information(given: Given, edition: int) -> Message:
    fields = {"kind": given["code"], "text": given["text"]}
    if edition == 2011:
        fields["total_length"] = len(given["text"].encode("gbk", "replace"))
    return 0x8304, fields


def _entries(number: int, key: str, actions: Mapping[str, int]) -> Callable[[Given, int], Message]:
    """A list that the terminal keeps: its action, and the entries."""

    def make(given: Given, _edition: int) -> Message:
        action = given["action"]
        if action not in actions:
            raise EncodeError("action", f"must be one of {', '.join(actions)}")
        return number, {"action": actions[action], key: given.get("entries") or []}

    return make


def _set_areas(given: Given, _edition: int) -> Message:
    shape, replace = given["shape"], given.get("replace")
    number, areas = _SET_AREAS[shape], [area(shape, one) for one in given["areas"]]
    if shape in ("circle", "rectangle"):
        return number, {"action": _REPLACE if replace else _ADD, "areas": areas}
    if len(areas) != 1 or replace:
        raise EncodeError("areas", f"a command carries one {shape}, added to the others")
    return number, areas[0]


def _remove_areas(given: Given, _edition: int) -> Message:
    return _SET_AREAS[given["shape"]] + 1, {"ids": given.get("ids") or []}


def _confirm_alarm(given: Given, _edition: int) -> Message:
    bits = 0
    for name in given["kinds"]:
        short = str(name).removeprefix("jt_")
        if short not in _ALARMS:
            can = ", ".join(_ALARMS)
            raise EncodeError("kinds", f"an alarm {name!r} cannot be confirmed, these can: {can}")
        bits |= _ALARMS[short]
    return 0x8203, {"alarm_serial": given.get("serial", 0), "kinds": bits}


_LISTS: Final = {"delete-all": 0, "replace": 1, "add": 2, "modify": 3}

_COMMANDS: Final[Mapping[str, Callable[[Given, int], Message]]] = {
    "locate": _locate,
    "track": _track,
    "message": _text,
    "read-parameters": _read_parameters,
    "set-parameters": _set_parameters,
    "restart": _control(_RESET),
    "factory-reset": _control(_FACTORY_SETTINGS),
    "power-off": _control(_OFF),
    "close-data": _control(_CLOSE_DATA),
    "close-radio": _control(_CLOSE_RADIO),
    "change-server": _change_server,
    "update-terminal": _control(
        _UPGRADE, "url", *_SERVER, "maker", "hardware", "firmware", "minutes"
    ),
    "check-link": _plain(0x8204),
    "read-attributes": _plain(0x8107),
    "read-driver": _plain(0x8702),
    "read-areas": _read_areas,
    "read-recorder": _with_data(0x8700, "command"),
    "set-recorder": _with_data(0x8701, "command"),
    "pass-through": _with_data(0x8900, "kind"),
    "call-back": _call_back,
    "question": _question,
    "information": _information,
    "set-events": _entries(0x8301, "events", _LISTS | {"delete": 4}),
    "set-menu": _entries(0x8303, "menu", _LISTS),
    "set-phone-book": _entries(0x8401, "contacts", _LISTS),
    "lock": _doors(lock=True),
    "unlock": _doors(lock=False),
    "photo": _photo,
    "record-video": _video,
    "record-sound": _sound,
    "find-media": _find_media,
    "upload-media": _upload_media,
    "upload-media-item": _upload_one,
    "set-areas": _set_areas,
    "remove-areas": _remove_areas,
    "confirm-alarm": _confirm_alarm,
}
