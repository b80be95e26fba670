"""Bodies of every message in every edition, as fields."""

from datetime import UTC, datetime
from typing import Any

TIME = datetime(2026, 3, 14, 7, 9, 26, tzinfo=UTC)
POSITION: dict[str, Any] = {
    "alarm": 2,
    "status": 0x0044_0003,
    "latitude_deg": 31.230416,
    "longitude_deg": 121.473701,
    "altitude_m": -18,
    "speed_kmh": 63.5,
    "direction_deg": 90,
    "time": TIME,
    "items": [
        {"item": 0x01, "name": "odometer", "odometer_km": 123456.7},
        {"item": 0x05, "name": "tyre_pressures", "pressures": [200] * 4 + [255] * 26},
        {"item": 0x06, "name": "cabin_temperature", "cabin_temp_c": -5},
        {"item": 0x11, "name": "overspeed_area", "place": 0},
        {"item": 0x11, "name": "overspeed_area", "place": 1, "area_id": 7},
        {"item": 0x12, "name": "area_crossed", "place": 1, "area_id": 7, "direction": 1},
        {"item": 0x13, "name": "section_time", "section_id": 3, "driven_s": 61, "result": 1},
        {"item": 0x2A, "name": "io", "io": 2},
        {"item": 0x2B, "name": "analog", "analog": 0x0102_0304},
        {"item": 0xE1, "data": b"\x7d\x7e"},
    ],
}
BASIC = POSITION | {"items": []}
_CIRCLE = {
    "id": 7, "attr": 0x3F, "latitude_deg": 31.230416, "longitude_deg": 121.473701,
    "radius_m": 500, "start": "08:30:00", "end": "18:00:00", "max_speed_kmh": 60, "overspeed_s": 10,
}  # fmt: skip
_RECTANGLE = {
    "id": 8, "attr": 3, "top_deg": 31.24, "left_deg": 121.47, "bottom_deg": 31.23,
    "right_deg": 121.48, "start": TIME, "end": TIME, "max_speed_kmh": 60, "overspeed_s": 10,
}  # fmt: skip
_VERTICES = [{"latitude_deg": 31.23, "longitude_deg": 121.47 + at / 100} for at in range(3)]
_POLYGON = {
    "id": 9, "attr": 2, "max_speed_kmh": 60, "overspeed_s": 10, "count": 3, "vertices": _VERTICES,
}  # fmt: skip
_NAMED = {"night_max_speed_kmh": 50, "name_length": 4, "name": "仓库"}
_TURN = {
    "section_id": 1, "latitude_deg": 31.23, "longitude_deg": 121.47, "width_m": 30, "attr": 3,
    "too_long_s": 600, "max_speed_kmh": 80, "overspeed_s": 10,
}  # fmt: skip
_MEDIA = {"media_id": 1, "kind": 0, "format": 0, "event": 0, "channel": 1}
_ENTRY = {"id": 1, "length": 2, "text": "是"}
_CONTACT = {"flag": 3, "phone_length": 3, "phone": "110", "name_length": 4, "name": "张三"}
_PARAMETERS = [
    {"parameter": 1, "name": "heartbeat_s", "value": 60},
    {"parameter": 0x13, "name": "main_address", "value": "192.0.2.10:16808"},
    {"parameter": 0x5B, "name": "overspeed_margin_kmh", "value": 1.5},
    {"parameter": 0x84, "name": "plate_colour", "value": 2},
    {"parameter": 0x32, "name": "forbidden_period", "value": b"\x16\x32\x0a\x1e"},
    {"parameter": 0xF001, "value": b"\x01"},
]
_LIST = {"action": 1, "count": 1}
_REGISTRATION = {
    "province": 31, "city": 104, "maker": "70101", "model": "SIM-1", "terminal_id": "T000101",
    "plate_colour": 1, "plate": "沪A00101",
}  # fmt: skip
_ATTRIBUTES = {
    "terminal_type": 1, "maker": "70101", "model": "SIM-1", "terminal_id": "T000101",
    "iccid": "89860000000000000101", "hardware_length": 2, "hardware": "H1", "firmware_length": 2,
    "firmware": "F1", "gnss": 3, "modem": 1,
}  # fmt: skip
_WHICH = {"kind": 0, "channel": 0, "event": 0, "start": None, "end": TIME}
_CARD = {
    "name_length": 4, "name": "张三", "certificate": "310000000000000101", "issuer_length": 4,
    "issuer": "上海", "valid_until": "20291231",
}  # fmt: skip
_DELETE = {"count": 2, "ids": [1, 2]}


