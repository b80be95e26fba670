"""When campaigns trigger: the table of the fact sheet as scripts with a simulated clock.

Activation is at 0 s. "Compatible" campaigns follow the AWS IoT FleetWise edge agent to the letter.
"""

import pytest
from tests.codecs.campaign.script import Script, campaign

MODES = pytest.mark.parametrize("compatibility", [False, True], ids=["project", "compatible"])
WHEN = "Vehicle.Speed > 50"


def one(mode="ALWAYS", interval_ms=0, **fields):
    """A campaign that triggers at speed above 50."""
    trigger = {"when": WHEN, "mode": mode, "minimum_interval_ms": interval_ms}
    if "fire_on_first_true" in fields:
        trigger["fire_on_first_true"] = fields.pop("fire_on_first_true")
    return campaign(trigger=trigger, **fields)


@MODES
def test_rising_edge_that_is_true_from_the_start_waits_until_it_has_been_false(compatibility):
    script = Script(one("RISING_EDGE", compatibility=compatibility))
    for at, speed in [(1, 60), (2, 61), (3, 40), (4, 60), (5, 61)]:
        script.feed(at, Speed=speed)
    assert script.events == [4]


def test_rising_edge_fires_at_the_first_true_where_that_is_asked():
    script = Script(one("RISING_EDGE", fire_on_first_true=True))
    for at, speed in [(1, 60), (2, 61), (3, 40), (4, 60)]:
        script.feed(at, Speed=speed)
    assert script.events == [1, 4]


def test_always_fires_before_its_first_evaluation_only_in_compatible_campaigns():
    compatible = Script(one(interval_ms=2000, compatibility=True))
    project = Script(one(interval_ms=2000))
    for script in (compatible, project):
        script.tick(1, 2, 3)
    assert compatible.events == [2]
    assert project.events == []


def test_always_fires_again_after_each_minimum_interval():
    # Acceptance check 2: minimum 10 s, true from 3 s on.
    compatible = Script(one(interval_ms=10_000, compatibility=True))
    project = Script(one(interval_ms=10_000))
    for script in (compatible, project):
        script.tick(1, 2)
        script.feed(3, Speed=60)
        script.tick(*range(4, 31))
    assert compatible.events == [10, 20, 30]
    assert project.events == [3, 13, 23]


@MODES
def test_always_without_interval_fires_at_every_cycle(compatibility):
    script = Script(one(compatibility=compatibility))
    script.feed(1, Speed=60)
    script.tick(2, 2.5, 3)
    script.feed(4, Speed=40)
    script.tick(5)
    assert script.events == [1, 2, 2.5, 3]


@MODES
def test_an_edge_inside_the_interval_is_delayed(compatibility):
    script = Script(one("RISING_EDGE", 10_000, compatibility=compatibility))
    for at, speed in [(0.5, 40), (11, 60), (12, 40), (14, 60), (17, 61), (25, 62), (26, 63)]:
        script.feed(at, Speed=speed)
    assert script.events == [11, 25]
    assert script.counters().suppressed == 2


@MODES
def test_an_edge_that_falls_inside_the_interval_is_lost(compatibility):
    script = Script(one("RISING_EDGE", 10_000, compatibility=compatibility))
    for at, speed in [(0.5, 40), (11, 60), (12, 40), (14, 60), (17, 40), (25, 41)]:
        script.feed(at, Speed=speed)
    assert script.events == [11]


def test_the_end_of_the_interval_is_an_evaluation_except_in_compatible_campaigns():
    events = []
    for compatibility in (False, True):
        script = Script(one("RISING_EDGE", 10_000, compatibility=compatibility))
        for at, speed in [(0.5, 40), (11, 60), (12, 40), (14, 60)]:
            script.feed(at, Speed=speed)
        script.tick(20, 21, 22)
        events.append(script.events)
    assert events == [[11, 21], [11]]


@MODES
@pytest.mark.parametrize(("mode", "events"), [("ALWAYS", [2, 8, 14]), ("RISING_EDGE", [2])])
def test_a_second_edge_while_waiting_makes_no_second_event(mode, events, compatibility):
    script = Script(one(mode, post_trigger_ms=5000, compatibility=compatibility))
    for at, speed in [(1, 40), (2, 60), (3, 40), (4, 60)]:
        script.feed(at, Speed=speed)
    script.tick(7, 8, 13, 14, 19)
    assert script.events == events


