"""What a simulated truck says over JT/T 808: its names, its registration, its positions."""

import struct
from datetime import UTC, datetime, timedelta, timezone

import numpy as np

from carcloud.codecs.jt808.encode import encode
from carcloud.codecs.jt808.layout import Value
from carcloud.simulator.fleet import Fleet
from carcloud.simulator.readings import BRAKING, STARTED

_BEIJING = timezone(timedelta(hours=8))
_TANK_L = 400.0
_PER_KM_L = 0.32
_OVERSPEED_KMH = 100.0
_FIX, _SOUTH, _WEST = 1 << 1, 1 << 2, 1 << 3
LOCKED = 1 << 12
_SATELLITES, _MOVING = 3 << 18, 1 << 22  # GPS and Beidou are used; 2019 alone tells of moving
_BASIC = struct.Struct(">IIIIHHH")
_ITEMS = struct.Struct(">BBIBBHBBHBBIBBBBBB")


def phones(seed: int, trucks: int) -> list[str]:
    """Terminal phone numbers that no network has given out, all different."""
    return [f"1000{seed % 100:02d}{index:05d}" for index in range(trucks)]


def registration(edition: int, phone: str) -> bytes:
    """Body of 0x0100."""
    fields: dict[str, Value] = {
        "province": 31,
        "city": 100,
        "maker": "SIMUL",
        "model": "CARCLOUD-1",
        "terminal_id": f"T{phone[-6:]}",
        "plate_colour": 2,
        "plate": f"测A{phone[-5:]}",
    }
    return encode(0x0100, edition, fields)


def authentication(edition: int, phone: str, code: str) -> bytes:
    """Body of 0x0102."""
    fields = {"auth_code": code, "imei": phone.zfill(15), "software_version": "SIM-1.0"}
    return encode(0x0102, edition, fields if edition == 2019 else {"auth_code": code})


def time6(seconds: int) -> bytes:
    """UTC seconds since 1970 as BCD of Beijing time."""
    moment = datetime.fromtimestamp(seconds, UTC).astimezone(_BEIJING)
    return bytes.fromhex(moment.strftime("%y%m%d%H%M%S"))


def positions(fleet: Fleet, trucks: list[int], new: list[bool], locked: list[bool]) -> list[bytes]:
    """Bodies of 0x0200 for these trucks now; `new` = of 2019, `locked` = doors, in their order."""
    at = np.array(trucks, np.int64)
    seen, road = fleet.observe(at), fleet.journey.road
    heading = np.degrees(road.heading[at]) % 360
    height = np.maximum(road.height()[at] + 40.0, 0.0)
    time = time6(seen.seconds)
    bodies = []
    for index in range(len(trucks)):
        speed, odometer = float(seen.speed_kmh[index]), float(seen.odometer_km[index])
        latitude, longitude = float(seen.latitude[index]), float(seen.longitude[index])
        status = int(seen.vehicle_state[index] == STARTED) | _FIX | _SATELLITES
        status |= (_SOUTH if latitude < 0 else 0) | (_WEST if longitude < 0 else 0)
        status |= (LOCKED if locked[index] else 0) | (_MOVING if new[index] and speed > 0 else 0)
        basic = _BASIC.pack(
            2 if speed > _OVERSPEED_KMH else 0,
            status,
            round(abs(latitude) * 1e6),
            round(abs(longitude) * 1e6),
            int(height[index]),
            round(speed * 10),
            int(heading[index]),
        )
        fuel = _TANK_L - (odometer * _PER_KM_L) % (0.9 * _TANK_L)
        brake = 1 << 4 if seen.gear[index] & BRAKING else 0
        bodies.append(basic + time + _items(odometer, fuel, speed, brake, index))
    return bodies


def _items(odometer_km: float, fuel_l: float, speed_kmh: float, signals: int, index: int) -> bytes:
    """Odometer, fuel, recorder speed, signals, radio strength, satellites."""
    return _ITEMS.pack(
        *(0x01, 4, round(odometer_km * 10) & 0xFFFFFFFF, 0x02, 2, round(fuel_l * 10)),
        *(0x03, 2, round(speed_kmh * 10), 0x25, 4, signals),
        *(0x30, 1, 20 + index % 11, 0x31, 1, 9 + index % 8),
    )
