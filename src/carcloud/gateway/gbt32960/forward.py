"""The client side of a GB/T 32960.3 platform link (clause 5): one tenant's vehicles, upward.

Log in with 0x05, send vehicle frames, wait for the reply to each. A frame that came late goes
out as reissue. What is not answered is sent again after a reconnect, because the queue moves on
only when a whole batch has been answered. A frame that was answered with an error goes back to
the queue for its next turn, so that one vehicle's trouble does not hold up the others.
"""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from carcloud.codecs.gbt32960.constants import Command, Flag
from carcloud.codecs.gbt32960.encode import encode_logout, encode_platform_login
from carcloud.codecs.gbt32960.frame import Frame, Splitter, build
from carcloud.model.time import SECOND, now_us
from carcloud.services.compliance.api import Batch, LinkSpec, Outgoing, Progress

log = logging.getLogger(__name__)

_LATE_US = 30 * SECOND  # 5.2.2: a report is sent within 30 s; after that it is a reissue


@dataclass(frozen=True, slots=True)
class Pace:
    """Waits of clause 5, in seconds; tests make them short."""

    login_reply: float = 60  # no reply: again after 1 min
    logins: int = 3  # after so many without reply
    long_wait: float = 1800  # wait 30 min
    report_reply: float = 60  # without any reply: the platform is gone
    error_again: float = 60  # an error reply: again after 1 min
    error_tries: int = 3  # give up after so many
    idle: float = 1  # between two looks at an empty queue
    reconnect: float = 5


@dataclass(frozen=True, slots=True)
class Queue:
    """Where the frames come from; calls may block in a thread."""

    next: Callable[[], Awaitable[Batch | None]]
    advance: Callable[[Batch, Progress], Awaitable[None]]
    tell: Callable[[bool, str | None], Awaitable[None]]
    fresh: Callable[[Outgoing, int], bool]
    clear: Callable[[Outgoing], bytes] = lambda frame: frame.raw  # the frame, not encrypted


class LinkLost(Exception):
    """The further platform is gone, or does not want us."""


class NoReply(LinkLost):
    """The further platform did not answer in time."""


