"""Simulated cars answer what a GB/T 32960 gateway asks of them, over sockets and without."""

from collections.abc import Callable
from typing import Any

import pytest

from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.frame import build, parse
from carcloud.gateway.gbt32960.orders import Orders
from carcloud.gateway.orders import Order, OrderReport
from carcloud.model.time import now_us
from carcloud.simulator.car_commands import CarCommands
from carcloud.simulator.link import Link
from carcloud.simulator.outbox import Outbox

VIN = "LTESTSIM000000001"


class Site:
    """A gateway's commands, with a simulated car at the other end."""

    def __init__(self, edition: int) -> None:
        car = CarCommands(edition, VIN, 10.0, 30.0)
        self.told: list[OrderReport] = []

        def send(frame: bytes, wanted: Callable[[], bool]) -> None:
            assert wanted()
            answer = car.answer(parse(frame))
            assert answer is not None
            self.answers.append(answer)

        self.answers: list[bytes] = []
        self.orders = Orders(edition, VIN, send)

    def give(self, name: str, **arguments: Any) -> OrderReport:
        order = Order("o", name, arguments, now_us() + 60_000_000)
        self.orders.deliver(order, self.told.append)
        self.orders.answered(parse(self.answers.pop()))
        return self.told[-1]


@pytest.mark.parametrize("edition", [2016, 2025])
def test_parameters_are_read_set_and_put_back(edition: int) -> None:
    site = Site(edition)
    everything = site.give("read-parameters").answer
    assert everything is not None
    assert len(everything) == 16
    assert (everything["report_period_s"], everything["domain"]) == (10, "platform.example")
    changed = {"heartbeat_s": 60, "domain": "example.org"}
    assert site.give("set-parameters", parameters=changed).state == "executed"
    asked = site.give("read-parameters", names=["heartbeat_s", "domain_length", "domain"])
    assert asked.answer == {"heartbeat_s": 60, "domain_length": 11, "domain": "example.org"}
    assert site.give("restart").state == "executed"
    assert site.give("factory-reset").state == "executed"
    assert site.give("read-parameters", names=["heartbeat_s"]).answer == {"heartbeat_s": 30}


def test_one_wrong_value_rejects_all_and_nonsense_is_passed_over() -> None:
    car = CarCommands(2016, VIN, 10.0, 30.0)
    time = bytes((26, 1, 1, 0, 0, 0))
    wrong = build(2016, Command.SET, Flag.COMMAND, VIN, time + bytes((2, 9, 60, 0x0C, 250)))
    answer = car.answer(parse(wrong))
    assert answer is not None
    assert parse(answer).flag == Flag.ERROR
    query = build(2016, Command.QUERY, Flag.COMMAND, VIN, time + bytes((1, 9)))
    told = car.answer(parse(query))
    assert told is not None
    assert parse(told).data[-2:] == bytes((9, 30))
    short = build(2016, Command.QUERY, Flag.COMMAND, VIN, time + bytes((5, 9)))
    assert car.answer(parse(short)) is None


def test_a_link_answers_commands() -> None:
    class Hub:
        def commanded(self, _link: Link, frame: Any) -> bytes | None:
            return CarCommands(2016, VIN, 10.0, 30.0).answer(frame)

        def opened(self, _link: Link) -> list[bytes]:
            return [b"login"]

    class Wire:
        def __init__(self) -> None:
            self.sent: list[bytes] = []

        def write(self, data: bytes) -> None:
            self.sent.append(data)

    wire: Any = Wire()
    hub: Any = Hub()
    link = Link(hub, 0, Outbox())
    link.connection_made(wire)
    link.data_received(build(2016, Command.CONTROL, Flag.COMMAND, VIN, bytes(5) + b"\x01\x03"))
    assert [parse(frame).command for frame in wire.sent[1:]] == [Command.CONTROL]
