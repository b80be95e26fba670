"""What is told on a tenant's subjects reaches nobody of another tenant.

Made from the table of streams: a new subject that names a tenant is tried by itself.
"""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.web.conftest import PATIENCE_S

from carcloud.model import ids, streams
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.web import live

SUBJECTS = {
    name: function
    for name, function in inspect.getmembers(streams, inspect.isfunction)
    if name.endswith("_subject") and "tenant" in inspect.signature(function).parameters
}
OWNER, NEIGHBOURS = Tenant("a"), (Tenant("a-b"), Tenant("aa"), Tenant("b"))


def subject(function: Callable[..., str], tenant: Tenant) -> str:
    others = [name for name in inspect.signature(function).parameters if name != "tenant"]
    return function(tenant, **{name: "same" for name in others})


def test_all_subjects_that_name_a_tenant_are_known() -> None:
    families = {function(*"*" * len(inspect.signature(function).parameters))
                for function in SUBJECTS.values()}  # fmt: skip
    told = {spec.subjects for spec in streams.STREAMS if f"{spec.carries}".find("<tenant>") >= 0}
    assert {one.replace("*.*.*", ">") for one in families} == told


@given(st.text(max_size=42))
def test_no_tenant_is_called_like_a_pattern(name: str) -> None:
    try:
        tenant = ids.tenant(name)
    except ids.InvalidId:
        return
    for function in SUBJECTS.values():
        place = subject(function, tenant).split(".")
        assert place[1] == tenant
        assert len(place) == len(subject(function, OWNER).split("."))
        assert not set(tenant) & set("*> \t\r\n\0")


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_neighbour_hears_nothing(cloud: Any, name: str) -> None:
    function = SUBJECTS[name]
    heard: dict[Tenant, list[bytes]] = {tenant: [] for tenant in (OWNER, *NEIGHBOURS)}

    async def scene() -> None:
        stops = []
        for tenant, kept in heard.items():

            async def on_message(_: str, data: bytes, kept: list[bytes] = kept) -> None:
                kept.append(data)

            stops.append(await cloud.stream.listen(subject(function, tenant), on_message))
        for tenant in heard:
            await cloud.stream.broadcast(subject(function, tenant), tenant.encode())
        end = time.monotonic() + PATIENCE_S / 2
        while not all(heard.values()) and time.monotonic() < end:
            await asyncio.sleep(0.01)
        for stop in stops:
            await stop()

    cloud.run(scene())
    assert heard == {tenant: [tenant.encode()] for tenant in heard}


def test_the_live_stream_tells_of_nobody_else(
    cloud: Any, make_frame: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "TICK_S", 0.05)
    monkeypatch.setattr(live, "STATUS_S", 0.1)
    mine, theirs = "ZQXSTREAM00000001", "ZQXSTREAM00000002"
    cloud.settle("stream-a", "stream-owner")
    cloud.register(mine, tenant=Tenant("stream-a"))
    cloud.register(theirs, tenant=Tenant("other"))
    told: dict[str, str] = {}
    for user in ("stranger", "stream-owner"):  # the one who must not hear it listens first
        with cloud.client(user) as client, client.stream("GET", "/v1/live") as answer:
            lines = answer.iter_lines()
            next(lines)
            for vehicle, tenant in ((mine, Tenant("stream-a")), (theirs, Tenant("other"))):
                there = [[vehicle, now_us(), None, None, None]]
                told_by = {"instance": f"g-{user}", "full": True, "open": there, "closed": []}
                cloud.tell_sessions(told_by, tenant)
                cloud.send(vehicle, make_frame(now_us(), speed=7), tenant=tenant)
            text, end = "", time.monotonic() + PATIENCE_S
            own = theirs if user == "stranger" else mine
            while own not in text:
                assert time.monotonic() < end, text
                text += next(lines)
            for _ in range(20):  # what comes after it as well
                text += next(lines)
            told[user] = text
    assert theirs in told["stranger"]
    assert mine not in told["stranger"]
    assert mine in told["stream-owner"]
    assert theirs not in told["stream-owner"]
    assert "stream-a" not in told["stranger"]
