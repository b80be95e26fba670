"""Areas as a dispatcher gives them, and what the terminal is told."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from carcloud.codecs.jt808.decode import decode
from carcloud.codecs.jt808.encode import encode
from carcloud.codecs.jt808.errors import EncodeError
from carcloud.codecs.jt808.frame import build, parse
from carcloud.gateway.jt808.areas import FIELDS, FLAGS, POINT_FIELDS
from carcloud.gateway.jt808.order_messages import message_of
from carcloud.gateway.orders import Order

YARD = {"id": 1, "latitude_deg": 31.2, "longitude_deg": 121.4, "radius_m": 500}
HERE = {"latitude_deg": 31.2, "longitude_deg": 121.4}
EDITIONS = (2011, 2013, 2019)


def told(shape: str, edition: int, **fields: Any) -> dict[str, Any]:
    """An area as the terminal reads it."""
    order = Order("o", "set-areas", {"shape": shape, "areas": [fields]}, 0)
    number, values = message_of(order, edition)
    frame = parse(build(edition, number, "10000100000", 0, encode(number, edition, values)))
    found = dict(decode(frame, 2011 if edition == 2011 else None).fields)
    return dict(found["areas"][0]) if "areas" in found else found  # type: ignore[index, arg-type, call-overload]


@pytest.mark.parametrize("edition", EDITIONS)
def test_a_circle_needs_its_place_alone_and_tells_the_platform(edition: int) -> None:
    found = told("circle", edition, **YARD)
    assert found["attr"] == FLAGS["entry-platform"] | FLAGS["exit-platform"]
    assert (found["radius_m"], found["latitude_deg"]) == (500, pytest.approx(31.2))


@pytest.mark.parametrize("edition", EDITIONS)
def test_fields_set_their_bits(edition: int) -> None:
    south = YARD | {"latitude_deg": -31.2, "longitude_deg": -70}
    found = told(
        "circle", edition, **south, flags=["entry-driver", "doors-closed"], max_speed_kmh=40,
        start="08:30:00", end="2026-05-01T08:00:00Z",
    )  # fmt: skip
    assert found["attr"] == 1 | 2 | 4 | 1 << 6 | 1 << 7 | 1 << 8
    assert (found["latitude_deg"], found["longitude_deg"]) == (pytest.approx(31.2), 70)
    assert (found["start"], found["end"]) == ("08:30:00", datetime(2026, 5, 1, 8, tzinfo=UTC))
    assert (found["max_speed_kmh"], found["overspeed_s"]) == (40, 10)
    assert found.get("night_max_speed_kmh", 40) == 40


@pytest.mark.parametrize("edition", EDITIONS)
def test_the_other_shapes(edition: int) -> None:
    corners = {"top_deg": -1, "left_deg": 100, "bottom_deg": -2, "right_deg": 101}
    assert told("rectangle", edition, id=2, **corners, flags=[])["attr"] == 1 << 6
    assert told("polygon", edition, id=3, vertices=[HERE] * 3)["attr"] == 0b101000
    point = HERE | {"width_m": 20, "longitude_deg": -1, "too_long_s": 60}
    route = told("route", edition, id=4, points=[point, HERE | {"width_m": 20}])
    first, second = route["points"]
    assert (first["attr"], second["attr"]) == (0b1001, 0)
    assert second["section_id"] == 2
    assert route["attr"] == 0b101000


def test_the_bits_may_be_given_as_they_are() -> None:
    assert told("circle", 2019, **YARD, attr=1 << 14)["attr"] == 1 << 14


@pytest.mark.parametrize(
    ("shape", "fields", "why"),
    [
        ("circle", {}, "id: is needed"),
        ("circle", {"id": 1}, "latitude_deg: is needed"),
        ("circle", YARD | {"radius": 5}, "no field 'radius'; there are id, latitude_deg"),
        ("circle", YARD | {"flags": ["loud"]}, "'loud' is none of entry-driver"),
        ("circle", YARD | {"flags": [], "attr": 0}, "attr: says all"),
        ("circle", YARD | {"start": "08:00:00"}, "end: is needed"),
        ("circle", YARD | {"start": 8, "end": 9}, "start: needs a time"),
        ("circle", YARD | {"latitude_deg": 91}, "latitude_deg: must be -90 to 90"),
        ("circle", YARD | {"overspeed_s": 5}, "max_speed_kmh: is needed beside overspeed_s"),
        ("polygon", {"id": 1, "vertices": [HERE, HERE | {"latitude_deg": -1}]}, "the equator"),
        ("polygon", {"id": 1, "vertices": []}, "vertices: needs a list"),
        ("route", {"id": 1, "points": ["here"]}, "points: each is an object of latitude_deg"),
        ("route", {"id": 1, "points": [HERE], "flags": ["modem-off"]}, "width_m: is needed"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(shape: str, fields: dict[str, Any], why: str) -> None:
    with pytest.raises(EncodeError, match=why):
        told(shape, 2019, **fields)


def test_the_fields_are_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "jt808.md").read_text("utf-8")
    section = page.split("### Areas")[1].split("\n## ")[0]
    known = {name for names in FIELDS.values() for name in names} | set(POINT_FIELDS) | set(FLAGS)
    assert known <= set(re.findall(r"`([\w-]+)`", section))
