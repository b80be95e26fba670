"""A report as COVESA VSS signals: the plain reference of the columnar decoder.

Sentinels and values out of range publish nothing. Where an item occurs twice, the later one
wins, field by field. Positions are given in the coordinate system of the report.
"""

from collections.abc import Iterator, Mapping
from math import pi
from typing import Final, TypeAlias

from carcloud.codecs.gbt32960.constants import Command
from carcloud.codecs.gbt32960.layout import Fields, Marker, Raw, Value
from carcloud.codecs.gbt32960.message import Item, Message, alarm_names, gear_position

Signal: TypeAlias = bool | int | float | str | list[float | None] | list[str]
Pair: TypeAlias = tuple[str, Signal | None]

BATTERY: Final = "Vehicle.Powertrain.TractionBattery"
CELLS: Final = f"{BATTERY}.CellVoltage"
TEMPERATURE: Final = f"{BATTERY}.Temperature"
TRANSMISSION: Final = "Vehicle.Powertrain.Transmission"
ELECTRIC_MOTOR: Final = "Vehicle.Powertrain.ElectricMotor"
FUEL_CELL: Final = "Vehicle.Powertrain.FuelCell"
ENGINE: Final = "Vehicle.Powertrain.CombustionEngine"
LOCATION: Final = "Vehicle.CurrentLocation"
REGULATORY: Final = "Vehicle.Regulatory"

_POWER: Final = {1: "ON", 2: "OFF", 3: "UNDEFINED"}
_STATE: Final = {1: "STARTED", 2: "OFF", 3: "OTHER"}
_CHARGING: Final = dict(
    enumerate(("PARKED_CHARGING", "DRIVING_CHARGING", "NOT_CHARGING", "CHARGE_COMPLETE"), 1)
)
_ENERGY: Final = {1: "ELECTRIC", 2: "HYBRID", 3: "FUEL"}
_DCDC: Final = {1: "WORKING", 2: "DISCONNECTED"}
_MOTOR_STATE: Final = {1: "CONSUMING", 2: "GENERATING", 3: "OFF", 4: "READY"}
_DATUM: Final = {1: "WGS84", 2: "GCJ02", 3: "OTHER"}
_GEAR: Final = {13: -1, 14: 127, 15: 126}  # reverse, D, P; 0 and 1 to 12 stay
_BRAKE_ON: Final = 101  # brake on, travel unknown
_MOTORS: Final = range(1, 5)  # instances of the overlay's DriveMotor
_INT16: Final = 32767
_NO_PACK: Final = 0xFE  # pack numbers from here on are sentinels
_NO_STATUS: Final = 0xFE  # the same for the status of a position


def signals(message: Message, *, current_sign: int = -1) -> dict[str, Signal]:
    """VSS path to value for a realtime or reissued report; {} for other messages.

    `current_sign` turns the wire's current into VSS's, where positive flows into the battery;
    the default takes a positive wire value as discharge, as vehicles do in practice.
    """
    if message.command not in (Command.REALTIME, Command.REISSUE):
        return {}
    found: dict[str, Signal] = {}
    for item in message.items:
        found.update(_known(_item(message, item, current_sign)))
    found.update(_known(_all_cells(message)))
    found.update(_known(_all_probes(message)))
    found.update(_known(_power(found)))
    found.update(_known(_electric_motor(found)))
    found["Vehicle.VehicleIdentification.VIN"] = message.vehicle
    return found


def _known(pairs: Iterator[Pair]) -> dict[str, Signal]:
    return {path: value for path, value in pairs if value is not None}


def _item(message: Message, item: Item, current_sign: int) -> Iterator[Pair]:
    fields, edition = item.fields, message.edition
    match item.name:
        case "vehicle":
            yield from _vehicle(fields, edition, current_sign)
        case "motors":
            for motor in _records(fields, "motors"):
                yield from _motor(motor)
        case "fuel_cell":
            yield from _fuel_cell(fields)
        case "engine":
            yield from _engine(fields)
        case "position":
            yield from _position(message, fields)
        case "extremes":
            yield from _extremes(fields)
        case "alarm":
            yield from _alarm(fields, edition)


