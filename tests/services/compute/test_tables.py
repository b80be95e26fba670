"""Jobs that write tables of the lake: real sandboxes, real Delta tables, real kills."""

from pathlib import Path
from typing import Any

import pytest

from carcloud.engines.lake_delta import DeltaLake
from carcloud.engines.sandbox_bwrap import BwrapSandbox
from carcloud.model.ids import Tenant
from carcloud.ports.lake import QueryLimits
from carcloud.ports.sandbox import NoSandbox
from carcloud.services.compute.api import InvalidJob, Job, NewJob, State
from carcloud.services.telemetry.tables import TABLES
from tests.services.compute.kinds import KINDS
from tests.services.compute.scene import MINE, OTHER, WHOLE_S, Scene

pytestmark = pytest.mark.timeout(WHOLE_S + 20)

STATS = """
import carcloud_job as job, pyarrow as pa, pyarrow.parquet as pq
(job.OUT / "out").mkdir()
km = job.arguments.get("km", [1.5, 2.5])
rows = pa.table({"vehicle": ["v1", "v2"][: len(km)], "km": km})
pq.write_table(rows, job.OUT / "out/stats.parquet")
with pa.ipc.new_file(str(job.OUT / "whole.arrow"), rows.schema) as whole:
    whole.write_table(rows)
"""


@pytest.fixture(autouse=True)
def sandboxes(tmp_path: Path) -> None:
    try:
        BwrapSandbox(tmp_path).check()
    except NoSandbox as error:
        pytest.skip(str(error))


async def script(scene: Scene, source: str, tables: Any, **more: Any) -> Job:
    """A job that has ended."""
    kind = more.pop("kind", "script")
    params = {"source": source, "tables": tables, **more.pop("params", {})}
    new = NewJob(kind, params, **{"backoff_s": 0.01, **more})
    return await scene.ended(await scene.jobs.submit(MINE, new, actor="tester"))


def asked(scene: Scene, sql: str, tenant: Tenant = MINE) -> list[dict[str, Any]]:
    lake = DeltaLake(scene.folder / "tenants", known=TABLES)
    try:
        return lake.query(tenant, sql, QueryLimits()).table.to_pylist()
    finally:
        lake.close()


def tables_of(scene: Scene, tenant: Tenant = MINE) -> dict[str, int]:
    lake = DeltaLake(scene.folder / "tenants", known=TABLES)
    return {info.name: info.rows for info in lake.tables(tenant) if not info.known}


