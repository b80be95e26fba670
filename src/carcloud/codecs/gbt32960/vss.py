"""Which wire field of a report lands in which VSS column.

One table (`TARGETS`) drives the columnar kernel, the Arrow columns and the documentation. Scale,
offset, valid range and sentinels are those of the field tables of each edition; a target says
the column, a unit factor, or the stored value of each code. Lists, the position and what is
computed from several fields stand in `COMPUTED`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from carcloud.codecs.gbt32960.tables import ALARM_BITS, ALARM_CODES
from carcloud.model.signals import CATALOGUE, MOTORS

BATTERY: Final = "Vehicle.Powertrain.TractionBattery"
LOCATION: Final = "Vehicle.CurrentLocation"
MOTOR: Final = "Vehicle.Powertrain.ElectricMotor"
GEARBOX: Final = "Vehicle.Powertrain.Transmission"
EDITIONS: Final = (2016, 2025)
CURRENT: Final = f"{BATTERY}.CurrentCurrent"


@dataclass(frozen=True, slots=True)
class Target:
    """The column that a field of a body fills: physical value times `factor`, or `codes[raw]`.

    A code that `codes` lacks fills nothing. For a column with allowed values the stored code is
    the index of the value. `instance` is the motor number that a record must carry.
    """

    table: str  # name of the field table
    key: str  # of the row in it
    path: str
    factor: int = 1
    codes: Mapping[int, int] | None = None
    edition: int | None = None  # None = both
    instance: int = 0


def _index(count: int) -> dict[int, int]:
    """Raw codes 1, 2, 3 ... in the order of the column's allowed values."""
    return {raw: raw - 1 for raw in range(1, count + 1)}


def _bit(number: int) -> dict[int, int]:
    return {raw: raw >> number & 1 for raw in range(254)}


_GEARS: Final = {**{gear: gear for gear in range(13)}, 13: -1, 14: 127, 15: 126}
_GEAR_2016: Final = {raw: _GEARS[raw & 15] for raw in range(254)}
_GEAR_2025: Final = {raw: _GEARS[raw & 15] for raw in range(128)}  # bit 7: gear not valid
_BRAKE_TRAVEL: Final = {raw: raw for raw in range(101)}  # 101: on, travel unknown
_BRAKE_ON: Final = {raw: int(raw > 0) for raw in range(102)}
_CHARGING: Final = {1: 1, 2: 1, 3: 0, 4: 0}
_NO_FIX: Final = {raw: 0 for raw in range(1, 254, 2)}  # bit 0: 1 = no valid fix
_YES_NO: Final = {1: 1, 2: 0}

_VEHICLE: Final = (
    Target("vehicle", "vehicle_state", "Vehicle.Regulatory.State", codes=_index(3)),
    Target("vehicle", "charge_state", f"{BATTERY}.ChargingState", codes=_index(4)),
    Target("vehicle", "charge_state", f"{BATTERY}.Charging.IsCharging", codes=_CHARGING),
    Target("vehicle", "run_mode", "Vehicle.Powertrain.EnergyMode", codes=_index(3)),
    Target("vehicle", "speed_kmh", "Vehicle.Speed"),
    Target("vehicle", "odometer_km", "Vehicle.TraveledDistance", 1000),
    Target("vehicle", "voltage_v", f"{BATTERY}.CurrentVoltage"),
    Target("vehicle", "current_a", CURRENT),
    Target("vehicle", "soc_pct", f"{BATTERY}.StateOfCharge.Displayed"),
    Target("vehicle", "dcdc_state", f"{BATTERY}.DCDC.State", codes=_index(2)),
    Target("vehicle", "gear", f"{GEARBOX}.SelectedGear", codes=_GEAR_2016, edition=2016),
    Target("vehicle", "gear", f"{GEARBOX}.SelectedGear", codes=_GEAR_2025, edition=2025),
    Target("vehicle", "gear", f"{GEARBOX}.IsDriveForceActive", codes=_bit(5)),
    Target("vehicle", "gear", f"{GEARBOX}.IsBrakeForceActive", codes=_bit(4)),
    Target("vehicle", "insulation_kohm", f"{BATTERY}.InsulationResistance", 1000),
    Target("vehicle", "accelerator_pct", "Vehicle.Chassis.Accelerator.PedalPosition"),
    Target("vehicle", "brake_pct", "Vehicle.Chassis.Brake.PedalPosition", codes=_BRAKE_TRAVEL),
    Target("vehicle", "brake_pct", "Vehicle.Chassis.Brake.IsPedalPressed", codes=_BRAKE_ON),
)


def _motor(number: int) -> tuple[Target, ...]:
    branch = f"Vehicle.Powertrain.DriveMotor.Motor{number}"
    leaves = {
        "controller_temp_c": "ControllerTemperature",
        "speed_rpm": "Speed",
        "torque_nm": "Torque",
        "motor_temp_c": "Temperature",
        "controller_voltage_v": "ControllerVoltage",
        "controller_current_a": "ControllerCurrent",
    }
    return (
        Target("motor", "state", f"{branch}.State", codes=_index(4), instance=number),
        *(
            Target("motor", key, f"{branch}.{leaf}", instance=number)
            for key, leaf in leaves.items()
        ),
    )