def _vehicle(fields: Fields, edition: int, current_sign: int) -> Iterator[Pair]:
    """Types 0x01; S16 tables 9 and B.4, S25 table 10."""
    yield "Vehicle.LowVoltageSystemState", _name(_POWER, fields, "vehicle_state")
    yield f"{REGULATORY}.State", _name(_STATE, fields, "vehicle_state")
    charging = _whole(fields, "charge_state")
    yield f"{BATTERY}.ChargingState", _name(_CHARGING, fields, "charge_state")
    yield f"{BATTERY}.Charging.IsCharging", None if charging is None else charging in (1, 2)
    yield "Vehicle.Powertrain.EnergyMode", _name(_ENERGY, fields, "run_mode")
    yield "Vehicle.Speed", _number(fields, "speed_kmh")
    yield "Vehicle.TraveledDistance", _scaled(fields, "odometer_km", 1000)  # m
    yield from _battery(fields, current_sign)
    yield from _gear(fields, edition)
    yield from _pedals(fields)


def _battery(fields: Fields, current_sign: int) -> Iterator[Pair]:
    current = _number(fields, "current_a")
    yield f"{BATTERY}.CurrentVoltage", _number(fields, "voltage_v")
    if current is not None:
        yield f"{BATTERY}.CurrentCurrent", current * current_sign + 0.0  # no negative zero
    yield f"{BATTERY}.StateOfCharge.Displayed", _number(fields, "soc_pct")
    yield f"{BATTERY}.DCDC.State", _name(_DCDC, fields, "dcdc_state")
    yield f"{BATTERY}.InsulationResistance", _scaled(fields, "insulation_kohm", 1000)  # Ohm


def _power(found: Mapping[str, Signal]) -> Iterator[Pair]:
    """Derived, W, with the sign of the current."""
    volts, amps = found.get(f"{BATTERY}.CurrentVoltage"), found.get(f"{BATTERY}.CurrentCurrent")
    if isinstance(volts, (int, float)) and isinstance(amps, (int, float)):
        yield f"{BATTERY}.CurrentPower", volts * amps


def _gear(fields: Fields, edition: int) -> Iterator[Pair]:
    """The gear byte (S16 A.1, S25 A.1)."""
    gear = _whole(fields, "gear")
    if gear is None:
        return
    position = gear_position(edition, gear)
    if position is not None:
        yield f"{TRANSMISSION}.SelectedGear", _GEAR.get(position, position)
    yield f"{TRANSMISSION}.IsBrakeForceActive", bool(gear & 0x10)
    yield f"{TRANSMISSION}.IsDriveForceActive", bool(gear & 0x20)


def _pedals(fields: Fields) -> Iterator[Pair]:
    """Only in 2016 (S16 table B.4)."""
    yield "Vehicle.Chassis.Accelerator.PedalPosition", _whole(fields, "accelerator_pct")
    brake = _whole(fields, "brake_pct")
    if brake is None:
        return
    yield "Vehicle.Chassis.Brake.IsPedalPressed", brake > 0
    yield "Vehicle.Chassis.Brake.PedalPosition", None if brake == _BRAKE_ON else brake


def _motor(fields: Fields) -> Iterator[Pair]:
    """One record of type 0x02; S16 table 11, S25 table 16."""
    number = _whole(fields, "no")
    if number not in _MOTORS:
        return
    branch = f"Vehicle.Powertrain.DriveMotor.Motor{number}"
    yield f"{branch}.State", _name(_MOTOR_STATE, fields, "state")
    yield f"{branch}.Speed", _number(fields, "speed_rpm")
    yield f"{branch}.Torque", _number(fields, "torque_nm")
    yield f"{branch}.Temperature", _number(fields, "motor_temp_c")
    yield f"{branch}.ControllerTemperature", _number(fields, "controller_temp_c")
    yield f"{branch}.ControllerVoltage", _number(fields, "controller_voltage_v")
    yield f"{branch}.ControllerCurrent", _number(fields, "controller_current_a")


