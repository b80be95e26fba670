"""The signal catalogue: COVESA VSS 6.0 paths (facts only) and carcloud's overlay on them.

Source of the standard paths, data types, units and ranges: the Vehicle Signal Specification 6.0
of COVESA (MPL-2.0). Overlay paths hold what national protocols report and VSS has no node for;
`Vehicle.Regulatory` is the overlay's own branch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Signal:
    """One leaf of the vocabulary; `minimum` and `maximum` are inclusive, in `unit`."""

    path: str
    datatype: str  # VSS name, arrays end in []
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()


_ARROW: dict[str, Any] = {
    "boolean": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.int16(),  # Delta tables have no unsigned types: one size up
    "uint16": pa.int32(),
    "uint32": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
}


def arrow_type(datatype: str) -> pa.DataType:
    """The column type that stores a VSS data type; raises `KeyError` for an unknown one."""
    if datatype.endswith("[]"):
        return pa.list_(_ARROW[datatype[:-2]])
    return _ARROW[datatype]


FIX_TYPES = (
    "NONE",
    "TWO_D",
    "TWO_D_SATELLITE_BASED_AUGMENTATION",
    "TWO_D_GROUND_BASED_AUGMENTATION",
    "TWO_D_SATELLITE_AND_GROUND_BASED_AUGMENTATION",
    "THREE_D",
    "THREE_D_SATELLITE_BASED_AUGMENTATION",
    "THREE_D_GROUND_BASED_AUGMENTATION",
    "THREE_D_SATELLITE_AND_GROUND_BASED_AUGMENTATION",
)
POWER_STATES = ("UNDEFINED", "LOCK", "OFF", "ACC", "ON", "START")
MOTORS = (1, 2, 3, 4)  # instances of Powertrain.DriveMotor

_GENERAL = (
    Signal("Speed", "float", "km/h"),
    Signal("TraveledDistance", "uint32", "m"),
    Signal("IsMoving", "boolean"),
    Signal("LowVoltageSystemState", "string", allowed=POWER_STATES),
    Signal("VehicleIdentification.VIN", "string"),
    Signal("Chassis.Accelerator.PedalPosition", "uint8", "percent", 0, 100),
    Signal("Chassis.Brake.PedalPosition", "uint8", "percent", 0, 100),
    Signal("Chassis.Brake.IsPedalPressed", "boolean"),
    Signal("Chassis.IsRetarderActive", "boolean"),
    Signal("Cabin.HVAC.AmbientAirTemperature", "float", "Celsius"),
    Signal("Cabin.HVAC.IsAirConditioningActive", "boolean"),
    Signal("Cabin.HVAC.IsHeaterActive", "boolean"),
    Signal("Driver.FatigueLevel", "float", "percent", 0, 100),
    Signal("ADAS.ABS.IsEngaged", "boolean"),
    Signal("Connectivity.IsConnectivityAvailable", "boolean"),
    Signal("Connectivity.SignalStrength", "uint8"),
)
_BATTERY = tuple(
    Signal(f"Powertrain.TractionBattery.{leaf}", *facts)
    for leaf, *facts in (
        ("CurrentVoltage", "float", "V"),
        ("CurrentCurrent", "float", "A"),
        ("CurrentPower", "float", "W"),
        ("StateOfCharge.Displayed", "float", "percent", 0, 100),
        ("InsulationResistance", "uint32", "Ohm"),
        (
            "ChargingState", "string", None, None, None,
            ("PARKED_CHARGING", "DRIVING_CHARGING", "NOT_CHARGING", "CHARGE_COMPLETE"),
        ),
        ("Charging.IsCharging", "boolean"),
        ("DCDC.State", "string", None, None, None, ("WORKING", "DISCONNECTED")),
        ("CellVoltage.Max", "float", "V"),
        ("CellVoltage.IdMax", "uint16"),
        ("CellVoltage.PackIdMax", "uint8"),
        ("CellVoltage.Min", "float", "V"),
        ("CellVoltage.IdMin", "uint16"),
        ("CellVoltage.PackIdMin", "uint8"),
        ("CellVoltage.CellVoltages", "float[]", "V"),
        ("Temperature.Max", "float", "Celsius"),
        ("Temperature.ProbeIdMax", "uint16"),
        ("Temperature.Min", "float", "Celsius"),
        ("Temperature.ProbeIdMin", "uint16"),
        ("Temperature.Average", "float", "Celsius"),
        ("Temperature.CellTemperature", "float[]", "Celsius"),
        ("ErrorCodes", "string[]"),
    )
)  # fmt: skip


def _drive_motors() -> Iterator[Signal]:
    states = ("CONSUMING", "GENERATING", "OFF", "READY")
    for motor in MOTORS:
        branch = f"Powertrain.DriveMotor.Motor{motor}"
        yield Signal(f"{branch}.State", "string", allowed=states)
        yield Signal(f"{branch}.Speed", "float", "rpm")
        yield Signal(f"{branch}.Torque", "float", "Nm")
        yield Signal(f"{branch}.Temperature", "float", "Celsius")
        yield Signal(f"{branch}.ControllerTemperature", "float", "Celsius")
        yield Signal(f"{branch}.ControllerVoltage", "float", "V")
        yield Signal(f"{branch}.ControllerCurrent", "float", "A")


_POWERTRAIN = (
    Signal("Powertrain.EnergyMode", "string", allowed=("ELECTRIC", "HYBRID", "FUEL")),
    Signal("Powertrain.Transmission.SelectedGear", "int8"),
    Signal("Powertrain.Transmission.IsDriveForceActive", "boolean"),
    Signal("Powertrain.Transmission.IsBrakeForceActive", "boolean"),
    Signal("Powertrain.Transmission.IsClutchPedalPressed", "boolean"),
    Signal("Powertrain.ElectricMotor.Speed", "float", "rpm"),
    Signal("Powertrain.ElectricMotor.Torque", "int16", "Nm"),
    Signal("Powertrain.ElectricMotor.Temperature", "float", "Celsius"),
    Signal("Powertrain.ElectricMotor.Power", "int16", "kW"),
    *_drive_motors(),
    Signal("Powertrain.FuelCell.Voltage", "float", "V"),
    Signal("Powertrain.FuelCell.Current", "float", "A"),
    Signal("Powertrain.FuelCell.HydrogenPressureMax", "float", "kPa"),
    Signal("Powertrain.FuelCell.ProbeTemperatures", "float[]", "Celsius"),
    Signal("Powertrain.CombustionEngine.IsRunning", "boolean"),
    Signal("Powertrain.CombustionEngine.Speed", "float", "rpm"),
    Signal("Powertrain.FuelSystem.InstantConsumption", "float", "l/100km", 0),
    Signal("Powertrain.FuelSystem.AbsoluteLevel", "float", "l"),
)
_LOCATION = (
    Signal("CurrentLocation.Longitude", "double", "degrees", -180, 180),
    Signal("CurrentLocation.Latitude", "double", "degrees", -90, 90),
    Signal("CurrentLocation.Altitude", "double", "m"),
    Signal("CurrentLocation.Heading", "double", "degrees", 0, 360),
    Signal("CurrentLocation.Timestamp", "string", "iso8601"),
    Signal("CurrentLocation.CoordinateSystem", "string", allowed=("WGS84", "GCJ02", "OTHER")),
    Signal("CurrentLocation.IsEncrypted", "boolean"),
    Signal("CurrentLocation.GNSSReceiver.FixType", "string", allowed=FIX_TYPES),
    Signal("CurrentLocation.GNSSReceiver.SatelliteCount", "uint8"),
    Signal(
        "CurrentLocation.GNSSReceiver.Systems",
        "string[]",
        allowed=("GPS", "BDS", "GLONASS", "GALILEO"),
    ),
)
_REGULATORY = (
    Signal("Regulatory.State", "string", allowed=("STARTED", "OFF", "OTHER")),
    Signal("Regulatory.AlarmLevel", "uint8", None, 0, 4),
    Signal("Regulatory.AlarmFlags", "uint32"),
    Signal("Regulatory.AlarmCodes", "string[]"),
    Signal("Regulatory.IsEmergencyRequested", "boolean"),
    Signal("Regulatory.IsOutOfService", "boolean"),
    Signal("Regulatory.IsFogLightOn", "boolean"),
    Signal("Regulatory.LoadState", "string", allowed=("EMPTY", "HALF", "RESERVED", "FULL")),
    Signal("Regulatory.IsFuelLineCut", "boolean"),
    Signal("Regulatory.IsCircuitCut", "boolean"),
    Signal("Regulatory.AnalogInput0", "uint16"),
    Signal("Regulatory.AnalogInput1", "uint16"),
    Signal("Regulatory.RecorderSpeed", "float", "km/h"),
    Signal("Regulatory.TerminalSleep", "string", allowed=("AWAKE", "SLEEP", "DEEP_SLEEP")),
)


def _rooted(signal: Signal) -> Signal:
    return Signal(
        f"Vehicle.{signal.path}",
        signal.datatype,
        signal.unit,
        signal.minimum,
        signal.maximum,
        signal.allowed,
    )


CATALOGUE: dict[str, Signal] = {
    signal.path: signal
    for signal in map(_rooted, (*_GENERAL, *_BATTERY, *_POWERTRAIN, *_LOCATION, *_REGULATORY))
}
"""Every signal that some decoder fills, by its full path."""


def schema(paths: Iterator[str] | tuple[str, ...] | list[str]) -> pa.Schema:
    """The Arrow schema of columns named by VSS paths; raises `KeyError` for an unknown path."""
    return pa.schema([pa.field(path, arrow_type(CATALOGUE[path].datatype)) for path in paths])
