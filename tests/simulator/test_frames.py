"""The vectorised encoder against the reference codec."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carcloud.codecs.gbt32960 import frame as wire
from carcloud.codecs.gbt32960.constants import Command
from carcloud.codecs.gbt32960.decode import decode
from carcloud.model.time import SECOND, from_us
from carcloud.simulator import alarms, faults, messages
from carcloud.simulator.fleet import Fleet
from carcloud.simulator.frames import FrameWriter
from carcloud.simulator.readings import CHARGING_PARKED, Readings
from carcloud.simulator.vins import iccids, vins

START = 1_790_000_000
TYPES = {2016: [1, 2, 5, 6, 7, 8, 9], 2025: [1, 2, 5, 6, 7, 8]}


def bodies(frame: bytes) -> dict[str, dict]:
    message = decode(wire.parse(frame))
    assert not message.partial
    assert not message.diagnoses
    return {item.name: item.fields for item in message.items}


def check(frame: bytes, seen: Readings, row: int, edition: int) -> None:
    """Every field says what the reading says, within its resolution."""
    found = bodies(frame)
    near = pytest.approx
    vehicle = found["vehicle"]
    assert vehicle["vehicle_state"] == seen.vehicle_state[row]
    assert vehicle["charge_state"] == seen.charge_state[row]
    assert vehicle["speed_kmh"] == near(seen.speed_kmh[row], abs=0.051)
    assert vehicle["odometer_km"] == near(seen.odometer_km[row], abs=0.051)
    assert vehicle["voltage_v"] == near(seen.voltage_v[row], abs=0.051)
    assert vehicle["current_a"] == near(seen.current_a[row], abs=0.051)
    assert vehicle["soc_pct"] == near(seen.soc_pct[row], abs=0.51)
    assert vehicle["gear"] == seen.gear[row]
    assert vehicle["dcdc_state"] == seen.dcdc_state[row]
    assert vehicle["insulation_kohm"] == near(seen.insulation_kohm[row], abs=0.51)
    if edition == 2016:
        assert vehicle["accelerator_pct"] == near(seen.accelerator_pct[row], abs=0.51)
        assert vehicle["brake_pct"] == near(seen.brake_pct[row], abs=0.51)
    check_motors(found.get("motors"), seen, row, edition)
    check_place(found["position"], seen, row)
    check_alarm(found["alarm"], seen, row, edition)
    check_pack(found, seen, row, edition)


def check_motors(found: dict | None, seen: Readings, row: int, edition: int) -> None:
    near = pytest.approx
    if seen.charge_state[row] == CHARGING_PARKED:
        assert found is None, "motors are not told of while parked and charging"
        return
    assert found is not None
    assert [motor["no"] for motor in found["motors"]] == list(range(1, seen.motors[row] + 1))
    for number, motor in enumerate(found["motors"]):
        assert motor["state"] == seen.motor_state[row]
        assert motor["speed_rpm"] == near(seen.motor_rpm[row], abs=0.51)
        assert motor["torque_nm"] == near(seen.motor_torque_nm[row, number], abs=0.051)
        assert motor["motor_temp_c"] == near(seen.motor_c[row], abs=0.51)
        assert motor["controller_temp_c"] == near(seen.controller_c[row], abs=0.51)
        if edition == 2016:
            current = seen.controller_a[row, number]
            assert motor["controller_current_a"] == near(current, abs=0.051)
            assert motor["controller_voltage_v"] == near(seen.voltage_v[row], abs=0.051)


def check_place(found: dict, seen: Readings, row: int) -> None:
    south, west = found["status"] >> 1 & 1, found["status"] >> 2 & 1
    assert found["status"] & 1 == 0
    latitude = found["latitude_deg"] * (-1 if south else 1)
    longitude = found["longitude_deg"] * (-1 if west else 1)
    assert latitude == pytest.approx(seen.latitude[row], abs=6e-7)
    assert longitude == pytest.approx(seen.longitude[row], abs=6e-7)


def check_alarm(found: dict, seen: Readings, row: int, edition: int) -> None:
    levels = seen.alarm_levels[row]
    assert found["max_level"] == levels.max()
    assert found["flags"] == alarms.flags(seen.alarm_levels)[row]
    assert found["storage_faults"] == [code for code in [seen.storage_fault[row]] if code]
    if edition == 2025:
        told = [(alarm["bit"], alarm["level"]) for alarm in found["general_alarms"]]
        assert told == [(bit, level) for bit, level in enumerate(levels.tolist()) if level]


def check_pack(found: dict[str, dict], seen: Readings, row: int, edition: int) -> None:
    (voltages,) = found["cell_voltages"]["packs"]
    np.testing.assert_allclose(voltages["cell_v"], seen.cell_v[row], atol=0.00051)
    assert voltages["current_a"] == pytest.approx(seen.current_a[row], abs=0.051)
    (temperatures,) = found["temperatures"]["packs"]
    np.testing.assert_allclose(temperatures["temps_c"], seen.probe_c[row], atol=0.51)
    if edition == 2016:
        extremes = found["extremes"]
        assert extremes["max_cell_v"] == max(voltages["cell_v"])
        assert extremes["min_cell_v"] == min(voltages["cell_v"])
        assert extremes["max_temp_c"] == max(temperatures["temps_c"])
        assert extremes["min_temp_c"] == min(temperatures["temps_c"])
        assert seen.cell_v[row].argmax() + 1 == extremes["max_cell_no"]


@given(seed=st.integers(0, 10_000), seconds=st.integers(0, 600))
@settings(max_examples=12, deadline=None)
def test_frames_say_what_the_readings_say(seed, seconds):
    cars = 24
    counts = {"weak_cell": 4, "hot_probe": 4, "insulation_fault": 4}
    fleet = Fleet(cars, seed, START, faults.plan(cars, seed, counts))
    editions = np.where(np.arange(cars) % 2, 2025, 2016)
    fleet.step(float(seconds))
    seen = fleet.observe()
    names = vins(seed, cars)
    for row, frame in enumerate(FrameWriter(names, editions).encode(seen)):
        message = decode(wire.parse(frame))
        assert message.vehicle == names[row]
        assert message.edition == editions[row]
        assert message.time == from_us(seen.seconds * SECOND)
        assert not message.out_of_range
        types = [item.type for item in message.items]
        charging = seen.charge_state[row] == CHARGING_PARKED
        assert types == [kind for kind in TYPES[message.edition] if kind != 2 or not charging]
        check(frame, seen, row, message.edition)


def test_some_of_the_cars_and_any_order():
    fleet = Fleet(30, 2, START)
    fleet.step(10.0)
    writer = FrameWriter(vins(2, 30), np.full(30, 2016))
    all_frames = writer.encode(fleet.observe())
    some = np.array([17, 3, 29])
    assert writer.encode(fleet.observe(some)) == [all_frames[car] for car in some]
    assert writer.encode(fleet.observe(np.array([], int))) == []


def test_a_reissue_differs_in_the_command_alone():
    fleet = Fleet(2, 2, START)
    for frame in FrameWriter(vins(2, 2), np.array([2016, 2025])).encode(fleet.observe()):
        late = wire.parse(messages.as_reissue(frame))
        live = wire.parse(frame)
        assert (live.command, late.command) == (Command.REALTIME, Command.REISSUE)
        assert late.data == live.data


@pytest.mark.parametrize("edition", [2016, 2025])
def test_small_frames(edition):
    name = vins(1, 1)[0]
    login = decode(wire.parse(messages.login(edition, name, START, 7, iccids([name])[0])))
    assert login.command == Command.LOGIN
    assert login.fields["serial"] == 7
    assert login.fields["iccid"] == iccids([name])[0]
    assert login.time == from_us(START * SECOND)
    logout = decode(wire.parse(messages.logout(edition, name, START, 7)))
    assert (logout.command, logout.fields["serial"]) == (Command.LOGOUT, 7)
    assert wire.parse(messages.heartbeat(edition, name)).data == b""
