"""Request rates of tenants: what is refused, what it says, and that the others lose nothing."""

import asyncio
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import httpx
from litestar import Litestar, get
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from carcloud.model.ids import Tenant
from carcloud.model.limits import UNLIMITED
from carcloud.services.tenancy.api import Identity
from carcloud.web import rates as module
from carcloud.web.callers import Caller
from carcloud.web.observed import WebFigures
from carcloud.web.problems import exception_handlers
from carcloud.web.rates import LATE_S, RequestRates, add_rate_headers
from carcloud.web.serve import serve

A, B = Tenant("a"), Tenant("b")


def made(rates: RequestRates) -> Litestar:
    """An application whose callers say who they are."""

    def who(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        tenant = Tenant(connection.headers["x-tenant"])
        connection.scope["user"] = Caller(Identity("u", tenant, frozenset()), "")

    @get("/v1/thing", guards=[who, rates.guard()], sync_to_thread=False)
    def thing() -> str:
        return "x" * 1000

    return Litestar(
        [thing], exception_handlers=exception_handlers({}), before_send=[add_rate_headers]
    )


def run(
    limits: dict[Tenant, float], scene: Any, rates: RequestRates | None = None
) -> tuple[RequestRates, dict]:
    rates, used = rates or limited(limits), {}

    def use(tenant: Tenant, meter: str, quantity: int) -> None:
        used[tenant, meter] = used.get((tenant, meter), 0) + quantity

    async def main() -> None:
        async with (
            serve(made(rates), "127.0.0.1", 0, WebFigures(use=use)) as address,
            httpx.AsyncClient(base_url=address.url, timeout=60) as client,
        ):
            await scene(client)

    asyncio.run(main())
    return rates, used


def limited(limits: dict[Tenant, float]) -> RequestRates:
    return RequestRates(lambda tenant: limits.get(tenant, UNLIMITED))


async def ask(client: httpx.AsyncClient, tenant: Tenant) -> httpx.Response:
    return await client.get("/v1/thing", headers={"x-tenant": tenant})


def test_above_the_rate_is_429_with_what_is_left_and_when_to_come_again(monkeypatch):
    now = [1000.0]  # s; stands still unless told
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    async def scene(client: httpx.AsyncClient) -> None:
        good = [await ask(client, A) for _ in range(5)]
        refused = await ask(client, A)
        assert {one.status_code for one in good} == {200}
        assert good[0].headers["ratelimit-policy"] == '"requests";q=5;w=1'
        assert good[0].headers["ratelimit"] == '"requests";r=4;t=1'
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["ratelimit"] == '"requests";r=0;t=1'
        problem = refused.json()
        assert problem["type"] == "urn:carcloud:problem:quota"
        assert problem["quota"]["limit"] == "requests_per_second"
        assert "carcloud quotas set" in problem["quota"]["how"]
        free = await ask(client, B)
        assert (free.status_code, "ratelimit" in free.headers) == (200, False)
        now[0] += 1.0
        again = [(await ask(client, A)).status_code for _ in range(6)]
        assert again == [200] * 5 + [429]

    rates, used = run({A: 5}, scene)
    assert rates.refused[A] == 2
    assert used[A, "api_requests"] == 10  # refusals cost nothing
    assert used[B, "api_requests"] == 1
    assert used[B, "api_bytes_out"] == 1000
    assert rates.take_counts() == {A: 10, B: 1}


def test_a_limit_of_nothing_lets_nobody_in():
    async def scene(client: httpx.AsyncClient) -> None:
        answer = await ask(client, A)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")

    run({A: 0}, scene)


FLOODERS = 60
FLOOD = """
import asyncio, sys, threading

async def one(port, request, over):
    sent = 0
    while not over.is_set():
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while not over.is_set():
                writer.write(request)
                head = await reader.readuntil(b"\\r\\n\\r\\n")
                size = int(head.lower().split(b"content-length: ")[1].split(b"\\r")[0])
                await reader.readexactly(size)
                sent += 1
        except (OSError, asyncio.IncompleteReadError):
            pass
    return sent

async def main():
    request = b"GET /v1/thing HTTP/1.1\\r\\nhost: x\\r\\nx-tenant: a\\r\\n\\r\\n"
    clock, over = asyncio.get_running_loop().time, threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set())).start()
    began = clock()
    print(sum(await asyncio.gather(*(one(int(sys.argv[1]), request, over) for _ in range(60)))))
    print(clock() - began)

asyncio.run(main())
"""


def test_a_flood_of_one_tenant_takes_nothing_of_the_other():
    """How long B waits beside it, in ms, is a row of `./dev bench neighbours`."""

    async def scene(client: httpx.AsyncClient) -> None:
        words = (sys.executable, "-c", FLOOD, str(client.base_url.port))
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        flood = await asyncio.create_subprocess_exec(*words, **pipes)
        began = time.monotonic()
        while time.monotonic() < began + 3 or rates.refused.get(A, 0) <= 20:
            assert time.monotonic() < began + 60
            answers.append((await ask(client, B)).status_code)
            await asyncio.sleep(0.02)
        sent, took = (await flood.communicate(b""))[0].split()
        # A client that repeats at once is made to wait; what A may send comes on top.
        most = FLOODERS * (float(took) / LATE_S + 1) + 20 * (float(took) + 1)
        assert int(sent) < most

    answers: list[int] = []
    rates = limited({A: 20, B: 1000})
    run({}, scene, rates)
    assert rates.refused[B] == 0
    assert len(answers) > 5
    assert set(answers) == {200}
