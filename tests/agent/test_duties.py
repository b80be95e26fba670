"""What the agent knows of itself."""

import pytest

from carcloud.agent.duties import MOVING, SPEED, Duties


@pytest.mark.parametrize(
    ("known", "moves"),
    [
        ({SPEED: 0.4}, False),
        ({SPEED: -0.4}, False),
        ({SPEED: 30}, True),
        ({SPEED: -3.0}, True),  # it rolls backwards
        ({SPEED: float("nan")}, True),
        ({SPEED: 0, MOVING: True}, True),
        ({}, False),
    ],
)
def test_a_vehicle_is_parked_where_nothing_says_that_it_moves(known, moves):
    duties = Duties(None, known.get, tuple, lambda: None, lambda: None, lambda: 0)
    assert (duties.moves() is not None) == moves
