"""When the Python client asks again, against a server that fails as it is told."""

import time
from typing import Any

import httpx
import pytest

import carcloud.client as cc
from carcloud.client.retry import Retry

QUICK = Retry(times=2, first_s=0.01, most_s=2)
STATUS = "/v1/status"
DONE = {"tried": 0, "queued": 0}
ALL = "/v1/dead-letters/reprocess"


@pytest.fixture
def client(web: Any) -> Any:
    with cc.Client(web.url, retry=QUICK) as client:
        yield client


def answers(status: int, **headers: str) -> httpx.Response:
    return httpx.Response(status, headers=headers, request=httpx.Request("GET", "http://x"))


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_reading_is_repeated(web: Any, client: cc.Client, status: int) -> None:
    web.says("GET", "/v1/tables", {}, status)
    web.says("GET", "/v1/tables", {}, status)
    web.says("GET", "/v1/tables", {"items": []})
    assert client.tables() == ()
    assert len(web.asked) == 3


def test_it_is_given_up_in_the_end(web: Any, client: cc.Client) -> None:
    web.says("GET", "/v1/tables", {"detail": "the lake does not answer"}, 503, retry_after="0")
    with pytest.raises(cc.ServerFailed, match="the lake does not answer") as error:
        client.tables()
    assert len(web.asked) == 3
    assert error.value.retry_after_s == 0


def test_a_change_is_repeated_only_when_the_server_says_when(web: Any, client: cc.Client) -> None:
    web.says("POST", ALL, {}, 503)
    with pytest.raises(cc.ServerFailed):
        client.dead_letters.reprocess_all()
    assert len(web.asked) == 1


def test_a_retry_after_is_kept_to(web: Any, client: cc.Client) -> None:
    web.says("POST", ALL, {}, 429, retry_after="1")
    web.says("POST", ALL, DONE)
    began = time.monotonic()
    assert client.dead_letters.reprocess_all().tried == 0
    assert time.monotonic() - began >= 1


def test_a_long_retry_after_is_told_instead(web: Any, client: cc.Client) -> None:
    quota = {"limit": "query_seconds", "value": 9, "used": 9, "unit": "s", "how": "ask"}
    document = {"title": "Too Many Requests", "detail": "no more today", "quota": quota}
    web.says("POST", "/v1/query", document, 429, retry_after="3600")
    with pytest.raises(cc.TooMany) as error:
        client.query("SELECT 1")
    assert (error.value.retry_after_s, len(web.asked)) == (3600, 1)
    assert error.value.quota is not None
    assert error.value.quota.limit == "query_seconds"


def test_what_a_defect_answers_is_not_repeated(web: Any, client: cc.Client) -> None:
    web.says("GET", "/v1/tables", b"oops", 500)
    with pytest.raises(cc.ServerFailed, match="answered 500"):
        client.tables()
    assert len(web.asked) == 1


@pytest.mark.parametrize("document", [b"<html>", {"things": []}])
def test_something_else_that_answers_is_no_carcloud(
    web: Any, client: cc.Client, document: Any
) -> None:
    web.says("GET", "/v1/tables", document)
    with pytest.raises(cc.NotCarcloud):
        client.tables()


def test_a_broken_connection_is_repeated_for_reading_alone() -> None:
    broken = httpx.ReadError("reset")
    reading = QUICK.begin(reads=True, url="u")
    pauses = [reading.failed(broken), reading.failed(broken)]
    assert 0.005 <= pauses[0] <= 0.01 <= pauses[1] <= 0.02
    with pytest.raises(cc.Unreachable):
        reading.failed(broken)
    with pytest.raises(cc.Unreachable):
        QUICK.begin(reads=False, url="u").failed(broken)
    assert QUICK.begin(reads=False, url="u").failed(httpx.ConnectError("nobody")) > 0
    with pytest.raises(cc.Unreachable):
        QUICK.begin(reads=True, url="u").failed(broken, can=False)


def test_pauses_double_up_to_the_longest() -> None:
    attempts = Retry(times=20, first_s=1, most_s=8).begin(reads=True, url="u")
    pauses = [attempts.answered(answers(503)) or 0 for _ in range(6)]
    for pause, whole in zip(pauses, [1, 2, 4, 8, 8, 8], strict=True):
        assert whole / 2 <= pause <= whole


def test_a_followed_job_goes_on_where_it_broke_off(web: Any, client: cc.Client) -> None:
    path, job = "/v1/jobs/abcdef0123/events", "abcdef0123"
    text = 'event: log\ndata: {"attempt": 1, "offset": %d, "text": "%s"}\n\n'
    # the first answer ends while the job runs: as when the web process is started anew
    web.says("GET", path, b"retry: 2000\n\n" + (text % (0, "äb")).encode())
    web.says("GET", path, (text % (3, "c")).encode() + b"event: job\ndata: " + JOB + b"\n\n")
    news = list(client.jobs.follow(job))
    assert "".join(one.text for one in news if isinstance(one, cc.LogText)) == "äbc"
    assert web.asked[1].query == {"attempt": ["1"], "offset": ["3"]}


JOB = b"""{"id": "abcdef0123", "project": "main", "kind": "k", "name": "", "queue": "default",
"priority": 5, "state": "succeeded", "attempt": 1, "retries": 0, "progress": 1.0, "message": "",
"error": null, "limit": null, "cancelling": false, "schedule": null, "user": "u",
"created": "2026-05-01T00:00:00Z", "ready": "2026-05-01T00:00:00Z", "started": null,
"ended": null, "seconds": null, "params": {}, "timeout_s": 1.0, "cpus": 1.0, "memory_mb": 512,
"backoff_s": 1.0, "result": null, "metrics": {}, "attempts": [],
"after": []}""".replace(b"\n", b" ")
