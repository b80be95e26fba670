"""What a trigger sends, what the buffers hold, and what survives a change."""

import random

import pytest
from tests.codecs.campaign.script import TYPES, Script, campaign, time_us

from carcloud.codecs.campaign.frames import EXTENDED, pgn_of

EVENT = {"when": "Vehicle.IsMoving", "mode": "RISING_EDGE"}


def offsets(series):
    """Offsets of a series in milliseconds."""
    return [each / 1000 for each in series.offsets_us]


def test_samples_around_a_trigger():
    # Acceptance check 3.
    speed = {"path": "Vehicle.Speed", "max_samples": 10, "min_interval_ms": 1000}
    script = Script(campaign(trigger=EVENT, signals=[speed], post_trigger_ms=5000))
    script.feed(0, IsMoving=False)
    for at in range(1, 40):
        script.feed(at, Speed=at, IsMoving=at >= 20)
    ((_, record),) = script.records
    (series,) = record.series
    assert record.time_us == time_us(20)
    assert list(series.values) == list(range(16, 26))
    assert offsets(series) == [each * 1000 for each in range(-4, 6)]


def test_a_gather_that_comes_late_sends_nothing_from_after_its_end():
    speed = {"path": "Vehicle.Speed", "max_samples": 10}
    script = Script(campaign(trigger=EVENT, signals=[speed], post_trigger_ms=5000))
    script.feed(0, IsMoving=False, Speed=0)
    script.feed(1, IsMoving=True, Speed=1)
    script.feed(90, Speed=90)
    ((_, record),) = script.records
    assert list(record.series[0].values) == [0, 1]


def test_two_intervals_are_two_buffers():
    # Acceptance check 4: a signal of 1 kHz.
    every = {"path": "Vehicle.A", "max_samples": 100_000}
    slow = {**every, "min_interval_ms": 1000}
    timer = {"every_ms": 1000}
    script = Script(
        campaign("a", trigger=timer, signals=[every]), campaign("b", trigger=timer, signals=[slow])
    )
    for at in range(1, 4001):
        script.feed(at / 1000, A=at)
    got = {"a": [], "b": []}
    for of, record in script.records:
        got[of.id].append(len(record.series[0].offsets_us) if record.series else 0)
    assert got == {"a": [1000] * 4, "b": [1] * 4}


def test_a_sample_belongs_to_at_most_one_event_of_a_condition():
    # Acceptance check 5, for one campaign; another has them all once more.
    speed = {"path": "Vehicle.Speed", "max_samples": 10}
    script = Script(
        campaign("a", trigger=EVENT, signals=[speed]), campaign("b", trigger=EVENT, signals=[speed])
    )
    for at in range(20):
        script.feed(at, Speed=at, IsMoving=at in (5, 8, 19))
    sent = {"a": [], "b": []}
    for of, record in script.records:
        sent[of.id].append(list(record.series[0].values))
    assert sent["a"] == sent["b"] == [[0, 1, 2, 3, 4, 5], [6, 7, 8], list(range(10, 20))]


def test_condition_only_signals_are_not_sent_and_the_pre_trigger_time_is_kept():
    signals = [
        {"path": "Vehicle.IsMoving", "condition_only": True},
        {"path": "Vehicle.Speed", "max_samples": 100},
    ]
    script = Script(campaign(trigger=EVENT, signals=signals, pre_trigger_ms=3000))
    for at in range(20):
        script.feed(at, Speed=at, IsMoving=at == 10)
    ((_, record),) = script.records
    assert [(each.path, list(each.values)) for each in record.series] == [
        ("Vehicle.Speed", [7, 8, 9, 10])
    ]


def test_values_keep_their_types():
    signals = [{"path": path} for path in TYPES]
    script = Script(campaign(trigger={"every_ms": 1000}, signals=signals))
    given = {"Speed": 5, "A": 1.5, "B": 2, "Count": 40_000.0, "IsMoving": 1, "State": "ON",
             "Cells": [3.5, 3.6]}  # fmt: skip
    script.feed(1, **given)
    ((_, record),) = script.records
    values = {each.path.split(".")[1]: each.values[0] for each in record.series}
    assert values == given
    assert {name: type(value) for name, value in values.items()} == {
        "Speed": float, "A": float, "B": float, "Count": int, "IsMoving": bool, "State": str,
        "Cells": list,
    }  # fmt: skip


def test_more_samples_after_the_trigger_than_there_is_room_for_are_counted():
    speed = {"path": "Vehicle.Speed", "max_samples": 3}
    script = Script(campaign(trigger=EVENT, signals=[speed], post_trigger_ms=5000))
    script.feed(0, IsMoving=False)
    for at in range(1, 8):
        script.feed(at, Speed=at, IsMoving=True)
    assert list(script.records[0][1].series[0].values) == [4, 5, 6]
    assert script.counters().dropped == 3
    assert script.counters().collected == 3


