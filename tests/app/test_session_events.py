"""Events of who came and who went, where the stream is away for a while or does not take them."""

import asyncio
import json
import logging
from collections.abc import Callable

import pytest

from carcloud.app.session_events import SessionEvents
from carcloud.gateway.roster import Changes
from carcloud.model.ids import Tenant
from carcloud.ports.errors import Refused, Unavailable


class Away:
    """A stream that keeps the first message and then, for one call, does not say so."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[str, dict]] = {}
        self.answers = [False, True, True]

    async def publish(self, subject: str, data: bytes, message_id: str) -> int:
        self.kept.setdefault(message_id, (subject, json.loads(data)))
        if not self.answers.pop(0):
            raise Unavailable("no answer in 5 s")
        return len(self.kept)

    def closed(self) -> list[tuple[str, list[str]]]:
        return [(subject, told["closed"]) for subject, told in self.kept.values()]


class Picky(Away):
    """A stream that never takes some."""

    def __init__(self, refuses: Callable[[bytes], Exception | None]) -> None:
        super().__init__()
        self.refuses = refuses

    async def publish(self, subject: str, data: bytes, message_id: str) -> int:
        error = self.refuses(data)
        if error is not None:
            raise error
        self.kept[message_id] = subject, json.loads(data)
        return len(self.kept)


def events_to(stream: Away) -> SessionEvents:
    return SessionEvents(stream, "gateway-1")  # type: ignore[arg-type]


def gone(vehicle: str) -> dict[Tenant, Changes]:
    return {Tenant("a"): Changes(closed={vehicle: None})}


def test_an_event_waits_until_the_stream_has_kept_it() -> None:
    stream = Away()
    events = events_to(stream)

    async def scene() -> None:
        events.note(gone("CAR1"))
        with pytest.raises(Unavailable):
            await events.tell()
        events.note({Tenant("b"): Changes(closed={"CAR2": None})})
        await events.tell()
        await events.tell()  # nothing is left

    asyncio.run(scene())
    assert stream.closed() == [
        ("events.a.vehicles.sessions", ["CAR1"]),
        ("events.b.vehicles.sessions", ["CAR2"]),
    ]
    assert stream.answers == []
    assert events.dropped == 0


def test_events_are_published_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carcloud.app.session_events._RETRY_S", 0.01)
    stream = Away()
    events = events_to(stream)

    async def scene() -> None:
        running = asyncio.create_task(events.run())
        for count in (1, 2):
            events.note(gone(f"CAR{count}"))
            async with asyncio.timeout(30):
                while len(stream.answers) > 2 - count:
                    await asyncio.sleep(0.01)
        running.cancel()

    asyncio.run(scene())
    assert [closed for _, closed in stream.closed()] == [["CAR1"], ["CAR2"]]


def test_what_waits_has_bounds(caplog: pytest.LogCaptureFixture) -> None:
    stream = Away()
    events = events_to(stream)
    for outage in (1, 2):
        stream.kept.clear()
        stream.answers = [True] * 3
        for number in range(8):
            events.note(gone("C" * 5_000_000 + str(number)))
        asyncio.run(events.tell())
        assert [closed[0][-1] for _, closed in stream.closed()] == ["5", "6", "7"]
        assert events.dropped == 5 * outage
        assert [record.levelno for record in caplog.records] == [logging.WARNING] * outage


@pytest.mark.parametrize("error", [Refused("too large"), ValueError("too large")])
def test_what_the_stream_never_takes_holds_up_nothing(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    stream = Picky(lambda data: error if b"CAR1" in data else None)
    events = events_to(stream)
    events.note(gone("CAR1"))
    events.note(gone("CAR2"))
    asyncio.run(events.tell())
    assert stream.closed() == [("events.a.vehicles.sessions", ["CAR2"])]
    assert events.dropped == 1
    assert "too large" in caplog.text


def test_a_large_event_is_told_in_pieces() -> None:
    stream = Picky(lambda data: ValueError("too large") if len(data) > 450_000 else None)
    events = events_to(stream)
    names = [f"LTESTVNA{number:09}" for number in range(20_000)]
    changes = Changes(
        open={name: [name, 1, "127.0.0.1:1", "2016"] for name in names},
        closed=dict.fromkeys(names),
    )
    events.note({Tenant("a"): changes})
    asyncio.run(events.tell())
    told = [one for _, one in stream.kept.values()]
    assert events.dropped == 0
    assert len(told) > 2
    assert [name for one in told for name in one["closed"]] == names
    assert [row[0] for one in told for row in one["open"]] == names
    first_open = next(number for number, one in enumerate(told) if one["open"])
    assert not any(one["closed"] for one in told[first_open + 1 :])  # they went, then they came
    assert all(set(one) == {"time", *changes.told()} for one in told)
