"""Following a job: its log from any byte on, and its changes, until it has ended.

What is told live may be lost; what is kept is complete. So live text is passed on while it joins
up with what was sent before, and else the log that is kept fills the gap.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec

from carcloud.model.ids import Tenant
from carcloud.model.streams import job_subject
from carcloud.ports.blobs import Blobs
from carcloud.ports.records import Records
from carcloud.ports.stream import Stream
from carcloud.services.compute import logs
from carcloud.services.compute.rows import find_job
from carcloud.services.compute.types import ENDED, Changed, Job, Logged, News

_LOOK_S = 2.0  # between looks at the records while nothing is told
_QUEUE = 2000  # live messages that wait; more are lost, and then read from what is kept


class _Told(msgspec.Struct, frozen=True):
    type: str
    attempt: int = 0
    offset: int = 0
    text: str = ""


class Follower:
    """Follows one job for one reader, from byte `offset` of the log of attempt `attempt` on."""

    def __init__(
        self, records: Records, blobs: Blobs, stream: Stream, tenant: Tenant, job: str
    ) -> None:
        self._records, self._blobs, self._stream = records, blobs, stream
        self._tenant, self._job = tenant, job
        self._told: asyncio.Queue[_Told] = asyncio.Queue(_QUEUE)
        self._attempt, self._offset = 0, 0

    async def news(self, attempt: int, offset: int) -> AsyncIterator[News]:
        """What happens until the job has ended; raises `UnknownJob` and the engines' errors."""
        self._attempt, self._offset = attempt, offset
        job = await self._read()
        stop = await self._stream.listen(job_subject(self._tenant, self._job), self._on_message)
        try:
            job = await self._read()
            yield Changed(job)
            async for text in self._kept(job):
                yield text
            while job.state not in ENDED:
                told = await self._next()
                if told is not None and told.type == "log" and self._joins(told):
                    yield self._pass_on(told)
                    continue
                before, job = job, await self._read()
                async for text in self._kept(job):
                    yield text
                if job != before:
                    yield Changed(job)
        finally:
            await stop()

    async def _on_message(self, _subject: str, data: bytes) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self._told.put_nowait(msgspec.json.decode(data, type=_Told))

    async def _next(self) -> _Told | None:
        """The next thing told; None when nothing was for a while."""
        try:
            async with asyncio.timeout(_LOOK_S):
                return await self._told.get()
        except TimeoutError:
            return None

    async def _read(self) -> Job:
        return await asyncio.to_thread(self._find)

    def _find(self) -> Job:
        with self._records.reading() as db:
            return find_job(db, self._tenant, self._job)

    def _joins(self, told: _Told) -> bool:
        size = len(told.text.encode())
        return told.attempt == self._attempt and (
            told.offset <= self._offset < told.offset + size or told.offset == self._offset
        )

    def _pass_on(self, told: _Told) -> Logged:
        data = told.text.encode()[self._offset - told.offset :]
        news = Logged(self._attempt, self._offset, data.decode(errors="replace"))
        self._offset += len(data)
        return news

    async def _kept(self, job: Job) -> AsyncIterator[Logged]:
        """What is kept from where we are up to now, through all attempts."""
        self._attempt = max(1, self._attempt)
        while True:
            part = await asyncio.to_thread(
                logs.read, self._blobs, self._tenant, self._job, self._attempt, self._offset
            )
            data = part.data if part.end == part.size else whole_characters(part.data)
            if data:
                yield Logged(self._attempt, self._offset, data.decode(errors="replace"))
                self._offset += len(data)
            elif self._attempt < job.attempt:
                self._attempt, self._offset = self._attempt + 1, 0
            else:
                return


def whole_characters(data: bytes) -> bytes:
    """UTF-8 without a character that is cut at its end."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 != 0x80:  # the first byte of a character
            length = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return data if length <= back else data[:-back]
    return data
