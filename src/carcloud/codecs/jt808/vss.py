"""Which field of a position report lands in which VSS column.

These tables drive the columnar decoder and the documentation; `signals` is the plain reading.
Columns that need more than one bit or item stand in `COMPUTED`.
"""

from collections.abc import Mapping
from typing import Final

LOCATION: Final = "Vehicle.CurrentLocation"
REGULATORY: Final = "Vehicle.Regulatory"
LIGHTS: Final = "Vehicle.Body.Lights"
DOORS: Final = tuple(
    f"Vehicle.Cabin.Door.Row{row}.{side}"
    for row in (1, 2)
    for side in ("DriverSide", "PassengerSide")
)

STATUS_FLAGS: Final[Mapping[str, int]] = {
    f"{REGULATORY}.IsOutOfService": 4,
    f"{LOCATION}.IsEncrypted": 5,
    f"{REGULATORY}.IsFuelLineCut": 10,
    f"{REGULATORY}.IsCircuitCut": 11,
    **{f"{door}.IsLocked": 12 for door in DOORS},
    f"{DOORS[0]}.IsOpen": 16,
}
"""Columns that one status bit of any edition fills. Doors 1 to 3 are of a bus: by model."""

STATUS_FLAGS_2019: Final[Mapping[str, int]] = {
    "Vehicle.ADAS.ObstacleDetection.Front.Center.IsWarning": 6,
    "Vehicle.ADAS.LaneDepartureDetection.IsWarning": 7,
    "Vehicle.IsMoving": 22,
}
"""Columns that one status bit of 2019 fills."""

SYSTEMS: Final = {18: "GPS", 19: "BDS", 20: "GLONASS", 21: "GALILEO"}
"""Values of `GNSSReceiver.Systems` by status bit."""

SIGNAL_FLAGS: Final[Mapping[str, int]] = {
    f"{LIGHTS}.Beam.Low.IsOn": 0,
    f"{LIGHTS}.Beam.High.IsOn": 1,
    f"{LIGHTS}.DirectionIndicator.Right.IsSignaling": 2,
    f"{LIGHTS}.DirectionIndicator.Left.IsSignaling": 3,
    f"{LIGHTS}.Backup.IsOn": 5,
    f"{REGULATORY}.IsFogLightOn": 6,
    f"{LIGHTS}.Parking.IsOn": 7,
    "Vehicle.Body.Horn.IsActive": 8,
    "Vehicle.Cabin.HVAC.IsAirConditioningActive": 9,
    "Vehicle.Chassis.IsRetarderActive": 11,
    "Vehicle.ADAS.ABS.IsEngaged": 12,
    "Vehicle.Cabin.HVAC.IsHeaterActive": 13,
    "Vehicle.Powertrain.Transmission.IsClutchPedalPressed": 14,
}
"""Columns that one bit of item 0x25 fills."""

MAX_ODOMETER: Final = 42_949_672  # raw; more is no uint32 of metres: kept, and out of range

BRAKE_STATES: Final = ("INACTIVE", "ACTIVE")
SLEEP_STATES: Final = ("AWAKE", "SLEEP", "DEEP_SLEEP")
POWER_STATES: Final = ("OFF", "ON")

COMPUTED: Final[Mapping[str, str]] = {
    "Vehicle.LowVoltageSystemState": "status bit 0: ON, OFF",
    f"{LOCATION}.GNSSReceiver.FixType": "NONE where status bit 1 is 0",
    f"{LOCATION}.Latitude": "status bit 2 = south; none without a fix or encrypted",
    f"{LOCATION}.Longitude": "status bit 3 = west; none without a fix or encrypted",
    f"{LOCATION}.Timestamp": "time of the report in UTC, where a position is published",
    f"{LOCATION}.Altitude": "metres above sea level as given, two's complement",
    f"{LOCATION}.Heading": "direction",
    f"{LOCATION}.GNSSReceiver.Systems": "status bits 18 to 21",
    "Vehicle.Speed": "speed of the GNSS",
    f"{REGULATORY}.LoadState": "status bits 8 and 9",
    f"{REGULATORY}.AlarmCodes": "names of the alarm bits that are set",
    f"{REGULATORY}.IsEmergencyRequested": "alarm bit 0",
    "Vehicle.TraveledDistance": "item 0x01",
    "Vehicle.Powertrain.FuelSystem.AbsoluteLevel": "item 0x02",
    f"{REGULATORY}.RecorderSpeed": "item 0x03",
    "Vehicle.Cabin.HVAC.AmbientAirTemperature": "item 0x06, sign and magnitude",
    f"{LIGHTS}.Brake.IsActive": "item 0x25 bit 4: ACTIVE, INACTIVE",
    "Vehicle.Powertrain.Transmission.SelectedGear": "0 where item 0x25 bit 10 is set",
    f"{REGULATORY}.TerminalSleep": "item 0x2A: bit 0 DEEP_SLEEP, bit 1 SLEEP, else AWAKE",
    f"{REGULATORY}.AnalogInput0": "item 0x2B bits 0 to 15",
    f"{REGULATORY}.AnalogInput1": "item 0x2B bits 16 to 31",
    "Vehicle.Connectivity.SignalStrength": "item 0x30",
    f"{LOCATION}.GNSSReceiver.SatelliteCount": "item 0x31",
}
"""Columns that need more than one bit, or an item, with how they come about."""

COLUMNS: Final = (*COMPUTED, *STATUS_FLAGS, *STATUS_FLAGS_2019, *SIGNAL_FLAGS)
"""All columns that a position report can fill."""

MESSAGES: Final = (0x0200, 0x0201, 0x0500, 0x0704, 0x0801)
"""Messages that hold position reports; of 0x0801 without items."""
EDITIONS: Final = (2013, 2019)  # a report of 2011 cannot be told from one of 2013
SOURCES: Final = tuple(f"jt808.{year}.{number:04x}" for year in EDITIONS for number in MESSAGES)
"""Values of the column `source`."""
