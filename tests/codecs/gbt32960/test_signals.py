"""Reports as VSS signals, path by path."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from tests.codecs.gbt32960 import examples as ex
from tests.codecs.gbt32960.strategies import realtime_frames

from carcloud.codecs.gbt32960.decode import decode
from carcloud.codecs.gbt32960.encode import encode_report
from carcloud.codecs.gbt32960.frame import build, parse
from carcloud.codecs.gbt32960.layout import INVALID, Raw
from carcloud.codecs.gbt32960.signals import signals
from carcloud.model.signals import CATALOGUE

BATTERY = "Vehicle.Powertrain.TractionBattery"
TIME = datetime(2026, 3, 14, 7, 9, 26, tzinfo=UTC)
VEHICLE_25 = {
    "vehicle_state": 1,
    "charge_state": 1,
    "run_mode": 1,
    "speed_kmh": 0,
    "odometer_km": 0,
    "voltage_v": 400,
    "current_a": -50,
    "soc_pct": 50,
    "dcdc_state": 2,
    "gear": 15,
    "insulation_kohm": 1,
}
VEHICLE_16 = VEHICLE_25 | {"accelerator_pct": 0, "brake_pct": 101}
MOTOR_16 = {
    "no": 1,
    "state": 2,
    "controller_temp_c": 45,
    "speed_rpm": -1000,
    "torque_nm": -12.5,
    "motor_temp_c": 38,
    "controller_voltage_v": 365,
    "controller_current_a": -12,
}


def of(edition, *items, **options):
    data = encode_report(edition, TIME, items)
    return signals(decode(parse(build(edition, 2, 0xFE, ex.VEHICLE, data))), **options)


def pack(number, first, total, cells):
    return {
        "no": number,
        "voltage_v": 365,
        "current_a": 0,
        "cell_total": total,
        "first_cell": first,
        "cell_v": cells,
    }


def test_the_2016_example():
    found = signals(decode(parse(ex.REALTIME_2016)))
    motor = "Vehicle.Powertrain.DriveMotor.Motor1"
    assert found == {
        "Vehicle.LowVoltageSystemState": "ON",
        "Vehicle.Regulatory.State": "STARTED",
        f"{BATTERY}.ChargingState": "NOT_CHARGING",
        f"{BATTERY}.Charging.IsCharging": False,
        "Vehicle.Powertrain.EnergyMode": "ELECTRIC",
        "Vehicle.Speed": 63.5,
        "Vehicle.TraveledDistance": 123_456_700,
        f"{BATTERY}.CurrentVoltage": 365.2,
        f"{BATTERY}.CurrentCurrent": -12.5,
        f"{BATTERY}.CurrentPower": -4565,
        f"{BATTERY}.StateOfCharge.Displayed": 76,
        f"{BATTERY}.DCDC.State": "WORKING",
        f"{BATTERY}.InsulationResistance": 5_000_000,
        "Vehicle.Powertrain.Transmission.SelectedGear": 127,
        "Vehicle.Powertrain.Transmission.IsBrakeForceActive": False,
        "Vehicle.Powertrain.Transmission.IsDriveForceActive": True,
        "Vehicle.Chassis.Accelerator.PedalPosition": 25,
        "Vehicle.Chassis.Brake.PedalPosition": 0,
        "Vehicle.Chassis.Brake.IsPedalPressed": False,
        f"{motor}.State": "CONSUMING",
        f"{motor}.Speed": 4200,
        f"{motor}.Torque": 125,
        f"{motor}.Temperature": 38,
        f"{motor}.ControllerTemperature": 45,
        f"{motor}.ControllerVoltage": 365,
        f"{motor}.ControllerCurrent": 12,
        "Vehicle.Powertrain.ElectricMotor.Speed": 4200,
        "Vehicle.Powertrain.ElectricMotor.Torque": 125,
        "Vehicle.Powertrain.ElectricMotor.Temperature": 38,
        "Vehicle.Powertrain.ElectricMotor.Power": 55,
        "Vehicle.CurrentLocation.Longitude": 121.473701,
        "Vehicle.CurrentLocation.Latitude": 31.230416,
        "Vehicle.CurrentLocation.Timestamp": "2026-03-14T07:09:26Z",
        f"{BATTERY}.CellVoltage.Max": 4.105,
        f"{BATTERY}.CellVoltage.IdMax": 3,
        f"{BATTERY}.CellVoltage.PackIdMax": 1,
        f"{BATTERY}.CellVoltage.Min": 4.098,
        f"{BATTERY}.CellVoltage.IdMin": 1,
        f"{BATTERY}.CellVoltage.PackIdMin": 1,
        f"{BATTERY}.CellVoltage.CellVoltages": [4.098, 4.101, 4.105, None],
        f"{BATTERY}.Temperature.Max": 25,
        f"{BATTERY}.Temperature.ProbeIdMax": 2,
        f"{BATTERY}.Temperature.Min": 23,
        f"{BATTERY}.Temperature.ProbeIdMin": 1,
        f"{BATTERY}.Temperature.CellTemperature": [23, 25],
        f"{BATTERY}.Temperature.Average": 24,
        "Vehicle.Regulatory.AlarmLevel": 1,
        "Vehicle.Regulatory.AlarmFlags": 16,
        "Vehicle.Regulatory.AlarmCodes": ["gb_soc_low"],
        f"{BATTERY}.ErrorCodes": ["00010203"],
        "Vehicle.VehicleIdentification.VIN": ex.VEHICLE,
    }


def test_2025_computes_extremes_from_the_lists():
    found = signals(decode(parse(ex.REALTIME_2025)))
    assert found[f"{BATTERY}.CellVoltage.CellVoltages"] == [3.341, 3.338, None]
    assert (found[f"{BATTERY}.CellVoltage.Max"], found[f"{BATTERY}.CellVoltage.IdMax"]) == (
        3.341,
        1,
    )
    assert (found[f"{BATTERY}.CellVoltage.Min"], found[f"{BATTERY}.CellVoltage.IdMin"]) == (
        3.338,
        2,
    )
    assert found[f"{BATTERY}.Temperature.ProbeIdMax"] == 2
    assert found["Vehicle.CurrentLocation.CoordinateSystem"] == "WGS84"
    assert found["Vehicle.Powertrain.FuelCell.HydrogenPressureMax"] == 35_000
    assert found["Vehicle.Powertrain.CombustionEngine.Speed"] == 1800
    assert "Vehicle.Powertrain.CombustionEngine.IsRunning" not in found


def test_fuel_cell_and_engine_of_2016():
    found = signals(decode(parse(ex.FUEL_CELL_2016)))
    assert found["Vehicle.Powertrain.FuelCell.Voltage"] == 300.1
    assert found["Vehicle.Powertrain.FuelCell.ProbeTemperatures"] == [68, 69]
    assert found["Vehicle.Powertrain.CombustionEngine.IsRunning"] is True
    assert found["Vehicle.Powertrain.FuelSystem.InstantConsumption"] == 5.6


@pytest.mark.parametrize(("sign", "current"), [(-1, 50), (1, -50)])
def test_current_is_positive_into_the_battery(sign, current):
    found = of(2025, (1, VEHICLE_25), current_sign=sign)
    assert found[f"{BATTERY}.CurrentCurrent"] == current
    assert found[f"{BATTERY}.CurrentPower"] == 400 * current
    assert found[f"{BATTERY}.Charging.IsCharging"] is True


def test_no_current_has_no_negative_zero():
    found = of(2025, (1, VEHICLE_25 | {"current_a": 0}))
    assert str(found[f"{BATTERY}.CurrentCurrent"]) == "0.0"


@pytest.mark.parametrize(
    ("gear", "selected"), [(0, 0), (1, 1), (12, 12), (13, -1), (14, 127), (15, 126), (0x8E, None)]
)
def test_gears_of_2025(gear, selected):
    found = of(2025, (1, VEHICLE_25 | {"gear": gear}))
    assert found.get("Vehicle.Powertrain.Transmission.SelectedGear") == selected


@pytest.mark.parametrize(
    ("brake", "pressed", "travel"), [(101, True, None), (0, False, 0), (7, True, 7)]
)
def test_brake(brake, pressed, travel):
    found = of(2016, (1, VEHICLE_16 | {"brake_pct": brake}))
    assert found["Vehicle.Chassis.Brake.IsPedalPressed"] is pressed
    assert found.get("Vehicle.Chassis.Brake.PedalPosition") == travel


@pytest.mark.parametrize("value", [INVALID, Raw(2201)])
def test_sentinels_and_codes_out_of_range_publish_nothing(value):
    assert "Vehicle.Speed" not in of(2016, (1, VEHICLE_16 | {"speed_kmh": value}))


@pytest.mark.parametrize(
    ("status", "place"),
    [(0, (20.5, 10.25)), (2, (20.5, -10.25)), (4, (-20.5, 10.25)), (6, (-20.5, -10.25)), (1, None)],
)
def test_positions(status, place):
    body = {"status": status, "longitude_deg": 20.5, "latitude_deg": 10.25}
    found = of(2016, (5, body))
    where = "Vehicle.CurrentLocation"
    longitude, latitude = found.get(f"{where}.Longitude"), found.get(f"{where}.Latitude")
    assert (longitude, latitude) == (place or (None, None))
    assert found.get(f"{where}.GNSSReceiver.FixType") == (None if place else "NONE")
    assert (f"{where}.Timestamp" in found) == (place is not None)


def test_half_a_position_is_none():
    body = {"status": 0, "longitude_deg": 20.5, "latitude_deg": INVALID}
    assert "Vehicle.CurrentLocation.Longitude" not in of(2016, (5, body))


def test_motors_keep_their_numbers():
    motors = [MOTOR_16 | {"no": number, "speed_rpm": number} for number in (2, 4, 5)]
    found = of(2016, (2, {"motors": motors}))
    assert found["Vehicle.Powertrain.DriveMotor.Motor2.Speed"] == 2
    assert found["Vehicle.Powertrain.DriveMotor.Motor4.Speed"] == 4
    assert not any("Motor1" in path or "Motor5" in path for path in found)
    assert "Vehicle.Powertrain.ElectricMotor.Speed" not in found


def test_electric_motor_is_motor_one_in_whole_numbers():
    found = of(2016, (2, {"motors": [MOTOR_16]}))
    assert found["Vehicle.Powertrain.ElectricMotor.Torque"] == -12
    assert found["Vehicle.Powertrain.ElectricMotor.Power"] == 1


def test_parts_of_a_pack_are_joined_in_order():
    parts = [pack(2, 1, 1, [4.0]), pack(1, 3, 4, [3.3, 3.4]), pack(1, 1, 4, [3.1, 3.2])]
    found = of(2016, *((8, {"packs": [part]}) for part in parts))
    assert found[f"{BATTERY}.CellVoltage.CellVoltages"] == [3.1, 3.2, 3.3, 3.4, 4.0]


@pytest.mark.parametrize(
    "parts",
    [
        [pack(1, 1, 4, [3.1, 3.2])],
        [pack(1, 3, 4, [3.3, 3.4])],
        [pack(1, 1, 4, [3.1, 3.2]), pack(1, 4, 4, [3.4])],
        [pack(1, 1, 2, [3.1, 3.2]), pack(2, 1, 2, [3.1])],
        [pack(1, 1, INVALID, [3.1, 3.2])],
    ],
)
def test_cells_are_published_only_when_none_is_missing(parts):
    assert f"{BATTERY}.CellVoltage.CellVoltages" not in of(2016, (8, {"packs": parts}))


def test_the_later_of_two_items_wins_field_by_field():
    later = VEHICLE_16 | {"speed_kmh": 10, "soc_pct": INVALID}
    found = of(2016, (1, VEHICLE_16), (1, later))
    assert (found["Vehicle.Speed"], found[f"{BATTERY}.StateOfCharge.Displayed"]) == (10, 50)


def test_other_messages_have_no_signals():
    assert signals(decode(parse(ex.LOGIN_2016))) == {}


@settings(max_examples=80)
@given(realtime_frames(strange=True))
def test_signals_stand_in_the_catalogue_within_their_ranges(raw):
    for path, value in signals(decode(parse(raw))).items():
        signal = CATALOGUE[path]
        if signal.allowed and isinstance(value, str):
            assert value in signal.allowed
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, (int, float)):
                assert signal.minimum is None or part >= signal.minimum
                assert signal.maximum is None or part <= signal.maximum