def _each(numbers: tuple[int, ...], fields: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {number: dict(fields) for number in numbers}


ALL_EDITIONS: dict[int, dict[str, Any]] = {
    **_each((2, 3, 4, 0x8104, 0x8107, 0x8201, 0x8204, 0x8702), {}),
    **_each((0x0001, 0x8001), {"reply_serial": 5, "reply_id": 0x0200, "result": 4}),
    **_each((0x8601, 0x8603, 0x8605, 0x8607), _DELETE),
    **_each((0x8700, 0x8701), {"command": 8, "data": b"\x01\x02"}),
    **_each((0x0900, 0x8900), {"kind": 0x41, "data": b"\x7e"}),
    **_each((0x0A00, 0x8A00), {"e": 65537, "n": bytes(range(128))}),
    **_each((0x8003, 0x0005), {"first_serial": 20, "count": 2, "packet_numbers": [2, 5]}),
    **_each((0x0201, 0x0500), {"reply_serial": 5, "position": POSITION}),
    0x8004: {"server_time": TIME},
    0x0100: _REGISTRATION,
    0x8100: {"reply_serial": 1, "result": 0, "auth_code": "AUTH000101"},
    0x8106: {"count": 2, "ids": [1, 0x13]},
    0x8105: {"command": 2, "argument": "1;CODE"},
    0x8108: {"kind": 0, "maker": "70101", "version_length": 2, "version": "V2", "size": 3,
             "data": b"\x00\x01\x02"},
    0x0108: {"kind": 0, "result": 0},
    0x0200: {"position": POSITION},
    0x8202: {"interval_s": 5, "validity_s": 600},
    0x8203: {"alarm_serial": 7, "kinds": 9},
    0x0704: {"count": 2, "kind": 1, "positions": [
        {"length": 28, "position": BASIC}, {"length": 34, "position": BASIC | {
            "items": [{"item": 1, "name": "odometer", "odometer_km": 0.1}]}}]},
    0x0705: {"count": 1, "time": "1509260350", "frames": [{"id": 0x123, "data": bytes(range(8))}]},
    0x0301: {"event_id": 3},
    0x8302: {"flags": 1, "length": 4, "question": "是否",
             "answers": [_ENTRY, _ENTRY | {"id": 2}]},
    0x0302: {"reply_serial": 6, "answer_id": 2},
    0x0303: {"kind": 1, "flag": 1},
    0x8400: {"flag": 1, "phone": "110"},
    0x8608: {"kind": 1, **_DELETE},
    0x0701: {"length": 2, "content": b"\x01\x02"},
    0x0800: _MEDIA,
    0x8801: {"channel": 1, "command": 1, "interval_s": 5, "save": 0, "resolution": 2, "quality": 5,
             "brightness": 128, "contrast": 64, "saturation": 64, "chroma": 128},
    0x0805: {"reply_serial": 5, "result": 0, "count": 1, "media_ids": [9]},
    0x8802: _WHICH,
    0x8803: _WHICH | {"delete": 0},
    0x8804: {"command": 1, "seconds": 5, "save": 0, "rate": 0},
    0x8805: {"media_id": 1, "delete": 1},
}  # fmt: skip
"""Message id -> fields; the same in every edition, whatever their bytes."""

_OLD = {
    0x0102: {"auth_code": "AUTH000101"},
    0x8300: {"flags": 9, "text": "请减速"},
    0x8500: {"flags": 1},
    0x8600: _LIST | {"areas": [_CIRCLE]},
    0x8602: _LIST | {"areas": [_RECTANGLE]},
    0x8604: _POLYGON,
}
_SINCE_2013 = {
    0x8103: {"count": 6, "items": _PARAMETERS},
    0x0104: {"reply_serial": 5, "count": 6, "items": _PARAMETERS},
    0x0107: _ATTRIBUTES,
    0x8301: _LIST | {"events": [_ENTRY]},
    0x8303: _LIST | {"menu": [_ENTRY]},
    0x8304: {"kind": 1, "length": 4, "text": "天气"},
    0x8401: _LIST | {"contacts": [_CONTACT]},
    0x0700: {"reply_serial": 5, "command": 8, "data": b"\x01"},
    0x0801: _MEDIA | {"position": BASIC, "data": bytes(range(64))},
    0x8800: {"media_id": 1, "count": 1, "packet_numbers": [2]},
    0x0802: {"reply_serial": 5, "total": 1, "items": [
        {"media_id": 1, "kind": 0, "channel": 1, "event": 0, "position": BASIC}]},
    0x8606: {"id": 10, "attr": 1, "start": TIME, "end": TIME, "count": 1,
             "points": [_TURN | {"point_id": 1, "too_short_s": 60}]},
    0x0702: {"state": 1, "time": TIME, "read_result": 0, **_CARD},
}  # fmt: skip
_PACKET = {"packet_count": 1}
BODIES: dict[int, dict[int, dict[str, Any]]] = {
    2011: ALL_EDITIONS | _OLD | {
        0x8103: {"count": 6, "packet_count": 6, "items": _PARAMETERS},
        0x0104: {"reply_serial": 5, "count": 6, "packet_count": 6, "items": _PARAMETERS},
        0x8301: _LIST | _PACKET | {"events": [_ENTRY]},
        0x8303: _LIST | _PACKET | {"menu": [_ENTRY]},
        0x8401: _LIST | _PACKET | {"contacts": [_CONTACT]},
        0x8600: _LIST | _PACKET | {"areas": [_CIRCLE]},
        0x8602: _LIST | _PACKET | {"areas": [_RECTANGLE]},
        0x8304: {"kind": 1, "total_length": 4, "length": 4, "text": "天气"},
        0x0700: {"reply_serial": 5, "command": 8, "total_length": 1, "length": 1, "data": b"\x01"},
        0x0801: _MEDIA | {"total": 2, "number": 1, "data": bytes(range(64))},
        0x8800: {"reply_serial": 5, "media_id": 1, "count": 1, "packet_numbers": [2]},
        0x0802: {"reply_serial": 5, "total": 1, "items": [
            {"kind": 0, "channel": 1, "event": 0, "position": BASIC}]},
        0x0201: {"position": POSITION},
        0x8606: {"id": 10, "attr": 1, "start": TIME, "end": TIME, "count": 1, "points": [_TURN]},
        0x0702: {"name_length": 4, "name": "张三", "id_card": "310000000000000101",
                 "certificate": "310000000000000101", "issuer_length": 4, "issuer": "上海"},
    },
    2013: ALL_EDITIONS | _OLD | _SINCE_2013,
    2019: ALL_EDITIONS | _SINCE_2013 | {
        0x0102: {"code_length": 10, "auth_code": "AUTH000101", "imei": "860000000000101",
                 "software_version": "V1.0.0"},
        0x8300: {"flags": 9, "kind": 1, "text": "请减速"},
        0x8500: {"count": 2, "controls": [{"id": 1, "value": 0}, {"id": 0xF001, "data": b"\x01"}]},
        0x8600: _LIST | {"areas": [_CIRCLE | _NAMED]},
        0x8602: _LIST | {"areas": [_RECTANGLE | _NAMED]},
        0x8604: _POLYGON | _NAMED,
        0x8606: {"id": 10, "attr": 0, "count": 1, "points": [
            _TURN | {"point_id": 1, "too_short_s": 60, "night_max_speed_kmh": 60}],
            "name_length": 4, "name": "仓库"},
        0x0702: {"state": 1, "time": TIME, "read_result": 0, **_CARD,
                 "id_card": "310000000000000101"},
    },
}  # fmt: skip
"""Edition -> message id -> fields with all counts and lengths."""
