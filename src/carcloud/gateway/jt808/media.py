"""Pictures, sound and video of terminals (0x0801): kept as objects, told complete by 0x8800.

A media message may have megabytes, a message of the stream has not. So the bytes become an
object first; then the header with the object's name goes the way of every frame, and when that
is durable the terminal is told.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from carcloud.codecs.errors import FrameError
from carcloud.codecs.jt808.frame import MAX_BODY, Frame, build
from carcloud.gateway.jt808.rules import Down, Result, media_body
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.ports.errors import EngineError

if TYPE_CHECKING:
    from carcloud.gateway.jt808.link import Link

log = logging.getLogger(__name__)

HEADER = 36  # bytes: media id, kind, format, event, channel, position
_HEADER_2011 = 16  # media id, kind, format, event, channel, packets, packet
KEPT_AS = b"object:"  # begins the data of a kept frame whose bytes are elsewhere
_MOST_WAITING = 64_000_000  # bytes of media that wait to be written


class MediaRefused(Exception):
    """The tenant may not keep these bytes; the text says why."""


class MediaSink(Protocol):
    """Where media bytes are kept."""

    def keep(self, tenant: Tenant, vehicle: str, header: bytes, data: bytes) -> str:
        """Keep them durably and return their name; blocks. The same again changes nothing.

        Raises `MediaRefused`, `EngineError`.
        """


class MediaDesk:
    """Media that is on its way to the sink; a few at a time, and not too much of it."""

    def __init__(self, sink: MediaSink | None) -> None:
        self.sink = sink
        self.waiting_bytes = 0
        self._turn = asyncio.Semaphore(4)
        self._tasks: set[asyncio.Task[None]] = set()

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more may wait."""
        return self.waiting_bytes == 0 or self.waiting_bytes + size <= _MOST_WAITING

    def begin(self, link: "Link", frame: Frame) -> None:
        """Keep the media of a frame and answer it."""
        link.session.hold(frame)
        task = asyncio.create_task(self._keep(link, frame))
        self._tasks.add(task)
        self.waiting_bytes += len(frame.body)
        task.add_done_callback(lambda done: self._done(done, len(frame.body)))

    def _done(self, task: asyncio.Task[None], size: int) -> None:
        self._tasks.discard(task)
        self.waiting_bytes -= size
        if not task.cancelled() and task.exception() is not None:
            log.error("media could not be kept", exc_info=task.exception())

    async def _keep(self, link: "Link", frame: Frame) -> None:
        kept = False
        try:
            kept = await self._keep_and_answer(link, frame)
        finally:
            link.session.settle(frame, kept=kept)

    async def _keep_and_answer(self, link: "Link", frame: Frame) -> bool:
        assert self.sink is not None  # noqa: S101 - `take` has looked
        header, data = frame.body[:HEADER], frame.body[HEADER:]
        session, outbox = link.session, link.session.gateway.outbox
        try:
            async with self._turn:
                name = await asyncio.to_thread(
                    self.sink.keep, link.tenant, link.vehicle, header, data
                )
        except MediaRefused as error:
            wrong = FrameError("refused", 1, "8.42", str(error))
            reply = session.reply(frame, Result.FAILURE)
            short = _short(frame, header)
            session.refuse(short, Result.FAILURE, wrong, reply=reply, tenant=link.tenant)
        except EngineError as error:
            log.warning("media of %s is not kept: %s", link.vehicle, error)
            outbox.after_earlier(link.tenant, session, session.reply(frame, Result.FAILURE))
        else:
            kept = _short(frame, header + KEPT_AS + name.encode())
            reply = session.frame(frame, Down.MEDIA, media_body(2019, 0, header[:4]))
            session.gateway.figures.frames["media"] += 1
            outbox.add(link.tenant, link.vehicle, now_us(), kept.raw, session, reply)
            return True
        return False

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is on its way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)


def _short(frame: Frame, body: bytes) -> Frame:
    """The same message with another body, of one packet."""
    raw = build(frame.edition, frame.message, frame.phone, frame.serial, body[:MAX_BODY])
    return Frame(
        *(frame.edition, frame.message, frame.version, 0, frame.phone, frame.serial, 1, 1),
        body[:MAX_BODY],
        raw,
    )


def take(link: "Link", frame: Frame) -> None:
    """A media message, whole."""
    session, desk = link.session, link.session.gateway.media
    old = link.edition == 2011
    size = _HEADER_2011 if old else HEADER
    if len(frame.body) < size:
        error = FrameError("truncated", len(frame.body), "8.42", f"at least {size} bytes")
        session.refuse(frame, Result.WRONG, error)
    elif desk.sink is None or old:  # 2011 counts its packets itself: each is a message
        session.gateway.figures.frames["report"] += 1
        body = media_body(link.edition, frame.serial, frame.body[:4])
        session.keep(frame, session.frame(frame, Down.MEDIA, body))
    elif not desk.has_room(len(frame.body)):
        session.gateway.figures.frames["refused"] += 1
        session.forget(frame)
        session.reply_later(session.reply(frame, Result.FAILURE))
    else:
        session.gateway.figures.frames["report"] += 1
        desk.begin(link, frame)
