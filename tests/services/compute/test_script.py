"""Scripts of tenants as jobs, in real sandboxes."""

from pathlib import Path
from typing import Any

import pytest

from carcloud.engines.sandbox_bwrap import BwrapSandbox
from carcloud.ports.sandbox import NoSandbox
from carcloud.services.compute.api import Job, NewJob, State
from carcloud.services.storage.api import Bucket, ObjectFacts, Storage
from tests.services.compute.kinds import KINDS
from tests.services.compute.scene import MINE, OTHER, WHOLE_S, Scene

pytestmark = pytest.mark.timeout(WHOLE_S + 20)


@pytest.fixture(autouse=True)
def sandboxes(tmp_path: Path) -> None:
    try:
        BwrapSandbox(tmp_path).check()
    except NoSandbox as error:
        pytest.skip(str(error))


async def script(scene: Scene, source: str, **more: Any) -> Job:
    params = {"source": source, **more.pop("params", {})}
    return await scene.jobs.submit(MINE, NewJob("script", params, **more), actor="tester")


def test_a_script_reads_tables_and_artifacts_and_leaves_files(on_scene: Any) -> None:
    source = """
import carcloud_job as job, pyarrow.parquet as pq
rows = pq.read_table(job.IN / "rows.parquet").to_pylist()
print(rows, (job.IN / "text").read_text(), job.arguments["factor"])
job.metric("rows", len(rows))
job.progress(0.5, "half way")
(job.OUT / "sum.txt").write_text(str(sum(r["x"] for r in rows) * job.arguments["factor"]))
"""

    async def scenario(scene: Scene) -> None:
        async with scene.running():
            first = await scene.ended(await scene.submit("say", text="hello"))
            inputs = [
                {"name": "rows", "sql": "SELECT unnest([1, 2, 3]) AS x"},
                {"name": "text", "job": first.id, "artifact": "out/text.txt"},
            ]
            params = {"arguments": {"factor": 7}, "inputs": inputs}
            job = await scene.ended(await script(scene, source, params=params))
        assert job.state is State.SUCCEEDED, job.error
        assert "[{'x': 1}, {'x': 2}, {'x': 3}] hello 7\n" in await scene.log_of(job)
        assert job.metrics["rows"][0][1] == 3
        (made,) = await scene.jobs.artifacts(MINE, job.id)
        assert (made.name, await scene.jobs.artifact_bytes(MINE, made)) == ("sum.txt", b"42")
        (attempt,) = await scene.jobs.attempts(MINE, job.id)
        assert attempt.cpu_seconds > 0.1  # importing pyarrow alone takes longer

    on_scene(scenario)


def objects_of(scene: Scene) -> Storage:
    return Storage(scene.records, scene.blobs)


def keys_of(storage: Storage, bucket: Bucket) -> list[str]:
    return [entry.key for entry in storage.lists.current(bucket, "", "", "", 100).entries]


def stored(storage: Storage, bucket: Bucket, key: str, data: bytes) -> None:
    body = storage.objects.body(bucket)
    body.write(data)
    storage.objects.put(bucket, key, body.finish(), ObjectFacts())