class Forwarder:
    """Forwards one link's frames until cancelled."""

    def __init__(self, spec: LinkSpec, queue: Queue, pace: Pace = Pace()) -> None:
        self._spec = spec
        self._queue = queue
        self._pace = pace
        self._serial = 0
        self._silent = 0  # times in turn that nothing was answered

    async def run(self) -> None:
        """Connect, log in, forward; again after every loss. Raises what the queue raises."""
        while True:
            try:
                await self._session()
            except (OSError, LinkLost) as error:  # an SSLError and a TimeoutError are OSErrors
                await self._queue.tell(False, f"{type(error).__name__}: {error}")
                log.info("link %s: %r", self._spec.name, error)
            if self._silent >= self._pace.logins:
                self._silent = 0
                await asyncio.sleep(self._pace.long_wait)
            await asyncio.sleep(self._pace.reconnect)

    async def _session(self) -> None:
        tls = ssl.create_default_context() if self._spec.tls else None
        async with asyncio.timeout(self._pace.login_reply):
            reader, writer = await asyncio.open_connection(
                self._spec.host, self._spec.port, ssl=tls
            )
        peer = _Peer(reader, writer)
        try:
            await self._log_in(peer)
            await self._queue.tell(True, None)
            while True:
                await self._turn(peer)
        except asyncio.CancelledError:
            self._say_goodbye(peer)
            raise
        finally:
            peer.writer.close()

    async def _log_in(self, peer: "_Peer") -> None:
        spec = self._spec
        self._serial = self._serial % 65531 + 1
        body = encode_platform_login(datetime.now(UTC), self._serial, spec.user, spec.password)
        command, edition = Command.PLATFORM_LOGIN, spec.edition
        peer.send(build(edition, command, Flag.COMMAND, spec.platform_id, body))
        reply = await self._reply(peer, self._pace.login_reply)
        if reply.command != command or reply.flag != Flag.SUCCESS:
            raise LinkLost(f"the platform refused the login with flag 0x{reply.flag:02x}")

    def _say_goodbye(self, peer: "_Peer") -> None:
        body = encode_logout(datetime.now(UTC), self._serial)
        command, edition = Command.PLATFORM_LOGOUT, self._spec.edition
        peer.send(build(edition, command, Flag.COMMAND, self._spec.platform_id, body))

    async def _turn(self, peer: "_Peer") -> None:
        """Send what waits, or look whether the platform is still there."""
        batch = await self._queue.next()
        if batch is not None:
            await self._queue.advance(batch, await self._forward(peer, batch.frames))
        elif peer.reader.at_eof():
            raise LinkLost("the platform closed the connection")
        else:
            await asyncio.sleep(self._pace.idle)

    async def _forward(self, peer: "_Peer", frames: Sequence[Outgoing]) -> Progress:
        """Send a batch and wait until every frame is answered."""
        now = now_us()
        to_send = [frame for frame in frames if self._queue.fresh(frame, now)]
        failed = await self._exchange(peer, to_send)
        tries = [msgspec.structs.replace(frame, tries=frame.tries + 1) for frame in failed]
        again = [frame for frame in tries if frame.tries < self._pace.error_tries]
        return Progress(
            forwarded=len(to_send) - len(failed),
            refused=len(failed) - len(again),
            expired=len(frames) - len(to_send),
            again=again,
            again_at_us=now_us() + int(self._pace.error_again * SECOND),
        )

    async def _exchange(self, peer: "_Peer", frames: list[Outgoing]) -> list[Outgoing]:
        """Send frames, collect their replies; returns those answered with an error."""
        unanswered: dict[tuple[int, str], deque[tuple[bytes, Outgoing]]] = {}
        now, sent = now_us(), []
        for frame in frames:
            raw = as_sent(self._queue.clear(frame), frame.time_us, now)
            key = (raw[2], frame.vehicle)
            unanswered.setdefault(key, deque()).append((raw[24:30], frame))
            sent.append(raw)
        peer.send(b"".join(sent))
        failed: list[Outgoing] = []
        left = len(frames)
        while left:
            reply = await self._reply(peer, self._pace.report_reply)
            waiting = unanswered.get((reply.command, reply.unique_id))
            if not waiting:
                continue
            left -= 1
            frame = _answered(waiting, reply.data[:6])
            if reply.flag != Flag.SUCCESS:
                failed.append(frame)
        return failed

    async def _reply(self, peer: "_Peer", timeout_s: float) -> Frame:
        if not peer.frames:
            try:
                async with asyncio.timeout(timeout_s):
                    await peer.listen()
            except TimeoutError:
                self._silent += 1
                raise NoReply(f"no reply within {timeout_s:g} s") from None
            self._silent = 0
        return peer.frames.popleft()


def _answered(waiting: deque[tuple[bytes, Outgoing]], time: bytes) -> Outgoing:
    """The frame that a reply is for: of this time, else the first.

    A platform may keep the report's time, put its own, or send none (6.3.2, B.3.3.2).
    """
    for index, (sent, frame) in enumerate(waiting):
        if sent == time:
            del waiting[index]
            return frame
    return waiting.popleft()[1]


def as_sent(raw: bytes, time_us: int, now: int) -> bytes:
    """The frame as it goes out: a late realtime report becomes a reissue, all else is unchanged.

    Only the command byte and the BCC change, so a 2025 signature stays valid.
    """
    if raw[2] != Command.REALTIME or time_us > now - _LATE_US:
        return raw
    changed = bytearray(raw)
    changed[2] = Command.REISSUE
    changed[-1] ^= Command.REALTIME ^ Command.REISSUE
    return bytes(changed)


@dataclass(slots=True)
class _Peer:
    """The other end of a link."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    splitter: Splitter = field(default_factory=Splitter)
    frames: deque[Frame] = field(default_factory=deque)  # replies that have come

    def send(self, raw: bytes) -> None:
        self.writer.write(raw)

    async def listen(self) -> None:
        """Wait until there is a reply."""
        while not self.frames:
            data = await self.reader.read(65536)
            if not data:
                raise LinkLost("the platform closed the connection")
            for piece in self.splitter.feed(data):
                if isinstance(piece, Frame) and not piece.is_command:
                    self.frames.append(piece)
