"""Percentiles from a histogram."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carcloud.simulator.tally import Latencies, Tally


@given(
    st.lists(st.floats(2e-5, 1000.0), min_size=1, max_size=300),
    st.sampled_from([0.5, 0.9, 0.99, 1.0]),
)
def test_percentiles_are_right_within_a_bucket(values, share):
    one, all_at_once = Latencies(), Latencies()
    for value in values:
        one.add(value)
    all_at_once.add_all(np.array(values))
    exact = float(np.quantile(values, share, method="inverted_cdf")) * 1000
    assert one.percentile_ms(share) == pytest.approx(exact, rel=0.045)
    assert all_at_once.percentile_ms(share) == pytest.approx(exact, rel=0.045)


def test_nothing_counted():
    assert math.isnan(Latencies().percentile_ms(0.5))


def test_what_is_acknowledged_is_kept_if_wanted():
    kept, counted = Tally(record=True), Tally(record=False)
    for tally in (kept, counted):
        tally.acknowledge(3, 1_790_000_000, 0.001)
        tally.acknowledge(1, 1_790_000_001, 0.001)
        assert tally.acknowledged == 2
    assert [column.tolist() for column in kept.recorded()] == [
        [3, 1],
        [1_790_000_000, 1_790_000_001],
    ]
    assert len(counted.recorded()[0]) == 0
