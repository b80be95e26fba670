"""Who asks is looked up now and then, one at a time, and a busy caller never waits for it."""

import asyncio
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from carcloud.model.ids import Tenant
from carcloud.services.tenancy.api import Identity, NotSignedIn
from carcloud.web import callers
from carcloud.web.callers import REMEMBER_S, Callers


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
        assert self.go.wait(60)
        if not good:
            raise NotSignedIn("revoked")
        return Identity("somebody", Tenant("default"))


@pytest.fixture
def records() -> Records:
    return Records()


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def passes(self, moments: float) -> None:
        """So many of the moments for which a caller is remembered."""
        self.now += moments * REMEMBER_S


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(callers, "time", clock)
    return clock


@pytest.fixture
def known(records: Any, clock: Clock) -> Callers:
    return Callers(records, lambda _tenant, _vehicle: {})


async def hanging(records: Records, known: Callers) -> asyncio.Task[Any]:
    """A look-up of "t" that is without an answer."""
    records.go.clear()
    before = records.asked
    asking = asyncio.create_task(known.find("t"))
    await until(lambda: records.asked > before)
    return asking


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.001)


def test_many_at_once_are_one_look_up(records, known):
    async def scene() -> None:
        found = await asyncio.gather(*[known.find("t") for _ in range(50)])
        assert records.asked == 1 and len(set(map(id, found))) == 1
        records.good = False
        answers = [known.find("u") for _ in range(20)]
        refused = await asyncio.gather(*answers, return_exceptions=True)
        assert records.asked == 2 and all(isinstance(one, NotSignedIn) for one in refused)

    asyncio.run(scene())


def test_who_goes_on_asking_does_not_wait_and_is_refused_once_revoked(records, known, clock):
    async def scene() -> None:
        await known.find("t")
        records.go.clear()
        for _ in range(9):
            clock.passes(0.1)
            assert known.at_hand("t") is not None
        await until(lambda: records.asked == 2)  # since half of the time, and once
        records.go.set()
        await until(lambda: "t" not in known._asked)
        clock.passes(0.3)
        assert known.at_hand("t") is not None  # it was looked up anew
        records.good = False
        clock.passes(0.1)
        assert known.at_hand("t") is not None  # and is again
        await until(lambda: "t" not in known._asked)
        assert records.asked == 3
        assert known.at_hand("t") is None  # long before the moment is over

    asyncio.run(scene())


def test_a_look_up_that_hangs_keeps_nobody_in(records, known, clock):
    """A caller is as good as when the question was asked, not when it was answered."""

    async def scene() -> None:
        asking = await hanging(records, known)
        clock.passes(1.1)
        records.go.set()
        await asking
        assert known.at_hand("t") is None

    asyncio.run(scene())


def test_what_was_asked_before_a_session_ended_does_not_bring_it_back(records, known):
    async def scene() -> None:
        asking = await hanging(records, known)
        known.forget("t")
        records.go.set()
        await asking
        assert known.at_hand("t") is None

    asyncio.run(scene())


def test_one_that_leaves_does_not_end_the_look_up_of_the_others(records, known):
    async def scene() -> None:
        records.go.clear()
        leaving, staying = (asyncio.create_task(known.find("t")) for _ in range(2))
        await until(lambda: records.asked)
        leaving.cancel()
        records.go.set()
        assert (await staying).identity.user == "somebody"
        assert records.asked == 1

    asyncio.run(scene())


def test_nobody_waits_for_an_answer_to_a_question_of_long_ago(records, known, clock):
    """A key revoked while its look-up hangs is refused to who asks after it."""

    async def scene() -> None:
        early = await hanging(records, known)
        clock.passes(1.5)
        records.good = False
        late = asyncio.create_task(known.find("t"))
        await until(lambda: records.asked == 2)
        records.go.set()
        assert (await early).identity.user == "somebody"
        with pytest.raises(NotSignedIn):
            await late

    asyncio.run(scene())
