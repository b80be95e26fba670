"""Synthetic identities."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carcloud.model.ids import is_vin
from carcloud.simulator.vins import check_digit, iccids, vin, vins


@pytest.mark.parametrize("known", ["LTESTVNA4A0000101", "11111111111111111", "1M8GDM9AXKP042788"])
def test_check_digit_of_known_vins(known):
    assert check_digit(known) == known[8]


@given(seed=st.integers(0, 2**40), index=st.integers(0, 9_999_999))
def test_every_vin_is_valid_and_synthetic(seed, index):
    made = vin(seed, index)
    assert is_vin(made)
    assert made.startswith("LTEST")
    assert check_digit(made) == made[8]


def test_a_fleet_has_different_vins_and_the_same_for_the_same_seed():
    assert len(set(vins(3, 5_000))) == 5_000
    assert vins(3, 10) == vins(3, 20)[:10]
    assert set(vins(3, 100)).isdisjoint(vins(4, 100))


def test_sim_numbers_have_twenty_digits():
    numbers = iccids(vins(1, 100))
    assert all(len(number) == 20 and number.isdigit() for number in numbers)
    assert len(set(numbers)) == 100


def test_a_car_beyond_the_last_serial_is_refused():
    with pytest.raises(ValueError, match="at most"):
        vin(1, 10_000_000)
