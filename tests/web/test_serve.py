"""A web process is ready when it answers itself, whoever else has its listening socket."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from carcloud.web import serve as module
from carcloud.web.serve import Door, serve_plain


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        opened.listen(100)
        yield opened.fileno()


class Answering:
    """Says its name to everybody."""

    def __init__(self, name: bytes) -> None:
        self.name = name

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for stage in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{stage}.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": self.name})


def test_one_that_does_not_come_up_is_not_ready(
    listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_S", 0.7)
    monkeypatch.setattr(module, "STOP_S", 1)

    async def stuck(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive, send
        await asyncio.sleep(3600)

    async def scene() -> None:
        async with serve_plain(stuck, "127.0.0.1", 0, Door(listener)):
            pass

    with pytest.raises(OSError, match="does not answer"):
        asyncio.run(scene())


def test_it_is_ready_beside_the_process_that_it_replaces(listener: int) -> None:
    async def scene() -> set[bytes]:
        said: set[bytes] = set()
        async with serve_plain(Answering(b"old"), "127.0.0.1", 0, Door(listener)) as address:
            for number in range(5):
                new = Answering(f"new {number}".encode())
                async with serve_plain(new, "127.0.0.1", 0, Door(listener)):
                    pass
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(
                serve_plain(Answering(b"last"), "127.0.0.1", 0, Door(listener))
            )
            async with httpx.AsyncClient() as http:
                said.add((await http.get(address.url)).content)
                said.add((await http.get(address.url, headers={"carcloud-process": "?"})).content)
        return said

    assert asyncio.run(scene()) == {b"last", b""}


@pytest.mark.parametrize("reads", [False, True])
def test_a_request_after_one_whose_body_was_not_wanted_is_never_read_as_that_body(
    reads: bool,
) -> None:
    seen: list[tuple[str, bytes]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await Answering(b"")(scope, receive, send)
            return
        body = (await receive())["body"] if reads else b""
        seen.append((scope["method"], body))
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def scene() -> bytes:
        async with serve_plain(app, "127.0.0.1", 0) as address, asyncio.timeout(20):
            reader, writer = await asyncio.open_connection(address.host, address.port)
            writer.write(
                b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
            )
            if reads:
                assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
                writer.write(b"!")
            writer.write(b"DELETE /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answers = await reader.read()
            writer.close()
        return answers

    answers = asyncio.run(scene())
    if reads:
        assert seen == [("PUT", b"!"), ("DELETE", b"")]
        assert answers.count(b" 404 ") == 2
    else:
        assert seen == [("PUT", b"")]
        assert b"connection: close" in answers
