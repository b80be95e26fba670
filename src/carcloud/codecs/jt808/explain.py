"""What bit fields say, by name and in physical units: for the JSON of a message, beside or in place
of the raw number. Positions have theirs in `message`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from carcloud.codecs.jt808.tables_position import ALARM_CODES

Json = dict[str, Any]

_SECOND_BUS, _EXTENDED, _AVERAGED, _CAN_ID = 1 << 31, 1 << 30, 1 << 29, (1 << 29) - 1
_TIME_OF_DAY: Final = re.compile(r"([01]\d|2[0-3])([0-5]\d)([0-5]\d)0(\d{3})")

AREA_BITS: Final = {
    0: "times", 1: "speed_limit", 2: "in_driver", 3: "in_platform", 4: "out_driver",
    5: "out_platform", 6: "south", 7: "west", 8: "doors_closed", 14: "modem_off",
    15: "detailed_positions",
}  # fmt: skip
"""Of an area and a route (6.11); from 8 on since 2013."""
SECTION_BITS: Final = {0: "times", 1: "speed_limit", 2: "south", 3: "west"}
TERMINAL_BITS: Final = {
    0: "passenger", 1: "dangerous_goods", 2: "freight", 3: "taxi", 6: "disk_recording", 7: "split",
    8: "trailer",
}  # fmt: skip
GNSS_BITS: Final = {0: "GPS", 1: "BDS", 2: "GLONASS", 3: "GALILEO"}
MODEM_BITS: Final = {
    0: "GPRS", 1: "CDMA", 2: "TD-SCDMA", 3: "WCDMA", 4: "CDMA2000", 5: "TD-LTE", 7: "other",
}  # fmt: skip


def explain(message: int, edition: int, fields: Json) -> None:
    """Put the meanings of a message's bit fields into its JSON fields."""
    if message in EXPLAINED:
        EXPLAINED[message](fields, edition)


def _names(bits: Mapping[int, str], word: int) -> list[str]:
    return [name for bit, name in bits.items() if word >> bit & 1]


def _alarms(word: int) -> list[str]:
    return _names(dict(enumerate(ALARM_CODES)), word)


# messages


def _can(fields: Json, edition: int) -> None:  # noqa: ARG001 - the same in all editions
    told = _TIME_OF_DAY.fullmatch(fields.get("time", ""))
    if told is not None:
        fields["time"] = "{}:{}:{}.{}".format(*told.groups())
    for frame in fields.get("frames", ()):
        frame.update(_can_id(frame["id"]))


def _can_id(word: int) -> Json:
    extended = bool(word & _EXTENDED)
    return {
        "id": f"0x{word & _CAN_ID:0{8 if extended else 3}X}",
        "channel": "CAN2" if word & _SECOND_BUS else "CAN1",
        "extended": extended,
        "averaged": bool(word & _AVERAGED),
    }


def _attributes(fields: Json, edition: int) -> None:
    known = TERMINAL_BITS if edition == 2019 else {**TERMINAL_BITS, 8: ""}
    kinds = _names(known, fields["terminal_type"])
    fields["terminal_kinds"] = [name for name in kinds if name]
    fields["gnss_systems"] = _names(GNSS_BITS, fields["gnss"])
    fields["modem_kinds"] = _names(MODEM_BITS, fields["modem"])


def _confirmation(fields: Json, edition: int) -> None:  # noqa: ARG001
    fields["alarms"] = _alarms(fields["kinds"])


def _parameters(fields: Json, edition: int) -> None:
    for item in fields.get("items", ()):
        number, value = int(item["parameter"], 0), item["value"]
        meaning = _PARAMETERS.get(number, _can_parameter if 0x0110 <= number < 0x0200 else None)
        if meaning is not None and (found := meaning(value, edition)):
            item["fields"] = found


def _areas(fields: Json, edition: int) -> None:
    for area in fields.get("areas", ()):
        _area(area, edition)


def _area(area: Json, edition: int) -> None:
    """An area, or a route, whose points have attributes of their own."""
    word = area.get("attr", 0)
    area["attributes"] = _names(AREA_BITS, word & 0xFF if edition == 2011 else word)
    for place in (area, *area.get("vertices", ())):
        _sign(place, area["attributes"])
    for point in area.get("points", ()):
        point["attributes"] = _names(SECTION_BITS, point["attr"])
        _sign(point, point["attributes"])


def _told_areas(fields: Json, edition: int) -> None:
    kinds = {1: _areas, 2: _areas, 3: _area, 4: _area}
    for body in fields.get("bodies", ()):
        kinds[fields["kind"]](body, edition)


def _sign(place: Json, attributes: Sequence[str]) -> None:
    for half, keys in (
        ("south", ("latitude_deg", "top_deg", "bottom_deg")),
        ("west", ("longitude_deg", "left_deg", "right_deg")),
    ):
        for key in keys:
            if half in attributes and key in place:
                place[key] = 0.0 - place[key]


# parameters: their values are numbers, or hexadecimal digits where the length is another one


def _period(value: Any, edition: int) -> Json:  # noqa: ARG001
    times = bytes.fromhex(value)
    if len(times) != 4 or max(times[::2]) > 23 or max(times[1::2]) > 59:
        return {}
    start, until = (f"{times[at]:02}:{times[at + 1]:02}" for at in (0, 2))
    return {"start": start, "end": until}


def _alarm_mask(value: Any, edition: int) -> Json:  # noqa: ARG001
    return {"alarms": _alarms(value)} if isinstance(value, int) else {}


def _collision(value: Any, edition: int) -> Json:
    if not isinstance(value, int):
        return {}
    unit = 1 if edition == 2019 else 4  # ms
    return {"time_ms": (value & 0xFF) * unit, "acceleration_g": (value >> 8) / 10}


def _photos(value: Any, edition: int, key: str, larger: int) -> Json:  # noqa: ARG001
    if not isinstance(value, int):
        return {}
    return {
        "channels": [channel + 1 for channel in range(5) if value >> channel & 1],
        "uploaded": [channel + 1 for channel in range(5) if value >> 8 + channel & 1],
        key: (value >> 17) * (larger if value >> 16 & 1 else 1),
    }


def _systems(value: Any, edition: int) -> Json:  # noqa: ARG001
    return {"systems": _names(GNSS_BITS, value)} if isinstance(value, int) else {}


def _can_parameter(value: Any, edition: int) -> Json:  # noqa: ARG001
    wire = bytes.fromhex(value)
    if len(wire) != 8:
        return {}
    return {"sampling_ms": int.from_bytes(wire[:4]), **_can_id(int.from_bytes(wire[4:]))}


_PARAMETERS: Final[Mapping[int, Callable[[Any, int], Json]]] = {
    0x0032: _period,
    **dict.fromkeys(range(0x0050, 0x0055), _alarm_mask),
    0x005D: _collision,
    0x0064: partial(_photos, key="interval_s", larger=60),
    0x0065: partial(_photos, key="interval_m", larger=1000),
    0x0090: _systems,
}
EXPLAINED: Final[Mapping[int, Callable[[Json, int], None]]] = {
    0x0104: _parameters,
    0x0107: _attributes,
    0x0608: _told_areas,
    0x0705: _can,
    0x8103: _parameters,
    0x8203: _confirmation,
    0x8600: _areas,
    0x8602: _areas,
    0x8604: _area,
    0x8606: _area,
}
"""Messages with bit fields, and what tells them."""
