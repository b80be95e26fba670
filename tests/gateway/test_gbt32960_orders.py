"""Commands down to GB/T 32960 vehicles, without sockets."""

from collections.abc import Callable
from pathlib import Path

import pytest

from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.decode import decode
from carcloud.codecs.gbt32960.encode import encode_parameters
from carcloud.codecs.gbt32960.frame import Frame, build, parse
from carcloud.codecs.gbt32960.tables import PARAMETERS
from carcloud.gateway.gbt32960.orders import Orders
from carcloud.gateway.orders import SAME_PARAMETERS, Order, OrderReport
from carcloud.model.time import from_us

VIN = "LTESTVNA4A0000101"
START = 1_700_000_000_000_000


class Site:
    """One vehicle's commands, what was sent to it, and what is told of them."""

    def __init__(self, edition: int = 2016) -> None:
        self.now = START
        self.frames: list[Frame] = []
        self.turns: list[tuple[bytes, Callable[[], bool]]] = []
        self.held = False
        self.reports: list[OrderReport] = []
        self.edition = edition
        self.orders = Orders(edition, VIN, self.sent, lambda: self.now)

    def sent(self, frame: bytes, wanted: Callable[[], bool]) -> None:
        self.turns.append((frame, wanted))
        if not self.held:
            self.turn()

    def turn(self) -> None:
        """All that came before is durable."""
        turns, self.turns = self.turns, []
        self.frames += [parse(frame) for frame, wanted in turns if wanted()]

    def deliver(self, name: str, _id: str = "1", **arguments: object) -> None:
        order = Order(_id, name, arguments, START + 120_000_000)
        self.orders.deliver(order, self.reports.append)

    def answer(self, command: int, flag: int = Flag.SUCCESS, data: bytes = b"") -> None:
        self.orders.answered(parse(build(self.edition, command, flag, VIN, data)))

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(one.id, one.state) for one in self.reports]


@pytest.mark.parametrize("edition", [2016, 2025])
def test_parameters_are_set_and_read(edition: int) -> None:
    site = Site(edition)
    given = {"report_period_s": 10, "0x09": 30, "domain": "example.org"}
    site.deliver("set-parameters", parameters=given)
    told = decode(site.frames[0]).to_json()
    assert site.frames[0].command == Command.SET
    written = {item["name"]: item["value"] for item in told["items"]}
    assert written == {
        "report_period_s": 10, "heartbeat_period_s": 30, "domain_length": 11,
        "domain": "example.org",
    }  # fmt: skip
    site.answer(Command.SET)
    assert site.states == [("1", "sent"), ("1", "executed")]

    site.deliver("read-parameters", "2", names=["report_period_s", 6])
    assert decode(site.frames[1]).fields["ids"] == [2, 6]
    body = encode_parameters(edition, from_us(START), [(2, 10), (6, 19_006)])
    site.answer(Command.QUERY, data=body)
    assert site.reports[-1].answer == {"report_period_s": 10, "port": 19_006}


def test_names_of_jt808_work_where_they_mean_the_same() -> None:
    site = Site()
    given = {"heartbeat_s": 30, "report_default_s": 20, "main_address": "a.org", "tcp_port": 9}
    site.deliver("set-parameters", parameters=given)
    items = decode(site.frames[0]).items
    assert [one.type for one in items] == [0x09, 0x02, 0x04, 0x05, 0x06]
    site.deliver("read-parameters", "2", names=["heartbeat_s", "0x02"])
    site.answer(Command.QUERY, data=encode_parameters(2016, from_us(START), [(9, 30), (2, 20)]))
    assert site.reports[-1].answer == {"heartbeat_s": 30, "report_period_s": 20}


@pytest.mark.parametrize("edition", [2016, 2025])
def test_parameters_are_documented(edition: int) -> None:
    page = (Path(__file__).parents[2] / "docs" / "gbt32960.md").read_text("utf-8")
    names = {row.key for row in PARAMETERS[edition].values()} | set(SAME_PARAMETERS.values())
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_all_parameters_are_read_where_none_is_named() -> None:
    site = Site()
    site.deliver("read-parameters")
    assert decode(site.frames[0]).fields["ids"] == list(range(1, 0x11))


def test_one_of_a_kind_at_a_time() -> None:
    site = Site()
    site.deliver("restart", "a")
    site.deliver("factory-reset", "b")
    site.deliver("read-parameters", "c")
    assert [frame.command for frame in site.frames] == [Command.CONTROL, Command.QUERY]
    site.answer(Command.CONTROL, Flag.ERROR)
    assert [frame.command for frame in site.frames][2:] == [Command.CONTROL]
    assert site.states == [("a", "sent"), ("c", "sent"), ("a", "failed"), ("b", "sent")]
    site.answer(Command.SET)  # nobody asked
    assert len(site.reports) == 4


def test_an_unanswered_command_holds_the_next_up_for_a_minute() -> None:
    site = Site()
    site.deliver("restart", "a")
    site.deliver("restart", "b")
    site.now += 60_000_000
    site.deliver("restart", "c")
    assert site.states == [("a", "sent"), ("b", "sent")]
    site.now += 60_000_000
    site.answer(Command.CONTROL)
    assert site.states[2:] == [("b", "executed"), ("c", "timed_out")]


def test_what_cannot_be_sent_is_refused() -> None:
    site = Site()
    site.deliver("photo")
    site.deliver("set-parameters", parameters={"hardware_version": "1"})
    site.deliver("set-parameters", parameters={"speed_of_light": 1})
    site.deliver("set-parameters", parameters={"report_period_s": [1]})
    site.deliver("set-parameters", parameters={"report_period_s": 70_000})
    site.deliver("set-parameters", parameters={"domain": "a" * 300})
    for endless in (float("inf"), float("nan")):
        site.deliver("set-parameters", parameters={"report_period_s": endless})
    assert site.frames == []
    assert {state for _, state in site.states} == {"refused"}
    assert site.reports[-1].reason == "report_period_s: needs a finite number, got nan"
    assert "read-only" in site.reports[1].reason
    assert "speed_of_light" in site.reports[2].reason
    assert "report_period_s, " in site.reports[2].reason


def test_what_had_to_wait_until_it_was_too_late_is_not_sent() -> None:
    site = Site()
    site.held = True
    site.deliver("restart")
    site.now += 100_000_000
    site.deliver("factory-reset", "2")  # behind the other one, while that could be answered
    site.now += 20_000_001
    site.turn()
    assert (site.frames, site.states) == ([], [("1", "timed_out"), ("2", "timed_out")])
    site.now = START
    site.deliver("restart", "3")
    site.turn()
    assert [one.command for one in site.frames] == [Command.CONTROL]
