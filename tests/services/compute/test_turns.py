"""Whose turn it is."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from carcloud.services.compute.turns import PATIENCE_US, Space, Standing, Waiting, next_job

ROOM = Space(4.0, 4000)


def job(name: str, tenant: str = "a", **fields: Any) -> Waiting:
    given = {"priority": 5, "ready_us": 0, "cpus": 1.0, "memory_mb": 100, **fields}
    return Waiting(name, tenant, **given)


def turn(waiting: list[Waiting], space: Space = ROOM, now_us: int = 0, **running: int) -> Any:
    standing = {one.tenant: Standing(3, running.get(one.tenant, 0)) for one in waiting}
    found = next_job(waiting, standing, space, now_us)
    return None if found is None else found.id


def test_priority_goes_before_age() -> None:
    assert turn([job("1"), job("2", priority=7), job("3", priority=7)]) == "2"


def test_the_tenant_with_fewest_running_goes_first() -> None:
    assert turn([job("1", "a"), job("2", "b", priority=0)], a=1) == "2"


def test_a_tenant_at_its_limit_waits() -> None:
    assert turn([job("1", "a"), job("2", "b")], a=3, b=2) == "2"
    assert turn([job("1", "a")], a=3) is None


def test_a_large_job_lets_small_ones_pass_for_a_minute() -> None:
    waiting = [job("1", "a", cpus=8.0), job("2", "b")]
    assert turn(waiting, a=0, b=1, now_us=PATIENCE_US) == "2"
    assert turn(waiting, a=0, b=1, now_us=PATIENCE_US + 1) is None


jobs = st.lists(
    st.builds(
        job,
        st.integers(0, 10**6).map(lambda n: f"{n:07d}"),
        st.sampled_from("abcd"),
        priority=st.integers(0, 9),
        ready_us=st.integers(0, 2 * PATIENCE_US),
        cpus=st.sampled_from([0.5, 1.0, 4.0, 8.0]),
        memory_mb=st.sampled_from([100, 4000, 8000]),
    ),
    max_size=20,
    unique_by=lambda one: one.id,
)


@given(jobs, st.dictionaries(st.sampled_from("abcd"), st.integers(0, 4)), st.integers(0, 10**9))
def test_a_turn_keeps_the_rules(
    waiting: list[Waiting], running: dict[str, int], now_us: int
) -> None:
    standing = {t: Standing(3, running.get(t, 0)) for t in "abcd"}
    found = next_job(waiting, standing, ROOM, now_us)
    if found is None:
        return
    assert found in waiting
    assert ROOM.holds(found)
    assert standing[found.tenant].running < 3
    for other in waiting:
        if other.tenant == found.tenant:
            assert (-found.priority, found.id) <= (-other.priority, other.id)


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 30), min_size=2))
def test_tenants_share_the_places_evenly_however_much_they_ask_for(asked: dict[str, int]) -> None:
    """Twelve places; jobs never end: everybody gets the same, or all that it asked for."""
    waiting = [job(f"{t}{n:02d}", t) for t, count in asked.items() for n in range(count)]
    running: Counter[str] = Counter()
    for served in range(12):
        standing = {t: Standing(99, running[t], served) for t in asked}
        found = next_job(waiting, standing, ROOM, 0)
        if found is None:
            break
        waiting.remove(found)
        running[found.tenant] += 1
    assert running.total() == min(12, sum(asked.values()))
    for tenant, wanted in asked.items():
        for other in asked:
            if running[tenant] < wanted:
                assert running[other] <= running[tenant] + 1
