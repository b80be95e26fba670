"""Events of who came and who went, where the stream is away for a while."""

import asyncio
import json

import pytest

from carcloud.app.session_events import SessionEvents
from carcloud.gateway.roster import Changes
from carcloud.model.ids import Tenant
from carcloud.ports.errors import Unavailable


class Away:
    """A stream that keeps the first message and then, for one call, does not say so."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[str, list[str]]] = {}
        self.answers = [False, True, True]

    async def publish(self, subject: str, data: bytes, message_id: str) -> int:
        self.kept.setdefault(message_id, (subject, json.loads(data)["closed"]))
        if not self.answers.pop(0):
            raise Unavailable("no answer in 5 s")
        return len(self.kept)


def test_an_event_waits_until_the_stream_has_kept_it() -> None:
    stream = Away()
    events = SessionEvents(stream, "gateway-1")  # type: ignore[arg-type]

    async def scene() -> None:
        events.note({Tenant("a"): Changes(closed={"CAR1": None})})
        with pytest.raises(Unavailable):
            await events.tell()
        events.note({Tenant("b"): Changes(closed={"CAR2": None})})
        await events.tell()
        await events.tell()  # nothing is left

    asyncio.run(scene())
    assert list(stream.kept.values()) == [
        ("events.a.vehicles.sessions", ["CAR1"]),
        ("events.b.vehicles.sessions", ["CAR2"]),
    ]
    assert stream.answers == []


def test_what_waits_has_bounds() -> None:
    stream = Away()
    stream.answers = [True] * 3
    events = SessionEvents(stream, "gateway-1")  # type: ignore[arg-type]
    for number in range(8):
        events.note({Tenant("a"): Changes(closed={"C" * 5_000_000 + str(number): None})})
    asyncio.run(events.tell())
    assert [closed[0][-1] for _, closed in stream.kept.values()] == ["5", "6", "7"]