def test_files_of_a_script_become_tables_that_sql_reads(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        async with scene.running():
            both = {
                "trip_stats": "out/stats.parquet",
                "newest": {"file": "whole.arrow", "mode": "replace"},
            }
            first = await script(scene, STATS, both)
            assert first.state is State.SUCCEEDED, first.error
            again = await script(scene, STATS, both, params={"arguments": {"km": [9.0]}})
            assert again.state is State.SUCCEEDED, again.error
        assert first.result["tables"] == [
            {"name": "trip_stats", "mode": "append", "rows": 2},
            {"name": "newest", "mode": "replace", "rows": 2},
        ]
        assert "[table trip_stats: 2 rows, append]" in await scene.log_of(first)
        km = asked(scene, "SELECT km FROM trip_stats ORDER BY km")
        assert [row["km"] for row in km] == [1.5, 2.5, 9.0]
        (row,) = asked(scene, "SELECT * FROM newest")
        assert (row["vehicle"], row["km"], row["seq"]) == ("v1", 9.0, 1)
        assert row["time"] is not None
        assert tables_of(scene, OTHER) == {}

    on_scene(scenario)


@pytest.mark.soak
def test_a_kill_between_write_and_record_writes_once(on_scene: Any) -> None:
    """The first attempt dies when the first table is committed, the second when both are."""

    async def scenario(scene: Scene) -> None:
        both = {"a": "out/stats.parquet", "b": "out/stats.parquet"}
        async with scene.running():
            job = await script(scene, STATS, both, kind="script-killed", retries=2)
            assert (job.state, job.attempt) == (State.SUCCEEDED, 3), job.error
        assert tables_of(scene) == {"a": 2, "b": 2}
        assert [one["rows"] for one in job.result["tables"]] == [None, None]
        outcomes = [one.outcome for one in await scene.jobs.attempts(MINE, job.id)]
        assert outcomes == ["died", "died", "succeeded"]

    on_scene(scenario)


@pytest.mark.soak
def test_an_export_into_a_table_goes_on_after_the_part_it_was_killed_at(on_scene: Any) -> None:
    params = {
        "sql": "SELECT {from} AS time, unnest([1, 2]) AS n WHERE {from} < {to}",
        "from": "2026-05-01T00:00:00Z",
        "to": "2026-05-01T03:00:00Z",
        "step_hours": 1,
        "table": {"name": "hours", "mode": "append"},
    }

    async def scenario(scene: Scene) -> None:
        async with scene.running():
            new = NewJob("export-killed", params, retries=3, backoff_s=0.01)
            job = await scene.ended(await scene.jobs.submit(MINE, new, actor="tester"))
            assert (job.state, job.attempt) == (State.SUCCEEDED, 4), job.error
            instead = {**params, "table": {"name": "hours", "mode": "replace"}}
            new = NewJob("query-export", instead)
            refused = await scene.ended(await scene.jobs.submit(MINE, new, actor="tester"))
            assert "replaced in one step" in str(refused.error)
        assert job.result["files"] == 0
        found = asked(scene, "SELECT hour(time) h, count(*) n FROM hours GROUP BY 1 ORDER BY 1")
        assert found == [{"h": 0, "n": 2}, {"h": 1, "n": 2}, {"h": 2, "n": 2}]

    on_scene(scenario)


TEXT = """
import carcloud_job as job, pyarrow as pa, pyarrow.parquet as pq
pq.write_table(pa.table({"km": [1.0]}), job.OUT / "number.parquet")
pq.write_table(pa.table({"km": ["far"]}), job.OUT / "text.parquet")
(job.OUT / "junk.parquet").write_bytes(b"PAR1" + bytes(range(256)) * 40 + b"PAR1")
"""


def test_what_does_not_fit_fails_with_the_column_named_and_writes_nothing(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        async with scene.running():
            good = await script(scene, TEXT, {"good": "number.parquet"})
            assert good.state is State.SUCCEEDED, good.error
            for file, told in (
                ("text.parquet", "table good: column 'km' holds double, and string was appended"),
                ("junk.parquet", "table good: good: "),
                ("missing.parquet", "table good: the script left no file missing.parquet"),
            ):
                wanted = {"before": "number.parquet", "good": file}
                job = await script(scene, TEXT, wanted, retries=3)
                assert (job.state, job.attempt) == (State.FAILED, 1)
                assert told in (job.error or "")
        assert tables_of(scene) == {"good": 1}

    on_scene(scenario)


def test_a_tenant_has_so_many_tables_and_bytes(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        limits = scene.tenancy.limits
        limits.set_limit(MINE, "tables", 1, actor="tester")
        async with scene.running():
            one = await script(scene, STATS, {"a": "out/stats.parquet"})
            more = await script(scene, STATS, {"b": "out/stats.parquet"})
            same = await script(scene, STATS, {"a": "out/stats.parquet"})
            limits.set_limit(MINE, "stored_bytes", 10, actor="tester")
            full = await script(scene, STATS, {"a": "out/stats.parquet"})
        assert (one.state, same.state) == (State.SUCCEEDED, State.SUCCEEDED)
        assert (more.state, more.limit) == (State.FAILED, "tables")
        assert (full.state, full.limit) == (State.FAILED, "stored_bytes")
        assert tables_of(scene) == {"a": 4}

    on_scene(scenario)


@pytest.mark.parametrize(
    "name", ["signals", "trips", "duckdb_tables", "pg_class", "Trip", "_a", "a-b", "a" * 41, ""]
)
def test_names_that_no_job_may_write_are_refused_when_it_is_submitted(name: str) -> None:
    with pytest.raises(InvalidJob):
        KINDS.checked("script", {"source": "1", "tables": {name: "a.parquet"}})
    with pytest.raises(InvalidJob):
        KINDS.checked("query-export", {"sql": "SELECT 1", "table": {"name": name}})


def test_tables_need_a_right_of_their_own() -> None:
    needed = KINDS.needed("script", {"source": "1", "tables": {"stats": "a.parquet"}})
    assert needed == ["tables:write"]
    params = {"sql": "SELECT 1", "table": {"name": "stats"}}
    assert KINDS.needed("query-export", params) == ["queries:run", "tables:write"]
