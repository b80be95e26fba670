"""The position report 0x0200: basic part, additional items, and what its bits say.

J13 8.18, J19 8.21. Items of one byte id and one byte length follow the basic part; vendors use
ids of their own and reuse those of the standard, so that the length byte decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from carcloud.codecs.jt808.layout import (
    MICRO,
    TENTH,
    U8,
    U16,
    U32,
    Digits,
    Number,
    Opaque,
    Position,
    Records,
    Row,
    Table,
    Time,
    When,
)

BASIC_SIZE: Final = 28  # bytes; the printed offset 21 of the time is wrong, it is 22
CLAUSE: Final = "0x0200 (J13 8.18, J19 8.21)"

BASIC: Final = Table(
    "position",
    CLAUSE,
    (
        Number("alarm", U32, "alarm bits"),
        Number("status", U32, "status bits"),
        Number("latitude_deg", U32, "magnitude; south if status bit 2", MICRO, "deg"),
        Number("longitude_deg", U32, "magnitude; west if status bit 3", MICRO, "deg"),
        Number("altitude_m", U16, "above sea level; in practice two's complement", unit="m"),
        Number("speed_kmh", U16, "of the GNSS", TENTH, "km/h"),
        Number("direction_deg", U16, "0 to 359, north 0, clockwise", unit="deg"),
        Time("time", "GMT+8"),
    ),
)
"""`reading` gives the altitude its sign."""

HIGHEST: Final = {
    "latitude_deg": 90_000_000,
    "longitude_deg": 180_000_000,
    "direction_deg": 359,
}
"""Raw codes above these are out of range; their values are kept."""


@dataclass(frozen=True, slots=True)
class Item:
    """An additional item: its name, the lengths that the standard gives it, its rows."""

    name: str
    sizes: tuple[int, ...]
    rows: tuple[Row, ...]
    since: int  # edition


_PLACE: Final = Number("place", U8, "0 none, 1 circle, 2 rectangle, 3 polygon, 4 section or route")

ITEMS: Final[Mapping[int, Item]] = {
    0x01: Item("odometer", (4,), (Number("odometer_km", U32, "", TENTH, "km"),), 2011),
    0x02: Item("fuel", (2,), (Number("fuel_l", U16, "", TENTH, "l"),), 2011),
    0x03: Item("recorder_speed", (2,), (Number("recorder_kmh", U16, "", TENTH, "km/h"),), 2011),
    0x04: Item("confirmation", (2,), (Number("event_id", U16, "alarm to be confirmed"),), 2013),
    0x05: Item(
        "tyre_pressures",
        (30,),
        (
            Number(
                "pressures", U8, "from the front left; 255 unused; unit of the vendor", count="30"
            ),
        ),
        2019,
    ),
    0x06: Item(
        "cabin_temperature",
        (2,),
        (Number("cabin_temp_c", U16, "highest bit 1 = negative", unit="degC"),),
        2019,
    ),
    0x11: Item(
        "overspeed_area",
        (1, 5),
        (_PLACE, Number("area_id", U32, "area or section", when=(When(""),))),
        2011,
    ),
    0x12: Item(
        "area_crossed",
        (6,),
        (_PLACE, Number("area_id", U32, "area or route"), Number("direction", U8, "0 in, 1 out")),
        2011,
    ),
    0x13: Item(
        "section_time",
        (7, 8),  # 2011 prints the last number as two bytes
        (
            Number("section_id", U32, "section"),
            Number("driven_s", U16, "time taken", unit="s"),
            Number("result", U8, "0 too short, 1 too long", when=(When("", 1),)),
            Number("result", U16, "the same in 2011", when=(When("", 2),)),
        ),
        2011,
    ),
    0x25: Item("signals", (4,), (Number("signals", U32, "bits of `SIGNAL_BITS`"),), 2013),
    0x2A: Item("io", (2,), (Number("io", U16, "bit 0 deep sleep, 1 sleep"),), 2013),
    0x2B: Item("analog", (4,), (Number("analog", U32, "bits 0-15 AD0, 16-31 AD1"),), 2013),
    0x30: Item("radio", (1,), (Number("signal_strength", U8, "radio signal strength"),), 2013),
    0x31: Item("satellites", (1,), (Number("satellites", U8, "GNSS satellites"),), 2013),
}
"""Items of the standard by id; all are read in every edition. Others are kept as bytes."""

ALARM_CODES: Final = (
    "sos", "overspeed", "fatigue", "danger", "gnss_fault", "antenna_cut", "antenna_short",
    "undervoltage", "power_loss", "display_fault", "tts_fault", "camera_fault", "ic_card_fault",
    "overspeed_pre", "fatigue_pre", "forbidden_period", "tyre_pressure", "right_turn_blind",
    "day_driving_timeout", "overtime_parking", "area", "route", "segment_time", "deviation",
    "speed_sensor_fault", "fuel_abnormal", "stolen", "illegal_ignition", "illegal_move",
    "collision", "rollover", "illegal_door",
)  # fmt: skip
"""Names of the alarm bits 0 to 31."""

_MASK_2011: Final = 0x1FFC0FFF  # bits 0-11, 18-28
ALARM_MASKS: Final = {
    2011: _MASK_2011,
    2013: _MASK_2011 | 0xE0007000,  # adds 12-14, 29-31
    2019: _MASK_2011 | 0x6003F000,  # adds 15-17, drops 31
}
"""Bits that an edition gives a meaning. 3 and 29 mean a little more in 2019."""

STATUS_BITS: Final = {
    0: "acc_on", 1: "fix", 2: "south", 3: "west", 4: "out_of_service", 5: "encrypted",
    6: "collision_warning", 7: "lane_departure", 10: "fuel_line_cut", 11: "circuit_cut",
    12: "doors_locked", 13: "door1_open", 14: "door2_open", 15: "door3_open", 16: "door4_open",
    17: "door5_open", 18: "gps", 19: "beidou", 20: "glonass", 21: "galileo", 22: "moving",
}  # fmt: skip
"""Names of the status bits; 6, 7 and 22 are of 2019. 8 and 9 are the load."""
SOUTH, WEST = 2, 3
ONLY_2019: Final = (1 << 6) | (1 << 7) | (1 << 22)
LOADS: Final = ("EMPTY", "HALF", "RESERVED", "FULL")

SIGNAL_BITS: Final = (
    "low_beam", "high_beam", "right_turn", "left_turn", "brake", "reverse", "fog_light",
    "marker_light", "horn", "air_conditioning", "neutral", "retarder", "abs", "heater", "clutch",
)  # fmt: skip
"""Names of the bits of item 0x25."""

_REPLY_SERIAL: Final = Number("reply_serial", U16, "serial number of the message answered")
REPORT: Final = Table("position", CLAUSE, (Position("position", "rest", "the report"),))
ANSWER: Final = Table(
    "position_answer",
    "0x0201, 0x0500",
    (_REPLY_SERIAL, Position("position", "rest", "as 0x0200")),
)
_BATCH_ITEM: Final = Table(
    "batch_item",
    "0x0704",
    (
        Number("length", U16, "bytes of the report"),
        Position("position", "length", "a body of 0x0200"),
    ),
)
BATCH: Final = Table(
    "batch",
    "0x0704",
    (
        Number("count", U16, "reports, above 0"),
        Number("kind", U8, "0 normal batch, 1 backfill of a blind spot"),
        Records("positions", _BATCH_ITEM, "count", "the reports"),
    ),
)
TRACKING: Final = Table(
    "tracking",
    "0x8202",
    (
        Number("interval_s", U16, "0 = stop, nothing follows", unit="s"),
        Number("validity_s", U32, "how long", unit="s", when=(When("interval_s"),)),
    ),
)
CONFIRMATION: Final = Table(
    "confirmation",
    "0x8203",
    (
        Number("alarm_serial", U16, "of the alarm message; 0 = all of that type"),
        Number("kinds", U32, "bits 0, 3, 20, 21, 22, 27, 28 of the alarm"),
    ),
)

_FRAME: Final = Table(
    "can_frame",
    "0x0705",
    (
        Number("id", U32, "bit 31 CAN2, 30 extended, 29 averaged, 28-0 the CAN id"),
        Opaque("data", "8", "always eight bytes"),
    ),
)
CAN: Final = Table(
    "can",
    "0x0705",
    (
        Number("count", U16, "frames, above 0"),
        Digits("time", 5, "of the first frame: hh mm ss and four digits of milliseconds"),
        Records("frames", _FRAME, "count", "twelve bytes each"),
    ),
)
