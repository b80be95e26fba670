"""The client side of a GB/T 32960.3 platform link (clause 5): one tenant's vehicles, upward.

Log in with 0x05, send vehicle frames, wait for the reply to each. A frame that came late goes
out as reissue. What is not answered is sent again after a reconnect, because the queue moves on
only when a whole batch has been answered.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.encode import encode_logout, encode_platform_login
from carcloud.codecs.gbt32960.frame import Frame, Splitter, build
from carcloud.model.time import SECOND, now_us
from carcloud.services.compliance.api import LinkSpec, Outgoing

log = logging.getLogger(__name__)

_LATE_US = 30 * SECOND  # 5.2.2: a report is sent within 30 s; after that it is a reissue


@dataclass(frozen=True, slots=True)
class Pace:
    """Waits of clause 5, in seconds; tests make them short."""

    login_reply: float = 60  # no reply: again after 1 min
    logins: int = 3  # after so many without reply
    long_wait: float = 1800  # wait 30 min
    report_reply: float = 60
    error_again: float = 60  # an error reply: again after 1 min
    error_tries: int = 3  # give up after so many
    idle: float = 1  # between two looks at an empty queue
    reconnect: float = 5


@dataclass(slots=True)
class Outcome:
    """What became of a batch."""

    forwarded: int = 0
    refused: int = 0
    expired: int = 0


@dataclass(frozen=True, slots=True)
class Queue:
    """Where the frames come from; calls may block in a thread."""

    waiting: Callable[[], Awaitable[tuple[int, list[Outgoing]] | None]]
    advance: Callable[[int, Outcome], Awaitable[None]]
    tell: Callable[[bool, str | None], Awaitable[None]]
    fresh: Callable[[Outgoing, int], bool]


class LinkLost(Exception):
    """The further platform is gone or did not answer in time."""


class PlatformLink:
    """Forwards one link's frames until cancelled."""

    def __init__(self, spec: LinkSpec, queue: Queue, pace: Pace = Pace()) -> None:
        self._spec = spec
        self._queue = queue
        self._pace = pace
        self._serial = 0

    async def run(self) -> None:
        """Connect, log in, forward; again after every loss."""
        silent = 0
        while True:
            try:
                await self._session()
                silent = 0
            except (OSError, LinkLost, ssl.SSLError, TimeoutError) as error:
                silent += isinstance(error, TimeoutError)
                await self._queue.tell(False, f"{type(error).__name__}: {error}"[:300])
                log.info("link %s: %r", self._spec.name, error)
            if silent >= self._pace.logins:
                silent = 0
                await asyncio.sleep(self._pace.long_wait)
            await asyncio.sleep(self._pace.reconnect)

    async def _session(self) -> None:
        tls = ssl.create_default_context() if self._spec.tls else None
        reader, writer = await asyncio.open_connection(self._spec.host, self._spec.port, ssl=tls)
        peer = _Peer(reader, writer)
        try:
            await self._log_in(peer)
            await self._queue.tell(True, None)
            while True:
                batch = await self._queue.waiting()
                if batch is None:
                    await asyncio.sleep(self._pace.idle)
                    continue
                seq, frames = batch
                await self._queue.advance(seq, await self._forward(peer, frames))
        except asyncio.CancelledError:
            self._say_goodbye(peer)
            raise
        finally:
            peer.writer.close()

    async def _log_in(self, peer: "_Peer") -> None:
        spec = self._spec
        self._serial = self._serial % 65531 + 1
        body = encode_platform_login(datetime.now(UTC), self._serial, spec.user, spec.password)
        peer.send(build(2016, Command.PLATFORM_LOGIN, Flag.COMMAND, spec.platform_id, body))
        async with asyncio.timeout(self._pace.login_reply):
            reply = await peer.reply()
        if reply.command != Command.PLATFORM_LOGIN or reply.flag != Flag.SUCCESS:
            raise LinkLost(f"the platform refused the login with flag 0x{reply.flag:02x}")

    def _say_goodbye(self, peer: "_Peer") -> None:
        body = encode_logout(datetime.now(UTC), self._serial)
        peer.send(build(2016, Command.PLATFORM_LOGOUT, Flag.COMMAND, self._spec.platform_id, body))

    async def _forward(self, peer: "_Peer", frames: list[Outgoing]) -> Outcome:
        """Send a batch and wait until every frame is answered or given up."""
        outcome = Outcome()
        now = now_us()
        to_send = [frame for frame in frames if self._queue.fresh(frame, now)]
        outcome.expired = len(frames) - len(to_send)
        for attempt in range(1, self._pace.error_tries + 1):
            failed = await self._exchange(peer, to_send)
            outcome.forwarded += len(to_send) - len(failed)
            if not failed:
                break
            if attempt == self._pace.error_tries:
                outcome.refused = len(failed)
                break
            await asyncio.sleep(self._pace.error_again)
            to_send = failed
        return outcome

    async def _exchange(self, peer: "_Peer", frames: list[Outgoing]) -> list[Outgoing]:
        """Send frames, collect their replies; returns those answered with an error."""
        open_frames: dict[tuple[int, str, bytes], list[Outgoing]] = {}
        now = now_us()
        for frame in frames:
            raw = as_sent(frame, now)
            open_frames.setdefault(_key(raw[2], frame.vehicle, raw[24:30]), []).append(frame)
            peer.send(raw)
        failed: list[Outgoing] = []
        left = len(frames)
        async with asyncio.timeout(self._pace.report_reply):
            while left:
                reply = await peer.reply()
                key = _key(reply.command, reply.unique_id, reply.data[:6])
                waiting = open_frames.get(key)
                if not waiting:
                    continue
                frame = waiting.pop(0)
                left -= 1
                if reply.flag != Flag.SUCCESS:
                    failed.append(frame)
        return failed


def as_sent(frame: Outgoing, now: int) -> bytes:
    """The frame as it goes out: a late realtime report becomes a reissue, all else is unchanged.

    Only the command byte and the BCC change, so a 2025 signature stays valid.
    """
    raw = frame.raw
    if raw[2] != Command.REALTIME or frame.time_us > now - _LATE_US:
        return raw
    changed = bytearray(raw)
    changed[2] = Command.REISSUE
    changed[-1] ^= Command.REALTIME ^ Command.REISSUE
    return bytes(changed)


def _key(command: int, vehicle: str, time: bytes) -> tuple[int, str, bytes]:
    return command, vehicle, bytes(time)


@dataclass(slots=True)
class _Peer:
    """The other end of a link."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    splitter: Splitter = field(default_factory=Splitter)
    frames: list[Frame] = field(default_factory=list)

    def send(self, raw: bytes) -> None:
        self.writer.write(raw)

    async def reply(self) -> Frame:
        while not self.frames:
            data = await self.reader.read(65536)
            if not data:
                raise LinkLost("the platform closed the connection")
            for piece in self.splitter.feed(data):
                if isinstance(piece, Frame) and not piece.is_command:
                    self.frames.append(piece)
        return self.frames.pop(0)
