"""`events.<tenant>.vehicles.sessions`: who came to a gateway process and who went."""

import json
from collections import deque
from collections.abc import Mapping

from carcloud.gateway.roster import Changes
from carcloud.model.ids import Tenant
from carcloud.model.streams import event_subject
from carcloud.model.time import iso, now_us
from carcloud.ports.stream import Stream

_MOST = 16_000_000  # bytes that wait for the stream; beyond it the oldest events are let go


class SessionEvents:
    """Of one gateway process: each event waits, in order, until the stream has kept it."""

    def __init__(self, stream: Stream, instance: str) -> None:
        self._stream = stream
        self._instance = instance
        self._count = 0
        self._waiting: deque[tuple[str, bytes, str]] = deque()
        self._bytes = 0

    def note(self, changes: Mapping[Tenant, Changes]) -> None:
        """What has just happened, by tenant."""
        for tenant, change in changes.items():
            self._count += 1
            data = json.dumps({"time": iso(now_us()), **change.told()}).encode()
            message_id = f"{self._instance}-sessions-{self._count}"
            self._waiting.append((event_subject(tenant, "vehicles", "sessions"), data, message_id))
            self._bytes += len(data)
            while self._bytes > _MOST:
                self._let_go()

    async def tell(self) -> None:
        """Publish what waits; raises `EngineError`, and the next call goes on from there."""
        while self._waiting:
            await self._stream.publish(*self._waiting[0])
            self._let_go()

    def _let_go(self) -> None:
        self._bytes -= len(self._waiting.popleft()[1])