def test_a_script_reads_objects_of_its_project_and_writes_some(on_scene: Any) -> None:
    source = """
import carcloud_job as job
text = (job.IN / "drive.txt").read_text()
(job.OUT / "upper.txt").write_text(text.upper())
"""

    async def scenario(scene: Scene) -> None:
        storage = objects_of(scene)
        bucket = storage.buckets.create(MINE, "drives", project="main", actor="tester")
        stored(storage, bucket, "raw/1.txt", b"clear road")
        stored(storage, bucket, "large", bytes(200_000_000))
        storage.buckets.create(MINE, "elsewhere", project="lab", actor="tester")
        storage.buckets.create(OTHER, "of-others", project="main", actor="tester")
        given = {"name": "drive.txt", "bucket": "drives", "key": "raw/1.txt"}
        large = {**given, "key": "large"}  # two of them are more than the 300 MB of the tests
        into = {"bucket": "drives", "prefix": "done/"}
        async with scene.running():
            good = {"inputs": [given], "into": into}
            job = await scene.ended(await script(scene, source, params=good))
            assert job.state is State.SUCCEEDED, job.error
            again = await scene.ended(await script(scene, source, params=good))
            assert again.state is State.SUCCEEDED, again.error
            info = storage.objects.find(bucket, "done/upper.txt")
            assert b"".join(storage.objects.read(bucket, info)) == b"CLEAR ROAD"
            assert info.headers["content-type"] == "application/octet-stream"
            assert keys_of(storage, bucket) == ["done/upper.txt", "large", "raw/1.txt"]
            for wrong, told in (
                ({"inputs": [{**given, "bucket": "elsewhere"}]}, "no bucket 'elsewhere'"),
                ({"inputs": [{**given, "bucket": "of-others"}]}, "no bucket 'of-others'"),
                ({"inputs": [{**given, "bucket": "nothing"}]}, "no bucket 'nothing'"),
                ({"inputs": [{**given, "key": "raw/2.txt"}]}, "drives/raw/2.txt"),
                ({"inputs": [{**given, "sql": "SELECT 1"}]}, "give `sql`, or"),
                ({"inputs": [given], "into": {"bucket": "of-others"}}, "no bucket 'of-others'"),
                ({"inputs": [large, {**large, "name": "b"}]}, "are left for inputs"),
            ):
                ended = await scene.ended(await script(scene, source, params=wrong))
                assert ended.state is State.FAILED
                assert told in (ended.error or "")
        assert keys_of(storage, storage.buckets.find(OTHER, "of-others")) == []

    on_scene(scenario)


def test_buckets_need_rights_in_the_project() -> None:
    given = {"name": "a", "bucket": "drives", "key": "a"}
    for params, needed in (
        ({}, []),
        ({"inputs": [given]}, ["objects:read"]),
        ({"inputs": [{"name": "a", "sql": "SELECT 1"}]}, ["queries:run"]),
        ({"inputs": [{"name": "a", "job": "1", "artifact": "a"}]}, ["telemetry:read"]),
        ({"into": {"bucket": "drives"}}, ["objects:write"]),
        ({"inputs": [given], "into": {"bucket": "drives"}}, ["objects:read", "objects:write"]),
    ):
        assert KINDS.needed("script", {"source": "print(1)", **params}) == needed


def test_scripts_that_mean_harm_end_with_the_limit_named_and_others_go_on(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        async with scene.running():
            forks = await script(scene, "import os\nwhile True: os.fork()", timeout_s=60.0)
            good = await scene.submit("say", OTHER, text="neighbour")
            assert (await scene.ended(good)).state is State.SUCCEEDED
            forks = await scene.ended(forks)
            late = await script(scene, "import time; time.sleep(600)", timeout_s=8.0)
            late = await scene.ended(late)
            net = "import socket; socket.create_connection(('192.0.2.1', 80), 5)"
            net = await scene.ended(await script(scene, net))
        assert (forks.state, forks.limit) == (State.FAILED, "processes")
        assert (late.state, late.limit) == (State.TIMED_OUT, "timeout_s")
        assert (net.state, net.limit) == (State.FAILED, "network")
        assert "Network is unreachable" in (net.error or "")

    on_scene(scenario)


def test_cancel_ends_the_sandbox(on_scene: Any) -> None:
    source = "print('begun', flush=True)\nimport time\ntime.sleep(600)"

    async def scenario(scene: Scene) -> None:
        async with scene.running():
            job = await script(scene, source)
            async for news in scene.jobs.follow(MINE, job.id):
                if "begun" in getattr(news, "text", ""):
                    break
            await scene.jobs.cancel(MINE, job.id, actor="tester")
            assert (await scene.ended(job)).state is State.CANCELLED

    on_scene(scenario)


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"requirements": ["numpy==2.1.0"]}, "compute.requirements"),
        ({"disk_mb": 301}, "at most 300"),
        ({"processes": 41}, "at most 40"),
        ({"inputs": [{"name": "x"}]}, "or `bucket` and `key`, or `job`"),
        ({"inputs": [{"name": "x", "sql": "DROP TABLE signals"}]}, "only a SELECT"),
        ({"inputs": [{"name": "x", "job": "1" * 20, "artifact": "y"}]}, "has no artifact"),
    ],
)
def test_what_a_script_may_not_have_is_refused(on_scene: Any, params: Any, told: str) -> None:
    async def scenario(scene: Scene) -> None:
        async with scene.running():
            job = await scene.ended(await script(scene, "print(1)", params=params, retries=3))
        assert (job.state, job.attempt) == (State.FAILED, 1)
        assert told in (job.error or "")

    on_scene(scenario)
