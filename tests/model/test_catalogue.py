"""The catalogue against the specification it was taken from, and what stands in the overlay."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from tests.data import shared_data

from carcloud.codecs.gbt32960.vss import COLUMNS
from carcloud.model.catalogue import CATALOGUE, DATATYPES, KINDS, UNITS, branches
from carcloud.model.signals import arrow_type, schema

UNITS_ADDED = {
    "Vehicle.Powertrain.TractionBattery.CellVoltage.CellVoltages": "V",
    "Vehicle.Powertrain.TractionBattery.Temperature.CellTemperature": "Celsius",
}
"""Lists of numbers that VSS leaves without a unit."""


def nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, child in node.get("children", {}).items():
        yield from nodes(child, f"{path}.{name}")


@pytest.fixture(scope="module")
def vss() -> dict[str, dict[str, Any]]:
    raw = json.loads(gzip.decompress(shared_data("vss/vss-6.0.json.gz").read_bytes()))
    return dict(nodes(raw["Vehicle"], "Vehicle"))


def test_every_node_of_vss_is_in_the_catalogue_as_it_is_there(vss: dict[str, Any]) -> None:
    leaves = {path: node for path, node in vss.items() if node["type"] != "branch"}
    assert (len(vss), len(leaves)) == (1607, 1267)
    for path, node in leaves.items():
        found = CATALOGUE[path]
        there = (
            found.kind, found.datatype, found.minimum, found.maximum, list(found.allowed),
            found.default, found.pattern, found.deprecated,
        )  # fmt: skip
        wanted = (
            node["type"], node["datatype"], node.get("min"), node.get("max"),
            node.get("allowed", []), node.get("default"), node.get("pattern"),
            "deprecation" in node,
        )  # fmt: skip
        assert there == wanted, path
        assert found.unit == UNITS_ADDED.get(path, node.get("unit")), path
    standard = [path for path, signal in CATALOGUE.items() if path in leaves]
    assert standard == list(leaves)
    assert set(vss) - set(leaves) <= branches(CATALOGUE)


def test_the_overlay_adds_72_nodes_and_changes_none(vss: dict[str, Any]) -> None:
    own = set(CATALOGUE) - set(vss)
    assert len(own) == 65
    assert len(branches(CATALOGUE) - set(vss)) == 7
    assert {CATALOGUE[path].origin for path in own} == {"carcloud"}
    changed = {path for path, one in CATALOGUE.items() if one.origin == "carcloud"} - own
    assert changed == set(UNITS_ADDED)


def test_kinds_types_units_and_columns_fit_together() -> None:
    for path, signal in CATALOGUE.items():
        assert signal.path == path
        assert signal.kind in KINDS
        assert signal.datatype in DATATYPES
        assert pa.types.is_list(arrow_type(signal.datatype)) == signal.datatype.endswith("[]")
        if signal.unit is not None:
            assert signal.scalar in UNITS[signal.unit].datatypes, path
        if signal.allowed:
            assert signal.scalar == "string", path
            assert signal.minimum is signal.maximum is None, path
    assert len({path.lower() for path in CATALOGUE}) == len(CATALOGUE)  # SQL knows no case


def test_units_are_those_of_the_specification() -> None:
    text = shared_data("vss/units.yaml").read_text(encoding="utf-8")
    names = [line[:-1] for line in text.splitlines() if line[:1].strip() and line.endswith(":")]
    assert list(UNITS) == names


def test_an_unknown_path_is_not_there() -> None:
    assert "Vehicle.Nothing" not in CATALOGUE
    with pytest.raises(KeyError):
        CATALOGUE["Vehicle.Nothing"]
    with pytest.raises(KeyError):
        schema(["Vehicle.Nothing"])


def test_the_catalogue_needs_no_arrays() -> None:
    code = "import sys, carcloud.model.catalogue; print({'numpy', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# What the mapping of GB/T 32960.3 and JT/T 808 to VSS fills: path, data type, unit.
_BATTERY, _AT = "Powertrain.TractionBattery", "CurrentLocation"
MAPPED = {
    "float": {
        "km/h": ["Speed", "Regulatory.RecorderSpeed"],
        "V": [
            f"{_BATTERY}.CurrentVoltage", f"{_BATTERY}.CellVoltage.Max",
            f"{_BATTERY}.CellVoltage.Min", "Powertrain.FuelCell.Voltage",
            *(f"Powertrain.DriveMotor.Motor{n}.ControllerVoltage" for n in range(1, 5)),
        ],
        "A": [
            f"{_BATTERY}.CurrentCurrent", "Powertrain.FuelCell.Current",
            *(f"Powertrain.DriveMotor.Motor{n}.ControllerCurrent" for n in range(1, 5)),
        ],
        "W": [f"{_BATTERY}.CurrentPower"],
        "percent": [f"{_BATTERY}.StateOfCharge.Displayed", "Driver.FatigueLevel"],
        "rpm": [
            "Powertrain.CombustionEngine.Speed", "Powertrain.ElectricMotor.Speed",
            *(f"Powertrain.DriveMotor.Motor{n}.Speed" for n in range(1, 5)),
        ],
        "Nm": [f"Powertrain.DriveMotor.Motor{n}.Torque" for n in range(1, 5)],
        "Celsius": [
            f"{_BATTERY}.Temperature.Max", f"{_BATTERY}.Temperature.Min",
            f"{_BATTERY}.Temperature.Average", "Powertrain.ElectricMotor.Temperature",
            "Cabin.HVAC.AmbientAirTemperature",
            *(f"Powertrain.DriveMotor.Motor{n}.Temperature" for n in range(1, 5)),
            *(f"Powertrain.DriveMotor.Motor{n}.ControllerTemperature" for n in range(1, 5)),
        ],
        "kPa": ["Powertrain.FuelCell.HydrogenPressureMax"],
        "l/100km": ["Powertrain.FuelSystem.InstantConsumption"],
        "l": ["Powertrain.FuelSystem.AbsoluteLevel"],
    },
    "double": {
        "degrees": [f"{_AT}.Longitude", f"{_AT}.Latitude", f"{_AT}.Heading"],
        "m": [f"{_AT}.Altitude"],
    },
    "uint32": {
        "m": ["TraveledDistance"],
        "Ohm": [f"{_BATTERY}.InsulationResistance"],
        None: ["Regulatory.AlarmFlags"],
    },
    "uint16": {
        "kPa": [
            f"Chassis.Axle.Row{row}.Wheel.{side}.Tire.Pressure"
            for row in (1, 2) for side in ("Left", "Right")
        ],
        None: [
            f"{_BATTERY}.CellVoltage.IdMax", f"{_BATTERY}.CellVoltage.IdMin",
            f"{_BATTERY}.Temperature.ProbeIdMax", f"{_BATTERY}.Temperature.ProbeIdMin",
            "Regulatory.AnalogInput0", "Regulatory.AnalogInput1",
        ],
    },
    "uint8": {
        "percent": ["Chassis.Accelerator.PedalPosition", "Chassis.Brake.PedalPosition"],
        None: [
            f"{_BATTERY}.CellVoltage.PackIdMax", f"{_BATTERY}.CellVoltage.PackIdMin",
            "Regulatory.AlarmLevel", "Connectivity.SignalStrength",
            f"{_AT}.GNSSReceiver.SatelliteCount",
        ],
    },
    "int16": {"Nm": ["Powertrain.ElectricMotor.Torque"], "kW": ["Powertrain.ElectricMotor.Power"]},
    "int8": {None: ["Powertrain.Transmission.SelectedGear"]},
    "float[]": {
        "V": [f"{_BATTERY}.CellVoltage.CellVoltages"],
        "Celsius": [
            f"{_BATTERY}.Temperature.CellTemperature", "Powertrain.FuelCell.ProbeTemperatures",
        ],
    },
    "string[]": {
        None: [
            f"{_BATTERY}.ErrorCodes", "Regulatory.AlarmCodes", f"{_AT}.GNSSReceiver.Systems",
        ]
    },
    "string": {
        "iso8601": [f"{_AT}.Timestamp"],
        None: [
            "LowVoltageSystemState", "Regulatory.State", f"{_BATTERY}.ChargingState",
            "Powertrain.EnergyMode", f"{_BATTERY}.DCDC.State", f"{_AT}.CoordinateSystem",
            f"{_AT}.GNSSReceiver.FixType", "VehicleIdentification.VIN", "Regulatory.LoadState",
            "Regulatory.TerminalSleep", "Body.Lights.Brake.IsActive",
            *(f"Powertrain.DriveMotor.Motor{n}.State" for n in range(1, 5)),
        ],
    },
    "boolean": {
        None: [
            f"{_BATTERY}.Charging.IsCharging", "Powertrain.Transmission.IsDriveForceActive",
            "Powertrain.Transmission.IsBrakeForceActive", "Chassis.Brake.IsPedalPressed",
            "Powertrain.CombustionEngine.IsRunning", "Regulatory.IsEmergencyRequested",
            "Regulatory.IsOutOfService", f"{_AT}.IsEncrypted",
            "ADAS.ObstacleDetection.Front.Center.IsWarning",
            "ADAS.LaneDepartureDetection.IsWarning", "Regulatory.IsFuelLineCut",
            "Regulatory.IsCircuitCut", "Cabin.Door.Row1.DriverSide.IsLocked",
            "Cabin.Door.Row1.DriverSide.IsOpen", "Cabin.Door.Row1.PassengerSide.IsOpen",
            "Cabin.Door.Row2.DriverSide.IsLocked", "IsMoving", "Body.Lights.Beam.Low.IsOn",
            "Body.Lights.Beam.High.IsOn", "Body.Lights.DirectionIndicator.Right.IsSignaling",
            "Body.Lights.DirectionIndicator.Left.IsSignaling", "Body.Lights.Backup.IsOn",
            "Regulatory.IsFogLightOn", "Body.Lights.Parking.IsOn", "Body.Horn.IsActive",
            "Cabin.HVAC.IsAirConditioningActive", "Chassis.IsRetarderActive",
            "ADAS.ABS.IsEngaged", "Cabin.HVAC.IsHeaterActive",
            "Powertrain.Transmission.IsClutchPedalPressed",
            "Connectivity.IsConnectivityAvailable",
        ]
    },
}  # fmt: skip


def test_every_path_of_the_protocols_mappings_has_the_type_and_unit_they_use() -> None:
    found = set()
    for datatype, by_unit in MAPPED.items():
        for unit, paths in by_unit.items():
            for path in paths:
                signal = CATALOGUE[f"Vehicle.{path}"]
                assert (signal.datatype, signal.unit) == (datatype, unit), path
                found.add(signal.path)
    assert set(COLUMNS) <= found