def _electric_motor(found: Mapping[str, Signal]) -> Iterator[Pair]:
    """VSS has one motor without instances: it shows motor 1."""
    branch = "Vehicle.Powertrain.DriveMotor.Motor1"
    speed, torque = found.get(f"{branch}.Speed"), found.get(f"{branch}.Torque")
    yield f"{ELECTRIC_MOTOR}.Speed", speed
    yield f"{ELECTRIC_MOTOR}.Temperature", found.get(f"{branch}.Temperature")
    if isinstance(torque, (int, float)):
        yield f"{ELECTRIC_MOTOR}.Torque", round(torque)  # int16 Nm
        if isinstance(speed, (int, float)):
            power = round(speed * torque * pi / 30_000)  # rpm, Nm -> kW
            yield f"{ELECTRIC_MOTOR}.Power", power if abs(power) <= _INT16 else None


def _fuel_cell(fields: Fields) -> Iterator[Pair]:
    """Type 0x03; S16 table 12, S25 table 17 (hydrogen system only)."""
    yield f"{FUEL_CELL}.Voltage", _number(fields, "voltage_v")
    yield f"{FUEL_CELL}.Current", _number(fields, "current_a")
    yield f"{FUEL_CELL}.HydrogenPressureMax", _scaled(fields, "h2_max_pressure_mpa", 1000)  # kPa
    if "probe_temps_c" in fields and not isinstance(fields["probe_count"], Marker):
        yield f"{FUEL_CELL}.ProbeTemperatures", _numbers(fields, "probe_temps_c")


def _engine(fields: Fields) -> Iterator[Pair]:
    """Type 0x04; S16 table 13, S25 table 20 (speed only)."""
    state = _whole(fields, "state")
    yield f"{ENGINE}.IsRunning", None if state is None else state == 1
    yield f"{ENGINE}.Speed", _number(fields, "crank_rpm")
    consumption = "Vehicle.Powertrain.FuelSystem.InstantConsumption"
    yield consumption, _number(fields, "consumption_l_per_100km")


def _position(message: Message, fields: Fields) -> Iterator[Pair]:
    """Type 0x05; S16 tables 14 and 15, S25 tables 21 and 22. Bit 0 set = no valid fix."""
    status = _whole(fields, "status") or 0
    longitude, latitude = _number(fields, "longitude_deg"), _number(fields, "latitude_deg")
    yield f"{LOCATION}.CoordinateSystem", _name(_DATUM, fields, "coordinate_system")
    if status & 1:
        yield f"{LOCATION}.GNSSReceiver.FixType", "NONE" if status < _NO_STATUS else None
    elif longitude is not None and latitude is not None:
        yield f"{LOCATION}.Longitude", -longitude if status & 4 else longitude
        yield f"{LOCATION}.Latitude", -latitude if status & 2 else latitude
        if message.time is not None:
            yield f"{LOCATION}.Timestamp", message.time.isoformat().replace("+00:00", "Z")


def _extremes(fields: Fields) -> Iterator[Pair]:
    """Type 0x06 of 2016 (table 16)."""
    for end, key in (("Max", "max"), ("Min", "min")):
        yield f"{CELLS}.{end}", _number(fields, f"{key}_cell_v")
        yield f"{CELLS}.Id{end}", _whole(fields, f"{key}_cell_no")
        yield f"{CELLS}.PackId{end}", _whole(fields, f"{key}_cell_subsystem")
        yield f"{TEMPERATURE}.{end}", _number(fields, f"{key}_temp_c")
        yield f"{TEMPERATURE}.ProbeId{end}", _whole(fields, f"{key}_temp_probe")


def _alarm(fields: Fields, edition: int) -> Iterator[Pair]:
    """Type 0x07 of 2016 (tables 17, 18), type 0x06 of 2025 (tables 23, 24)."""
    yield f"{REGULATORY}.AlarmLevel", _whole(fields, "max_level")
    flags = _whole(fields, "flags")
    if flags is not None:
        yield f"{REGULATORY}.AlarmFlags", flags
        yield f"{REGULATORY}.AlarmCodes", [f"gb_{name}" for name in alarm_names(edition, flags)]
    faults = fields["storage_faults"]
    if _code(fields, "storage_fault_count") is not None and isinstance(faults, list):
        yield f"{BATTERY}.ErrorCodes", [f"{code:08X}" for code in faults]


