"""A position report as COVESA VSS signals: the plain reference of the columnar decoder.

Where an item occurs twice, the later one wins. Positions are given in the datum of the terminal.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, TypeAlias

from carcloud.codecs.jt808.layout import Fields
from carcloud.codecs.jt808.message import Message, alarm_names
from carcloud.codecs.jt808.tables_position import LOADS
from carcloud.codecs.jt808.vss import (
    BRAKE_STATES,
    LIGHTS,
    LOCATION,
    MESSAGES,
    POWER_STATES,
    REGULATORY,
    SIGNAL_FLAGS,
    SLEEP_STATES,
    STATUS_FLAGS,
    STATUS_FLAGS_2019,
    SYSTEMS,
)

Signal: TypeAlias = bool | int | float | str | list[str]
Pair: TypeAlias = tuple[str, Signal]

_FIX, _SOUTH, _WEST, _ENCRYPTED = 2, 4, 8, 32  # of the status
_BRAKE, _NEUTRAL = 1 << 4, 1 << 10  # of item 0x25
_PLAIN_ITEMS: Final = {
    0x02: ("fuel_l", "Vehicle.Powertrain.FuelSystem.AbsoluteLevel"),
    0x03: ("recorder_kmh", f"{REGULATORY}.RecorderSpeed"),
    0x06: ("cabin_temp_c", "Vehicle.Cabin.HVAC.AmbientAirTemperature"),
    0x30: ("signal_strength", "Vehicle.Connectivity.SignalStrength"),
    0x31: ("satellites", f"{LOCATION}.GNSSReceiver.SatelliteCount"),
}


def signals(message: Message) -> dict[str, Signal]:
    """VSS path to value for a message with one position report; {} for others and for batches."""
    if message.message not in MESSAGES or "positions" in message.fields or not message.reports:
        return {}
    return report_signals(message.reports[0], message.edition)


def report_signals(report: Fields, edition: int) -> dict[str, Signal]:
    """VSS path to value for one position report of an edition."""
    found = dict(_basic(report, edition))
    items = report["items"]
    for item in items if isinstance(items, list) else []:
        if isinstance(item, dict):
            found.update(_item(item))
    return found


def _basic(report: Fields, edition: int) -> Iterator[Pair]:
    alarm, status = _raw(report, "alarm"), _raw(report, "status")
    yield "Vehicle.LowVoltageSystemState", POWER_STATES[status & 1]
    yield from _place(report, status)
    yield f"{LOCATION}.Altitude", _number(report, "altitude_m")
    yield f"{LOCATION}.Heading", _number(report, "direction_deg")
    yield "Vehicle.Speed", _number(report, "speed_kmh")
    yield f"{REGULATORY}.AlarmCodes", [f"jt_{name}" for name in alarm_names(edition, alarm)]
    yield f"{REGULATORY}.IsEmergencyRequested", bool(alarm & 1)
    for path, bit in STATUS_FLAGS.items():
        yield path, bool(status >> bit & 1)
    yield f"{REGULATORY}.LoadState", LOADS[status >> 8 & 3]
    systems = [name for bit, name in SYSTEMS.items() if status >> bit & 1]
    yield f"{LOCATION}.GNSSReceiver.Systems", systems
    if edition == 2019:
        for path, bit in STATUS_FLAGS_2019.items():
            yield path, bool(status >> bit & 1)


def _place(report: Fields, status: int) -> Iterator[Pair]:
    if not status & _FIX:
        yield f"{LOCATION}.GNSSReceiver.FixType", "NONE"
        return
    if status & _ENCRYPTED:
        return
    latitude, longitude = _number(report, "latitude_deg"), _number(report, "longitude_deg")
    yield f"{LOCATION}.Latitude", (-latitude if status & _SOUTH else latitude) + 0.0
    yield f"{LOCATION}.Longitude", (-longitude if status & _WEST else longitude) + 0.0
    time = report["time"]
    if isinstance(time, datetime):
        yield f"{LOCATION}.Timestamp", time.isoformat().replace("+00:00", "Z")


def _item(item: Fields) -> Iterator[Pair]:
    number = item["item"]
    if "data" in item or not isinstance(number, int):
        return
    if number in _PLAIN_ITEMS:
        key, path = _PLAIN_ITEMS[number]
        yield path, _number(item, key)
    elif number == 0x01:
        yield "Vehicle.TraveledDistance", _raw(item, "odometer_km", 10) * 100
    elif number == 0x25:
        yield from _lamps(_raw(item, "signals"))
    elif number == 0x2A:
        io = _raw(item, "io")
        yield f"{REGULATORY}.TerminalSleep", SLEEP_STATES[2 if io & 1 else io >> 1 & 1]
    elif number == 0x2B:
        analog = _raw(item, "analog")
        yield f"{REGULATORY}.AnalogInput0", analog & 0xFFFF
        yield f"{REGULATORY}.AnalogInput1", analog >> 16


def _lamps(bits: int) -> Iterator[Pair]:
    for path, bit in SIGNAL_FLAGS.items():
        yield path, bool(bits >> bit & 1)
    yield f"{LIGHTS}.Brake.IsActive", BRAKE_STATES[bool(bits & _BRAKE)]
    if bits & _NEUTRAL:
        yield "Vehicle.Powertrain.Transmission.SelectedGear", 0


def _number(fields: Fields, key: str) -> float | int:
    value = fields[key]
    if not isinstance(value, (int, float)):
        raise TypeError(f"{key} is {value!r}")
    return value


def _raw(fields: Fields, key: str, divisor: int = 1) -> int:
    return round(_number(fields, key) * divisor) if key in fields else 0
