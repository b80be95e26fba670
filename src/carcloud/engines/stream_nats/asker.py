"""Questions to NATS on a connection of their own, answered in one turn of the event loop.

The client library passes an answer on through three tasks. When a gateway is busy, each turn of its
loop reads hundreds of sockets first, and every vehicle waits for all of them. Here a question is
written where it is asked, and its answer is found where its bytes come in. What needs patience -
lost connections, subscriptions - is the library's, see `link`.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from carcloud.engines.stream_nats.limits import MAX_MESSAGE

_MESSAGE = re.compile(rb"(H?)MSG \S+\.(\d+) 1 (?:(\d+) )?(\d+)\r\n")
_LONGEST_LINE = 64 * 1024  # INFO names the servers of a cluster
_GREETING_S = 2.0
_PING_S = 2.0
_MOST_UNSENT = 16 * 1024 * 1024  # bytes that the server has not taken yet
_NO_RESPONDERS = b"NATS/1.0 503"


class Broken(Exception):
    """The connection has gone, or cannot be had: what was asked may or may not have arrived."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `heard` is False where nobody listens on the subject."""

    data: bytes
    heard: bool = True


class Asker(asyncio.Protocol):
    """One connection, from `dial` until it breaks."""

    def __init__(self, user: str, password: str, inbox: str) -> None:
        self._login = {"user": user, "pass": password} if user else {}
        self._inbox = inbox
        self._transport: asyncio.Transport | None = None
        self._greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._count = 0
        self._rest = bytearray()
        self._answered = True  # the last ping
        self._gone = asyncio.Event()

    @classmethod
    async def dial(cls, host: str, port: int, user: str, password: str, inbox: str) -> "Asker":
        """Connect and log in; raises `Broken`. Servers that want TLS are not asked this way."""
        loop = asyncio.get_running_loop()
        asker = cls(user, password, inbox)
        try:
            async with asyncio.timeout(_GREETING_S):
                await loop.create_connection(lambda: asker, host, port)
                await asker._greeted
        except (OSError, TimeoutError) as error:
            asker.close()
            raise Broken(str(error)) from error
        except BaseException:
            asker.close()
            raise
        return asker

    @property
    def up(self) -> bool:
        """Whether it can be asked."""
        return self._transport is not None and self._greeted.done()

    async def ask(self, subject: str, data: bytes, headers: Mapping[str, str] | None) -> Answer:
        """Publish `data` and return the answer; raises `Broken`."""
        if not self.up or self._transport is None:
            raise Broken("not connected")
        if self._transport.get_write_buffer_size() > _MOST_UNSENT:
            raise Broken("the server takes nothing")
        self._count += 1
        number = self._count
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._transport.writelines(_published(subject, f"{self._inbox}.{number}", data, headers))
        try:
            return await answer
        finally:
            self._asked.pop(number, None)

    async def until_gone(self) -> None:
        """Wait for its end; a connection on which a ping is not answered is ended."""
        while not self._gone.is_set():
            self._answered = False
            if self._transport is not None:
                self._transport.write(b"PING\r\n")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), _PING_S)
            if not self._answered:
                self.close()

    def close(self) -> None:
        """End the connection: what is asked is `Broken`."""
        if self._transport is not None:
            self._transport.abort()
        self.connection_lost(None)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._gone.set()
        broken = Broken(str(exc or "the connection was closed"))
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(broken)
        if not self._greeted.done():
            self._greeted.set_exception(broken)
            self._greeted.exception()  # `dial` may not wait for it any more

    def eof_received(self) -> None:
        self.close()

    def data_received(self, data: bytes) -> None:
        self._rest += data
        try:
            at = self._take_all()
        except ValueError:
            self.close()
            return
        del self._rest[:at]

    def _take_all(self) -> int:
        """Take what is whole; the bytes taken. Raises `ValueError` for what NATS does not say."""
        at = 0
        while (end := self._rest.find(b"\r\n", at)) >= 0:
            line = bytes(self._rest[at : end + 2])
            after = end + 2
            if line.startswith((b"MSG ", b"HMSG ")):
                whole = self._take_message(line, after)
                if whole is None:
                    return at
                after = whole
            else:
                self._take_line(line)
            at = after
        if len(self._rest) - at > _LONGEST_LINE:
            raise ValueError("no line is so long")
        return at

    def _take_message(self, line: bytes, start: int) -> int | None:
        """The end of the message whose first line this is; None when it is not all there."""
        found = _MESSAGE.fullmatch(line)
        if found is None:
            raise ValueError("not a message")
        has_headers, number, head, size = found.groups()
        head_size, whole_size = int(head or 0), int(size)
        misfit = bool(has_headers) != (head is not None) or head_size > whole_size
        if misfit or whole_size > 2 * MAX_MESSAGE:  # JetStream tells messages as base64
            raise ValueError("sizes that do not fit")
        end = start + whole_size
        if len(self._rest) < end + 2:
            return None
        answer = self._asked.get(int(number))
        if answer is not None and not answer.done():
            heard = head is None or not self._rest.startswith(_NO_RESPONDERS, start)
            answer.set_result(Answer(bytes(self._rest[start + head_size : end]), heard))
        return end + 2

    def _take_line(self, line: bytes) -> None:
        transport = self._transport
        if transport is None:
            return
        if line.startswith(b"PING"):
            transport.write(b"PONG\r\n")
        elif line.startswith(b"PONG"):
            self._answered = True
            if not self._greeted.done():
                self._greeted.set_result(None)
        elif line.startswith(b"INFO ") and not self._greeted.done():
            self._greet(json.loads(line[5:]), transport)
        elif line.startswith(b"-ERR") and b"Permissions Violation" not in line:
            raise ValueError(line.decode("utf-8", "replace"))

    def _greet(self, info: dict[str, Any], transport: asyncio.Transport) -> None:
        if info.get("tls_required") or not info.get("headers"):
            raise ValueError("TLS, or no headers")
        hello = {"verbose": False, "pedantic": False, "lang": "python", "version": "1"}
        hello |= {"headers": True, "no_responders": True, "name": "carcloud", "protocol": 1}
        said = json.dumps(hello | self._login)
        transport.write(f"CONNECT {said}\r\nSUB {self._inbox}.* 1\r\nPING\r\n".encode())


def _published(
    subject: str, reply: str, data: bytes, headers: Mapping[str, str] | None
) -> tuple[bytes, ...]:
    if not headers:
        return f"PUB {subject} {reply} {len(data)}\r\n".encode(), data, b"\r\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"NATS/1.0\r\n{lines}\r\n".encode()
    first = f"HPUB {subject} {reply} {len(head)} {len(head) + len(data)}\r\n".encode()
    return first + head, data, b"\r\n"
