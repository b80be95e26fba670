"""Runners that are lost, that come back too late, and that share the work; schedules; usage."""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from carcloud.model.ids import Tenant
from carcloud.model.limits import OverLimit
from carcloud.model.streams import USAGE
from carcloud.model.time import SECOND
from carcloud.model.usage import read_usage
from carcloud.services.compute import claims, runner
from carcloud.services.compute.api import (
    Filters,
    Job,
    NewJob,
    NewSchedule,
    ScheduleChanged,
    ScheduleExists,
    State,
    UnknownJob,
)
from carcloud.services.compute.claims import Ending, Held
from carcloud.services.compute.schedules import submit_due
from carcloud.services.tenancy.api import AuditFilter
from tests.services.compute.scene import MINE, OTHER, WHOLE_S, Scene

pytestmark = pytest.mark.timeout(WHOLE_S + 20)

MINUTE = 60 * SECOND


def claimed(scene: Scene, job: Job, runner: str) -> Held:
    """As a runner does, which is then lost."""
    with scene.records.transaction() as db:
        held = claims.claim(db, job.id, runner, scene.now())
    assert held is not None
    return held


def test_a_runner_that_was_killed_at_this_place_is_followed_at_once(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        job = await scene.submit("say", text="again")
        claimed(scene, job, "here/killed")
        async with scene.running("here/next"):
            job = await scene.ended(job)
        assert (job.state, job.attempt) == (State.SUCCEEDED, 2)
        first, second = await scene.jobs.attempts(MINE, job.id)
        assert (first.outcome, first.error) == ("interrupted", "the jobs process went away")
        assert second.outcome == "succeeded"

    on_scene(scenario)


def test_a_runner_elsewhere_is_followed_when_its_lease_has_ended(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        job = await scene.submit("say")
        held = claimed(scene, job, "there/silent")
        async with scene.running():
            await asyncio.sleep(2.5)
            assert (await scene.jobs.job(MINE, job.id)).attempt == 1
        scene.shift_us += claims.LEASE_US
        async with scene.running():
            job = await scene.ended(job)
        assert (job.state, job.attempt) == (State.SUCCEEDED, 2)
        with scene.records.transaction() as db:  # and now the silent one says how it went
            late = Ending(State.FAILED, "too late")
            assert claims.finish(db, held, late, scene.now()) is None
        assert (await scene.jobs.job(MINE, job.id)).state is State.SUCCEEDED

    on_scene(scenario)


def test_a_job_that_ends_every_runner_is_given_up(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        job = await scene.submit("say")
        for _ in range(claims.MOST_INTERRUPTIONS + 1):
            held = claimed(scene, job, "here/x")
            with scene.records.transaction() as db:
                claims.finish(db, held, Ending("interrupted", "gone"), scene.now())
        ended = await scene.jobs.job(MINE, job.id)
        assert (ended.state, ended.attempt) == (State.FAILED, claims.MOST_INTERRUPTIONS + 1)

    on_scene(scenario)


def test_a_runner_that_is_stopped_leaves_its_jobs_to_the_next(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        job = await scene.submit("sleep", number=600)
        async with scene.running("here/1"):
            await scene.until(job, lambda j: j.state is State.RUNNING)
        left = await scene.jobs.job(MINE, job.id)
        assert (left.state, left.attempt) == (State.QUEUED, 1)
        async with scene.running("here/2"):
            job = await scene.ended(job)
        assert (job.state, job.attempt, job.result) == (State.SUCCEEDED, 2, "awake")

    on_scene(scenario)


def test_a_runner_that_is_stopped_as_it_begins_a_job_leaves_it_to_the_next(on_scene: Any) -> None:
    class Slow:
        """The engine, that has a worker only after a while."""

        def __init__(self, engine: Any) -> None:
            self._engine = engine

        def __getattr__(self, name: str) -> Any:
            return getattr(self._engine, name)

        async def submit(self, *given: Any) -> Any:
            await asyncio.sleep(0.3)
            return await self._engine.submit(*given)

    async def scenario(scene: Scene) -> None:
        job = await scene.submit("sleep", number=600)
        scene.compute = Slow(scene.compute)
        async with scene.running("here/1"):
            await scene.until(job, lambda j: j.state is State.RUNNING)
        left = await scene.jobs.job(MINE, job.id)
        assert (left.state, left.attempt) == (State.QUEUED, 1)
        assert (await scene.compute.room()).free_cpus == 2

    on_scene(scenario)


def test_two_runners_never_do_the_same_attempt(on_scene: Any, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()

    async def scenario(scene: Scene) -> None:
        jobs = [await scene.submit("touch", folder=str(marks), text=f"{n}") for n in range(12)]
        async with scene.running("here/1"), scene.running("there/2"):
            ended = [await scene.ended(job) for job in jobs]
        assert {(job.state, job.attempt) for job in ended} == {(State.SUCCEEDED, 1)}
        assert sorted(p.name.split("-")[1] for p in marks.iterdir()) == sorted(map(str, range(12)))

    on_scene(scenario)


def test_a_tenant_runs_no_more_than_its_limit_and_others_are_served(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        scene.limits[MINE] = 1
        mine = [await scene.submit("sleep", number=600) for _ in range(4)]
        other = await scene.submit("say", OTHER)
        most = 0
        async with scene.running():
            ending = asyncio.create_task(scene.ended(other))
            while not ending.done():
                running = (await scene.jobs.jobs(MINE, Filters(state=State.RUNNING))).items
                most = max(most, len(running))
                await asyncio.sleep(0.05)
            assert (await ending).state is State.SUCCEEDED
            assert most == 1
            await scene.until(mine[0], lambda job: job.state is State.RUNNING)
            left = [(await scene.jobs.job(MINE, job.id)).state for job in mine]
            assert left == [State.RUNNING] + [State.QUEUED] * 3

    on_scene(scenario)


def test_queues_are_served_by_those_who_have_them(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        quick = await scene.submit("say", queue="quick")
        slow = await scene.submit("say", queue="slow")
        async with scene.running(queues=["quick"]):
            assert (await scene.ended(quick)).state is State.SUCCEEDED
            assert (await scene.jobs.job(MINE, slow.id)).state is State.QUEUED

    on_scene(scenario)


def test_what_never_fits_fails_and_says_why(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        async with scene.running():
            job = await scene.ended(await scene.submit("say", cpus=64.0, retries=5))
        assert (job.state, job.attempt) == (State.FAILED, 1)
        assert "2 processors" in (job.error or "")

    on_scene(scenario)


def test_usage_is_told_once_for_each_attempt_that_was_not_our_fault(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        job = await scene.submit("fail", number=2, retries=1, cpus=0.5, project="research")
        claimed(scene, job, "here/killed")
        async with scene.running("here/next"):
            job = await scene.ended(job)
            told = {}
            async with asyncio.timeout(20):
                async for messages in scene.stream.read(USAGE.name, "t", batch=50, wait_s=0.2):
                    for message in messages:
                        tenant = Tenant(message.subject.split(".")[1])
                        for usage in read_usage(tenant, message.data):
                            if usage.subject == job.id:
                                told[usage.id] = usage
                    if len(told) == 1 and f"job-{job.id}-2" in told:
                        break
        attempts = await scene.jobs.attempts(MINE, job.id)
        assert [a.outcome for a in attempts] == ["interrupted", "succeeded"]
        usage = told[f"job-{job.id}-2"]
        assert (usage.meter, usage.project, usage.tenant) == ("compute_seconds", "research", MINE)
        wall_us = (attempts[1].ended_us or 0) - attempts[1].started_us
        assert usage.quantity == round(0.5 * wall_us / 1000)

    on_scene(scenario)


def test_more_jobs_than_the_quota_are_refused(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        scene.tenancy.limits.set_limit(MINE, "jobs_queued", 2, actor="tester")
        await scene.submit("say")
        await scene.submit("say")
        with pytest.raises(OverLimit) as refused:
            await scene.submit("say")
        assert (refused.value.limit, refused.value.value, refused.value.used) == (
            "jobs_queued", 2, 2,
        )  # fmt: skip
        await scene.submit("say", OTHER)

    on_scene(scenario)


def test_old_jobs_are_forgotten_with_all_that_they_made(
    on_scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on a machine that has begun a moment ago, where the steady clock is near 0."""
    began = time.monotonic()
    young = SimpleNamespace(monotonic=lambda: time.monotonic() - began)
    monkeypatch.setattr(runner, "time", young)

    async def scenario(scene: Scene) -> None:
        async with scene.running(keep_days=1):
            old = await scene.ended(await scene.submit("say", text="old"))
            needed = await scene.ended(await scene.submit("say", text="needed"))
        scene.shift_us += 25 * 60 * MINUTE
        waiting = await scene.submit("say", after=[needed.id], queue="nobody")
        new = await scene.submit("say", queue="nobody")
        async with scene.running(keep_days=1, queues=["other"]):
            while True:
                left = {job.id for job in (await scene.jobs.jobs(MINE, Filters())).items}
                if old.id not in left:
                    break
                await asyncio.sleep(0.05)
        assert left == {needed.id, waiting.id, new.id}
        blobs = [blob.key for blob in scene.blobs.list(f"{MINE}/")]
        assert blobs
        assert not [key for key in blobs if old.id in key]
        assert [key for key in blobs if needed.id in key]

    on_scene(scenario)


# --- schedules ----------------------------------------------------------------------------------


def schedule(name: str = "often", **fields: Any) -> NewSchedule:
    given = {"cron": "*/5 * * * *", "job": NewJob("say", {"text": "tick"}), **fields}
    return NewSchedule(name, **given)


def test_a_schedule_submits_its_job_when_its_time_comes(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        scene.shift_us = 6 * MINUTE - scene.now() % (5 * MINUTE)  # far from its time
        made = await scene.jobs.create_schedule(MINE, schedule(), actor="tester")
        assert made.next_us is not None
        assert 0 < made.next_us - scene.now() <= 5 * MINUTE
        assert made.next_us % (5 * MINUTE) == 0
        async with scene.running():
            await asyncio.sleep(1.5)
            assert (await scene.jobs.jobs(MINE, Filters())).items == []
            scene.shift_us += made.next_us - scene.now()
            while not (await scene.jobs.jobs(MINE, Filters(schedule="often"))).items:
                await asyncio.sleep(0.05)
            (job,) = (await scene.jobs.jobs(MINE, Filters(schedule="often"))).items
            assert (await scene.ended(job)).state is State.SUCCEEDED
        after = await scene.jobs.schedule(MINE, "often")
        assert (after.last_job, after.next_us) == (job.id, made.next_us + 5 * MINUTE)

    on_scene(scenario)


def test_times_that_were_missed_count_once_and_only_for_one_runner(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.jobs.create_schedule(MINE, schedule(), actor="tester")
        scene.shift_us += 60 * MINUTE
        await asyncio.gather(
            *(asyncio.to_thread(submit_due, scene.records, scene.now) for _ in range(4))
        )
        assert len((await scene.jobs.jobs(MINE, Filters())).items) == 1

    on_scene(scenario)


@pytest.mark.parametrize(("overlap", "wanted"), [(False, 1), (True, 2)])
def test_a_run_waits_for_the_one_before_unless_told_otherwise(
    on_scene: Any, overlap: bool, wanted: int
) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.jobs.create_schedule(MINE, schedule(overlap=overlap), actor="tester")
        for _ in range(2):
            scene.shift_us += 5 * MINUTE
            submit_due(scene.records, scene.now)
        assert len((await scene.jobs.jobs(MINE, Filters())).items) == wanted

    on_scene(scenario)


def test_schedules_are_changed_disabled_and_removed(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        made = await scene.jobs.create_schedule(MINE, schedule(), actor="tester")
        with pytest.raises(ScheduleExists):
            await scene.jobs.create_schedule(MINE, schedule(), actor="tester")
        off = await scene.jobs.replace_schedule(
            MINE, schedule(enabled=False), actor="tester", if_revision=made.revision
        )
        assert (off.next_us, off.revision) == (None, made.revision + 1)
        with pytest.raises(ScheduleChanged):
            await scene.jobs.replace_schedule(MINE, schedule(), actor="t", if_revision=1)
        scene.shift_us += 60 * MINUTE
        submit_due(scene.records, scene.now)
        assert (await scene.jobs.jobs(MINE, Filters())).items == []
        for call in (
            scene.jobs.schedule(OTHER, "often"),
            scene.jobs.remove_schedule(OTHER, "often", actor="thief"),
            scene.jobs.replace_schedule(OTHER, schedule(), actor="thief"),
        ):
            with pytest.raises(UnknownJob):
                await call
        assert await scene.jobs.schedules(OTHER) == []
        await scene.jobs.remove_schedule(MINE, "often", actor="tester")
        assert await scene.jobs.schedules(MINE) == []
        actions = [
            e.action for e in scene.tenancy.trail.page(MINE, AuditFilter(subject="often")).items
        ]
        assert actions == ["schedule.remove", "schedule.change", "schedule.create"]

    on_scene(scenario)
