"""SQL of tenants: turns, seconds of a day, and what is metered."""

import asyncio
import threading
from collections import Counter

import pyarrow as pa
import pytest

from carcloud.engines.lake_delta import DeltaLake
from carcloud.model.ids import Tenant
from carcloud.model.limits import UNLIMITED, OverLimit
from carcloud.model.time import DAY
from carcloud.ports.lake import QueryLimits, TableRef
from carcloud.services.telemetry.queries import Queries, QueryOptions
from carcloud.services.telemetry.query_quota import QueryQuota

A, B = Tenant("a"), Tenant("b")


class Slow(DeltaLake):
    """Whose queries wait until they are let go."""

    def __init__(self, root) -> None:
        super().__init__(root)
        self.go, self.begun = threading.Event(), Counter()

    def query(self, tenant, sql, limits, cancel=None, *, only=None):
        self.begun[tenant] += 1
        if sql == "SELECT 1":
            self.go.wait(60)
        return super().query(tenant, "SELECT 2 AS two", limits, cancel, only=only)


def limits(**own):
    return lambda tenant, name: own.get(f"{tenant}_{name}", UNLIMITED)


def test_a_tenant_with_many_queries_leaves_room_for_the_others(tmp_path):
    async def scene() -> None:
        lake = Slow(tmp_path)
        quota = QueryQuota(limits(a_queries=2, b_queries=2))
        queries = Queries(lake, QueryOptions(QueryLimits(), concurrent=3, waiting=16), quota)
        many = [asyncio.create_task(queries.run(A, "SELECT 1", None, None)) for _ in range(8)]
        async with asyncio.timeout(30):
            while lake.begun[A] < 2:
                await asyncio.sleep(0.01)
            # although six of A were here before
            await queries.run(B, "SELECT 3", None, None)
        assert lake.begun == {A: 2, B: 1}
        many[7].cancel()  # one that waits
        many[2].cancel()
        lake.go.set()
        done = await asyncio.gather(*many, return_exceptions=True)
        assert [type(one).__name__ for one in done].count("CancelledError") == 2
        assert lake.begun[A] == 6
        assert queries.figures.running == 0
        queries.stop()
        lake.close()

    asyncio.run(scene())


def test_the_seconds_of_a_day_end_and_begin_anew(tmp_path):
    async def scene() -> None:
        used = {A: 4_999, B: 0}
        now = 20_000 * DAY + DAY - 90_000_000
        quota = QueryQuota(limits(a_query_seconds=5), lambda t, *_: used[t], now=lambda: now)
        lake = DeltaLake(tmp_path)
        queries = Queries(lake, QueryOptions(), quota)
        await queries.run(A, "SELECT 1 AS one", None, None)
        used[A] = 5_000
        with pytest.raises(OverLimit) as refused:
            await queries.run(A, "SELECT 1 AS one", None, None)
        assert (refused.value.limit, refused.value.retry_after_s) == ("query_seconds", 91)
        await queries.run(B, "SELECT 1 AS one", None, None)
        queries.stop()
        lake.close()

    asyncio.run(scene())


def test_time_and_bytes_are_metered_also_of_queries_that_fail(tmp_path):
    async def scene() -> None:
        used: Counter = Counter()
        quota = QueryQuota(use=lambda tenant, meter, n: used.update({(tenant, meter): n}))
        lake = DeltaLake(tmp_path)
        time = pa.array([10**15], pa.timestamp("us", "UTC"))
        rows = pa.table({"vehicle": ["x"], "time": time, "seq": pa.array([1], pa.int64())})
        lake.append(TableRef(A, "signals"), rows, writer="w", seq=1)
        queries = Queries(lake, QueryOptions(), quota)
        await queries.run(A, "SELECT count(*) FROM signals", None, None)
        (info,) = lake.tables(A)
        assert used[A, "query_bytes"] == info.bytes > 0
        before = used[A, "query_seconds"]
        assert before >= 1
        with pytest.raises(Exception, match="nothing"):
            await queries.run(A, "SELECT * FROM nothing", None, None)
        assert used[A, "query_seconds"] > before
        queries.stop()
        lake.close()

    asyncio.run(scene())
