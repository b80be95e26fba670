"""Graphs of jobs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carcloud.services.compute.dag import Circle, in_order

graphs = st.dictionaries(
    st.sampled_from("abcdefgh"), st.lists(st.sampled_from("abcdefghx"), max_size=3)
)


@given(graphs)
def test_an_order_or_a_circle(needs: dict[str, list[str]]) -> None:
    try:
        order = in_order(needs)
    except Circle as circle:
        assert circle.path[0] == circle.path[-1]
        for one, following in zip(circle.path, circle.path[1:], strict=False):
            assert following in needs[one]
        return
    assert sorted(order) == sorted(needs)
    for name, wanted in needs.items():
        for one in wanted:
            assert one not in needs or order.index(one) < order.index(name)


def test_long_chains_need_no_recursion() -> None:
    chain = {str(n): [str(n + 1)] for n in range(50_000)}
    assert in_order(chain)[0] == "49999"


def test_a_job_that_waits_for_itself() -> None:
    with pytest.raises(Circle, match="a waits for a"):
        in_order({"a": ["a"]})
