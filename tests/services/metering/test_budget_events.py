"""A spend over a budget, from the usage that a service tells to the event that somebody reads."""

import asyncio
import json
from decimal import Decimal as D

import pytest

from carcloud.app.metering import MeteringJobs
from carcloud.engines.lake_delta import DeltaLake
from carcloud.engines.stream_nats import NatsServer
from carcloud.model.streams import EVENTS
from carcloud.model.usage import Usage, usage_event
from carcloud.ports.stream import Message, Stream
from carcloud.services.metering.api import Budget, Metering, Price, PriceBook, Tier
from tests.services.test_ingest import MAX_BYTES, T, connect

BOOK = PriceBook("", "Standard", "CNY", {"messages": Price([Tier(D("0.01"))])}, 202601)


@pytest.fixture
def server(tmp_path):
    server = NatsServer.start(tmp_path / "nats", user="u", password="p", max_bytes=MAX_BYTES)
    yield server.ready()
    server.stop()


async def spend(stream: Stream, jobs: MeteringJobs, id: str, messages: int, now: int) -> None:
    """A service tells of messages, and the jobs process counts them."""
    told = usage_event(Usage(id, T, "messages", messages, now))
    counted = jobs.counted
    await stream.publish(told.subject, told.data, told.message_id)
    async with asyncio.timeout(60):
        while jobs.counted == counted:
            await asyncio.sleep(0.02)


async def events(stream: Stream, count: int) -> list[Message]:
    """What a subscriber has read by the time that `count` came, or would have."""
    found: list[Message] = []
    async for messages in stream.read(EVENTS.name, "subscriber", batch=100, wait_s=1.0):
        found += messages
        if messages:
            await stream.confirm(EVENTS.name, "subscriber", messages[-1].seq)
        elif len(found) >= count:
            return found
    return found


def test_a_subscriber_hears_once_of_each_threshold_that_is_reached(server, tmp_path, sqlite, clock):
    metering = Metering(sqlite, clock)
    metering.create_book(BOOK, actor="root")
    wanted = Budget("", "Lab", D(10), thresholds=(50, 100), on_forecast=False)
    budget = metering.create_budget(T, wanted, actor="ann")

    async def scene() -> None:
        stream, lake = await connect(server), DeltaLake(tmp_path / "lake")
        jobs = MeteringJobs(stream, lake, metering, lambda: [T], close_days=3)
        reading = asyncio.create_task(jobs.read())
        await spend(stream, jobs, "1", 499, clock.now)  # 4.99
        await jobs.watch_budgets()
        assert await events(stream, 0) == []
        await spend(stream, jobs, "2", 101, clock.now)  # 6.00
        await jobs.watch_budgets()
        await jobs.watch_budgets()
        [half] = await events(stream, 1)
        assert half.subject == "events.default.metering.budget"
        told = json.loads(half.data)
        assert told.pop("time").endswith("Z")
        assert told == {
            "budget": budget.id, "name": "Lab", "kind": "actual", "percent": 50, "amount": "6.00",
        }  # fmt: skip
        await spend(stream, jobs, "3", 401, clock.now)  # 10.01
        alert = metering.check_budgets()[0]
        await jobs.watch_budgets()
        # Killed between telling and noting that it was told: the stream keeps the event once.
        with sqlite.transaction() as db:
            db.exec_driver_sql("UPDATE budget_alerts SET told = 0 WHERE threshold = 100")
        assert metering.check_budgets() == [alert]
        await jobs.watch_budgets()
        assert metering.check_budgets() == []
        [whole] = await events(stream, 1)
        told = json.loads(whole.data)
        assert (told["percent"], told["amount"]) == (100, "10.01")
        assert "100 % is spent" in str(jobs.figures().of_tenants)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await stream.close()

    asyncio.run(scene())
