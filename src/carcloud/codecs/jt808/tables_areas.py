"""Bodies that set, delete and tell areas and routes (0x8600 to 0x8608, 0x0608), and 0x8500."""

from typing import Final

from carcloud.codecs.jt808.layout import (
    MICRO,
    U8,
    U16,
    U32,
    Number,
    Opaque,
    Records,
    Row,
    Table,
    Text,
    Time,
    When,
)

_TIMED: Final = (When("attr", 1),)
_LIMITED: Final = (When("attr", 2),)

_ID: Final = Number("id", U32, "unique per kind; an existing one is overwritten")
_ATTR: Final = Number(
    "attr",
    U16,
    "bits 0 times, 1 speed limit, 2 in and 4 out -> driver, 3 in and 5 out -> platform, 6 south, "
    "7 west, 8 doors closed, 14 modem off, 15 detailed data",
)
_TIMES: Final = (
    Time("start", "a time of day where the date is zero", _TIMED),
    Time("end", "a time of day where the date is zero", _TIMED),
)
_SPEED: Final = (
    Number("max_speed_kmh", U16, "highest speed", unit="km/h", when=_LIMITED),
    Number("overspeed_s", U8, "how long it may be exceeded", unit="s", when=_LIMITED),
)
_NIGHT: Final = Number(
    "night_max_speed_kmh", U16, "highest speed at night", unit="km/h", when=_LIMITED
)
_NAME: Final = (
    Number("name_length", U16, "bytes"),
    Text("name", "name_length", "of the area or route"),
)


def _degrees(key: str, meaning: str) -> Number:
    return Number(key, U32, meaning, MICRO, "deg")


_CENTRE: Final = (
    _degrees("latitude_deg", "of the centre"),
    _degrees("longitude_deg", "of the centre"),
    Number("radius_m", U32, "radius", unit="m"),
)
_CORNERS: Final = (
    _degrees("top_deg", "latitude of the upper left corner"),
    _degrees("left_deg", "longitude of the upper left corner"),
    _degrees("bottom_deg", "latitude of the lower right corner"),
    _degrees("right_deg", "longitude of the lower right corner"),
)


def _area(name: str, shape: tuple[Row, ...], year: int) -> Table:
    named = (_NIGHT, *_NAME) if year == 2019 else ()
    return Table(name, f"{name} of {year}", (_ID, _ATTR, *shape, *_TIMES, *_SPEED, *named))


def _set(name: str, clause: str, area: Table, year: int) -> Table:
    packet = (Number("packet_count", U8, "areas in this packet"),) if year == 2011 else ()
    return Table(
        name,
        f"{clause} of {year}",
        (
            Number("action", U8, "0 replace all, 1 add, 2 modify"),
            Number("count", U8, "areas"),
            *packet,
            Records("areas", area, "packet_count" if packet else "count", "the areas"),
        ),
    )


_YEARS: Final = (2011, 2013, 2019)
_CIRCLE: Final = {year: _area("circle", _CENTRE, year) for year in _YEARS}
_RECTANGLE: Final = {year: _area("rectangle", _CORNERS, year) for year in _YEARS}
CIRCLES: Final = {year: _set("set_circles", "0x8600", _CIRCLE[year], year) for year in _YEARS}
RECTANGLES: Final = {
    year: _set("set_rectangles", "0x8602", _RECTANGLE[year], year) for year in _YEARS
}

_VERTEX: Final = Table(
    "vertex",
    "0x8604",
    (
        _degrees("latitude_deg", "of the vertex"),
        _degrees("longitude_deg", "of the vertex"),
    ),
)
_POLYGON: Final = (
    _ID,
    _ATTR,
    *_TIMES,
    *_SPEED,
    Number("count", U16, "vertices"),
    Records("vertices", _VERTEX, "count", "in order"),
)
POLYGON: Final = Table("set_polygon", "0x8604", _POLYGON)
POLYGON_2019: Final = Table("set_polygon", "0x8604 of 2019", (*_POLYGON, _NIGHT, *_NAME))