def test_urgent_campaigns_are_sent_first():
    script = Script(
        *(campaign(name, trigger=EVENT, priority=priority)
          for name, priority in [("low", 9), ("high", 0), ("middle", 5)])
    )  # fmt: skip
    script.feed(0, IsMoving=False)
    script.feed(1, IsMoving=True)
    assert [of.id for of, _ in script.records] == ["high", "middle", "low"]


def test_data_of_several_partitions_is_split_and_uploads_have_conditions():
    fields = {
        "signals": [
            {"path": "Vehicle.Speed"},
            {"path": "Vehicle.IsMoving", "partition": "parked"},
        ],
        "partitions": [
            {"id": "default"},
            {"id": "parked", "upload_when": "!Vehicle.IsMoving"},
            {"id": "empty"},
        ],
    }
    script = Script(campaign(trigger=EVENT, **fields))
    script.feed(0, IsMoving=False, Speed=1)
    assert script.engine.upload_open("c", "parked")
    script.feed(1, IsMoving=True, Speed=2)
    assert not script.engine.upload_open("c", "parked")
    assert script.engine.upload_open("c", "default")
    records = [record for _, record in script.records]
    assert [(each.partition, each.series[0].path) for each in records] == [
        ("default", "Vehicle.Speed"), ("parked", "Vehicle.IsMoving"),
    ]  # fmt: skip
    assert len({each.event for each in records}) == 1


def test_dimensions_are_facts_of_the_vehicle_or_latest_values():
    fields = {"dimensions": ["fleet", "Vehicle.IsMoving", "unknown"]}
    script = Script(campaign(trigger=EVENT, **fields), attributes={"fleet": "north"})
    script.feed(0, IsMoving=False)
    script.feed(1, IsMoving=True)
    assert script.records[0][1].dimensions == (("fleet", "north"), ("Vehicle.IsMoving", "True"))


def test_event_ids_are_time_and_counter():
    script = Script(campaign(trigger=EVENT), campaign("d", trigger=EVENT, compatibility=True))
    script.feed(0, IsMoving=False)
    script.feed(1, IsMoving=True)
    whole, short = (record.event for _, record in script.records)
    milliseconds = time_us(1) // 1000
    assert whole == milliseconds << 8 | 1
    assert short == (milliseconds << 8 | 2) & 0x7FFF_FFFF


class Table(dict):
    """Handlers of one bus, for an engine that takes raw frames."""

    def __init__(self, engine):
        super().__init__()
        self.engine = engine

    def resolve(self, key):
        sinks = self.engine.frame_sinks("can0", key & ~EXTENDED, bool(key & EXTENDED))

        def handle(t, payload):
            for take in sinks:
                take(t, key, "can0", payload)

        self[key] = handle if sinks else False
        return self[key]


def test_raw_frames_by_id_and_by_parameter_group():
    fields = {
        "trigger": {"every_ms": 1000},
        "frames": [
            {"id": 0x123, "max_frames": 2},
            {"pgn": 61444, "max_frames": 10},
            {"id": 0x124, "max_frames": 10, "bus": "can1"},
        ],
    }
    script = Script(campaign(**fields))
    frames = [
        (0.1, 0x123, b"a"), (0.2, 0x124, b"b"), (0.3, 0x123, b"c"), (0.4, 0x123, b"d"),
        (0.5, 0x0CF00400 | EXTENDED, b"e"), (0.6, 0x18F00427 | EXTENDED, b"f"),
        (0.7, 0x18FEF127 | EXTENDED, b"g"), (1.0, 0x700, b"h"),
    ]  # fmt: skip
    stream = ((time_us(at), key, payload) for at, key, payload in frames)
    assert script.engine.run(stream, Table(script.engine)) == 5
    ((_, record),) = script.records
    found = [(each.can_id, each.extended, each.offset_us, each.payload) for each in record.frames]
    assert found == [
        (0x123, False, -700_000, b"c"), (0x123, False, -600_000, b"d"),
        (0x0CF00400, True, -500_000, b"e"), (0x18F00427, True, -400_000, b"f"),
    ]  # fmt: skip


def test_a_destination_is_no_part_of_a_parameter_group():
    assert pgn_of(0x18FEF147) == 65265
    assert pgn_of(0x18EC2147) == pgn_of(0x1CECFF00) == 0xEC00


def test_history_and_state_survive_a_change_of_other_campaigns():
    speed = {"path": "Vehicle.Speed", "max_samples": 100}
    kept = campaign("kept", trigger={**EVENT, "minimum_interval_ms": 60_000}, signals=[speed])
    script = Script(kept, campaign("gone", trigger=EVENT))
    script.feed(0, IsMoving=False)
    script.feed(1, IsMoving=True, Speed=1)
    script.feed(2, IsMoving=False, Speed=2)
    more = campaign("more", trigger=EVENT, signals=[{**speed, "max_samples": 200}])
    script.set(kept, more, at=3)
    script.feed(4, IsMoving=True, Speed=4)
    sent = [(of.id, [list(each.values) for each in record.series]) for of, record in script.records]
    assert sorted(sent[:2]) == [("gone", []), ("kept", [[1]])]
    # Within its interval "kept" waits; "more" finds what was there before it came.
    assert sent[2:] == [("more", [[1, 2, 4]])]
    assert script.counters("kept").suppressed == 1


