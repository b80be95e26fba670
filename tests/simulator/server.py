"""A small GB/T 32960 server for the simulator's own tests: keeps what it took, answers as told."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from functools import reduce
from operator import xor
from typing import Literal

Behaviour = Literal["reply", "echo", "heartbeat", "error"]


@dataclass
class Server:
    """Answers login and heartbeats always, reports as `behaviour` says.

    `reply`: reading A; `echo`: reading B; `heartbeat`: reports get no answer;
    `error`: reports get an error reply. `drop` is the share of reports after which it breaks the
    connection instead of taking the report.
    """

    behaviour: Behaviour = "reply"
    drop_every: int = 0
    refuse_logins: int = 0
    taken: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    live: Counter[str] = field(default_factory=Counter)
    frames: list[bytes] = field(default_factory=list)
    logins: list[bytes] = field(default_factory=list)
    logouts: int = 0
    port: int = 0
    ssl: object = None

    async def __aenter__(self) -> "Server":
        self._writers: set[asyncio.StreamWriter] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.ssl)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0.05)

    def break_all(self) -> None:
        """Cut every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readexactly(24)
        rest = await reader.readexactly(int.from_bytes(head[22:24], "big") + 1)
        frame = head + rest
        assert frame[:2] in (b"##", b"$$")
        assert reduce(xor, frame[2:]) == 0, "wrong check byte"
        command, vin = frame[2], frame[4:21].decode()
        if command == 0x01:
            self.logins.append(frame)
            if self.refuse_logins:
                self.refuse_logins -= 1
                return False
            writer.write(_reply(frame, 1, frame[24:30]))
        elif command == 0x04:
            self.logouts += 1
        elif command == 0x07:
            writer.write(_reply(frame, 1, b""))
        elif command in (0x02, 0x03):
            return self._report(frame, vin, writer)
        return True

    def _report(self, frame: bytes, vin: str, writer: asyncio.StreamWriter) -> bool:
        self.live[vin] += frame[2] == 0x02
        self.frames.append(frame)
        if self.drop_every and len(self.frames) % self.drop_every == 0:
            writer.transport.abort()
            return False
        if self.behaviour == "error":
            writer.write(_reply(frame, 2, frame[24:30]))
            return True
        self.taken[vin, frame[24:30]] += 1
        if self.behaviour == "reply":
            writer.write(_reply(frame, 1, frame[24:30]))
        elif self.behaviour == "echo":
            writer.write(_reply(frame, 1, bytes((26, 1, 1, 0, 0, 0)) + frame[30:-1]))
        return True


def _reply(frame: bytes, flag: int, unit: bytes) -> bytes:
    body = frame[2:3] + bytes((flag,)) + frame[4:22] + len(unit).to_bytes(2, "big") + unit
    return frame[:2] + body + bytes((reduce(xor, body),))