def _all_cells(message: Message) -> Iterator[Pair]:
    """Cell voltages of all packs by pack and cell number, when no cell is missing."""
    parts: dict[tuple[int, int], tuple[int, list[float | None]]] = {}
    for pack in _packs(message, "cell_voltages"):
        total = _code(pack, "cell_total" if message.edition == 2016 else "cell_count")
        first = _code(pack, "first_cell") if message.edition == 2016 else 1
        if isinstance(pack["cell_count"], Marker) or total is None or first is None:
            return
        parts[_pack_number(pack), first] = (total, _numbers(pack, "cell_v"))
    packs: dict[int, list[float | None]] = {}
    for (number, first), (_, values) in sorted(parts.items()):
        if first != len(packs.setdefault(number, [])) + 1:
            return
        packs[number] += values
    if packs and all(len(packs[number]) == total for (number, _), (total, _) in parts.items()):
        yield f"{CELLS}.CellVoltages", [volts for values in packs.values() for volts in values]
        if message.edition == 2025:
            yield from _series_extremes(packs, CELLS, "Id", with_pack=True)


def _all_probes(message: Message) -> Iterator[Pair]:
    """Probe temperatures of all packs by pack number."""
    packs: dict[int, list[float | None]] = {}
    for pack in _packs(message, "temperatures"):
        if isinstance(pack["probe_count"], Marker):
            return
        packs[_pack_number(pack)] = _numbers(pack, "temps_c")
    if not packs:
        return
    probes = [value for number in sorted(packs) for value in packs[number]]
    yield f"{TEMPERATURE}.CellTemperature", probes
    known = [value for value in probes if value is not None]
    if known:
        yield f"{TEMPERATURE}.Average", sum(known) / len(known)
    if message.edition == 2025:
        yield from _series_extremes(packs, TEMPERATURE, "ProbeId", with_pack=False)


def _series_extremes(
    packs: Mapping[int, list[float | None]], branch: str, ident: str, *, with_pack: bool
) -> Iterator[Pair]:
    """2025 has no extremes body: they come from the lists, the first of equals by pack."""
    found = [
        (value, pack, place)
        for pack in sorted(packs)
        for place, value in enumerate(packs[pack], 1)
        if value is not None
    ]
    if not found:
        return
    for end, choose in (("Max", max), ("Min", min)):
        value, pack, place = choose(found, key=lambda entry: entry[0])
        yield f"{branch}.{end}", value
        yield f"{branch}.{ident}{end}", place
        if with_pack and pack < _NO_PACK:
            yield f"{branch}.PackId{end}", pack


def _pack_number(pack: Fields) -> int:
    """Packs are told apart by their number, also by one that is not valid."""
    number = pack["no"]
    if isinstance(number, Marker):
        return _NO_PACK if number is Marker.ABNORMAL else _NO_PACK + 1
    return _code(pack, "no") or 0


def _packs(message: Message, name: str) -> Iterator[Fields]:
    for item in message.items:
        if item.name == name:
            yield from _records(item.fields, "packs")


def _records(fields: Fields, key: str) -> list[Fields]:
    found = fields[key]
    return (
        [record for record in found if isinstance(record, dict)] if isinstance(found, list) else []
    )


def _number(fields: Fields, key: str) -> float | int | None:
    return _as_number(fields.get(key))


def _as_number(value: "Value | None") -> float | int | None:
    return value if isinstance(value, (int, float)) else None


def _numbers(fields: Fields, key: str) -> list[float | None]:
    found = fields[key]
    return [_as_number(value) for value in found] if isinstance(found, list) else []


def _whole(fields: Fields, key: str) -> int | None:
    value = fields.get(key)
    return value if isinstance(value, int) else None


def _code(fields: Fields, key: str) -> int | None:
    """A number that shapes a list: also one outside its valid range, but no sentinel."""
    value = fields.get(key)
    return value.code if isinstance(value, Raw) else _whole(fields, key)


def _scaled(fields: Fields, key: str, factor: int) -> int | None:
    """In a unit that makes the tenths of the wire whole."""
    value = _number(fields, key)
    return None if value is None else round(value * factor)


def _name(names: Mapping[int, str], fields: Fields, key: str) -> str | None:
    code = _whole(fields, key)
    return None if code is None else names.get(code)
