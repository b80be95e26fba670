"""The connection that questions to NATS go over: bytes in any pieces, hostile bytes, its end."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from carcloud.engines.stream_nats import asker as asker_module
from carcloud.engines.stream_nats.asker import Answer, Asker, Broken

INFO = b'INFO {"headers":true,"max_payload":1048576}\r\n'


class Wire(asyncio.Transport):
    """Takes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.aborted, self.unsent = b"", False, 0
        self.on_ping = lambda: None

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def write(self, data: Any) -> None:
        self.sent += bytes(data)
        if data == b"PING\r\n":
            self.on_ping()

    def writelines(self, list_of_data: Any) -> None:
        self.sent += b"".join(list_of_data)

    def abort(self) -> None:
        self.aborted = True


def greeted() -> tuple[Asker, Wire]:
    asker, wire = Asker("u", "p", "_INBOX.x"), Wire()
    asker.connection_made(wire)
    asker.data_received(INFO)
    assert wire.sent.startswith(b"CONNECT {") and b"SUB _INBOX.x.* 1\r\nPING\r\n" in wire.sent
    asker.data_received(b"PONG\r\n")
    assert asker.up
    return asker, wire


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(st.lists(st.integers(0, 1000)), st.binary(max_size=50))
@example([], b"NATS/1.0 503")  # without headers it is an answer like any other
def test_answers_come_in_any_pieces(cuts, body):
    async def scene() -> None:
        asker, wire = greeted()
        asked = [asyncio.create_task(asker.ask("a.b", b"data", None)) for _ in range(3)]
        await asyncio.sleep(0)
        assert wire.sent.endswith(b"PUB a.b _INBOX.x.3 4\r\ndata\r\n")
        said = b"MSG _INBOX.x.2 1 %d\r\n%s\r\nPING\r\n" % (len(body), body)
        said += b"HMSG _INBOX.x.1 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n+OK\r\n"
        said += b"HMSG _INBOX.x.3 1 12 %d\r\nNATS/1.0\r\n\r\n%s\r\n" % (12 + len(body), body)
        said += b"MSG _INBOX.x.9 1 2\r\nhi\r\n"  # nobody waits for it any more
        for piece in pieces(said, cuts):
            asker.data_received(piece)
        answers = await asyncio.gather(*asked)
        assert answers == [Answer(b"", heard=False), Answer(body), Answer(body)]
        assert wire.sent.endswith(b"PONG\r\n")

    asyncio.run(scene())


PARTS = [b"MSG ", b"\r\n", b"HMSG _INBOX.x.1 1 9 3\r\n", INFO]


@given(st.lists(st.binary() | st.sampled_from(PARTS)))
def test_no_bytes_upset_it(data):
    async def scene() -> None:
        asker, _ = greeted()
        asked = asyncio.create_task(asker.ask("a", b"", None))
        await asyncio.sleep(0)
        for piece in data:
            asker.data_received(piece)
        asker.close()
        with pytest.raises(Broken):
            await asked

    asyncio.run(scene())


@pytest.mark.parametrize(
    "said",
    [
        b"-ERR 'Authorization Violation'\r\n",
        b"MSG _INBOX.x.1 1 99999999999\r\n",
        b"HMSG _INBOX.x.1 1 20 10\r\n",
        b"MSG nonsense\r\n",
        b"x" * 70_000,
    ],
)
def test_what_is_not_the_protocol_ends_it(said):
    async def scene() -> None:
        asker, wire = greeted()
        asker.data_received(said)
        assert wire.aborted and not asker.up

    asyncio.run(scene())


def test_one_that_answers_no_ping_is_ended(monkeypatch):
    monkeypatch.setattr(asker_module, "_PING_S", 0.05)

    async def scene() -> None:
        asker, wire = greeted()
        asked = asyncio.create_task(asker.ask("a", b"", None))
        pings = 0

        def answer() -> None:
            nonlocal pings
            pings += 1
            if pings < 4:
                asker.data_received(b"PONG\r\n")

        wire.on_ping = answer
        await asyncio.wait_for(asker.until_gone(), 30)
        assert wire.aborted and pings == 4
        with pytest.raises(Broken):
            await asked

    asyncio.run(scene())


def test_one_that_takes_nothing_is_not_asked():
    async def scene() -> None:
        asker, wire = greeted()
        wire.unsent = 17 * 1024 * 1024
        with pytest.raises(Broken):
            await asker.ask("a", b"", None)

    asyncio.run(scene())
