"""`events.<tenant>.vehicles.sessions`: who came to a gateway process and who went."""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from carcloud.gateway.roster import Changes
from carcloud.model.ids import Tenant
from carcloud.model.streams import event_subject
from carcloud.model.time import iso, now_us
from carcloud.ports.errors import EngineError, Refused
from carcloud.ports.stream import Stream

log = logging.getLogger(__name__)

_MOST = 16_000_000  # bytes that wait for the stream; beyond it the oldest events are let go
_EVENT_BYTES = 400_000  # about, of one event: a message as large as blocks of frames
_RETRY_S = 1.0
_KINDS = ("closed", "platforms_closed", "open", "platforms")  # a name in two has gone and come


class SessionEvents:
    """Of one gateway process: each event waits, in order, until the stream has kept it."""

    def __init__(self, stream: Stream, instance: str) -> None:
        self._stream = stream
        self._instance = instance
        self._count = 0
        self._waiting: deque[tuple[str, bytes, str]] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._too_many = False  # since the last time that nothing waited
        self.dropped = 0

    def note(self, changes: Mapping[Tenant, Changes]) -> None:
        """What has just happened, by tenant; `run` publishes it."""
        for tenant, change in changes.items():
            for data in _events({"time": iso(now_us())}, change.told()):
                self._count += 1
                message_id = f"{self._instance}-sessions-{self._count}"
                subject = event_subject(tenant, "vehicles", "sessions")
                self._waiting.append((subject, data, message_id))
                self._bytes += len(data)
        while self._bytes > _MOST:
            self._next()
            self.dropped += 1
            if not self._too_many:
                self._too_many = True
                log.warning("sessions: more events wait for the stream than may; old ones are lost")
        self._news.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self.tell()
            except EngineError as error:
                log.info("events of sessions wait: %s", error)
                self._news.set()
                await asyncio.sleep(_RETRY_S)

    async def tell(self) -> None:
        """Publish what waits; raises `EngineError`, and the next call goes on from there."""
        while self._waiting:
            event = self._next()
            try:
                await self._stream.publish(*event)
            except (Refused, ValueError) as error:
                self.dropped += 1
                log.error("an event of sessions is dropped: %s", error)
            except EngineError:
                self._waiting.appendleft(event)
                self._bytes += len(event[1])
                raise
        self._too_many = False

    def _next(self) -> tuple[str, bytes, str]:
        event = self._waiting.popleft()
        self._bytes -= len(event[1])
        return event


def _events(head: dict[str, Any], told: Mapping[str, list[Any]]) -> Iterator[bytes]:
    """What happened as JSON, in as many events as its size takes."""
    whole = json.dumps({**head, **told}).encode()
    if len(whole) <= _EVENT_BYTES:
        yield whole
        return
    part: dict[str, list[Any]] = {kind: [] for kind in _KINDS}
    size = 0
    for kind in _KINDS:
        for entry in told[kind]:
            length = len(json.dumps(entry)) + 2  # and what stands between two
            if size and size + length > _EVENT_BYTES:
                yield json.dumps({**head, **part}).encode()
                part, size = {kind: [] for kind in _KINDS}, 0
            part[kind].append(entry)
            size += length
    yield json.dumps({**head, **part}).encode()
