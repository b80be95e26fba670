"""When what was collected may be sent, also of campaigns that collect nothing now."""

import pytest
from tests.codecs.campaign.script import START_US, TYPES, Script, campaign, time_us

from carcloud.codecs.campaign.prepare import prepare

PARKED = {
    "signals": [{"path": "Vehicle.Speed"}, {"path": "Vehicle.IsMoving"}],
    "partitions": [{"id": "default", "upload_when": "!Vehicle.IsMoving"}],
}
CALM = {
    "signals": [{"path": "Vehicle.Speed", "window_ms": 1000}],
    "partitions": [{"id": "default", "upload_when": "LAST_WINDOW_MAX(Vehicle.Speed) < 5"}],
}
ONE_SECOND = "2030-03-17T17:46:41Z"


def paused(script: Script, *campaigns, at: float) -> None:
    """Nothing runs; these are paused."""
    ready = [prepare(each, TYPES.get) for each in campaigns]
    assert script.engine.configure([], time_us(at), paused=ready) == {}


def test_a_paused_campaign_collects_nothing_and_keeps_its_conditions_of_upload():
    both = campaign("parked", **PARKED), campaign("calm", **CALM)
    script = Script(*both)
    paused(script, *both, at=1)
    script.feed(2, IsMoving=True, Speed=60)
    assert not script.engine.upload_open("parked", "default")
    assert not script.engine.upload_open("calm", "default")
    script.feed(3.5, IsMoving=False, Speed=1)
    script.tick(4.5)
    assert script.engine.upload_open("parked", "default")
    assert script.engine.upload_open("calm", "default")
    assert script.records == []
    assert script.engine.counters == {}
    assert script.engine.memory_bytes == 0


@pytest.mark.parametrize("when", [{"expiry": ONE_SECOND}, {"start": "2040-01-01T00:00:00Z"}])
def test_before_its_start_and_after_its_expiry_the_conditions_hold(when):
    assert time_us(1) == START_US + 1_000_000
    script = Script(campaign(**PARKED, **when))
    script.feed(2, IsMoving=True, Speed=60)
    assert not script.engine.upload_open("c", "default")
    script.feed(3, IsMoving=False)
    assert script.engine.upload_open("c", "default")
    assert script.records == []


def test_a_campaign_that_is_refused_for_its_memory_sends_what_an_earlier_version_kept():
    script = Script(campaign(**PARKED))
    large = {**PARKED, "signals": [{"path": "Vehicle.IsMoving", "max_samples": 2**30}]}
    assert "c" in script.set(campaign(**large), at=1)
    script.feed(2, IsMoving=True)
    assert not script.engine.upload_open("c", "default")
    script.feed(3, IsMoving=False)
    assert script.engine.upload_open("c", "default")


def test_after_a_pause_it_begins_anew():
    one = campaign(trigger={"when": "LAST_WINDOW_MAX(Vehicle.Speed) > 50 || Vehicle.A > 5"}, **CALM)
    script = Script(one)
    script.feed(0, Speed=60, A=1)
    script.feed(1, Speed=60, A=9)
    assert script.events == [1]
    script.set(at=2)
    script.feed(3, Speed=70, A=9)
    script.set(one, at=4)
    script.feed(6, Speed=20, A=8)
    script.feed(7, Speed=20)
    assert script.events == [1, 7], "figures of windows before the pause count no more"


def test_a_value_of_before_the_pause_triggers_nothing_after_it():
    script = Script(campaign(**PARKED))
    script.feed(0, Speed=60)
    script.set(at=1)
    script.set(campaign(**PARKED), at=2)
    assert script.events == [0]
    script.feed(3, Speed=70)
    assert script.events == [0, 3]