_DRIVE: Final = (
    *(target for number in MOTORS for target in _motor(number)),
    Target("fuel_cell", "voltage_v", "Vehicle.Powertrain.FuelCell.Voltage"),
    Target("fuel_cell", "current_a", "Vehicle.Powertrain.FuelCell.Current"),
    Target(
        "fuel_cell",
        "h2_max_pressure_mpa",
        "Vehicle.Powertrain.FuelCell.HydrogenPressureMax",
        1000,
    ),
    Target("engine", "state", "Vehicle.Powertrain.CombustionEngine.IsRunning", codes=_YES_NO),
    Target("engine", "crank_rpm", "Vehicle.Powertrain.CombustionEngine.Speed"),
    Target(
        "engine",
        "consumption_l_per_100km",
        "Vehicle.Powertrain.FuelSystem.InstantConsumption",
    ),
)
_EXTREMES: Final = (
    Target("extremes", "max_cell_subsystem", f"{BATTERY}.CellVoltage.PackIdMax"),
    Target("extremes", "max_cell_no", f"{BATTERY}.CellVoltage.IdMax"),
    Target("extremes", "max_cell_v", f"{BATTERY}.CellVoltage.Max"),
    Target("extremes", "min_cell_subsystem", f"{BATTERY}.CellVoltage.PackIdMin"),
    Target("extremes", "min_cell_no", f"{BATTERY}.CellVoltage.IdMin"),
    Target("extremes", "min_cell_v", f"{BATTERY}.CellVoltage.Min"),
    Target("extremes", "max_temp_probe", f"{BATTERY}.Temperature.ProbeIdMax"),
    Target("extremes", "max_temp_c", f"{BATTERY}.Temperature.Max"),
    Target("extremes", "min_temp_probe", f"{BATTERY}.Temperature.ProbeIdMin"),
    Target("extremes", "min_temp_c", f"{BATTERY}.Temperature.Min"),
)

TARGETS: Final = (
    *_VEHICLE,
    *_DRIVE,
    *_EXTREMES,
    Target("alarm", "max_level", "Vehicle.Regulatory.AlarmLevel"),
    Target("alarm", "flags", "Vehicle.Regulatory.AlarmFlags"),
    Target("position", "status", f"{LOCATION}.GNSSReceiver.FixType", codes=_NO_FIX),
    Target("position", "coordinate_system", f"{LOCATION}.CoordinateSystem", codes=_index(3)),
)
"""Every column that one wire field fills by itself. The extremes are of 2016 only."""

COMPUTED: Final[Mapping[str, str]] = {
    "Vehicle.LowVoltageSystemState": "vehicle_state 1 ON, 2 OFF, 3 UNDEFINED",
    f"{BATTERY}.CurrentPower": "derived: CurrentVoltage times CurrentCurrent",
    f"{BATTERY}.CellVoltage.CellVoltages": "cells of all packs in order of pack and cell number, "
    "only when no cell is missing; an element is null where its code is no value. "
    "In 2025 also the extremes are computed from them",
    f"{BATTERY}.Temperature.CellTemperature": "probes of all packs in order of pack number; "
    "in 2025 also the extremes are computed from them",
    f"{BATTERY}.Temperature.Average": "derived: mean of CellTemperature",
    f"{BATTERY}.ErrorCodes": "battery fault list, eight hexadecimal digits each",
    f"{MOTOR}.Speed": "that of Motor1",
    f"{MOTOR}.Torque": "that of Motor1, rounded to whole Nm",
    f"{MOTOR}.Temperature": "that of Motor1",
    f"{MOTOR}.Power": "derived: speed times torque of Motor1, rounded to whole kW",
    "Vehicle.Powertrain.FuelCell.ProbeTemperatures": "probes of the 2016 fuel-cell body",
    f"{LOCATION}.Longitude": "status bit 2 = west; none without a valid fix",
    f"{LOCATION}.Latitude": "status bit 1 = south; none without a valid fix",
    f"{LOCATION}.Timestamp": "collection time in UTC, where a position is published",
    "Vehicle.Regulatory.AlarmCodes": "names of the general alarm bits that are set",
    "Vehicle.VehicleIdentification.VIN": "unique id of the frame",
}
"""Columns that need more than one field, or a list, with how they come about."""

COLUMNS: Final = tuple(
    path for path in CATALOGUE if path in COMPUTED or any(target.path == path for target in TARGETS)
)
"""All columns a GB/T 32960 report can fill, in catalogue order."""

ALARM_NAMES: Final = tuple(f"gb_{name}" for name in ALARM_CODES)
"""Values of `Vehicle.Regulatory.AlarmCodes` by bit number."""
ALARM_MASKS: Final = tuple((1 << ALARM_BITS[edition]) - 1 for edition in EDITIONS)
"""Bits that an edition gives a meaning, 2016 then 2025."""
