"""Jobs from submission to their end, on real engines."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from carcloud.model.streams import EVENTS
from carcloud.services.compute.api import (
    Filters,
    InvalidJob,
    JobEnded,
    Logged,
    NewJob,
    State,
    UnknownJob,
)
from carcloud.services.tenancy.api import AuditFilter
from tests.services.compute.scene import MINE, OTHER, WHOLE_S, Scene

pytestmark = pytest.mark.timeout(WHOLE_S + 20)


def test_a_job_is_done_and_everything_it_told_is_kept(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        job = await scene.submit("say", text="hello", name="greeting")
        assert (job.state, job.attempt, job.actor) == (State.QUEUED, 0, "tester")
        async with scene.running():
            job = await scene.ended(job)
        assert (job.state, job.attempt, job.error) == (State.SUCCEEDED, 1, None)
        assert job.result == {"said": "hello", "attempt": 1}
        assert (job.progress, job.message) == (1.0, "step 4")
        assert [value for _, value in job.metrics["loss"]] == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]
        assert await scene.log_of(job) == "printed hello\nto stderr\nlogged 中文\n"
        (made,) = await scene.jobs.artifacts(MINE, job.id)
        assert (made.name, made.bytes, made.media) == ("out/text.txt", 5, "text/plain")
        assert await scene.jobs.artifact_bytes(MINE, made) == b"hello"
        (attempt,) = await scene.jobs.attempts(MINE, job.id)
        assert (attempt.number, attempt.outcome) == (1, "succeeded")
        assert attempt.cpu_seconds > 0
        assert ":" in attempt.where

    on_scene(scenario)


def test_the_end_is_an_event_and_the_beginning_is_in_the_audit(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        async with scene.running():
            good = await scene.ended(await scene.submit("say"))
            bad = await scene.ended(await scene.submit("refuse", text="no rows"))
            await scene.jobs.submit(OTHER, NewJob("say"), actor="stranger")
            told = await _events(scene, {good.id, bad.id})
        assert (told[good.id]["state"], told[good.id]["error"]) == ("succeeded", None)
        assert (told[bad.id]["limit"], told[bad.id]["error"]) == ("rows", "no rows")
        entries = scene.tenancy.trail.page(MINE, AuditFilter(subject=good.id)).items
        assert [(e.action, e.actor) for e in entries] == [("job.submit", "tester")]

    on_scene(scenario)


async def _events(scene: Scene, wanted: set[str]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    async with asyncio.timeout(20):
        async for messages in scene.stream.read(EVENTS.name, "test", batch=50, wait_s=0.2):
            for message in messages:
                assert message.subject.endswith(".compute.job-ended")
                event = json.loads(message.data)
                told[event["job"]] = event
            if wanted <= set(told):
                return told
    raise AssertionError("not all told")


def test_a_failed_attempt_is_made_again_until_there_are_no_more(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        async with scene.running():
            third = await scene.ended(await scene.submit("fail", number=3, retries=3))
            never = await scene.ended(await scene.submit("fail", number=9, retries=1))
            once = await scene.ended(await scene.submit("refuse", text="bad SQL", retries=5))
        assert (third.state, third.attempt, third.result) == (State.SUCCEEDED, 3, 3)
        assert (never.state, never.attempt) == (State.FAILED, 2)
        assert "ValueError: not yet" in (never.error or "")
        assert (once.state, once.attempt, once.error) == (State.FAILED, 1, "bad SQL")
        outcomes = [a.outcome for a in await scene.jobs.attempts(MINE, third.id)]
        assert outcomes == ["failed", "failed", "succeeded"]
        assert (await scene.log_of(third, 2)).startswith("try 2\n[attempt 2 ended: ")
        assert await scene.log_of(third) == "try 3\n"

    on_scene(scenario)


def test_pauses_between_attempts_double(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        async with scene.running():
            job = await scene.submit("fail", number=9, retries=9, backoff_s=100.0)
            for attempt, pause_s in ((1, 100), (2, 200), (3, 400)):
                waits = await scene.until(
                    job, lambda j, a=attempt: j.attempt == a and j.state is State.QUEUED
                )
                ended = (await scene.jobs.attempts(MINE, job.id))[-1].ended_us
                assert ended is not None
                assert waits.ready_us - ended == pause_s * 1_000_000
                scene.shift_us += pause_s * 1_000_000
            await scene.jobs.cancel(MINE, job.id, actor="tester")

    on_scene(scenario)


def test_a_process_that_dies_is_told_and_tried_again(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        async with scene.running():
            again = await scene.ended(await scene.submit("die", number=2, retries=1))
            dead = await scene.ended(await scene.submit("die", number=9))
        assert (again.state, again.attempt) == (State.SUCCEEDED, 2)
        assert (dead.state, dead.error) == (State.FAILED, "its process was ended by SIGKILL")

    on_scene(scenario)


def test_a_job_that_takes_too_long_is_timed_out(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        async with scene.running():
            for timeout_s in (3.0, 10.0, 60.0):  # where its worker was slow to begin, longer
                new = await scene.submit("sleep", number=600, timeout_s=timeout_s)
                job = await scene.ended(new)
                assert (job.state, job.limit) == (State.TIMED_OUT, "timeout_s")
                if "asleep" in await scene.log_of(job):
                    return
        raise AssertionError("its log is not kept")

    on_scene(scenario)


def test_cancel_ends_what_waits_and_what_runs(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        waiting = await scene.submit("say")
        cancelled = await scene.jobs.cancel(MINE, waiting.id, actor="tester")
        assert cancelled.state is State.CANCELLED
        with pytest.raises(JobEnded):
            await scene.jobs.cancel(MINE, waiting.id, actor="tester")
        async with scene.running():
            job = await scene.submit("sleep", number=600, retries=5)
            await scene.until(job, lambda j: j.state is State.RUNNING)
            asked = await scene.jobs.cancel(MINE, job.id, actor="tester")
            assert asked.cancelling or asked.state is State.CANCELLED
            job = await scene.ended(job)
            after = await scene.ended(await scene.submit("say"))
        assert (job.state, job.attempt) == (State.CANCELLED, 1)
        assert after.state is State.SUCCEEDED
        assert (await scene.jobs.job(MINE, waiting.id)).attempt == 0

    on_scene(scenario)


def test_jobs_wait_for_those_they_name(on_scene: Any, tmp_path: Path) -> None:
    order = tmp_path / "order"
    order.mkdir()

    def step(key: str, *after: str) -> NewJob:
        params = {"folder": str(order), "text": key, "number": 0.05}
        return NewJob("touch", params, key=key, after=list(after))

    async def scenario(scene: Scene) -> None:
        batch = [step("d", "b", "c"), step("b", "a"), step("c", "a"), step("a")]
        made = await scene.jobs.submit_batch(MINE, batch, actor="tester")
        async with scene.running():
            ended = await asyncio.gather(*(scene.ended(job) for job in made))
        assert {job.state for job in ended} == {State.SUCCEEDED}
        names = [path.name.split("-")[1] for path in sorted(order.iterdir())]
        assert (names[0], names[-1], set(names[1:3])) == ("a", "d", {"b", "c"})

    on_scene(scenario)


def test_a_failure_cancels_all_that_wait_for_it(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        first = await scene.submit("refuse", text="no")
        second = await scene.submit("say", after=[first.id])
        third = await scene.submit("say", after=[second.id])
        async with scene.running():
            assert (await scene.ended(first)).state is State.FAILED
            ended = [await scene.ended(job) for job in (second, third)]
        assert [job.state for job in ended] == [State.CANCELLED] * 2
        assert first.id in (ended[0].error or "")
        with pytest.raises(InvalidJob, match="did not succeed"):
            await scene.submit("say", after=[first.id])

    on_scene(scenario)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "nothing"}, "kind"),
        ({"kind": "say", "params": {"text": 7}}, "params"),
        ({"kind": "say", "params": {"colour": "red"}}, "params"),
        ({"kind": "say", "memory_mb": 4001}, "memory_mb"),
        ({"kind": "say", "after": ["0123456789ab"]}, "after"),
        ({"kind": "say", "params": {"text": "x" * 1_000_001}}, "params"),
    ],
)
def test_what_cannot_be_done_is_refused(on_scene: Any, fields: Any, field: str) -> None:
    async def scenario(scene: Scene) -> None:
        with pytest.raises(InvalidJob) as error:
            await scene.jobs.submit(MINE, NewJob(**fields), actor="tester")
        assert error.value.field == field

    on_scene(scenario)


def test_circles_are_refused_and_nothing_is_left(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        batch = [NewJob("say", key="a", after=["b"]), NewJob("say", key="b", after=["a"])]
        with pytest.raises(InvalidJob, match="a waits for b waits for a"):
            await scene.jobs.submit_batch(MINE, batch, actor="tester")
        assert (await scene.jobs.jobs(MINE, Filters())).items == []

    on_scene(scenario)


def test_a_follower_gets_the_whole_log_live_and_from_any_byte(
    on_scene: Any, tmp_path: Path
) -> None:
    """Live: the job writes no more until what it has written is read."""
    read = tmp_path / "read"
    read.mkdir()

    async def scenario(scene: Scene) -> None:
        async with scene.running():
            job = await scene.submit("chatter", number=150, folder=str(read))
            first = ""
            async for news in scene.jobs.follow(MINE, job.id):
                if isinstance(news, Logged):
                    assert news.offset == len(first.encode())
                    first += news.text
                    for line in range(first.count("\n")):
                        (read / str(line)).touch()
        whole = "".join(f"line {line} äöü中文\n" for line in range(150))
        assert first == whole == await scene.log_of(job)
        start = len(whole[:100].encode())
        rest = [n.text async for n in scene.jobs.follow(MINE, job.id, attempt=1, offset=start)
                if isinstance(n, Logged)]  # fmt: skip
        assert "".join(rest) == whole[100:]
        tail = await scene.jobs.log(MINE, job.id, start=-10)
        assert tail.data == whole.encode()[-10:]
        assert (tail.end, tail.size) == (len(whole.encode()),) * 2

    on_scene(scenario)


def test_a_follower_misses_nothing_while_live_news_are_lost(
    on_scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(scene: Scene) -> None:
        tell, count = scene.stream.broadcast, 0

        async def lossy(subject: str, data: bytes) -> None:
            nonlocal count
            count += 1
            if count % 3 or not subject.startswith("jobs."):
                await tell(subject, data)

        monkeypatch.setattr(scene.stream, "broadcast", lossy)
        async with scene.running():
            job = await scene.submit("chatter", number=150)
            texts = [n.text async for n in scene.jobs.follow(MINE, job.id)
                     if isinstance(n, Logged)]  # fmt: skip
        assert "".join(texts) == "".join(f"line {line} äöü中文\n" for line in range(150))

    on_scene(scenario)


def test_a_log_ends_at_its_limit_and_says_so(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        async with scene.running(log_bytes=1_000_000):
            job = await scene.ended(await scene.submit("flood", number=3000))
        part = await scene.jobs.log(MINE, job.id, start=-100)
        assert part.data.endswith(b"[the log ends here: 1 MB (compute.log_mb)]\n")
        assert part.size < 1_000_100

    on_scene(scenario)


def test_artifacts_pass_from_job_to_job_but_not_between_tenants(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        async with scene.running():
            first = await scene.ended(await scene.submit("say", text="hello"))
            name = f"{first.id}/out/text.txt"
            second = await scene.ended(await scene.submit("copy", text=name, after=[first.id]))
            stolen = await scene.ended(await scene.submit("copy", OTHER, text=name))
            large = await scene.ended(await scene.submit("large", number=1_000_001))
        assert second.result == 5
        (made,) = await scene.jobs.artifacts(MINE, second.id)
        assert await scene.jobs.artifact_bytes(MINE, made) == b"hello!"
        assert (stolen.state, "has no artifact" in (stolen.error or "")) == (State.FAILED, True)
        assert large.limit == "compute.artifact_mb"

    on_scene(scenario)


def test_tenants_see_and_touch_only_their_own(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        async with scene.running():
            job = await scene.ended(await scene.submit("say", text="secret"))
        jobs = scene.jobs
        for call in (
            jobs.job(OTHER, job.id), jobs.attempts(OTHER, job.id), jobs.log(OTHER, job.id),
            jobs.log(OTHER, job.id, attempt=1), jobs.artifacts(OTHER, job.id),
            jobs.artifact(OTHER, job.id, "out/text.txt"),
            jobs.cancel(OTHER, job.id, actor="thief"),
        ):  # fmt: skip
            with pytest.raises(UnknownJob):
                await call
        with pytest.raises(UnknownJob):
            async for _ in jobs.follow(OTHER, job.id):
                pass
        with pytest.raises(InvalidJob, match="there is no job"):
            await scene.submit("say", OTHER, after=[job.id])
        assert (await jobs.jobs(OTHER, Filters())).items == []

    on_scene(scenario)


def test_lists_are_filtered_and_paged(on_scene: Any) -> None:
    async def scenario(scene: Scene) -> None:
        made = [await scene.submit("say", name=f"Job {i}", queue=f"q{i % 2}") for i in range(7)]
        await scene.jobs.cancel(MINE, made[3].id, actor="tester")
        seen, before = [], None
        while True:
            page = await scene.jobs.jobs(MINE, Filters(), before=before, limit=3)
            seen += [job.id for job in page.items]
            before = page.next_before
            if before is None:
                break
        assert seen == [job.id for job in reversed(made)]

        async def count(**filters: Any) -> int:
            return len((await scene.jobs.jobs(MINE, Filters(**filters))).items)

        assert await count(queue="q1") == 3
        assert await count(state=State.CANCELLED) == 1
        assert await count(q="job 5") == 1
        assert await count(q=made[2].id[-8:]) == 1
        assert await count(kind="fail") == 0

    on_scene(scenario)