@MODES
def test_a_repeated_value_is_not_evaluated(compatibility):
    script = Script(one("RISING_EDGE", compatibility=compatibility))
    for at in range(1, 6):
        script.feed(at, Speed=40)
    assert script.counters().evaluations == 1


@MODES
def test_a_condition_without_signals_is_evaluated_once(compatibility):
    trigger = {"when": "1 < 2", "mode": "ALWAYS", "minimum_interval_ms": 2000}
    script = Script(campaign(trigger=trigger, compatibility=compatibility))
    script.tick(1, 2, 3, 4, 5)
    assert script.counters().evaluations == 1
    assert script.events == ([2, 4] if compatibility else [0, 2, 4])


@MODES
def test_a_period_begins_with_the_activation(compatibility):
    fields = {"trigger": {"every_ms": 500}, "signals": [{"path": "Vehicle.Speed"}]}
    script = Script(campaign(**fields, compatibility=compatibility))
    script.feed(0.1, Speed=5)
    script.tick(0.5, 0.75, 1.0, 1.5)
    assert script.events == [0.5, 1.0, 1.5]
    # A sample is sent once: the second record has none to send.
    assert [len(record.series) for _, record in script.records] == [1, 0, 0]


@MODES
def test_a_failure_counts_as_false(compatibility):
    when = "log(2, Vehicle.Speed) > 5"
    script = Script(
        campaign(trigger={"when": when, "mode": "RISING_EDGE"}, compatibility=compatibility)
    )
    for at, speed in [(1, 4), (2, 64), (3, -1), (4, 64)]:
        script.feed(at, Speed=speed)
    assert script.events == [2, 4]
    assert script.counters().errors == 1


def test_an_undefined_operand_counts_as_false():
    when = "Vehicle.A > 1 || Vehicle.B > 1"
    script = Script(campaign(trigger={"when": when, "mode": "ALWAYS"}))
    script.feed(1, A=2)
    assert script.events == []
    script.feed(2, B=0)
    assert script.events == [2]


def test_is_null_asks_for_samples_not_seen_before():
    trigger = {"when": "!isNull(Vehicle.Speed)", "mode": "RISING_EDGE"}
    script = Script(campaign(trigger=trigger))
    script.tick(1)
    script.feed(2, Speed=5)
    script.tick(3)
    script.feed(4, Speed=5)
    assert script.events == [2, 4]


def test_the_names_of_the_edges_that_fired_are_sent():
    when = "MULTI_RISING_EDGE_TRIGGER('a', Vehicle.A > 1, 'b', Vehicle.B > 1)"
    script = Script(campaign(trigger={"when": when, "mode": "RISING_EDGE"}))
    script.feed(1, A=0, B=0)
    script.feed(2, A=2, B=2)
    script.feed(3, A=2, B=2)
    ((_, record),) = script.records
    (series,) = record.series
    assert (series.path, series.values) == ("Vehicle.MultiRisingEdgeTrigger", [["a", "b"]])


def test_fixed_windows_refer_to_the_last_complete_ones():
    when = "LAST_WINDOW_AVG(Vehicle.A) > 10 && PREV_LAST_WINDOW_MAX(Vehicle.A) < 10"
    item = {"path": "Vehicle.A", "condition_only": True, "window_ms": 1000}
    script = Script(campaign(trigger={"when": when, "mode": "RISING_EDGE"}, signals=[item]))
    for at, value in [(0.2, 5), (0.9, 7), (1.2, 20), (1.5, 4), (2.0, 9)]:
        script.feed(at, A=value)
    assert script.events == []  # the second window ends at 2.2 s
    script.tick(2.3)
    assert script.events == [2.3]
    before = script.counters().evaluations
    script.tick(3.0)
    assert script.counters().evaluations == before


def test_a_window_that_nothing_came_in_is_undefined():
    item = {"path": "Vehicle.A", "condition_only": True, "window_ms": 1000}
    when = "LAST_WINDOW_MIN(Vehicle.A) >= 0"
    script = Script(campaign(trigger={"when": when, "mode": "RISING_EDGE"}, signals=[item]))
    script.feed(0, A=1)
    script.tick(1)
    assert script.counters().true == 1
    script.tick(2)
    assert (script.counters().true, script.counters().evaluations) == (1, 2)


def test_campaigns_run_between_start_and_expiry():
    script = Script(one(start="2030-03-17T17:46:50Z", expiry="2030-03-17T17:47:00Z"))
    for at in range(0, 40, 5):
        script.feed(at, Speed=60 + at)
    assert script.events == [10, 15]
    assert script.engine.counters == {}
