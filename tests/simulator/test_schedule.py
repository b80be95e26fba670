"""Slots: who is due when."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from carcloud.simulator.schedule import SLOT_S, Phases, Wheel


@given(cars=st.integers(1, 500), period=st.floats(1.0, 30.0), first=st.integers(0, 10_000))
def test_every_car_is_due_once_a_period(cars, period, first):
    phases = Phases(cars, period)
    slots = int(period / SLOT_S + 1e-6)
    due = np.concatenate([phases.due(slot) for slot in range(first, first + slots)])
    assert sorted(due.tolist()) == list(range(cars))


def test_cars_are_spread_over_the_period():
    counts = [len(Phases(20_000, 10.0).due(slot)) for slot in range(200)]
    assert min(counts) > 90
    assert max(counts) < 110


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 99))), st.integers(1, 40))
def test_no_appointment_is_missed_though_slots_are_skipped(appointments, stride):
    wheel = Wheel()
    met: list[int] = []
    for slot, car in appointments:
        wheel.add(slot, car)
    for slot in range(0, 301 + stride, stride):
        met += wheel.due(slot)
    assert sorted(met) == sorted(car for _, car in appointments)


def test_an_appointment_in_the_past_is_due_next():
    wheel = Wheel()
    assert wheel.due(10) == []
    wheel.add(3, 7)
    assert wheel.due(11) == [7]