_TURN_PLACE: Final = (
    _degrees("latitude_deg", "of the turning point"),
    _degrees("longitude_deg", "of the turning point"),
    Number("width_m", U8, "width of the section", unit="m"),
    Number("attr", U8, "bits 0 driving time, 1 speed limit, 2 south, 3 west"),
)
_POINT: Final = Number("point_id", U32, "turning point")
_SECTION: Final = Number("section_id", U32, "section from this point to the next")
_TURN: Final = (
    _POINT,
    _SECTION,
    *_TURN_PLACE,
    Number("too_long_s", U16, "longest driving time", unit="s", when=_TIMED),
    Number("too_short_s", U16, "shortest driving time", unit="s", when=_TIMED),
    *_SPEED,
)
_TURN_2011: Final = Table(
    "turn",
    "0x8606 of 2011",
    (
        _SECTION,
        *_TURN_PLACE,
        Number("too_long_s", U16, "driving time", unit="s", when=_TIMED),
        *_SPEED,
    ),
)
_TURN_2013: Final = Table("turn", "0x8606 of 2013", _TURN)
_TURN_2019: Final = Table("turn", "0x8606 of 2019", (*_TURN, _NIGHT))


def _route(turn: Table, year: int) -> Table:
    return Table(
        "set_route",
        f"0x8606 of {year}",
        (
            _ID,
            Number("attr", U16, "bits 0 times, 2 in and 4 out -> driver, 3 in and 5 out -> platf."),
            *_TIMES,
            Number("count", U16, "turning points"),
            Records("points", turn, "count", "in order"),
            *(_NAME if year == 2019 else ()),
        ),
    )


ROUTE: Final = {
    2011: _route(_TURN_2011, 2011),
    2013: _route(_TURN_2013, 2013),
    2019: _route(_TURN_2019, 2019),
}
DELETE_AREAS: Final = Table(
    "delete_areas",
    "0x8601, 0x8603, 0x8605, 0x8607",
    (
        Number("count", U8, "at most 125; 0 deletes all of that kind"),
        Number("ids", U32, "areas or routes", count="count"),
    ),
)
_KIND: Final = Number("kind", U8, "1 circles, 2 rectangles, 3 polygons, 4 routes")
QUERY_AREAS: Final = Table(
    "query_areas",
    "0x8608",
    (
        _KIND,
        Number("count", U32, "0 asks for all"),
        Number("ids", U32, "areas or routes", count="count"),
    ),
)
AREAS: Final = Table(
    "areas",
    "0x0608",
    (
        _KIND,
        Number("count", U32, "areas or routes"),
        Opaque("data", "rest", "bodies of the set messages, one after another"),
    ),
)
AREA_BODIES: Final = {1: CIRCLES[2019], 2: RECTANGLES[2019], 3: POLYGON_2019, 4: ROUTE[2019]}
"""What `data` of 0x0608 holds, by kind."""

VEHICLE_CONTROL: Final = Table(
    "vehicle_control", "0x8500", (Number("flags", U8, "bit 0: 0 unlock doors, 1 lock doors"),)
)
_DOORS: Final = When("id", equal=1)
_CONTROL: Final = Table(
    "control",
    "0x8500 of 2019",
    (
        Number("id", U16, "0x0001 doors, 0xF001- vendor"),
        Number("value", U8, "0 close and lock, 1 open", when=(_DOORS,)),
        Opaque("data", "rest", "an id without a known length ends the list", (When("id", -2),)),
    ),
)
VEHICLE_CONTROL_2019: Final = Table(
    "vehicle_control",
    "0x8500 of 2019",
    (
        Number("count", U16, "controls"),
        Records("controls", _CONTROL, "count", "in order", may_stop=True),
    ),
)
