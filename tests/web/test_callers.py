"""Who asks is looked up now and then, one at a time, and a busy caller never waits for it."""

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from carcloud.model.ids import Tenant
from carcloud.services.tenancy.api import Identity, NotSignedIn
from carcloud.web import callers
from carcloud.web.callers import Callers


class Records:
    """In place of the tenancy service: knows one token, answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.good = True
        self.go = threading.Event()
        self.go.set()
        self.sessions = SimpleNamespace(identify=self.identify)

    def identify(self, _token: str) -> Identity:
        self.asked += 1
        good = self.good
        assert self.go.wait(5)
        if not good:
            raise NotSignedIn("revoked")
        return Identity("somebody", Tenant("default"))


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def known(records: Any) -> Callers:
    return Callers(records, lambda _tenant, _vehicle: {})


async def hanging(records: Records, known: Callers, seconds: float) -> asyncio.Task[Any]:
    """A look-up of "t" that has been without an answer for so long."""
    records.go.clear()
    asking = asyncio.create_task(known.find("t"))
    await asyncio.sleep(seconds)
    return asking


def test_many_at_once_are_one_look_up(records, known):
    async def scene() -> None:
        found = await asyncio.gather(*[known.find("t") for _ in range(50)])
        assert records.asked == 1 and len(set(map(id, found))) == 1
        records.good = False
        answers = [known.find("u") for _ in range(20)]
        refused = await asyncio.gather(*answers, return_exceptions=True)
        assert records.asked == 2 and all(isinstance(one, NotSignedIn) for one in refused)

    asyncio.run(scene())


def test_who_goes_on_asking_does_not_wait_and_is_refused_once_revoked(records, known, monkeypatch):
    monkeypatch.setattr(callers, "REMEMBER_S", 0.4)

    async def scene() -> None:
        await known.find("t")
        records.go.clear()
        began = time.monotonic()
        while time.monotonic() - began < 0.3:
            assert known.at_hand("t") is not None
            await asyncio.sleep(0.01)
        assert records.asked == 2  # the second since half of the time
        records.go.set()
        await asyncio.sleep(0.15)
        records.good = False
        assert known.at_hand("t") is not None  # it was looked up anew, and is again
        await asyncio.sleep(0.1)
        assert known.at_hand("t") is None  # long before the moment is over

    asyncio.run(scene())


def test_a_look_up_that_hangs_keeps_nobody_in(records, known, monkeypatch):
    """A caller is as good as when the question was asked, not when it was answered."""
    monkeypatch.setattr(callers, "REMEMBER_S", 0.2)

    async def scene() -> None:
        asking = await hanging(records, known, 0.3)
        records.go.set()
        await asking
        assert known.at_hand("t") is None

    asyncio.run(scene())


def test_what_was_asked_before_a_session_ended_does_not_bring_it_back(records, known):
    async def scene() -> None:
        asking = await hanging(records, known, 0.05)
        known.forget("t")
        records.go.set()
        await asking
        assert known.at_hand("t") is None

    asyncio.run(scene())


def test_one_that_leaves_does_not_end_the_look_up_of_the_others(records, known):
    async def scene() -> None:
        records.go.clear()
        leaving, staying = (asyncio.create_task(known.find("t")) for _ in range(2))
        await asyncio.sleep(0.05)
        leaving.cancel()
        records.go.set()
        assert (await staying).identity.user == "somebody"
        assert records.asked == 1

    asyncio.run(scene())


def test_nobody_waits_for_an_answer_to_a_question_of_long_ago(records, known, monkeypatch):
    """A key revoked while its look-up hangs is refused to who asks after it."""
    monkeypatch.setattr(callers, "REMEMBER_S", 0.1)

    async def scene() -> None:
        early = await hanging(records, known, 0.15)
        records.good = False
        late = asyncio.create_task(known.find("t"))
        await asyncio.sleep(0.01)
        records.go.set()
        assert (await early).identity.user == "somebody"
        with pytest.raises(NotSignedIn):
            await late

    asyncio.run(scene())
