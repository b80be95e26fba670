"""Nothing that the server has not confirmed is ever forgotten."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from carcloud.simulator.messages import time6
from carcloud.simulator.outbox import Outbox, Report

START = 1_790_000_000


def report(number: int) -> Report:
    return Report(START + number, bytes(24) + time6(START + number) + bytes(8))


class Vehicle(RuleBasedStateMachine):
    """A vehicle, a server that takes what arrives, and a line that breaks at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.box = Outbox()
        self.made: set[int] = set()
        self.confirmed: set[int] = set()
        self.given_up: set[int] = set()
        self.wire: list[Report | None] = []  # None = a heartbeat
        self.stored: set[int] = set()
        self.now = 1.0

    @rule()
    def make(self) -> None:
        new = report(len(self.made))
        self.made.add(new.seconds)
        self.box.add(new)

    @rule(count=st.integers(1, 5))
    def send(self, count: int) -> None:
        for _ in range(count):
            due = self.box.due(self.now)
            if due is not None:
                self.box.sent(due, self.now)
                self.wire.append(due)

    @rule()
    def beat(self) -> None:
        self.box.beat_sent(self.now)
        self.wire.append(None)

    @rule(seconds=st.sampled_from([0.1, 10.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: any(self.wire))
    @rule(data=st.data())
    def answer_some_report(self, data: st.DataObject) -> None:
        arrived = data.draw(st.sampled_from([one for one in self.wire if one is not None]))
        self.wire.remove(arrived)
        self.stored.add(arrived.seconds)
        assert self.box.confirm(arrived.key) is arrived
        self.confirmed.add(arrived.seconds)

    @precondition(lambda self: self.wire and self.wire[0] is not None)
    @rule()
    def answer_in_order(self) -> None:
        arrived = self.wire.pop(0)
        assert arrived is not None
        self.stored.add(arrived.seconds)
        assert self.box.confirm_oldest() is arrived
        self.confirmed.add(arrived.seconds)

    @precondition(lambda self: None in self.wire)
    @rule()
    def answer_heartbeat(self) -> None:
        place = self.wire.index(None)
        covered = [one for one in self.wire[:place] if one is not None]
        self.stored |= {one.seconds for one in covered}
        del self.wire[: place + 1]
        assert self.box.confirm_before(self.box.beat_answered()) == covered
        self.confirmed |= {one.seconds for one in covered}

    @precondition(lambda self: self.wire and self.wire[0] is not None)
    @rule(by_time=st.booleans())
    def refuse(self, by_time: bool) -> None:
        arrived = self.wire.pop(0)
        assert arrived is not None
        given_up = self.box.refuse(arrived.key if by_time else None, self.now)
        if given_up is not None:
            assert given_up.refusals == 3
            self.given_up.add(given_up.seconds)

    @rule()
    def break_line(self) -> None:
        self.wire.clear()
        self.box.lost()
        assert self.box.in_flight == 0

    @rule()
    def stray_replies_change_nothing(self) -> None:
        before = len(self.box)
        assert self.box.confirm(time6(START - 5)) is None
        assert len(self.box) == before

    @invariant()
    def nothing_is_forgotten(self) -> None:
        kept = {one.seconds for one in self.box}
        assert len(kept) == len(self.box)
        assert kept == self.made - self.confirmed - self.given_up
        assert self.confirmed <= self.stored

    @invariant()
    def late_ones_go_oldest_first(self) -> None:
        waiting = list(self.box)[self.box.in_flight :]
        assert [one.seconds for one in waiting] == sorted(one.seconds for one in waiting)


TestVehicle = Vehicle.TestCase


def test_a_refused_report_waits_a_minute():
    box, one = Outbox(), report(1)
    box.add(one)
    box.sent(one, 5.0)
    assert box.refuse(one.key, 6.0) is None
    assert box.due(65.9) is None
    assert box.due(66.0) is one


def test_two_reports_of_one_second_are_refused():
    box = Outbox()
    box.add(report(1))
    with pytest.raises(ValueError, match="one report a second"):
        box.add(report(1))
