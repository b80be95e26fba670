"""Areas and routes of the command `set-areas` as fields of 0x8600 to 0x8606.

What the attribute bits say is told by the other fields: times and speed limit by theirs, south and
west by the sign of the degrees, the rest by names in `flags`. Who gives the bits as `attr` says
all of them.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from carcloud.codecs.jt808.errors import EncodeError
from carcloud.gateway.jt808.moments import moment

Given = Mapping[str, Any]
Fields = dict[str, Any]

_TIMES, _LIMIT = 1 << 0, 1 << 1
FLAGS: Final[Mapping[str, int]] = {
    "entry-driver": 1 << 2,
    "entry-platform": 1 << 3,
    "exit-driver": 1 << 4,
    "exit-platform": 1 << 5,
    "doors-closed": 1 << 8,
    "modem-off": 1 << 14,
    "detailed-gnss": 1 << 15,
}
"""Attribute bits of circles, rectangles and polygons; a route has the first four."""

_DEFAULT: Final = ("entry-platform", "exit-platform")
_SOUTH, _WEST = 1 << 6, 1 << 7
_TURN_SOUTH, _TURN_WEST = 1 << 2, 1 << 3
_CORNERS: Final = ("top_deg", "left_deg", "bottom_deg", "right_deg")
_PLACE: Final = ("latitude_deg", "longitude_deg")
_SPEED: Final = ("max_speed_kmh", "overspeed_s", "night_max_speed_kmh")
_OWN: Final[Mapping[str, tuple[str, ...]]] = {
    "circle": (*_PLACE, "radius_m"),
    "rectangle": _CORNERS,
    "polygon": ("vertices",),
    "route": ("points",),
}
_TURN: Final = (*_PLACE, "width_m")
_OVERSPEED_S, _LONGEST_S = 10, 0xFFFF

_ALL: Final = ("flags", "attr", "start", "end", "name")
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    shape: ("id", *own, *_ALL, *(() if shape == "route" else _SPEED)) for shape, own in _OWN.items()
}
"""What an area takes, by shape."""

POINT_FIELDS: Final = (
    *_TURN, "point_id", "section_id", "too_long_s", "too_short_s", *_SPEED, "attr",
)  # fmt: skip
"""What a turning point of a route takes."""


def area(shape: str, given: object) -> Fields:
    """One area as fields of its message, for every edition; raises `EncodeError`."""
    told = _checked(given, "areas", FIELDS[shape], ("id", *_OWN[shape]))
    fields = {name: value for name, value in told.items() if name != "flags"}
    for name in ("start", "end"):
        if name in fields:
            fields[name] = _time(fields, name)
    if shape == "polygon":
        fields["vertices"] = [
            _checked(one, "vertices", _PLACE, _PLACE) for one in _list(told, "vertices")
        ]
    if shape == "route":
        fields["points"] = [_turn(one, at) for at, one in enumerate(_list(told, "points"), 1)]
    fields.setdefault("name", "")
    if "attr" not in told:
        fields["attr"] = _attributes(shape, told, fields)
    elif "flags" in told:
        raise EncodeError("attr", "says all; leave out flags, or attr")
    return fields


def _attributes(shape: str, told: Given, fields: Fields) -> int:
    bits = _flags(shape, told.get("flags", list(_DEFAULT)))
    if ("start" in told) != ("end" in told):
        raise EncodeError("end" if "start" in told else "start", "is needed beside the other")
    bits |= _TIMES if "start" in told else 0
    if shape == "route":
        return bits
    bits |= _limit(fields)
    if shape == "polygon":
        return bits | _unsigned(fields["vertices"], _PLACE[:1], _PLACE[1:], (_SOUTH, _WEST))
    if shape == "circle":
        return bits | _unsigned([fields], _PLACE[:1], _PLACE[1:], (_SOUTH, _WEST))
    return bits | _unsigned([fields], _CORNERS[::2], _CORNERS[1::2], (_SOUTH, _WEST))


def _flags(shape: str, names: object) -> int:
    known = {name: bit for name, bit in FLAGS.items() if shape != "route" or bit < _SOUTH}
    bits = 0
    for name in names if isinstance(names, list) else [names]:
        if name not in known:
            raise EncodeError("flags", f"{name!r} is none of {', '.join(known)}")
        bits |= known[name]
    return bits


def _limit(fields: Fields) -> int:
    """The bit of the speed limit, whose other fields have defaults."""
    if "max_speed_kmh" not in fields:
        for name in _SPEED[1:]:
            if name in fields:
                raise EncodeError("max_speed_kmh", f"is needed beside {name}")
        return 0
    fields.setdefault("overspeed_s", _OVERSPEED_S)
    fields.setdefault("night_max_speed_kmh", fields["max_speed_kmh"])
    return _LIMIT


def _unsigned(
    places: Iterable[Fields],
    latitudes: tuple[str, ...],
    longitudes: tuple[str, ...],
    bits: tuple[int, int],
) -> int:
    """Take the signs off degrees, which the bits south and west tell of all of them."""
    found = 0
    for names, limit, bit in ((latitudes, 90, bits[0]), (longitudes, 180, bits[1])):
        values = [(one, name, _number(name, one[name])) for one in places for name in names]
        for _, name, value in values:
            if not -limit <= value <= limit:
                raise EncodeError(name, f"must be -{limit} to {limit}, got {value!r}")
        below = any(value < 0 for *_, value in values)
        if below and any(value > 0 for *_, value in values):
            line = "equator" if limit == 90 else "meridian of Greenwich or the 180th"
            raise EncodeError(names[0], f"an area may not cross the {line}")
        for one, name, value in values:
            one[name] = abs(value)
        found |= bit if below else 0
    return found


def _turn(given: object, at: int) -> Fields:
    """A turning point; its numbers count from 1 where they are not given."""
    told = _checked(given, "points", POINT_FIELDS, _TURN)
    fields = {"point_id": at, "section_id": at} | told
    if "attr" in told:
        return fields
    bits = _limit(fields) | _unsigned([fields], _PLACE[:1], _PLACE[1:], (_TURN_SOUTH, _TURN_WEST))
    if "too_long_s" in told or "too_short_s" in told:
        fields = {"too_long_s": _LONGEST_S, "too_short_s": 0} | fields
        bits |= _TIMES
    return fields | {"attr": bits}


def _checked(given: object, of: str, known: Iterable[str], needed: Iterable[str]) -> Fields:
    takes = ", ".join(known)
    if not isinstance(given, Mapping):
        raise EncodeError(of, f"each is an object of {takes}")
    for name in given:
        if name not in known:
            raise EncodeError(of, f"there is no field {name!r}; there are {takes}")
    for name in needed:
        if name not in given:
            raise EncodeError(name, "is needed")
    return dict(given)


def _list(given: Given, name: str) -> list[Any]:
    if not isinstance(given[name], list) or not given[name]:
        raise EncodeError(name, "needs a list of places")
    return list(given[name])


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise EncodeError(name, f"needs a number, got {value!r}")
    return value


def _time(fields: Fields, name: str) -> object:
    """hh:mm:ss of each day, or a moment with its zone."""
    text = fields[name]
    if not isinstance(text, str):
        raise EncodeError(name, f"needs a time, got {text!r}")
    return moment(fields, name) if "-" in text else text
