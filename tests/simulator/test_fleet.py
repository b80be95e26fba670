"""The physics: what every car, at every moment, has to obey."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carcloud.simulator import alarms, faults
from carcloud.simulator.battery import CELL_FULL_V, open_circuit
from carcloud.simulator.car import CELLS
from carcloud.simulator.faults import PROBE_RISE_K, Fault
from carcloud.simulator.fleet import Fleet
from carcloud.simulator.journey import Activity
from carcloud.simulator.readings import CHARGING_PARKED, GEAR_PARK, Readings

START = 1_790_000_000


def same(one: Readings, other: Readings) -> bool:
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        for field in fields(Readings)
    )


@pytest.fixture(scope="module")
def hours() -> tuple[Fleet, dict[str, np.ndarray]]:
    """Two hours of 150 cars, second by second."""
    fleet = Fleet(150, 11, START)
    kept: dict[str, list[np.ndarray]] = {}
    for _ in range(2 * 3600):
        fleet.step(1.0)
        moment = {
            "speed": fleet.journey.speed,
            "charge": fleet.battery.charge,
            "current": fleet.battery.current,
            "activity": fleet.journey.activity,
            "core": fleet.battery.core_c,
            "north": fleet.journey.road.north,
            "east": fleet.journey.road.east,
        }
        for name, values in moment.items():
            kept.setdefault(name, []).append(values.copy())
    return fleet, {name: np.array(values) for name, values in kept.items()}


def test_charge_stays_between_empty_and_full(hours):
    _, day = hours
    assert day["charge"].min() > 0.01
    assert day["charge"].max() <= 1.0


def test_driving_empties_and_charging_fills(hours):
    _, day = hours
    change = np.diff(day["charge"], axis=0)
    charging = day["activity"][1:] == Activity.CHARGING
    assert (change[charging] >= 0.0).all()
    assert change[charging].sum() > 1.0
    assert change[~charging].sum() < -1.0


def test_speeds_and_accelerations_are_those_of_cars(hours):
    _, day = hours
    speed = day["speed"]
    assert speed.min() >= 0.0
    assert speed.max() < 130 / 3.6
    change = np.diff(speed, axis=0)
    assert change.max() < 2.5
    assert change.min() > -4.1
    driving = speed[day["activity"] == Activity.DRIVING]
    assert 25 / 3.6 < driving.mean() < 85 / 3.6


def test_cars_stop_rest_and_charge(hours):
    _, day = hours
    shares = [(day["activity"] == activity).mean() for activity in Activity]
    assert all(share > 0.02 for share in shares), shares


def test_positions_follow_the_speed(hours):
    _, day = hours
    moved = np.hypot(np.diff(day["north"], axis=0), np.diff(day["east"], axis=0))
    mean = 0.5 * (day["speed"][1:] + day["speed"][:-1])
    # A car that halts rolls its last metres with the speed that it had before.
    np.testing.assert_allclose(moved, mean, atol=_HALT_M)
    assert np.hypot(day["north"], day["east"]).max() < 50_000


_HALT_M = 0.6  # half of the speed that a car may have where it halts, for one second


def test_current_and_temperature_are_those_of_a_car_battery(hours):
    _, day = hours
    assert -400 < day["current"].min() < -100
    assert 150 < day["current"].max() < 700
    assert day["core"].max() < 45


def test_consumption_is_that_of_electric_cars():
    fleet = Fleet(300, 4, START)
    begun = fleet.odometer_m.copy()
    drawn = np.zeros(300)
    for _ in range(1_800):
        before = fleet.battery.drawn_j.copy()
        fleet.step(1.0)
        driving = fleet.journey.activity != Activity.CHARGING
        drawn += np.where(driving, fleet.battery.drawn_j - before, 0.0)
    kilometres = (fleet.odometer_m - begun).sum() / 1000
    per_100_km = drawn.sum() / 3.6e6 / kilometres * 100
    assert 11 < per_100_km < 25


@given(seed=st.integers(0, 1000), dt=st.sampled_from([0.25, 0.5, 1.0]))
@settings(max_examples=10, deadline=None)
def test_no_energy_is_made_or_lost(seed, dt):
    fleet = Fleet(20, seed, START)
    car, battery = fleet.parameters, fleet.battery
    work, kinetic, spent = np.zeros(20), np.zeros(20), np.zeros(20)
    for _ in range(400):
        before = fleet.journey.speed
        fleet.step(dt)
        now = fleet.load
        work += now.wheel * dt
        kinetic += 0.5 * car.mass * (fleet.journey.speed**2 - before**2)
        spent += (now.climb + now.drag + now.rolling) * dt
        assert (now.electric >= now.motor - 1e-6).all(), "a motor that makes energy"
        assert (now.friction >= 0.0).all()
    np.testing.assert_allclose(work, kinetic + spent, rtol=1e-9, atol=1.0)
    both = battery.drawn_j + battery.heat_j
    np.testing.assert_allclose(battery.chemical_j, both, rtol=1e-9, atol=1.0)
    assert (battery.heat_j > -1.0).all()


def test_height_is_a_function_of_the_place():
    fleet = Fleet(50, 9, START)
    road = fleet.journey.road
    before, climbed = road.height(), np.zeros(50)
    for _ in range(300):
        east, north, slope = road.east.copy(), road.north.copy(), road.slope()
        fleet.step(0.25)
        climbed += slope * np.hypot(road.east - east, road.north - north)
    np.testing.assert_allclose(road.height() - before, climbed, atol=3.0)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=8, deadline=None)
def test_the_same_seed_gives_the_same_fleet(seed):
    one, other = Fleet(12, seed, START), Fleet(12, seed, START)
    for fleet in (one, other):
        fleet.step(120.0)
    assert same(one.observe(), other.observe())


def test_a_car_does_not_depend_on_how_many_there_are():
    few, many = Fleet(5, 3, START), Fleet(40, 3, START)
    few.step(600.0)
    many.step(600.0)
    assert same(few.observe(), many.observe(np.arange(5)))


def test_another_seed_gives_another_fleet():
    one, other = Fleet(5, 3, START).observe(), Fleet(5, 4, START).observe()
    assert not np.allclose(one.latitude, other.latitude)


@given(seed=st.integers(0, 500), minutes=st.integers(1, 20))
@settings(max_examples=12, deadline=None)
def test_readings_are_consistent(seed, minutes):
    fleet = Fleet(60, seed, START)
    fleet.step(60.0 * minutes)
    seen = fleet.observe()
    np.testing.assert_allclose(seen.cell_v.sum(axis=1), seen.voltage_v)
    assert seen.cell_v.min() > 2.8 and seen.cell_v.max() < CELL_FULL_V + 0.06
    assert seen.probe_c.min() > -40 and seen.probe_c.max() < 55
    assert (np.ptp(seen.cell_v, axis=1) > 0.001).all(), "cells are never quite alike"
    assert (seen.speed_kmh[seen.gear == GEAR_PARK] == 0).all()
    assert (seen.current_a[seen.charge_state == CHARGING_PARKED] <= 0).all()
    assert ((seen.accelerator_pct == 0) | (seen.brake_pct == 0)).all()
    assert (np.abs(seen.latitude) < 90).all() and (np.abs(seen.longitude) < 180).all()
    assert not seen.alarm_levels[:, [0, 1, 5, 10, 11]].any(), "a healthy car raised an alarm"
    assert not seen.storage_fault.any()


def test_cells_sag_under_load_and_rise_while_charging():
    fleet = Fleet(200, 2, START)
    fleet.step(60.0)
    mean = fleet.observe().cell_v.mean(axis=1)
    rest = open_circuit(fleet.battery.charge)
    current = fleet.battery.current
    assert (mean[current > 50] < rest[current > 50]).all()
    assert (mean[current < -10] > rest[current < -10]).all()


def test_old_cars_have_more_resistance_and_more_spread():
    car = Fleet(2_000, 1, START).parameters
    old, new = car.age > 0.7, car.age < 0.2
    assert car.resistance[old].mean() > 1.3 * car.resistance[new].mean()
    assert car.cell_soc[old].std() > 1.5 * car.cell_soc[new].std()
    assert car.capacity_ah[old].mean() < 0.95 * car.capacity_ah[new].mean()


@pytest.mark.parametrize("name", faults.known())
def test_a_fault_shows_and_raises_its_alarm(name):
    plan = faults.plan(40, 5, {name: 6})
    sick, well = Fleet(40, 5, START, plan), Fleet(40, 5, START)
    for fleet in (sick, well):
        fleet.step(400.0)
    bad, good = sick.observe(), well.observe()
    ill = plan.kind > 0
    assert ill.sum() == 6
    assert same_where(bad, good, ~ill), "a fault reached another car"
    part = (ill.nonzero()[0], plan.part[ill])
    if name == "weak_cell":
        assert (bad.cell_v[part] < good.cell_v[part] - 0.02).any()
        shown = bad.alarm_levels[ill][:, [5, 6, 10]].any(axis=1)
    elif name == "hot_probe":
        rise = plan.severity[ill] * PROBE_RISE_K
        np.testing.assert_allclose(bad.probe_c[part] - good.probe_c[part], rise)
        shown = bad.alarm_levels[ill][:, [0, 1]].any(axis=1)
    else:
        assert (bad.insulation_kohm[ill] < 0.1 * good.insulation_kohm[ill]).all()
        shown = bad.alarm_levels[ill][:, 11] > 0
    assert shown.any()
    assert (bad.storage_fault[ill] >> 16 == Fault[name.upper()]).sum() > 0


def same_where(one: Readings, other: Readings, cars: np.ndarray) -> bool:
    names = [field.name for field in fields(Readings) if field.name != "seconds"]
    return all(
        np.array_equal(getattr(one, name)[cars], getattr(other, name)[cars]) for name in names
    )


def test_a_fault_grows_from_its_onset():
    plan = faults.plan(3, 5, {"insulation_fault": 1})
    car = plan.kind.nonzero()[0]
    onset, ramp = float(plan.onset_s[car[0]]), float(plan.ramp_s[car[0]])
    times = np.linspace(0, onset + 2 * ramp, 200)
    grown = np.array([plan.strength(Fault.INSULATION_FAULT, car, t)[0] for t in times])
    assert (grown[times <= onset] == 0).all()
    assert (np.diff(grown) >= 0).all()
    assert grown[-1] == pytest.approx(plan.severity[car[0]])


def test_alarm_levels_and_flags_agree():
    levels = np.zeros((3, alarms.BITS), np.uint8)
    levels[1, 4], levels[2, 0], levels[2, 18] = 2, 1, 3
    assert alarms.flags(levels).tolist() == [0, 1 << 4, 1 | 1 << 18]


def test_pack_has_as_many_cells_as_told():
    assert Fleet(2, 1, START).observe().cell_v.shape == (2, CELLS)