def test_a_new_version_starts_anew():
    script = Script(campaign(trigger=EVENT))
    script.feed(0, IsMoving=False)
    script.feed(1, IsMoving=True)
    script.set(campaign(trigger=EVENT, version=2), at=2)
    assert script.counters().triggers == 0
    script.feed(3, IsMoving=False)
    script.feed(4, IsMoving=True)
    assert [record.version for _, record in script.records] == [1, 2]


def test_a_campaign_that_memory_has_no_room_for_is_refused():
    large = {"path": "Vehicle.A", "max_samples": 4_000_000_000}
    small = {"path": "Vehicle.A", "max_samples": 1000}
    script = Script(
        campaign("large", signals=[large]), campaign("small", signals=[small]), memory=1_000_000
    )
    assert list(script.refused) == ["large"]
    assert "64,000,000,000 bytes" in script.refused["large"]
    assert list(script.engine.counters) == ["small"]


def test_rings_stay_within_their_memory():
    source = random.Random(3)
    signal = {"path": "Vehicle.A", "max_samples": 500}
    script = Script(campaign(trigger=EVENT, signals=[signal]))
    for at in range(3000):
        script.feed(at, A=source.random())
        if at % 100 == 99:
            script.tick(at)
    assert script.engine.memory_bytes <= (500 + 64) * 16
    script.feed(3000, IsMoving=False)
    script.feed(3001, IsMoving=True)
    assert len(script.records[-1][1].series[0].offsets_us) == 500


def test_the_clock_does_not_go_back():
    script = Script(campaign(trigger=EVENT, signals=[{"path": "Vehicle.Speed", "max_samples": 9}]))
    script.feed(5, Speed=1, IsMoving=False)
    script.feed(3, Speed=2)
    script.feed(6, IsMoving=True)
    assert offsets(script.records[0][1].series[0]) == [-1000, -1000]


PERIOD = {"every_ms": 1000}
FAST = {"when": "Vehicle.Speed > 61", "mode": "ALWAYS", "minimum_interval_ms": 1000}
WINDOW = {"when": "LAST_WINDOW_AVG(Vehicle.Speed) > 61", "mode": "ALWAYS",
          "minimum_interval_ms": 1000}  # fmt: skip


@pytest.mark.parametrize("trigger", [PERIOD, FAST, WINDOW])
@pytest.mark.parametrize("far", [1_000_000, 60])
def test_a_clock_that_was_far_ahead_for_a_moment_goes_on_where_it_is(trigger, far):
    signal = {"path": "Vehicle.Speed", "max_samples": 5, "min_interval_ms": 100, "window_ms": 1000}
    script = Script(campaign(trigger=trigger, signals=[signal], expiry="2030-04-01T00:00:00Z"))
    for at in range(1, 5):
        script.feed(at, Speed=62)
    script.feed(far, Speed=62)
    before = len(script.records)
    for at in range(6, 30):
        script.feed(at, Speed=62)
        script.tick(at + 0.5)
    later = [at for at in script.events[before:] if at < 30]
    assert len(later) >= 20
    assert later == sorted(later)
    assert max(offsets(script.records[-1][1].series[0])) <= 0
    assert min(offsets(script.records[-1][1].series[0])) > -10_000
    assert script.engine.steps_back == 1


def test_an_event_that_waits_when_the_clock_is_set_back_is_sent():
    signal = {"path": "Vehicle.Speed", "max_samples": 9}
    raw = {"id": 0x123, "max_frames": 9}
    whole = campaign(trigger=EVENT, post_trigger_ms=60_000, signals=[signal], frames=[raw])
    script = Script(whole)
    table = Table(script.engine)
    script.engine.run([(time_us(99), 0x123, b"a")], table)
    script.feed(100, Speed=1, IsMoving=False)
    script.feed(101, Speed=2, IsMoving=True)
    script.engine.run([(time_us(7), 0x123, b"b")], table)
    script.feed(8, IsMoving=False)
    script.feed(9, IsMoving=True)
    script.tick(70)
    (_, first), (_, second) = script.records
    assert offsets(first.series[0]) == [-1000, 0]
    assert [each.payload for each in first.frames] == [b"a"]
    assert [each.payload for each in second.frames] == [b"b"], "what the old clock dated is gone"
    assert script.engine.steps_back == 1


def test_a_value_of_a_wrong_type_is_told():
    script = Script(campaign())
    with pytest.raises(ValueError, match="could not convert"):
        script.feed(1, Speed="fast")
