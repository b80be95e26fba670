"""What the JSON of a message says of its bit fields."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.codecs.jt808.bodies import BODIES, POSITION

from carcloud.codecs.jt808.describe import decode_line
from carcloud.codecs.jt808.encode import encode
from carcloud.codecs.jt808.explain import EXPLAINED
from carcloud.codecs.jt808.frame import build, build_message


def shown(message: int, year: int, fields: dict[str, Any]) -> dict[str, Any]:
    raw = b"".join(build_message(year, message, "13900000101", 1, encode(message, year, fields)))
    (document,) = decode_line(raw.hex(), edition=year)
    return document["fields"]  # type: ignore[no-any-return]


def test_can_frames_tell_their_id_and_flags_and_the_time() -> None:
    data = bytes(8)
    frames = [{"id": 0x123, "data": data}, {"id": 0xE000_0000 | 0x18FEF100, "data": data}]
    fields = shown(0x0705, 2013, {"time": "1509260350", "frames": frames})
    assert fields["time"] == "15:09:26.350"
    assert fields["frames"] == [
        {"id": "0x123", "channel": "CAN1", "extended": False, "averaged": False,
         "data": data.hex()},
        {"id": "0x18FEF100", "channel": "CAN2", "extended": True, "averaged": True,
         "data": data.hex()},
    ]  # fmt: skip
    assert shown(0x0705, 2013, {"time": "2509260350", "frames": []})["time"] == "2509260350"


@pytest.mark.parametrize(
    ("number", "value", "year", "fields"),
    [
        (0x32, bytes.fromhex("16320a1e"), 2019, {"start": "22:50", "end": "10:30"}),
        (0x50, 1 << 1 | 1 << 20, 2019, {"alarms": ["overspeed", "area"]}),
        (0x5D, 0x0A32, 2019, {"time_ms": 50, "acceleration_g": 1.0}),
        (0x5D, 0x0A32, 2013, {"time_ms": 200, "acceleration_g": 1.0}),
        (0x64, 60 << 17 | 1 << 16 | 0x101, 2019,
         {"channels": [1], "uploaded": [1], "interval_s": 3600}),
        (0x65, 200 << 17 | 0x10, 2013, {"channels": [5], "uploaded": [], "interval_m": 200}),
        (0x90, 3, 2013, {"systems": ["GPS", "BDS"]}),
        (0x110, (1000).to_bytes(4) + (0xC000_0000 | 0x18FEF100).to_bytes(4), 2013,
         {"sampling_ms": 1000, "id": "0x18FEF100", "channel": "CAN2", "extended": True,
          "averaged": False}),
        (0x32, b"\x99\0\0\0", 2019, None),
        (0x5D, b"\1", 2019, None),
        (0x64, b"\1", 2019, None),
        (0x111, b"\1", 2019, None),
        (0x55, 110, 2019, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("message", [0x8103, 0x0104])
def test_parameters_of_bits(
    message: int, number: int, value: Any, year: int, fields: dict[str, Any] | None
) -> None:
    items = [{"parameter": number, "value": value}]
    (item,) = shown(message, year, {"reply_serial": 1, "items": items})["items"]
    assert item.get("fields") == fields
    assert item["value"] == (value.hex() if isinstance(value, bytes) else value)


def test_attributes_of_a_terminal() -> None:
    given = BODIES[2019][0x0107] | {"terminal_type": 0x0145, "gnss": 3, "modem": 0x21}
    fields = shown(0x0107, 2019, given)
    assert fields["terminal_kinds"] == ["passenger", "freight", "disk_recording", "trailer"]
    assert (fields["gnss_systems"], fields["modem_kinds"]) == (["GPS", "BDS"], ["GPRS", "TD-LTE"])
    older = shown(0x0107, 2013, BODIES[2013][0x0107] | {"terminal_type": 0x0101})
    assert older["terminal_kinds"] == ["passenger"]


SOUTH_WEST = 1 << 6 | 1 << 7


@pytest.mark.parametrize(("number", "kind"), [(0x8600, 1), (0x8602, 2), (0x8604, 3), (0x8606, 4)])
def test_degrees_of_areas_have_their_sign_and_bits_a_name(number: int, kind: int) -> None:
    fields = BODIES[2019][number]
    if number == 0x8606:
        fields = fields | {"points": [fields["points"][0] | {"attr": 0b1111}]}
        names = ["times", "speed_limit", "south", "west"]
        (place,) = shown(number, 2019, fields)["points"]
        places, raw = [place], fields["points"]
    elif number == 0x8604:
        fields = fields | {"attr": 2 | SOUTH_WEST}
        names = ["speed_limit", "south", "west"]
        place = shown(number, 2019, fields)
        places, raw = place["vertices"], fields["vertices"]
    else:
        fields = fields | {"areas": [fields["areas"][0] | {"attr": 1 << 8 | SOUTH_WEST}]}
        names = ["south", "west", "doors_closed"]
        (place,) = shown(number, 2019, fields)["areas"]
        places, raw = [place], fields["areas"]
    assert place["attributes"] == names
    degrees = [[one[key] for key in one if key.endswith("_deg")] for one in places]
    assert degrees == [[-one[key] for key in one if key.endswith("_deg")] for one in raw]
    body = encode(number, 2019, fields)
    told = shown(0x0608, 2019, {"kind": kind, "count": 1, "data": body})["bodies"]
    assert told == [shown(number, 2019, fields)]


def test_2011_has_no_doors_in_areas() -> None:
    circle = BODIES[2011][0x8600]
    area = circle["areas"][0] | {"attr": 0x0108}
    (found,) = shown(0x8600, 2011, circle | {"areas": [area]})["areas"]
    assert found["attributes"] == ["in_platform"]


def test_alarms_that_are_confirmed_and_the_sign_of_a_position() -> None:
    assert shown(0x8203, 2013, {"alarm_serial": 0, "kinds": 1 << 20 | 1})["alarms"] == [
        "sos", "area",
    ]  # fmt: skip
    position = shown(0x0200, 2013, {"position": POSITION | {"status": 0b1111}})["position"]
    assert (position["latitude_deg"], position["longitude_deg"]) == (
        -POSITION["latitude_deg"],
        -POSITION["longitude_deg"],
    )


@given(st.sampled_from(sorted(EXPLAINED)), st.sampled_from((2011, 2019)), st.binary(max_size=90))
def test_any_body_gives_json(number: int, year: int, body: bytes) -> None:
    raw = build(year, number, "13900000101", 1, body)
    assert json.loads(json.dumps(decode_line(raw.hex(), edition=year)))
